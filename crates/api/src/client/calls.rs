//! One method per route.

use bytes::Bytes;
use http::Method;

use super::backups::EVENTS;
use super::connection::Call;
use super::{Client, EventStream};
use crate::{
    BucketInfo, BucketLifecycle, BucketList, ClientError, CreateBucket, DirectoryListing, Done,
    EnvironmentChanges, ExecEvent, ExecRequest, ExecResult, FileExists, FileWritten, GrantInfo, GrantList,
    GrantRequest, LogLine, MakeDirectory, MigrationInfo, MigrationRequest, MountInfo, MountList,
    MountRequest, ProcessCount, ProcessExit, ProcessInfo, ProcessList, ProcessLogEvent, ProcessLogs,
    SandboxInfo, SandboxList, SandboxOptions, ServiceInfo, SessionDeleted, SessionInfo, SessionList,
    SessionRequest, StartProcess, WaitForExit, WaitForLog, WaitForPort, routes,
};

/// The service.
impl Client {
    /// Whether the server is there; needs no key.
    pub async fn health(&self) -> Result<Done, ClientError> {
        self.connection.send_for(Call::new(Method::GET, routes::HEALTH)).await
    }

    /// About the server.
    pub async fn info(&self) -> Result<ServiceInfo, ClientError> {
        self.connection.send_for(Call::new(Method::GET, routes::INFO)).await
    }
}

/// Sandboxes.
impl Client {
    /// All that run.
    pub async fn sandboxes(&self) -> Result<SandboxList, ClientError> {
        self.connection.send_for(Call::new(Method::GET, routes::SANDBOXES)).await
    }

    /// A new one with an id that the server chooses.
    pub async fn create_sandbox(&self, options: &SandboxOptions) -> Result<SandboxInfo, ClientError> {
        self.connection.send_for(Call::new(Method::POST, routes::SANDBOXES).json(options)).await
    }

    /// Starts the sandbox of that id if it does not run, and changes its labels.
    pub async fn put_sandbox(&self, id: &str, options: &SandboxOptions) -> Result<SandboxInfo, ClientError> {
        self.connection.send_for(Call::new(Method::PUT, routes::sandbox(id)).json(options)).await
    }

    /// About a sandbox that runs.
    pub async fn sandbox(&self, id: &str) -> Result<SandboxInfo, ClientError> {
        self.connection.send_for(Call::new(Method::GET, routes::sandbox(id))).await
    }

    /// Ends a sandbox; succeeds if there is none.
    pub async fn destroy_sandbox(&self, id: &str) -> Result<(), ClientError> {
        self.connection.send(Call::new(Method::DELETE, routes::sandbox(id))).await.map(drop)
    }

    /// Runs a command to its end.
    pub async fn exec(&self, id: &str, request: &ExecRequest) -> Result<ExecResult, ClientError> {
        let request = ExecRequest { stream: false, ..request.clone() };
        let path = routes::of_sandbox(id, "exec");
        self.connection.send_for(Call::new(Method::POST, path).json(&request)).await
    }

    /// Runs a command and gives its output as it comes. Dropping the stream kills the command, unless it runs in a
    /// session.
    pub async fn exec_stream(
        &self,
        id: &str,
        request: &ExecRequest,
    ) -> Result<EventStream<ExecEvent>, ClientError> {
        let request = ExecRequest { stream: true, ..request.clone() };
        let path = routes::of_sandbox(id, "exec");
        let response = self.connection.send(Call::new(Method::POST, path).json(&request)).await?;
        Ok(EventStream::new(response.into_body()))
    }
}

/// Sessions.
impl Client {
    /// All of a sandbox.
    pub async fn sessions(&self, id: &str) -> Result<SessionList, ClientError> {
        self.connection.send_for(Call::new(Method::GET, routes::of_sandbox(id, "sessions"))).await
    }

    /// Makes one.
    pub async fn create_session(
        &self,
        id: &str,
        request: &SessionRequest,
    ) -> Result<SessionInfo, ClientError> {
        let path = routes::of_sandbox(id, "sessions");
        self.connection.send_for(Call::new(Method::POST, path).json(request)).await
    }

    /// About one.
    pub async fn session(&self, id: &str, session: &str) -> Result<SessionInfo, ClientError> {
        self.connection.send_for(Call::new(Method::GET, routes::session(id, session))).await
    }

    /// Ends one with everything that it started.
    pub async fn delete_session(&self, id: &str, session: &str) -> Result<SessionDeleted, ClientError> {
        self.connection.send_for(Call::new(Method::DELETE, routes::session(id, session))).await
    }

