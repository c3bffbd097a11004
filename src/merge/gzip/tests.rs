//! Gzip data whole, in members, damaged and hostile.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::merge::gzip::{GzipError, GzipLimits, GzipStream};
use crate::merge::testing::pixels;

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

/// Reads everything, in pieces of changing size; content and padding.
fn expand(compressed: &[u8], limits: GzipLimits) -> Result<(Vec<u8>, u64), GzipError> {
    let mut stream = GzipStream::new(compressed, limits)?;
    let (mut content, mut room) = (Vec::new(), vec![0; 100_000]);
    for size in [1, 7, 100_000].into_iter().cycle() {
        match stream.read(&mut room[..size])? {
            0 => break,
            count => content.extend_from_slice(&room[..count]),
        }
        assert_eq!(stream.position(), content.len() as u64);
    }
    Ok((content, stream.padding()))
}

#[track_caller]
fn check(compressed: &[u8], content: &[u8], padding: u64) {
    let (found, zeros) = expand(compressed, GzipLimits::DEFAULT).unwrap();
    assert!(found == content, "the content is another one");
    assert_eq!(zeros, padding);
}

#[track_caller]
fn check_refused(compressed: &[u8], limits: GzipLimits, text: &str) {
    let error = expand(compressed, limits).expect_err("refused");
    assert!(error.to_string().contains(text), "{error}");
}

#[test]
fn members_are_one_content_and_zeros_behind_them_are_counted() {
    let content = pixels(300_000);
    check(&gzip(&content), &content, 0);
    check(&gzip(b""), b"", 0);
    let members = [gzip(&content[..10]), gzip(b""), gzip(&content[10..200_000]), gzip(&content[200_000..])].concat();
    check(&members, &content, 0);
    check(&[members.as_slice(), &[0; 70_000]].concat(), &content, 70_000);
}

#[test]
fn every_optional_field_of_a_header_is_passed_over() {
    let mut encoder = flate2::GzBuilder::new()
        .filename("a.fits")
        .comment("of a night")
        .extra(vec![1; 300])
        .mtime(1)
        .write(Vec::new(), Compression::fast());
    encoder.write_all(b"content").unwrap();
    check(&encoder.finish().unwrap(), b"content", 0);
}

#[test]
fn what_is_no_whole_gzip_data_is_named() {
    let good = gzip(&pixels(1000));
    let end = good.len();
    let limits = GzipLimits::DEFAULT;
    let with = |place: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[place] ^= byte;
        bytes
    };
    check_refused(&with(2, 1), limits, "member 1, before byte 10: invalid gzip header");
    check_refused(&with(3, 0x80), limits, "invalid gzip header");
    check_refused(&with(end - 8, 1), limits, "does not have a matching checksum");
    check_refused(&with(end - 4, 1), limits, "does not have a matching checksum");
    check_refused(&[&good[..], b"x"].concat(), limits, &format!("at byte {end}, behind member 1"));
    check_refused(&[&good[..], &[0, 0, 1]].concat(), limits, &format!("at byte {}, behind member 1", end + 2));
    check_refused(&[&good[..], &[0], &good[..]].concat(), limits, &format!("at byte {}, behind member 1", end + 1));
    check_refused(&[&good[..], &[0x1f]].concat(), limits, "within member 2");
    check_refused(&gzip(&good), limits, "compressed twice");
}

#[test]
fn a_cut_is_found_wherever_it_is() {
    let good = [gzip(&pixels(500)), gzip(&pixels(700))].concat();
    let first = gzip(&pixels(500)).len();
    for length in (0..good.len()).filter(|length| *length != first) {
        let error = expand(&good[..length], GzipLimits::DEFAULT).expect_err("cut");
        let member = if length < first { 1 } else { 2 };
        assert!(matches!(error, GzipError::Truncated { member: found, .. } if found == member), "{length}: {error:?}");
    }
}

#[test]
fn a_flipped_bit_is_found_or_harmless() {
    let content = pixels(700);
    let good = gzip(&content);
    for place in 0..good.len() * 8 {
        let mut bytes = good.clone();
        bytes[place / 8] ^= 1 << (place % 8);
        match expand(&bytes, GzipLimits::DEFAULT) {
            // "Is text", time, extra flags and operating system of the header are nobody's data.
            Ok((found, 0)) => assert!(found == content && (place == 24 || (32..80).contains(&place)), "bit {place}"),
            Ok((_, padding)) => panic!("bit {place}: {padding} bytes of padding"),
            Err(_) => {}
        }
    }
}

#[test]
fn content_beyond_the_limits_is_refused_soon() {
    let zeros = gzip(&vec![0; 3_000_000]);
    check(&zeros, &vec![0; 3_000_000], 0);
    let limits = GzipLimits { expanded_bytes: 2_999_999, ..GzipLimits::DEFAULT };
    check_refused(&zeros, limits, "expands to more than 2999999 bytes: if that is right, expand it");
    // 300 MiB of zeros: beyond what may have any ratio.
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    let piece = vec![0; 1024 * 1024];
    for _ in 0..300 {
        encoder.write_all(&piece).unwrap();
    }
    let bomb = encoder.finish().unwrap();
    let mut stream = GzipStream::new(bomb.as_slice(), GzipLimits::DEFAULT).unwrap();
    let error = stream.skip_to(u64::MAX).expect_err("refused");
    assert!(error.to_string().contains("more than 100 times as many: if that is right, expand it"), "{error}");
    assert!(stream.position() <= GzipLimits::UNSUSPICIOUS_BYTES + 64 * 1024);
    let mut allowed = GzipStream::new(bomb.as_slice(), GzipLimits { ratio: 2000, ..GzipLimits::DEFAULT }).unwrap();
    allowed.skip_to(u64::MAX).unwrap();
    assert_eq!(allowed.position(), 300 * 1024 * 1024);
}
