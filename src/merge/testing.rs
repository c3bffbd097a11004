//! FITS files for the tests of this module, made card by card, and the ways to merge them.

use std::io::Write;
use std::path::PathBuf;

use jiff::Timestamp;
use serde_json::{Value as Json, json};

use crate::durable::new_file::{Durability, Replace};
use crate::fits::card::Card;
use crate::fits::checksum::Sum32;
use crate::fits::hdu::{Hdu, ScanLimits, scan};
use crate::fits::header::Header;
use crate::fits::{BLOCK_BYTES, CARDS_PER_BLOCK};
use crate::merge::gzip::GzipLimits;
use crate::merge::input::{self, InputDescription};
use crate::merge::job::{InputPlace, PreparedMerge, Publication, prepare};
use crate::merge::options::MergeOptions;
use crate::merge::plan::{MergePlan, PlanError, plan};
use crate::merge::sealing;
use crate::specification::model::Specification;
use crate::specification::validate;

/// How the products of these tests get their names.
pub(crate) fn synced(replace: Replace) -> Publication {
    Publication { replace, durability: Durability::Synced }
}

/// One HDU under construction.
#[derive(Clone, Debug)]
pub(crate) struct TestHdu {
    cards: Vec<Card>,
    data: Vec<u8>,
    fill: u8,
    is_sealed: bool,
}

/// Bytes that differ from place to place.
pub(crate) fn pixels(count: usize) -> Vec<u8> {
    (0..count).map(|index| (index * 7 + index / 255) as u8).collect()
}

impl TestHdu {
    fn new(cards: &[&str], data: Vec<u8>) -> TestHdu {
        let cards = cards.iter().map(|text| Card::from_text(text).expect("a legal card")).collect();
        TestHdu { cards, data, fill: 0, is_sealed: false }
    }

    /// A primary HDU without data.
    pub(crate) fn primary() -> TestHdu {
        TestHdu::new(
            &["SIMPLE  =                    T", "BITPIX  =                    8", "NAXIS   =                    0"],
            Vec::new(),
        )
    }

    /// A primary HDU with `count` bytes of pixels.
    pub(crate) fn primary_image(count: usize) -> TestHdu {
        let axis = format!("NAXIS1  = {count:>20}");
        let cards = [
            "SIMPLE  =                    T",
            "BITPIX  =                    8",
            "NAXIS   =                    1",
            &axis,
        ];
        TestHdu::new(&cards, pixels(count))
    }

    /// Random groups: `count` groups of one parameter and one pixel of 2 bytes each.
    pub(crate) fn random_groups(count: usize) -> TestHdu {
        let groups = format!("GCOUNT  = {count:>20}");
        let cards = [
            "SIMPLE  =                    T",
            "BITPIX  =                   16",
            "NAXIS   =                    2",
            "NAXIS1  =                    0",
            "NAXIS2  =                    1",
            "GROUPS  =                    T",
            "PCOUNT  =                    1",
            &groups,
        ];
        TestHdu::new(&cards, pixels(4 * count))
    }

    /// An IMAGE extension with `count` bytes of pixels.
    pub(crate) fn image(name: &str, count: usize) -> TestHdu {
        let axis = format!("NAXIS1  = {count:>20}");
        let cards = [
            "XTENSION= 'IMAGE   '",
            "BITPIX  =                    8",
            "NAXIS   =                    1",
            &axis,
            "PCOUNT  =                    0",
            "GCOUNT  =                    1",
        ];
        TestHdu::new(&cards, pixels(count)).named(name)
    }

    /// An ASCII table of one column of `rows` characters.
    pub(crate) fn ascii_table(name: &str, rows: usize) -> TestHdu {
        let axis = format!("NAXIS2  = {rows:>20}");
        let cards = [
            "XTENSION= 'TABLE   '",
            "BITPIX  =                    8",
            "NAXIS   =                    2",
            "NAXIS1  =                    1",
            &axis,
            "PCOUNT  =                    0",
            "GCOUNT  =                    1",
            "TFIELDS =                    1",
            "TBCOL1  =                    1",
            "TFORM1  = 'A1      '",
        ];
        TestHdu { fill: b' ', ..TestHdu::new(&cards, vec![b'x'; rows]) }.named(name)
    }

    fn named(self, name: &str) -> TestHdu {
        if name.is_empty() { self } else { self.with(&format!("EXTNAME = '{name:<8}'")) }
    }

    /// Adds a card.
    pub(crate) fn with(mut self, text: &str) -> TestHdu {
        self.cards.push(Card::from_text(text).expect("a legal card"));
        self
    }

