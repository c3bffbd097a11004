//! A real socket before a real engine, whose DAQs park at collecting because their source is not there.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::command::dispatch::Commander;
use crate::command::request::Topic;
use crate::engine::handle;
use crate::engine::schedule::Limits;
use crate::engine::settings::{EngineSettings, RetryPolicy};
use crate::server::unix::{Stream, UnixOptions, WAITS_MAX, bind, serve};
use crate::store::Store;
use crate::transfer::plan::CollectMode;
use crate::workspace::Workspace;

const PATIENCE: Duration = Duration::from_secs(10);

/// A daemon in a folder that goes with it.
pub(crate) struct Daemon {
    _folder: tempfile::TempDir,
    pub(crate) socket: PathBuf,
    pub(crate) commander: Commander,
    pub(crate) stop: CancellationToken,
    exit: CancellationToken,
    server: JoinHandle<()>,
}

/// Serves with small limits.
pub(crate) async fn daemon(connections_max: usize) -> Daemon {
    let folder = tempfile::tempdir().unwrap();
    let workspace = Workspace::open(&folder.path().join("w")).unwrap();
    let store = Store::open(&workspace.database_path()).await.unwrap();
    let limits = Limits { daqs: 4, transfers: 4, merges: 1, releases: 1 };
    let settings = EngineSettings {
        limits,
        collect: CollectMode::Reference,
        default_receivers: Vec::new(),
        local_hosts: Vec::new(),
        worker_program: "/bin/false".into(),
        worker_niceness: 0,
        merge: crate::merge::options::MergeOptions::default(),
        dictionaries: crate::dictionary::DictionarySettings::default(),
        retry: RetryPolicy { attempts: 1, first_pause: Duration::ZERO, longest_pause: Duration::ZERO },
        queue_length: 100,
    };
    let (engine, _task) = handle::start(settings, store, workspace.clone()).await.unwrap();
    let (stop, exit) = (CancellationToken::new(), CancellationToken::new());
    let commander = Commander::new(engine, workspace.root().to_owned(), Vec::new(), exit.clone());
    let socket = folder.path().join("s");
    let options = UnixOptions {
        path: socket.clone(),
        request_bytes_max: 4000,
        connections_max,
        idle_limit: Duration::from_millis(300),
        storage_interval: Duration::from_millis(50),
    };
    let (listener, _) = bind(&socket).unwrap();
    let server = tokio::spawn(serve(listener, commander.clone(), options, stop.clone()));
    Daemon { _folder: folder, socket, commander, stop, exit, server }
}

/// A client that sends what it likes.
struct Raw {
    stream: BufReader<UnixStream>,
}

impl Raw {
    async fn connect(path: &Path) -> Raw {
        Raw { stream: BufReader::new(UnixStream::connect(path).await.unwrap()) }
    }

    async fn send(&mut self, text: &str) {
        self.stream.get_mut().write_all(text.as_bytes()).await.unwrap();
    }

    /// The next message; `None` where the daemon has closed.
    async fn receive(&mut self) -> Option<Value> {
        let mut line = String::new();
        let read = tokio::time::timeout(PATIENCE, self.stream.read_line(&mut line)).await.expect("an answer in time");
        // A connection that is closed although something was not read from it is reset.
        read.ok().filter(|count| *count > 0).map(|_| serde_json::from_str(&line).unwrap())
    }

    async fn ask(&mut self, method: &str, parameters: Value) -> Value {
        self.send(&request(json!(1), method, &parameters)).await;
        self.receive().await.expect("an answer")
    }
}

fn request(id: Value, method: &str, parameters: &Value) -> String {
    format!("{}\n", json!({"jsonrpc": "2.0", "id": id, "method": method, "params": parameters}))
}

fn specification(id: &str) -> Value {
    json!({"id": id, "target": {"fileId": format!("F.{id}")},
        "sources": [{"type": "fitsFile", "sourceName": "a", "location": "/nowhere/a.fits"}]})
}

