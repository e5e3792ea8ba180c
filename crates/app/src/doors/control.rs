//! The control socket: a Unix socket in the data folder that only its owner can open.
//!
//! One connection carries one request and one reply, a line of JSON each.

use crate::doors::act::{self, Request};
use crate::doors::nursery::Nursery;
use crate::fleet::view::PreviewView;
use crate::status::{Desk, Status};
use serde::{Deserialize, Serialize};
use std::fs::{self, File, Permissions};
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream as BlockingStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// Name of the socket in the data folder.
pub const SOCKET_FILE: &str = "control.sock";
/// Longest request line in bytes, its end included.
pub const REQUEST_BYTES_MAX: usize = 8 * 1024;
/// Longest reply line in bytes: a status with every cohort and level has room in it.
pub const REPLY_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Connections served at once; further ones wait in the system's queue.
pub const CONNECTIONS_MAX: usize = 16;
/// How long a client may take to send its line, and to take the reply.
pub const LINE_WAIT_MAX: Duration = Duration::from_secs(5);
/// How long the client waits for a reply: longer than the daemon waits for its engine.
pub const REPLY_WAIT_MAX: Duration = Duration::from_secs(25);
/// Most that is read and thrown away after a request that was too long.
const DISCARD_BYTES_MAX: u64 = 64 * 1024;
const _: () = assert!(
    REPLY_WAIT_MAX.as_secs() > 2 * act::ACT_WAIT_MAX.as_secs(),
    "a client outlasts the wait for the engine to take an act and to answer it"
);
/// Longest path a socket address can hold.
const SOCKET_PATH_BYTES_MAX: usize = 107;
/// Pause after the system could not hand over a connection, which is mostly a lack of files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);
/// Most of the list of users that is read to find a name.
const USERS_BYTES_MAX: u64 = 1024 * 1024;

/// Says why the control socket cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// Somebody answers on it.
    #[error(
        "failed to open control socket `{}`: a running headgate answers there; stop it, or give \
         this one another data folder",
        path.display()
    )]
    Alive {
        /// The socket.
        path: PathBuf,
    },
    /// The system would not.
    #[error("failed to open control socket `{}`", path.display())]
    Open {
        /// The socket.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// The open control socket; it is gone from the folder when this is.
#[derive(Debug)]
pub struct ControlListener {
    listener: UnixListener,
    path: PathBuf,
}

impl ControlListener {
    /// Opens the control socket of a data folder that exists and whose lock is held.
    ///
    /// It is bound in a folder that nobody else can enter, and appears at its place, over the
    /// socket of a dead daemon, when its mode is right: no moment is open to others.
    ///
    /// # Errors
    /// When a live daemon answers there, or the system refuses.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn open(data: &Path) -> Result<Self, ControlError> {
        let path = data.join(SOCKET_FILE);
        let failed = |source| ControlError::Open { path: path.clone(), source };
        match connect(data) {
            Ok(_) => return Err(ControlError::Alive { path }),
            Err(e) if is_nobody_there(&e) => {}
            Err(e) => return Err(failed(e)),
        }
        let nursery = Nursery::make(data, "control").map_err(failed)?;
        let draft = nursery.path().join(SOCKET_FILE);
        let listener = at_short_path(nursery.path(), UnixListener::bind).map_err(failed)?;
        fs::set_permissions(&draft, Permissions::from_mode(0o600)).map_err(failed)?;
        fs::rename(&draft, &path).map_err(failed)?;
        Ok(Self { listener, path })
    }
}

impl Drop for ControlListener {
    fn drop(&mut self) {
        // What cannot be removed is a dead socket, and the next start replaces it.
        let _ = fs::remove_file(&self.path);
    }
}

