//! Reading bodies, within limits.

use axum::body::Body;
use axum::extract::Request;
use axum::http::header::CONTENT_LENGTH;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use sandkeep_api::{ErrorCode, InvalidInput};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::services::MAX_FILE_BYTES;

/// Largest JSON body.
pub(super) const MAX_JSON_BYTES: u64 = 8 << 20;
/// Of a body that is too large, this much is still taken, so that its sender sees the answer and not a broken connection.
const DRAINED_BYTES: u64 = 64 << 20;

/// A body that is not what the route takes.
#[derive(Debug)]
pub(super) enum BodyError {
    /// More than the limit.
    TooLarge { size: Option<u64>, limit: u64 },
    /// The connection broke.
    Broken,
    /// It does not parse.
    Invalid(String),
}

/// Reads a file's bytes.
pub(super) async fn file(request: Request) -> Result<Bytes, BodyError> {
    read(request, MAX_FILE_BYTES).await
}

/// Reads JSON whose fields are checked one by one.
pub(super) async fn json(request: Request) -> Result<Value, BodyError> {
    let bytes = read(request, MAX_JSON_BYTES).await?;
    serde_json::from_slice(&bytes).map_err(|error| BodyError::Invalid(format!("Invalid JSON body: {error}")))
}

/// Reads JSON of a known shape; no body at all is an empty object.
pub(super) async fn typed<T: DeserializeOwned>(request: Request) -> Result<T, BodyError> {
    let bytes = read(request, MAX_JSON_BYTES).await?;
    let text: &[u8] = if bytes.is_empty() { b"{}" } else { &bytes };
    serde_json::from_slice(text).map_err(|error| BodyError::Invalid(format!("Invalid JSON body: {error}")))
}

async fn read(request: Request, limit: u64) -> Result<Bytes, BodyError> {
    let announced = request.headers().get(CONTENT_LENGTH);
    let announced = announced.and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    let mut body = request.into_body();
    if announced.is_some_and(|size| size > limit) {
        drain(body).await;
        return Err(BodyError::TooLarge { size: announced, limit });
    }
    let mut bytes = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let data = frame.map_err(|_| BodyError::Broken)?.into_data().unwrap_or_default();
        if (bytes.len() + data.len()) as u64 > limit {
            drain(body).await;
            return Err(BodyError::TooLarge { size: None, limit });
        }
        bytes.extend_from_slice(&data);
    }
    Ok(bytes.freeze())
}

async fn drain(mut body: Body) {
    let mut taken = 0;
    while let Some(Ok(frame)) = body.frame().await {
        taken += frame.into_data().map_or(0, |data| data.len() as u64);
        if taken > DRAINED_BYTES {
            return;
        }
    }
}

impl BodyError {
    /// For people.
    pub(super) fn message(&self) -> String {
        match self {
            Self::TooLarge { size: Some(size), limit } => {
                format!("payload too large: {size} bytes exceeds the {limit}-byte limit")
            }
            Self::TooLarge { size: None, limit } => {
                format!("payload too large: exceeds the {limit}-byte limit")
            }
            Self::Broken => "the body ended early".to_owned(),
            Self::Invalid(message) => message.clone(),
        }
    }

    /// As input that our routes refuse.
    pub(super) fn into_input(self) -> InvalidInput {
        let code = match self {
            Self::TooLarge { .. } => ErrorCode::PayloadTooLarge,
            Self::Broken | Self::Invalid(_) => ErrorCode::ValidationFailed,
        };
        InvalidInput::new(code, self.message())
    }
}
