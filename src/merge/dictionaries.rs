//! Finds the dictionaries that a specification names in the configured folders, and reads them.
//!
//! What stands in them is read and applied by [`crate::dictionary`].

use std::collections::HashSet;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::dictionary::DictionarySettings;
use crate::dictionary::judge::Dictionaries;
use crate::dictionary::parse::{self, Dictionary, DictionaryError, FILE_BYTES_MAX, LineFault};
use crate::merge::job;
use crate::merge::report::Notice;
use crate::status::{Severity, with_causes};

/// The dictionaries of one specification.
#[derive(Clone, Debug)]
pub struct Judges {
    /// Their union.
    pub dictionaries: Dictionaries,
    /// Those that were read, in the specification's order.
    pub found: Vec<FoundDictionary>,
    /// Those that were not, and why.
    pub missing: Vec<DictionaryFileError>,
    /// Whether what they complain of ends the merge.
    pub strict: bool,
}

/// A dictionary that was read.
#[derive(Clone, Debug)]
pub struct FoundDictionary {
    /// Its name in the specification.
    pub name: String,
    /// Its file.
    pub path: PathBuf,
    /// Lines that cannot be used.
    pub faults: Vec<LineFault>,
}

/// A dictionary that cannot be used.
#[derive(Clone, Debug, thiserror::Error)]
#[error("cannot use the dictionary '{name}'")]
pub struct DictionaryFileError {
    /// Its name in the specification.
    pub name: String,
    /// Why.
    #[source]
    pub kind: DictionaryFileErrorKind,
}

/// Why a dictionary cannot be used.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DictionaryFileErrorKind {
    /// The name would lead out of the folders.
    #[error("the name of a dictionary has no '/' and does not begin with '.': correct it in the specification")]
    Name,
    /// In none of the folders.
    #[error("no file {} in {folders}: put it there, or add its folder to dictionaries.path", candidates.join(" or "))]
    NotFound {
        /// Names that it may have.
        candidates: Vec<String>,
        /// The folders, as text.
        folders: String,
    },
    /// It cannot be read.
    #[error("cannot read {}: {message}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        message: String,
    },
    /// It is no dictionary.
    #[error("{} is not usable", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: DictionaryError,
    },
}

impl DictionaryFileError {
    /// The alert of a merge that goes on without it.
    pub fn notice(&self) -> Notice {
        let description = format!("{}; no keyword is called unknown for want of it", with_causes(self));
        Notice { id: format!("DictionaryNotFound:{}", self.name), severity: Severity::Warning, description }
    }
}

/// The alert of a merge whose specification names dictionaries that nobody looked for; none where it names none.
pub fn unused_notice(names: &[String]) -> Option<Notice> {
    let (first, more) = names.split_first()?;
    let more = if more.is_empty() { String::new() } else { format!(" and {} more", more.len()) };
    let description = format!(
        "no keyword was compared with the dictionary '{first}'{more}, because no folder is configured: set \
         dictionaries.path (dpm merge --dictionary-path) for that"
    );
    Some(Notice { id: "DictionariesNotUsed".to_owned(), severity: Severity::Info, description })
}

impl Judges {
    /// Reads the dictionaries `names`; `None` where there is nothing to judge by: no names, or no folders and nobody
    /// who insists.
    pub fn load(names: &[String], settings: &DictionarySettings) -> Option<Judges> {
        if names.is_empty() || (settings.path.is_empty() && !settings.strict) {
            return None;
        }
        let (mut read, mut found, mut missing) = (Vec::new(), Vec::new(), Vec::new());
        // A name that is given twice has one alert.
        let mut seen = HashSet::new();
        for name in names.iter().filter(|name| seen.insert(*name)) {
            match load_one(name, &settings.path) {
                Ok((path, mut dictionary)) => {
                    let faults = std::mem::take(&mut dictionary.faults);
                    found.push(FoundDictionary { name: name.clone(), path, faults });
                    read.push(dictionary);
                }
                Err(kind) => missing.push(DictionaryFileError { name: name.clone(), kind }),
            }
        }
        let dictionaries = Dictionaries::new(read, missing.is_empty());
        Some(Judges { dictionaries, found, missing, strict: settings.strict })
    }
}

fn load_one(name: &str, folders: &[PathBuf]) -> Result<(PathBuf, Dictionary), DictionaryFileErrorKind> {
    if name.contains('/') || name.starts_with('.') {
        return Err(DictionaryFileErrorKind::Name);
    }
    let candidates = candidates(name);
    for path in folders.iter().flat_map(|folder| candidates.iter().map(|candidate| folder.join(candidate))) {
        match read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(DictionaryFileErrorKind::Read { path, message: error.to_string() }),
            Ok(bytes) => {
                return match parse::parse(&bytes) {
                    Ok(dictionary) => Ok((path, dictionary)),
                    Err(source) => Err(DictionaryFileErrorKind::Parse { path, source }),
                };
            }
        }
    }
    let folders = match folders {
        [] => "any folder, because none is configured".to_owned(),
        folders => folders.iter().map(|folder| folder.display().to_string()).collect::<Vec<String>>().join(", "),
    };
    Err(DictionaryFileErrorKind::NotFound { candidates, folders })
}

