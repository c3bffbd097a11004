//! The command socket spoken to in raw JSON-RPC: every command, and everything a broken or hostile client may send.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    reason = "a test ends where something unexpected happens, and its files need not survive a power cut"
)]

mod common;

use std::fs;
use std::os::unix::net::UnixStream;

use serde_json::{Value, json};

use crate::common::daemon::Daemon;
use crate::common::rpc::Rpc;
use crate::common::{Scene, fits, samples, until};

/// Asserts that a further client is served.
#[track_caller]
fn serves(daemon: &Daemon<'_>) {
    assert_eq!(daemon.rpc().call("GetActiveDaqs", Value::Null), Ok(json!([])));
}

#[track_caller]
fn assert_error(answer: &Value, code: i64, kind: &str, part: &str) {
    assert_eq!(answer["error"]["code"], json!(code), "{answer}");
    assert_eq!(answer["error"]["data"]["kind"], kind, "{answer}");
    let message = answer["error"]["message"].as_str().unwrap();
    assert!(message.contains(part), "'{part}' in {message}");
    assert!(answer["error"]["data"]["remedy"].as_str().is_some_and(|remedy| !remedy.is_empty()), "{answer}");
}

#[test]
fn a_workspace_that_is_gone_ends_the_daemon_and_is_not_made_again() {
    let scene = Scene::new();
    let daemon = Daemon::start(&scene);
    until("all of it has started", || daemon.log().contains("dpm serves").then_some(()));
    let workspace = daemon.workspace().to_owned();
    fs::rename(&workspace, scene.path("elsewhere")).unwrap();
    let log = scene.path("daemon.log");
    assert_eq!(daemon.wait(), Some(73));
    assert!(fs::read_to_string(log).unwrap().contains("removed, replaced or unmounted"));
    assert!(!workspace.exists());
    fs::rename(scene.path("elsewhere"), &workspace).unwrap();
    serves(&Daemon::start(&scene));
}

