//! Content of real files, read in order and out of it.

use std::fs::File;
use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::fits::hdu::ReadAt;
use crate::merge::content::{Content, STARTS_MAX};
use crate::merge::gzip::GzipLimits;
use crate::merge::reader::{FileReader, read_exact_at};
use crate::merge::testing::pixels;

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

fn content_of(bytes: &[u8]) -> Content {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    Content::of(&file, GzipLimits::DEFAULT).unwrap()
}

#[track_caller]
fn source(content: &Content) -> &dyn ReadAt {
    match content {
        Content::Gzip(content) => content.as_ref(),
        Content::Plain => panic!("it is compressed"),
    }
}

#[test]
fn only_the_first_bytes_tell() {
    for bytes in [b"".as_slice(), b"\x1f", b"SIMPLE  ="] {
        assert!(matches!(content_of(bytes), Content::Plain));
    }
    assert!(matches!(content_of(&gzip(b"")), Content::Gzip(_)));
    let folder = File::open("/").unwrap();
    assert!(Content::of(&folder, GzipLimits::DEFAULT).is_err());
}

#[test]
fn it_reads_like_the_plain_bytes() {
    let bytes = pixels(1_000_000);
    let content = content_of(&gzip(&bytes));
    let source = source(&content);
    assert!(source.reaches(999_999).unwrap() && source.reaches(1_000_000).unwrap());
    assert!(!source.reaches(1_000_001).unwrap());
    assert_eq!(source.byte_count().unwrap(), 1_000_000);
    for (offset, count) in [(0, 10), (10, 300_000), (700_000, 1), (700_001, 299_999), (5, 100_000)] {
        let mut room = vec![0; count];
        read_exact_at(source, offset as u64, &mut room).unwrap();
        assert!(room == bytes[offset..offset + count], "{offset}");
    }
    assert_eq!(source.read_at(1_000_000, &mut [0; 10]).unwrap(), 0);
    let mut room = vec![0; 11];
    let beyond = read_exact_at(source, 999_990, &mut room).expect_err("the content ends");
    assert_eq!(beyond.kind(), std::io::ErrorKind::UnexpectedEof);
}

#[test]
fn a_scan_of_headers_never_starts_anew() {
    let bytes = pixels(1_000_000);
    let content = content_of(&gzip(&bytes));
    let reader = FileReader::new(source(&content));
    for offset in (0..990_000).step_by(20_000) {
        assert_eq!(reader.read_range(offset, 9).unwrap(), bytes[offset as usize..offset as usize + 9]);
        assert_eq!(reader.read_range(offset, 8640).unwrap(), bytes[offset as usize..offset as usize + 8640]);
        assert!(reader.reaches(offset + 15_000).unwrap());
    }
    assert_eq!(reader.byte_count().unwrap(), 1_000_000);
    let Content::Gzip(content) = &content else { panic!("it is compressed") };
    assert_eq!(content.progress.lock().unwrap().starts, 1);
}

#[test]
fn reading_backwards_without_end_is_refused() {
    let content = content_of(&gzip(&pixels(100_000)));
    let source = source(&content);
    let read = || read_exact_at(source, 50_000, &mut [0; 10]);
    for _ in 0..STARTS_MAX {
        read().unwrap();
    }
    let error = read().expect_err("refused");
    assert!(error.to_string().contains("started 16 times"), "{error}");
}
