//! Running commands.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use sandkeep_api::checks::BridgeExec;
use sandkeep_api::{ErrorCode, ExecRequest, InvalidInput, SandboxId, checks};
use sandkeep_sandboxes::{self as sandboxes, Command, ExecEvent, Execution, ExitStatus, SessionCommand};

use super::sessions::CheckSession;
use super::{Live, Services};
use crate::error::ServiceError;

/// Output that is kept for an answer in one piece, of each stream.
const MAX_KEPT_OUTPUT: usize = 32 << 20;

/// What S3 tools need for the endpoint inside. The keys mean nothing: whoever reaches the endpoint may use its grants.
const S3_ENV: [(&str, &str); 6] = [
    ("AWS_ENDPOINT_URL", "http://s3.internal"),
    ("AWS_ACCESS_KEY_ID", "sandbox"),
    ("AWS_SECRET_ACCESS_KEY", "sandbox"),
    ("AWS_REGION", "us-east-1"),
    ("AWS_DEFAULT_REGION", "us-east-1"),
    ("AWS_EC2_METADATA_DISABLED", "true"),
];

/// A command that runs. Dropping it kills the command, unless it runs in a session.
#[derive(Debug)]
pub(crate) struct Running {
    execution: Execution,
    live: Arc<Live>,
    session: Option<String>,
}

/// What a command wrote, and how it ended.
#[derive(Debug)]
pub(crate) struct RunOutput {
    /// Standard output.
    pub(crate) stdout: Bytes,
    /// Standard error.
    pub(crate) stderr: Bytes,
    /// The end.
    pub(crate) status: ExitStatus,
}

impl Services {
    /// Starts a command as our routes take it.
    pub(crate) async fn exec(
        self: &Arc<Self>,
        id: &SandboxId,
        mut request: ExecRequest,
    ) -> Result<Running, ServiceError> {
        check_command(&request)?;
        request.session_id.check()?;
        if request.s3_env {
            for (name, value) in S3_ENV {
                request.env.entry(name.to_owned()).or_insert_with(|| Some(value.to_owned()));
            }
        }
        let live = self.live(id).await?;
        match live.session(&request.session_id) {
            Some(session) => start_in_session(live, session, session_command(request)?).await,
            None => {
                let variables = self.variables(&live).await?;
                start(live, fresh_command(request, variables)).await
            }
        }
    }

    /// Starts a command as the bridge takes it.
    pub(crate) async fn bridge_exec(
        self: &Arc<Self>,
        id: &SandboxId,
        session: Option<String>,
        request: BridgeExec,
    ) -> Result<Running, ServiceError> {
        let BridgeExec { argv, cwd, timeout } = request;
        let live = self.live(id).await?;
        if let Some(session) = session {
            let command = SessionCommand::from_argv(argv.iter().map(String::as_str));
            return start_in_session(live, session, SessionCommand { cwd, timeout, ..command }).await;
        }
        let command = Command::Argv(argv.into_iter().map(String::into_bytes).collect());
        start(live, sandboxes::ExecRequest { command, cwd, env: Vec::new(), timeout }).await
    }
}

async fn start(live: Arc<Live>, request: sandboxes::ExecRequest) -> Result<Running, ServiceError> {
    let started = async { live.sandbox.exec(request).await.map_err(ServiceError::Exec) };
    let execution = live.during(started).await?;
    Ok(Running::new(execution, live))
}

async fn start_in_session(
    live: Arc<Live>,
    session: String,
    command: SessionCommand,
) -> Result<Running, ServiceError> {
    let started = async { live.sandbox.exec_in_session(&session, command).await.map_err(ServiceError::Exec) };
    let execution = live.during(started).await?;
    Ok(Running { execution, live, session: Some(session) })
}

impl Running {
    /// What was started in a sandbox, in no session.
    pub(crate) fn new(execution: Execution, live: Arc<Live>) -> Self {
        Self { execution, live, session: None }
    }

    /// The session that it runs in.
    pub(crate) fn session(&self) -> Option<&str> {
        self.session.as_deref()
    }

