//! Small files with one defect each, and where it must be found.

use crate::fits::{BLOCK_BYTES, CARD_BYTES};

/// A file under construction: cards and data of each HDU, bytes behind the last.
#[derive(Clone)]
pub(crate) struct Draft {
    pub(crate) hdus: Vec<(Vec<String>, Vec<u8>)>,
    tail: Vec<u8>,
}

const PRIMARY: [&str; 3] =
    ["SIMPLE  =                    T", "BITPIX  =                    8", "NAXIS   =                    0"];

impl Draft {
    pub(crate) fn of(hdus: &[(&[&str], &[u8])]) -> Draft {
        let own =
            |(cards, data): &(&[&str], &[u8])| (cards.iter().map(|card| (*card).to_owned()).collect(), data.to_vec());
        Draft { hdus: hdus.iter().map(own).collect(), tail: Vec::new() }
    }

    /// Replaces card `number` (1-based) of an HDU.
    pub(crate) fn set(mut self, hdu: usize, number: usize, text: &str) -> Draft {
        text.clone_into(&mut self.hdus[hdu].0[number - 1]);
        self
    }

    pub(crate) fn add(mut self, hdu: usize, text: &str) -> Draft {
        self.hdus[hdu].0.push(text.to_owned());
        self
    }

    pub(crate) fn insert(mut self, hdu: usize, number: usize, text: &str) -> Draft {
        self.hdus[hdu].0.insert(number - 1, text.to_owned());
        self
    }

    pub(crate) fn remove(mut self, hdu: usize, number: usize) -> Draft {
        self.hdus[hdu].0.remove(number - 1);
        self
    }

    pub(crate) fn data(mut self, hdu: usize, at: usize, bytes: &[u8]) -> Draft {
        self.hdus[hdu].1[at..at + bytes.len()].copy_from_slice(bytes);
        self
    }

    pub(crate) fn data_of(mut self, hdu: usize, bytes: &[u8]) -> Draft {
        bytes.clone_into(&mut self.hdus[hdu].1);
        self
    }

    pub(crate) fn tail(mut self, bytes: &[u8]) -> Draft {
        bytes.clone_into(&mut self.tail);
        self
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut file = Vec::new();
        for (cards, data) in &self.hdus {
            for card in cards.iter().map(String::as_str).chain(["END"]) {
                // Latin-1, so that a card may have a byte above 127.
                let start = file.len();
                file.extend(card.chars().map(|character| character as u8));
                file.resize(start + CARD_BYTES, b' ');
            }
            file.resize(file.len().next_multiple_of(BLOCK_BYTES), b' ');
            file.extend_from_slice(data);
            let is_text = cards.first().is_some_and(|card| card.contains("'TABLE"));
            file.resize(file.len().next_multiple_of(BLOCK_BYTES), if is_text { b' ' } else { 0 });
        }
        file.extend_from_slice(&self.tail);
        file
    }
}

pub(crate) fn empty() -> Draft {
    Draft::of(&[(&PRIMARY, &[])])
}

pub(crate) fn image() -> Draft {
    let cards = [
        "XTENSION= 'IMAGE   '",
        "BITPIX  =                   16",
        "NAXIS   =                    1",
        "NAXIS1  =                    4",
        "PCOUNT  =                    0",
        "GCOUNT  =                    1",
    ];
    Draft::of(&[(&PRIMARY, &[]), (&cards, &[1; 8])])
}

pub(crate) fn groups() -> Draft {
    let cards = [
        "SIMPLE  =                    T",
        "BITPIX  =                    8",
        "NAXIS   =                    2",
        "NAXIS1  =                    0",
        "NAXIS2  =                    3",
        "GROUPS  =                    T",
        "PCOUNT  =                    1",
        "GCOUNT  =                    2",
    ];
    Draft::of(&[(&cards, &[7; 8])])
}

/// Two rows of `I4` and `A2`.
pub(crate) fn table() -> Draft {
    let cards = [
        "XTENSION= 'TABLE   '",
        "BITPIX  =                    8",
        "NAXIS   =                    2",
        "NAXIS1  =                    6",
        "NAXIS2  =                    2",
        "PCOUNT  =                    0",
        "GCOUNT  =                    1",
        "TFIELDS =                    2",
        "TBCOL1  =                    1",
        "TFORM1  = 'I4      '",
        "TBCOL2  =                    5",
        "TFORM2  = 'A2      '",
    ];
    Draft::of(&[(&PRIMARY, &[]), (&cards, b"  12ab 345cd")])
}

