//! Terminals.

use axum::extract::State;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::http::Uri;
use axum::response::Response;
use sandkeep_api::{BridgeCode, checks};

use super::{App, Id, Result};
use crate::http::errors::BridgeError;
use crate::http::terminal;

pub(super) async fn open(
    State(services): App,
    Id(id): Id,
    uri: Uri,
    upgrade: std::result::Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response> {
    let invalid = |message: String| BridgeError::new(BridgeCode::InvalidRequest, message);
    let query = terminal::query(&uri).map_err(|error| invalid(error.message))?;
    if query.session.as_deref().is_some_and(|session| checks::session_id(session).is_err()) {
        return Err(invalid("Invalid session ID format".to_owned()));
    }
    let upgrade = upgrade.map_err(|_| invalid("WebSocket upgrade required".to_owned()))?;
    let opened = services.open_terminal(&id, query).await;
    let (opened, live) =
        opened.map_err(|error| BridgeError::failed(BridgeCode::SessionError, "pty failed", &error))?;
    let upgrade = upgrade.max_message_size(terminal::MAX_FRAME).max_frame_size(terminal::MAX_FRAME);
    Ok(upgrade.on_upgrade(move |socket| terminal::serve(socket, opened, live)))
}
