//! Tests of the layers together, of every message, and of the schema against the table.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::config::sections::{KEYS, SECTIONS};
use crate::config::setting::{Kind, PATHS_MAX};
use crate::config::{Configuration, ConfigurationError, LogFormat, Overrides, SCHEMA, load_with};
use crate::specification;
use crate::specification::model::Receiver;
use crate::transfer::plan::CollectMode;

fn variables(pairs: &[(&str, &str)]) -> impl Iterator<Item = (String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect::<Vec<_>>().into_iter()
}

/// Loads `text` as a file, which is called FILE in messages.
fn load(text: &str, environment: &[(&str, &str)], overrides: Overrides) -> Result<Configuration, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dpm.toml");
    std::io::Write::write_all(&mut std::fs::File::create(&path).unwrap(), text.as_bytes()).unwrap();
    let outcome = Configuration::load(Some(&path), variables(environment), overrides);
    outcome.map_err(|error: ConfigurationError| error.to_string().replace(&path.display().to_string(), "FILE"))
}

fn check_faults(text: &str, environment: &[(&str, &str)], expected: &[&str]) {
    let error = load(text, environment, Overrides::default()).expect_err(text);
    assert_eq!(error.lines().collect::<Vec<&str>>(), expected, "{text}");
}

#[test]
fn without_anything_there_are_defaults() {
    let configuration =
        load_with(None, Path::new("/nonexistent/dpm.toml"), variables(&[]), Overrides::default()).unwrap();
    assert_eq!(configuration.file(), None);
    assert!(Configuration::default().changed_keys(&configuration).is_empty());
    assert_eq!(configuration.socket_path(), Path::new("dpm-workspace/dpm.sock"));
    let settings = configuration.engine_settings(vec!["here".to_owned()], PathBuf::from("/bin/dpm"));
    assert_eq!((settings.limits.daqs, settings.limits.merges, settings.queue_length), (4, 2, 10_000));
    assert_eq!((settings.collect, settings.worker_niceness), (CollectMode::Reference, 5));
    assert_eq!((settings.retry.attempts, settings.retry.longest_pause), (3, Duration::from_secs(60)));
    assert_eq!((settings.local_hosts, settings.default_receivers), (vec!["here".to_owned()], vec![]));
}

#[test]
fn defaults_are_valid() {
    let defaults = Configuration::default();
    for key in KEYS {
        let value = defaults.value(key);
        assert!(value.is_null() || key.kind.check(&value).is_ok(), "{}", key.path());
    }
}

/// The fields are as wide as the ranges.
#[test]
fn every_field_holds_the_bounds_of_its_key() {
    let mut configuration = Configuration::default();
    for key in KEYS {
        let bounds = match key.kind {
            Kind::Integer(min, max) => vec![json!(min), json!(max)],
            Kind::Real(min, max) => vec![json!(min), json!(max), json!(1)],
            Kind::Boolean => vec![json!(true), json!(false)],
            Kind::Choice(words) => words.iter().map(|word| json!(word)).collect(),
            Kind::Path(_) => vec![json!("/x")],
            Kind::Paths(_) => vec![json!([]), json!(["/x", "y"])],
            Kind::LogLevel => vec![json!("warn")],
            Kind::Receivers => vec![json!([{"type": "folderReceiver", "path": "/data", "mode": "auto"}])],
        };
        for value in bounds {
            assert!(key.kind.check(&value).is_ok() && configuration.set(key, &value), "{} {value}", key.path());
            assert!(configuration.value(key) == value || value == json!(1), "{} {value}", key.path());
        }
    }
}

