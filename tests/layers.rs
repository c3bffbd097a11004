//! The import rule of `ARCHITECTURE.md` as a test over the sources: who may use whom, and what is absent where.
//!
//! It reads text, not types: comments and literals are blanked, then names are looked for. So it needs no build and
//! says file and line. [`check`] works on a [`Tree`], so that the last tests can plant faults and see them found.
//!
//! The rules:
//!
//! - **Order**: a module uses only itself and the modules above it in `src/lib.rs`; test code too.
//! - **Pure**: the files of [`PURE`] touch neither files, sockets, clocks, processes nor tokio, and use only one another.
//! - **Home**: a crate of [`HOMES`] is named in its own corner only.
//! - **Paths**: no `super::`, no globs: both hide who uses what.
//! - **Clock**: only `clock.rs` asks what time it is. **Exit**: only `main.rs` chooses the exit code.
//! - **Names**: no file is called util, helpers or misc. **Head**: each file opens with `//!`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Files below `src/` and their text.
type Tree = BTreeMap<String, String>;

/// Files and folders (with a slash) that decide and perform nothing; their `tests` may do more.
const PURE: [&str; 23] = [
    "fits/",
    "specification/",
    "dictionary/",
    "status.rs",
    "control.rs",
    "merge/plan.rs",
    "merge/plan/",
    "merge/keywords.rs",
    "merge/input.rs",
    "merge/report.rs",
    "merge/sealing.rs",
    "merge/options.rs",
    "merge/stripes.rs",
    "merge/digest.rs",
    "merge/gzip.rs",
    "transfer/plan.rs",
    "engine/state.rs",
    "engine/schedule.rs",
    "engine/settings.rs",
    "workspace/name.rs",
    "bench/plan.rs",
    "bench/report.rs",
    "bench/picture.rs",
];

/// What a pure file does not name, also not inside of braces.
const EFFECTS: [&str; 12] = [
    "std::fs",
    "std::net",
    "std::os::unix",
    "std::path::absolute",
    "std::process",
    "std::env",
    "std::thread",
    "std::time::SystemTime",
    "std::time::Instant",
    "tokio",
    "rustix",
    "fs2",
];

/// Parts of the above that are plain values: reading an address as text opens no socket.
const VALUES: [&str; 3] = ["std::net::IpAddr", "std::net::Ipv4Addr", "std::net::Ipv6Addr"];

/// Crates and parts of crates that are named only below these places, so that replacing one touches little.
const HOMES: [(&str, &[&str]); 14] = [
    ("sqlx", &["store/"]),
    ("clap", &["cli/"]),
    ("anyhow", &["cli/", "main.rs"]),
    ("indicatif", &["cli/"]),
    ("sd_notify", &["cli/serve.rs"]),
    ("flate2", &["merge/gzip.rs"]),
    ("landlock", &["merge/confine.rs"]),
    ("fitsio", &["cfitsio/library.rs"]),
    ("notify", &["workspace/inbox"]),
    ("sysinfo", &["workspace/storage.rs"]),
    ("jsonschema", &["specification/schema.rs", "config"]),
    ("toml", &["config"]),
    ("tokio::net", &["server/", "client.rs"]),
    ("tokio::process", &["engine/worker.rs"]),
];

/// Names of the present time; the monotonic `Instant` is for time-outs and may be used by effects.
const CLOCKS: [&str; 4] = ["Timestamp::now", "SystemTime::now", "Zoned::now", "Utc::now"];

/// File stems that have not found their noun.
const NO_NOUNS: [&str; 7] = ["util", "utils", "helper", "helpers", "misc", "common", "tools"];

/// One broken rule.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Violation {
    file: String,
    line: usize,
    rule: &'static str,
    what: String,
}

impl std::fmt::Display for Violation {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "src/{}:{}: {}: {}", self.file, self.line, self.rule, self.what)
    }
}

