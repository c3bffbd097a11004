//! The default receivers: read by the same rules as those of a specification, and written in the same form.

use serde_json::{Value, json};

use crate::config::setting::Refusal;
use crate::specification::model::{FolderMode, Receiver};
use crate::specification::validate;

/// Where the receivers stand in a specification.
const POINTER: &str = "/receivers";

/// The receivers in a list, or everything that is wrong with them.
pub(crate) fn parse(list: &Value) -> Result<Vec<Receiver>, Vec<Refusal>> {
    // The smallest specification that carries them: so there is one set of rules, and one set of messages.
    let carrier = json!({"id": "x", "sources": [], "target": {"fileId": "x"}, "receivers": list});
    match validate::parse(&carrier.to_string()) {
        Ok(specification) => Ok(specification.receivers),
        Err(error) => Err(error
            .faults
            .into_iter()
            .map(|fault| Refusal {
                pointer: fault.pointer.strip_prefix(POINTER).unwrap_or_default().to_owned(),
                message: fault.message,
                hint: fault.hint,
            })
            .collect()),
    }
}

/// The receiver as a specification writes it.
pub(crate) fn value(receiver: &Receiver) -> Value {
    match receiver {
        Receiver::Olas(olas) => json!({
            "type": "olasReceiver",
            "path": olas.path,
            "host": olas.host,
            "options": {"allowSymlink": olas.allow_symlink},
        }),
        Receiver::Folder(folder) => {
            let mode = match folder.mode {
                FolderMode::Auto => "auto",
                FolderMode::HardLink => "hardLink",
                FolderMode::Symlink => "symlink",
                FolderMode::Copy => "copy",
            };
            json!({"type": "folderReceiver", "path": folder.path, "mode": mode})
        }
        Receiver::Object { url } => json!({"type": "objectReceiver", "url": url}),
        Receiver::Command { argv } => json!({"type": "commandReceiver", "argv": argv}),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::config::receivers::{parse, value};

    #[test]
    fn written_as_read() {
        let list = json!([
            {"type": "olasReceiver", "path": "/in", "host": "archive", "options": {"allowSymlink": false}},
            {"type": "olasReceiver", "path": "/in", "host": "", "options": {"allowSymlink": true}},
            {"type": "folderReceiver", "path": "/data", "mode": "auto"},
            {"type": "folderReceiver", "path": "/data", "mode": "hardLink"},
            {"type": "folderReceiver", "path": "/data", "mode": "symlink"},
            {"type": "folderReceiver", "path": "/data", "mode": "copy"},
            {"type": "objectReceiver", "url": "s3://bucket/night"},
            {"type": "commandReceiver", "argv": ["/bin/true", "-x"]},
        ]);
        let receivers = parse(&list).expect("valid");
        assert_eq!(receivers.iter().map(value).collect::<serde_json::Value>(), list);
    }
}
