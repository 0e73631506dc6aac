//! Running commands.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use sandkeep_api::checks::BridgeExec;
use sandkeep_api::{ErrorCode, ExecRequest, InvalidInput, SandboxId};
use sandkeep_sandboxes::{self as sandboxes, Command, ExecEvent, Execution, ExitStatus};

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

/// A command that runs. Dropping it kills the command.
#[derive(Debug)]
pub(crate) struct Running {
    execution: Execution,
    live: Arc<Live>,
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
        request: ExecRequest,
    ) -> Result<Running, ServiceError> {
        let request = translated(request)?;
        self.start_command(id, request).await
    }

    /// Starts a command as the bridge takes it.
    pub(crate) async fn bridge_exec(
        self: &Arc<Self>,
        id: &SandboxId,
        request: BridgeExec,
    ) -> Result<Running, ServiceError> {
        let argv = request.argv.into_iter().map(String::into_bytes).collect();
        let (cwd, timeout) = (request.cwd, request.timeout);
        self.start_command(
            id,
            sandboxes::ExecRequest { command: Command::Argv(argv), cwd, env: Vec::new(), timeout },
        )
        .await
    }

    async fn start_command(
        self: &Arc<Self>,
        id: &SandboxId,
        request: sandboxes::ExecRequest,
    ) -> Result<Running, ServiceError> {
        let live = self.live(id).await?;
        let started = async { live.sandbox.exec(request).await.map_err(ServiceError::Exec) };
        let execution = live.during(started).await?;
        Ok(Running::new(execution, live))
    }
}

impl Running {
    /// What was started in a sandbox.
    pub(crate) fn new(execution: Execution, live: Arc<Live>) -> Self {
        Self { execution, live }
    }

    /// The next event; `Exit` is the last.
    pub(crate) async fn next(&mut self) -> Result<ExecEvent, ServiceError> {
        let live = Arc::clone(&self.live);
        live.during(async { self.execution.next().await.ok_or(ServiceError::Interrupted) }).await
    }

    /// Everything until the end.
    pub(crate) async fn collect(mut self) -> Result<RunOutput, ServiceError> {
        let (mut stdout, mut stderr) = (BytesMut::new(), BytesMut::new());
        loop {
            match self.next().await? {
                ExecEvent::Stdout(bytes) => stdout.extend_from_slice(&bytes),
                ExecEvent::Stderr(bytes) => stderr.extend_from_slice(&bytes),
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

fn translated(request: ExecRequest) -> Result<sandboxes::ExecRequest, ServiceError> {
    if request.session_id.is_some() {
        return Err(ServiceError::NotSupported { what: "sessionId".to_owned() });
    }
    check_command(&request)?;
    let ExecRequest { command, args, cwd, mut env, timeout, s3_env, .. } = request;
    if s3_env {
        for (name, value) in S3_ENV {
            env.entry(name.to_owned()).or_insert_with(|| Some(value.to_owned()));
        }
    }
    let command = match args {
        None => Command::Shell(command),
        Some(args) => Command::Argv([command].into_iter().chain(args).map(String::into_bytes).collect()),
    };
    let env = env.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
    Ok(sandboxes::ExecRequest { command, cwd, env, timeout: timeout.map(Duration::from_millis) })
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
