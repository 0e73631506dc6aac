//! Terminals of a sandbox.

use std::sync::Arc;

use sandkeep_api::{ErrorCode, InvalidInput, SandboxId};
use sandkeep_sandboxes::{Terminal, TerminalRequest};

use super::{Live, Services};
use crate::error::ServiceError;

/// Which terminal to show, and how large.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TerminalQuery {
    /// Whose; none: the default session's.
    pub(crate) session: Option<String>,
    /// Instead of bash.
    pub(crate) shell: Option<String>,
    /// Width in characters.
    pub(crate) columns: u16,
    /// Height in characters.
    pub(crate) rows: u16,
}

impl Services {
    /// Shows the terminal of a session, opened if there is none.
    pub(crate) async fn open_terminal(
        self: &Arc<Self>,
        id: &SandboxId,
        query: TerminalQuery,
    ) -> Result<(Terminal, Arc<Live>), ServiceError> {
        let TerminalQuery { session, shell, columns, rows } = query;
        if shell.as_ref().is_some_and(|shell| shell.is_empty() || shell.contains('\0')) {
            let message = "shell must not be empty nor contain null bytes";
            return Err(InvalidInput::new(ErrorCode::ValidationFailed, message).into());
        }
        let live = self.live(id).await?;
        let name = session.unwrap_or_else(|| live.default_session());
        let session = Some(name.clone());
        let opened =
            live.sandbox.open_terminal(TerminalRequest { name: name.clone(), session, shell, columns, rows });
        let terminal =
            live.during(async { opened.await.map_err(|error| ServiceError::of_agent(&name, error)) }).await?;
        Ok((terminal, live))
    }
}
