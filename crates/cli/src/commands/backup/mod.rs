//! `sandkeep backup`: in sandboxes through the service, of host directories by ourselves.

mod catalogue;
mod create;
mod files;
mod restore;
mod text;

use sandkeep_daemon::standalone::{self, BackupId, Hints, InvalidBackupId, Location};

use super::{Result, service};
use crate::arguments::{BackupCommand, StoreArguments};
use crate::error::while_doing;
use crate::output::Output;

/// Seconds until restores are refused, where nobody says otherwise (contract: three days).
const DEFAULT_TTL: f64 = 259_200.0;

pub(crate) async fn run(command: BackupCommand, output: Output) -> Result<()> {
    match command {
        BackupCommand::Create(arguments) => create::run(*arguments, output).await,
        BackupCommand::Restore(arguments) => restore::run(arguments, output).await,
        BackupCommand::Ls(arguments) => catalogue::list(arguments, output).await,
        BackupCommand::Show(arguments) => catalogue::show(arguments, output).await,
        BackupCommand::Verify(arguments) => catalogue::verify(arguments, output).await,
        BackupCommand::Rm { ids, place } => catalogue::remove(&ids, place, output).await,
        BackupCommand::Prune(arguments) => catalogue::prune(arguments, output).await,
        BackupCommand::Copy(arguments) => catalogue::copy(arguments, output).await,
        BackupCommand::Export(arguments) => files::export(arguments, output).await,
        BackupCommand::Import(arguments) => files::import(arguments, output).await,
    }
}

fn locate(url: &str, store: &StoreArguments) -> Result<Location> {
    let hints = Hints { endpoint: store.endpoint.clone(), region: store.region.clone() };
    Ok(standalone::locate(url, &hints, |name| std::env::var(name).ok())?)
}

fn backup_id(text: &str) -> Result<BackupId> {
    text.parse().map_err(while_doing::<InvalidBackupId>("cannot find the backup"))
}
