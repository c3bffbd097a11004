//! The folder of a bench: seeded samples, specifications, and the removal of all of it.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::bench::plan::FileSet;
use crate::bench::{BenchError, io_error};
use crate::control::Control;
use crate::durable;
use crate::fits::card::Card;
use crate::fits::header::Header;
use crate::fits::{BLOCK_BYTES, CARD_BYTES};

/// Bytes made at once.
const PIECE_BYTES: u64 = 1 << 20;
/// What xorshift64 starts with.
const SEED: u64 = 0x9e37_79b9_7f4a_7c15;
/// Folders that a bench makes in its own.
const FOLDERS: [&str; 4] = ["samples", "workspace", "received", "copies"];

/// A folder that was empty or not there, and becomes so again when this goes.
#[derive(Debug)]
pub struct Scratch {
    root: PathBuf,
    is_mine: bool,
}

impl Scratch {
    /// Takes `root`, which must be empty or not exist.
    ///
    /// # Errors
    ///
    /// [`BenchError::NotEmpty`], or the system's refusal.
    pub fn take(root: &Path) -> Result<Scratch, BenchError> {
        let root = std::path::absolute(root).map_err(io_error("find", root))?;
        let is_mine = match std::fs::create_dir(&root) {
            Ok(()) => true,
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => false,
            Err(error) => return Err(io_error("create", &root)(error)),
        };
        if std::fs::read_dir(&root).map_err(io_error("read", &root))?.next().is_some() {
            return Err(BenchError::NotEmpty { path: root });
        }
        // From here on everything in it is of the bench.
        let scratch = Scratch { root, is_mine };
        for name in FOLDERS {
            let path = scratch.root.join(name);
            std::fs::create_dir(&path).map_err(io_error("create", &path))?;
        }
        Ok(scratch)
    }

    /// The folder itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Folder of the engine.
    pub fn workspace(&self) -> PathBuf {
        self.root.join("workspace")
    }

    /// Folder of the samples and specifications.
    pub fn samples(&self) -> PathBuf {
        self.root.join("samples")
    }

    /// Folder of the receiver.
    pub fn received(&self) -> PathBuf {
        self.root.join("received")
    }

    /// Folder of plain copies.
    pub fn copies(&self) -> PathBuf {
        self.root.join("copies")
    }

    /// Removes all files of one of the folders above.
    ///
    /// # Errors
    ///
    /// [`BenchError::Remove`].
    pub fn clear(folder: &Path) -> Result<(), BenchError> {
        for entry in std::fs::read_dir(folder).map_err(io_error("read", folder))? {
            let path = entry.map_err(io_error("read", folder))?.path();
            std::fs::remove_file(&path).map_err(io_error("remove", &path))?;
        }
        Ok(())
    }

    /// Removes everything.
    ///
    /// # Errors
    ///
    /// [`BenchError::Remove`].
    pub fn remove(self) -> Result<(), BenchError> {
        self.remove_all().map_err(BenchError::Remove)
    }

    fn remove_all(&self) -> Result<(), durable::DurableError> {
        if self.is_mine {
            return durable::remove_tree(&self.root);
        }
        FOLDERS.iter().try_for_each(|name| durable::remove_tree(&self.root.join(name)))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // After `remove` there is nothing left; on the way out of an error, that error is what is told.
        let _ = self.remove_all();
    }
}

/// Makes the files of a set, brought to the disk.
///
/// # Errors
///
/// [`BenchError::Io`], or [`BenchError::Interrupted`].
pub fn make(folder: &Path, set: &FileSet, control: &dyn Control) -> Result<Vec<PathBuf>, BenchError> {
    let (mut seed, mut paths) = (SEED, Vec::new());
    for index in 0..set.count {
        let path = folder.join(format!("{set}-{index:05}.fits"));
        write_sample(&path, index, set.bytes, &mut seed, control)?;
        paths.push(path);
    }
    Ok(paths)
}

fn write_sample(
    path: &Path,
    index: u64,
    data_bytes: u64,
    seed: &mut u64,
    control: &dyn Control,
) -> Result<(), BenchError> {
    let fail = |source| io_error("write", path)(source);
    let file = File::create_new(path).map_err(io_error("create", path))?;
    let mut writer = BufWriter::with_capacity(PIECE_BYTES as usize, file);
    let primary =
        header(&["SIMPLE  =                    T", "BITPIX  =                    8", "NAXIS   =                    0"]);
    let extension = header(&[
        "XTENSION= 'IMAGE   '",
        "BITPIX  =                    8",
        "NAXIS   =                    1",
        &format!("NAXIS1  = {data_bytes:>20}"),
        "PCOUNT  =                    0",
        "GCOUNT  =                    1",
        &format!("EXTNAME = 'BENCH{index}'"),
    ]);
    writer.write_all(&primary).and_then(|()| writer.write_all(&extension)).map_err(fail)?;
    let padded = data_bytes.next_multiple_of(BLOCK_BYTES as u64);
    let mut piece = vec![0; PIECE_BYTES as usize];
    let mut done = 0;
    while done < padded {
        if control.is_cancelled() {
            return Err(BenchError::Interrupted);
        }
        let piece = &mut piece[..(padded - done).min(PIECE_BYTES) as usize];
        fill(piece, seed);
        // What is behind the data unit's last byte is padding.
        let data = data_bytes.saturating_sub(done).min(piece.len() as u64) as usize;
        piece[data..].fill(0);
        writer.write_all(piece).map_err(fail)?;
        done += piece.len() as u64;
    }
    writer.into_inner().map_err(|error| fail(error.into_error()))?.sync_all().map_err(fail)
}

