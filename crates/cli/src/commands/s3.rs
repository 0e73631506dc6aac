//! `sandkeep s3`: the endpoint alone.

use sandkeep_daemon::roles::{self, GatewayRole};
use serde_json::json;

use super::Result;
use crate::arguments::S3Arguments;
use crate::output::Output;

pub(crate) async fn run(arguments: S3Arguments, output: Output) -> Result<()> {
    let S3Arguments { listen, data, internal } = arguments;
    let role = GatewayRole { listen, data, given: roles::credentials_from_environment(), detached: internal };
    roles::run_gateway(role, |address| {
        output.result(&json!({ "endpoint": format!("http://{address}") }), || {
            format!("S3 endpoint on http://{address}")
        });
    })
    .await?;
    Ok(())
}