    /// The next event; `Exit` is the last, and `Lost` never comes.
    pub(crate) async fn next(&mut self) -> Result<ExecEvent, ServiceError> {
        let live = Arc::clone(&self.live);
        let next = async { self.execution.next().await.ok_or(ServiceError::Interrupted) };
        match live.during(next).await? {
            ExecEvent::Lost(loss) => Err(ServiceError::lost(self.session.clone().unwrap_or_default(), loss)),
            event => Ok(event),
        }
    }

    /// Everything until the end.
    pub(crate) async fn collect(mut self) -> Result<RunOutput, ServiceError> {
        let (mut stdout, mut stderr) = (BytesMut::new(), BytesMut::new());
        loop {
            match self.next().await? {
                ExecEvent::Stdout(bytes) => stdout.extend_from_slice(&bytes),
                ExecEvent::Stderr(bytes) => stderr.extend_from_slice(&bytes),
                ExecEvent::Lost(_) => return Err(ServiceError::Interrupted),
                ExecEvent::Exit(status) => {
                    return Ok(RunOutput { stdout: stdout.freeze(), stderr: stderr.freeze(), status });
                }
            }
            if stdout.len().max(stderr.len()) > MAX_KEPT_OUTPUT {
                let what = "the command wrote more than 32 MiB: use `stream: true`, or write to a file";
                return Err(ServiceError::Output { what });
            }
        }
    }
}

/// For a shell of its own.
fn fresh_command(request: ExecRequest, mut variables: BTreeMap<String, String>) -> sandboxes::ExecRequest {
    let ExecRequest { command, args, cwd, env, timeout, .. } = request;
    let command = match args {
        None => Command::Shell(command),
        Some(args) => Command::Argv([command].into_iter().chain(args).map(String::into_bytes).collect()),
    };
    variables.extend(present(env));
    let env = variables.into_iter().collect();
    sandboxes::ExecRequest { command, cwd, env, timeout: timeout.map(Duration::from_millis) }
}

/// For a session's shell.
fn session_command(request: ExecRequest) -> Result<SessionCommand, ServiceError> {
    let ExecRequest { command, args, cwd, env, timeout, .. } = request;
    env.keys().try_for_each(|name| checks::variable_name(name))?;
    let words = args.as_ref().map(|args| [&command].into_iter().chain(args).map(String::as_str));
    let line = words.map_or(SessionCommand { line: command.clone(), ..SessionCommand::default() }, |words| {
        SessionCommand::from_argv(words)
    });
    let env = present(env).collect();
    Ok(SessionCommand { cwd, env, timeout: timeout.map(Duration::from_millis), ..line })
}

/// Variables without those that are null.
pub(super) fn present(variables: BTreeMap<String, Option<String>>) -> impl Iterator<Item = (String, String)> {
    variables.into_iter().filter_map(|(name, value)| Some((name, value?)))
}

fn check_command(request: &ExecRequest) -> Result<(), InvalidInput> {
    let refuse = |code, message: &str| Err(InvalidInput::new(code, message));
    let has_null = |text: &String| text.contains('\0');
    if request.command.trim().is_empty() {
        return refuse(ErrorCode::InvalidCommand, "command must not be empty");
    }
    if has_null(&request.command) || request.args.iter().flatten().any(has_null) {
        return refuse(ErrorCode::InvalidCommand, "command and args must not contain null bytes");
    }
    let name_is_bad = |name: &String| name.is_empty() || name.contains(['=', '\0']);
    if request.env.iter().any(|(name, value)| name_is_bad(name) || value.as_ref().is_some_and(has_null)) {
        return refuse(
            ErrorCode::ValidationFailed,
            "env: names must not be empty nor contain `=` or null bytes",
        );
    }
    if request.cwd.as_ref().is_some_and(|cwd| cwd.is_empty() || has_null(cwd)) {
        return refuse(ErrorCode::ValidationFailed, "cwd must not be empty nor contain null bytes");
    }
    Ok(())
}
