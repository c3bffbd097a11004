//! The command socket: a Unix stream socket, one JSON-RPC message a line.
//!
//! Requests of one connection are answered in order, except that `AwaitDaqState`, `AbortDaq` and `Subscribe` go on
//! beside others. A connection that sends more than the limit without a newline, or that does not finish a request
//! in time, is told so and closed. Where all places are taken, the connection that has been idle longest gives way. A client that only shuts down its sending side still gets all that it asked for. Only the daemon's own user, root
//! and the socket's group reach the socket: the kernel checks the mode of socket and folder.

use std::collections::HashSet;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Interest};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, broadcast, mpsc};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::command::dispatch::{Commander, Outcome};
use crate::command::error::{CommandError, ErrorKind};
use crate::command::request::{Request, Topic};
use crate::server::idle::IdleList;
use crate::server::jsonrpc::{self, Call};
use crate::status::DaqStatus;

/// Answers of one connection that wait to be written; a client that does not read makes its own requests wait.
const REPLIES_MAX: usize = 64;
/// Requests of one connection that wait beside others.
const WAITS_MAX: usize = 64;
/// How long a request may take from its first byte to its newline.
const REQUEST_LIMIT: Duration = Duration::from_secs(60);
/// How often a client that sends no more is looked at: whether it still listens.
const HANG_UP_INTERVAL: Duration = Duration::from_millis(500);
/// How long connections may take to write what was answered when the daemon ends.
const STOP_LIMIT: Duration = Duration::from_secs(5);
/// Bytes of the line buffer that an idle connection keeps.
const LINE_BYTES_KEPT: usize = 64 * 1024;
/// Requests above [`LINE_BYTES_KEPT`] that are read and performed at once: each takes several times its size.
const LARGE_REQUESTS_MAX: usize = 2;
/// Answers are written together up to about so many bytes: one system call for a client that asks ahead.
const WRITE_BYTES: usize = 64 * 1024;
/// How long a connection that gives way may take to let its place go.
const GIVE_WAY_LIMIT: Duration = Duration::from_millis(100);
/// How long a client may take to read one answer before it is given up.
const WRITE_LIMIT: Duration = Duration::from_secs(60);

/// Limits and place of the socket.
#[derive(Clone, Debug)]
pub struct UnixOptions {
    /// Where the socket is.
    pub path: PathBuf,
    /// Longest request in bytes.
    pub request_bytes_max: usize,
    /// Connections at the same time; a further one takes the place of one that is idle, or is told so and closed.
    pub connections_max: usize,
    /// Time without a request after which a connection that waits for nothing gives way.
    pub idle_limit: Duration,
    /// Interval of `dpm/storage` notifications.
    pub storage_interval: Duration,
}

/// The socket under its name, so that at the end nothing else is removed.
#[derive(Debug)]
pub struct BoundSocket {
    path: PathBuf,
    /// Device, inode and time of the last change: an inode alone is soon used again.
    identity: (u64, u64, i64, i64),
}

