//! `sandkeep mount`: in the foreground, or by a process of its own that this one waits for.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};

use sandkeep_daemon::standalone::{self, BucketFsSettings, Hints, HostMount};
use serde_json::{Value, json};

use super::{Result, runtime};
use crate::arguments::MountArguments;
use crate::error::{Error, while_doing};
use crate::output::Output;

pub(crate) fn run(arguments: MountArguments, output: Output) -> Result<()> {
    if arguments.foreground {
        return runtime()?.block_on(foreground(arguments, output));
    }
    background(&arguments, output)
}

async fn foreground(arguments: MountArguments, output: Output) -> Result<()> {
    let MountArguments { source, directory, store, read_only, .. } = arguments;
    let hints = Hints { endpoint: store.endpoint, region: store.region };
    let location = standalone::locate(&source, &hints, |name| std::env::var(name).ok())?;
    let settings = BucketFsSettings { prefix: location.prefix, read_only, ..BucketFsSettings::default() };
    let mount = HostMount { store: location.store, settings, directory: directory.clone() };
    standalone::mount_bucket(mount, || report(&source, &directory, output)).await?;
    Ok(())
}

fn report(source: &str, directory: &std::path::Path, output: Output) {
    let value = json!({ "source": source, "directory": directory, "mounted": true });
    output.result(&value, || format!("{source} is mounted on {}", directory.display()));
}

/// Starts ourselves with `--foreground` and waits for its first line.
fn background(arguments: &MountArguments, output: Output) -> Result<()> {
    let program = std::env::current_exe().map_err(while_doing("cannot find this program"))?;
    let mut child = Command::new(program)
        .args(std::env::args_os().skip(1))
        .args(["--foreground", "--json"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(while_doing("cannot start the mount's process"))?;
    let mut line = String::new();
    let stdout = child.stdout.take().expect("it is piped");
    BufReader::new(stdout)
        .read_line(&mut line)
        .map_err(while_doing("cannot hear from the mount's process"))?;
    if line.is_empty() {
        return Err(failure_of(child));
    }
    report(&arguments.source, &arguments.directory, output);
    Ok(())
}

fn failure_of(mut child: Child) -> Error {
    let mut text = String::new();
    if let Some(mut stderr) = child.stderr.take() {
        drop(stderr.read_to_string(&mut text));
    }
    drop(child.wait());
    let last = text.lines().last().unwrap_or_default();
    let told: Option<Value> = serde_json::from_str(last).ok();
    let field = |name: &str| told.as_ref().and_then(|value| value[name].as_str()).map(str::to_owned);
    let message = field("error").unwrap_or_else(|| format!("the mount's process died: {last}"));
    Error { message, hint: field("hint"), code: None }
}
