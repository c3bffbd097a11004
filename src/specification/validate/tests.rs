//! Specifications as people write them, right and wrong.

use proptest::prelude::{Just, Strategy, any, prop_oneof, proptest};
use proptest::sample::Index;
use serde_json::{Value as Json, json};

use crate::fits::keyword::{Keyword, KeywordKind};
use crate::fits::value::Value;
use crate::specification::location::Location;
use crate::specification::model::{
    DigestAlgorithm, ExtensionNames, FileRole, FolderMode, FolderReceiver, OlasReceiver, PrimaryData, Receiver,
    SortOrder, SourceSpecification, Specification,
};
use crate::specification::validate::{KEYWORDS_MAX, parse, parse_bytes};

/// An ELT specification.
const ELT: &str = r#"{
  "id": "XMPL.2031-02-03T04:05:06.789",
  "sources": [
    {"type": "fitsKeywords", "sourceName": "ocm", "keywords": [
      {"type": "valueKeyword", "name": "OBJECT", "value": "STD-42"},
      {"type": "valueKeyword", "name": "RA", "value": 12.5, "comment": "[deg] pointing"},
      {"type": "esoKeyword", "name": "TPL ID", "value": "XMPL_img_obs", "comment": "Template id"},
      {"type": "literalKeyword", "value": "HISTORY assembled for test"}]},
    {"type": "fitsFile", "sourceName": "ao", "location": "aohost:/data/ao/tlm.fits",
     "alertUnmergeable": false,
     "keywordRules": [
       {"type": "filter", "selectionPatterns": ["+e AOS *", "-e AOS DEBUG *", "+v DATE-OBS"]},
       {"type": "transform", "selectionPatterns": ["+e AOS *"], "regex": "^AOS ", "format": "AOS1 "}]},
    {"type": "fitsFile", "sourceName": "env", "location": "envhost:/data/env.fits", "keywordRules": []}
  ],
  "target": {"fileId": "XMPL.2031-02-03T04:05:06.789",
             "source": {"type": "fitsFile", "sourceName": "det", "location": "dethost:/data/det/f0001.fits"}},
  "receivers": [{"type": "olasReceiver", "path": "/ingest/in", "options": {"allowSymlink": false}}]
}"#;

/// The smallest specification, with `edit` applied.
fn with(edit: impl FnOnce(&mut Json)) -> String {
    let mut root = json!({
        "id": "D1",
        "sources": [
            {"type": "fitsFile", "sourceName": "a", "location": "/a.fits"},
            {"type": "fitsKeywords", "sourceName": "k", "keywords": []}
        ],
        "target": {"fileId": "F1"}
    });
    edit(&mut root);
    root.to_string()
}

fn set(pointer: &str, value: Json) -> String {
    with(|root| {
        let (parent, name) = pointer.rsplit_once('/').expect("pointer");
        match root.pointer_mut(parent).expect("parent") {
            Json::Array(items) => items[name.parse::<usize>().expect("index")] = value,
            object => object[name] = value,
        }
    })
}

fn valid(text: &str) -> Specification {
    parse(text).unwrap_or_else(|error| panic!("{text}\n{error}"))
}

/// All faults, without their lines.
fn faults(text: &str) -> Vec<(String, String)> {
    let error = parse(text).map(|_| ()).expect_err(text);
    let message = |fault: &crate::specification::validate::Fault| {
        fault.hint.as_ref().map_or(fault.message.clone(), |hint| format!("{}; {hint}", fault.message))
    };
    error.faults.iter().map(|fault| (fault.pointer.clone(), message(fault))).collect()
}

/// Exactly one fault, at `pointer`, whose text holds `expected`.
fn check_one(text: &str, pointer: &str, expected: &str) {
    let found = faults(text);
    assert_eq!(found.len(), 1, "{text}\n{found:#?}");
    assert_eq!(found[0].0, pointer, "{found:#?}");
    assert!(found[0].1.contains(expected), "{expected:?} is not in {:?}", found[0].1);
}

