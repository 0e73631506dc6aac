//! Processes that are left to themselves.

use std::mem;
use std::time::Duration;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use bytes::Bytes;
use sandkeep_api::{
    Done, ErrorCode, InvalidInput, LogLine, ProcessCount, ProcessExit, ProcessInfo, ProcessList,
    ProcessLogEvent as Event, ProcessLogs, StartProcess, WaitForExit, WaitForLog, WaitForPort,
};
use sandkeep_sandboxes::ProcessEvent;
use url::form_urlencoded;

use super::{App, Id, Name, Result};
use crate::http::errors::message;
use crate::http::{body, events};
use crate::services::{Followed, TextSplitter};

pub(super) async fn start(
    State(services): App,
    Id(id): Id,
    request: Request,
) -> Result<(StatusCode, Json<ProcessInfo>)> {
    let request: StartProcess = body::typed(request).await?;
    Ok((StatusCode::CREATED, Json(services.start_process(&id, request).await?)))
}

pub(super) async fn list(State(services): App, Id(id): Id) -> Result<Json<ProcessList>> {
    Ok(Json(ProcessList { processes: services.processes(&id).await? }))
}

pub(super) async fn get(State(services): App, Id(id): Id, Name(process): Name) -> Result<Json<ProcessInfo>> {
    Ok(Json(services.process(&id, &process).await?))
}

pub(super) async fn kill(
    State(services): App,
    Id(id): Id,
    Name(process): Name,
    uri: Uri,
) -> Result<Json<ProcessInfo>> {
    let signal = signal(&uri)?;
    Ok(Json(services.kill_process(&id, &process, signal.as_deref()).await?))
}

/// `?signal=`, and nothing else.
fn signal(uri: &Uri) -> std::result::Result<Option<String>, InvalidInput> {
    let mut signal = None;
    for (name, value) in form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()) {
        if name != "signal" || signal.replace(value.into_owned()).is_some() {
            let message = format!("unexpected query parameter `{name}`, at most one `signal` is taken");
            return Err(InvalidInput::new(ErrorCode::ValidationFailed, message));
        }
    }
    Ok(signal)
}

pub(super) async fn kill_all(State(services): App, Id(id): Id) -> Result<Json<ProcessCount>> {
    Ok(Json(ProcessCount { count: services.kill_processes(&id).await? }))
}

pub(super) async fn clean_up(State(services): App, Id(id): Id) -> Result<Json<ProcessCount>> {
    Ok(Json(ProcessCount { count: services.clean_up_processes(&id).await? }))
}

pub(super) async fn logs(State(services): App, Id(id): Id, Name(process): Name) -> Result<Json<ProcessLogs>> {
    let mut followed = services.follow_process(&id, &process).await?;
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    while let Some(event) = followed.next_now() {
        match event {
            ProcessEvent::Stdout(bytes) => stdout.extend(bytes),
            ProcessEvent::Stderr(bytes) => stderr.extend(bytes),
            ProcessEvent::Ended(_) => break,
        }
    }
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Ok(Json(ProcessLogs { process_id: process, stdout: text(stdout), stderr: text(stderr) }))
}

pub(super) async fn stream(State(services): App, Id(id): Id, Name(process): Name) -> Result<Response> {
    let followed = services.follow_process(&id, &process).await?;
    let process = followed.id().to_owned();
    let (stdout, stderr) = (TextSplitter::default(), TextSplitter::default());
    Ok(events::respond(Stream { followed: Some(followed), process, stdout, stderr }, Stream::next))
}

pub(super) async fn wait_for_log(
    State(services): App,
    Id(id): Id,
    Name(process): Name,
    request: Request,
) -> Result<Json<LogLine>> {
    let WaitForLog { text, timeout } = body::typed(request).await?;
    let limit = timeout.map(Duration::from_millis);
    Ok(Json(LogLine { line: services.wait_for_log(&id, &process, &text, limit).await? }))
}

pub(super) async fn wait_for_port(
    State(services): App,
    Id(id): Id,
    Name(process): Name,
    request: Request,
) -> Result<Json<Done>> {
    let request: WaitForPort = body::typed(request).await?;
    services.wait_for_port(&id, &process, request).await?;
    Ok(Json(Done { ok: true }))
}

pub(super) async fn wait_for_exit(
    State(services): App,
    Id(id): Id,
    Name(process): Name,
    request: Request,
) -> Result<Json<ProcessExit>> {
    let WaitForExit { timeout } = body::typed(request).await?;
    let limit = timeout.map(Duration::from_millis);
    Ok(Json(ProcessExit { exit_code: services.wait_for_exit(&id, &process, limit).await? }))
}

struct Stream {
    followed: Option<Followed>,
    process: String,
    stdout: TextSplitter,
    stderr: TextSplitter,
}

impl Stream {
    /// The next events, until one of them is the last.
    async fn next(mut self) -> Option<(Bytes, Self)> {
        loop {
            let event = self.followed.as_mut()?.next().await;
            let timestamp = sandkeep_api::now();
            let bytes = match event {
                Ok(ProcessEvent::Stdout(bytes)) => {
                    let ready = self.stdout.push(&bytes.into());
                    self.stdout_event(&ready)
                }
                Ok(ProcessEvent::Stderr(bytes)) => {
                    let ready = self.stderr.push(&bytes.into());
                    self.stderr_event(&ready)
                }
                Ok(ProcessEvent::Ended(info)) => {
                    let (exit_code, process_id) = (info.exit_code.unwrap_or_default(), self.process.clone());
                    self.end(&Event::Exit { exit_code, process_id, timestamp })
                }
                Err(error) => self.end(&Event::Error { error: message(&error), timestamp }),
            };
            if !bytes.is_empty() {
                return Some((bytes, self));
            }
        }
    }

    fn stdout_event(&self, bytes: &Bytes) -> Bytes {
        let process_id = self.process.clone();
        output(bytes, |data| Event::Stdout { data, process_id, timestamp: sandkeep_api::now() })
    }

    fn stderr_event(&self, bytes: &Bytes) -> Bytes {
        let process_id = self.process.clone();
        output(bytes, |data| Event::Stderr { data, process_id, timestamp: sandkeep_api::now() })
    }

    fn end(&mut self, last: &Event) -> Bytes {
        drop(mem::take(&mut self.followed));
        let (stdout, stderr) = (self.stdout.finish(), self.stderr.finish());
        [self.stdout_event(&stdout), self.stderr_event(&stderr), events::json_event(last)].concat().into()
    }
}

/// Nothing, if there is nothing to show.
fn output(bytes: &Bytes, event: impl FnOnce(String) -> Event) -> Bytes {
    if bytes.is_empty() {
        return Bytes::new();
    }
    events::json_event(&event(String::from_utf8_lossy(bytes).into_owned()))
}
