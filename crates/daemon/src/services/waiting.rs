//! Waiting until a process is ready: a line that it writes, a port that it opens, or its end.

use std::sync::Arc;
use std::time::Duration;

use sandkeep_api::{ErrorCode, InvalidInput, PortMode, SandboxId, StatusRange, WaitForPort};
use sandkeep_sandboxes::ProcessEvent;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::processes::Followed;
use super::{Live, Services};
use crate::error::ServiceError;

/// Of a line, this much is searched and answered.
const MAX_LINE: usize = 64 << 10;
/// Longest text that is looked for.
const MAX_TEXT: usize = 4 << 10;
/// Between attempts at a port.
const DEFAULT_INTERVAL: Duration = Duration::from_millis(500);
const MIN_INTERVAL: Duration = Duration::from_millis(10);
/// One attempt.
const ATTEMPT_LIMIT: Duration = Duration::from_secs(5);
/// A status line is not longer.
const MAX_STATUS_LINE: usize = 1024;
const DEFAULT_STATUS: StatusRange = StatusRange::Between { min: 200, max: 399 };

/// What is waited for, for how long.
struct Waiting<'a> {
    process: &'a str,
    condition: String,
    limit: Option<Duration>,
}

impl Services {
    /// The first line with a text in it.
    pub(crate) async fn wait_for_log(
        self: &Arc<Self>,
        id: &SandboxId,
        process: &str,
        text: &str,
        limit: Option<Duration>,
    ) -> Result<String, ServiceError> {
        if text.is_empty() || text.len() > MAX_TEXT || text.contains('\n') {
            let message = "text must be one line of 1 to 4096 bytes";
            return Err(InvalidInput::new(ErrorCode::ValidationFailed, message).into());
        }
        let mut followed = self.follow_process(id, process).await?;
        let waiting = Waiting { process, condition: format!("a line with {text:?}"), limit };
        let search = async {
            let mut lines = [Lines::default(), Lines::default()];
            loop {
                let (stream, bytes) = match followed.next().await? {
                    ProcessEvent::Stdout(bytes) => (0, bytes),
                    ProcessEvent::Stderr(bytes) => (1, bytes),
                    ProcessEvent::Ended(info) => return Err(waiting.ended(info.exit_code)),
                };
                if let Some(line) = lines[stream].find(&bytes, text) {
                    return Ok(line);
                }
            }
        };
        waiting.within(search).await
    }

    /// Until a port answers.
    pub(crate) async fn wait_for_port(
        self: &Arc<Self>,
        id: &SandboxId,
        process: &str,
        request: WaitForPort,
    ) -> Result<(), ServiceError> {
        let probe = Probe::new(&request)?;
        let limit = request.timeout.map(Duration::from_millis);
        let interval = request.interval.map_or(DEFAULT_INTERVAL, Duration::from_millis).max(MIN_INTERVAL);
        let mut followed = self.follow_process(id, process).await?;
        let live = followed.live();
        let waiting = Waiting { process, condition: format!("an answer at port {}", request.port), limit };
        let attempts = async {
            while !probe.answers(&live).await {
                tokio::time::sleep(interval).await;
            }
        };
        let search = async {
            tokio::select! {
                () = attempts => Ok(()),
                end = end_of(&mut followed) => Err(waiting.ended(end?)),
            }
        };
        waiting.within(search).await
    }

    /// Until it ends; its exit code.
    pub(crate) async fn wait_for_exit(
        self: &Arc<Self>,
        id: &SandboxId,
        process: &str,
        limit: Option<Duration>,
    ) -> Result<i32, ServiceError> {
        let mut followed = self.follow_process(id, process).await?;
        let waiting = Waiting { process, condition: "its end".to_owned(), limit };
        waiting.within(async { Ok(end_of(&mut followed).await?.unwrap_or_default()) }).await
    }
}

/// Reads on until the end; the exit code.
async fn end_of(followed: &mut Followed) -> Result<Option<i32>, ServiceError> {
    loop {
        if let ProcessEvent::Ended(info) = followed.next().await? {
            return Ok(info.exit_code);
        }
    }
}