    /// Adds `count` different cards.
    pub(crate) fn with_filler(mut self, count: usize) -> TestHdu {
        for index in 0..count {
            self = self.with(&format!("FILL{index:<4}= {index:>20}"));
        }
        self
    }

    /// Adds blank cards.
    pub(crate) fn with_spare(mut self, count: usize) -> TestHdu {
        self.cards.extend(std::iter::repeat_n(Card::BLANK, count));
        self
    }

    /// Fills the header with different cards until `spare` cards are free in its last block, END's not counted.
    pub(crate) fn with_room(self, spare: usize) -> TestHdu {
        let missing = (2 * CARDS_PER_BLOCK - 1 - self.cards.len() % CARDS_PER_BLOCK - spare) % CARDS_PER_BLOCK;
        self.with_filler(missing)
    }

    /// Puts other data of the same size.
    pub(crate) fn with_data(mut self, data: Vec<u8>) -> TestHdu {
        assert_eq!(data.len(), self.data.len());
        self.data = data;
        self
    }

    /// Adds CHECKSUM and DATASUM.
    pub(crate) fn sealed(mut self) -> TestHdu {
        self.is_sealed = true;
        self
    }

    /// Its header.
    pub(crate) fn header(&self) -> Header {
        Header::from_cards(self.cards.clone())
    }

    /// Its data unit, without padding.
    pub(crate) fn data(&self) -> &[u8] {
        &self.data
    }

    /// The HDU as in a file.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut data = self.data.clone();
        data.resize(data.len().next_multiple_of(BLOCK_BYTES), self.fill);
        let mut cards = self.cards.clone();
        if !self.is_sealed {
            return [Header::from_cards(cards).to_bytes(), data].concat();
        }
        let place = cards.len();
        cards.extend([Card::BLANK, Card::BLANK]);
        let mut header = Header::from_cards(cards).to_bytes();
        sealing::seal(&mut header, place + 1, place, Sum32::of(&data), None);
        [header, data].concat()
    }
}

/// A whole file.
pub(crate) fn file(hdus: &[TestHdu]) -> Vec<u8> {
    hdus.iter().flat_map(TestHdu::bytes).collect()
}

/// A file as planning sees it.
pub(crate) fn described(label: &str, bytes: &[u8]) -> InputDescription {
    input::describe(label, PathBuf::from(format!("/data/{label}.fits")), bytes, ScanLimits::default())
        .expect("a FITS file")
}

/// A file source for a specification.
pub(crate) fn source(label: &str) -> Json {
    json!({"type": "fitsFile", "sourceName": label, "location": format!("/data/{label}.fits")})
}

/// The same with further members.
pub(crate) fn source_with(label: &str, members: Json) -> Json {
    let mut source = source(label);
    for (name, value) in members.as_object().expect("an object") {
        source[name] = value.clone();
    }
    source
}

/// A specification of `sources` and a target with the members of `target`.
pub(crate) fn specification(sources: &[Json], target: &Json) -> Specification {
    let mut root = json!({"id": "D", "sources": sources, "target": {"fileId": "F", "filePrefix": "P_"}});
    for (name, value) in target.as_object().expect("an object") {
        root["target"][name] = value.clone();
    }
    validate::parse(&root.to_string()).unwrap_or_else(|error| panic!("{root}: {error}"))
}

/// The date in every product of these tests.
pub(crate) fn date() -> Timestamp {
    "2031-02-03T04:05:06.789Z".parse().expect("a date")
}

/// A merge of files in memory.
#[derive(Debug)]
pub(crate) struct TestMerge {
    pub(crate) specification: Specification,
    /// Label and bytes of each file.
    pub(crate) files: Vec<(String, Vec<u8>)>,
}

impl TestMerge {
    /// New product of `files`, whose sources need nothing special.
    pub(crate) fn of(files: &[(&str, Vec<u8>)]) -> TestMerge {
        let sources: Vec<Json> = files.iter().map(|(label, _)| source(label)).collect();
        TestMerge::with(&sources, &json!({}), files)
    }

    /// Merge of `files` (the target's first where there is one) as `sources` and `target` say.
    pub(crate) fn with(sources: &[Json], target: &Json, files: &[(&str, Vec<u8>)]) -> TestMerge {
        let files = files.iter().map(|(label, bytes)| ((*label).to_owned(), bytes.clone())).collect();
        TestMerge { specification: specification(sources, target), files }
    }

    /// Plans it.
    pub(crate) fn try_plan(&self) -> Result<MergePlan, PlanError> {
        let inputs: Vec<InputDescription> = self.files.iter().map(|(label, bytes)| described(label, bytes)).collect();
        plan(&self.specification, &inputs, date())
    }