#[test]
fn each_wrong_line_gets_its_own_error_and_the_connection_goes_on() {
    let scene = Scene::new();
    let daemon = Daemon::start(&scene);
    let mut rpc = daemon.rpc();
    let cases: [(&[u8], i64, &str, &str); 19] = [
        (b"{", -32700, "ParseError", "no JSON"),
        (b"\xff\xfe\x00", -32700, "ParseError", "no JSON"),
        (b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"GetActiveDaqs\"} x", -32700, "ParseError", "no JSON"),
        (b"{\"jsonrpc\":\"2.0\",\"id\":1e999,\"method\":\"GetActiveDaqs\"}", -32700, "ParseError", "no JSON"),
        (b"{\"jsonrpc\":\"2.0\",\"id\":\"\\ud800\",\"method\":\"Exit\"}", -32700, "ParseError", "no JSON"),
        (b"\xef\xbb\xbf{}", -32700, "ParseError", "no JSON"),
        (b"[]", -32600, "InvalidRequest", "batches"),
        (b"[{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"Exit\"}]", -32600, "InvalidRequest", "batches"),
        (b"null", -32600, "InvalidRequest", "object"),
        (b"{\"id\":1,\"method\":\"Exit\"}", -32600, "InvalidRequest", "jsonrpc"),
        (b"{\"jsonrpc\":\"1.0\",\"id\":1,\"method\":\"Exit\"}", -32600, "InvalidRequest", "jsonrpc"),
        (b"{\"jsonrpc\":\"2.0\",\"id\":{},\"method\":\"Exit\"}", -32600, "InvalidRequest", "id"),
        (b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":7}", -32600, "InvalidRequest", "method"),
        (b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"exit\"}", -32601, "UnknownMethod", "did you mean 'Exit'"),
        (b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"\\u001b[31m\"}", -32601, "UnknownMethod", "\\u{1b}"),
        (
            b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"GetDaqStatus\",\"params\":{\"id\":5}}",
            -32602,
            "InvalidParameters",
            "'id'",
        ),
        (
            b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"GetDaqStatus\",\"params\":[\"a\"]}",
            -32602,
            "InvalidParameters",
            "object",
        ),
        (b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"GetDaqStatus\"}", -32602, "InvalidParameters", "id"),
        (
            b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"AbortDaq\",\"params\":{\"id\":\"a\",\"force\":true}}",
            -32602,
            "InvalidParameters",
            "force",
        ),
    ];
    for (line, code, kind, part) in cases {
        assert_error(&rpc.raw(line), code, kind, part);
    }
    let unknown = rpc.raw(br#"{"jsonrpc":"2.0","id":"x","method":"GetDaqStatus","params":{"id":"../../etc"}}"#);
    assert_error(&unknown, -32002, "UnknownDaq", "../../etc");
    assert_eq!(unknown["id"], "x");
    serves(&daemon);
}

#[test]
fn a_nesting_bomb_is_refused() {
    let scene = Scene::new();
    let daemon = Daemon::start(&scene);
    let mut rpc = daemon.rpc();
    assert_error(&rpc.raw(&b"[".repeat(100_000)), -32700, "ParseError", "");
    let nested = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let specification = format!(r#"{{"id": "a", "sources": {nested}, "target": {{"fileId": "a"}}}}"#);
    let error = rpc.call("QueueDaq", json!({"specification": specification})).unwrap_err();
    assert_eq!(error["data"]["kind"], "InvalidSpecification");
    serves(&daemon);
}

#[test]
fn a_line_beyond_the_limit_is_refused_and_its_connection_closed() {
    let scene = Scene::new();
    let daemon = Daemon::start(&scene);
    let mut rpc = daemon.rpc();
    // The daemon may close before it has taken everything.
    let _ = rpc.send(&vec![b'x'; 17 << 20]);
    let answer = rpc.receive().expect("a reason before the end");
    assert_error(&answer, -32600, "InvalidRequest", "16777216");
    assert!(rpc.receive().is_none(), "the connection is closed");
    serves(&daemon);
}

#[test]
fn half_a_message_and_a_client_that_goes_disturb_nobody() {
    let scene = Scene::new();
    let daemon = Daemon::start(&scene);
    let mut half = daemon.rpc();
    half.send(br#"{"jsonrpc":"2.0","id":1,"meth"#).unwrap();
    serves(&daemon);
    drop(half);
    serves(&daemon);
    let mut closed = daemon.rpc();
    closed.send(br#"{"jsonrpc":"2.0","id":1,"method":"GetActiveDaqs"}"#).unwrap();
    closed.half_close();
    let answer = closed.receive();
    assert!(
        answer.is_none_or(|answer| answer["id"] == 1 || !answer["error"].is_null()),
        "no half message is guessed at"
    );
    let mut slow = daemon.rpc();
    for byte in b"{\"jsonrpc\":\"2.0\",\"id\":9,\"method\":\"GetActiveDaqs\"}" {
        slow.send(&[*byte]).unwrap();
    }
    serves(&daemon);
    assert_eq!(slow.raw(b"")["id"], 9);
}

#[test]
fn blank_lines_are_passed_over_and_notifications_get_no_answer() {
    let scene = Scene::new();
    let daemon = Daemon::start(&scene);
    let mut rpc = daemon.rpc();
    rpc.send(b"\n\r\n{\"jsonrpc\":\"2.0\",\"method\":\"GetActiveDaqs\"}\n").unwrap();
    assert_eq!(rpc.call("GetActiveDaqs", Value::Null), Ok(json!([])), "the first answer is to the first question");
}

#[test]
fn many_questions_on_one_connection_are_answered_in_order() {
    let scene = Scene::new();
    let daemon = Daemon::start(&scene);
    let mut rpc = daemon.rpc();
    let lines: String =
        (0..500).map(|id| format!("{}\n", json!({"jsonrpc": "2.0", "id": id, "method": "GetActiveDaqs"}))).collect();
    rpc.send(lines.as_bytes()).unwrap();
    for id in 0..500 {
        assert_eq!(rpc.receive().unwrap()["id"], json!(id));
    }
}

#[test]
fn connections_beyond_the_limit_are_told_so() {
    let scene = Scene::new();
    let daemon = Daemon::start_with(&scene, &[("DPM_SERVER__MAX_CONNECTIONS", "2")]);
    // A client holds its slot once it is answered; that of the start may still be on its way back.
    let mut held: Vec<Rpc> = Vec::new();
    until("two are served", || {
        let mut rpc = daemon.rpc();
        rpc.send(b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"GetActiveDaqs\"}\n").ok()?;
        rpc.receive().filter(|answer| answer["result"] == json!([]))?;
        held.push(rpc);
        (held.len() == 2).then_some(())
    });
    let answer = daemon.rpc().receive().expect("a reason");
    assert_error(&answer, -32005, "Busy", "2 clients");
    held.pop();
    until("a slot is free again", || {
        let mut rpc = daemon.rpc();
        // It may be refused once more, and closed at once.
        rpc.send(b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"GetActiveDaqs\"}\n").ok()?;
        rpc.receive().filter(|answer| answer["result"] == json!([]))
    });
}

#[test]
fn a_subscriber_hears_every_sub_state_and_the_storage() {
    let scene = Scene::new();
    let daemon = Daemon::start_with(&scene, &[("DPM_SERVER__STORAGE_INTERVAL_SECONDS", "1")]);
    let mut subscriber = daemon.rpc();
    assert_eq!(subscriber.call("Subscribe", json!({"topics": ["daq/status", "dpm/storage"]})), Ok(json!([])));
    daemon.queue(&samples::small(&scene, "a", &[]));
    let (mut states, mut saw_storage) = (Vec::new(), false);
    while states.last() != Some(&"Completed".to_owned()) || !saw_storage {
        let message = subscriber.receive().unwrap();
        assert!(message.get("id").is_none(), "a notification has no id: {message}");
        match message["method"].as_str().unwrap() {
            "daq/status" => states.push(message["params"]["subState"].as_str().unwrap().to_owned()),
            "dpm/storage" => saw_storage = message["params"]["available"].as_u64() > Some(0),
            other => panic!("{other}"),
        }
        states.dedup();
    }
    assert_eq!(states, ["Scheduled", "Collecting", "Merging", "Releasing", "Completed"]);
    let error = daemon.rpc().call("Subscribe", json!({"topics": ["daq/nothing"]})).unwrap_err();
    assert_eq!(error["data"]["kind"], "InvalidParameters");
}

#[test]
fn await_daq_state_answers_at_the_state_or_at_the_timeout() {
    let scene = Scene::new();
    let daemon = Daemon::start(&scene);
    let path = fits::write_sparse_image(&scene.path("big.fits"), "BIG", 64 << 20);
    daemon.queue(&samples::spec("a", &[samples::file("det", &path)], &[]));
    let worker = daemon.stop_worker();
    let mut rpc = daemon.rpc();
    let wait = |sub_state: &str, seconds: f64| json!({"id": "a", "subState": sub_state, "timeoutSeconds": seconds});
    let early = rpc.call("AwaitDaqState", wait("Completed", 0.1)).unwrap();
    assert_eq!((&early["timeout"], &early["status"]["subState"]), (&json!(true), &json!("Merging")));
    let reached = rpc.call("AwaitDaqState", wait("Collecting", 30.0)).unwrap();
    assert_eq!(reached["timeout"], false, "it is past that state");
    // A long wait holds up neither its own connection nor another.
    rpc.send(
        format!(
            "{}\n",
            json!({"jsonrpc": "2.0", "id": "late", "method": "AwaitDaqState", "params": wait("Completed", 50.0)})
        )
        .as_bytes(),
    )
    .unwrap();
    assert!(rpc.call("GetActiveDaqs", Value::Null).is_ok());
    assert!(common::process::signal(worker, rustix::process::Signal::CONT));
    let late = rpc.receive().unwrap();
    assert_eq!((&late["id"], &late["result"]["status"]["subState"]), (&json!("late"), &json!("Completed")));
    for bad in [-1.0, 1e300] {
        assert_eq!(rpc.call("AwaitDaqState", wait("Completed", bad)).unwrap_err()["code"], json!(-32602));
    }
    assert_eq!(rpc.call("AwaitDaqState", json!({"id": "b"})).unwrap_err()["data"]["kind"], "UnknownDaq");
}

#[test]
fn a_completed_daq_is_unknown_to_its_status_and_known_to_the_history() {
    let scene = Scene::new();
    let daemon = Daemon::start(&scene);
    daemon.queue(&samples::small(&scene, "a", &[]));
    daemon.until_completed("a");
    let mut rpc = daemon.rpc();
    for method in ["GetDaqStatus", "GetInternalDaqStatus", "AbortDaq", "RetryMergeDaq"] {
        let error = rpc.call(method, json!({"id": "a"})).unwrap_err();
        assert_eq!(error["data"]["kind"], "UnknownDaq", "{method}");
    }
    assert_eq!(rpc.call("GetHistory", json!({"limit": 5})).unwrap()[0]["id"], "a");
}

#[test]
fn the_internal_status_has_journal_worker_step_and_timings() {
    let scene = Scene::new();
    let daemon = Daemon::start_with(&scene, &[("DPM_LIMITS__DAQS", "1")]);
    let path = fits::write_sparse_image(&scene.path("big.fits"), "BIG", 64 << 20);
    daemon.queue(&samples::spec("a", &[samples::file("det", &path)], &[]));
    daemon.stop_worker();
    daemon.queue(&samples::small(&scene, "b", &[]));
    let mut urgent = samples::small(&scene, "c", &[]);
    urgent["priority"] = json!(9);
    daemon.queue(&urgent);
    let mut rpc = daemon.rpc();
    let status = rpc.call("GetInternalDaqStatus", json!({"id": "a"})).unwrap();
    assert_eq!((&status["subState"], &status["run"]), (&json!("Merging"), &json!("running")));
    assert_eq!(status["steps"][0]["location"], json!(path));
    assert_eq!(status["steps"][0]["bytes"], json!(fs::metadata(&path).unwrap().len()));
    for sub_state in ["Scheduled", "Collecting", "Merging"] {
        assert!(status["timings"][sub_state].as_str().is_some_and(|time| time.ends_with('Z')), "{status}");
    }
    let place =
        |rpc: &mut Rpc, id: &str| rpc.call("GetInternalDaqStatus", json!({"id": id})).unwrap()["queuePosition"].clone();
    assert_eq!((place(&mut rpc, "c"), place(&mut rpc, "b")), (json!(0), json!(1)), "a higher priority goes first");
}

#[test]
fn faults_of_a_specification_come_back_each_with_its_pointer() {
    let scene = Scene::new();
    let daemon = Daemon::start(&scene);
    let specification = r#"{"id": "a", "sources": [{"type": "fitsFile"}], "target": {}}"#;
    let error = daemon.rpc().call("QueueDaq", json!({"specification": specification})).unwrap_err();
    assert_eq!(error["code"], json!(-32001));
    let faults = error["data"]["faults"].as_array().unwrap();
    assert!(faults.len() >= 3 && faults.iter().all(|fault| fault["message"].as_str().is_some()), "{error}");
    assert!(faults.iter().any(|fault| fault["pointer"] == "/sources/0"), "{error}");
    let relative = daemon.rpc().call("QueueDaq", json!({"specification": specification, "root": "here"})).unwrap_err();
    assert_eq!(relative["data"]["kind"], "InvalidParameters");
    serves(&daemon);
}

#[test]
fn an_acknowledged_daq_survives_a_client_that_never_read_the_reply() {
    let scene = Scene::new();
    let daemon = Daemon::start(&scene);
    let spec = samples::small(&scene, "a", &[]);
    let request =
        json!({"jsonrpc": "2.0", "id": 1, "method": "QueueDaq", "params": {"specification": spec.to_string()}});
    let mut stream = UnixStream::connect(daemon.socket()).unwrap();
    std::io::Write::write_all(&mut stream, format!("{request}\n").as_bytes()).unwrap();
    drop(stream);
    until("a was taken", || daemon.product("a.p").exists().then_some(()));
    daemon.queue(&spec);
    daemon.until_completed("a");
    assert_eq!(daemon.rpc().call("GetHistory", json!({})).unwrap().as_array().unwrap().len(), 1);
}
