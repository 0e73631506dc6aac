//! Sessions and variables of a sandbox. Its agent has them; nothing is remembered here that it does not know.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use sandkeep_api::{
    EnvironmentChanges, ErrorCode, InvalidInput, SandboxId, SessionChoice, SessionInfo, SessionRequest,
    checks,
};
use sandkeep_sandboxes::{self as sandboxes, SessionOptions};

use super::exec::present;
use super::{Live, Services};
use crate::error::ServiceError;

impl Services {
    /// Makes a session.
    pub(crate) async fn create_session(
        self: &Arc<Self>,
        id: &SandboxId,
        request: SessionRequest,
    ) -> Result<SessionInfo, ServiceError> {
        let session = request.id.clone().unwrap_or_else(default_id);
        checks::sdk_name("id", &session)?;
        let options = session_options(request)?;
        let live = self.live(id).await?;
        let timeout = options.command_timeout;
        let made = live.sandbox.create_session(&session, options);
        live.during(async { made.await.map_err(|error| ServiceError::of_agent(&session, error)) }).await?;
        Ok(SessionInfo { command_timeout_ms: timeout.map(milliseconds), ..unused(session) })
    }

    /// All sessions of a sandbox.
    pub(crate) async fn sessions(self: &Arc<Self>, id: &SandboxId) -> Result<Vec<SessionInfo>, ServiceError> {
        let live = self.live(id).await?;
        let all = async { live.sandbox.sessions().await.map_err(|error| ServiceError::of_agent("", error)) };
        Ok(live.during(all).await?.into_iter().map(info).collect())
    }

    /// About one; one that is not there will be when it is used.
    pub(crate) async fn session(
        self: &Arc<Self>,
        id: &SandboxId,
        session: &str,
    ) -> Result<SessionInfo, ServiceError> {
        checks::sdk_name("id", session)?;
        let found = self.sessions(id).await?.into_iter().find(|found| found.id == session);
        Ok(found.unwrap_or_else(|| unused(session.to_owned())))
    }

    /// Ends a session with everything that it started; fine if there is none.
    pub(crate) async fn delete_session(
        self: &Arc<Self>,
        id: &SandboxId,
        session: &str,
    ) -> Result<(), ServiceError> {
        let live = self.live(id).await?;
        if session == live.default_session() {
            let message = "the default session cannot be deleted";
            return Err(InvalidInput::new(ErrorCode::ValidationFailed, message).into());
        }
        let deleted = live.sandbox.delete_session(session);
        live.during(async { deleted.await.map_err(|error| ServiceError::of_agent(session, error)) })
            .await
            .map(drop)
    }

    /// Exports and unsets variables in a session.
    pub(crate) async fn set_variables(
        self: &Arc<Self>,
        id: &SandboxId,
        request: EnvironmentChanges,
    ) -> Result<(), ServiceError> {
        let EnvironmentChanges { env, session_id } = request;
        check_variables(&env)?;
        if let Some(session) = &session_id {
            checks::sdk_name("sessionId", session)?;
        }
        let live = self.live(id).await?;
        let session = session_id.unwrap_or_else(|| live.default_session());
        if session == live.default_session() {
            let mut variables = self.variables(&live).await?;
            for (name, value) in &env {
                match value {
                    Some(value) => variables.insert(name.clone(), value.clone()),
                    None => variables.remove(name),
                };
            }
            live.set_variables(variables);
        }
        let changed = live.sandbox.change_environment(&session, env);
        live.during(async { changed.await.map_err(|error| ServiceError::of_agent(&session, error)) }).await
    }

    /// What was set for the whole sandbox.
    pub(crate) async fn variables(&self, live: &Live) -> Result<BTreeMap<String, String>, ServiceError> {
        if let Some(variables) = live.variables() {
            return Ok(variables);
        }
        let session = live.default_session();
        let asked = live.sandbox.session_environment(&session);
        let known = async { asked.await.map_err(|error| ServiceError::of_agent(&session, error)) };
        let variables = live.during(known).await?;
        live.set_variables(variables.clone());
        Ok(variables)
    }
}

/// Names and values that every shell takes.
fn check_variables(env: &BTreeMap<String, Option<String>>) -> Result<(), InvalidInput> {
    env.keys().try_for_each(|name| checks::variable_name(name))?;
    if env.values().flatten().any(|value| value.contains('\0')) {
        return Err(InvalidInput::new(
            ErrorCode::ValidationFailed,
            "env: values must not contain null bytes",
        ));
    }
    Ok(())
}

fn session_options(request: SessionRequest) -> Result<SessionOptions, InvalidInput> {
    let SessionRequest { cwd, env, command_timeout_ms, .. } = request;
    check_variables(&env)?;
    if cwd.as_ref().is_some_and(|cwd| cwd.is_empty() || cwd.contains('\0')) {
        let message = "cwd must not be empty nor contain null bytes";
        return Err(InvalidInput::new(ErrorCode::ValidationFailed, message));
    }
    let command_timeout = command_timeout_ms.map(Duration::from_millis);
    Ok(SessionOptions { env: present(env).collect(), cwd, command_timeout })
}

/// As the SDK names sessions.
fn default_id() -> String {
    format!("session-{}", sandkeep_api::now().as_millisecond())
}

/// A session that nobody has used yet.
fn unused(id: String) -> SessionInfo {
    SessionInfo { id, running: false, busy: false, command_timeout_ms: None }
}

fn info(session: sandboxes::SessionInfo) -> SessionInfo {
    SessionInfo {
        id: session.id,
        running: session.is_running,
        busy: session.is_busy,
        command_timeout_ms: session.command_timeout.map(milliseconds),
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Checks of a choice before anything is started.
pub(super) trait CheckSession {
    /// An id that cannot be one.
    fn check(&self) -> Result<(), InvalidInput>;
}

impl CheckSession for SessionChoice {
    fn check(&self) -> Result<(), InvalidInput> {
        match self {
            Self::Named(session) => checks::sdk_name("sessionId", session),
            Self::Default | Self::Fresh => Ok(()),
        }
    }
}