impl Waiting<'_> {
    async fn within<T>(
        &self,
        work: impl Future<Output = Result<T, ServiceError>>,
    ) -> Result<T, ServiceError> {
        let Some(limit) = self.limit else { return work.await };
        let late = || ServiceError::ProcessTimeout {
            id: self.process.to_owned(),
            condition: self.condition.clone(),
            after: limit,
        };
        timeout(limit, work).await.unwrap_or_else(|_| Err(late()))
    }

    fn ended(&self, code: Option<i32>) -> ServiceError {
        let (id, condition) = (self.process.to_owned(), self.condition.clone());
        ServiceError::ProcessExited { id, condition, code: code.unwrap_or_default() }
    }
}

/// Lines of a stream that arrives in pieces.
#[derive(Debug, Default)]
struct Lines {
    /// The start of a line whose end has not come.
    open: Vec<u8>,
}

impl Lines {
    /// The first line with a text in it; one that is not finished counts as far as it goes.
    fn find(&mut self, bytes: &[u8], text: &str) -> Option<String> {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let room = MAX_LINE.saturating_sub(self.open.len());
            self.open.extend_from_slice(&piece[..piece.len().min(room)]);
            let line = String::from_utf8_lossy(&self.open);
            if line.contains(text) {
                return Some(line.trim_end_matches(['\n', '\r']).to_owned());
            }
            if piece.ends_with(b"\n") {
                self.open.clear();
            }
        }
        None
    }
}

/// One question to a port.
struct Probe {
    port: u16,
    /// None: a connection is answer enough.
    path: Option<String>,
    status: StatusRange,
}

impl Probe {
    fn new(request: &WaitForPort) -> Result<Self, InvalidInput> {
        let refuse = |message: &str| Err(InvalidInput::new(ErrorCode::ValidationFailed, message));
        if request.port == 0 {
            return refuse("port must be between 1 and 65535");
        }
        let path = request.path.as_deref().unwrap_or("/");
        if !path.starts_with('/') || path.contains(|c: char| c.is_control() || c == ' ') {
            return refuse("path must start with a slash and have no spaces");
        }
        let path = (request.mode == PortMode::Http).then(|| path.to_owned());
        Ok(Self { port: request.port, path, status: request.status.unwrap_or(DEFAULT_STATUS) })
    }

    async fn answers(&self, live: &Live) -> bool {
        let Ok(connection) = live.sandbox.connect_to(self.port, ATTEMPT_LIMIT).await else { return false };
        let Some(path) = &self.path else { return true };
        let asked = timeout(ATTEMPT_LIMIT, status(connection, self.port, path)).await;
        matches!(asked, Ok(Ok(Some(status))) if self.status.contains(status))
    }
}

/// The status of a response. The rest of it is nobody's business.
async fn status(connection: std::net::TcpStream, port: u16, path: &str) -> std::io::Result<Option<u16>> {
    connection.set_nonblocking(true)?;
    let mut connection = TcpStream::from_std(connection)?;
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: localhost:{port}\r\nUser-Agent: sandkeep\r\nAccept: */*\r\nConnection: close\r\n\r\n"
    );
    connection.write_all(request.as_bytes()).await?;
    let mut line = Vec::new();
    while line.len() < MAX_STATUS_LINE && !line.contains(&b'\n') {
        if connection.read_buf(&mut line).await? == 0 {
            break;
        }
    }
    let line = String::from_utf8_lossy(&line);
    let mut words = line.split_whitespace();
    let is_http = words.next().is_some_and(|word| word.starts_with("HTTP/"));
    Ok(words.next().and_then(|word| word.parse().ok()).filter(|_| is_http))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_found_across_pieces() {
        let mut lines = Lines::default();
        assert_eq!(lines.find(b"one\ntw", "two"), None);
        assert_eq!(lines.find(b"o and more\r\nthree", "two"), Some("two and more".into()));
        let mut lines = Lines::default();
        assert_eq!(lines.find(b"no newline: ready", "ready"), Some("no newline: ready".into()));
        let mut lines = Lines::default();
        assert_eq!(lines.find(b"rea\ndy\n", "ready"), None);
        assert_eq!(lines.find(&vec![b'x'; 3 * MAX_LINE], "y"), None);
        assert!(lines.open.len() <= MAX_LINE);
    }
}
