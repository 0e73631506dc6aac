//! `sandkeep keys`: the key pairs of the embedded endpoint.

use std::path::PathBuf;

use sandkeep_daemon::roles::{self, GatewayRole};
use serde_json::json;

use super::Result;
use crate::arguments::KeysArguments;
use crate::error::Error;
use crate::output::Output;

pub(crate) fn run(arguments: &KeysArguments, output: Output) -> Result<()> {
    let file = key_file(arguments)?;
    let (id, secret) = roles::default_key(&file)?;
    let values = json!({ "accessKeyId": id, "secretAccessKey": secret });
    output.result(&values, || match arguments.export {
        true => format!("export AWS_ACCESS_KEY_ID={id}\nexport AWS_SECRET_ACCESS_KEY={secret}"),
        false => format!("access key id      {id}\nsecret access key  {secret}"),
    });
    Ok(())
}

/// The service keeps its store one level below its data directory.
fn key_file(arguments: &KeysArguments) -> Result<PathBuf> {
    let candidates =
        [arguments.data.join("s3"), arguments.data.clone()].map(|data| GatewayRole::key_file(&data));
    let missing = || {
        Error::new(format!("no keys in {}", arguments.data.display()))
            .hint("they are made at the first start of `sandkeep serve` or `sandkeep s3`; --data names another place")
    };
    candidates.into_iter().find(|file| file.exists()).ok_or_else(missing)
}