/// Answers requests on the control socket until `shutdown` ends.
pub async fn serve(control: ControlListener, desk: Desk, shutdown: impl Future<Output = ()>) {
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let next = async {
            let permit = Arc::clone(&room).acquire_owned().await;
            (permit.expect("the semaphore is never closed"), control.listener.accept().await)
        };
        let (permit, accepted) = tokio::select! {
            () = &mut shutdown => return,
            next = next => next,
        };
        match accepted {
            Ok((stream, _)) => {
                let desk = desk.clone();
                tokio::spawn(async move {
                    if let Err(e) = converse(stream, &desk).await {
                        tracing::debug!(error = %e, "a control connection broke");
                    }
                    drop(permit);
                });
            }
            Err(e) => {
                tracing::warn!(error = %e, "failed to accept a control connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn converse(mut stream: UnixStream, desk: &Desk) -> io::Result<()> {
    let who = sender(stream.peer_cred()?.uid());
    let (mut reading, mut writing) = stream.split();
    let request = match timeout(LINE_WAIT_MAX, request_line(&mut reading)).await {
        Ok(line) => line?,
        Err(_) => Line::Unusable(format!("no request came within {} s", LINE_WAIT_MAX.as_secs())),
    };
    let reply = match request {
        Line::Nothing => return Ok(()),
        Line::Unusable(error) => Reply::Refused { error },
        Line::Request(request) => answer(&request, desk, &who).await,
    };
    let mut line = serde_json::to_vec(&Wire::from(reply))?;
    line.push(b'\n');
    timeout(LINE_WAIT_MAX, writing.write_all(&line)).await??;
    writing.shutdown().await?;
    // What is left unread when a socket closes makes the other side lose the reply.
    let mut rest = reading.take(DISCARD_BYTES_MAX);
    timeout(LINE_WAIT_MAX, tokio::io::copy(&mut rest, &mut tokio::io::sink())).await??;
    Ok(())
}

async fn answer(request: &Request, desk: &Desk, who: &str) -> Reply {
    if matches!(request, Request::Status {}) {
        return Reply::Status(Arc::clone(&desk.status.borrow()));
    }
    if matches!(request, Request::Preview { .. }) {
        return match act::preview(desk, request).await {
            Ok(preview) => Reply::Preview(Box::new(preview)),
            Err(e) => Reply::Refused { error: e.to_string() },
        };
    }
    match act::perform(desk, request, who).await {
        Ok(seq) => Reply::Done { seq },
        Err(e) => Reply::Refused { error: e.to_string() },
    }
}

enum Line {
    /// The client went away without a word, as one that only looks whether anybody is here.
    Nothing,
    Unusable(String),
    Request(Request),
}

async fn request_line(stream: impl tokio::io::AsyncRead + Unpin) -> io::Result<Line> {
    let limit = u64::try_from(REQUEST_BYTES_MAX).expect("a line's length fits 64 bits");
    let mut line = Vec::new();
    BufReader::new(stream.take(limit)).read_until(b'\n', &mut line).await?;
    if line.is_empty() {
        return Ok(Line::Nothing);
    }
    if line.last() != Some(&b'\n') {
        return Ok(Line::Unusable(if line.len() == REQUEST_BYTES_MAX {
            format!("the request is longer than {REQUEST_BYTES_MAX} bytes; shorten it")
        } else {
            "the request has no end; finish it with a line break".to_owned()
        }));
    }
    Ok(match serde_json::from_slice(&line) {
        Ok(request) => Line::Request(request),
        Err(e) => Line::Unusable(format!("failed to read the request: {e}")),
    })
}

/// Names a local user as the system knows them; a name they give themselves proves nothing.
fn sender(uid: u32) -> String {
    let mut users = String::new();
    let read =
        File::open("/etc/passwd").map(|f| f.take(USERS_BYTES_MAX).read_to_string(&mut users));
    match read.ok().and_then(|_| user_name(&users, uid)) {
        Some(name) => format!("uid {uid} ({name})"),
        None => format!("uid {uid}"),
    }
}

fn user_name(users: &str, uid: u32) -> Option<&str> {
    let uid = uid.to_string();
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1) == Some(uid.as_str()) && !name.is_empty()).then_some(name)
    })
}

/// What a daemon says to a request.
#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    /// The act is in the journal, at this place.
    Done {
        /// Place in the journal.
        seq: u64,
    },
    /// How the site is.
    Status(Arc<Status>),
    /// What a curtailment would do.
    Preview(Box<PreviewView>),
    /// The request was not granted.
    Refused {
        /// One sentence.
        error: String,
    },
}

/// A reply as it is on the wire.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Wire {
    ok: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    seq: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    status: Option<Arc<Status>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    preview: Option<Box<PreviewView>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

impl From<Reply> for Wire {
    fn from(reply: Reply) -> Self {
        match reply {
            Reply::Done { seq } => Wire { ok: true, seq: Some(seq), ..Wire::default() },
            Reply::Status(s) => Wire { ok: true, status: Some(s), ..Wire::default() },
            Reply::Preview(p) => Wire { ok: true, preview: Some(p), ..Wire::default() },
            Reply::Refused { error } => Wire { error: Some(error), ..Wire::default() },
        }
    }
}

