//! `dpm header`: the cards of headers, all or some, as astropy's `fitsheader` writes them; blank ones before END are counted.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use serde_json::{Value as Json, json};

use crate::cli::exit::{CliError, Exit};
use crate::cli::fits_file::{self, Shown};
use crate::cli::output;
use crate::fits::card::Record;
use crate::fits::header::Header;
use crate::fits::keyword::KeywordKind;
use crate::fits::value::Value;
use crate::merge::input::used_cards;
use crate::specification::glob::Glob;

/// Arguments of `dpm header`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  dpm header product.fits\n  dpm header product.fits --hdu 0 'ESO DET*' EXPTIME\n  \
dpm header product.fits --hdu GUIDER,2 --json\n\nExit codes: 0 done; 1 no such HDU, or a pattern matches nothing; \
65 the file is broken (what could be read is shown); 66 it is missing"
)]
pub(crate) struct HeaderArguments {
    /// FITS file, also compressed with gzip
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Keywords to show, with `*`, `?`, `[abc]` as in a shell, without regard to case; `ESO DET*` or `HIERARCH ESO DET*`
    #[arg(value_name = "KEYWORD")]
    keywords: Vec<String>,
    /// HDUs to show: number from 0, or extension name, or NAME,VERSION [default: all]
    #[arg(long = "hdu", value_name = "HDU")]
    hdus: Vec<String>,
    /// Print one JSON document and nothing else
    #[arg(long)]
    json: bool,
}

/// A header for programs.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct HeaderView {
    hdu: usize,
    name: String,
    cards: Vec<RecordView>,
    /// Blank cards before END, which are not listed.
    blank_cards: usize,
}

/// A record for programs.
#[derive(Serialize)]
struct RecordView {
    /// 1-based number of its first card.
    card: usize,
    keyword: String,
    value: Json,
    comment: Option<String>,
    /// The cards as they stand there, without trailing spaces.
    text: Vec<String>,
}

/// One HDU that was asked for.
enum Wanted {
    Index(usize),
    Name(String, Option<i128>),
}

impl Wanted {
    fn parse(text: &str) -> Wanted {
        if let Ok(index) = text.parse() {
            return Wanted::Index(index);
        }
        match text.rsplit_once(',').and_then(|(name, version)| Some((name, version.trim().parse().ok()?))) {
            Some((name, version)) => Wanted::Name(name.trim().to_uppercase(), Some(version)),
            None => Wanted::Name(text.trim().to_uppercase(), None),
        }
    }

    fn matches(&self, index: usize, name: &str, version: i128) -> bool {
        match self {
            Wanted::Index(wanted) => *wanted == index,
            Wanted::Name(wanted, wanted_version) => {
                let is_primary = index == 0 && name.is_empty() && wanted == "PRIMARY";
                (is_primary || *wanted == name.to_uppercase()) && wanted_version.is_none_or(|wanted| wanted == version)
            }
        }
    }
}

pub(crate) fn run(arguments: &HeaderArguments) -> Result<Exit, CliError> {
    let patterns = patterns(&arguments.keywords)?;
    let wanted: Vec<Wanted> = arguments.hdus.iter().map(|text| Wanted::parse(text)).collect();
    let path = output::safe(&arguments.file.display().to_string());
    let (mut found_hdus, mut found_patterns) = (vec![false; wanted.len()], vec![false; patterns.len()]);
    let mut views = Vec::new();
    let mut is_first = true;
    let walked = fits_file::walk(&arguments.file, &mut |shown| {
        let (index, header, name, version) = match shown {
            Shown::Hdu(hdu) => (hdu.index, &hdu.header, hdu.name().unwrap_or_default(), hdu.version()),
            Shown::Broken(index, header) => (*index, *header, String::new(), 1),
        };
        let mut is_wanted = wanted.is_empty();
        for (wanted, found) in wanted.iter().zip(&mut found_hdus) {
            if wanted.matches(index, &name, version) {
                (is_wanted, *found) = (true, true);
            }
        }
        if !is_wanted {
            return Ok(true);
        }
        let records = select(header, &patterns, &mut found_patterns);
        let blank_cards = header.cards().len() - used_cards(header.cards());
        if arguments.json {
            views.push(HeaderView { hdu: index, name, cards: records.iter().map(view).collect(), blank_cards });
        } else if !records.is_empty() || patterns.is_empty() {
            let gap = if std::mem::take(&mut is_first) { "" } else { "\n" };
            let blank = if patterns.is_empty() { blank_text(blank_cards) } else { String::new() };
            output::print(&format!("{gap}# HDU {index} in {path}:\n{}{blank}", text(&records)))?;
        }
        // The rest need not be read where all that was asked for by number has come.
        let is_done =
            !wanted.is_empty() && wanted.iter().all(|wanted| matches!(wanted, Wanted::Index(last) if *last <= index));
        Ok(!is_done)
    });
    if arguments.json {
        output::print_json(&views)?;
    }
    walked?;
    let lacks_hdu = tell_missing(&arguments.hdus, &found_hdus, "HDU");
    let lacks_keyword = !lacks_hdu && tell_missing(&arguments.keywords, &found_patterns, "keyword");
    Ok(if lacks_hdu || lacks_keyword { Exit::Failed } else { Exit::Done })
}

