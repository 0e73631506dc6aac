//! The way to the service, and its errors in our words.

use sandkeep_api::{Client, ClientError, ErrorCode};

use super::Result;
use crate::arguments::ServiceArguments;
use crate::error::{Error, while_doing};

/// A client of the service that the arguments name, with the key from the environment.
pub(crate) fn client(arguments: &ServiceArguments) -> Result<Client> {
    let url = arguments
        .url
        .parse()
        .map_err(while_doing(&format!("{:?} is no address of a service", arguments.url)))?;
    let key = ["SANDKEEP_API_KEY", "SANDBOX_API_KEY"].iter().find_map(|name| std::env::var(name).ok());
    Ok(Client::new(&url, key.as_deref().filter(|key| !key.is_empty()))?)
}

impl From<ClientError> for Error {
    fn from(error: ClientError) -> Self {
        let hint = match &error {
            ClientError::Unreachable { .. } => {
                Some("start it with `sandkeep serve`, or name it with --url or SANDKEEP_URL".to_owned())
            }
            ClientError::Refused(body) if body.http_status == 401 => {
                Some("set SANDKEEP_API_KEY to the key of the service".to_owned())
            }
            ClientError::Refused(body) => body.suggestion.clone(),
            _ => None,
        };
        let code = error.code().as_ref().map(ErrorCode::to_string);
        Self { message: error.to_string(), hint, code }
    }
}
