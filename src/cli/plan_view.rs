//! How a merge plan looks: a table for people, a document for programs; and how it is explained.

use serde::Serialize;

use crate::cli::output::{self, Table};
use crate::merge::plan::{BeatenValue, HduPlan, KeywordOrigin, MergePlan};
use crate::merge::report::Notice;

/// A plan as a JSON document.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PlanView<'a> {
    product: &'a str,
    product_bytes: u64,
    hdus: Vec<HduView<'a>>,
    keywords: Vec<KeywordView<'a>>,
    notices: &'a [Notice],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct HduView<'a> {
    index: usize,
    kind: &'a str,
    name: &'a str,
    /// Label of the source and its HDU; null for a primary HDU made anew.
    source: Option<&'a str>,
    source_hdu: Option<usize>,
    file: Option<std::borrow::Cow<'a, str>>,
    changes: Vec<String>,
    offset: u64,
    header_bytes: u64,
    data_bytes: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct KeywordView<'a> {
    keyword: &'a str,
    source: &'a str,
    value: &'a str,
    beaten: Vec<BeatenView<'a>>,
}

#[derive(Serialize)]
struct BeatenView<'a> {
    source: &'a str,
    value: &'a str,
}

impl<'a> PlanView<'a> {
    pub(crate) fn new(plan: &'a MergePlan) -> PlanView<'a> {
        PlanView {
            product: &plan.archive_name,
            product_bytes: plan.product_bytes,
            hdus: plan.hdus.iter().enumerate().map(|(index, hdu)| hdu_view(plan, index, hdu)).collect(),
            keywords: plan.keywords.iter().map(keyword_view).collect(),
            notices: &plan.notices,
        }
    }
}

fn keyword_view(origin: &KeywordOrigin) -> KeywordView<'_> {
    KeywordView {
        keyword: &origin.keyword,
        source: &origin.winner,
        value: &origin.value,
        beaten: origin.beaten.iter().map(beaten_view).collect(),
    }
}

fn beaten_view(beaten: &BeatenValue) -> BeatenView<'_> {
    BeatenView { source: &beaten.source, value: &beaten.value }
}

fn hdu_view<'a>(plan: &'a MergePlan, index: usize, hdu: &'a HduPlan) -> HduView<'a> {
    HduView {
        index,
        kind: hdu.kind.label(),
        name: &hdu.name,
        source: hdu.origin.map(|origin| plan.input_labels[origin.input].as_str()),
        source_hdu: hdu.origin.map(|origin| origin.hdu),
        file: hdu.origin.map(|origin| plan.input_paths[origin.input].to_string_lossy()),
        changes: hdu.changes.iter().map(ToString::to_string).collect(),
        offset: hdu.product_offset,
        header_bytes: hdu.header_bytes,
        data_bytes: hdu.data_bytes_padded(),
    }
}

/// The plan as text.
pub(crate) fn text(plan: &MergePlan) -> String {
    let mut table = Table::new(&["#HDU", "KIND", "NAME", "FROM", "#OFFSET", "#HEADER", "#DATA"]);
    for (index, hdu) in plan.hdus.iter().enumerate() {
        let view = hdu_view(plan, index, hdu);
        let from = match (view.source, view.source_hdu) {
            (Some(source), Some(source_hdu)) => format!("{source} HDU {source_hdu}"),
            _ => "new".to_owned(),
        };
        table.row(vec![
            index.to_string(),
            view.kind.to_owned(),
            output::safe(view.name),
            output::safe(&from),
            view.offset.to_string(),
            view.header_bytes.to_string(),
            view.data_bytes.to_string(),
        ]);
    }
    let mut text = format!(
        "{}: {}, {}, {} keywords from sources\n{}",
        output::safe(&plan.archive_name),
        output::count(plan.hdus.len() as u64, "HDU"),
        output::bytes(plan.product_bytes),
        plan.keywords.len(),
        table.text()
    );
    for notice in &plan.notices {
        text.push_str(&format!("{:?} {}\n", notice.severity, output::safe(&notice.description)));
    }
    text
}

/// Characters of a value in an explanation; whole values are in the JSON document.
const VALUE_CHARS: usize = 40;
/// What a keyword beat is listed up to here, then counted.
const BEATEN_MAX: usize = 5;

/// What is in no row of the table.
const OWN_KEYWORDS: &str =
    "DATE, ORIGFILE, ARCFILE, CHECKSUM and DATASUM are dpm's own; the structure is new, or an in-place target's";

/// Where each keyword of the primary header and each HDU comes from.
pub(crate) fn explanation(plan: &MergePlan) -> String {
    let mut keywords = Table::new(&["KEYWORD", "SOURCE", "VALUE", "INSTEAD OF"]);
    for origin in &plan.keywords {
        keywords.row(vec![
            output::safe(&origin.keyword),
            output::safe(&origin.winner),
            shortened(&origin.value),
            beaten_text(&origin.beaten),
        ]);
    }
    let mut hdus = Table::new(&["#HDU", "KIND", "NAME", "SOURCE", "#ITS HDU", "FILE", "CHANGED"]);
    for (index, hdu) in plan.hdus.iter().enumerate() {
        let view = hdu_view(plan, index, hdu);
        hdus.row(vec![
            index.to_string(),
            view.kind.to_owned(),
            output::safe(view.name),
            output::safe(view.source.unwrap_or("new")),
            view.source_hdu.map_or_else(String::new, |hdu| hdu.to_string()),
            output::safe(&view.file.unwrap_or_default()),
            view.changes.join(", "),
        ]);
    }
    format!("{}{OWN_KEYWORDS}\n{}", keywords.text(), hdus.text())
}

fn beaten_text(beaten: &[BeatenValue]) -> String {
    let shown = beaten.iter().take(BEATEN_MAX);
    let mut texts: Vec<String> =
        shown.map(|beaten| format!("{} {}", output::safe(&beaten.source), shortened(&beaten.value))).collect();
    if beaten.len() > BEATEN_MAX {
        texts.push(format!("{} more", beaten.len() - BEATEN_MAX));
    }
    texts.join(", ")
}

fn shortened(value: &str) -> String {
    let safe = output::safe(value);
    match safe.char_indices().nth(VALUE_CHARS) {
        Some((at, _)) => format!("{}...", safe.get(..at).unwrap_or_default()),
        None => safe,
    }
}
