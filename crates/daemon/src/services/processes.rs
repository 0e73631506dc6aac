//! Processes that are left to themselves. The sandbox's agent owns them and what they wrote.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use sandkeep_api::{
    ErrorCode, InvalidInput, ProcessInfo, ProcessStatus, SandboxId, StartProcess, base32, checks,
};
use sandkeep_sandboxes::{self as sandboxes, ProcessEvent, ProcessLog, ProcessRequest};

use super::exec::present;
use super::sessions::CheckSession;
use super::{Live, Services};
use crate::error::ServiceError;

/// Signals by name; the numbers are the same on all our architectures.
const SIGNALS: [(&str, i32); 12] = [
    ("HUP", 1),
    ("INT", 2),
    ("QUIT", 3),
    ("ABRT", 6),
    ("KILL", 9),
    ("USR1", 10),
    ("SEGV", 11),
    ("USR2", 12),
    ("ALRM", 14),
    ("TERM", 15),
    ("CONT", 18),
    ("STOP", 19),
];

/// What a process writes, until it ends or its sandbox does.
#[derive(Debug)]
pub(crate) struct Followed {
    log: ProcessLog,
    live: Arc<Live>,
}

impl Services {
    /// Starts a process.
    pub(crate) async fn start_process(
        self: &Arc<Self>,
        id: &SandboxId,
        request: StartProcess,
    ) -> Result<ProcessInfo, ServiceError> {
        check(&request)?;
        let live = self.live(id).await?;
        let session = live.session(&request.session_id);
        let StartProcess { command, process_id, cwd, env, timeout, auto_cleanup, .. } = request;
        let mut variables = match session {
            Some(_) => std::collections::BTreeMap::new(),
            None => self.variables(&live).await?,
        };
        variables.extend(present(env));
        let id = process_id.unwrap_or_else(new_id);
        let request = ProcessRequest {
            id: id.clone(),
            command,
            env: variables,
            cwd,
            timeout: timeout.map(Duration::from_millis),
            session,
            cleans_up: auto_cleanup,
        };
        live.of_process(&id, live.sandbox.start_process(request)).await.map(info)
    }

    /// All that are remembered.
    pub(crate) async fn processes(
        self: &Arc<Self>,
        id: &SandboxId,
    ) -> Result<Vec<ProcessInfo>, ServiceError> {
        let live = self.live(id).await?;
        Ok(live.of_process("", live.sandbox.processes()).await?.into_iter().map(info).collect())
    }

    /// One of them.
    pub(crate) async fn process(
        self: &Arc<Self>,
        id: &SandboxId,
        process: &str,
    ) -> Result<ProcessInfo, ServiceError> {
        let found = self.processes(id).await?.into_iter().find(|found| found.id == process);
        found.ok_or_else(|| ServiceError::ProcessNotFound { id: process.to_owned() })
    }

    /// Sends a signal; none: SIGTERM, and SIGKILL if that does not end it.
    pub(crate) async fn kill_process(
        self: &Arc<Self>,
        id: &SandboxId,
        process: &str,
        signal: Option<&str>,
    ) -> Result<ProcessInfo, ServiceError> {
        let signal = signal.map(signal_number).transpose()?;
        let live = self.live(id).await?;
        live.of_process(process, live.sandbox.kill_process(process, signal)).await.map(info)
    }

    /// Ends all; how many.
    pub(crate) async fn kill_processes(self: &Arc<Self>, id: &SandboxId) -> Result<usize, ServiceError> {
        let live = self.live(id).await?;
        live.of_process("", live.sandbox.kill_processes()).await
    }

    /// Forgets those that have ended; how many.
    pub(crate) async fn clean_up_processes(self: &Arc<Self>, id: &SandboxId) -> Result<usize, ServiceError> {
        let live = self.live(id).await?;
        live.of_process("", live.sandbox.clean_up_processes()).await
    }

    /// What a process writes.
    pub(crate) async fn follow_process(
        self: &Arc<Self>,
        id: &SandboxId,
        process: &str,
    ) -> Result<Followed, ServiceError> {
        let live = self.live(id).await?;
        let log = live.of_process(process, live.sandbox.process_log(process)).await?;
        Ok(Followed { log, live })
    }
}

