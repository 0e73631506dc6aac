//! `sandkeep s3`: the endpoint alone, and the check of its store.

use std::path::Path;
use std::process::ExitCode;

use sandkeep_daemon::roles::{self, GatewayRole};
use serde_json::json;

use super::Result;
use crate::arguments::{S3Arguments, S3Command};
use crate::output::Output;

pub(crate) async fn run(arguments: S3Arguments, output: Output) -> Result<ExitCode> {
    let S3Arguments { command, listen, data, internal } = arguments;
    if let Some(S3Command::Fsck { data }) = command {
        return check(&data, output).await;
    }
    let data = data.expect("it is required where there is no subcommand");
    let role = GatewayRole { listen, data, given: roles::credentials_from_environment(), detached: internal };
    roles::run_gateway(role, |address| {
        output.result(&json!({ "endpoint": format!("http://{address}") }), || {
            format!("S3 endpoint on http://{address}")
        });
    })
    .await?;
    Ok(ExitCode::SUCCESS)
}

async fn check(data: &Path, output: Output) -> Result<ExitCode> {
    let report = roles::check_store(data).await?;
    let damaged: Vec<_> = report.damaged.iter().map(|one| format!("{}/{}", one.bucket, one.key)).collect();
    let value = json!({
        "objects": report.objects, "files": report.files, "bytes": report.bytes, "damaged": damaged,
    });
    output.result(&value, || {
        let summary = format!(
            "{} objects, {} bytes in {} files read: {} damaged",
            report.objects,
            report.bytes,
            report.files,
            damaged.len()
        );
        damaged.iter().map(|one| format!("damaged: {one}\n")).collect::<String>() + &summary
    });
    Ok(if damaged.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
