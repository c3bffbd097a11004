//! The steps on files of their own.

use std::io::Write;
use std::sync::Arc;

use tokio::sync::mpsc;

use crate::control::{Control, Unwatched};
use crate::engine::action::{Input, StepFailure, StepRequest};
use crate::engine::dispatcher::tests::settings;
use crate::engine::executor::Context;
use crate::engine::state::Step;
use crate::engine::steps::{self, is_product};
use crate::specification::validate;
use crate::store::{ProductRow, Store};
use crate::workspace::Workspace;

/// Is cancelled from the start.
struct Cancelled;

impl Control for Cancelled {
    fn progress(&self, _bytes_done: u64, _bytes_total: u64) {}

    fn is_cancelled(&self) -> bool {
        true
    }
}

/// An abort or a stop waited until the whole product had been read.
#[test]
fn proving_a_product_can_be_cancelled() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("p");
    std::fs::File::create(&path).unwrap().write_all(b"product").unwrap();
    let digest = |content: &[u8]| blake3::hash(content).to_hex().to_string();
    let right = ProductRow { bytes: 7, digest: digest(b"product") };
    let damaged = ProductRow { bytes: 7, digest: digest(b"PRODUCT") };
    let longer = ProductRow { bytes: 8, digest: digest(b"product") };
    assert_eq!(is_product(&path, &right, &Cancelled), Err(StepFailure::Cancelled));
    for (merged, expected) in [(&right, true), (&damaged, false), (&longer, false)] {
        assert_eq!(is_product(&path, merged, &Unwatched), Ok(expected));
    }
    assert_eq!(is_product(folder.path(), &right, &Unwatched), Ok(false));
    assert_eq!(is_product(&folder.path().join("none"), &right, &Unwatched), Ok(false));
}

/// What had been delivered before a receiver refused was forgotten with the failed step.
#[tokio::test]
async fn a_failed_release_tells_what_it_delivered() {
    let folder = tempfile::tempdir().unwrap();
    let workspace = Workspace::open(&folder.path().join("w")).unwrap();
    let store = Store::open(&workspace.database_path()).await.unwrap();
    let (archive, missing) = (folder.path().join("archive"), folder.path().join("missing"));
    std::fs::create_dir(&archive).unwrap();
    let text = serde_json::json!({
        "id": "A", "sources": [], "target": {"fileId": "F"},
        "receivers": [{"type": "folderReceiver", "path": archive}, {"type": "folderReceiver", "path": missing}],
    })
    .to_string();
    let files = workspace.daq_folder("A").unwrap();
    files.create(&text).unwrap();
    std::fs::File::create(files.product_partial()).unwrap().write_all(b"product").unwrap();
    let digest = blake3::hash(b"product").to_hex().to_string();
    let request = StepRequest {
        id: "A".parse().unwrap(),
        step: Step::Release,
        specification: Arc::new(validate::parse(&text).unwrap()),
        text: text.into(),
        root: None,
        inputs: Vec::new(),
        product: Some(ProductRow { bytes: 7, digest }),
        prove_product: true,
    };
    let (inputs, mut received) = mpsc::channel(100);
    let context = Context { store, workspace, settings: settings(), inputs };
    let release = move || steps::release(&context, &request, &Unwatched);
    let outcome = tokio::task::spawn_blocking(release).await.unwrap();
    assert!(matches!(outcome, Err(StepFailure::Failed { .. })), "{outcome:?}");
    let told = received.recv().await.unwrap();
    assert!(
        matches!(&told, Input::Delivered { ordinal: 0, delivered: Ok(done), .. } if done.path.starts_with(&archive)),
        "{told:?}"
    );
    let told = received.recv().await.unwrap();
    assert!(matches!(&told, Input::Delivered { ordinal: 1, delivered: Err(_), .. }), "{told:?}");
}
