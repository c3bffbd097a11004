//! What the machine can do without dpm: the least time that a stage can take.

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::bench::{BenchError, io_error};
use crate::control::Control;

/// Buffer of the copy loop, a little more than `cp` has (256 KiB): the faster of the two here.
const BUFFER_BYTES: usize = 1 << 20;
/// What is appended before each fsync.
const RECORD: [u8; 4096] = [0x5a; 4096];
/// A request or reply of the command socket.
const MESSAGE: [u8; 256] = [b'x'; 256];

/// Whether a copy is to survive a power cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sync {
    /// It may stay in memory.
    No,
    /// It is on the disk when its time ends.
    Yes,
}

/// Seconds to read all `inputs` once.
///
/// # Errors
///
/// [`BenchError::Io`], or [`BenchError::Interrupted`].
pub fn read(inputs: &[PathBuf], control: &dyn Control) -> Result<f64, BenchError> {
    let mut buffer = vec![0; BUFFER_BYTES];
    let began = Instant::now();
    for input in inputs {
        each_piece(input, &mut buffer, control, |_| Ok(()))?;
    }
    Ok(began.elapsed().as_secs_f64())
}

/// Seconds to read all `inputs` and write them into one file of `folder`, which is removed again.
///
/// # Errors
///
/// As [`read`].
pub fn copy(inputs: &[PathBuf], folder: &Path, sync: Sync, control: &dyn Control) -> Result<f64, BenchError> {
    let output = folder.join("copy");
    let mut buffer = vec![0; BUFFER_BYTES];
    let began = Instant::now();
    let mut file = File::create_new(&output).map_err(io_error("create", &output))?;
    for input in inputs {
        each_piece(input, &mut buffer, control, |piece| file.write_all(piece).map_err(io_error("write", &output)))?;
    }
    if sync == Sync::Yes {
        file.sync_all().map_err(io_error("sync", &output))?;
    }
    drop(file);
    let seconds = began.elapsed().as_secs_f64();
    std::fs::remove_file(&output).map_err(io_error("remove", &output))?;
    Ok(seconds)
}

fn each_piece(
    input: &Path,
    buffer: &mut [u8],
    control: &dyn Control,
    mut take: impl FnMut(&[u8]) -> Result<(), BenchError>,
) -> Result<(), BenchError> {
    let mut file = File::open(input).map_err(io_error("open", input))?;
    loop {
        if control.is_cancelled() {
            return Err(BenchError::Interrupted);
        }
        match file.read(buffer).map_err(io_error("read", input))? {
            0 => return Ok(()),
            count => take(&buffer[..count])?,
        }
    }
}

/// Seconds of one append and fsync, the mean of `count` in a row.
///
/// # Errors
///
/// As [`read`].
pub fn fsync(folder: &Path, count: u32, control: &dyn Control) -> Result<f64, BenchError> {
    let path = folder.join("synced");
    let mut file = File::create_new(&path).map_err(io_error("create", &path))?;
    let began = Instant::now();
    for _ in 0..count {
        if control.is_cancelled() {
            return Err(BenchError::Interrupted);
        }
        file.write_all(&RECORD).map_err(io_error("write", &path))?;
        file.sync_all().map_err(io_error("sync", &path))?;
    }
    let seconds = began.elapsed().as_secs_f64() / f64::from(count.max(1));
    std::fs::remove_file(&path).map_err(io_error("remove", &path))?;
    Ok(seconds)
}

/// Seconds of each of `count` messages to another thread and back, over a pair of sockets.
///
/// # Errors
///
/// As [`read`].
pub fn echo(count: usize) -> Result<Vec<f64>, BenchError> {
    let fail = |source| io_error("use", Path::new("a pair of sockets"))(source);
    let (mut near, mut far) = UnixStream::pair().map_err(fail)?;
    let echoing = std::thread::spawn(move || {
        let mut message = [0; MESSAGE.len()];
        // It ends when the other end is closed.
        while far.read_exact(&mut message).and_then(|()| far.write_all(&message)).is_ok() {}
    });
    let mut times = Vec::with_capacity(count);
    for _ in 0..count {
        let mut message = [0; MESSAGE.len()];
        let began = Instant::now();
        near.write_all(&MESSAGE).and_then(|()| near.read_exact(&mut message)).map_err(fail)?;
        times.push(began.elapsed().as_secs_f64());
    }
    drop(near);
    if let Err(panic) = echoing.join() {
        std::panic::resume_unwind(panic);
    }
    Ok(times)
}

#[cfg(test)]
mod tests {
    use crate::bench::BenchError;
    use crate::bench::floor::{Sync, copy, echo, fsync, read};
    use crate::control::{Control, Unwatched};

    struct Cancelled;

    impl Control for Cancelled {
        fn progress(&self, _bytes_done: u64, _bytes_total: u64) {}

        fn is_cancelled(&self) -> bool {
            true
        }
    }

    #[test]
    fn floors_take_time_and_leave_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let inputs = vec![folder.path().join("a")];
        crate::durable::write_new(&inputs[0], &vec![1; 3_000_000]).unwrap();
        let to = folder.path().join("to");
        std::fs::create_dir(&to).unwrap();
        assert!(read(&inputs, &Unwatched).unwrap() > 0.0);
        assert!(copy(&inputs, &to, Sync::No, &Unwatched).unwrap() > 0.0);
        assert!(copy(&inputs, &to, Sync::Yes, &Unwatched).unwrap() > 0.0);
        assert!(fsync(&to, 2, &Unwatched).unwrap() > 0.0);
        assert_eq!(to.read_dir().unwrap().count(), 0);
        assert!(matches!(read(&inputs, &Cancelled), Err(BenchError::Interrupted)));
        assert_eq!(echo(5).unwrap().len(), 5);
    }
}
