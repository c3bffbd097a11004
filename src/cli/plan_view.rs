//! How a merge plan looks: a table for people, a document for programs.

use serde::Serialize;

use crate::cli::output::{self, Table};
use crate::merge::plan::{HduPlan, MergePlan};
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
    offset: u64,
    header_bytes: u64,
    data_bytes: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct KeywordView<'a> {
    keyword: &'a str,
    source: &'a str,
    beaten: &'a [String],
}

impl<'a> PlanView<'a> {
    pub(crate) fn new(plan: &'a MergePlan) -> PlanView<'a> {
        PlanView {
            product: &plan.archive_name,
            product_bytes: plan.product_bytes,
            hdus: plan.hdus.iter().enumerate().map(|(index, hdu)| hdu_view(plan, index, hdu)).collect(),
            keywords: plan
                .keywords
                .iter()
                .map(|origin| KeywordView { keyword: &origin.keyword, source: &origin.winner, beaten: &origin.beaten })
                .collect(),
            notices: &plan.notices,
        }
    }
}

fn hdu_view<'a>(plan: &'a MergePlan, index: usize, hdu: &'a HduPlan) -> HduView<'a> {
    HduView {
        index,
        kind: hdu.kind.label(),
        name: &hdu.name,
        source: hdu.origin.map(|origin| plan.input_labels[origin.input].as_str()),
        source_hdu: hdu.origin.map(|origin| origin.hdu),
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
        "{}: {} HDUs, {}, {} keywords from sources\n{}",
        output::safe(&plan.archive_name),
        plan.hdus.len(),
        output::bytes(plan.product_bytes),
        plan.keywords.len(),
        table.text()
    );
    for notice in &plan.notices {
        text.push_str(&format!("{:?} {}\n", notice.severity, output::safe(&notice.description)));
    }
    text
}
