//! Terminals.

use axum::extract::State;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::http::Uri;
use axum::response::Response;
use sandkeep_api::ErrorCode;

use super::{App, Id, OurError, Result};
use crate::http::terminal;

pub(super) async fn open(
    State(services): App,
    Id(id): Id,
    uri: Uri,
    upgrade: std::result::Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response> {
    let query = terminal::query(&uri)?;
    let upgrade =
        upgrade.map_err(|error| OurError::new(ErrorCode::ValidationFailed, format!("WebSocket: {error}")))?;
    let (opened, live) = services.open_terminal(&id, query).await?;
    let upgrade = upgrade.max_message_size(terminal::MAX_FRAME).max_frame_size(terminal::MAX_FRAME);
    Ok(upgrade.on_upgrade(move |socket| terminal::serve(socket, opened, live)))
}