#[test]
fn an_elt_specification_is_accepted_unchanged() {
    let specification = valid(ELT);
    assert_eq!(specification.id.as_str(), "XMPL.2031-02-03T04:05:06.789");
    assert_eq!((specification.priority, specification.sources.len()), (0, 3));
    let [SourceSpecification::FitsKeywords(ocm), SourceSpecification::FitsFile(ao), SourceSpecification::FitsFile(env)] =
        specification.sources.as_slice()
    else {
        panic!("{:?}", specification.sources)
    };
    let cards: Vec<String> = ocm.records.iter().flat_map(|r| &r.cards).map(|card| card.text()).collect();
    assert_eq!(cards.len(), 4);
    assert!(cards[1].starts_with("RA      =                 12.5 / [deg] pointing"), "{}", cards[1]);
    assert!(cards[2].starts_with("HIERARCH ESO TPL ID = 'XMPL_img_obs' / Template id"), "{}", cards[2]);
    assert_eq!(ocm.records[3].keyword, Keyword::commentary("HISTORY"));
    assert!(!ao.alert_unmergeable);
    assert_eq!(ao.location, Location::parse("aohost:/data/ao/tlm.fits").expect("location"));
    assert_eq!(ao.keyword_rules.as_ref().map(|rules| rules.0.len()), Some(2));
    assert_eq!((env.primary_data, env.handover, env.alert_unmergeable), (PrimaryData::Alert, false, true));
    assert_eq!(env.keyword_rules.as_ref().map(|rules| rules.0.len()), Some(0));
    let target = &specification.target;
    assert_eq!(target.archive_name(), "XMPL.2031-02-03T04:05:06.789.fits");
    assert_eq!((target.sort, target.extension_names), (SortOrder::Category, ExtensionNames::AsIs));
    let olas = OlasReceiver { path: "/ingest/in".to_owned(), host: String::new(), allow_symlink: false };
    assert_eq!(specification.receivers, [Receiver::Olas(olas)]);
    let files: Vec<_> = specification.file_sources().map(|f| (f.ordinal, f.role, &*f.source.source_name)).collect();
    let source = |index| FileRole::Source { index };
    assert_eq!(files, [(0, FileRole::Target, "det"), (1, source(1), "ao"), (2, source(2), "env")]);
    assert!(parse_bytes(ELT.as_bytes()).is_ok());
}

#[test]
fn older_names_and_extensions() {
    for name in ["SourceFitsFile", "sourceFitsFile", "FitsFileSource"] {
        let specification = valid(&set("/sources/0/type", json!(name)));
        assert!(matches!(&specification.sources[0], SourceSpecification::FitsFile(_)), "{name}");
    }
    for name in ["SourceFitsKeywords", "sourceFitsKeywords", "FitsKeywordsSource"] {
        let specification = valid(&set("/sources/1/type", json!(name)));
        assert!(matches!(&specification.sources[1], SourceSpecification::FitsKeywords(_)), "{name}");
    }
    let specification = valid(&with(|root| {
        root["$schema"] = json!("specification.schema.json");
        root["priority"] = json!(-7);
        root["keywordDictionaries"] = json!(["primary.did"]);
        root["sources"][0]["primaryData"] = json!("asExtension");
        root["sources"][0]["handover"] = json!(true);
        root["sources"][0]["digest"] = json!({"algorithm": "sha256", "value": "AB".repeat(32)});
        root["sources"][1]["sourceName"] = json!("a");
        root["sources"][1]["keywordRules"] = json!([{"type": "filter", "selectionPatterns": ["+ev *"]}]);
        root["target"]["filePrefix"] = json!("RAW_");
        root["target"]["sort"] = json!("none");
        root["target"]["extensionNames"] = json!("unique");
        root["target"]["source"] = json!({"sourceName": "det", "location": "det.fits"});
        root["receivers"] = json!([
            {"type": "olasReceiver", "path": "/in", "host": "ao@dhs", "options": {"noSymlink": true}},
            {"type": "olasReceiver", "path": "/in", "options": {}},
            {"type": "folderReceiver", "path": "/out", "mode": "hardLink"},
            {"type": "objectReceiver", "url": "s3://bucket/prefix/"},
            {"type": "commandReceiver", "argv": ["notify", "--now"]}
        ]);
    }));
    assert_eq!((specification.priority, specification.keyword_dictionaries), (-7, vec!["primary.did".to_owned()]));
    let SourceSpecification::FitsFile(file) = &specification.sources[0] else { panic!("file") };
    assert_eq!((file.primary_data, file.handover), (PrimaryData::AsExtension, true));
    let digest = file.digest.as_ref().expect("digest");
    assert_eq!((digest.algorithm, digest.value.as_str()), (DigestAlgorithm::Sha256, &*"ab".repeat(32)));
    assert_eq!(specification.target.original_name(), "RAW_F1.fits");
    assert_eq!(specification.target.archive_name(), "F1.fits");
    assert_eq!(
        (specification.target.sort, specification.target.extension_names),
        (SortOrder::None, ExtensionNames::Unique)
    );
    let olas = |host: &str, allow_symlink| {
        Receiver::Olas(OlasReceiver { path: "/in".to_owned(), host: host.to_owned(), allow_symlink })
    };
    let expected = [
        olas("ao@dhs", false),
        olas("", true),
        Receiver::Folder(FolderReceiver { path: "/out".to_owned(), mode: FolderMode::HardLink }),
        Receiver::Object { url: "s3://bucket/prefix/".to_owned() },
        Receiver::Command { argv: vec!["notify".to_owned(), "--now".to_owned()] },
    ];
    assert_eq!(specification.receivers, expected);
}