#[test]
fn flags_win_over_the_environment_and_that_over_the_file() {
    let text = "[workspace]\npath = '/file'\n[limits]\nmerges = 3\ndaqs = 9\n[log]\nlevel = 'debug'";
    let environment = [
        ("DPM_LIMITS__MERGES", "7"),
        ("DPM_COLLECT__LOCAL", "copy"),
        ("DPM_WORKSPACE__PATH", "/variable"),
        ("PATH", ""),
    ];
    let loaded = load(text, &environment, Overrides::default()).unwrap();
    assert_eq!((loaded.limits.merges, loaded.limits.daqs, loaded.limits.transfers), (7, 9, 4));
    assert_eq!((loaded.collect.local, loaded.log.level.as_str()), (CollectMode::Copy, "debug"));
    assert_eq!(loaded.socket_path(), Path::new("/variable/dpm.sock"));

    let short = [environment[2], ("DPM_WORKSPACE", "/short"), ("DPM_SOCKET", "/run/s"), ("DPM_LIMITS__DAQS", "")];
    let loaded = load(text, &short, Overrides::default()).unwrap();
    assert_eq!((loaded.workspace.path.as_path(), loaded.limits.daqs), (Path::new("/short"), 9));
    assert_eq!(loaded.socket_path(), Path::new("/run/s"));

    let flags = Overrides {
        workspace: Some("/flag".into()),
        socket: Some("s".into()),
        log_level: Some("off".to_owned()),
        log_format: Some(LogFormat::Json),
    };
    let loaded = load(text, &short, flags).unwrap();
    assert_eq!((loaded.workspace.path.as_path(), loaded.socket_path().as_path()), (Path::new("/flag"), Path::new("s")));
    assert_eq!((loaded.log.level.as_str(), loaded.log.format), ("off", LogFormat::Json));
}

#[test]
fn a_flag_may_be_no_text() {
    use std::os::unix::ffi::OsStringExt;
    let path = PathBuf::from(std::ffi::OsString::from_vec(b"/a\xff".to_vec()));
    let loaded = load("", &[], Overrides { workspace: Some(path.clone()), ..Overrides::default() }).unwrap();
    assert_eq!(loaded.workspace.path, path);
    assert!(loaded.to_toml().contains("# from --workspace"));
}

#[test]
fn unknown_keys_are_faults_with_suggestions() {
    check_faults(
        "merges = 2\n[limit]\nmerges = 2\n[limits]\nmergs = 2\nniceness = 4\n[inbox]\nelephant = 1\n[elephant]",
        &[],
        &[
            "FILE:1: merges: unknown key; write it under [limits]",
            "FILE:2: limit: unknown section; did you mean `limits`?",
            "FILE:5: limits.mergs: unknown key; did you mean `merges`?",
            "FILE:6: limits.niceness: unknown key; `niceness` is a key of [merge]",
            "FILE:8: inbox.elephant: unknown key; the keys of [inbox] are enabled",
            "FILE:9: elephant: unknown section; the sections are workspace, server, limits, collect, merge, \
             dictionaries, release, retry, inbox, log",
        ],
    );
    check_faults(
        "",
        &[("DPM_LIMITS__MERGS", "2"), ("DPM_LIMITS_MERGES", "2"), ("DPM_A__B", "2"), ("DPM_OTHER", "2")],
        &[
            "environment variable DPM_A__B: sets no key; a key is set by DPM_SECTION__KEY; unset it if it is not for dpm",
            "environment variable DPM_LIMITS_MERGES: sets no key; did you mean DPM_LIMITS__MERGES?",
            "environment variable DPM_LIMITS__MERGS: sets no key; did you mean DPM_LIMITS__MERGES?",
        ],
    );
}