/// File names of a dictionary: as it is called, with the endings in use, and as ESO names its files by their scope.
fn candidates(name: &str) -> Vec<String> {
    let stem = name.strip_suffix(".dic").or_else(|| name.strip_suffix(".did")).unwrap_or(name);
    let mut candidates = vec![name.to_owned()];
    for candidate in [
        format!("{stem}.dic"),
        format!("{stem}.did"),
        stem.to_owned(),
        format!("ESO-VLT-DIC.{stem}"),
        format!("ESO-DFS-DIC.{stem}"),
    ] {
        if !candidates.contains(&candidate) {
            candidates.push(candidate);
        }
    }
    candidates
}

/// Reads at most one byte more than a dictionary may have.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let file = job::open_regular(path)?.ok_or_else(|| io::Error::other("it is no regular file"))?;
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::{Path, PathBuf};

    use crate::dictionary::DictionarySettings;
    use crate::merge::dictionaries::Judges;
    use crate::status::with_causes;

    const DICTIONARY: &str = "Parameter Name: A\nType: odd\n";

    fn write(folder: &Path, name: &str, text: &str) -> PathBuf {
        fs::create_dir_all(folder).unwrap();
        let path = folder.join(name);
        std::io::Write::write_all(&mut fs::File::create(&path).unwrap(), text.as_bytes()).unwrap();
        path
    }

    fn load(names: &[&str], path: Vec<PathBuf>) -> Judges {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        Judges::load(&names, &DictionarySettings { path, strict: true }).expect("something to judge by")
    }

    #[test]
    fn files_are_found_under_their_names_in_the_order_of_the_folders() {
        let scene = tempfile::tempdir().unwrap();
        let (one, two) = (scene.path().join("one"), scene.path().join("two"));
        let obs = write(&one, "ESO-VLT-DIC.OBS", DICTIONARY);
        let det = write(&two, "DET.dic", DICTIONARY);
        write(&two, "OBS.dic", DICTIONARY);
        let judges = load(&["OBS", "ESO-VLT-DIC.OBS", "DET.did", "DET"], vec![one, two]);
        let found: Vec<&PathBuf> = judges.found.iter().map(|found| &found.path).collect();
        assert_eq!(found, [&obs, &obs, &det, &det]);
        assert_eq!(judges.found[0].faults.len(), 1);
        assert!(judges.missing.is_empty());
    }

    #[test]
    fn what_cannot_be_used_is_told() {
        let scene = tempfile::tempdir().unwrap();
        let folder = scene.path().to_owned();
        write(&folder, "TEXT.dic", "no dictionary");
        write(&folder.join("FOLDER"), "x", "");
        let judges = load(&["../TEXT", ".x", "NONE", "TEXT", "FOLDER"], vec![folder.clone()]);
        let shown: Vec<String> =
            judges.missing.iter().map(|e| with_causes(e).replace(&folder.display().to_string(), "DIR")).collect();
        let name = "the name of a dictionary has no '/' and does not begin with '.': correct it in the specification";
        assert_eq!(
            shown,
            [
                format!("cannot use the dictionary '../TEXT': {name}"),
                format!("cannot use the dictionary '.x': {name}"),
                "cannot use the dictionary 'NONE': no file NONE or NONE.dic or NONE.did or ESO-VLT-DIC.NONE or \
                 ESO-DFS-DIC.NONE in DIR: put it there, or add its folder to dictionaries.path"
                    .to_owned(),
                "cannot use the dictionary 'TEXT': DIR/TEXT.dic is not usable: it has no line `Parameter Name: ...`: \
                 it is no data interface dictionary"
                    .to_owned(),
                "cannot use the dictionary 'FOLDER': cannot read DIR/FOLDER: it is no regular file".to_owned(),
            ]
        );
        let alone = load(&["NONE"], Vec::new());
        assert!(with_causes(&alone.missing[0]).contains("in any folder, because none is configured"));
    }

    #[test]
    fn without_names_or_folders_nothing_is_judged() {
        let names = vec!["OBS".to_owned()];
        assert!(Judges::load(&names, &DictionarySettings::default()).is_none());
        assert!(Judges::load(&[], &DictionarySettings { path: vec!["/".into()], strict: true }).is_none());
    }
}