#[test]
fn null_means_absent_where_the_elt_has_optional_members() {
    let specification = valid(&with(|root| {
        root["receivers"] = Json::Null;
        root["target"]["source"] = Json::Null;
        root["target"]["filePrefix"] = Json::Null;
        root["sources"][0]["keywordRules"] = Json::Null;
        root["sources"][0]["alertUnmergeable"] = Json::Null;
        root["sources"][1]["keywords"] = json!([{"type": "valueKeyword", "name": "A", "value": 1, "comment": null}]);
    }));
    let SourceSpecification::FitsFile(file) = &specification.sources[0] else { panic!("file") };
    assert!(file.keyword_rules.is_none() && file.alert_unmergeable && specification.target.source.is_none());
}

#[test]
fn shape_faults() {
    check_one(
        &with(|root| {
            let source = root["sources"][0].as_object_mut().expect("source");
            source.insert("keywordRule".to_owned(), json!([]));
        }),
        "/sources/0/keywordRule",
        "unknown member `keywordRule`; did you mean `keywordRules`",
    );
    for (pointer, value, at, expected) in [
        (
            "/sources/0/type",
            json!("fitsfile"),
            "/sources/0/type",
            "`fitsfile` is not allowed here; did you mean `fitsFile`; allowed are fitsFile, fitsKeywords",
        ),
        ("/sources/0/type", json!(3), "/sources/0/type", "allowed are fitsFile, fitsKeywords"),
        ("/sources/0", json!({}), "/sources/0", "member `type` is missing; add `type`: `fitsFile` or `fitsKeywords`"),
        ("/sources/0", json!(7), "/sources/0", "expected object, found integer"),
        ("/sources/0/location", json!(null), "/sources/0/location", "expected string, found null; host:/path"),
        ("/sources/0/keywords", json!([]), "/sources/0/keywords", "unknown member `keywords`"),
        ("/sources/0/primaryData", json!("asextension"), "/sources/0/primaryData", "did you mean `asExtension`"),
        ("/sources/0/handover", json!("yes"), "/sources/0/handover", "expected boolean, found string"),
        ("/sources/0/sourceName", json!("../x"), "/sources/0/sourceName", "`../x` is not allowed here"),
        ("/sources/0/sourceName", json!(""), "/sources/0/sourceName", "68 printable"),
        ("/sources", json!({}), "/sources", "expected array, found object"),
        ("/priority", json!(1.5), "/priority", "expected integer, found real"),
        ("/priority", json!(u64::MAX), "/priority", "an integer of 64 bits"),
        ("/priority", json!(1e17), "/priority", "without point"),
        ("/id", json!("a/b"), "/id", "`a/b` is not allowed here; 1 to 128 letters"),
        ("/id", json!(""), "/id", "1 to 128 letters"),
        ("/target/fileId", json!(".."), "/target/fileId", "1 to 128 letters"),
        ("/target/filePrefix", json!("../"), "/target/filePrefix", "up to 64 letters"),
        ("/target/sort", json!("alphabet"), "/target/sort", "allowed are category, none"),
        ("/target", json!({}), "/target", "member `fileId` is missing; add `fileId`: archive file id"),
        ("/target/fileID", json!("x"), "/target/fileID", "did you mean `fileId`"),
        ("/receivers", json!([{"type": "olas", "path": "/x"}]), "/receivers/0/type", "allowed are olasReceiver"),
        ("/receivers", json!([{"type": "commandReceiver", "argv": []}]), "/receivers/0/argv", "at least 1"),
        ("/targt", json!({}), "/targt", "did you mean `target`"),
    ] {
        check_one(&set(pointer, value), at, expected);
    }
    check_one("[]", "", "expected object, found array");
    assert_eq!(faults("{}").len(), 3);
}