#[test]
fn wrong_types_and_ranges_are_faults_all_at_once() {
    check_faults(
        "limits = 3\n[server]\nsocket = 7\nmax_connections = 0\nmax_request_bytes = 1.5\n\
         [merge]\nniceness = '5'\n[inbox]\nenabled = 'yes'\n[collect]\nlocal = 'Copy'\n\
         [retry]\nattempts = 99999999999999999999\nfirst_pause_seconds = nan\nlongest_pause_seconds = -1\n\
         [log]\nlevel = 'inof'\nformat = [1]\n[workspace]\npath = '~/dpm'\n[release]\nreceivers = 2031-02-03",
        &[("DPM_MERGE__NICENESS", "twenty"), ("DPM_INBOX__ENABLED", "1"), ("DPM_RETRY__ATTEMPTS", "-1")],
        &[
            "FILE:1: limits: is an integer, not a section; write [limits]",
            "FILE:3: server.socket: `7` is not a path; write it in quotation marks",
            "FILE:4: server.max_connections: `0` is not an integer from 1 to 100000",
            "FILE:5: server.max_request_bytes: `1.5` is not an integer from 4096 to 268435456",
            "FILE:7: merge.niceness: the text `5` is not an integer from 0 to 19; write it without quotation marks",
            "FILE:9: inbox.enabled: the text `yes` is not true or false",
            "FILE:11: collect.local: the text `Copy` is not reference or copy; did you mean `copy`?",
            "FILE:13: retry.attempts: the integer has more than 64 bits; write it in quotation marks, or as a plain \
             number",
            "FILE:14: retry.first_pause_seconds: the number is not finite; write it in quotation marks, or as a plain \
             number",
            "FILE:15: retry.longest_pause_seconds: `-1` is not a number from 0 to 86400",
            "FILE:17: log.level: `inof` is not a level; did you mean `info`?",
            "FILE:18: log.format: a list is not text or json",
            "FILE:20: workspace.path: `~/dpm`: `~` is not expanded here; write the home folder out",
            "FILE:22: release.receivers: no setting is a date or time; write it in quotation marks, or as a plain number",
            "environment variable DPM_INBOX__ENABLED: inbox.enabled: the text `1` is not true or false",
            "environment variable DPM_MERGE__NICENESS: merge.niceness: the text `twenty` is not an integer from 0 to 19",
            "environment variable DPM_RETRY__ATTEMPTS: retry.attempts: `-1` is not an integer from 1 to 1000",
        ],
    );
    let overrides = Overrides {
        workspace: Some("".into()),
        socket: Some("x".repeat(200).into()),
        log_level: Some("".to_owned()),
        ..Overrides::default()
    };
    let error = load("", &[("DPM_WORKSPACE", "/a\u{fffd}")], overrides).unwrap_err();
    let starts =
        ["environment variable DPM_WORKSPACE: workspace.path: `/a", "--workspace: ", "--socket: ", "--log-level: "];
    assert_eq!(error.lines().count(), starts.len(), "{error}");
    for (line, start) in error.lines().zip(starts) {
        assert!(line.starts_with(start), "{line}");
    }
}

#[test]
fn keys_must_fit_together() {
    let fault = "the first pause (5 s) is longer than the longest (2 s); raise retry.longest_pause_seconds or lower \
                 retry.first_pause_seconds";
    let text = "[retry]\nlongest_pause_seconds = 2";
    let variable = [("DPM_RETRY__FIRST_PAUSE_SECONDS", "5")];
    let place = "environment variable DPM_RETRY__FIRST_PAUSE_SECONDS: retry.first_pause_seconds";
    check_faults(text, &variable, &[&format!("{place}: {fault}")]);
    let text = "[retry]\nlongest_pause_seconds = 0.5";
    let fault = fault.replace("5 s", "1 s").replace("2 s", "0.5 s");
    check_faults(text, &[], &[&format!("FILE:2: retry.longest_pause_seconds: {fault}")]);
}

