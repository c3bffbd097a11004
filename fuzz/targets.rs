//! What is fuzzed: for each target a function that takes any bytes and panics where a promise is broken.
//!
//! The fuzz programs (`fuzz_targets/`) and the replay of the corpora (`tests/corpus.rs`) both include this file, so that
//! what was once found stays tested by the stable compiler. Nothing here may depend on time or place.

use std::cell::Cell;
use std::io::{self, Read, Write};

use dpm::command::error::CommandError;
use dpm::command::request::Request;
use dpm::fits::card::{Card, Record};
use dpm::fits::conformance::{self, JudgeLimits};
use dpm::fits::hdu::{FileTail, Hdu, ReadAt, ScanError, ScanLimits, scan as scan_file};
use dpm::fits::header::{Header, HeaderReader};
use dpm::fits::keyword::{Keyword, KeywordClass, KeywordKind};
use dpm::fits::value::Value;
use dpm::fits::{BLOCK_BYTES, CARD_BYTES};
use dpm::merge::gzip::{GzipError, GzipLimits, GzipStream};
use dpm::merge::input;
use dpm::merge::keywords::{self, Contribution, MergedKeyword};
use dpm::merge::plan;
use dpm::server::jsonrpc;
use dpm::specification::document::Document;
use dpm::specification::keyword_rules::{
    self, KeywordRule, KeywordRules, SelectionPattern, compile_regex, is_reserved, rust_format,
};
use dpm::specification::location::Location;
use dpm::specification::model::SortOrder;
use dpm::specification::validate;

/// A target's name, which is also that of its corpus, and its function.
pub(crate) type Target = (&'static str, fn(&[u8]));

/// Every target.
pub(crate) const TARGETS: [Target; 9] = [
    ("card", card),
    ("header", header),
    ("scan", scan),
    ("judge", judge),
    ("specification", specification),
    ("keyword_rules", keyword_rules),
    ("location", location),
    ("gzip", gzip),
    ("jsonrpc", jsonrpc),
];

/// The bytes of one card; what lacks is spaces.
fn card_of(bytes: &[u8]) -> Card {
    let mut card = [b' '; CARD_BYTES];
    card.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
    Card::from_bytes(card)
}

/// One card: kept as it is; what is read from a sound one, written again, reads the same.
pub(crate) fn card(bytes: &[u8]) {
    let card = card_of(bytes);
    let record = Record::of_card(card);
    assert_eq!(record.cards, [card], "a card is kept as it is");
    assert!(card.as_bytes().starts_with(bytes.get(..CARD_BYTES).unwrap_or(bytes)));
    assert!(card.grave_fault().is_none() || card.fault().is_some(), "a grave fault is a fault");
    let (value, comment) = (record.value(), record.comment());
    if record.keyword.kind == KeywordKind::Commentary {
        assert_eq!((value, comment), (Ok(None), None), "commentary has no value");
        return;
    }
    if card.fault().is_some() {
        return;
    }
    let value = value.expect("a card without a fault has a readable value").expect("a value");
    if let Ok(rewritten) = Record::new(record.keyword.clone(), &value, comment.as_deref()) {
        assert_eq!(rewritten.value().as_ref(), Ok(&Some(value.clone())), "written again it reads the same");
        assert_eq!(rewritten.keyword, record.keyword);
    }
    if let Ok(token) = value.to_token() {
        assert_eq!(Value::parse(&token), Ok(value), "its shortest text reads the same");
    }
    let to = Keyword { kind: record.keyword.kind, name: "NEWNAME".to_owned() };
    if let Ok(renamed) = record.renamed(&to) {
        assert_eq!(renamed.value(), record.value(), "a new name changes no value");
        assert_eq!(renamed.keyword, to);
    }
}

/// One header: its bytes come back, and each card belongs to one record.
pub(crate) fn header(bytes: &[u8]) {
    let mut reader = HeaderReader::new(10_000);
    let (blocks, _) = bytes.as_chunks::<BLOCK_BYTES>();
    for block in blocks {
        match reader.feed(block) {
            Ok(false) => {}
            Ok(true) => break,
            Err(_) => return,
        }
    }
    let Ok(header) = reader.finish() else { return };
    let written = header.to_bytes();
    assert_eq!(written.len() as u64, header.byte_count());
    let behind_end = (header.cards().len() + 1) * CARD_BYTES;
    assert!(written[..behind_end] == bytes[..behind_end], "all up to END comes back");
    assert!(written[behind_end..].iter().all(|byte| *byte == b' '), "only spaces follow END");
    let cards: Vec<Card> = header.records().into_iter().flat_map(|record| record.cards).collect();
    assert_eq!(cards, header.cards(), "the records are the cards");
    for (index, _) in header.faults() {
        assert!(index < header.cards().len());
    }
    for name in ["SIMPLE", "XTENSION", "EXTNAME", "EXTVER", "OBJECT"] {
        let first = header
            .records()
            .into_iter()
            .find(|record| record.keyword.kind == KeywordKind::Value && record.keyword.name == name);
        assert_eq!(header.get(name), first, "the first {name}");
    }
    let has_text = bytes[behind_end..written.len()].iter().any(|byte| *byte != b' ');
    assert_eq!(header.has_text_behind_end(), has_text, "text behind END is told");
    assert_eq!(Header::from_cards(cards).to_bytes(), written);
}

/// Bytes that come in pieces of changing size, and count how often they are asked.
struct Pieces<'a> {
    bytes: &'a [u8],
    reads: Cell<u64>,
}

