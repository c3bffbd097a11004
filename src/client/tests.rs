//! Clients of daemons that answer, refuse, keep silent, or go away.

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixListener;

use crate::client::{Client, ClientError};
use crate::command::error::ErrorKind;
use crate::server::unix::tests::daemon;

const PATIENCE: Duration = Duration::from_secs(10);

/// A daemon that answers each request with `answer` and then closes; without an answer it keeps silent.
fn pretend(path: &Path, answer: Option<&'static str>) {
    let listener = UnixListener::bind(path).unwrap();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut stream = BufReader::new(stream);
        stream.read_line(&mut String::new()).await.unwrap();
        match answer {
            Some(answer) => stream.get_mut().write_all(answer.as_bytes()).await.unwrap(),
            None => tokio::time::sleep(PATIENCE).await,
        }
    });
}

async fn ask(answer: Option<&'static str>, limit: Duration) -> Result<Value, ClientError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    pretend(&path, answer);
    Client::connect(&path).await.unwrap().request("GetActiveDaqs", json!({}), limit).await
}

#[tokio::test]
async fn nobody_serves() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    assert!(matches!(Client::connect(&path).await, Err(ClientError::NoDaemon { .. })));
    drop(UnixListener::bind(&path).unwrap());
    let refused = Client::connect(&path).await;
    let Err(ClientError::NoDaemon { source, .. }) = refused else { panic!("{refused:?}") };
    assert_eq!(source.kind(), io::ErrorKind::ConnectionRefused);
    std::fs::remove_file(&path).unwrap();
    std::fs::File::create(&path).unwrap();
    assert!(matches!(Client::connect(&path).await, Err(ClientError::NoDaemon { .. })));
}

#[tokio::test]
async fn a_daemon_that_goes_away_or_keeps_silent() {
    assert!(matches!(ask(Some(""), PATIENCE).await, Err(ClientError::Lost { .. })));
    assert!(matches!(ask(Some("{\"jsonrpc\""), PATIENCE).await, Err(ClientError::Garbled { .. })));
    assert!(matches!(ask(Some("HTTP/1.1 400 Bad Request\r\n"), PATIENCE).await, Err(ClientError::Garbled { .. })));
    let started = Instant::now();
    let silent = ask(None, Duration::from_millis(100)).await;
    assert!(matches!(silent, Err(ClientError::Timeout { .. })) && started.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn answers_are_told_from_notifications_and_refusals() {
    let notified =
        "{\"jsonrpc\":\"2.0\",\"method\":\"daq/status\",\"params\":{}}\n{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":5}\n";
    assert_eq!(ask(Some(notified), PATIENCE).await.unwrap(), json!(5));
    let newer = "{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{\"code\":-32099,\"message\":\"m\",\"data\":{\"kind\":\"OfTheFuture\"}}}\n";
    let outcome = ask(Some(newer), PATIENCE).await;
    assert!(matches!(&outcome, Err(ClientError::Refused { kind: None, message, .. }) if message == "m"), "{outcome:?}");
    let bare = "{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":-32099,\"message\":\"m\"}}\n";
    assert!(matches!(ask(Some(bare), PATIENCE).await, Err(ClientError::Refused { kind: None, .. })));
}

#[tokio::test]
async fn a_real_daemon() {
    let daemon = daemon(1).await;
    let mut client = Client::connect(&daemon.socket).await.unwrap();
    let status = client.request("GetServerStatus", Value::Null, PATIENCE).await.unwrap();
    assert_eq!(status["process"], json!(std::process::id()));
    let refused = client.request("QueueDaq", json!({"specification": {"id": "A"}}), PATIENCE).await;
    let Err(ClientError::Refused { kind, remedy, faults, .. }) = refused else { panic!("{refused:?}") };
    assert_eq!(kind, Some(ErrorKind::InvalidSpecification));
    assert!(!remedy.is_empty() && !faults.is_empty());
    let mut second = Client::connect(&daemon.socket).await.unwrap();
    let busy = second.request("GetServerStatus", Value::Null, PATIENCE).await;
    assert!(matches!(busy, Err(ClientError::Refused { kind: Some(ErrorKind::Busy), .. })), "{busy:?}");
    client.request("Subscribe", json!({"topics": ["dpm/storage"]}), PATIENCE).await.unwrap();
    assert_eq!(client.notification().await.unwrap().0, "dpm/storage");
    daemon.stop.cancel();
    while client.notification().await.is_ok() {}
    assert!(matches!(client.notification().await, Err(ClientError::Lost { .. })));
}