/// Finds every broken rule of a tree, in order of files and lines.
fn check(tree: &Tree) -> Vec<Violation> {
    let sources: BTreeMap<&str, Source> = tree.iter().map(|(file, text)| (file.as_str(), Source::of(text))).collect();
    let order = sources.get("lib.rs").map(|lib| reading_order(&lib.text)).unwrap_or_default();
    let test_files = test_files(&sources);
    let mut found = Vec::new();
    for (&file, source) in &sources {
        let is_test = test_files.contains(file);
        let mut tell = |offset: usize, rule: &'static str, what: String| {
            let line = 1 + source.text[..offset].matches('\n').count();
            found.push(Violation { file: file.to_owned(), line, rule, what });
        };
        check_order(file, source, &order, &mut tell);
        check_paths(source, &mut tell);
        check_clock_and_exit(file, source, &mut tell);
        if !is_test {
            check_pure(file, source, tree, &mut tell);
            check_homes(file, source, &mut tell);
        }
        check_name_and_head(file, &tree[file], &mut tell);
    }
    found.sort();
    found.dedup();
    found
}

/// Modules of `lib.rs`, in order.
fn reading_order(lib: &str) -> Vec<String> {
    let declared = |line: &str| {
        let line = line.trim().strip_suffix(';')?;
        let line = line.strip_prefix("pub ").unwrap_or(line);
        line.strip_prefix("mod ").map(|name| name.trim().to_owned())
    };
    lib.lines().filter_map(declared).collect()
}

