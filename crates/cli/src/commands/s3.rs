//! `sandkeep s3`: the endpoint alone, and the check of its store.

use std::path::Path;
use std::process::ExitCode;

use sandkeep_daemon::roles::{self, GatewayRole, TlsFiles};
use serde_json::json;

use super::Result;
use crate::arguments::{S3Arguments, S3Command};
use crate::output::Output;

pub(crate) async fn run(arguments: S3Arguments, output: Output) -> Result<ExitCode> {
    let S3Arguments { command, listen, data, tls_certificate, tls_key, regions, internal } = arguments;
    if let Some(S3Command::Fsck { data }) = command {
        return check(&data, output).await;
    }
    let data = data.expect("it is required where there is no subcommand");
    let tls = tls_certificate.zip(tls_key).map(|(certificate, key)| TlsFiles { certificate, key });
    let scheme = if tls.is_some() { "https" } else { "http" };
    let given = roles::credentials_from_environment();
    let role = GatewayRole { listen, data, tls, regions, given, detached: internal };
    roles::run_gateway(role, |address| {
        output.result(&json!({ "endpoint": format!("{scheme}://{address}") }), || {
            format!("S3 endpoint on {scheme}://{address}")
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
