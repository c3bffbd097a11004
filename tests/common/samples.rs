//! Specifications that several tests use.

use std::path::Path;

use serde_json::{Value, json};

use crate::common::Scene;
use crate::common::fits;

/// A specification of keywords and these sources, delivered to these receivers.
pub(crate) fn spec(id: &str, sources: &[Value], receivers: &[Value]) -> Value {
    let mut all = vec![json!({"type": "fitsKeywords", "sourceName": "ocm", "keywords": [
        {"type": "valueKeyword", "name": "OBJECT", "value": id}]})];
    all.extend_from_slice(sources);
    let mut specification = json!({"id": id, "sources": all, "target": {"fileId": format!("{id}.p")}});
    if !receivers.is_empty() {
        specification["receivers"] = json!(receivers);
    }
    specification
}

/// A source that is a file.
pub(crate) fn file(name: &str, path: &Path) -> Value {
    json!({"type": "fitsFile", "sourceName": name, "location": path.to_str().unwrap()})
}

/// A receiver that is a folder.
pub(crate) fn folder(path: &Path, mode: &str) -> Value {
    json!({"type": "folderReceiver", "path": path.to_str().unwrap(), "mode": mode})
}

/// A DAQ of one small file, ready to be queued.
pub(crate) fn small(scene: &Scene, id: &str, receivers: &[Value]) -> Value {
    let path = fits::write_image(&scene.path(format!("{id}.fits")), "PIXELS", 20_000, id.len() as u64);
    spec(id, &[file("det", &path)], receivers)
}
