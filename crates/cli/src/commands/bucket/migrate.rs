//! `sandkeep bucket migrate`: begins a move, shows how far it is, and says what came of it.

use std::time::Duration;

use sandkeep_api::{
    Client, ClientError, ErrorCode, MigrationInfo, MigrationPhase, MigrationRequest, MigrationResult,
};

use crate::arguments::MigrateArguments;
use crate::commands::{Result, service};
use crate::error::Error;
use crate::output::{Output, size};
use crate::progress::Bar;

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(200);
/// A service that does not answer for so many looks is given up; the move may go on without us.
const PATIENCE: u32 = 50;

pub(super) async fn run(arguments: MigrateArguments, output: Output) -> Result<()> {
    let MigrateArguments { name, delete_source, abort_uploads, cancel, service } = arguments;
    let client = service::client(&service)?;
    if cancel {
        let ended = client.cancel_migration(&name).await?;
        return finish(&name, &ended, output);
    }
    let request = MigrationRequest { delete_source, abort_uploads };
    let begun = match client.migrate_bucket(&name, &request).await {
        // Begun by somebody else, or by this command before: its end is what is wanted.
        Err(error) if error.code() == Some(ErrorCode::ResourceBusy) => client.bucket_migration(&name).await?,
        begun => begun.map_err(|error| not_begun(error, &name))?,
    };
    let ended = follow(&client, &name, begun).await?;
    finish(&name, &ended, output)
}

async fn follow(client: &Client, name: &str, mut info: MigrationInfo) -> Result<MigrationInfo> {
    let bar = Bar::new();
    let mut unanswered = 0;
    while info.result.is_none() {
        if info.phase == MigrationPhase::Copying {
            bar.show(info.done_bytes, info.total_bytes.max(info.done_bytes));
        }
        tokio::time::sleep(PAUSE).await;
        match client.bucket_migration(name).await {
            Ok(next) => (info, unanswered) = (next, 0),
            // The service may be starting again; the S3 endpoint does the work.
            Err(ClientError::Unreachable { .. }) if unanswered < PATIENCE => unanswered += 1,
            Err(error) => {
                let hint =
                    format!("`sandkeep bucket migrate {name}` shows how far it is, or goes on where it was");
                return Err(Error::from(error).hint(hint));
            }
        }
    }
    bar.finish();
    Ok(info)
}

fn not_begun(error: ClientError, name: &str) -> Error {
    let hint = match error.code() {
        Some(ErrorCode::ValidationFailed) => {
            "name the other store in sandkeep.toml ([buckets] default = { endpoint, bucket, ... }) and start the service again".to_owned()
        }
        Some(ErrorCode::BucketExists) => format!("there is nothing to do: `sandkeep bucket ls` shows where {name} is"),
        Some(ErrorCode::BucketNotEmpty) => {
            "remove what lies there with the tools of that store, or choose another prefix in the settings".to_owned()
        }
        _ => return error.into(),
    };
    Error::from(error).hint(hint)
}

fn finish(name: &str, info: &MigrationInfo, output: Output) -> Result<()> {
    match info.result {
        Some(MigrationResult::Switched) => {
            output.result(info, || switched(name, info));
            Ok(())
        }
        Some(MigrationResult::Cancelled) => {
            output.result(info, || format!("the move of {name} has ended; the bucket is where it was"));
            Ok(())
        }
        Some(MigrationResult::Failed) => {
            let reason = info.reason.as_deref().unwrap_or("for an unknown reason");
            let message = format!("{name} was not moved, and is where it was: {reason}");
            let uploads =
                if reason.contains("uploads") { ", with --abort-uploads if those may end" } else { "" };
            Err(Error::new(message)
                .hint(format!("run the same command again: it goes on where it stopped{uploads}")))
        }
        None => {
            output.result(info, || format!("{name} is being switched over: too late to end that"));
            Ok(())
        }
    }
}

fn switched(name: &str, info: &MigrationInfo) -> String {
    let mut text = format!(
        "moved {name} to {}: {} objects, {}, each compared with its checksum",
        info.target,
        info.done_objects,
        size(info.done_bytes)
    );
    if info.found_objects > 0 {
        text.push_str(&format!(" ({} of them by an earlier run)", info.found_objects));
    }
    if info.changed_objects > 0 {
        text.push_str(&format!("\n{} changes were made meanwhile and copied, too", info.changed_objects));
    }
    if let Some(kept) = &info.kept {
        text.push_str(&format!(
            "\nthe embedded bucket stays as {kept}; `sandkeep bucket rm --force {kept}` removes it"
        ));
    }
    text
}