    /// Exports and unsets variables.
    pub async fn set_env_vars(&self, id: &str, changes: &EnvironmentChanges) -> Result<Done, ClientError> {
        self.connection.send_for(Call::new(Method::POST, routes::of_sandbox(id, "env")).json(changes)).await
    }
}

/// Processes.
impl Client {
    /// All that are remembered.
    pub async fn processes(&self, id: &str) -> Result<ProcessList, ClientError> {
        self.connection.send_for(Call::new(Method::GET, routes::of_sandbox(id, "processes"))).await
    }

    /// Starts one.
    pub async fn start_process(&self, id: &str, request: &StartProcess) -> Result<ProcessInfo, ClientError> {
        let path = routes::of_sandbox(id, "processes");
        self.connection.send_for(Call::new(Method::POST, path).json(request)).await
    }

    /// About one.
    pub async fn process(&self, id: &str, process: &str) -> Result<ProcessInfo, ClientError> {
        self.connection.send_for(Call::new(Method::GET, routes::process(id, process))).await
    }

    /// Sends a signal to one; none: SIGTERM, and SIGKILL if that does not end it.
    pub async fn kill_process(
        &self,
        id: &str,
        process: &str,
        signal: Option<&str>,
    ) -> Result<ProcessInfo, ClientError> {
        let query = signal.map(|signal| format!("?signal={}", routes::encode(signal))).unwrap_or_default();
        self.connection.send_for(Call::new(Method::DELETE, routes::process(id, process) + &query)).await
    }

    /// Ends all.
    pub async fn kill_processes(&self, id: &str) -> Result<ProcessCount, ClientError> {
        self.connection.send_for(Call::new(Method::DELETE, routes::of_sandbox(id, "processes"))).await
    }

    /// Forgets those that have ended.
    pub async fn clean_up_processes(&self, id: &str) -> Result<ProcessCount, ClientError> {
        self.connection.send_for(Call::new(Method::POST, routes::of_sandbox(id, "processes/cleanup"))).await
    }

    /// What one wrote.
    pub async fn process_logs(&self, id: &str, process: &str) -> Result<ProcessLogs, ClientError> {
        self.connection.send_for(Call::new(Method::GET, routes::of_process(id, process, "logs"))).await
    }

    /// What one wrote and writes.
    pub async fn process_stream(
        &self,
        id: &str,
        process: &str,
    ) -> Result<EventStream<ProcessLogEvent>, ClientError> {
        let call = Call::new(Method::GET, routes::of_process(id, process, "stream")).accepting(EVENTS);
        Ok(EventStream::new(self.connection.send(call).await?.into_body()))
    }

    /// Waits for a line.
    pub async fn wait_for_log(
        &self,
        id: &str,
        process: &str,
        wait: &WaitForLog,
    ) -> Result<LogLine, ClientError> {
        let path = routes::of_process(id, process, "wait-for-log");
        self.connection.send_for(Call::new(Method::POST, path).json(wait)).await
    }

    /// Waits for a port.
    pub async fn wait_for_port(
        &self,
        id: &str,
        process: &str,
        wait: &WaitForPort,
    ) -> Result<Done, ClientError> {
        let path = routes::of_process(id, process, "wait-for-port");
        self.connection.send_for(Call::new(Method::POST, path).json(wait)).await
    }

    /// Waits for the end.
    pub async fn wait_for_exit(
        &self,
        id: &str,
        process: &str,
        wait: &WaitForExit,
    ) -> Result<ProcessExit, ClientError> {
        let path = routes::of_process(id, process, "wait-for-exit");
        self.connection.send_for(Call::new(Method::POST, path).json(wait)).await
    }
}

/// Files.
impl Client {
    /// A file's bytes.
    pub async fn read_file(&self, id: &str, path: &str) -> Result<Bytes, ClientError> {
        self.connection.send_for_bytes(Call::new(Method::GET, routes::at_path(id, "files", path))).await
    }

    /// Writes a whole file; parents are created.
    pub async fn write_file(&self, id: &str, path: &str, content: Bytes) -> Result<FileWritten, ClientError> {
        self.connection
            .send_for(Call::new(Method::PUT, routes::at_path(id, "files", path)).bytes(content))
            .await
    }

    /// Deletes a file.
    pub async fn delete_file(&self, id: &str, path: &str) -> Result<FileWritten, ClientError> {
        self.connection.send_for(Call::new(Method::DELETE, routes::at_path(id, "files", path))).await
    }

    /// Whether something is at the path.
    pub async fn exists(&self, id: &str, path: &str) -> Result<FileExists, ClientError> {
        self.connection.send_for(Call::new(Method::GET, routes::at_path(id, "files/exists", path))).await
    }

