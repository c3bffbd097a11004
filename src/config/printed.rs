//! The settings as text: the effective ones as TOML, for `dpm serve --check-config`.

use std::fmt::Write as _;

use serde_json::Value;

use crate::config::fault::Origin;
use crate::config::sections::{Configuration, KEYS, SECTIONS};
use crate::config::setting::Key;

/// Characters of a line of comment.
const COMMENT_CHARS: usize = 100;

impl Configuration {
    /// The effective settings as TOML that [`Configuration::load`] reads back, each after its description and the place
    /// where it was set.
    ///
    /// A path that is not UTF-8 (only a flag can give one) is shown with replacement characters: TOML cannot hold it.
    pub fn to_toml(&self) -> String {
        let mut text = String::new();
        for (section, doc) in SECTIONS {
            if !text.is_empty() {
                text.push('\n');
            }
            comment(&mut text, doc);
            // Writing to a string does not fail.
            let _ = writeln!(text, "[{section}]");
            for key in KEYS.iter().filter(|key| key.section == *section) {
                self.print_key(key, &mut text);
            }
        }
        text
    }

    fn print_key(&self, key: &Key, text: &mut String) {
        comment(text, key.doc);
        let path = key.path();
        let origin = self.provenance.of(&path);
        let place = match origin {
            Origin::Default => "default".to_owned(),
            origin => format!("from {origin}"),
        };
        let value = self.value(key);
        let _ = match toml_text(&value) {
            Some(value) => writeln!(text, "{} = {value}  # {place}", key.name),
            None if path == "server.socket" => {
                let socket = Value::String(self.socket_path().to_string_lossy().into_owned());
                writeln!(text, "# {} = {}  # {place}", key.name, toml_text(&socket).unwrap_or_default())
            }
            None => writeln!(text, "# {} is not set", key.name),
        };
    }
}

/// The value as TOML in one line; none for null.
fn toml_text(value: &Value) -> Option<String> {
    toml::Value::try_from(value).ok().map(|value| value.to_string())
}

fn comment(text: &mut String, doc: &str) {
    let mut line = String::from("#");
    for word in doc.split_whitespace() {
        if line.chars().count() + 1 + word.chars().count() > COMMENT_CHARS {
            let _ = writeln!(text, "{line}");
            "#".clone_into(&mut line);
        }
        line.push(' ');
        line.push_str(word);
    }
    let _ = writeln!(text, "{line}");
}
