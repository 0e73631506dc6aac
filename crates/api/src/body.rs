//! Bodies of error answers, in both vocabularies.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{BridgeCode, ErrorCode};

/// Body of an error on our routes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ErrorBody {
    /// What went wrong.
    pub code: ErrorCode,
    /// The same for people.
    pub message: String,
    /// Details, by code.
    #[serde(default)]
    pub context: Map<String, Value>,
    /// The operation that failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<String>,
    /// The answer's status, for those who only keep the body.
    pub http_status: u16,
    /// When.
    pub timestamp: Timestamp,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suggestion: Option<String>,
}

impl ErrorBody {
    /// An error that happened at `timestamp`, without context.
    pub fn new(code: ErrorCode, message: impl Into<String>, timestamp: Timestamp) -> Self {
        Self {
            code,
            message: message.into(),
            context: Map::new(),
            operation: None,
            http_status: code.status().as_u16(),
            timestamp,
            suggestion: code.suggestion().map(str::to_owned),
        }
    }
}

/// Body of an error on the bridge's routes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BridgeErrorBody {
    /// For people.
    pub error: String,
    /// What went wrong: [`BridgeCode::as_str`].
    pub code: String,
    /// The SDK's code (backup and restore).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_code: Option<ErrorCode>,
    /// Details, by `errorCode`.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub context: Map<String, Value>,
}

impl BridgeErrorBody {
    /// An error without the SDK's code.
    pub fn new(code: BridgeCode, error: impl Into<String>) -> Self {
        Self { error: error.into(), code: code.as_str().to_owned(), error_code: None, context: Map::new() }
    }
}