impl Wire {
    fn reply(self) -> Option<Reply> {
        match (self.ok, self.seq, self.status, self.preview, self.error) {
            (true, Some(seq), None, None, None) => Some(Reply::Done { seq }),
            (true, None, Some(status), None, None) => Some(Reply::Status(status)),
            (true, None, None, Some(preview), None) => Some(Reply::Preview(preview)),
            (false, None, None, None, Some(error)) => Some(Reply::Refused { error }),
            _ => None,
        }
    }
}

/// Says why a daemon could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// There is no daemon.
    #[error("no headgate runs on {}", data.display())]
    Nobody {
        /// The data folder.
        data: PathBuf,
    },
    /// There is one, and it does not answer.
    #[error(
        "failed to get an answer from the headgate on {} within {} s",
        data.display(), REPLY_WAIT_MAX.as_secs()
    )]
    Silent {
        /// The data folder.
        data: PathBuf,
    },
    /// The socket cannot be used.
    #[error("failed to ask the headgate on {}", data.display())]
    Ask {
        /// The data folder.
        data: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The request is longer than any daemon takes.
    #[error("failed to ask: the request is longer than {REQUEST_BYTES_MAX} bytes; shorten it")]
    TooLong,
    /// What came back is no reply.
    #[error(
        "failed to understand the headgate on {}: its version may differ from this one",
        data.display()
    )]
    Garbled {
        /// The data folder.
        data: PathBuf,
        /// Why, where it is not JSON of the right shape.
        #[source]
        source: Option<serde_json::Error>,
    },
}

impl ClientError {
    /// Says whether the daemon could not be reached at all, which has its own exit code.
    #[must_use]
    pub fn is_unreachable(&self) -> bool {
        matches!(self, Self::Nobody { .. } | Self::Silent { .. } | Self::Ask { .. })
    }
}

/// Asks the daemon that runs on a data folder, and waits for its reply.
///
/// # Errors
/// When no daemon runs there, or it gives no usable reply.
pub fn ask(data: &Path, request: &Request) -> Result<Reply, ClientError> {
    let failed = |source: io::Error| match source.kind() {
        // Which of the two a timeout on a socket is called depends on the system.
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
            ClientError::Silent { data: data.to_owned() }
        }
        _ if is_nobody_there(&source) => ClientError::Nobody { data: data.to_owned() },
        _ => ClientError::Ask { data: data.to_owned(), source },
    };
    let mut line = serde_json::to_vec(request).expect("a request is plain data");
    line.push(b'\n');
    if line.len() > REQUEST_BYTES_MAX {
        return Err(ClientError::TooLong);
    }
    let mut stream = connect(data).map_err(failed)?;
    stream.set_read_timeout(Some(REPLY_WAIT_MAX)).map_err(failed)?;
    stream.set_write_timeout(Some(LINE_WAIT_MAX)).map_err(failed)?;
    stream.write_all(&line).map_err(failed)?;
    let limit = u64::try_from(REPLY_BYTES_MAX).expect("a reply's length fits 64 bits");
    let mut reply = Vec::new();
    stream.take(limit).read_to_end(&mut reply).map_err(failed)?;
    let garbled = |source| ClientError::Garbled { data: data.to_owned(), source };
    let wire: Wire = serde_json::from_slice(&reply).map_err(|e| garbled(Some(e)))?;
    wire.reply().ok_or_else(|| garbled(None))
}

fn connect(data: &Path) -> io::Result<BlockingStream> {
    at_short_path(data, BlockingStream::connect)
}

/// Uses the socket of a folder by a path that a socket address has room for, however deep the
/// folder lies: by the number of its open file.
fn at_short_path<T>(folder: &Path, act: impl FnOnce(PathBuf) -> io::Result<T>) -> io::Result<T> {
    let path = folder.join(SOCKET_FILE);
    if path.as_os_str().len() <= SOCKET_PATH_BYTES_MAX {
        return act(path);
    }
    let open = File::open(folder)?;
    act(PathBuf::from(format!("/proc/self/fd/{}", open.as_raw_fd())).join(SOCKET_FILE))
}

/// Says whether a failure to connect means that nobody listens.
fn is_nobody_there(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionRefused, NotADirectory, NotFound};
    matches!(error.kind(), ConnectionRefused | NotADirectory | NotFound)
}

#[cfg(test)]
mod tests;