#[test]
fn receivers_are_those_of_a_specification() {
    let text = "[[release.receivers]]\ntype = 'folderReceiver'\npath = '/data'\n\
                [[release.receivers]]\ntype = 'olasReceiver'\npath = '/in'\nhost = 'archive'";
    let loaded = load(text, &[], Overrides::default()).unwrap();
    assert!(matches!(loaded.release.receivers[..], [Receiver::Folder(_), Receiver::Olas(_)]));
    let variable = [("DPM_RELEASE__RECEIVERS", r#"[{"type": "folderReceiver", "path": "/data"}]"#)];
    assert_eq!(load("", &variable, Overrides::default()).unwrap().release.receivers.len(), 1);

    let error = load(
        "[release]\nreceivers = [\n{ type = 'folderReceiver', path = 'data' },\n{ type = 'folderReceiver', pth = '/d' }]",
        &[("DPM_RELEASE__RECEIVERS", "/data")],
        Overrides::default(),
    );
    let error = error.unwrap_err();
    let starts = [
        "FILE:3: release.receivers[0].path: `data`",
        "FILE:4: release.receivers[1]",
        "FILE:4: release.receivers[1].pth",
        "environment variable DPM_RELEASE__RECEIVERS: release.receivers: the text `/data` is not a list of receivers; ",
    ];
    assert_eq!(error.lines().count(), starts.len(), "{error}");
    for (line, start) in error.lines().zip(starts) {
        assert!(line.starts_with(start), "{line}");
    }
}

#[test]
fn what_is_no_toml_is_reported_alone() {
    let error = load("[limits]\nmerges = \nmergs = 2\n[limits]\n", &[], Overrides::default()).unwrap_err();
    assert!(error.lines().all(|line| line.contains(": not TOML: ")), "{error}");
    assert!(error.lines().any(|line| line.starts_with("FILE:2: ")), "{error}");
    assert!(error.lines().any(|line| line.starts_with("FILE:4: ")), "{error}");
}

#[test]
fn files_that_cannot_be_read() {
    let load_file = |path: &Path| Configuration::load(Some(path), variables(&[]), Overrides::default());
    let folder = tempfile::tempdir().unwrap();
    for path in [folder.path().join("none"), folder.path().to_path_buf(), PathBuf::from("/dev/zero")] {
        let error = load_file(&path).unwrap_err();
        assert_eq!(error.faults.len(), 1, "{error}");
        assert!(error.to_string().starts_with(&path.display().to_string()), "{error}");
    }
    let by_variable = [("DPM_CONFIG", "/nonexistent/a\nb.toml")];
    let error = Configuration::load(None, variables(&by_variable), Overrides::default()).unwrap_err();
    assert_eq!(error.to_string().lines().count(), 1, "{error}");
    // A named file wins over the variable, and the one in its place need not exist.
    assert!(load("", &by_variable, Overrides::default()).is_ok());
}

#[test]
fn a_hostile_number_of_faults_is_bounded() {
    let text: String = (0..5000).map(|index| format!("key{index} = 1\n")).collect();
    let error = load(&text, &[], Overrides::default()).unwrap_err();
    assert_eq!(error.lines().count(), 1001);
    assert!(error.lines().last().unwrap().contains("4000 more faults"), "{error}");
}

#[test]
fn printed_settings_read_back_the_same_and_say_where_they_were_set() {
    let text = "[server]\nsocket = '/run/dpm \"x\".sock'\n[log]\nlevel = 'info,dpm=debug'\n[[release.receivers]]\n\
                type = 'commandReceiver'\nargv = ['/bin/a', \"it's\"]\n[retry]\nfirst_pause_seconds = 2";
    let loaded = load(text, &[("DPM_LIMITS__MERGES", "7")], Overrides::default()).unwrap();
    let printed = loaded.to_toml();
    let again = load(&printed, &[], Overrides::default()).unwrap();
    assert!(loaded.changed_keys(&again).is_empty(), "{printed}");
    for line in [
        "merges = 7  # from environment variable DPM_LIMITS__MERGES",
        "daqs = 4  # default",
        "first_pause_seconds = 2.0  # from ",
        "[release]",
    ] {
        assert!(printed.lines().any(|printed| printed.starts_with(line)), "{line}\n{printed}");
    }
    assert!(printed.lines().any(|line| line.starts_with("level = ") && line.ends_with("dpm.toml:4")), "{printed}");
    assert!(printed.lines().all(|line| line.chars().count() <= 120 || line.contains("# from ")), "{printed}");
    let defaults = Configuration::default().to_toml();
    assert!(defaults.contains("# socket = \"dpm-workspace/dpm.sock\"  # default"), "{defaults}");
    let changed = loaded.changed_keys(&load(&defaults, &[], Overrides::default()).unwrap());
    assert_eq!(
        changed,
        ["server.socket", "limits.merges", "release.receivers", "retry.first_pause_seconds", "log.level"]
    );
}

#[test]
fn the_schema_is_that_of_the_table() {
    let expected = schema_of_the_table();
    let schema: Value = serde_json::from_str(SCHEMA).unwrap();
    for key in KEYS {
        let pointer = format!("/properties/{}/properties/{}", key.section, key.name);
        assert_eq!(schema.pointer(&pointer), expected.pointer(&pointer), "{pointer}");
    }
    assert_eq!(schema, expected);
    assert!(jsonschema::draft202012::meta::is_valid(&schema));
}

/// What the schema allows is what loading allows, wherever a schema can say it.
#[test]
fn the_schema_judges_as_loading_does() {
    let schema: Value = serde_json::from_str(SCHEMA).unwrap();
    let validator = jsonschema::draft202012::new(&schema).unwrap();
    for text in [
        "",
        "[limits]\nmerges = 0",
        "[retry]\nfirst_pause_seconds = 2",
        "[[release.receivers]]\ntype = 'folderReceiver'\npath = '/d'",
        "[limits]\nmerges = -1",
        "[limits]\nqueue_length = 0",
        "[limits]\nmergs = 1",
        "[limit]",
        "[merge]\nniceness = 20",
        "[log]\nlevel = ''",
        "[log]\nformat = 'xml'",
        "[[release.receivers]]\ntype = 'folderReceiver'",
        "[inbox]\nenabled = 1",
    ] {
        let value = serde_json::to_value(text.parse::<toml::Table>().unwrap()).unwrap();
        let loaded = load(text, &[], Overrides::default());
        assert_eq!(validator.is_valid(&value), loaded.is_ok(), "{text}\n{loaded:?}");
    }
}

fn schema_of_the_table() -> Value {
    let sections: Map<String, Value> =
        SECTIONS.iter().map(|(section, doc)| ((*section).to_owned(), section_schema(section, doc))).collect();
    let source: Value = serde_json::from_str(specification::schema::SCHEMA).unwrap();
    let is_receiver = |name: &String| name.to_lowercase().ends_with("receiver");
    let definitions = source["$defs"].as_object().unwrap().iter().filter(|(name, _)| is_receiver(name));
    let definitions: Map<String, Value> = definitions.map(|(name, value)| (name.clone(), value.clone())).collect();
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "urn:dpm:schema:configuration",
        "title": "Configuration of dpm",
        "description": "Settings in TOML; every key is optional, and unknown ones are errors. The environment variable \
                        DPM_SECTION__KEY sets one key and wins over the file; flags win over both.",
        "type": "object",
        "additionalProperties": false,
        "properties": sections,
        "$defs": definitions,
    })
}

