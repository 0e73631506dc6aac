//! `sandkeep sandbox exec`: output as it comes, byte-exact, and the program's exit code.

use std::collections::BTreeMap;
use std::process::ExitCode;

use sandkeep_api::{ExecEvent, ExecRequest, OutputEncoding};

use super::super::{Result, service};
use crate::arguments::ExecArguments;
use crate::error::{Error, while_doing};
use crate::output::Output;

pub(super) async fn run(arguments: ExecArguments, output: Output) -> Result<ExitCode> {
    let client = service::client(&arguments.service)?;
    let id = arguments.id.clone();
    let request = request(arguments)?;
    if output.json() {
        let result = client.exec(&id, &ExecRequest { encoding: OutputEncoding::Utf8, ..request }).await?;
        output.result(&result, String::new);
        return Ok(exit_code(result.exit_code));
    }
    let mut events = client.exec_stream(&id, &request).await?;
    while let Some(event) = events.next().await {
        match event? {
            ExecEvent::Start { .. } => {}
            ExecEvent::Stdout { data, .. } => output.data(&decode(&data)?),
            ExecEvent::Stderr { data, .. } => output.error_data(&decode(&data)?),
            ExecEvent::Complete { exit_code: code, .. } => return Ok(exit_code(code)),
            ExecEvent::Error { error, .. } => return Err(Error::new(error)),
        }
    }
    Err(Error::new("the connection broke before the command ended").hint("the command was ended with it"))
}

fn request(arguments: ExecArguments) -> Result<ExecRequest> {
    let (command, args) = match arguments.shell {
        Some(line) => (line, None),
        None => {
            let mut argv = arguments.argv.into_iter();
            (argv.next().unwrap_or_default(), Some(argv.collect()))
        }
    };
    Ok(ExecRequest {
        command,
        args,
        cwd: arguments.cwd,
        env: arguments.env.iter().map(|pair| variable(pair)).collect::<Result<BTreeMap<_, _>>>()?,
        timeout: arguments.timeout.map(|seconds| (seconds * 1000.0) as u64),
        s3_env: arguments.s3,
        session_id: arguments.session.into(),
        encoding: OutputEncoding::Base64,
        ..ExecRequest::default()
    })
}

fn variable(pair: &str) -> Result<(String, Option<String>)> {
    match pair.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), Some(value.to_owned()))),
        _ => Err(Error::new(format!("{pair:?} is not NAME=VALUE"))),
    }
}

fn decode(data: &str) -> Result<Vec<u8>> {
    data_encoding::BASE64
        .decode(data.as_bytes())
        .map_err(while_doing("the service sent output that is not base64"))
}

fn exit_code(code: i32) -> ExitCode {
    // A shell would show the same of codes that do not fit.
    ExitCode::from(code as u8)
}
