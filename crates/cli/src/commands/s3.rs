//! `sandkeep s3`: the endpoint alone, and the check of its store.

use std::path::Path;
use std::process::ExitCode;

use sandkeep_daemon::Surroundings;
use sandkeep_daemon::roles::{self, GatewayRole, Listening, TlsFiles};
use sandkeep_daemon::settings::DefaultStore;
use serde_json::json;

use super::Result;
use crate::arguments::{S3Arguments, S3Command};
use crate::error::while_doing;
use crate::output::Output;

/// Threads at least. Look-ups of the store happen in them, and one that waits for a cold disk must not hold up the
/// requests that need none.
const THREADS: usize = 4;

/// Runs the endpoint.
pub(crate) fn runtime() -> Result<tokio::runtime::Runtime> {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(processors.max(THREADS))
        .enable_all()
        .build()
        .map_err(while_doing("cannot start the runtime"))
}

pub(crate) async fn run(arguments: S3Arguments, output: Output) -> Result<ExitCode> {
    let S3Arguments { command, listen, data, tls_certificate, tls_key, regions, plain, internal } = arguments;
    if let Some(S3Command::Fsck { data }) = command {
        return check(&data, output).await;
    }
    let data = data.expect("it is required where there is no subcommand");
    let tls = tls_certificate.zip(tls_key).map(|(certificate, key)| TlsFiles { certificate, key });
    let scheme = if tls.is_some() { "https" } else { "http" };
    let given = roles::credentials_from_environment();
    let around = Surroundings::of_this_process().map_err(while_doing("cannot look around"))?;
    let elsewhere = match internal {
        true => None,
        false => {
            DefaultStore::from_environment(&around).map_err(while_doing("the settings cannot be used"))?
        }
    };
    let role = GatewayRole { listen, data, tls, regions, plain, elsewhere, given, detached: internal };
    roles::run_gateway(role, |Listening { address, plain }| {
        let mut value = json!({ "endpoint": format!("{scheme}://{address}") });
        if let Some(plain) = plain {
            value["plain"] = json!(format!("http://{plain}"));
        }
        output.result(&value, || format!("S3 endpoint on {scheme}://{address}"));
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
