//! Workers that behave badly: shell scripts in the place of the program.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::engine::action::{Input, StepFailure, StepOutcome, StepRequest};
use crate::engine::dispatcher::tests::{request, settings};
use crate::engine::executor::{Context, StepControl};
use crate::engine::state::Step;
use crate::engine::worker;
use crate::store::Store;
use crate::workspace::Workspace;

const RESULT: &str = r#"{"type":"result","product":"p","bytes":5,"digest":"d","hdus":1,"keywords":2}"#;

struct Run {
    outcome: Result<StepOutcome, StepFailure>,
    inputs: Vec<Input>,
    log: String,
    names: Vec<String>,
}

/// A process of its own writes the script: a descriptor of ours that another test's fork has inherited would make it
/// "text file busy".
fn write_script(path: &Path, script: &str) {
    let mut shell = Command::new("/bin/sh")
        .args(["-c", "cat > \"$0\" && chmod 755 \"$0\""])
        .arg(path)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    shell.stdin.take().unwrap().write_all(format!("#!/bin/sh\n{script}\n").as_bytes()).unwrap();
    assert!(shell.wait().unwrap().success());
}

/// Runs a worker that is `script`, where `$4` is the product; it is cancelled after `patience`.
async fn run(script: &str, patience: Duration) -> Run {
    let folder = tempfile::tempdir().unwrap();
    let workspace = Workspace::open(&folder.path().join("w")).unwrap();
    let store = Store::open(&workspace.database_path()).await.unwrap();
    let mut settings = settings();
    settings.worker_program = folder.path().join("worker");
    write_script(&settings.worker_program, script);
    let queued = request("A", 0, "d");
    let step = StepRequest {
        id: "A".parse().unwrap(),
        step: Step::Merge,
        text: Arc::clone(&queued.text),
        specification: queued.specification,
        root: None,
        inputs: Vec::new(),
        product: None,
        prove_product: false,
    };
    let files = workspace.daq_folder("A").unwrap();
    files.create(&queued.text).unwrap();
    std::fs::File::create(files.path().join(".product.partial.tmp-1-0")).unwrap();
    let (inputs, mut received) = mpsc::channel(100);
    let context = Context { store, workspace, settings, inputs };
    let cancel = CancellationToken::new();
    let control = StepControl::new(&context, &step, cancel.clone());
    let timer = tokio::spawn(async move {
        tokio::time::sleep(patience).await;
        cancel.cancel();
    });
    let outcome = worker::run(&context, &step, &control).await;
    timer.abort();
    let mut seen = Vec::new();
    while let Ok(input) = received.try_recv() {
        seen.push(input);
    }
    let mut names: Vec<String> = std::fs::read_dir(files.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort_unstable();
    Run { outcome, inputs: seen, log: std::fs::read_to_string(files.merge_log()).unwrap(), names }
}

async fn check(script: &str, alert: &str, transient: bool, part: &str) {
    let run = run(script, Duration::from_secs(20)).await;
    match run.outcome {
        Err(StepFailure::Failed { alert: found, description, transient: found_transient }) => {
            assert_eq!((found.as_str(), found_transient), (alert, transient), "{script}");
            assert!(description.contains(part), "{script}: {description}");
        }
        outcome => panic!("{script}: {outcome:?}"),
    }
}

#[tokio::test]
async fn a_good_worker() {
    let script = format!(
        "echo \"$1 $3 $5 $7 $8 $9\" >&2
         echo '{{\"type\":\"progress\",\"bytesDone\":5,\"bytesTotal\":5}}'
         echo '{{\"type\":\"alert\",\"id\":\"X:a\",\"severity\":\"Warning\",\"description\":\"x\"}}'
         echo '{RESULT}'
         echo product > \"$4\""
    );
    let run = run(&script, Duration::from_secs(20)).await;
    let Ok(StepOutcome::Merged(report)) = &run.outcome else { panic!("{:?}", run.outcome) };
    assert_eq!((report.product.bytes, report.hdus), (5, 1));
    assert!(matches!(&run.inputs[0], Input::Progressed { progress, .. } if progress.bytes_total == 5));
    assert!(matches!(&run.inputs[1], Input::Noticed { notice, .. } if notice.id == "X:a"));
    assert_eq!(run.inputs.len(), 2);
    assert_eq!(run.log, format!("merge --output --inputs --worker --parent {}\n", std::process::id()));
    assert_eq!(run.names, ["inputs.json", "logs", "product.partial", "sources", "specification.json"]);
}

#[tokio::test]
async fn bad_workers() {
    let merging = "FailedOperation:merging";
    check("echo garbage; sleep 60", merging, true, "garbage").await;
    check("printf '\\377\\376\\n'", merging, true, "garbage").await;
    check("head -c 3000000 /dev/zero; sleep 60", merging, true, "garbage").await;
    check("exit 0", merging, true, "exit status: 0 and without a result").await;
    check("exit 3", merging, true, "exit status: 3 and without").await;
    // What ended it was not told.
    check("kill -SEGV $$", merging, true, "signal: 11").await;
    check("kill -KILL $$", merging, true, "signal: 9").await;
    check(&format!("echo '{RESULT}'"), merging, true, "left none").await;
    check(&format!("echo x > \"$4\"; echo '{RESULT}'; exit 1"), merging, true, "told of a product but ended with")
        .await;
    check(&format!("echo '{RESULT}'; echo x > \"$4\"; kill -KILL $$"), merging, true, "signal: 9").await;
}

#[tokio::test]
async fn errors_that_a_worker_names() {
    let say = |fault: &str| format!("echo '{{\"type\":\"error\",\"message\":\"why\",\"fault\":\"{fault}\"}}'; exit 1");
    check(&say("noSpace"), "LowStorage", true, "why").await;
    check(&say("transient"), "FailedOperation:merging", true, "why").await;
    check(&say("permanent"), "FailedOperation:merging", false, "why").await;
    check(&say("unheardOf"), "FailedOperation:merging", true, "garbage").await;
    let changed = run(&say("sourceChanged"), Duration::from_secs(20)).await.outcome;
    let expected =
        StepFailure::SourceChanged { alert: "FailedOperation:merging".to_owned(), description: "why".to_owned() };
    assert_eq!(changed.expect_err("an error"), expected);
}

/// One that had closed its output was waited for, whatever the client wished.
#[tokio::test]
async fn a_worker_can_be_stopped_at_any_time() {
    for script in ["sleep 60", "exec >&-; sleep 60", &format!("echo '{RESULT}'; exec >&-; trap '' TERM; sleep 60")] {
        let started = std::time::Instant::now();
        let run = run(script, Duration::from_millis(300)).await;
        assert_eq!(run.outcome.expect_err(script), StepFailure::Cancelled);
        assert!(started.elapsed() < Duration::from_secs(10), "{script}");
    }
}
