//! One layer of settings: checked values of known keys, each with its place. The environment is read here; a file has
//! its own module.

use std::path::PathBuf;

use serde_json::Value;

use crate::config::fault::{Faults, Origin};
use crate::config::sections::{KEYS, SECTIONS};
use crate::config::setting::{Key, Refusal};
use crate::specification::fault::{nearest, quoted};

/// What the names of our environment variables begin with.
pub(crate) const PREFIX: &str = "DPM_";

/// Variables that name a file or stand for a flag instead of a key.
const CONFIG: &str = "DPM_CONFIG";
const FLAG_VARIABLES: [(&str, &str); 2] = [("DPM_WORKSPACE", "workspace.path"), ("DPM_SOCKET", "server.socket")];

/// What one layer sets; a later entry of the same key wins.
#[derive(Debug, Default)]
pub(crate) struct Layer {
    /// Known keys with values that fit.
    pub(crate) settings: Vec<Placed>,
}

/// One value and where it was set.
#[derive(Debug)]
pub(crate) struct Placed {
    /// Its key.
    pub(crate) key: &'static Key,
    /// A value that [`crate::config::setting::Kind::check`] takes.
    pub(crate) value: Value,
    /// Where it was set.
    pub(crate) origin: Origin,
}

impl Layer {
    /// Adds the value of `section.key`, or reports what is wrong with it.
    pub(crate) fn add(&mut self, path: &str, value: Value, origin: Origin, faults: &mut Faults) {
        match KEYS.iter().find(|key| key.path() == path) {
            Some(key) => self.add_key(key, value, origin.clone(), |_| origin.clone(), faults),
            None => faults.push(origin, Some(path.to_owned()), "unknown key", None),
        }
    }

    /// As [`Layer::add`]; `place` gives the origin of the part of the value at a JSON pointer.
    pub(crate) fn add_key(
        &mut self,
        key: &'static Key,
        value: Value,
        origin: Origin,
        place: impl Fn(&str) -> Origin,
        faults: &mut Faults,
    ) {
        match key.kind.check(&value) {
            Ok(()) => self.settings.push(Placed { key, value, origin }),
            Err(refusals) => {
                for Refusal { pointer, message, hint } in refusals {
                    let path = format!("{}{}", key.path(), as_key_path(&pointer));
                    faults.push(place(&pointer), Some(path), message, hint);
                }
            }
        }
    }
}

/// `/0/path` as `[0].path`.
fn as_key_path(pointer: &str) -> String {
    let tokens = pointer.split('/').skip(1).map(|token| token.replace("~1", "/").replace("~0", "~"));
    tokens
        .map(|token| if token.parse::<usize>().is_ok() { format!("[{token}]") } else { format!(".{token}") })
        .collect()
}

/// The file that `DPM_CONFIG` names, and what the other variables set. Those without our prefix are not looked at.
pub(crate) fn of_environment(
    environment: impl Iterator<Item = (String, String)>,
    faults: &mut Faults,
) -> (Option<PathBuf>, Layer) {
    // Empty is how service managers unset what they inherit.
    let mut variables: Vec<(String, String)> =
        environment.filter(|(name, value)| name.starts_with(PREFIX) && !value.is_empty()).collect();
    variables.sort();
    let (mut file, mut layer, mut flags) = (None, Layer::default(), Layer::default());
    for (name, text) in variables {
        let origin = Origin::Environment { name: name.clone() };
        if name == CONFIG {
            file = Some(PathBuf::from(text));
        } else if let Some((_, path)) = FLAG_VARIABLES.iter().find(|(variable, _)| *variable == name) {
            flags.add(path, Value::String(text), origin, faults);
        } else if let Some(key) = KEYS.iter().find(|key| variable(key) == name) {
            let value = key.kind.read(&text);
            layer.add_key(key, value, origin.clone(), |_| origin.clone(), faults);
        } else if let Some(hint) = variable_hint(&name) {
            faults.push(origin, None, "sets no key", Some(hint));
        }
    }
    // Last, so that they win.
    layer.settings.extend(flags.settings);
    (file, layer)
}

/// The variable of a key.
fn variable(key: &Key) -> String {
    format!("{PREFIX}{}__{}", key.section, key.name).to_ascii_uppercase()
}

/// What was meant by a variable of ours that sets nothing; none for one that belongs to somebody else, which is every
/// one without `__` that is not a key with the underscores miscounted.
fn variable_hint(name: &str) -> Option<String> {
    let variables: Vec<String> = KEYS.iter().map(variable).collect();
    let single = |name: &str| name.to_ascii_uppercase().replace("__", "_");
    let meant = variables.iter().find(|variable| single(variable) == single(name)).map(String::as_str);
    let near = || nearest(name, variables.iter().map(String::as_str));
    match meant.or_else(|| name.contains("__").then(near).flatten()) {
        Some(meant) => Some(format!("did you mean {meant}?")),
        None if name.contains("__") => {
            Some("a key is set by DPM_SECTION__KEY; unset it if it is not for dpm".to_owned())
        }
        None => None,
    }
}

/// What was meant by an unknown section, or by a key outside of any.
pub(crate) fn section_hint(name: &str) -> String {
    if let Some(key) = KEYS.iter().find(|key| key.name == name) {
        return format!("write it under [{}]", key.section);
    }
    let names = || SECTIONS.iter().map(|(section, _)| *section);
    match nearest(name, names()) {
        Some(section) => format!("did you mean `{section}`?"),
        None => format!("the sections are {}", names().collect::<Vec<&str>>().join(", ")),
    }
}

/// What was meant by an unknown key of a section.
pub(crate) fn key_hint(section: &str, name: &str) -> String {
    let names = || KEYS.iter().filter(|key| key.section == section).map(|key| key.name);
    if let Some(meant) = nearest(name, names()) {
        return format!("did you mean `{meant}`?");
    }
    match KEYS.iter().find(|key| key.name == name) {
        Some(key) => format!("{} is a key of [{}]", quoted(name), key.section),
        None => format!("the keys of [{section}] are {}", names().collect::<Vec<&str>>().join(", ")),
    }
}