/// Queues a DAQ and waits until it has parked.
async fn park(client: &mut Raw, id: &str) {
    let reply = client.ask("QueueDaq", json!({"specification": specification(id)})).await;
    assert_eq!(reply["result"], json!({"id": id, "error": false}), "{reply}");
    for _ in 0..500 {
        if client.ask("GetDaqStatus", json!({"id": id})).await["result"]["error"] == json!(true) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{id} does not park");
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let daemon = daemon(4).await;
    let mut client = Raw::connect(&daemon.socket).await;
    let mut lines = String::new();
    for id in 0..300 {
        let method = ["GetActiveDaqs", "GetHistory", "NoSuchMethod"][id % 3];
        lines.push_str(&request(json!(id), method, &json!({})));
        lines.push_str("\n  \r\n");
    }
    client.send(&lines).await;
    for id in 0..300 {
        let reply = client.receive().await.expect("an answer");
        assert_eq!(reply["id"], json!(id));
        assert_eq!(reply.get("error").is_some(), id % 3 == 2, "{reply}");
    }
}

#[tokio::test]
async fn a_notification_gets_no_answer_and_nonsense_gets_one() {
    let daemon = daemon(4).await;
    let mut client = Raw::connect(&daemon.socket).await;
    client
        .send("{\"jsonrpc\":\"2.0\",\"method\":\"GetActiveDaqs\"}\n{\"jsonrpc\":\"2.0\",\"method\":\"NoSuch\"}\n")
        .await;
    let reply = client.ask("GetServerStatus", Value::Null).await;
    assert_eq!((&reply["id"], &reply["result"]["active"]), (&json!(1), &json!(0)));
    client.send("nonsense\n").await;
    let reply = client.receive().await.unwrap();
    assert_eq!((&reply["id"], &reply["error"]["data"]["kind"]), (&Value::Null, &json!("ParseError")));
    client.send(&format!("{}\n", "[".repeat(3000))).await;
    assert_eq!(client.receive().await.unwrap()["error"]["code"], json!(-32700));
}

#[tokio::test]
async fn a_request_without_end_is_cut_off() {
    let daemon = daemon(1).await;
    let mut client = Raw::connect(&daemon.socket).await;
    let fitting = format!("{:<3999}\n", request(json!(7), "GetActiveDaqs", &json!({})).trim());
    client.send(&fitting).await;
    assert_eq!(client.receive().await.unwrap()["id"], json!(7));
    client.send(&"x".repeat(5000)).await;
    let reply = client.receive().await.unwrap();
    assert_eq!(reply["error"]["data"]["kind"], json!("InvalidRequest"));
    assert_eq!(client.receive().await, None);
    // Its slot is free again.
    Raw::connect(&daemon.socket).await.ask("GetActiveDaqs", json!({})).await;
}

#[tokio::test]
async fn too_many_connections_are_told_so() {
    let daemon = daemon(2).await;
    let mut one = Raw::connect(&daemon.socket).await;
    let mut two = Raw::connect(&daemon.socket).await;
    one.ask("GetActiveDaqs", json!({})).await;
    two.ask("GetActiveDaqs", json!({})).await;
    let mut three = Raw::connect(&daemon.socket).await;
    let reply = three.receive().await.unwrap();
    assert_eq!((&reply["id"], &reply["error"]["data"]["kind"]), (&Value::Null, &json!("Busy")));
    assert_eq!(three.receive().await, None);
    drop(one);
    served_again(&daemon.socket).await;
}

/// Waits until a new connection is served.
async fn served_again(socket: &Path) {
    for _ in 0..100 {
        let mut client = Raw::connect(socket).await;
        // A refused connection may be closed before the request is written.
        let _ = client.stream.get_mut().write_all(request(json!(1), "GetActiveDaqs", &json!({})).as_bytes()).await;
        if client.receive().await.is_some_and(|reply| reply.get("result").is_some()) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the slot is not free");
}

/// A client that had asked to wait for a day and gone away held its slot, and a task, for that day.
#[tokio::test]
async fn a_client_that_goes_away_frees_its_slot() {
    let daemon = daemon(1).await;
    let mut client = Raw::connect(&daemon.socket).await;
    park(&mut client, "A").await;
    let wait = json!({"id": "A", "subState": "Completed", "timeoutSeconds": 80_000});
    client.send(&request(json!(2), "AwaitDaqState", &wait)).await;
    client.send(&request(json!(3), "Subscribe", &json!({"topics": []}))).await;
    client.receive().await.unwrap();
    drop(client);
    served_again(&daemon.socket).await;
}

/// `printf ... | nc -N -U dpm.sock`
#[tokio::test]
async fn a_client_that_sends_no_more_still_gets_its_answers() {
    let daemon = daemon(1).await;
    let mut client = Raw::connect(&daemon.socket).await;
    park(&mut client, "A").await;
    let wait = json!({"id": "A", "subState": "Completed", "timeoutSeconds": 1.0});
    client.send(&request(json!(2), "AwaitDaqState", &wait)).await;
    client.send(&request(json!(3), "AbortDaq", &json!({"id": "B"}))).await;
    client.stream.get_mut().shutdown().await.unwrap();
    assert_eq!(client.receive().await.unwrap()["error"]["data"]["kind"], json!("UnknownDaq"));
    let reply = client.receive().await.unwrap();
    assert_eq!((&reply["id"], &reply["result"]["timeout"]), (&json!(2), &json!(true)));
    assert_eq!(client.receive().await, None);
    served_again(&daemon.socket).await;
}

#[tokio::test]
async fn waits_beside_others_have_a_limit() {
    let daemon = daemon(2).await;
    let mut client = Raw::connect(&daemon.socket).await;
    park(&mut client, "A").await;
    let wait = json!({"id": "A", "subState": "Completed", "timeoutSeconds": 1000});
    for id in 0..=WAITS_MAX {
        client.send(&request(json!(id), "AwaitDaqState", &wait)).await;
    }
    let reply = client.receive().await.unwrap();
    assert_eq!((&reply["id"], &reply["error"]["data"]["kind"]), (&json!(WAITS_MAX), &json!("Busy")));
    // Others of the same connection are still served; the abort ends the waits.
    let mut other = Raw::connect(&daemon.socket).await;
    other.ask("AbortDaq", json!({"id": "A"})).await;
    for _ in 0..WAITS_MAX {
        let reply = client.receive().await.unwrap();
        assert_eq!(
            (&reply["result"]["timeout"], &reply["result"]["status"]["subState"]),
            (&json!(false), &json!("Aborted"))
        );
    }
}

#[tokio::test]
async fn subscribers_are_told_what_they_asked_for() {
    let daemon = daemon(4).await;
    let mut statuses = Raw::connect(&daemon.socket).await;
    let mut storage = Raw::connect(&daemon.socket).await;
    let mut client = Raw::connect(&daemon.socket).await;
    assert_eq!(statuses.ask("Subscribe", json!({"topics": ["daq/status"]})).await["result"], json!([]));
    storage.ask("Subscribe", json!({"topics": ["dpm/storage"]})).await;
    park(&mut client, "A").await;
    client.ask("AbortDaq", json!({"id": "A"})).await;
    let mut seen = Vec::new();
    while seen.last() != Some(&json!("Aborted")) {
        let change = statuses.receive().await.unwrap();
        assert_eq!((&change["method"], &change["params"]["id"]), (&json!("daq/status"), &json!("A")));
        seen.push(change["params"]["subState"].clone());
    }
    seen.dedup();
    assert_eq!(seen, ["Scheduled", "Collecting", "Aborting", "Aborted"]);
    for _ in 0..3 {
        let change = storage.receive().await.unwrap();
        assert_eq!(change["method"], json!("dpm/storage"));
        assert!(change["params"]["capacity"].as_u64().unwrap() > 0);
    }
    // The connection of a subscriber serves requests too.
    assert_eq!(statuses.ask("GetActiveDaqs", json!({})).await["result"], json!([]));
}

/// Only unfinished DAQs were told after a slow subscriber had missed changes: it never heard of the end.
#[tokio::test]
async fn a_slow_subscriber_is_told_the_ends_that_it_missed() {
    let daemon = daemon(4).await;
    let mut client = Raw::connect(&daemon.socket).await;
    park(&mut client, "A").await;
    park(&mut client, "B").await;
    client.ask("AbortDaq", json!({"id": "A"})).await;
    let mut stream = Stream {
        commander: daemon.commander.clone(),
        topics: vec![Topic::DaqStatus],
        interval: PATIENCE,
        told: ["A", "B", "never"].map(str::to_owned).into(),
    };
    let text = String::from_utf8(stream.present().await.unwrap()).unwrap();
    let told: Vec<(String, String)> = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .map(|line| (line["params"]["id"].to_string(), line["params"]["subState"].to_string()))
        .collect();
    let pair = |id: &str, state: &str| (format!("\"{id}\""), format!("\"{state}\""));
    assert_eq!(told, [pair("A", "Aborted"), pair("B", "Collecting")]);
    assert_eq!(stream.told, ["B".to_owned()].into());
}

#[tokio::test]
async fn one_who_does_not_read_holds_up_nobody_else() {
    let daemon = daemon(4).await;
    let slow = UnixStream::connect(&daemon.socket).await.unwrap();
    let lines = request(json!(1), "GetServerStatus", &json!({})).repeat(100);
    // Until neither side takes any more.
    let mut idle = 0;
    while idle < 20 {
        match slow.try_write(lines.as_bytes()) {
            Ok(_) => idle = 0,
            Err(_) => {
                idle += 1;
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    }
    let mut client = Raw::connect(&daemon.socket).await;
    let started = std::time::Instant::now();
    for _ in 0..20 {
        client.ask("GetServerStatus", json!({})).await;
    }
    assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
}

#[tokio::test]
async fn exit_is_answered_and_then_the_server_ends() {
    let daemon = daemon(4).await;
    let mut idle = Raw::connect(&daemon.socket).await;
    let mut client = Raw::connect(&daemon.socket).await;
    idle.ask("GetActiveDaqs", json!({})).await;
    client.send(&request(json!(9), "Exit", &Value::Null)).await;
    daemon.exit.cancelled().await;
    daemon.stop.cancel();
    assert_eq!(client.receive().await.unwrap()["id"], json!(9));
    assert_eq!((client.receive().await, idle.receive().await), (None, None));
    tokio::time::timeout(PATIENCE, daemon.server).await.unwrap().unwrap();
}

#[tokio::test]
async fn waiting_for_completed_does_not_end_with_an_abort_that_has_begun() {
    use crate::command::dispatch::has_reached;
    use crate::status::SubState;
    let daemon = daemon(4).await;
    let mut client = Raw::connect(&daemon.socket).await;
    park(&mut client, "A").await;
    let status = daemon.commander.present_status("A").await.unwrap();
    let wanted = |sub_state: &str| serde_json::from_value(json!({"id": "A", "subState": sub_state})).unwrap();
    let cases = [
        (SubState::Collecting, "Collecting", true),
        (SubState::Collecting, "Merging", false),
        (SubState::Releasing, "Merging", true),
        (SubState::Completed, "Merging", true),
        (SubState::Aborting, "Completed", false),
        (SubState::Aborting, "Aborting", true),
        (SubState::Aborted, "Completed", true),
    ];
    for (sub_state, wish, expected) in cases {
        let status = crate::status::DaqStatus { sub_state, ..status.clone() };
        assert_eq!(has_reached(&status, &wanted(wish)), expected, "{sub_state} {wish}");
    }
}

#[tokio::test]
async fn a_socket_takes_the_place_of_a_stale_one_only() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    drop(bind(&path).unwrap());
    assert!(path.exists(), "it is stale");
    let _listener = bind(&path).unwrap();
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o660);
    let taken = folder.path().join("file");
    std::fs::File::create(&taken).unwrap();
    assert!(bind(&taken).unwrap_err().to_string().contains("something else"));
    assert!(taken.exists());
    assert!(bind(&folder.path().join("x".repeat(200))).unwrap_err().to_string().contains("107 bytes"));
}

/// The second of two daemons with one `--socket` took it from the first, which lived on unreachable.
#[tokio::test]
async fn a_socket_that_is_served_is_not_taken_and_only_ones_own_is_removed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    let (listener, first) = bind(&path).unwrap();
    assert!(bind(&path).unwrap_err().is_served());
    drop(listener);
    let (_served, second) = bind(&path).unwrap();
    first.remove();
    assert!(path.exists(), "the successor's socket stays");
    second.remove();
    assert!(!path.exists());
}

/// 256 clients that had forgotten to close kept all others out until the daemon was started again.
#[tokio::test]
async fn who_asks_nothing_gives_way_when_all_places_are_taken() {
    let daemon = daemon(2).await;
    let (mut silent, mut subscriber) = (Raw::connect(&daemon.socket).await, Raw::connect(&daemon.socket).await);
    subscriber.ask("Subscribe", json!({"topics": ["daq/status"]})).await;
    tokio::time::sleep(Duration::from_millis(400)).await;
    let mut third = Raw::connect(&daemon.socket).await;
    assert_eq!(third.ask("GetActiveDaqs", Value::Null).await["result"], json!([]));
    let told = silent.receive().await.expect("it is told why");
    assert!(told["error"]["message"].as_str().is_some_and(|message| message.contains("gives way")), "{told}");
    assert_eq!(silent.receive().await, None);
    // Neither who has just asked nor who waits for something.
    let mut fourth = Raw::connect(&daemon.socket).await;
    let refused = fourth.receive().await.expect("it is told why");
    assert!(refused["error"]["message"].as_str().is_some_and(|message| message.contains("limit")), "{refused}");
    assert_eq!(third.ask("GetActiveDaqs", Value::Null).await["result"], json!([]));
}