impl ReadAt for Pieces<'_> {
    fn read_at(&self, offset: u64, room: &mut [u8]) -> io::Result<usize> {
        self.reads.set(self.reads.get() + 1);
        let piece = room.len().min(1 + (offset as usize).wrapping_mul(31) % 97);
        self.bytes.read_at(offset, &mut room[..piece])
    }

    fn byte_count(&self) -> io::Result<u64> {
        Ok(self.bytes.len() as u64)
    }
}

/// One file: its HDUs fill it without a gap, and a merge of it fills its product without a gap.
pub(crate) fn scan(bytes: &[u8]) {
    let limits = ScanLimits { hdus: 1000, header_cards: 10_000 };
    let outcome = scan_file(bytes, limits);
    let pieces = Pieces { bytes, reads: Cell::new(0) };
    assert_eq!(outcome_text(&scan_file(&pieces, limits)), outcome_text(&outcome), "pieces make no difference");
    assert!(pieces.reads.get() <= 2 * bytes.len() as u64 + 2000, "each byte is read once");
    let Ok((hdus, tail)) = outcome else { return };
    let mut end = 0;
    for (index, hdu) in hdus.iter().enumerate() {
        assert_eq!((hdu.index, hdu.header_offset), (index, end));
        assert_eq!(hdu.data_offset, end + hdu.header.byte_count());
        assert!(hdu.data_offset + hdu.structure.data_bytes <= bytes.len() as u64, "the data is there");
        let behind_end = (hdu.header.cards().len() + 1) * CARD_BYTES;
        let start = end as usize;
        assert!(hdu.header.to_bytes()[..behind_end] == bytes[start..start + behind_end], "the header's own bytes");
        end = hdu.end_offset();
    }
    let accounted = end + tail.trailing_bytes;
    assert_eq!(accounted, bytes.len() as u64 + tail.missing_padding, "nothing is left over");
    plan_of(bytes, limits);
}

/// One file before the judge of `dpm verify`: every finding has its place, and whom the judge lets pass the merge can read.
pub(crate) fn judge(bytes: &[u8]) {
    let limits = JudgeLimits { scan: ScanLimits { hdus: 1000, header_cards: 10_000 }, findings: 50 };
    let mut watched = 0;
    let mut watch = |done: u64| {
        assert!(watched <= done && done <= bytes.len() as u64, "progress goes forward, within the file");
        watched = done;
        Ok(())
    };
    let judgement = conformance::judge(bytes, &limits, &mut watch).expect("bytes at hand can be read");
    let pieces = Pieces { bytes, reads: Cell::new(0) };
    let again = conformance::judge(&pieces, &limits, &mut |_| Ok(())).expect("bytes at hand can be read");
    assert_eq!(format!("{again:?}"), format!("{judgement:?}"), "pieces make no difference");
    assert!(pieces.reads.get() <= 2 * bytes.len() as u64 + 2000, "each byte is read once");
    let total = judgement.faults + judgement.warnings;
    assert_eq!(judgement.findings.len() as u64, total.min(limits.findings as u64), "all are counted");
    assert!(judgement.findings.is_sorted_by_key(|finding| finding.hdu), "in order of the file");
    for finding in &judgement.findings {
        assert!(finding.hdu <= judgement.hdus.len() && finding.card != Some(0));
        assert!(!finding.message.is_empty() && !finding.message.contains(char::is_control), "{}", finding.message);
    }
    if judgement.faults == 0 {
        assert!(judgement.is_readable, "a fault says why a file cannot be read");
    }
    if judgement.is_readable {
        let (hdus, _) = scan_file(bytes, limits.scan).expect("the merge can read it");
        assert_eq!(hdus.len(), judgement.hdus.len());
    }
}

