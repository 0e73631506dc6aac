//! Terminals over WebSocket: binary frames are bytes, text frames are messages. Both vocabularies share it.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, WebSocket, close_code};
use axum::http::Uri;
use futures::stream::{SplitSink, SplitStream};
use futures::{SinkExt, StreamExt};
use sandkeep_api::{ErrorCode, InvalidInput, TerminalControl, TerminalNotice, checks};
use sandkeep_sandboxes::{Terminal, TerminalEvent, TerminalInput, TerminalOutput};
use tokio::time::{MissedTickBehavior, interval};
use url::form_urlencoded;

use crate::error::ServiceError;
use crate::services::{Live, TerminalQuery, signal_name};

/// Largest frame of a client.
pub(super) const MAX_FRAME: usize = 1 << 20;
/// A client that is gone without a word is noticed by then.
const PING_INTERVAL: Duration = Duration::from_secs(30);
const DEFAULT_COLUMNS: u16 = 80;
const DEFAULT_ROWS: u16 = 24;

/// Reads `?cols=&rows=&shell=&session=`; other parameters are somebody else's.
pub(super) fn query(uri: &Uri) -> Result<TerminalQuery, InvalidInput> {
    let mut query =
        TerminalQuery { session: None, shell: None, columns: DEFAULT_COLUMNS, rows: DEFAULT_ROWS };
    for (name, value) in form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()) {
        match name.as_ref() {
            "cols" => query.columns = size("cols", &value)?,
            "rows" => query.rows = size("rows", &value)?,
            "shell" if !value.is_empty() => query.shell = Some(value.into_owned()),
            "session" if !value.is_empty() => {
                checks::sdk_name("session", &value)?;
                query.session = Some(value.into_owned());
            }
            _ => {}
        }
    }
    Ok(query)
}

fn size(name: &str, value: &str) -> Result<u16, InvalidInput> {
    let number = value.parse().ok().filter(|number| *number > 0);
    let message = || format!("{name} must be a number from 1 to 65535");
    number.ok_or_else(|| InvalidInput::new(ErrorCode::ValidationFailed, message()))
}

/// Shows a terminal until its shell ends, the client leaves, or the sandbox ends.
pub(super) async fn serve(socket: WebSocket, terminal: Terminal, live: Arc<Live>) {
    let (mut sink, stream) = socket.split();
    let (output, input) = terminal.split();
    let (complaints, complained) = tokio::sync::mpsc::channel(8);
    let typing = tokio::spawn(type_in(stream, input, complaints));
    // If the client is gone, nobody wants to know how it ended.
    let _ = show(&mut sink, output, complained, &live).await;
    typing.abort();
    let _ = sink.close().await;
}

/// From the client to the terminal. A terminal whose program does not read makes the client wait, and nobody else.
async fn type_in(
    mut stream: SplitStream<WebSocket>,
    input: TerminalInput,
    complaints: tokio::sync::mpsc::Sender<String>,
) {
    while let Some(Ok(message)) = stream.next().await {
        let done = match message {
            Message::Binary(bytes) => input.write(&bytes).await.map_err(|error| error.to_string()),
            Message::Text(text) => match serde_json::from_str(&text) {
                Ok(TerminalControl::Resize { cols, rows }) if cols > 0 && rows > 0 => {
                    input.resize(cols, rows).map_err(|error| error.to_string())
                }
                Ok(_) => Err("cols and rows must be positive".to_owned()),
                Err(error) => Err(format!("not a message of this protocol: {error}")),
            },
            Message::Close(_) => return,
            Message::Ping(_) | Message::Pong(_) => Ok(()),
        };
        if let Err(complaint) = done
            && complaints.send(complaint).await.is_err()
        {
            return;
        }
    }
}

/// From the terminal to the client, until there is no more to show. An error means that the client is gone.
async fn show(
    sink: &mut SplitSink<WebSocket, Message>,
    mut output: TerminalOutput,
    mut complained: tokio::sync::mpsc::Receiver<String>,
    live: &Live,
) -> Result<(), axum::Error> {
    while let Some(TerminalEvent::Output(bytes)) = output.next_now() {
        sink.send(Message::Binary(bytes.into())).await?;
    }
    sink.send(notice(&TerminalNotice::Ready)).await?;
    let mut ping = interval(PING_INTERVAL);
    ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            event = live.during(async { output.next().await.ok_or(ServiceError::Interrupted) }) => {
                if show_event(sink, event).await?.is_break() {
                    return Ok(());
                }
            }
            complaint = complained.recv() => match complaint {
                Some(message) => sink.send(notice(&TerminalNotice::Error { message })).await?,
                None => return Ok(()),
            },
            _ = ping.tick() => sink.send(Message::Ping(Default::default())).await?,
        }
    }
}

async fn show_event(
    sink: &mut SplitSink<WebSocket, Message>,
    event: Result<TerminalEvent, ServiceError>,
) -> Result<ControlFlow<()>, axum::Error> {
    let last = match event {
        Ok(TerminalEvent::Output(bytes)) => {
            sink.send(Message::Binary(bytes.into())).await?;
            return Ok(ControlFlow::Continue(()));
        }
        Ok(TerminalEvent::Exit { code, signal }) => {
            TerminalNotice::Exit { code, signal: signal.map(signal_name) }
        }
        Err(error) => TerminalNotice::Error { message: error.to_string() },
    };
    sink.send(notice(&last)).await?;
    let frame = CloseFrame { code: close_code::NORMAL, reason: "the terminal has ended".into() };
    sink.send(Message::Close(Some(frame))).await?;
    Ok(ControlFlow::Break(()))
}

fn notice(notice: &TerminalNotice) -> Message {
    Message::Text(serde_json::to_string(notice).expect("our messages have string keys only").into())
}
