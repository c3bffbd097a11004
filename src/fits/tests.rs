//! A file written by this module, read by CFITSIO: the independent judge.

use std::io::Write;

use fitsio::FitsFile;

use crate::fits::card::Record;
use crate::fits::checksum::{Sum32, ZERO_CHECKSUM, checksum_card, checksum_text, datasum_card};
use crate::fits::hdu::{ScanLimits, scan};
use crate::fits::header::Header;
use crate::fits::keyword::Keyword;
use crate::fits::value::Value;

/// Puts CHECKSUM and DATASUM into a header and returns the whole HDU.
fn sealed(header: &Header, data: &[u8]) -> Vec<u8> {
    let datasum = Sum32::of(data);
    let with = |text: &str| {
        let mut header = header.clone();
        header.push(checksum_card(text, "HDU checksum"));
        header.push(datasum_card(datasum, "data unit checksum"));
        header.to_bytes()
    };
    let text = checksum_text(&with(ZERO_CHECKSUM), datasum);
    [with(&text).as_slice(), data].concat()
}

fn texts() -> [(Keyword, String); 6] {
    [
        (Keyword::value("SHORT"), "it's".to_owned()),
        (Keyword::value("LONG"), "it's a long one & ".repeat(9) + "end"),
        (Keyword::value("QUOTES"), "'".repeat(150)),
        (Keyword::eso("LONG NAME"), "hierarchical / ".repeat(12) + "end"),
        (Keyword::eso("N".repeat(54)), "tight xyz".to_owned()),
        (Keyword::eso("AMPERSAND"), "ends with &".to_owned()),
    ]
}

fn file() -> Vec<u8> {
    let mut header = Header::new();
    let mut push = |keyword: Keyword, value: Value| {
        header.push_record(&Record::new(keyword, &value, Some("a comment")).unwrap());
    };
    push(Keyword::value("SIMPLE"), Value::Logical(true));
    push(Keyword::value("BITPIX"), Value::Integer(16));
    push(Keyword::value("NAXIS"), Value::Integer(1));
    push(Keyword::value("NAXIS1"), Value::Integer(1440));
    for (keyword, text) in texts() {
        push(keyword, Value::String(text));
    }
    push(Keyword::value("REAL"), Value::Real(-1.234_567_890_123_456_7e-300));
    push(Keyword::eso("DET WIN1 NX"), Value::Integer(i64::MIN.into()));
    push(Keyword::value("COMPLEX"), Value::ComplexReal(1.5, -2.0));
    push(Keyword::value("NOTHING"), Value::Undefined);
    for record in Record::commentary_wrapped("HISTORY", &"made by a test ".repeat(9)).unwrap() {
        header.push_record(&record);
    }
    sealed(&header, &[7; 2880])
}

#[test]
fn cfitsio_reads_what_is_written() {
    let mut written = tempfile::Builder::new().suffix(".fits").tempfile().unwrap();
    written.write_all(&file()).unwrap();
    let mut fits = FitsFile::open(written.path()).unwrap();
    let hdu = fits.primary_hdu().unwrap();
    for (keyword, text) in texts() {
        let name = if keyword.is_hierarchical() { format!("ESO {}", keyword.name) } else { keyword.name.clone() };
        // The safe binding reads no further than the first card of a long string.
        let read = hdu.read_key::<String>(&mut fits, &name).unwrap();
        let start = if text.len() > 68 { read.strip_suffix('&').unwrap() } else { &read };
        assert!(text.starts_with(start) && start.len() >= text.len().min(30), "{keyword}: {read}");
    }
    assert_eq!(hdu.read_key::<i64>(&mut fits, "ESO DET WIN1 NX").unwrap(), i64::MIN);
    let real: f64 = hdu.read_key(&mut fits, "REAL").unwrap();
    assert!((real / -1.234_567_890_123_456_7e-300 - 1.0).abs() < 1e-15, "{real}");
}

#[test]
fn the_same_file_is_read_back_here() {
    let bytes = file();
    let (hdus, tail) = scan(bytes.as_slice(), ScanLimits::default()).unwrap();
    assert_eq!((hdus.len(), tail.missing_padding, tail.trailing_bytes), (1, 0, 0));
    assert_eq!(hdus[0].header.faults(), []);
    assert!(Sum32::of(&bytes).is_zero());
    let records = hdus[0].header.records();
    for (keyword, text) in texts() {
        let record = records.iter().find(|record| record.keyword == keyword).unwrap();
        assert_eq!(record.value(), Ok(Some(Value::String(text))));
    }
}