fn outcome_text(outcome: &Result<(Vec<Hdu>, FileTail), ScanError>) -> String {
    match outcome {
        Ok((hdus, tail)) => format!("{tail:?} {:?}", hdus.iter().map(|hdu| &hdu.structure).collect::<Vec<_>>()),
        Err(error) => error.to_string(),
    }
}

/// Plans the merge of one file into a new one, and in place.
fn plan_of(bytes: &[u8], limits: ScanLimits) {
    let Ok(description) = input::describe("a", "a.fits".into(), bytes, limits) else { return };
    let file = r#"{"type": "fitsFile", "sourceName": "a", "location": "/a.fits", "primaryData": "asExtension"}"#;
    for text in [
        format!(r#"{{"id": "a", "sources": [{file}], "target": {{"fileId": "a"}}}}"#),
        format!(
            r#"{{"id": "a", "sources": [], "target": {{"fileId": "a", "source": {file}, "extensionNames": "unique"}}}}"#
        ),
    ] {
        let specification = validate::parse(&text).expect("a valid specification");
        let Ok(plan) = plan::plan(&specification, std::slice::from_ref(&description), jiff::Timestamp::UNIX_EPOCH)
        else {
            continue;
        };
        let mut end = 0;
        for hdu in &plan.hdus {
            assert_eq!(hdu.product_offset, end, "HDUs follow one another");
            assert!(hdu.header_bytes.is_multiple_of(BLOCK_BYTES as u64) && hdu.header_bytes > 0);
            assert!(hdu.data_bytes_padded().is_multiple_of(BLOCK_BYTES as u64));
            if let Some(data) = &hdu.data {
                assert!(data.offset + data.bytes <= bytes.len() as u64, "the data is there");
            }
            end = hdu.data_offset() + hdu.data_bytes_padded();
        }
        assert_eq!(plan.product_bytes, end);
    }
}

/// One specification: refused with places, or equal to itself in canonical form.
pub(crate) fn specification(bytes: &[u8]) {
    let specification = match validate::parse_bytes(bytes) {
        Ok(specification) => specification,
        Err(error) => {
            assert!(!error.faults.is_empty(), "a refusal has a reason");
            for fault in &error.faults {
                assert!(fault.pointer.is_empty() || fault.pointer.starts_with('/'), "{}", fault.pointer);
                assert!(fault.to_string().len() < 10_000, "a fault can be shown");
            }
            return;
        }
    };
    let text = Document::text_of(bytes).expect("text");
    let document = Document::read(text).expect("JSON");
    let canonical = serde_json::to_string(document.value()).expect("JSON can be written");
    let again = validate::parse(&canonical).expect("its canonical form is valid");
    assert_eq!(format!("{again:?}"), format!("{specification:?}"), "and means the same");
    assert!(specification.file_sources().count() <= specification.sources.len() + 1);
}

/// Rules, one a line (`+e GLOB` is a filter of one pattern, `REGEX>FORMAT` a transform of all), an empty line, cards.
pub(crate) fn keyword_rules(bytes: &[u8]) {
    let split = bytes.windows(2).position(|pair| pair == b"\n\n").unwrap_or(bytes.len());
    let (rules, cards) = bytes.split_at(split);
    let Some(chain) = std::str::from_utf8(rules).ok().and_then(rules_of) else { return };
    let cards: Vec<Card> = cards.get(2..).unwrap_or_default().chunks(CARD_BYTES).take(100).map(card_of).collect();
    let records = Header::from_cards(cards).records();
    let rules = KeywordRules(chain);
    let Ok(chosen) = keyword_rules::apply(Some(&rules), records.clone()) else { return };
    for record in &chosen {
        assert!(record.keyword.class() != KeywordClass::Structural && !is_reserved(&record.keyword));
    }
    let is_filter = rules.0.iter().all(|rule| matches!(rule, KeywordRule::Filter(_)));
    let mut rest = records.iter();
    for record in &chosen {
        // What a transform renames stays in its place, so its value is found in order too.
        let found = rest.find(|offered| match is_filter {
            true => *offered == record,
            false => {
                offered.value().ok() == record.value().ok() && offered.commentary_text() == record.commentary_text()
            }
        });
        assert!(found.is_some(), "{record:?} is none that was offered, or out of order");
    }
    let count = chosen.len();
    let contribution = Contribution { label: "a".to_owned(), records: chosen };
    for order in [SortOrder::None, SortOrder::Category] {
        let merged = keywords::merge(vec![contribution.clone(), contribution.clone()], order);
        let (commentary, values): (Vec<_>, Vec<_>) =
            merged.iter().partition(|keyword| keyword.record.keyword.kind == KeywordKind::Commentary);
        assert!(values.len() + commentary.len() / 2 <= count);
        let has_won = |keyword: &&MergedKeyword| {
            keyword.origin == 0 && keyword.beaten.last().is_some_and(|beaten| beaten.origin == 1)
        };
        assert!(values.iter().all(has_won), "the first one wins");
    }
}

fn rules_of(text: &str) -> Option<Vec<KeywordRule>> {
    let lines = text.lines().take(8);
    let rules = lines.map(|line| match line.split_once('>') {
        Some((regex, format)) if !line.starts_with(['+', '-']) => {
            let regex = compile_regex(regex).ok()?;
            let format = rust_format(format, &regex).ok()?;
            let patterns = vec![SelectionPattern::parse("+evc *").ok()?];
            Some(KeywordRule::Transform { patterns, regex, format })
        }
        _ => {
            let patterns: Option<Vec<_>> = line.split('|').map(|text| SelectionPattern::parse(text).ok()).collect();
            Some(KeywordRule::Filter(patterns?))
        }
    });
    rules.collect()
}

/// One location: written again it is the same, and its path never climbs.
pub(crate) fn location(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(location) = Location::parse(text) else { return };
    let written = location.to_string();
    assert_eq!(Location::parse(&written), Ok(location.clone()), "{written}");
    assert!(!location.file_name().contains('/'));
    if let Some(path) = location.local_path(&["localhost".to_owned()]) {
        assert!(path.split('/').all(|part| part != ".."), "{path}");
        assert!(!path.contains('\0'));
    }
}

/// Most bytes that the gzip target expands.
const EXPANDED_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// An even first byte: the rest is a gzip file. An odd one: the rest is compressed in members of that many bytes.
pub(crate) fn gzip(bytes: &[u8]) {
    let Some((kind, rest)) = bytes.split_first() else { return };
    if kind % 2 == 0 {
        expand_any(rest);
        return;
    }
    let mut members = Vec::new();
    for piece in rest.chunks(usize::from(*kind)) {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(piece).expect("memory takes all");
        members.extend(encoder.finish().expect("memory takes all"));
    }
    if rest.starts_with(&dpm::merge::gzip::GZIP_MAGIC) {
        assert!(matches!(expand(&members), Err(GzipError::Nested)));
    } else if !rest.is_empty() && !rest.starts_with(&dpm::merge::gzip::GZIP_MAGIC) {
        members.extend([0; 3]);
        let (content, padding) = expand(&members).expect("good members");
        assert!(content == rest && padding == 3);
    }
}

fn expand_any(bytes: &[u8]) {
    let Ok((content, padding)) = expand(bytes) else { return };
    let members = &bytes[..bytes.len() - padding as usize];
    let mut expected = Vec::new();
    let read = flate2::read::MultiGzDecoder::new(members).read_to_end(&mut expected);
    assert!(read.is_ok() && content == expected, "another decoder agrees");
}

fn expand(bytes: &[u8]) -> Result<(Vec<u8>, u64), GzipError> {
    let limits = GzipLimits { ratio: 100, expanded_bytes: EXPANDED_BYTES_MAX };
    let mut stream = GzipStream::new(bytes, limits)?;
    let (mut content, mut room) = (Vec::new(), [0; 1000]);
    for size in [1, 2, 3, 10, 1000].into_iter().cycle() {
        match stream.read(&mut room[..size])? {
            0 => break,
            count => content.extend_from_slice(&room[..count]),
        }
        assert!(content.len() as u64 <= EXPANDED_BYTES_MAX, "the bound holds");
    }
    assert_eq!(stream.position(), content.len() as u64);
    Ok((content, stream.padding()))
}

/// One line of the command socket: an answer of one line, whatever it was.
pub(crate) fn jsonrpc(line: &[u8]) {
    let (id, outcome) = match jsonrpc::read(line) {
        Ok(call) => {
            let outcome = Request::parse(&call.method, call.parameters);
            (call.id.unwrap_or_default(), outcome.map(|_| serde_json::Value::Null))
        }
        Err((id, error)) => (id, Err::<serde_json::Value, CommandError>(error)),
    };
    let reply = jsonrpc::reply(&id, &outcome);
    let (last, text) = reply.split_last().expect("an answer");
    assert!(*last == b'\n' && !text.contains(&b'\n'), "one line");
    let reply: serde_json::Value = serde_json::from_slice(text).expect("JSON");
    assert_eq!(reply["id"], id);
    assert_eq!(reply.get("error").is_some(), outcome.is_err());
}
