//! Merges of generated files: which files, which rules, which target, chosen from a seed.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::common::fits::Random;

/// A source file of the matrix.
#[derive(Clone, Debug)]
pub(crate) struct SourceFile {
    pub(crate) name: String,
    pub(crate) path: PathBuf,
}

/// A merge to be tried.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) specification: Value,
}

/// Chains of rules: each kind of pattern, transforms, chains of both, none.
fn rules(random: &mut Random) -> Option<Value> {
    let filter = |patterns: &[&str]| json!({"type": "filter", "selectionPatterns": patterns});
    let transform = |patterns: &[&str], regex: &str, format: &str| json!({"type": "transform", "selectionPatterns": patterns, "regex": regex, "format": format});
    let chains = [
        json!([]),
        json!([filter(&["+e *"])]),
        json!([filter(&[
            "+vc *",
            "-v REAL*",
            "-v BSCALE",
            "-v BZERO",
            "-v BLANK",
            "-v [CTP]*",
            "-v INHERIT",
            "-v E[QX]*"
        ])]),
        json!([filter(&["+c *", "-c HISTORY", "+v OBJECT", "+v *INT"])]),
        json!([filter(&["+e TEL *", "+e [DI]?? *", "-e DET CHIP?*", "+c COMMENT"])]),
        json!([filter(&["+evc *", "-evc *", "+v STR*", "+v LONGSTR", "+e TPL *"])]),
        json!([filter(&["+v [!A-R]*", "+e [!A-O]*", "-v T[TUNSZ]*", "-v [XZ]*"])]),
        json!([transform(&["+e INS *"], "^INS ", "INS2 ")]),
        json!([transform(&["+e *"], "^([A-Z]+) (.*)$", "$1 SUB $2")]),
        json!([transform(&["+v STR*", "-v STRFULL"], "^STR", "TXT"), filter(&["+v TXT*", "+e *"])]),
        json!([filter(&["+v *INT", "+v DUPLIC"]), transform(&["+v *"], "^(FIX|FREE)INT$", "SAMEINT")]),
        json!([transform(&["+c HISTORY"], "HISTORY", "COMMENT"), transform(&["+v LONGSTR"], "LONG", "VERY")]),
    ];
    let choice = random.below(chains.len() as u64 * 3 / 2) as usize;
    chains.get(choice).cloned()
}

fn source(random: &mut Random, number: usize, file: &SourceFile) -> Value {
    let primary_data = ["alert", "asExtension", "asExtension", "ignore"][random.below(4) as usize];
    let mut source = json!({
        "type": "fitsFile",
        "sourceName": format!("source{number}"),
        "location": file.path,
        "primaryData": primary_data,
    });
    if let Some(rules) = rules(random) {
        source["keywordRules"] = rules;
    }
    source
}

/// Keywords of the specification: some win over those of the files, some are new.
fn keywords(random: &mut Random) -> Value {
    let mut keywords = vec![
        json!({"type": "valueKeyword", "name": "OBJECT", "value": "STD-1", "comment": "from the specification"}),
        json!({"type": "esoKeyword", "name": "TEL ALT", "value": random.below(90) as f64 / 7.0, "comment": "[deg]"}),
        json!({"type": "esoKeyword", "name": "DET COUNTER", "value": random.next()}),
        json!({"type": "valueKeyword", "name": "JSONSTR", "value": "it's a text & more".repeat(random.below(8) as usize)}),
        json!({"type": "valueKeyword", "name": "JSONBOOL", "value": random.below(2) == 0}),
        json!({"type": "literalKeyword", "value": "HISTORY from the specification"}),
        json!({"type": "literalKeyword", "value": "LITERAL = (1.0, -2.0) / a complex one"}),
    ];
    keywords.retain(|_| random.below(2) == 0);
    json!({"type": "fitsKeywords", "sourceName": "ocm", "keywords": keywords})
}

/// A merge of `files`, the first of which may be the target that is built upon.
fn case(random: &mut Random, name: String, files: &[&SourceFile], in_place: bool) -> Case {
    let mut sources: Vec<Value> = files
        .iter()
        .enumerate()
        .skip(usize::from(in_place))
        .map(|(number, file)| source(random, number, file))
        .collect();
    if random.below(2) == 0 {
        let place = random.below(sources.len() as u64 + 1) as usize;
        sources.insert(place, keywords(random));
    }
    let mut target = json!({"fileId": "MATRIX.2031-02-03T04:05:06.789"});
    if in_place {
        target["source"] = json!({"type": "fitsFile", "sourceName": "base", "location": files[0].path});
    }
    if random.below(3) == 0 {
        target["sort"] = json!("none");
    }
    if random.below(3) == 0 {
        target["extensionNames"] = json!("unique");
    }
    let how = if in_place { "in place" } else { "new" };
    let name = format!("{name}, {how}");
    Case { name, specification: json!({"id": "MATRIX", "sources": sources, "target": target}) }
}

/// Each file alone, as a source and as a target (one composed at random: as one of them), and `mixed` merges of two to five files.
pub(crate) fn cases(random: &mut Random, files: &[SourceFile], mixed: usize) -> Vec<Case> {
    let mut cases = Vec::new();
    for file in files {
        let is_composed = file.name.starts_with("composed");
        let ways = if is_composed { vec![random.below(2) == 0] } else { vec![false, true] };
        for in_place in ways {
            cases.push(case(random, file.name.clone(), &[file], in_place));
        }
    }
    for number in 0..mixed {
        let count = 2 + random.below(4) as usize;
        let chosen: Vec<&SourceFile> = (0..count).map(|_| &files[random.below(files.len() as u64) as usize]).collect();
        let in_place = random.below(2) == 0;
        let names: Vec<&str> = chosen.iter().map(|file| file.name.as_str()).collect();
        cases.push(case(random, format!("mix {number} of {names:?}"), &chosen, in_place));
    }
    cases
}