    /// What a directory holds.
    pub async fn list_files(&self, id: &str, path: &str) -> Result<DirectoryListing, ClientError> {
        self.connection.send_for(Call::new(Method::GET, routes::at_path(id, "directories", path))).await
    }

    /// Makes a directory.
    pub async fn make_directory(
        &self,
        id: &str,
        path: &str,
        options: MakeDirectory,
    ) -> Result<FileWritten, ClientError> {
        let path = routes::at_path(id, "directories", path);
        self.connection.send_for(Call::new(Method::POST, path).json(&options)).await
    }
}

/// Mounts.
impl Client {
    /// The buckets mounted in a sandbox.
    pub async fn mounts(&self, id: &str) -> Result<MountList, ClientError> {
        self.connection.send_for(Call::new(Method::GET, routes::of_sandbox(id, "mounts"))).await
    }

    /// Mounts a bucket; the same mount again changes nothing.
    pub async fn mount(&self, id: &str, request: &MountRequest) -> Result<MountInfo, ClientError> {
        self.connection
            .send_for(Call::new(Method::POST, routes::of_sandbox(id, "mounts")).json(request))
            .await
    }

    /// Takes a mount away.
    pub async fn unmount(&self, id: &str, path: &str) -> Result<(), ClientError> {
        self.connection.send(Call::new(Method::DELETE, routes::at_path(id, "mounts", path))).await.map(drop)
    }
}

/// Grants.
impl Client {
    /// What the sandbox may reach at `http://s3.internal`.
    pub async fn grants(&self, id: &str) -> Result<GrantList, ClientError> {
        self.connection.send_for(Call::new(Method::GET, routes::of_sandbox(id, "grants"))).await
    }

    /// Grants a bucket, or a part of it.
    pub async fn grant(&self, id: &str, request: &GrantRequest) -> Result<GrantInfo, ClientError> {
        self.connection
            .send_for(Call::new(Method::POST, routes::of_sandbox(id, "grants")).json(request))
            .await
    }

    /// Takes a grant back.
    pub async fn revoke(&self, id: &str, grant: &str) -> Result<(), ClientError> {
        self.connection.send(Call::new(Method::DELETE, routes::grant(id, grant))).await.map(drop)
    }
}

/// Buckets.
impl Client {
    /// All.
    pub async fn buckets(&self) -> Result<BucketList, ClientError> {
        self.connection.send_for(Call::new(Method::GET, routes::BUCKETS)).await
    }

    /// Creates one.
    pub async fn create_bucket(&self, name: &str) -> Result<BucketInfo, ClientError> {
        let request = CreateBucket { name: name.to_owned() };
        self.connection.send_for(Call::new(Method::POST, routes::BUCKETS).json(&request)).await
    }

    /// About one, with what is in it.
    pub async fn bucket(&self, name: &str) -> Result<BucketInfo, ClientError> {
        self.connection.send_for(Call::new(Method::GET, routes::bucket(name))).await
    }

    /// Removes one that is empty, or with `force` whatever is in it.
    pub async fn delete_bucket(&self, name: &str, force: bool) -> Result<(), ClientError> {
        let query = if force { "?force=true" } else { "" };
        let path = format!("{}{query}", routes::bucket(name));
        self.connection.send(Call::new(Method::DELETE, path)).await.map(drop)
    }

    /// The rules by which it lets go of what is old.
    pub async fn bucket_lifecycle(&self, name: &str) -> Result<BucketLifecycle, ClientError> {
        self.connection.send_for(Call::new(Method::GET, routes::of_bucket(name, "lifecycle"))).await
    }

    /// Replaces them.
    pub async fn set_bucket_lifecycle(
        &self,
        name: &str,
        lifecycle: &BucketLifecycle,
    ) -> Result<BucketLifecycle, ClientError> {
        let path = routes::of_bucket(name, "lifecycle");
        self.connection.send_for(Call::new(Method::PUT, path).json(lifecycle)).await
    }

    /// Begins to move it to the other store.
    pub async fn migrate_bucket(
        &self,
        name: &str,
        request: &MigrationRequest,
    ) -> Result<MigrationInfo, ClientError> {
        let path = routes::of_bucket(name, "migration");
        self.connection.send_for(Call::new(Method::POST, path).json(request)).await
    }

    /// How far that is.
    pub async fn bucket_migration(&self, name: &str) -> Result<MigrationInfo, ClientError> {
        self.connection.send_for(Call::new(Method::GET, routes::of_bucket(name, "migration"))).await
    }

    /// Ends it, unless the bucket was switched over already.
    pub async fn cancel_migration(&self, name: &str) -> Result<MigrationInfo, ClientError> {
        self.connection.send_for(Call::new(Method::DELETE, routes::of_bucket(name, "migration"))).await
    }
}
