//! `sandkeep sandbox cp`: one file in or out.

use std::io::{Read, Write};
use std::path::Path;

use serde_json::json;

use super::super::{Result, service};
use crate::arguments::ServiceArguments;
use crate::error::{Error, while_doing};
use crate::output::Output;

pub(super) async fn run(from: &str, to: &str, arguments: &ServiceArguments, output: Output) -> Result<()> {
    let client = service::client(arguments)?;
    let bytes = match (inside(from), inside(to)) {
        (None, Some((id, path))) => {
            let content = read(from)?;
            let length = content.len();
            client.write_file(id, path, content.into()).await?;
            length
        }
        (Some((id, path)), None) => {
            let content = client.read_file(id, path).await?;
            write(to, &content)?;
            content.len()
        }
        _ => {
            return Err(Error::new("one of both must be of the form ID:PATH")
                .hint("sandkeep sandbox cp FILE ID:PATH"));
        }
    };
    if to != "-" {
        output.result(&json!({ "from": from, "to": to, "bytes": bytes }), || {
            format!("copied {bytes} bytes to {to}")
        });
    }
    Ok(())
}

/// Splits `ID:PATH`; a path of the host has a slash before any colon.
fn inside(text: &str) -> Option<(&str, &str)> {
    text.split_once(':').filter(|(id, _)| !id.is_empty() && !id.contains('/'))
}

fn read(path: &str) -> Result<Vec<u8>> {
    let mut content = Vec::new();
    let result = match path {
        "-" => std::io::stdin().lock().read_to_end(&mut content).map(drop),
        path => std::fs::read(path).map(|bytes| content = bytes),
    };
    result.map(|()| content).map_err(while_doing(&format!("cannot read {path}")))
}

fn write(path: &str, content: &[u8]) -> Result<()> {
    let result = match path {
        "-" => std::io::stdout().lock().write_all(content),
        path => std::fs::write(Path::new(path), content),
    };
    result.map_err(while_doing(&format!("cannot write {path}")))
}
