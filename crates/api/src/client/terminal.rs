//! A terminal of a sandbox, over WebSocket.

use bytes::Bytes;
use futures::{SinkExt, StreamExt};
use http::header::AUTHORIZATION;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use super::Client;
use crate::{ClientError, ErrorBody, TerminalControl, TerminalNotice, routes};

/// A terminal that is shown. Dropping it leaves the terminal as it is.
#[derive(Debug)]
pub struct TerminalConnection {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
}

/// What comes from a terminal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TerminalFrame {
    /// Bytes to show.
    Output(Bytes),
    /// About the terminal.
    Notice(TerminalNotice),
}

impl Client {
    /// Shows the terminal of a session (none: the default session's), opened with `shell` if there is none.
    pub async fn terminal(
        &self,
        id: &str,
        session: Option<&str>,
        shell: Option<&str>,
        (cols, rows): (u16, u16),
    ) -> Result<TerminalConnection, ClientError> {
        let address = self.connection.address();
        let mut path = format!("{}?cols={cols}&rows={rows}", routes::of_sandbox(id, "pty"));
        for (name, value) in [("session", session), ("shell", shell)] {
            if let Some(value) = value {
                path += &format!("&{name}={}", routes::encode(value));
            }
        }
        let url = format!("ws{}{path}", address.strip_prefix("http").unwrap_or(address));
        let invalid = |_| ClientError::InvalidAddress { url: url.clone() };
        let mut request = url.as_str().into_client_request().map_err(invalid)?;
        if let Some(authorization) = self.connection.authorization() {
            request.headers_mut().insert(AUTHORIZATION, authorization.clone());
        }
        let (socket, _) = connect_async(request).await.map_err(|error| failed(address, error))?;
        Ok(TerminalConnection { socket })
    }
}

fn failed(address: &str, error: Error) -> ClientError {
    let address = address.to_owned();
    match error {
        Error::Http(response) => {
            let body = response.body().as_deref().unwrap_or_default();
            match serde_json::from_slice::<ErrorBody>(body) {
                Ok(body) => ClientError::Refused(Box::new(body)),
                Err(_) => ClientError::Unexpected { address, status: response.status() },
            }
        }
        other => ClientError::Unreachable { address, source: Box::new(other) },
    }
}

impl TerminalConnection {
    /// What comes next; none after the end. Safe to cancel.
    pub async fn next(&mut self) -> Option<Result<TerminalFrame, ClientError>> {
        loop {
            return match self.socket.next().await? {
                Ok(Message::Binary(bytes)) => Some(Ok(TerminalFrame::Output(bytes))),
                Ok(Message::Text(text)) => {
                    let notice = serde_json::from_str(&text).map(TerminalFrame::Notice);
                    Some(notice.map_err(|_| ClientError::Interrupted))
                }
                Ok(Message::Close(_)) => None,
                Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_)) => continue,
                Err(Error::ConnectionClosed | Error::AlreadyClosed) => None,
                Err(_) => Some(Err(ClientError::Interrupted)),
            };
        }
    }

    /// Types.
    pub async fn write(&mut self, bytes: Bytes) -> Result<(), ClientError> {
        self.socket.send(Message::Binary(bytes)).await.map_err(|_| ClientError::Interrupted)
    }

    /// Tells the size of the window.
    pub async fn resize(&mut self, cols: u16, rows: u16) -> Result<(), ClientError> {
        let message = serde_json::to_string(&TerminalControl::Resize { cols, rows });
        let message = message.expect("our messages have string keys only");
        self.socket.send(Message::Text(message.into())).await.map_err(|_| ClientError::Interrupted)
    }
}