#[test]
fn faults_of_meaning() {
    for (pointer, value, at, expected) in [
        ("/sources/0/location", json!("h:/a/../b"), "/sources/0/location", "component `..`"),
        ("/sources/0/location", json!("-e sh:/x"), "/sources/0/location", "begins with `-`"),
        ("/sources/0/location", json!("htps://h/x"), "/sources/0/location", "did you mean https://"),
        (
            "/sources/0/digest",
            json!({"algorithm": "blake3", "value": "abc"}),
            "/sources/0/digest/value",
            "64 are needed, 3 characters",
        ),
        (
            "/sources/0/digest",
            json!({"algorithm": "md5", "value": "abc"}),
            "/sources/0/digest/algorithm",
            "allowed are blake3, sha256",
        ),
        ("/receivers", json!([{"type": "olasReceiver", "path": "in"}]), "/receivers/0/path", "not absolute"),
        (
            "/receivers",
            json!([{"type": "olasReceiver", "path": "/in", "host": "-oX"}]),
            "/receivers/0/host",
            "begins with `-`",
        ),
        (
            "/receivers",
            json!([{"type": "olasReceiver", "path": "/in", "options": {"allowSymlink": true, "noSymlink": true}}]),
            "/receivers/0/options",
            "contradict",
        ),
        ("/receivers", json!([{"type": "folderReceiver", "path": "/a/../b"}]), "/receivers/0/path", "`..`"),
        ("/receivers", json!([{"type": "objectReceiver", "url": "file:///x"}]), "/receivers/0/url", "no object store"),
        ("/receivers", json!([{"type": "objectReceiver", "url": "bucket"}]), "/receivers/0/url", "it is no URL"),
        ("/receivers", json!([{"type": "commandReceiver", "argv": ["-x"]}]), "/receivers/0/argv/0", "no program"),
        (
            "/receivers",
            json!([{"type": "commandReceiver", "argv": ["x", "a\nb"]}]),
            "/receivers/0/argv/1",
            "control character",
        ),
    ] {
        check_one(&set(pointer, value), at, expected);
    }
    check_one(
        &with(|root| {
            root["sources"][0] =
                json!({"type": "fitsFile", "sourceName": "a", "location": "https://h/a", "handover": true});
        }),
        "/sources/0/handover",
        "cannot be handed over",
    );
}

