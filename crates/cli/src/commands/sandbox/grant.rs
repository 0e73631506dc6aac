//! `sandkeep sandbox grant`, `grants` and `revoke`.

use sandkeep_api::{GrantInfo, GrantRequest};
use serde_json::json;

use super::super::{Result, service};
use super::mount::create_if_missing;
use crate::arguments::{GrantArguments, ServiceArguments};
use crate::output::Output;

pub(super) async fn grant(arguments: GrantArguments, output: Output) -> Result<()> {
    let client = service::client(&arguments.service)?;
    if arguments.create {
        create_if_missing(&client, &arguments.bucket).await?;
    }
    let endpoint = match (arguments.endpoint, arguments.binding) {
        (None, false) => Some(client.info().await?.s3_endpoint),
        (endpoint, _) => endpoint,
    };
    let GrantArguments { id, bucket, prefix, read_only, expires_in, .. } = arguments;
    let request = GrantRequest { bucket, endpoint, prefix, read_only, expires_in, ..GrantRequest::default() };
    let granted = client.grant(&id, &request).await?;
    output.result(&granted, || granted.id.clone());
    Ok(())
}

pub(super) async fn list(id: &str, arguments: &ServiceArguments, output: Output) -> Result<()> {
    let list = service::client(arguments)?.grants(id).await?;
    output.list(&list.grants, &["id", "bucket", "prefix", "access", "expires"], row);
    Ok(())
}

fn row(grant: &GrantInfo) -> Vec<String> {
    let access = if grant.read_only { "read-only" } else { "read-write" };
    let expires = grant.expires_at.map(|time| time.to_string());
    let prefix = grant.prefix.clone().unwrap_or_default();
    vec![grant.id.clone(), grant.bucket.clone(), prefix, access.to_owned(), expires.unwrap_or_default()]
}

pub(super) async fn revoke(
    id: &str,
    grant: &str,
    arguments: &ServiceArguments,
    output: Output,
) -> Result<()> {
    service::client(arguments)?.revoke(id, grant).await?;
    output
        .result(&json!({ "id": id, "grant": grant, "revoked": true }), || format!("revoked {grant} of {id}"));
    Ok(())
}
