//! Sessions, from the daemon's side.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::agent::calls::{Call, SessionScript};
use crate::{Error, Execution, Sandbox};

/// How a session begins.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionOptions {
    /// Variables, beside HOME, PATH and LANG. Names are identifiers.
    pub env: BTreeMap<String, String>,
    /// Where it begins; none: /workspace. A directory that cannot be entered gives $HOME.
    pub cwd: Option<String>,
    /// For commands without a timeout of their own.
    pub command_timeout: Option<Duration>,
}

/// About a session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionInfo {
    /// Its id.
    pub id: String,
    /// It has a shell: the first command starts it.
    pub is_running: bool,
    /// A command runs or waits.
    pub is_busy: bool,
    /// As given.
    pub command_timeout: Option<Duration>,
}

/// A command for a session's shell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SessionCommand {
    /// What the shell evaluates. No NUL.
    pub line: String,
    /// For this command only. Names are identifiers.
    pub env: BTreeMap<String, String>,
    /// For this command only, relative to the session's directory; if it cannot be entered: exit 1 and a line on stderr.
    pub cwd: Option<String>,
    /// After which nobody waits any more, also while earlier commands run. The command itself goes on.
    pub timeout: Option<Duration>,
}

impl SessionCommand {
    /// A program with arguments, each of which arrives verbatim. Builtins and functions of the shell are programs, too.
    pub fn from_argv<'a>(argv: impl IntoIterator<Item = &'a str>) -> Self {
        let words: Vec<String> = argv.into_iter().map(crate::agent::quote).collect();
        Self { line: words.join(" "), ..Self::default() }
    }
}

/// Why a session's command has no exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionLoss {
    /// The command ended the shell.
    Terminated {
        /// The shell's exit code.
        code: i32,
    },
    /// The session was deleted.
    Destroyed,
    /// Nobody waits any more.
    TimedOut {
        /// How long it was waited for.
        after: Duration,
        /// False: an earlier command still ran, and this one never will.
        has_begun: bool,
    },
    /// The shell could not be started, or there are too many sessions.
    Refused,
}

impl Sandbox {
    /// Makes a session. [`Error::SessionExists`] if one of this id lives.
    pub async fn create_session(&self, id: &str, options: SessionOptions) -> Result<(), Error> {
        self.ask(Call::CreateSession { id: id.into(), options }).await
    }

    /// Ends a session with everything that it started. False if there was none.
    pub async fn delete_session(&self, id: &str) -> Result<bool, Error> {
        self.ask(Call::DeleteSession { id: id.into() }).await
    }

    /// All sessions, by id.
    pub async fn sessions(&self) -> Result<Vec<SessionInfo>, Error> {
        self.ask(Call::Sessions).await
    }

    /// Exports and unsets variables in a session, which is made if it is missing. Waits for its turn.
    pub async fn change_environment(
        &self,
        session: &str,
        changes: BTreeMap<String, Option<String>>,
    ) -> Result<(), Error> {
        self.ask(Call::ChangeEnvironment { session: session.into(), changes }).await
    }

    /// The variables that a session was given, without what its commands export.
    pub async fn session_environment(&self, session: &str) -> Result<BTreeMap<String, String>, Error> {
        self.ask(Call::Environment { session: session.into() }).await
    }

    /// Runs a command in a session, which is made if it is missing, after those that were asked for before. Dropping
    /// the execution takes a command back that has not begun; one that has goes on.
    pub async fn exec_in_session(&self, session: &str, command: SessionCommand) -> Result<Execution, Error> {
        let SessionCommand { line, env, cwd, timeout } = command;
        let command = SessionScript { line, env, cwd, timeout };
        let connection = self.call(&Call::Command { session: session.into(), command }).await?;
        let execution = Execution::in_session(connection).map_err(|error| self.agent_error(&error))?;
        Ok(execution.watching(self.memory_kills()))
    }
}
