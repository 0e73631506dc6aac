//! One method per route.

use bytes::Bytes;
use http::Method;

use super::connection::Call;
use super::{Client, EventStream};
use crate::{
    BucketInfo, BucketList, ClientError, CreateBucket, DirectoryListing, Done, ExecEvent, ExecRequest,
    ExecResult, FileExists, FileWritten, GrantInfo, GrantList, GrantRequest, MakeDirectory, MountInfo,
    MountList, MountRequest, SandboxInfo, SandboxList, SandboxOptions, ServiceInfo, routes,
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

    /// Runs a command and gives its output as it comes. Dropping the stream kills the command.
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

/// Buckets of the embedded store.
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

    /// Removes an empty one.
    pub async fn delete_bucket(&self, name: &str) -> Result<(), ClientError> {
        self.connection.send(Call::new(Method::DELETE, routes::bucket(name))).await.map(drop)
    }
}
