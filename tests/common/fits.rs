//! FITS files written and read for tests, with no code of dpm: what a judge says should not hang on the judged.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// Bytes of a FITS block.
pub(crate) const BLOCK: u64 = 2880;

/// One HDU of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hdu {
    pub(crate) kind: String,
    pub(crate) name: String,
    pub(crate) header_offset: u64,
    pub(crate) data_offset: u64,
    /// Bytes of the data unit, padding included.
    pub(crate) data_bytes: u64,
    pub(crate) cards: Vec<String>,
}

impl Hdu {
    /// The text behind `KEYWORD =`, comment included.
    pub(crate) fn value(&self, keyword: &str) -> Option<&str> {
        let start = format!("{keyword:<8}=");
        self.cards.iter().find_map(|card| card.strip_prefix(&start)).map(str::trim)
    }

    fn integer(&self, keyword: &str) -> Option<u64> {
        self.value(keyword)?.split('/').next()?.trim().trim_start_matches('-').parse().ok()
    }

    fn string(&self, keyword: &str) -> String {
        let value = self.value(keyword).unwrap_or_default();
        value.split('\'').nth(1).unwrap_or_default().trim_end().to_owned()
    }

    fn data_bytes_padded(&self) -> u64 {
        let axes = self.integer("NAXIS").unwrap();
        let product = (1..=axes).map(|axis| self.integer(&format!("NAXIS{axis}")).unwrap()).product::<u64>();
        let elements = if axes == 0 { 0 } else { product };
        let groups = self.integer("GCOUNT").unwrap_or(1);
        let extra = self.integer("PCOUNT").unwrap_or(0);
        (self.integer("BITPIX").unwrap() / 8 * groups * (extra + elements)).next_multiple_of(BLOCK)
    }
}

/// Reads the structure of a sound file.
pub(crate) fn read(path: &Path) -> Vec<Hdu> {
    let mut file = File::open(path).unwrap();
    let end = file.metadata().unwrap().len();
    let (mut hdus, mut offset) = (Vec::new(), 0);
    while offset < end {
        let header_offset = offset;
        let mut cards = Vec::new();
        while cards.last().is_none_or(|card: &String| card.trim_end() != "END") {
            let mut block = [0; BLOCK as usize];
            file.seek(SeekFrom::Start(offset)).unwrap();
            file.read_exact(&mut block).unwrap();
            offset += BLOCK;
            for card in block.chunks(80) {
                cards.push(String::from_utf8_lossy(card).into_owned());
                if cards.last().is_some_and(|card| card.trim_end() == "END") {
                    break;
                }
            }
        }
        let mut hdu =
            Hdu { kind: String::new(), name: String::new(), header_offset, data_offset: offset, data_bytes: 0, cards };
        hdu.kind = if header_offset == 0 { "PRIMARY".to_owned() } else { hdu.string("XTENSION") };
        hdu.name = hdu.string("EXTNAME");
        hdu.data_bytes = hdu.data_bytes_padded();
        offset += hdu.data_bytes;
        hdus.push(hdu);
    }
    assert_eq!(offset, end, "{} ends with its last HDU", path.display());
    hdus
}

/// The bytes of a data unit, padding included.
pub(crate) fn data(path: &Path, hdu: &Hdu) -> Vec<u8> {
    let mut file = File::open(path).unwrap();
    file.seek(SeekFrom::Start(hdu.data_offset)).unwrap();
    let mut bytes = vec![0; hdu.data_bytes as usize];
    file.read_exact(&mut bytes).unwrap();
    bytes
}

/// A header of these cards, padded; END is added.
pub(crate) fn header(cards: &[String]) -> Vec<u8> {
    let mut text: String = cards.iter().map(|card| format!("{card:<80}")).collect();
    assert_eq!(text.len(), cards.len() * 80, "cards are of 80 characters");
    text.push_str(&format!("{:<80}", "END"));
    let mut bytes = text.into_bytes();
    bytes.resize(bytes.len().next_multiple_of(BLOCK as usize), b' ');
    bytes
}

fn fixed(keyword: &str, value: impl std::fmt::Display) -> String {
    format!("{keyword:<8}= {value:>20}")
}

fn text_card(keyword: &str, value: &str) -> String {
    format!("{keyword:<8}= '{value:<8}'")
}

/// Header of a primary HDU without data and these further cards.
pub(crate) fn empty_primary(further: &[String]) -> Vec<u8> {
    let mut cards = vec![fixed("SIMPLE", "T"), fixed("BITPIX", 8), fixed("NAXIS", 0), fixed("EXTEND", "T")];
    cards.extend_from_slice(further);
    header(&cards)
}

/// Header of an IMAGE extension with `bytes` pixels of 8 bits.
pub(crate) fn image_extension(name: &str, bytes: u64) -> Vec<u8> {
    header(&[
        text_card("XTENSION", "IMAGE"),
        fixed("BITPIX", 8),
        fixed("NAXIS", 1),
        fixed("NAXIS1", bytes),
        fixed("PCOUNT", 0),
        fixed("GCOUNT", 1),
        text_card("EXTNAME", name),
    ])
}

/// A file with a keyword in its primary header and one image of `bytes` seeded pixels.
pub(crate) fn write_image(path: &Path, name: &str, bytes: u64, seed: u64) -> PathBuf {
    let mut file = File::create_new(path).unwrap();
    file.write_all(&empty_primary(&[fixed("SEED", seed)])).unwrap();
    file.write_all(&image_extension(name, bytes)).unwrap();
    let mut pixels = Random(seed).bytes(bytes as usize);
    pixels.resize(bytes.next_multiple_of(BLOCK) as usize, 0);
    file.write_all(&pixels).unwrap();
    path.to_owned()
}

/// A file with one image of `bytes` zeros, which takes no space on the disk.
pub(crate) fn write_sparse_image(path: &Path, name: &str, bytes: u64) -> PathBuf {
    let mut file = File::create_new(path).unwrap();
    let (primary, extension) = (empty_primary(&[]), image_extension(name, bytes));
    file.write_all(&primary).unwrap();
    file.write_all(&extension).unwrap();
    file.set_len((primary.len() + extension.len()) as u64 + bytes.next_multiple_of(BLOCK)).unwrap();
    path.to_owned()
}

/// A file whose primary HDU has `bytes` pixels of zero, which take no space on the disk.
pub(crate) fn write_sparse_primary(path: &Path, bytes: u64) -> PathBuf {
    let mut file = File::create_new(path).unwrap();
    let header = header(&[fixed("SIMPLE", "T"), fixed("BITPIX", 8), fixed("NAXIS", 1), fixed("NAXIS1", bytes)]);
    file.write_all(&header).unwrap();
    file.set_len(header.len() as u64 + bytes.next_multiple_of(BLOCK)).unwrap();
    path.to_owned()
}

/// A small generator (SplitMix64): one seed, one sequence, so that a failure can be replayed.
#[derive(Clone, Debug)]
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number from 0 to `limit` - 1.
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    pub(crate) fn bytes(&mut self, count: usize) -> Vec<u8> {
        let mut bytes: Vec<u8> = (0..count.div_ceil(8)).flat_map(|_| self.next().to_le_bytes()).collect();
        bytes.truncate(count);
        bytes
    }
}
