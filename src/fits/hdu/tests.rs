//! Tests of walking through files: whole, cut off, hostile.

use std::cell::Cell;
use std::io;

use proptest::prelude::{any, prop_assert, proptest};

use crate::fits::BLOCK_BYTES;
use crate::fits::card::Card;
use crate::fits::hdu::{FileTail, HduKind, ReadAt, ScanLimits, Scanner, compression, scan};
use crate::fits::header::Header;

fn header(lines: &[&str]) -> Vec<u8> {
    Header::from_cards(lines.iter().map(|line| Card::from_text(line).unwrap()).collect()).to_bytes()
}

fn primary() -> Vec<u8> {
    header(&["SIMPLE  = T", "BITPIX  = 8", "NAXIS   = 0"])
}

fn image(name: &str, bytes: usize) -> Vec<u8> {
    let mut hdu = header(&[
        "XTENSION= 'IMAGE   '",
        "BITPIX  = 8",
        "NAXIS   = 1",
        &format!("NAXIS1  = {bytes}"),
        "PCOUNT  = 0",
        "GCOUNT  = 1",
        &format!("EXTNAME = '{name}'"),
        "EXTVER  = 3",
    ]);
    hdu.resize(hdu.len() + bytes.next_multiple_of(BLOCK_BYTES), 0);
    hdu
}

fn error(bytes: &[u8], limits: ScanLimits) -> String {
    scan(bytes, limits).unwrap_err().to_string()
}

#[test]
fn files_are_walked() {
    let bytes = [primary(), image("A", 5000), image("B", 0)].concat();
    let (hdus, tail) = scan(bytes.as_slice(), ScanLimits::default()).unwrap();
    assert_eq!(tail, FileTail::default());
    let offsets: Vec<(u64, u64, u64)> =
        hdus.iter().map(|hdu| (hdu.header_offset, hdu.data_offset, hdu.end_offset())).collect();
    assert_eq!(offsets, [(0, 2880, 2880), (2880, 5760, 11520), (11520, 14400, 14400)]);
    assert_eq!(hdus[1].name().as_deref(), Some("A"));
    assert_eq!((hdus[0].name(), hdus[0].version(), hdus[1].version()), (None, 1, 3));
    assert_eq!(hdus[2].structure.kind, HduKind::Image);
    assert_eq!(hdus[2].index, 2);
}

#[test]
fn the_tail_is_told() {
    #[track_caller]
    fn check(bytes: &[u8], hdus: usize, missing_padding: u64, trailing_bytes: u64) {
        let (found, tail) = scan(bytes, ScanLimits::default()).unwrap();
        assert_eq!((found.len(), tail), (hdus, FileTail { missing_padding, trailing_bytes }));
    }
    let whole = [primary(), image("A", 5000)].concat();
    check(&whole[..whole.len() - 760], 2, 760, 0);
    check(&whole[..whole.len() - 1], 2, 1, 0);
    check(&[whole.as_slice(), b"junk"].concat(), 2, 0, 4);
    check(&[whole.as_slice(), &[0; 5000]].concat(), 2, 0, 5000);
    check(&[primary(), primary()].concat(), 1, 0, 2880);
}

#[test]
fn broken_files_are_named() {
    #[track_caller]
    fn check(bytes: &[u8], expected: &str) {
        assert_eq!(error(bytes, ScanLimits { hdus: 3, header_cards: 100 }), expected);
    }
    let whole = [primary(), image("A", 5000)].concat();
    let not_fits = "HDU 0 at byte 0: this is no FITS file: it does not start with 'SIMPLE  ='";
    check(b"", not_fits);
    check(b"\x1f\x8b gzip", not_fits);
    check(b"SIMPLE", not_fits);
    check(&whole[2880..], not_fits);
    check(&whole[..100], "HDU 0 at byte 0: the file is cut off: it has 100 bytes and needs 2880; get it again");
    check(&whole[..2888], "HDU 1 at byte 2880: the file is cut off: it has 2888 bytes and needs 5760; get it again");
    check(
        &whole[..whole.len() - 761],
        "HDU 1 at byte 2880: the file is cut off: it has 10759 bytes and needs 10760; get it again",
    );
    let endless = |blocks: usize| [&header(&["SIMPLE  = T"; 36])[..2880]; 9][..blocks].concat();
    check(
        &endless(2),
        "HDU 0 at byte 0: the header ends after 72 cards without END: the file is cut off or damaged; get it again",
    );
    check(&endless(9), "HDU 0 at byte 0: no END within 100 cards, a limit of dpm: take cards out, or repair the file");
    check(
        &[primary(), image("A", 0), image("B", 0), image("C", 0)].concat(),
        "HDU 3 at byte 8640: the file has more than 3 HDUs, a limit of dpm: split the file",
    );
    check(
        &header(&["SIMPLE  = T", "BITPIX  = 8", "NAXIS   = 2000000000"]),
        "HDU 0 at byte 0: NAXIS: the value is 2000000000: it must be 0 to 999",
    );
    check(
        &header(&["SIMPLE  = T", "BITPIX  = 8", "NAXIS   = 1", "NAXIS1  = 9223372036854775807"]),
        "HDU 0 at byte 0: the file is cut off: it has 2880 bytes and needs 9223372036854778687; get it again",
    );
}