fn header(cards: &[&str]) -> Vec<u8> {
    let card = |text: &&str| {
        let mut bytes = [b' '; CARD_BYTES];
        for (byte, character) in bytes.iter_mut().zip(text.bytes()) {
            *byte = character;
        }
        Card::from_bytes(bytes)
    };
    Header::from_cards(cards.iter().map(card).collect()).to_bytes()
}

/// Fills `piece` with xorshift64, which neither disk nor file system can compress.
fn fill(piece: &mut [u8], seed: &mut u64) {
    for word in piece.chunks_mut(8) {
        *seed ^= *seed << 13;
        *seed ^= *seed >> 7;
        *seed ^= *seed << 17;
        for (byte, random) in word.iter_mut().zip(seed.to_le_bytes()) {
            *byte = random;
        }
    }
}

/// The `.fits` files of a folder of the user's, by name; they are only read.
///
/// # Errors
///
/// [`BenchError::NoSamples`], or [`BenchError::Io`].
pub fn samples_of(folder: &Path) -> Result<Vec<PathBuf>, BenchError> {
    let folder = std::path::absolute(folder).map_err(io_error("find", folder))?;
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(&folder).map_err(io_error("read", &folder))? {
        let path = entry.map_err(io_error("read", &folder))?.path();
        let is_fits = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("fits"));
        if is_fits && path.metadata().map_err(io_error("read", &path))?.is_file() {
            paths.push(path);
        }
    }
    paths.sort();
    if paths.is_empty() { Err(BenchError::NoSamples { path: folder }) } else { Ok(paths) }
}

/// A specification that merges `inputs` and has one receiver, a folder of the bench: none of the configuration's.
pub fn specification(id: &str, inputs: &[PathBuf], received: &Path) -> String {
    let source = |(index, path): (usize, &PathBuf)| serde_json::json!({"type": "fitsFile", "sourceName": format!("source{index}"), "location": path});
    let sources: Vec<serde_json::Value> = inputs.iter().enumerate().map(source).collect();
    serde_json::json!({
        "id": id,
        "sources": sources,
        "target": {"fileId": id},
        "receivers": [{"type": "folderReceiver", "path": received}],
    })
    .to_string()
}

#[cfg(test)]
mod tests {
    use crate::bench::BenchError;
    use crate::bench::plan::FileSet;
    use crate::bench::scratch::{Scratch, make, samples_of, specification};
    use crate::control::Unwatched;
    use crate::fits::hdu::{ScanLimits, scan};
    use crate::merge::reader::FileReader;
    use crate::specification::validate;

    #[test]
    fn a_folder_that_holds_something_is_refused_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let kept = folder.path().join("mine");
        crate::durable::write_new(&kept, b"x").unwrap();
        assert!(matches!(Scratch::take(folder.path()), Err(BenchError::NotEmpty { .. })));
        assert_eq!(std::fs::read(&kept).unwrap(), b"x");
    }

    #[test]
    fn what_was_made_goes_and_what_was_there_stays() {
        let folder = tempfile::tempdir().unwrap();
        Scratch::take(folder.path()).unwrap().remove().unwrap();
        assert_eq!(folder.path().read_dir().unwrap().count(), 0);
        let inner = folder.path().join("new");
        drop(Scratch::take(&inner).unwrap());
        assert!(!inner.exists() && folder.path().exists());
    }

    #[test]
    fn samples_are_whole_fits_files_the_same_every_time() {
        let folder = tempfile::tempdir().unwrap();
        let set = FileSet { count: 2, bytes: 2_100_001 };
        let paths = make(folder.path(), &set, &Unwatched).unwrap();
        assert_eq!(samples_of(folder.path()).unwrap(), paths);
        let file = std::fs::File::open(&paths[1]).unwrap();
        let (hdus, tail) = scan(&FileReader::new(&file), ScanLimits::default()).unwrap();
        assert_eq!((hdus.len(), hdus[1].structure.data_bytes, tail.missing_padding), (2, 2_100_001, 0));
        let first = std::fs::read(&paths[0]).unwrap();
        std::fs::remove_file(&paths[0]).unwrap();
        std::fs::remove_file(&paths[1]).unwrap();
        assert_eq!(std::fs::read(&make(folder.path(), &set, &Unwatched).unwrap()[0]).unwrap(), first);
    }

    #[test]
    fn its_specifications_are_valid() {
        let folder = std::path::Path::new("/tmp/x");
        let text = specification("BENCH-1", &[folder.join("a.fits"), folder.join("b.fits")], folder);
        let specification = validate::parse(&text).unwrap();
        assert_eq!((specification.file_sources().count(), specification.receivers.len()), (2, 1));
    }
}