/// Tells what was asked for and is not there; true if there is such.
fn tell_missing(asked: &[String], found: &[bool], what: &str) -> bool {
    let missing = asked.iter().zip(found).filter(|(_, found)| !**found);
    missing.map(|(text, _)| output::note(&format!("dpm: there is no {what} {}", output::safe(text)))).count() > 0
}

fn patterns(texts: &[String]) -> Result<Vec<Glob>, CliError> {
    let parse = |text: &String| {
        let upper = text.to_uppercase();
        let bare = upper.strip_prefix("HIERARCH ").unwrap_or(&upper).trim();
        Glob::parse(bare).map_err(|fault| CliError::new(Exit::Usage, format!("the pattern '{text}': {fault}")))
    };
    texts.iter().map(parse).collect()
}

/// The records that any pattern matches, each with the 1-based number of its first card; all without patterns.
fn select(header: &Header, patterns: &[Glob], found: &mut [bool]) -> Vec<(usize, Record)> {
    let (mut number, mut selected) = (1, Vec::new());
    let used = used_cards(header.cards());
    for record in header.records() {
        let (card, count) = (number, record.cards.len());
        number += count;
        if card > used {
            break;
        }
        let name = match record.keyword.kind {
            KeywordKind::Eso => format!("ESO {}", record.keyword.name),
            _ => record.keyword.name.clone(),
        };
        let mut is_selected = patterns.is_empty();
        for (pattern, found) in patterns.iter().zip(&mut *found) {
            if pattern.matches(&name.to_uppercase()) {
                (is_selected, *found) = (true, true);
            }
        }
        if is_selected {
            selected.push((card, record));
        }
    }
    selected
}

fn blank_text(count: usize) -> String {
    if count == 0 { String::new() } else { format!("# and {} before END\n", output::count(count as u64, "blank card")) }
}

fn text(records: &[(usize, Record)]) -> String {
    let cards = records.iter().flat_map(|(_, record)| &record.cards);
    cards.map(|card| format!("{}\n", card.text())).collect()
}

fn view((card, record): &(usize, Record)) -> RecordView {
    let value = match record.value() {
        Ok(Some(value)) => value_view(&value),
        Ok(None) => Json::from(record.commentary_text()),
        // The text shows what stands there.
        Err(_) => Json::Null,
    };
    let keyword = if record.keyword.name.is_empty() { String::new() } else { record.keyword.to_string() };
    let text = record.cards.iter().map(|card| card.text()).collect();
    RecordView { card: *card, keyword, value, comment: record.comment(), text }
}

/// A value as JSON; an integer beyond 64 bits is a string, a pair a list.
fn value_view(value: &Value) -> Json {
    let integer = |number: i128| match (i64::try_from(number), u64::try_from(number)) {
        (Ok(number), _) => Json::from(number),
        (_, Ok(number)) => Json::from(number),
        _ => Json::from(number.to_string()),
    };
    match value {
        Value::String(text) => Json::from(text.as_str()),
        Value::Logical(logical) => Json::from(*logical),
        Value::Integer(number) => integer(*number),
        Value::Real(real) => Json::from(*real),
        Value::ComplexInteger(re, im) => json!([integer(*re), integer(*im)]),
        Value::ComplexReal(re, im) => json!([re, im]),
        Value::Undefined => Json::Null,
    }
}
