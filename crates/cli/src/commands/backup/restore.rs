//! `sandkeep backup restore`.

use std::path::PathBuf;
use std::sync::Arc;

use sandkeep_api::{DirectoryBackup, RestoreRequest, RestoreResult};
use sandkeep_daemon::standalone;
use tokio_util::sync::CancellationToken;

use super::create::OnBar;
use super::{Result, backup_id, locate, service};
use crate::arguments::BackupRestoreArguments;
use crate::error::Error;
use crate::output::Output;
use crate::progress::Bar;

pub(super) async fn run(arguments: BackupRestoreArguments, output: Output) -> Result<()> {
    match (arguments.sandbox.clone(), arguments.place.from.clone()) {
        (Some(sandbox), _) => in_sandbox(&sandbox, arguments, output).await,
        (None, Some(from)) => on_host(&from, arguments, output).await,
        (None, None) => Err(Error::new("neither --sandbox nor --from is given")),
    }
}

async fn in_sandbox(sandbox: &str, arguments: BackupRestoreArguments, output: Output) -> Result<()> {
    let client = service::client(&arguments.place.service)?;
    let dir = match arguments.dir {
        Some(dir) => dir,
        None => client.backup(&arguments.id).await?.dir,
    };
    let backup = DirectoryBackup { id: arguments.id, dir, local_bucket: None };
    let request = RestoreRequest { backup, eager: arguments.eager.then_some(true) };
    let restored = client.restore_backup(sandbox, &request).await?;
    output.result(&restored, || format!("{} shows backup {}", restored.dir, restored.id));
    Ok(())
}

async fn on_host(from: &str, arguments: BackupRestoreArguments, output: Output) -> Result<()> {
    let place = locate(from, &arguments.place.store)?;
    let id = backup_id(&arguments.id)?;
    let dir = match arguments.dir {
        Some(dir) => dir,
        None => standalone::show_backup(place.clone(), &id).await?.dir,
    };
    let (target, cancel) = (PathBuf::from(&dir), CancellationToken::new());
    let restore =
        standalone::restore_backup(place, &id, &target, Arc::new(OnBar(Bar::new())), cancel.clone());
    tokio::pin!(restore);
    tokio::select! {
        done = &mut restore => done?,
        _ = tokio::signal::ctrl_c() => {
            cancel.cancel();
            restore.await?;
        }
    }
    let restored = RestoreResult { success: true, dir, id: id.to_string() };
    output.result(&restored, || format!("{} holds backup {}", restored.dir, restored.id));
    Ok(())
}