/// Two rows of a logical, three characters, an integer, and a descriptor; a heap of 8 bytes.
pub(crate) fn bintable() -> Draft {
    let cards = [
        "XTENSION= 'BINTABLE'",
        "BITPIX  =                    8",
        "NAXIS   =                    2",
        "NAXIS1  =                   14",
        "NAXIS2  =                    2",
        "PCOUNT  =                    8",
        "GCOUNT  =                    1",
        "TFIELDS =                    4",
        "TFORM1  = '1L      '",
        "TFORM2  = '3A      '",
        "TFORM3  = '1I      '",
        "TFORM4  = '1PI(3)  '",
    ];
    let row = |offset| [b'T', b'x', b'y', 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, offset];
    let data = [row(0).as_slice(), &row(4), &[9; 8]].concat();
    Draft::of(&[(&PRIMARY, &[]), (&cards, &data)])
}

pub(crate) fn compressed() -> Draft {
    let cards = [
        "XTENSION= 'BINTABLE'",
        "BITPIX  =                    8",
        "NAXIS   =                    2",
        "NAXIS1  =                    8",
        "NAXIS2  =                    2",
        "PCOUNT  =                    4",
        "GCOUNT  =                    1",
        "TFIELDS =                    1",
        "TTYPE1  = 'COMPRESSED_DATA'",
        "TFORM1  = '1PB(2)  '",
        "ZIMAGE  =                    T",
        "ZCMPTYPE= 'GZIP_1  '",
        "ZBITPIX =                   16",
        "ZNAXIS  =                    2",
        "ZNAXIS1 =                    9",
        "ZNAXIS2 =                    2",
    ];
    let data = [[0, 0, 0, 2, 0, 0, 0, 0], [0, 0, 0, 2, 0, 0, 0, 2], [1; 8]].concat();
    Draft::of(&[(&PRIMARY, &[]), (&cards, &data[..20])])
}

