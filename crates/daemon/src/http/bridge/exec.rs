//! Commands: output as base64 in events that end where characters end.

use std::mem;

use axum::extract::{Request, State};
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures::future::ready;
use sandkeep_api::{BridgeCode, ExitEvent, StreamError, checks, sse};
use sandkeep_sandboxes::ExecEvent;

use super::{App, Id, Result, Session};
use crate::error::ServiceError;
use crate::http::errors::{BridgeError, message};
use crate::http::{body, events};
use crate::services::{Running, TextSplitter};

/// Starts the command and streams it; when the client leaves, the command is killed, unless it runs in a session.
pub(super) async fn exec(
    State(services): App,
    Id(id): Id,
    Session(session): Session,
    request: Request,
) -> Result<Response> {
    let command = checks::bridge_exec(&body::json(request).await?)?;
    match services.bridge_exec(&id, session, command).await {
        Ok(running) => Ok(events::respond(Stream::new(running), Stream::next)),
        Err(error @ (ServiceError::Start(_) | ServiceError::Stopping)) => {
            Err(BridgeError::failed(BridgeCode::ExecTransportError, "exec failed", &error))
        }
        Err(error) => {
            let event = failure(&error);
            Ok(events::respond(Some(event), |event| ready(event.map(|event| (event, None)))))
        }
    }
}

struct Stream {
    running: Option<Running>,
    stdout: TextSplitter,
    stderr: TextSplitter,
}

impl Stream {
    fn new(running: Running) -> Self {
        Self { running: Some(running), stdout: TextSplitter::default(), stderr: TextSplitter::default() }
    }

    /// The next events, until one of them is the last.
    async fn next(mut self) -> Option<(Bytes, Self)> {
        loop {
            let event = self.running.as_mut()?.next().await;
            let bytes = match event {
                Ok(ExecEvent::Stdout(bytes)) => output("stdout", &self.stdout.push(&bytes)),
                Ok(ExecEvent::Stderr(bytes)) => output("stderr", &self.stderr.push(&bytes)),
                Ok(ExecEvent::Exit(status)) => {
                    self.end(&events::named_event("exit", &ExitEvent { exit_code: status.code }))
                }
                // The service has made an error of it.
                Ok(ExecEvent::Lost(_)) => return None,
                Err(error) => self.end(&failure(&error)),
            };
            if !bytes.is_empty() {
                return Some((bytes, self));
            }
        }
    }

    fn end(&mut self, last: &Bytes) -> Bytes {
        drop(mem::take(&mut self.running));
        let (stdout, stderr) = (self.stdout.finish(), self.stderr.finish());
        [output("stdout", &stdout), output("stderr", &stderr), last.clone()].concat().into()
    }
}

/// Nothing, if there is nothing to show.
fn output(name: &str, bytes: &Bytes) -> Bytes {
    if bytes.is_empty() { Bytes::new() } else { sse::encode(Some(name), &STANDARD.encode(bytes)).into() }
}

fn failure(error: &ServiceError) -> Bytes {
    let code = match error {
        ServiceError::SessionTerminated { .. }
        | ServiceError::SessionDestroyed { .. }
        | ServiceError::CommandTimeout { .. } => BridgeCode::ExecError,
        _ => BridgeCode::ExecTransportError,
    };
    let code = code.as_str().to_owned();
    events::named_event("error", &StreamError { error: format!("exec failed: {}", message(error)), code })
}
