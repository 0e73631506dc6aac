//! `sandkeep keys`: the key pairs of the embedded endpoint.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use sandkeep_daemon::roles::{self, GatewayRole, KeyInfo, NewKey};
use serde_json::json;

use super::Result;
use crate::arguments::{KeysArguments, KeysCommand};
use crate::error::Error;
use crate::output::Output;

pub(crate) fn run(arguments: KeysArguments, output: Output) -> Result<()> {
    let file = key_file(&arguments.data)?;
    match arguments.command {
        None => show(&file, arguments.export, output),
        Some(KeysCommand::Create { name, allow, read_only, expires_in }) => {
            create(&file, &NewKey { name, places: allow, read_only, valid_for: expires_in }, output)
        }
        Some(KeysCommand::Ls) => {
            output.list(&roles::list_keys(&file)?, &["name", "access key id", "where", "may", "until"], row);
            Ok(())
        }
        Some(KeysCommand::Rm { name }) => {
            roles::remove_key(&file, &name)?;
            output.result(&json!({ "name": name, "deleted": true }), || format!("removed key {name}"));
            Ok(())
        }
    }
}

fn show(file: &Path, export: bool, output: Output) -> Result<()> {
    let (id, secret) = roles::default_key(file)?;
    print(&json!({ "accessKeyId": id, "secretAccessKey": secret }), (&id, &secret), export, output);
    Ok(())
}

fn create(file: &Path, new: &NewKey, output: Output) -> Result<()> {
    let (info, secret) = roles::create_key(file, new)?;
    let value = json!({
        "name": info.name,
        "accessKeyId": info.access_key_id,
        "secretAccessKey": secret,
        "places": info.places,
        "readOnly": info.read_only,
        "expires": info.expires,
    });
    print(&value, (&info.access_key_id, &secret), false, output);
    output.note("the secret is not shown again");
    Ok(())
}

fn print(value: &serde_json::Value, (id, secret): (&str, &str), export: bool, output: Output) {
    output.result(value, || match export {
        true => format!("export AWS_ACCESS_KEY_ID={id}\nexport AWS_SECRET_ACCESS_KEY={secret}"),
        false => format!("access key id      {id}\nsecret access key  {secret}"),
    });
}

fn row(key: &KeyInfo) -> Vec<String> {
    let places = key.places.as_ref().map_or_else(|| "everywhere".to_owned(), |places| places.join(", "));
    let may = if key.read_only { "read" } else { "read and write" };
    let until = key.expires.and_then(|seconds| Timestamp::from_second(seconds as i64).ok());
    let until = until.map_or_else(|| "removed".to_owned(), |until| until.to_string());
    vec![key.name.clone(), key.access_key_id.clone(), places, may.to_owned(), until]
}

/// The service keeps its store one level below its data directory.
fn key_file(data: &Path) -> Result<PathBuf> {
    let candidates = [data.join("s3"), data.to_owned()].map(|data| GatewayRole::key_file(&data));
    let missing = || {
        Error::new(format!("no keys in {}", data.display()))
            .hint("they are made at the first start of `sandkeep serve` or `sandkeep s3`; --data names another place")
    };
    candidates.into_iter().find(|file| file.exists()).ok_or_else(missing)
}
