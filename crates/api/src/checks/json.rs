//! Objects whose fields are checked one by one, because the contract prescribes order and text.

use serde_json::{Map, Value};

use crate::{ErrorCode, InvalidInput};

/// The body as an object.
pub fn object(body: &Value) -> Result<&Map<String, Value>, InvalidInput> {
    body.as_object()
        .ok_or_else(|| InvalidInput::new(ErrorCode::ValidationFailed, "the body must be a JSON object"))
}

/// Refuses fields that are not in the list, naming the first.
pub fn only_fields(object: &Map<String, Value>, known: &[&str]) -> Result<(), InvalidInput> {
    match object.keys().find(|name| !known.contains(&name.as_str())) {
        None => Ok(()),
        Some(name) => Err(InvalidInput::new(
            ErrorCode::ValidationFailed,
            format!("unknown field `{name}`, expected one of {}", known.join(", ")),
        )
        .with("field", name.as_str())),
    }
}