impl BoundSocket {
    /// Removes the name, if it still is this socket's: a successor may have taken it.
    pub fn remove(&self) {
        let is_ours = self.path.symlink_metadata().is_ok_and(|now| identity(&now) == self.identity);
        if is_ours {
            // A socket without a daemon only misleads; the next start would remove it too.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

fn identity(metadata: &std::fs::Metadata) -> (u64, u64, i64, i64) {
    (metadata.dev(), metadata.ino(), metadata.ctime(), metadata.ctime_nsec())
}

/// A socket that cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot open the command socket {}: {advice}", path.display())]
pub struct SocketError {
    /// Where it should be.
    pub path: PathBuf,
    /// What to do.
    pub advice: &'static str,
    /// The system's answer.
    #[source]
    pub source: io::Error,
}

impl SocketError {
    /// True if another program serves the socket.
    pub fn is_served(&self) -> bool {
        self.source.kind() == io::ErrorKind::AddrInUse
    }
}

/// Opens the socket, mode 0660. A stale one is removed; one that somebody serves is not: a socket that was named with
/// `--socket` may be that of a daemon of another workspace.
///
/// # Errors
///
/// [`SocketError`] where the name is taken, or is too long for a socket (107 bytes, unix(7)).
pub fn bind(path: &Path) -> Result<(UnixListener, BoundSocket), SocketError> {
    let fail = |advice| move |source| SocketError { path: path.to_owned(), advice, source };
    if let Ok(metadata) = path.symlink_metadata() {
        if !metadata.file_type().is_socket() {
            let source = io::Error::from(io::ErrorKind::AlreadyExists);
            return Err(fail("something else has this name; choose another with --socket")(source));
        }
        match std::os::unix::net::UnixStream::connect(path) {
            // Nobody listens: the daemon that bound it is gone.
            Err(error) if matches!(error.kind(), io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound) => {}
            Ok(_) => {
                let source = io::Error::from(io::ErrorKind::AddrInUse);
                return Err(fail("another program serves it; choose another with --socket")(source));
            }
            Err(source) => return Err(fail("it is not dpm's; choose another with --socket")(source)),
        }
        std::fs::remove_file(path).map_err(fail("remove the old socket"))?;
    }
    let listener = UnixListener::bind(path)
        .map_err(fail("check that its folder exists and that the path is at most 107 bytes long"))?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660)).map_err(fail("check its folder"))?;
    let bound = path.symlink_metadata().map_err(fail("check its folder"))?;
    Ok((listener, BoundSocket { path: path.to_owned(), identity: identity(&bound) }))
}

/// Serves connections until `stop` is cancelled; what was answered by then is still written.
pub async fn serve(listener: UnixListener, commander: Commander, options: UnixOptions, stop: CancellationToken) {
    let slots = Arc::new(Semaphore::new(options.connections_max));
    let large = Arc::new(Semaphore::new(LARGE_REQUESTS_MAX));
    let options = Arc::new(options);
    let idle = Arc::new(IdleList::default());
    let connections = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => break,
        };
        match accepted {
            Ok((stream, _)) => match place(&slots, &idle, options.idle_limit).await {
                Some(slot) => {
                    let (options, large, idle) = (Arc::clone(&options), Arc::clone(&large), Arc::clone(&idle));
                    let connection = Connection::new(commander.clone(), options, large, idle);
                    connections.spawn(connection.run(stream, slot, stop.clone()));
                }
                None => {
                    connections.spawn(refuse(stream, options.connections_max));
                }
            },
            Err(error) => {
                // Out of descriptors, or a client that went away: both pass.
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
    connections.close();
    if tokio::time::timeout(STOP_LIMIT, connections.wait()).await.is_err() {
        tracing::warn!("clients that do not read their answers are left");
    }
}

/// A place for a new connection, if need be that of an idle one.
async fn place(slots: &Arc<Semaphore>, idle: &IdleList, limit: Duration) -> Option<OwnedSemaphorePermit> {
    if let Ok(slot) = Arc::clone(slots).try_acquire_owned() {
        return Some(slot);
    }
    if !idle.evict(limit) {
        return None;
    }
    tokio::time::timeout(GIVE_WAY_LIMIT, Arc::clone(slots).acquire_owned()).await.ok()?.ok()
}

async fn refuse(mut stream: UnixStream, limit: usize) {
    let message = format!("{limit} clients are connected, which is the limit");
    let line = jsonrpc::reply(&serde_json::Value::Null, &Err(CommandError::new(ErrorKind::Busy, message)));
    // The client may have gone.
    let _ = tokio::time::timeout(Duration::from_secs(1), stream.write_all(&line)).await;
}

struct Connection {
    commander: Commander,
    options: Arc<UnixOptions>,
    /// One permit for each request that waits beside others.
    waits: Arc<Semaphore>,
    /// One permit for each large request, of all connections.
    large: Arc<Semaphore>,
    /// Who gives way to whom.
    idle: Arc<IdleList>,
    /// Cancelled when this connection is to give way.
    give_way: CancellationToken,
}

impl Connection {
    fn new(commander: Commander, options: Arc<UnixOptions>, large: Arc<Semaphore>, idle: Arc<IdleList>) -> Connection {
        let (waits, give_way) = (Arc::new(Semaphore::new(WAITS_MAX)), CancellationToken::new());
        Connection { commander, options, waits, large, idle, give_way }
    }

    async fn run(self, stream: UnixStream, _slot: OwnedSemaphorePermit, stop: CancellationToken) {
        let (reading, writing) = stream.into_split();
        let (replies, queued) = mpsc::channel(REPLIES_MAX);
        let gone = CancellationToken::new();
        let mut writer = tokio::spawn(write_replies(writing, queued, gone.clone()));
        let half_closed = tokio::select! {
            half_closed = self.read_requests(reading, &replies, &gone) => half_closed,
            () = gone.cancelled() => None,
            () = stop.cancelled() => None,
            () = self.give_way.cancelled() => {
                let message = "the connection was idle and gives way to another one: connect again".to_owned();
                self.refuse_line(ErrorKind::Busy, message, &replies).await
            }
        };
        drop(replies);
        if let Some(reading) = half_closed {
            // It sends no more but may listen: what it has asked for goes on until it hangs up.
            tokio::select! {
                _ = &mut writer => {}
                () = hang_up(&reading) => {}
                () = stop.cancelled() => {}
            }
        }
        // What was answered is still written; what waits is given up, and with it the last senders.
        gone.cancel();
        if !writer.is_finished() {
            let _ = writer.await;
        }
    }

    /// Serves requests until the client sends no more (its side is then given back) or must not send more.
    async fn read_requests(
        &self,
        reading: OwnedReadHalf,
        replies: &mpsc::Sender<Vec<u8>>,
        gone: &CancellationToken,
    ) -> Option<OwnedReadHalf> {
        let mut reader = BufReader::new(reading);
        let mut line = Vec::new();
        loop {
            // A large request leaves no large buffer behind.
            line.clear();
            line.shrink_to(LINE_BYTES_KEPT);
            if reader.buffer().is_empty() {
                // An idle client may wait as long as there are places; one that has begun a request must go on.
                let waits = Arc::clone(&self.waits);
                let is_waiting = move || waits.available_permits() < WAITS_MAX;
                let _idle = self.idle.note(self.give_way.clone(), is_waiting);
                if reader.fill_buf().await.ok()?.is_empty() {
                    return Some(reader.into_inner());
                }
            }
            let large = match self.read_line(&mut reader, &mut line).await {
                Ok(large) => large,
                Err(message) => return self.refuse_line(ErrorKind::InvalidRequest, message, replies).await,
            };
            let text = line.trim_ascii();
            if text.is_empty() {
                continue;
            }
            match jsonrpc::read(text) {
                Ok(call) => self.answer(call, replies, gone).await,
                Err((id, error)) => {
                    let _ = replies.send(jsonrpc::reply(&id, &Err(error))).await;
                }
            }
            drop(large);
        }
    }

    /// Tells why the connection ends.
    async fn refuse_line(
        &self,
        kind: ErrorKind,
        message: String,
        replies: &mpsc::Sender<Vec<u8>>,
    ) -> Option<OwnedReadHalf> {
        let error = Err(CommandError::new(kind, message));
        let _ = replies.send(jsonrpc::reply(&serde_json::Value::Null, &error)).await;
        None
    }

    /// Reads one line. A large one first waits for one of a few permits, so that many clients with large requests
    /// cannot fill the memory; the permit is kept until the request was answered.
    async fn read_line(
        &self,
        reader: &mut BufReader<OwnedReadHalf>,
        line: &mut Vec<u8>,
    ) -> Result<Option<OwnedSemaphorePermit>, String> {
        let bytes_max = self.options.request_bytes_max;
        let small = LINE_BYTES_KEPT.min(bytes_max + 1);
        self.read_up_to(reader, line, small).await?;
        let is_whole = line.ends_with(b"\n") || line.len() < small;
        let mut permit = None;
        if !is_whole && line.len() <= bytes_max {
            permit = Some(Arc::clone(&self.large).acquire_owned().await.map_err(|error| error.to_string())?);
            self.read_up_to(reader, line, bytes_max + 1 - line.len()).await?;
        }
        if line.len() > bytes_max {
            return Err(format!("a request has at most {bytes_max} bytes and ends with a newline"));
        }
        Ok(permit)
    }

    async fn read_up_to(
        &self,
        reader: &mut BufReader<OwnedReadHalf>,
        line: &mut Vec<u8>,
        count: usize,
    ) -> Result<(), String> {
        let mut limited = reader.take(count as u64);
        match tokio::time::timeout(REQUEST_LIMIT, limited.read_until(b'\n', line)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(format!("the request cannot be read: {error}")),
            Err(_) => Err(format!("a request is finished within {} s", REQUEST_LIMIT.as_secs())),
        }
    }

    async fn answer(&self, call: Call, replies: &mpsc::Sender<Vec<u8>>, gone: &CancellationToken) {
        let request = match Request::parse(&call.method, call.parameters) {
            Ok(request) => request,
            Err(error) => return send(replies, call.id.as_ref(), &Err(error)).await,
        };
        let interval = self.options.storage_interval;
        if !matches!(request, Request::AwaitDaqState(_) | Request::AbortDaq(_) | Request::Subscribe(_)) {
            return perform(&self.commander, request, call.id.as_ref(), replies, interval, gone).await;
        }
        let Ok(permit) = Arc::clone(&self.waits).try_acquire_owned() else {
            let message = format!("{WAITS_MAX} requests of this connection wait, which is the limit");
            return send(replies, call.id.as_ref(), &Err(CommandError::new(ErrorKind::Busy, message))).await;
        };
        let (commander, replies, gone) = (self.commander.clone(), replies.clone(), gone.clone());
        tokio::spawn(async move {
            let _permit = permit;
            tokio::select! {
                () = perform(&commander, request, call.id.as_ref(), &replies, interval, &gone) => {}
                // Nobody listens any more: a wait of a day must not hold the connection's slot.
                () = gone.cancelled() => {}
            }
        });
    }
}

async fn perform(
    commander: &Commander,
    request: Request,
    id: Option<&serde_json::Value>,
    replies: &mpsc::Sender<Vec<u8>>,
    interval: Duration,
    gone: &CancellationToken,
) {
    match commander.perform(request).await {
        Ok(Outcome::Reply(value)) => send(replies, id, &Ok(value)).await,
        Ok(Outcome::Stream { reply, topics, changes }) => {
            let told = ids(&reply);
            send(replies, id, &Ok(reply)).await;
            let mut stream = Stream { commander: commander.clone(), topics, interval, told };
            stream.run(changes, replies, gone).await;
        }
        Err(error) => send(replies, id, &Err(error)).await,
    }
}

/// Returns when the client has closed its listening side too.
async fn hang_up(reading: &OwnedReadHalf) {
    while reading.ready(Interest::WRITABLE).await.is_ok_and(|ready| !ready.is_write_closed()) {
        tokio::time::sleep(HANG_UP_INTERVAL).await;
    }
}

async fn send(
    replies: &mpsc::Sender<Vec<u8>>,
    id: Option<&serde_json::Value>,
    outcome: &Result<serde_json::Value, CommandError>,
) {
    if let Some(id) = id {
        // A client that has gone needs no answer.
        let _ = replies.send(jsonrpc::reply(id, outcome)).await;
    }
}

async fn write_replies(mut writing: OwnedWriteHalf, mut queued: mpsc::Receiver<Vec<u8>>, gone: CancellationToken) {
    while let Some(mut lines) = queued.recv().await {
        while lines.len() < WRITE_BYTES
            && let Ok(line) = queued.try_recv()
        {
            lines.extend_from_slice(&line);
        }
        let written = tokio::time::timeout(WRITE_LIMIT, writing.write_all(&lines)).await;
        if !matches!(written, Ok(Ok(()))) {
            gone.cancel();
            return;
        }
    }
}

/// Ids of the DAQs in a list of statuses.
fn ids(statuses: &serde_json::Value) -> HashSet<String> {
    let list = statuses.as_array().map_or(&[][..], Vec::as_slice);
    list.iter().filter_map(|status| status.get("id")?.as_str().map(str::to_owned)).collect()
}

/// Notifications to one subscriber.
struct Stream {
    commander: Commander,
    topics: Vec<Topic>,
    interval: Duration,
    /// DAQs whose end the subscriber has not been told.
    told: HashSet<String>,
}

impl Stream {
    async fn run(
        &mut self,
        mut changes: broadcast::Receiver<DaqStatus>,
        replies: &mpsc::Sender<Vec<u8>>,
        gone: &CancellationToken,
    ) {
        let mut storage = tokio::time::interval(self.interval);
        storage.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let lines = tokio::select! {
                () = gone.cancelled() => return,
                change = changes.recv(), if self.topics.contains(&Topic::DaqStatus) => match change {
                    Ok(status) => self.tell(&status),
                    Err(RecvError::Lagged(_)) => {
                        // A slow client: tell what is now instead of what it missed, and nothing older after that.
                        changes = changes.resubscribe();
                        match self.present().await {
                            Some(lines) => lines,
                            None => return,
                        }
                    }
                    Err(RecvError::Closed) => return,
                },
                _ = storage.tick(), if self.topics.contains(&Topic::Storage) => {
                    match self.commander.storage().await {
                        Ok(status) => jsonrpc::notification(Topic::Storage.as_str(), &status),
                        Err(_) => continue,
                    }
                }
            };
            if replies.send(lines).await.is_err() {
                return;
            }
        }
    }

    fn tell(&mut self, status: &DaqStatus) -> Vec<u8> {
        if status.sub_state.is_final() {
            self.told.remove(&status.id);
        } else {
            self.told.insert(status.id.clone());
        }
        jsonrpc::notification(Topic::DaqStatus.as_str(), status)
    }

    /// The present status of every unfinished DAQ, and the last one of those that have ended unseen.
    async fn present(&mut self) -> Option<Vec<u8>> {
        let statuses = self.commander.active().ok()?;
        let active: HashSet<&str> = statuses.iter().map(|status| status.id.as_str()).collect();
        let ended: Vec<String> = self.told.iter().filter(|id| !active.contains(id.as_str())).cloned().collect();
        let mut lines = Vec::new();
        for id in ended {
            match self.commander.present_status(&id).await {
                Ok(status) => lines.extend(self.tell(&status)),
                // Its history was cleared: there is nothing to tell.
                Err(_) => drop(self.told.remove(&id)),
            }
        }
        for status in &statuses {
            lines.extend(self.tell(status));
        }
        Some(lines)
    }
}

#[cfg(test)]
pub(crate) mod tests;