fn section_schema(section: &str, doc: &str) -> Value {
    let defaults = Configuration::default();
    let keys = KEYS.iter().filter(|key| key.section == section);
    let properties: Map<String, Value> = keys
        .map(|key| {
            let mut schema = match key.kind {
                Kind::Integer(min, max) => json!({"type": "integer", "minimum": min, "maximum": max}),
                Kind::Real(min, max) => json!({"type": "number", "minimum": min, "maximum": max}),
                Kind::Boolean => json!({"type": "boolean"}),
                Kind::Choice(words) => json!({"enum": words}),
                Kind::Path(bytes_max) => json!({"type": "string", "minLength": 1, "maxLength": bytes_max}),
                Kind::Paths(bytes_max) => json!({
                    "type": "array",
                    "maxItems": PATHS_MAX,
                    "items": {"type": "string", "minLength": 1, "maxLength": bytes_max}
                }),
                Kind::LogLevel => {
                    json!({"type": "string", "minLength": 1, "maxLength": crate::config::level::LEVEL_BYTES_MAX})
                }
                Kind::Receivers => json!({"type": "array", "maxItems": 100, "items": {"$ref": "#/$defs/receiver"}}),
            };
            schema["description"] = json!(key.doc.trim());
            if !defaults.value(key).is_null() {
                schema["default"] = defaults.value(key);
            }
            (key.name.to_owned(), schema)
        })
        .collect();
    let description = doc.trim();
    json!({"description": description, "type": "object", "additionalProperties": false, "properties": properties})
}