impl Live {
    async fn of_process<T>(
        &self,
        process: &str,
        work: impl Future<Output = Result<T, sandboxes::Error>>,
    ) -> Result<T, ServiceError> {
        self.during(async { work.await.map_err(|error| ServiceError::of_agent(process, error)) }).await
    }
}

impl Followed {
    /// The sandbox that it runs in.
    pub(super) fn live(&self) -> Arc<Live> {
        Arc::clone(&self.live)
    }

    /// Which process.
    pub(crate) fn id(&self) -> &str {
        &self.log.info().id
    }

    /// What was written and not yet read; none: nothing.
    pub(crate) fn next_now(&mut self) -> Option<ProcessEvent> {
        self.log.next_now()
    }

    /// The next news; `Ended` is the last.
    pub(crate) async fn next(&mut self) -> Result<ProcessEvent, ServiceError> {
        let live = Arc::clone(&self.live);
        live.during(async { self.log.next().await.ok_or(ServiceError::Interrupted) }).await
    }
}

fn check(request: &StartProcess) -> Result<(), InvalidInput> {
    let refuse = |code, message: &str| Err(InvalidInput::new(code, message));
    if request.command.trim().is_empty() || request.command.contains('\0') {
        return refuse(ErrorCode::InvalidCommand, "command must not be empty nor contain null bytes");
    }
    if request.cwd.as_ref().is_some_and(|cwd| cwd.is_empty() || cwd.contains('\0')) {
        return refuse(ErrorCode::ValidationFailed, "cwd must not be empty nor contain null bytes");
    }
    if request.env.values().flatten().any(|value| value.contains('\0')) {
        return refuse(ErrorCode::ValidationFailed, "env: values must not contain null bytes");
    }
    request.env.keys().try_for_each(|name| checks::variable_name(name))?;
    request.session_id.check()?;
    request.process_id.as_deref().map_or(Ok(()), |id| checks::sdk_name("processId", id))
}

fn new_id() -> String {
    let mut random = [0; 10];
    getrandom::fill(&mut random).expect("the kernel always has random bytes after its start");
    format!("proc-{}", base32(&random))
}

/// `SIGTERM`, `TERM` or `15`.
fn signal_number(name: &str) -> Result<i32, InvalidInput> {
    let short = name.strip_prefix("SIG").unwrap_or(name);
    let known = SIGNALS.into_iter().find(|(known, _)| *known == short).map(|(_, number)| number);
    let number = known.or_else(|| short.parse().ok().filter(|number| (1..=64).contains(number)));
    number.ok_or_else(|| {
        InvalidInput::new(ErrorCode::ValidationFailed, format!("{name:?} is not a signal, SIGTERM is"))
    })
}

/// The name of a signal, where it has one.
pub(crate) fn signal_name(number: i32) -> String {
    let known = SIGNALS.into_iter().find(|(_, known)| *known == number);
    known.map_or_else(|| number.to_string(), |(name, _)| format!("SIG{name}"))
}

pub(crate) fn info(process: sandboxes::ProcessInfo) -> ProcessInfo {
    let status = match process.status {
        sandboxes::ProcessStatus::Running => ProcessStatus::Running,
        sandboxes::ProcessStatus::Completed => ProcessStatus::Completed,
        sandboxes::ProcessStatus::Failed => ProcessStatus::Failed,
        sandboxes::ProcessStatus::Killed => ProcessStatus::Killed,
    };
    ProcessInfo {
        id: process.id,
        pid: process.pid,
        command: process.command,
        status,
        start_time: time(process.started_at),
        end_time: process.ended_at.map(time),
        exit_code: process.exit_code,
        session_id: process.session,
    }
}

/// The agent's clock is the host's; what no timestamp can be becomes 1970.
fn time(milliseconds: u64) -> Timestamp {
    i64::try_from(milliseconds).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_have_names_and_numbers() {
        for (name, expected) in
            [("SIGKILL", Some(9)), ("TERM", Some(15)), ("34", Some(34)), ("0", None), ("SIGX", None)]
        {
            assert_eq!(signal_number(name).ok(), expected, "{name}");
        }
        assert_eq!((signal_name(9).as_str(), signal_name(40).as_str()), ("SIGKILL", "40"));
    }
}
