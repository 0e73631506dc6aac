//! Commands: whole results, or events.

use std::mem;
use std::time::Instant;

use axum::Json;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use jiff::Timestamp;
use sandkeep_api::{ExecEvent as Event, ExecRequest, ExecResult, OutputEncoding};
use sandkeep_sandboxes::ExecEvent;

use super::{App, Id, Result};
use crate::http::errors::{code, message};
use crate::http::{body, events};
use crate::services::{Running, TextSplitter};

pub(super) async fn exec(State(services): App, Id(id): Id, request: Request) -> Result<Response> {
    let request: ExecRequest = body::typed(request).await?;
    let (stream, encoding) = (request.stream, request.encoding);
    let about = About { command: shown(&request), started: Instant::now(), timestamp: sandkeep_api::now() };
    let running = services.exec(&id, request).await?;
    if stream {
        return Ok(events::respond(Stream::new(running, encoding, about), Stream::next));
    }
    let session_id = running.session().map(str::to_owned);
    let output = running.collect().await?;
    let result = ExecResult {
        success: output.status.code == 0,
        exit_code: output.status.code,
        stdout: encoded(encoding, &output.stdout),
        stderr: encoded(encoding, &output.stderr),
        command: about.command.clone(),
        duration: about.duration(),
        timestamp: about.timestamp,
        session_id,
    };
    Ok(Json(result).into_response())
}

/// The command as one line, for the result.
fn shown(request: &ExecRequest) -> String {
    let words = request.args.iter().flatten().map(String::as_str);
    [request.command.as_str()].into_iter().chain(words).collect::<Vec<_>>().join(" ")
}

fn encoded(encoding: OutputEncoding, bytes: &Bytes) -> String {
    match encoding {
        OutputEncoding::Utf8 => String::from_utf8_lossy(bytes).into_owned(),
        OutputEncoding::Base64 => STANDARD.encode(bytes),
    }
}

struct About {
    command: String,
    started: Instant,
    timestamp: Timestamp,
}

impl About {
    fn duration(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

struct Stream {
    running: Option<Running>,
    encoding: OutputEncoding,
    about: About,
    announced: bool,
    stdout: TextSplitter,
    stderr: TextSplitter,
}

impl Stream {
    fn new(running: Running, encoding: OutputEncoding, about: About) -> Self {
        let (stdout, stderr) = (TextSplitter::default(), TextSplitter::default());
        Self { running: Some(running), encoding, about, announced: false, stdout, stderr }
    }

    /// The next events, until one of them is the last.
    async fn next(mut self) -> Option<(Bytes, Self)> {
        if !mem::replace(&mut self.announced, true) {
            let (command, timestamp) = (self.about.command.clone(), self.about.timestamp);
            return Some((events::json_event(&Event::Start { command, timestamp }), self));
        }
        loop {
            let event = self.running.as_mut()?.next().await;
            let timestamp = sandkeep_api::now();
            let bytes = match event {
                Ok(ExecEvent::Stdout(bytes)) => {
                    let ready = self.ready(&bytes, |stream| &mut stream.stdout);
                    self.stdout_event(&ready)
                }
                Ok(ExecEvent::Stderr(bytes)) => {
                    let ready = self.ready(&bytes, |stream| &mut stream.stderr);
                    self.stderr_event(&ready)
                }
                Ok(ExecEvent::Exit(status)) => {
                    let (exit_code, duration) = (status.code, self.about.duration());
                    self.end(&Event::Complete { exit_code, duration, timestamp })
                }
                // The service has made an error of it.
                Ok(ExecEvent::Lost(_)) => return None,
                Err(error) => {
                    let code = Some(code(&error));
                    self.end(&Event::Error { error: message(&error), code, timestamp })
                }
            };
            if !bytes.is_empty() {
                return Some((bytes, self));
            }
        }
    }

    /// Base64 carries any bytes, text only whole characters.
    fn ready(&mut self, bytes: &Bytes, splitter: impl Fn(&mut Self) -> &mut TextSplitter) -> Bytes {
        match self.encoding {
            OutputEncoding::Base64 => bytes.clone(),
            OutputEncoding::Utf8 => splitter(self).push(bytes),
        }
    }

    fn stdout_event(&self, bytes: &Bytes) -> Bytes {
        self.output(bytes, |data| Event::Stdout { data, timestamp: sandkeep_api::now() })
    }

    fn stderr_event(&self, bytes: &Bytes) -> Bytes {
        self.output(bytes, |data| Event::Stderr { data, timestamp: sandkeep_api::now() })
    }

    /// Nothing, if there is nothing to show.
    fn output(&self, bytes: &Bytes, event: impl Fn(String) -> Event) -> Bytes {
        if bytes.is_empty() {
            Bytes::new()
        } else {
            events::json_event(&event(encoded(self.encoding, bytes)))
        }
    }

    fn end(&mut self, last: &Event) -> Bytes {
        drop(mem::take(&mut self.running));
        let (stdout, stderr) = (self.stdout.finish(), self.stderr.finish());
        [self.stdout_event(&stdout), self.stderr_event(&stderr), events::json_event(last)].concat().into()
    }
}