pub(crate) type Place = (&'static str, usize, Option<usize>);

/// A defect and where it must be found: rule, HDU, card.
pub(crate) fn cases() -> Vec<(Draft, Vec<Place>)> {
    let mut all = file_cases();
    all.extend(card_cases());
    all.extend(mandatory_cases());
    all.extend(reserved_cases());
    all.extend(table_cases());
    all.extend(data_cases());
    all
}

fn file_cases() -> Vec<(Draft, Vec<Place>)> {
    vec![
        (empty().set(0, 1, "simple  =                    T"), vec![("not-fits", 0, None)]),
        (empty().tail(&[0; 10]), vec![("file-length", 0, None)]),
        (empty().tail(&[0; 2880]), vec![("special-records", 0, None)]),
        (image().tail(b"XTENSION= 'IMAGE"), vec![("cut-off", 2, None)]),
        (image().tail(&[b"XTENSION= 'IMAGE   '".as_slice(), &[b' '; 2860]].concat()), vec![("missing-end", 2, None)]),
        (
            empty().set(0, 3, "NAXIS   =                    1").add(0, "NAXIS1  =                   10"),
            vec![("cut-off", 0, None)],
        ),
    ]
}

fn card_cases() -> Vec<(Draft, Vec<Place>)> {
    let card = |text: &str| empty().add(0, text);
    vec![
        (card("END     = 1").add(0, "OBJECT  = 'x'"), vec![("end-card", 0, Some(4))]),
        (card("OBJECT  = 'Jos\u{e9}'"), vec![("card-text", 0, Some(4))]),
        (card("COMMENT a\ttab"), vec![("card-text", 0, Some(4))]),
        (card("object  = 'x'"), vec![("keyword-name", 0, Some(4))]),
        (card(" OBJECT = 'x'"), vec![("keyword-name", 0, Some(4))]),
        (card("EXP TIME= 1.0"), vec![("keyword-name", 0, Some(4))]),
        (card("A.B     = 1.0"), vec![("keyword-name", 0, Some(4))]),
        (card("EXPTIME =1.0"), vec![("value-indicator", 0, Some(4))]),
        (card("OBJECT  = 'x"), vec![("value-syntax", 0, Some(4))]),
        (card("OBJECT  = nothing"), vec![("value-syntax", 0, Some(4))]),
        (card("EXPTIME = 1.0 seconds"), vec![("value-syntax", 0, Some(4))]),
        (card("EXPTIME = 1.0e3"), vec![("exponent-letter", 0, Some(4))]),
        (card("CONTINUE  'x'"), vec![("orphan-continue", 0, Some(4))]),
        (card("HIERARCH ESO tpl id = 'x'"), vec![("hierarch-syntax", 0, Some(4))]),
        (card("GAIN    = 1.0").add(0, "GAIN    = 2.0"), vec![("duplicate-keyword", 0, Some(5))]),
    ]
}

fn mandatory_cases() -> Vec<(Draft, Vec<Place>)> {
    let card = |text: &str| empty().add(0, text);
    vec![
        (empty().remove(0, 3), vec![("mandatory-missing", 0, None), ("unreadable-size", 0, None)]),
        (image().remove(1, 5), vec![("mandatory-missing", 1, None)]),
        (image().insert(1, 2, "OBJECT  = 'x'"), vec![("mandatory-order", 1, Some(3))]),
        (
            empty().set(0, 2, "BITPIX  =                   12"),
            vec![("mandatory-value", 0, Some(2)), ("unreadable-size", 0, None)],
        ),
        (card("NAXIS   =                    0"), vec![("mandatory-twice", 0, Some(4))]),
        (empty().set(0, 2, "BITPIX  = 8"), vec![("fixed-format", 0, Some(2))]),
        (image().set(1, 1, "XTENSION=  'IMAGE   '"), vec![("fixed-format", 1, Some(1))]),
        (image().set(1, 1, "XTENSION= 'IMAGE'"), vec![("xtension-padding", 1, Some(1))]),
        (empty().set(0, 1, "SIMPLE  =                    F"), vec![("not-conforming", 0, Some(1))]),
        (card("XTENSION= 'IMAGE   '"), vec![("misplaced-mandatory", 0, Some(4))]),
        (card("NAXIS1  =                    0"), vec![("axis-index", 0, Some(4))]),
        (card("GCOUNT  =                    1"), vec![("primary-counts", 0, Some(4))]),
        (image().set(1, 1, "XTENSION= 'NOBODYS '"), vec![("foreign-extension", 1, Some(1))]),
        (image().set(1, 6, "GCOUNT  =                    2"), vec![("image-values", 1, Some(6))]),
        (table().set(1, 7, "GCOUNT  =                    2"), vec![("table-values", 1, Some(7))]),
        (bintable().set(1, 7, "GCOUNT  =                    2"), vec![("bintable-values", 1, Some(7))]),
        (groups().remove(0, 8), vec![("groups-values", 0, None), ("random-groups", 0, Some(6))]),
        (groups(), vec![("random-groups", 0, Some(6))]),
    ]
}

fn reserved_cases() -> Vec<(Draft, Vec<Place>)> {
    let card = |text: &str| empty().add(0, text);
    let extended = |text: &str| image().add(1, text);
    vec![
        (card("OBJECT  =                   42"), vec![("reserved-type", 0, Some(4))]),
        (extended("BSCALE  = '1.0     '"), vec![("reserved-type", 1, Some(7))]),
        (extended("CRPIX1A = 'one     '"), vec![("reserved-type", 1, Some(7))]),
        (card("OBJECT  ="), vec![("undefined-value", 0, Some(4))]),
        (card("DATE    = '2031-02-30'"), vec![("date-format", 0, Some(4))]),
        (card("DATE-OBS= '2031-02-03T24:00:00'"), vec![("date-format", 0, Some(4))]),
        (card("DATE    = '03/02/97'"), vec![("old-date", 0, Some(4))]),
        (extended("EXTEND  =                    T"), vec![("extend-place", 1, Some(7))]),
        (image().add(0, "EXTEND  =                    F"), vec![("extend-false", 1, None)]),
        (card("INHERIT =                    T"), vec![("inherit-place", 0, Some(4))]),
        (card("EPOCH   =               1950.0"), vec![("deprecated-keyword", 0, Some(4))]),
        (
            image().set(1, 2, "BITPIX  =                  -32").add(1, "BLANK   = 1").data_of(1, &[0; 16]),
            vec![("blank-of-reals", 1, Some(7))],
        ),
        (extended("BSCALE  =                  0.0"), vec![("scale-of-zero", 1, Some(7))]),
        (table().add(1, "BUNIT   = 'm       '"), vec![("array-keyword", 1, Some(13))]),
        (extended("TFORM1  = '1J      '"), vec![("table-keyword", 1, Some(7))]),
        (twice(&image().add(1, "EXTNAME = 'A       '")), vec![("duplicate-extension", 2, Some(7))]),
        (extended("BUNIT   = 'erg/s   '"), vec![("deprecated-unit", 1, Some(7))]),
        (groups().add(0, "PTYPE2  = 'UU      '"), vec![("group-parameter", 0, Some(9)), ("random-groups", 0, Some(6))]),
        (extended("CRPIX1  = 1.0").add(1, "WCSAXES = 1"), vec![("wcsaxes-order", 1, Some(8))]),
        (extended("WCSAXES = 1").add(1, "CTYPE2  = 'LINEAR'"), vec![("wcs-index", 1, Some(8))]),
        (extended("WCSAXESB= 1").add(1, "CD1_2B  = 1.0"), vec![("wcs-index", 1, Some(8))]),
        (extended("PC1_1   = 1.0").add(1, "CD1_1   = 1.0"), vec![("wcs-mixed", 1, Some(8))]),
        (extended("PC1_1   = 1.0").add(1, "CROTA1  = 1.0"), vec![("wcs-mixed", 1, Some(8))]),
        (card("DATASUM =                    0"), vec![("sum-form", 0, Some(4))]),
        (card("DATASUM = '7       '"), vec![("datasum", 0, Some(4))]),
        (card("CHECKSUM= '1234567812345678'"), vec![("checksum", 0, Some(4))]),
    ]
}

fn table_cases() -> Vec<(Draft, Vec<Place>)> {
    let column = |text: &str| bintable().add(1, text);
    let tiles = |number: usize, text: &str| compressed().set(1, number, text);
    vec![
        (column("TTYPE5  = 'A       '"), vec![("column-index", 1, Some(13))]),
        (bintable().set(1, 11, "TFORM3  = '1Y      '"), vec![("column-format", 1, Some(11))]),
        (bintable().set(1, 11, "TFORM3  = '2I      '"), vec![("row-length", 1, Some(4))]),
        (table().set(1, 11, "TBCOL2  =                    6"), vec![("column-start", 1, Some(11))]),
        (table().remove(1, 9), vec![("column-start", 1, None)]),
        (column("TTYPE1  = 'A B     '"), vec![("column-name", 1, Some(13))]),
        (column("TNULL1  =                    0"), vec![("column-null", 1, Some(13))]),
        (table().add(1, "TNULL1  =                    0"), vec![("column-null", 1, Some(13))]),
        (column("TSCAL2  =                  2.0"), vec![("column-scale", 1, Some(13))]),
        (column("TDISP3  = 'A3      '"), vec![("column-display", 1, Some(13))]),
        (column("TDIM2   = '(2,2)   '"), vec![("column-dimensions", 1, Some(13))]),
        (column("THEAP   =                   27"), vec![("heap-offset", 1, Some(13))]),
        (
            bintable().set(1, 12, "TFORM4  = '2PI(3)  '").set(1, 4, "NAXIS1  =                   22"),
            vec![("descriptor-repeat", 1, Some(12))],
        ),
        (bintable().set(1, 12, "TFORM4  = '4I      '"), vec![("heap-missing", 1, Some(6))]),
        (tiles(12, "ZCMPTYPE= 'BZIP_1  '"), vec![("compressed-image", 1, Some(12))]),
        (compressed().remove(1, 13), vec![("compressed-image", 1, None)]),
        (compressed().add(1, "ZNAME1  = 'A       '"), vec![("compressed-option", 1, Some(17))]),
        (compressed().add(1, "ZTILE1  =                    3"), vec![("compressed-column", 1, Some(5))]),
        (tiles(9, "TTYPE1  = 'DATA    '"), vec![("compressed-column", 1, None)]),
        (bintable().add(1, "ZTABLE  =                    T"), vec![("compressed-table", 1, None)]),
    ]
}

fn data_cases() -> Vec<(Draft, Vec<Place>)> {
    vec![
        (image().data_of(1, &[1; 9]), vec![("data-padding", 1, None)]),
        (table().data_of(1, b"  12ab 345cd\0"), vec![("table-padding", 1, None)]),
        (table().data(1, 4, b"\n"), vec![("table-text", 1, None)]),
        (table().data(1, 0, b"1.2x"), vec![("table-entry", 1, None)]),
        (bintable().data(1, 14, b"t"), vec![("logical-entry", 1, None)]),
        (bintable().data(1, 2, b"\xff"), vec![("character-entry", 1, None)]),
        (bintable().data(1, 13, &[5]), vec![("descriptor-bounds", 1, None)]),
        (bintable().data(1, 9, &[4]), vec![("descriptor-maximum", 1, None)]),
    ]
}

/// A file whose second extension is that of its first.
pub(crate) fn twice(draft: &Draft) -> Draft {
    let mut draft = draft.clone();
    draft.hdus.push(draft.hdus[1].clone());
    draft
}
