//! Seeded FITS files: the same bytes every time, none of which a disk can compress; each HDU with both sums.

use std::fs::File;
use std::io::{BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use dpm::fits::checksum::Sum32;
use dpm::merge::sealing;

use crate::support::Outcome;

const BLOCK_BYTES: usize = 2880;
const CARD_BYTES: usize = 80;
/// A multiple of the 4 bytes that sums go by, and small, so that the bench itself takes little memory.
const PIECE_BYTES: usize = 1 << 18;

/// What each extension of a sample is: an image of 32-bit integers with keywords of its own.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Extension {
    /// Bytes of the image, a multiple of 4.
    pub(crate) data_bytes: u64,
    /// Number of `HIERARCH ESO` cards in its header.
    pub(crate) hierarch_cards: usize,
}

/// One sample file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    /// Number of `HIERARCH ESO` cards in the primary header.
    pub(crate) primary_cards: usize,
    /// Number of its extensions.
    pub(crate) extensions: usize,
    /// All of them.
    pub(crate) extension: Extension,
}

impl Sample {
    /// A file with one image, as a detector leaves it.
    pub(crate) fn image(data_bytes: u64) -> Sample {
        Sample { primary_cards: 12, extensions: 1, extension: Extension { data_bytes, hierarch_cards: 24 } }
    }

    /// Bytes of the file, roughly from above.
    pub(crate) fn bytes(&self) -> u64 {
        let header = |cards: usize| ((cards + 20) * CARD_BYTES).next_multiple_of(BLOCK_BYTES) as u64;
        let extension = header(self.extension.hierarch_cards) + self.extension.data_bytes + BLOCK_BYTES as u64;
        header(self.primary_cards) + self.extensions as u64 * extension
    }
}

/// Makes `count` files `NAME-0000.fits`, ... in `folder`, on the disk when it returns.
///
/// # Errors
///
/// The disk refuses.
pub(crate) fn make(folder: &Path, name: &str, count: usize, sample: &Sample) -> Outcome<Vec<PathBuf>> {
    let mut seed = 0x9e37_79b9_7f4a_7c15;
    let mut paths = Vec::with_capacity(count);
    for index in 0..count {
        let path = folder.join(format!("{name}-{index:04}.fits"));
        let mut file = BufWriter::with_capacity(PIECE_BYTES, File::create(&path)?);
        let first = ["SIMPLE  =                    T".to_owned()].into_iter().chain(array_cards(8, None));
        let own = [format!("INSTRUME= 'DET{index:04}'"), format!("MJD-OBS = {:>20}", 60_000 + index)];
        let cards = first.chain(own).chain(hierarch(sample.primary_cards, index)).collect();
        file.write_all(&sealed(cards, Sum32::default()))?;
        for extension in 0..sample.extensions {
            write_extension(&mut file, &sample.extension, index, extension, &mut seed)?;
        }
        // Brought to the disk now, so that no round pays for it.
        file.into_inner().map_err(|error| error.into_error())?.sync_all()?;
        paths.push(path);
    }
    Ok(paths)
}

/// The header goes before the data but holds its sum: its place is left and filled at the end, where that is cheaper
/// than making the data twice.
fn write_extension(
    file: &mut BufWriter<File>,
    extension: &Extension,
    source: usize,
    index: usize,
    seed: &mut u64,
) -> Outcome<()> {
    let name = if index == 0 { format!("DET{source:04}") } else { format!("DET{source:04}.{index}") };
    let cards = |sum: Sum32| {
        let first = ["XTENSION= 'IMAGE   '".to_owned()].into_iter();
        let structure = array_cards(32, Some(extension.data_bytes / 4));
        let rest = ["PCOUNT  =                    0".to_owned(), "GCOUNT  =                    1".to_owned()];
        let own = [format!("EXTNAME = '{name}'")];
        let cards = first.chain(structure).chain(rest).chain(own).chain(hierarch(extension.hierarch_cards, index));
        sealed(cards.collect(), sum)
    };
    let mut left = usize::try_from(extension.data_bytes)?;
    let padding = left.next_multiple_of(BLOCK_BYTES) - left;
    if left <= PIECE_BYTES {
        let mut data = vec![0; left];
        fill(&mut data, seed);
        file.write_all(&cards(Sum32::of(&data)))?;
        file.write_all(&data)?;
        file.write_all(&vec![0; padding])?;
        return Ok(());
    }
    let place = file.stream_position()?;
    file.write_all(&cards(Sum32::default()))?;
    let (mut piece, mut sum) = (vec![0; PIECE_BYTES], Sum32::default());
    while left > 0 {
        let piece = &mut piece[..left.min(PIECE_BYTES)];
        fill(piece, seed);
        sum = sum.add(Sum32::of(piece));
        file.write_all(piece)?;
        left -= piece.len();
    }
    file.write_all(&vec![0; padding])?;
    file.seek(SeekFrom::Start(place))?;
    file.write_all(&cards(sum))?;
    file.seek(SeekFrom::End(0))?;
    Ok(())
}

fn array_cards(bitpix: i32, pixels: Option<u64>) -> impl Iterator<Item = String> {
    let axes = usize::from(pixels.is_some());
    let head = [format!("BITPIX  = {bitpix:>20}"), format!("NAXIS   = {axes:>20}")];
    head.into_iter().chain(pixels.map(|pixels| format!("NAXIS1  = {pixels:>20}")))
}

/// Cards as instruments write them; no two of one file, and no two files, share a keyword.
fn hierarch(count: usize, file: usize) -> impl Iterator<Item = String> {
    (0..count).map(move |index| match index % 3 {
        0 => format!("HIERARCH ESO INS{file} SENS{index} VAL = {index}.25 / [K] reading of a sensor"),
        1 => format!("HIERARCH ESO DET{file} READ{index} NAME = 'mode {index}' / readout mode"),
        _ => format!("HIERARCH ESO TEL{file} AXIS{index} POS = {index} / [count] encoder"),
    })
}

/// A header with its cards, both sums and END.
fn sealed(cards: Vec<String>, datasum: Sum32) -> Vec<u8> {
    let count = cards.len();
    let mut text: String = cards.iter().map(|card| format!("{card:<80}")).collect();
    text.push_str(&" ".repeat(2 * CARD_BYTES));
    text.push_str("END");
    let mut header = text.into_bytes();
    header.resize(header.len().next_multiple_of(BLOCK_BYTES), b' ');
    sealing::seal(&mut header, count, count + 1, datasum, None);
    header
}

/// Fills `piece` with xorshift64.
fn fill(piece: &mut [u8], seed: &mut u64) {
    for word in piece.chunks_mut(8) {
        *seed ^= *seed << 13;
        *seed ^= *seed >> 7;
        *seed ^= *seed << 17;
        for (byte, random) in word.iter_mut().zip(seed.to_le_bytes()) {
            *byte = random;
        }
    }
}

/// Writes the specification of a new file that has all of `inputs` as sources.
///
/// # Errors
///
/// The disk refuses.
pub(crate) fn specify(folder: &Path, name: &str, inputs: &[PathBuf]) -> Outcome<PathBuf> {
    let source = |(index, path): (usize, &PathBuf)| serde_json::json!({"type": "fitsFile", "sourceName": format!("det{index}"), "location": path});
    let sources: Vec<serde_json::Value> = inputs.iter().enumerate().map(source).collect();
    let document = serde_json::json!({"id": name, "sources": sources, "target": {"fileId": name}});
    let path = folder.join(format!("{name}.json"));
    File::create(&path)?.write_all(document.to_string().as_bytes())?;
    Ok(path)
}
