//! Moving files and directories.

use std::io;
use std::sync::Arc;

use rustix::fs::AtFlags;
use sandkeep_api::SandboxId;
use sandkeep_sandboxes::{Command, ExecRequest};

use super::{blocking, failed, is_absence, parent};
use crate::error::ServiceError;
use crate::services::{Live, Services};

impl Services {
    /// Gives a file or directory another path. A file that is there is replaced; parents must be there.
    pub(crate) async fn move_file(
        self: &Arc<Self>,
        id: &SandboxId,
        source: &str,
        destination: &str,
    ) -> Result<(), ServiceError> {
        let live = self.live(id).await?;
        let absent = |error| match error {
            ServiceError::File { source: error, .. } if is_absence(&error) => {
                ServiceError::Missing { what: "Source file", path: source.to_owned() }
            }
            other => other,
        };
        let (from, old) = parent(&live, source).await.map_err(absent)?;
        let there = old.clone();
        let looked = blocking(source.to_owned(), move || {
            let found = rustix::fs::statat(&from, there, AtFlags::SYMLINK_NOFOLLOW);
            Ok(found.map(|_| from)?)
        });
        let from = live.during(looked).await.map_err(absent)?;
        let (to, new) = parent(&live, destination).await?;
        let renamed =
            blocking(destination.to_owned(), move || Ok(rustix::fs::renameat(&from, old, &to, new)?));
        match live.during(renamed).await {
            Err(ServiceError::File { source: error, .. })
                if error.kind() == io::ErrorKind::CrossesDevices =>
            {
                move_across(&live, source, destination).await
            }
            other => other,
        }
    }
}

/// From one filesystem to another: as `mv` does it, inside.
async fn move_across(live: &Arc<Live>, source: &str, destination: &str) -> Result<(), ServiceError> {
    let words = ["mv", "-T", "--", source, destination];
    let command = Command::Argv(words.map(|word| word.as_bytes().to_vec()).to_vec());
    let request = ExecRequest { command, cwd: None, env: Vec::new(), timeout: None };
    let started = async { live.sandbox.exec(request).await.map_err(|error| failed(destination, error)) };
    let execution = live.during(started).await?;
    let output = crate::services::Running::new(execution, Arc::clone(live)).collect().await?;
    if output.status.code == 0 {
        return Ok(());
    }
    let reason = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(ServiceError::File { path: destination.to_owned(), source: io::Error::other(reason) })
}