#[test]
fn rule_faults() {
    for (pointer, value, at, expected) in [
        (
            "/sources/0/keywordRules",
            json!([{"type": "filter", "selectionPatterns": ["+e A", "x"]}]),
            "/sources/0/keywordRules/0/selectionPatterns/1",
            "begins with `+` or `-`",
        ),
        (
            "/sources/0/keywordRules",
            json!([{"type": "transform", "selectionPatterns": [], "regex": "(", "format": ""}]),
            "/sources/0/keywordRules/0/regex",
            "unclosed group",
        ),
        (
            "/sources/0/keywordRules",
            json!([{"type": "transform", "selectionPatterns": [], "regex": "(?=A)", "format": ""}]),
            "/sources/0/keywordRules/0/regex",
            "no look-around",
        ),
        (
            "/sources/0/keywordRules",
            json!([{"type": "transform", "selectionPatterns": [], "regex": "\\w{5000}", "format": ""}]),
            "/sources/0/keywordRules/0/regex",
            "too large",
        ),
        (
            "/sources/0/keywordRules",
            json!([{"type": "transform", "selectionPatterns": [], "regex": "(A)", "format": "$2"}]),
            "/sources/0/keywordRules/0/format",
            "no group `$2`; the regex has 1 groups",
        ),
        (
            "/sources/0/keywordRules",
            json!([{"type": "filter"}]),
            "/sources/0/keywordRules/0",
            "`selectionPatterns` is missing",
        ),
        (
            "/sources/0/keywordRules",
            json!(vec![json!({"type": "filter", "selectionPatterns": vec!["+e *"; 600]}); 2]),
            "/sources/0/keywordRules",
            "too many selection patterns",
        ),
    ] {
        check_one(&set(pointer, value), at, expected);
    }
}

fn keyword(json: Json) -> String {
    set("/sources/1/keywords", json!([json]))
}

#[test]
fn keyword_faults() {
    let value = |name: &str, value: Json| keyword(json!({"type": "valueKeyword", "name": name, "value": value}));
    let eso = |name: &str| keyword(json!({"type": "esoKeyword", "name": name, "value": 1}));
    let literal = |text: &str| keyword(json!({"type": "literalKeyword", "value": text}));
    let (at, name, val) = ("/sources/1/keywords/0", "/sources/1/keywords/0/name", "/sources/1/keywords/0/value");
    let check = |cases: &[(String, &str, &str)]| {
        cases.iter().for_each(|(text, pointer, expected)| check_one(text, pointer, expected));
    };
    check(&[
        (value("object", json!(1)), name, "write `OBJECT`"),
        (value("OBSERVATION", json!(1)), name, "esoKeywords"),
        (value("TPL ID", json!(1)), name, "esoKeywords"),
        (value("HIERARCH ESO TPL ID", json!(1)), name, "give it as an esoKeyword"),
        (value("", json!(1)), name, "literalKeyword"),
        (value("COMMENT", json!("x")), name, "give it as a literalKeyword"),
        (value("OBJÉCT", json!(1)), name, "`OBJÉCT`"),
        (value("A\nB", json!(1)), name, "A\\nB"),
        (value("NAXIS1", json!(1)), name, "remove it: the merger writes it"),
        (value("SIMPLE", json!(true)), name, "structure of the file"),
        (value("END", json!(1)), name, "END"),
        (value("A", Json::Null), val, "FITS has no null"),
        (value("A", json!([1])), val, "expected string or boolean or number, found array"),
        (value("A", json!("é")), val, "keyword A: "),
        (value("A", json!("a\nb")), val, "keyword A: "),
        (eso("HIERARCH ESO TPL ID"), name, "write `TPL ID`"),
        (eso("ESO TPL ID"), name, "write `TPL ID`"),
        (eso("tpl id"), name, "write `TPL ID`"),
        (eso("TPL  ID"), name, "single spaces"),
        (eso(&"X".repeat(64)), name, "shorten it to 63"),
        (literal(&"X".repeat(81)), val, "shorten it to 80"),
        (literal("comment x"), val, "begin it with `COMMENT`"),
        (literal("NAXIS   =                    2"), val, "the merger writes it"),
        (literal("END"), val, "END"),
        (literal("CONTINUE  'x'"), val, "CONTINUE"),
        (literal("A       = 'x"), val, "closing quote"),
        (keyword(json!({"type": "valueKeyword", "value": 1})), at, "`name` is missing"),
        (keyword(json!({"type": "valueKeyword", "name": "A"})), at, "`value` is missing"),
        (keyword(json!({"type": "literalKeyword", "value": 1})), val, "expected string, found integer"),
        (keyword(json!({"type": "esokeyword"})), "/sources/1/keywords/0/type", "did you mean `esoKeyword`"),
        (
            keyword(json!({"type": "valueKeyword", "name": "A", "value": 1, "comment": "°"})),
            "/sources/1/keywords/0/comment",
            "keyword A: ",
        ),
        (
            keyword(json!({"type": "valueKeyword", "name": "A", "value": 1, "coment": "x"})),
            "/sources/1/keywords/0/coment",
            "did you mean `comment`",
        ),
    ]);
    let long = keyword(json!({"type": "esoKeyword", "name": "X".repeat(63), "value": 1234567}));
    check_one(&long, val, "does not fit");
}