#[test]
fn other_compressions_are_named() {
    let cases: [(&[u8], Option<&str>); 7] = [
        (b"\x1f\x9d\x90", Some("compress (.Z)")),
        (b"BZh91AY&S", Some("bzip2")),
        (b"\xfd7zXZ\0\0\x04", Some("xz")),
        (b"\x28\xb5\x2f\xfd", Some("zstd")),
        (b"PK\x03\x04\x14", Some("zip")),
        (b"SIMPLE  =", None),
        (b"", None),
    ];
    for (start, expected) in cases {
        assert_eq!(compression(start), expected, "{start:?}");
    }
    let text = Scanner::new(&b"BZh91AY&SY"[..], ScanLimits::default()).unwrap().next_hdu().unwrap_err().to_string();
    assert!(text.ends_with("it is compressed with bzip2, which dpm does not read: expand it first"), "{text}");
}

#[test]
fn errors_repeat_and_the_end_stays() {
    let bytes = [primary(), image("A", 5000)].concat();
    let mut scanner = Scanner::new(&bytes[..6000], ScanLimits::default()).unwrap();
    assert!(scanner.next_hdu().unwrap().is_some());
    assert_eq!(scanner.next_hdu().unwrap_err().to_string(), scanner.next_hdu().unwrap_err().to_string());
    let mut scanner = Scanner::new(&bytes[..2880], ScanLimits::default()).unwrap();
    assert!(scanner.next_hdu().unwrap().is_some());
    assert!(scanner.next_hdu().unwrap().is_none());
    assert!(scanner.next_hdu().unwrap().is_none());
}

/// Gives one byte at a time and is interrupted before each.
struct Slow<'a> {
    bytes: &'a [u8],
    interrupted: Cell<bool>,
}

impl ReadAt for Slow<'_> {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        if !self.interrupted.replace(!self.interrupted.get()) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        self.bytes.read_at(offset, &mut buf[..1])
    }

    fn byte_count(&self) -> io::Result<u64> {
        self.bytes.byte_count()
    }
}

#[test]
fn short_reads_change_nothing() {
    let bytes = [primary(), image("A", 5000)].concat();
    let slow = Slow { bytes: &bytes, interrupted: Cell::new(false) };
    assert_eq!(scan(&slow, ScanLimits::default()).unwrap().0.len(), 2);
}

#[test]
fn twenty_thousand_hdus_are_walked() {
    let mut bytes = primary();
    let one = image("A", 0);
    for _ in 1..20_000 {
        bytes.extend_from_slice(&one);
    }
    let mut scanner = Scanner::new(bytes.as_slice(), ScanLimits::default()).unwrap();
    let mut count = 0;
    while scanner.next_hdu().unwrap().is_some() {
        count += 1;
    }
    assert_eq!(count, 20_000);
}

proptest! {
    #[test]
    fn damage_never_panics(places in proptest::collection::vec((0_usize..11_520, any::<u8>()), 0..20), length in 0_usize..11_520) {
        let mut bytes = [primary(), image("A", 5000)].concat();
        for (place, byte) in places {
            bytes[place] = byte;
        }
        bytes.truncate(length);
        let limits = ScanLimits { hdus: 10, header_cards: 1000 };
        if let Ok((hdus, tail)) = scan(bytes.as_slice(), limits) {
            let end = hdus.last().unwrap().end_offset();
            prop_assert!(end + tail.trailing_bytes - tail.missing_padding == bytes.len() as u64);
        }
    }

    #[test]
    fn truncation_anywhere_is_an_error_or_a_tail(length in 0_usize..11_519) {
        let bytes = [primary(), image("A", 5000)].concat();
        match scan(&bytes[..length], ScanLimits::default()) {
            Ok((hdus, tail)) => prop_assert!(
                hdus.len() == 1 && length < 2888 || hdus.len() == 2 && tail.missing_padding == (11_520 - length) as u64
            ),
            Err(error) => prop_assert!(error.offset < length.max(1) as u64),
        }
    }
}