fn check_order(file: &str, source: &Source, order: &[String], tell: &mut impl FnMut(usize, &'static str, String)) {
    let own = top_module(file);
    // The two roots belong to no layer: `lib.rs` has no logic, `main.rs` stands below all.
    if own == "lib" || own == "main" {
        return;
    }
    let place = |module: &str| order.iter().position(|name| name == module);
    let Some(own_place) = place(own) else {
        return tell(0, "order", format!("module `{own}` is not in lib.rs"));
    };
    for used in &source.crate_paths {
        let Some(module) = used.segments.first() else { continue };
        match place(module) {
            Some(used_place) if used_place <= own_place => {}
            Some(_) => tell(used.offset, "order", format!("`{own}` uses `{module}`, which stands below it in lib.rs")),
            None => tell(used.offset, "order", format!("`crate::{module}` is no module of lib.rs")),
        }
    }
}

fn check_pure(file: &str, source: &Source, tree: &Tree, tell: &mut impl FnMut(usize, &'static str, String)) {
    if !is_pure(file) {
        return;
    }
    let roots: BTreeSet<&str> = EFFECTS.iter().filter_map(|effect| effect.split("::").next()).collect();
    for named in roots.into_iter().flat_map(|root| paths(&source.code, root)) {
        let path = named.segments.join("::");
        if let Some(effect) = EFFECTS.into_iter().find(|effect| is_below(&path, effect))
            && !VALUES.into_iter().any(|value| is_below(&path, value))
        {
            tell(named.offset, "pure", format!("a pure file names `{effect}`"));
        }
    }
    for used in source.crate_paths.iter().filter(|used| !used.is_test) {
        if let Some(target) = file_of(&used.segments, tree)
            && !is_pure(&target)
            // Only the declarations of a folder that is pure in part.
            && !target.ends_with("/mod.rs")
        {
            tell(used.offset, "pure", format!("a pure file uses `{target}`, which is not"));
        }
    }
}

fn check_homes(file: &str, source: &Source, tell: &mut impl FnMut(usize, &'static str, String)) {
    for (name, homes) in HOMES {
        if homes.iter().any(|home| file.starts_with(home)) {
            continue;
        }
        let root = name.split("::").next().unwrap_or(name);
        for named in paths(&source.code, root) {
            let path = named.segments.join("::");
            if is_below(&path, name) {
                tell(named.offset, "home", format!("`{name}` is for {} only", homes.join(", ")));
            }
        }
    }
}

fn check_paths(source: &Source, tell: &mut impl FnMut(usize, &'static str, String)) {
    for offset in names(&source.text, "super::") {
        tell(offset, "paths", "`super::`: name the path from `crate::`".to_owned());
    }
    for (offset, _) in source.text.match_indices("::*") {
        tell(offset, "paths", "a glob import: name what is used".to_owned());
    }
}

fn check_clock_and_exit(file: &str, source: &Source, tell: &mut impl FnMut(usize, &'static str, String)) {
    if file != "clock.rs" {
        for clock in CLOCKS {
            for offset in names(&source.code, clock) {
                tell(offset, "clock", format!("`{clock}`: time is an argument, or comes from crate::clock"));
            }
        }
    }
    for offset in names(&source.text, "process::exit").chain(names(&source.text, "process::abort")) {
        tell(offset, "exit", "ends the process: return instead".to_owned());
    }
    if file != "main.rs" {
        for offset in names(&source.text, "ExitCode") {
            tell(offset, "exit", "only main.rs chooses the exit code".to_owned());
        }
    }
}

fn check_name_and_head(file: &str, text: &str, tell: &mut impl FnMut(usize, &'static str, String)) {
    let parts = file.trim_end_matches(".rs").split('/');
    for part in parts.filter(|part| NO_NOUNS.contains(part)) {
        tell(0, "names", format!("`{part}` has not found its noun"));
    }
    // lib.rs has ARCHITECTURE.md for its head.
    let opens_well = text.starts_with("//!") || (file == "lib.rs" && text.starts_with("#![doc"));
    if !opens_well {
        tell(0, "head", "the file does not open with `//!`: say what it is for and what it does not do".to_owned());
    }
}

/// True if `path` is `name` or leads into it.
fn is_below(path: &str, name: &str) -> bool {
    path.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

fn is_pure(file: &str) -> bool {
    PURE.iter().any(|pure| if pure.ends_with('/') { file.starts_with(pure) } else { file == *pure })
}

/// `merge` of `merge/plan.rs` and of `merge.rs`.
fn top_module(file: &str) -> &str {
    let first = file.split('/').next().unwrap_or(file);
    first.trim_end_matches(".rs")
}

/// The file in which the module at the start of a path is: the longest one that is there.
fn file_of(segments: &[String], tree: &Tree) -> Option<String> {
    (1..=segments.len()).rev().find_map(|length| {
        let path = segments[..length].join("/");
        [format!("{path}.rs"), format!("{path}/mod.rs")].into_iter().find(|file| tree.contains_key(file))
    })
}

/// Files whose module is declared under `#[cfg(test)]`, and all below them.
fn test_files(sources: &BTreeMap<&str, Source>) -> BTreeSet<String> {
    let mut roots = Vec::new();
    for (file, source) in sources {
        let folder = match file.strip_suffix("mod.rs") {
            Some(folder) => folder.to_owned(),
            None => format!("{}/", file.trim_end_matches(".rs")),
        };
        roots.extend(source.test_modules.iter().map(|name| format!("{folder}{name}")));
    }
    let is_test = |file: &str| {
        let stem = file.trim_end_matches(".rs");
        roots.iter().any(|root| stem == root || stem.starts_with(&format!("{root}/")))
    };
    sources.keys().filter(|file| is_test(file)).map(|file| (*file).to_owned()).collect()
}

/// A path into this crate, without `crate`.
#[derive(Clone, Debug)]
struct CratePath {
    offset: usize,
    segments: Vec<String>,
    is_test: bool,
}

/// A path as it is named.
#[derive(Clone, Debug)]
struct NamedPath {
    offset: usize,
    segments: Vec<String>,
}

/// A source as the rules see it. Blanks keep offsets and lines as they were.
struct Source {
    /// Comments and literals blanked.
    text: String,
    /// Modules under `#[cfg(test)]` blanked too.
    code: String,
    /// Names of modules that are declared under `#[cfg(test)]` and lie in another file.
    test_modules: Vec<String>,
    /// Every path into this crate.
    crate_paths: Vec<CratePath>,
}

impl Source {
    fn of(raw: &str) -> Source {
        let text = without_comments_and_literals(raw);
        let (code, test_modules) = without_test_modules(&text);
        let crate_paths = crate_paths(&text, &code);
        Source { text, code, test_modules, crate_paths }
    }
}

/// Blanks comments, strings and characters; every other byte stays where it is.
fn without_comments_and_literals(raw: &str) -> String {
    let bytes = raw.as_bytes();
    let mut kept = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let end = skipped(bytes, at);
        for byte in &mut kept[at..end] {
            if *byte != b'\n' {
                *byte = b' ';
            }
        }
        at = end.max(at + 1);
    }
    String::from_utf8_lossy(&kept).into_owned()
}

/// End of the comment or literal that starts at `at`; `at` itself where none does.
fn skipped(bytes: &[u8], at: usize) -> usize {
    let rest = &bytes[at..];
    let is_start_of_word = at == 0 || !is_word(bytes[at - 1]);
    match rest {
        [b'/', b'/', ..] => at + rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len()),
        [b'/', b'*', ..] => end_of_block(bytes, at),
        [b'"', ..] => end_of_string(bytes, at + 1),
        [b'\'', ..] => end_of_character(bytes, at),
        [b'r' | b'b' | b'c', ..] if is_start_of_word => {
            let prefix = rest.iter().take_while(|byte| matches!(byte, b'r' | b'b' | b'c')).count();
            let hashes = rest[prefix..].iter().take_while(|byte| **byte == b'#').count();
            let is_raw = rest[..prefix].contains(&b'r');
            match rest.get(prefix + hashes) {
                Some(b'"') if is_raw => end_of_raw_string(bytes, at + prefix + hashes + 1, hashes),
                Some(b'"') if hashes == 0 => end_of_string(bytes, at + prefix + 1),
                _ => at,
            }
        }
        _ => at,
    }
}

fn end_of_block(bytes: &[u8], start: usize) -> usize {
    let (mut at, mut depth) = (start, 0);
    while at < bytes.len() {
        match &bytes[at..] {
            [b'/', b'*', ..] => (depth, at) = (depth + 1, at + 2),
            [b'*', b'/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
    at
}

fn end_of_string(bytes: &[u8], mut at: usize) -> usize {
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    bytes.len()
}

fn end_of_raw_string(bytes: &[u8], start: usize, hashes: usize) -> usize {
    let closing: Vec<u8> = std::iter::once(b'"').chain(std::iter::repeat_n(b'#', hashes)).collect();
    let found = bytes[start..].windows(closing.len()).position(|window| window == closing);
    found.map_or(bytes.len(), |found| start + found + closing.len())
}

/// A character ends with a quote; a lifetime has none.
fn end_of_character(bytes: &[u8], at: usize) -> usize {
    let is_quote = |index: &usize| bytes.get(*index) == Some(&b'\'');
    match bytes.get(at + 1) {
        Some(b'\\') => (at + 3..bytes.len()).find(is_quote).map_or(at, |end| end + 1),
        // Up to four bytes of UTF-8.
        Some(_) => {
            let wide = bytes[at + 1..].iter().skip(1).take_while(|byte| **byte & 0xc0 == 0x80).count();
            Some(at + 2 + wide).filter(is_quote).map_or(at, |end| end + 1)
        }
        None => at,
    }
}

/// Blanks `#[cfg(test)] mod x { ... }`; gives the names of those that end with a semicolon.
fn without_test_modules(text: &str) -> (String, Vec<String>) {
    const MARK: &str = "#[cfg(test)]";
    let mut code = text.to_owned();
    let mut names = Vec::new();
    for (start, _) in text.match_indices(MARK) {
        let item = text[start + MARK.len()..].trim_start();
        let item = item.strip_prefix("pub(crate) ").or_else(|| item.strip_prefix("pub ")).unwrap_or(item);
        let Some(rest) = item.strip_prefix("mod ") else { continue };
        let name: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        let open = text.len() - rest.len() + name.len();
        let body = text[open..].trim_start();
        if body.starts_with(';') {
            names.push(name);
        } else if body.starts_with('{') {
            let end = end_of_braces(text.as_bytes(), text.len() - body.len());
            let blank: String = text[start..end].chars().map(|c| if c == '\n' { '\n' } else { ' ' }).collect();
            // A wide character would move what follows; literals and comments, where those stand, are blanked already.
            if blank.len() == end - start {
                code.replace_range(start..end, &blank);
            }
        }
    }
    (code, names)
}

fn end_of_braces(bytes: &[u8], start: usize) -> usize {
    let mut depth = 0;
    for (index, byte) in bytes.iter().enumerate().skip(start) {
        match byte {
            b'{' => depth += 1,
            b'}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return index + 1;
        }
    }
    bytes.len()
}

/// Offsets at which `name` stands as a path of its own: not as the end or the beginning of a longer word.
fn names<'a>(text: &'a str, name: &'a str) -> impl Iterator<Item = usize> + 'a {
    let bytes = text.as_bytes();
    let is_whole = move |offset: &usize| {
        let before = offset.checked_sub(1).map(|index| bytes[index]);
        let after = bytes.get(offset + name.len()).copied();
        let open_end = name.ends_with(':');
        !before.is_some_and(is_word) && (open_end || !after.is_some_and(is_word))
    };
    text.match_indices(name).map(|(offset, _)| offset).filter(is_whole)
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// Every `crate::a::b` of a source, those inside of `use crate::{a, b::c}` one by one.
fn crate_paths(text: &str, code: &str) -> Vec<CratePath> {
    let in_crate = |NamedPath { offset, mut segments }| {
        segments.remove(0);
        CratePath { offset, segments, is_test: !code[offset..].starts_with("crate") }
    };
    paths(text, "crate").into_iter().map(in_crate).collect()
}

/// Every path that begins with `root::`; the offset is that of the root.
fn paths(text: &str, root: &str) -> Vec<NamedPath> {
    let start = format!("{root}::");
    let mut found = Vec::new();
    for offset in names(text, &start) {
        // `a::tokio::b` is somebody else's.
        if !text[..offset].ends_with("::") {
            expand(&text[offset..], &[], &mut |segments| found.push(NamedPath { offset, segments }));
        }
    }
    found
}

/// Reads one path, and each branch of its braces; gives the bytes read.
fn expand(text: &str, before: &[String], add: &mut impl FnMut(Vec<String>)) -> usize {
    let mut segments = before.to_vec();
    let mut at = 0;
    loop {
        at += text[at..].len() - text[at..].trim_start().len();
        let rest = &text[at..];
        if rest.starts_with('{') {
            at += 1;
            loop {
                at += text[at..].len() - text[at..].trim_start_matches([',', ' ', '\n']).len();
                if at >= text.len() || text[at..].starts_with('}') {
                    return (at + 1).min(text.len());
                }
                // At least one byte, so that text that is no Rust ends too.
                at += expand(&text[at..], &segments, add).max(1);
            }
        }
        let word: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        at += word.len();
        if !word.is_empty() && word != "self" {
            segments.push(word);
        }
        if text[at..].starts_with("::") {
            at += 2;
        } else {
            add(segments);
            return at;
        }
    }
}

/// The sources of this crate.
fn sources() -> std::io::Result<Tree> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut tree = Tree::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in folder.read_dir()? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(&root).unwrap_or(&path).to_string_lossy().into_owned();
                tree.insert(name, std::fs::read_to_string(&path)?);
            }
        }
    }
    Ok(tree)
}

#[test]
fn the_sources_keep_the_rules() {
    let tree = sources().expect("src/ can be read");
    let found = check(&tree);
    let list: Vec<String> = found.iter().map(Violation::to_string).collect();
    assert!(found.is_empty(), "{} broken rules:\n{}", list.len(), list.join("\n"));
}

#[test]
fn the_table_of_pure_files_is_true() {
    let tree = sources().expect("src/ can be read");
    for pure in PURE {
        assert!(tree.keys().any(|file| file.starts_with(pure)), "{pure} is gone: take it out of the table");
    }
    let order = reading_order(&without_comments_and_literals(&tree["lib.rs"]));
    assert!(order.len() > 10 && order.first().is_some_and(|first| first == "fits"), "{order:?}");
}

/// A tree of two layers and their edges, with one file replaced by `text`.
fn planted(file: &str, text: &str) -> Tree {
    let files = [
        ("lib.rs", "#![doc = \"\"]\npub mod fits;\n\npub mod clock;\n\npub mod merge;\n\npub mod cli;\n"),
        ("main.rs", "//! m\nfn main() -> std::process::ExitCode { dpm::cli::main() }\n"),
        ("fits/mod.rs", "//! f\npub mod card;\n"),
        ("fits/card.rs", "//! c\n"),
        ("clock.rs", "//! c\npub fn now() { Timestamp::now() }\n"),
        ("merge/mod.rs", "//! m\npub mod execute;\npub mod plan;\n#[cfg(test)]\nmod tests;\n"),
        ("merge/plan.rs", "//! p\nuse crate::fits::card::Card;\n"),
        ("merge/execute.rs", "//! e\nuse std::fs::File;\nuse crate::merge::plan::{MergePlan, a::{self, B}};\n"),
        ("merge/tests.rs", "//! t\nuse crate::merge::plan::x;\nfn t() { std::fs::read(\"a\"); }\n"),
        ("cli.rs", "//! c\nuse crate::{clock, merge::plan};\n"),
    ];
    let mut tree: Tree = files.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
    tree.insert(file.to_owned(), text.to_owned());
    tree
}

#[track_caller]
fn finds(file: &str, text: &str, expected: &[(usize, &str)]) {
    let found: Vec<(String, usize, &str)> =
        check(&planted(file, text)).into_iter().map(|one| (one.file, one.line, one.rule)).collect();
    let expected: Vec<(String, usize, &str)> =
        expected.iter().map(|(line, rule)| (file.to_owned(), *line, *rule)).collect();
    assert_eq!(found, expected, "{file}:\n{text}");
}

#[test]
fn a_tree_that_keeps_the_rules_is_clean() {
    finds("cli.rs", "//! c\nuse crate::{clock, merge::plan};\n", &[]);
}

#[test]
fn planted_faults_are_found() {
    finds("fits/card.rs", "//! c\n\nuse crate::merge::plan::X;\n", &[(3, "order")]);
    finds("merge/execute.rs", "//! e\nfn f() -> u8 { crate::cli::main() }\n", &[(2, "order")]);
    finds("merge/execute.rs", "//! e\nuse crate::{\n    fits,\n    cli::{a, b},\n};\n", &[(2, "order")]);
    finds("merge/execute.rs", "//! e\nuse crate::nowhere::X;\n", &[(2, "order")]);
    finds("stray.rs", "//! s\n", &[(1, "order")]);
    finds("merge/plan.rs", "//! p\nuse std::fs::File;\nfn f() { tokio::spawn(g()); }\n", &[(2, "pure"), (3, "pure")]);
    finds("merge/plan.rs", "//! p\nuse std::{collections::BTreeMap, time::{Duration, Instant}};\n", &[(2, "pure")]);
    finds("merge/plan.rs", "//! p\nlet a: std::net::Ipv6Addr;\nlet b: std::net::TcpStream;\n", &[(3, "pure")]);
    finds("merge/plan.rs", "//! p\nuse crate::merge::execute::go;\n", &[(2, "pure")]);
    finds("merge/plan.rs", "//! p\nuse crate::clock;\n", &[(2, "pure")]);
    finds(
        "merge/execute.rs",
        "//! e\nuse sqlx::Pool;\nuse tokio::{fs, net::TcpStream};\n",
        &[(2, "home"), (3, "home")],
    );
    finds("merge/plan.rs", "//! p\nuse super::execute;\n", &[(2, "paths")]);
    finds("cli.rs", "//! c\nuse crate::merge::plan::*;\n", &[(2, "paths")]);
    finds("merge/execute.rs", "//! e\nlet t = jiff::Timestamp::now();\n", &[(2, "clock")]);
    finds("cli.rs", "//! c\nfn f() { std::process::exit(1) }\n", &[(2, "exit")]);
    finds("cli.rs", "//! c\nfn f() -> std::process::ExitCode {}\n", &[(2, "exit")]);
    finds("merge/util.rs", "//! u\n", &[(1, "names")]);
    finds("cli.rs", "// c\n", &[(1, "head")]);
    finds("merge/tests.rs", "//! t\nuse crate::cli::x;\n", &[(2, "order")]);
}

#[test]
fn comments_literals_and_tests_are_no_faults() {
    let quiet = "//! p: see crate::cli and std::fs\n\
        /* crate::cli /* std::fs */ super:: */\n\
        const A: &str = \"crate::cli::x \\\" std::fs\";\n\
        const B: &str = r#\"crate::cli \" std::fs\"#;\n\
        const C: (char, u8) = ('\"', b'\\'');\n\
        fn f<'a>(x: &'a str) -> &'a str { x }\n\
        fn my_tokio_like(entokio: u8) {}\n\
        #[cfg(test)]\nmod tests {\n    use std::fs;\n    fn f() { tokio::spawn(\"}\") }\n}\n";
    finds("merge/plan.rs", quiet, &[]);
    // What follows the tests is code again.
    finds("merge/plan.rs", &format!("{quiet}use std::fs;\n"), &[(13, "pure")]);
}