    /// Plans it, and checks what holds for every plan.
    pub(crate) fn plan(&self) -> MergePlan {
        let plan = self.try_plan().unwrap_or_else(|error| panic!("{}", crate::status::with_causes(&error)));
        let mut position = 0;
        for hdu in &plan.hdus {
            assert_eq!(hdu.product_offset, position);
            for bytes in [hdu.header_bytes, hdu.data_bytes_padded()] {
                assert_eq!(bytes % BLOCK_BYTES as u64, 0, "{hdu:?}");
                position += bytes;
            }
        }
        assert_eq!(plan.product_bytes, position);
        let mut ids: Vec<&str> = plan.notices.iter().map(|notice| notice.id.as_str()).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), plan.notices.len(), "{:?}", plan.notices);
        plan
    }

    /// Writes the files into `folder` and prepares the merge there.
    pub(crate) fn prepare(&self, folder: &std::path::Path) -> PreparedMerge {
        prepare(&self.specification, &self.write(folder), date(), GzipLimits::DEFAULT, Some(folder))
            .unwrap_or_else(|error| panic!("{}", crate::status::with_causes(&error)))
    }

    /// Writes the files into `folder`.
    pub(crate) fn write(&self, folder: &std::path::Path) -> Vec<InputPlace> {
        let mut places = Vec::new();
        for (index, (_, bytes)) in self.files.iter().enumerate() {
            let path = folder.join(format!("input{index}.fits"));
            std::fs::File::create(&path).expect("a file").write_all(bytes).expect("room");
            places.push(InputPlace::of(path));
        }
        places
    }

    /// The product, whole: planned, performed, read back, checked for what holds for every product.
    pub(crate) fn product(&self) -> Product {
        let folder = tempfile::tempdir().expect("a folder");
        let prepared = self.prepare(folder.path());
        let output = folder.path().join("out.fits");
        let performed = crate::merge::job::perform(
            &prepared,
            &output,
            synced(Replace::Never),
            MergeOptions::default(),
            &crate::control::Unwatched,
        );
        let (report, notices) = performed.unwrap_or_else(|error| panic!("{}", crate::status::with_causes(&error)));
        let bytes = std::fs::read(&output).expect("the product");
        assert_eq!((report.bytes, report.hdus), (bytes.len() as u64, prepared.plan.hdus.len()));
        assert_eq!(report.digest.as_deref(), Some(blake3::hash(&bytes).to_hex().as_str()));
        let (hdus, tail) = scan(bytes.as_slice(), ScanLimits::default()).expect("a FITS file");
        assert_eq!((tail.missing_padding, tail.trailing_bytes), (0, 0));
        for hdu in &hdus {
            assert_eq!(hdu.header.faults(), [], "HDU {}", hdu.index);
            let whole = &bytes[hdu.header_offset as usize..hdu.end_offset() as usize];
            let data = &bytes[hdu.data_offset as usize..hdu.end_offset() as usize];
            assert_eq!(Sum32::of(whole).value(), u32::MAX, "HDU {} is not sealed", hdu.index);
            let datasum = hdu.header.string("DATASUM").expect("readable").expect("there");
            assert_eq!(datasum, Sum32::of(data).value().to_string(), "HDU {}", hdu.index);
        }
        Product { bytes, hdus, notices: notices.into_iter().map(|notice| notice.id).collect() }
    }
}

/// A product, read back.
#[derive(Debug)]
pub(crate) struct Product {
    pub(crate) bytes: Vec<u8>,
    pub(crate) hdus: Vec<Hdu>,
    /// Ids of the notices.
    pub(crate) notices: Vec<String>,
}

impl Product {
    /// The bytes of an HDU.
    pub(crate) fn hdu(&self, index: usize) -> &[u8] {
        &self.bytes[self.hdus[index].header_offset as usize..self.hdus[index].end_offset() as usize]
    }

    /// The data unit of an HDU with its padding.
    pub(crate) fn data(&self, index: usize) -> &[u8] {
        &self.bytes[self.hdus[index].data_offset as usize..self.hdus[index].end_offset() as usize]
    }

    /// The cards of an HDU as text, without the two sums and blank ones.
    pub(crate) fn cards(&self, index: usize) -> Vec<String> {
        let texts = self.hdus[index].header.cards().iter().map(|card| card.text().trim_end().to_owned());
        texts.filter(|text| !text.is_empty() && !text.starts_with("CHECKSUM") && !text.starts_with("DATASUM")).collect()
    }

    /// The names of an HDU's keywords, in order.
    pub(crate) fn keywords(&self, index: usize) -> Vec<String> {
        self.hdus[index].header.records().into_iter().map(|record| record.keyword.to_string()).collect()
    }
}