#[test]
fn keyword_values() {
    let check = |text: &str, expected: Value| {
        let keyword = format!(r#"{{"type": "valueKeyword", "name": "A", "value": {text}}}"#);
        let text = set("/sources/1/keywords", json!("HERE")).replace("\"HERE\"", &format!("[{keyword}]"));
        let specification = valid(&text);
        let SourceSpecification::FitsKeywords(source) = &specification.sources[1] else { panic!("keywords") };
        assert_eq!(source.records[0].value(), Ok(Some(expected)), "{text}");
    };
    check("true", Value::Logical(true));
    check("18446744073709551615", Value::Integer(i128::from(u64::MAX)));
    check("-9223372036854775808", Value::Integer(i128::from(i64::MIN)));
    check("-0", Value::Integer(0));
    check("1.0", Value::Real(1.0));
    check("1e3", Value::Real(1000.0));
    check("0.1", Value::Real(0.1));
    check("\"T\"", Value::String("T".to_owned()));
    check("\"'12' / x\"", Value::String("'12' / x".to_owned()));
    let long = "word ".repeat(40) + "end";
    check(&format!("\"{long}\""), Value::String(long.clone()));
    let big = set("/sources/1/keywords", json!("HERE"))
        .replace("\"HERE\"", r#"[{"type": "valueKeyword", "name": "A", "value": 18446744073709551616}]"#);
    check_one(&big, "/sources/1/keywords/0/value", "integer beyond 64 bits");
}

#[test]
fn reserved_and_core_keywords_are_accepted() {
    for name in ["ARCFILE", "ORIGFILE", "DATE", "CHECKSUM", "DATASUM", "EXTEND", "BSCALE"] {
        valid(&keyword(json!({"type": "valueKeyword", "name": name, "value": "x"})));
    }
    let specification = valid(&keyword(json!({"type": "literalKeyword", "value": ""})));
    let SourceSpecification::FitsKeywords(source) = &specification.sources[1] else { panic!("keywords") };
    assert_eq!(source.records[0].keyword.kind, KeywordKind::Commentary);
}

#[test]
fn every_fault_at_once_in_the_order_of_the_text() {
    let text = r#"{
  "id": "a b",
  "sources": [
    {"type": "fitsFile", "sourceName": "x",
     "locaton": "/a"},
    {"type": "fitsFile", "sourceName": "x",
     "location": "-x", "location": "/b"},
    {"type": "fitsKeywords", "sourceName": "y", "keywords": [
      {"type": "valueKeyword", "name": "object", "value": null},
      {"type": "valueKeyword", "name": "A", "value": 99999999999999999999}]}
  ],
  "target": {"fileId": "f"},
  "receivers": [{"type": "folderReceiver", "path": "in"}]
}"#;
    let printed = parse(text).map(|_| ()).expect_err("faulty").to_string();
    let expected = [
        "/id (line 2): `a b` is not allowed here; 1 to 128 letters, digits and . _ : + -, the first a letter or digit: \
         it becomes a file name",
        "/sources/0 (line 4): member `location` is missing; add `location`: host:/path, /path, a relative path, or a \
         URL: file, ssh, rsync, http, https, s3, gs, az",
        "/sources/0/locaton (line 5): unknown member `locaton`; did you mean `location`",
        "/sources/1/location (line 7): member `location` is given twice; keep one of them",
        "/sources/2/keywords/0/name (line 9): `object`: the keyword name has the lower-case letter 'o': write it in \
         capitals; write `OBJECT`",
        "/sources/2/keywords/0/value (line 9): expected string or boolean or number, found null; FITS has no null: \
         leave the keyword out, or give \"\"",
        "/sources/2/keywords/1/value (line 10): integer beyond 64 bits; integers have at most 64 bits: write a real \
         (with point or exponent) or a string",
        "/receivers/0/path (line 13): `in`: the path is not absolute; begin it with `/`",
    ];
    assert_eq!(printed.lines().collect::<Vec<_>>(), expected);
}

#[test]
fn text_that_is_no_json() {
    let text = ELT.replace("tlm.fits\",", "tlm.fits\",,");
    assert!(parse(&text).is_err());
    let trailing = ELT.replace("\"keywordRules\": []}", "\"keywordRules\": [],}");
    let column = trailing.lines().nth(13).and_then(|line| line.find(",}")).expect("line 14") + 1;
    let error = parse(&trailing).map(|_| ()).expect_err("trailing comma").to_string();
    let expected = format!(
        "specification (line 14): not valid JSON: trailing comma at line 14 column {column}; remove the comma: JSON \
         allows none behind the last element"
    );
    assert_eq!(error, expected);
    assert!(parse_bytes(b"\xff").map(|_| ()).expect_err("bytes").to_string().contains("UTF-8"));
    assert!(parse("\u{feff}{}").map(|_| ()).expect_err("mark").to_string().contains("byte order mark"));
}

#[test]
fn counts_are_limited() {
    let list = |count| vec![json!({"type": "literalKeyword", "value": ""}); count];
    let half = json!({"type": "fitsKeywords", "sourceName": "k", "keywords": list(KEYWORDS_MAX / 2)});
    let text = set("/sources", json!([half, half]));
    assert!(parse(&text).is_ok());
    let one = json!({"type": "fitsKeywords", "sourceName": "k", "keywords": list(1)});
    check_one(&set("/sources", json!([half, half, one, one])), "/sources/2/keywords", "too many keywords");
    check_one(&set("/sources/1/keywords", json!(list(KEYWORDS_MAX + 1))), "/sources/1/keywords", "at most 200000");
    let source = json!({"type": "fitsKeywords", "sourceName": "k", "keywords": []});
    check_one(&set("/sources", json!(vec![source; 10_001])), "/sources", "at most 10000");
}

/// A pointer to some value of `root`, chosen by `index`.
fn some_pointer(root: &Json, index: Index) -> String {
    fn visit(value: &Json, pointer: &str, all: &mut Vec<String>) {
        all.push(pointer.to_owned());
        match value {
            Json::Object(members) => members.iter().for_each(|(name, v)| visit(v, &format!("{pointer}/{name}"), all)),
            Json::Array(items) => items.iter().enumerate().for_each(|(i, v)| visit(v, &format!("{pointer}/{i}"), all)),
            _ => {}
        }
    }
    let mut all = Vec::new();
    visit(root, "", &mut all);
    index.get(&all).clone()
}

fn any_json() -> impl Strategy<Value = Json> {
    prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        any::<f64>().prop_map(Json::from),
        any::<String>().prop_map(Json::from),
        "[+-][evc] [A\\[\\]*!-]{0,6}".prop_map(Json::from),
        Just(json!([])),
        Just(json!({})),
        Just(json!([[{"type": "fitsFile"}]])),
    ]
}

proptest! {
    #[test]
    fn mutated_values_never_panic(index in any::<Index>(), value in any_json()) {
        let mut root: Json = serde_json::from_str(ELT).expect("valid");
        let pointer = some_pointer(&root, index);
        *root.pointer_mut(&pointer).expect("there") = value;
        if let Err(error) = parse(&root.to_string()) {
            assert!(!error.faults.is_empty());
            assert!(error.faults.iter().all(|fault| fault.line == Some(1)), "{error}");
        }
    }

    #[test]
    fn mutated_text_never_panics(at in any::<Index>(), bytes in any::<Vec<u8>>(), length in 0_usize..20) {
        let mut text = ELT.as_bytes().to_vec();
        let start = at.index(text.len());
        let end = (start + length).min(text.len());
        text.splice(start..end, bytes);
        if let Err(error) = parse_bytes(&text) {
            assert!(!error.to_string().is_empty());
        }
    }
}
