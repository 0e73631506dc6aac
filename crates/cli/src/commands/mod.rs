//! One file per command: arguments in, a call of the daemon's crate or of the service, output out.

mod backup;
mod bucket;
mod doctor;
mod keys;
mod mount;
mod s3;
mod sandbox;
mod serve;
mod service;

use std::process::ExitCode;

use clap::CommandFactory;

use crate::arguments::{Arguments, Command};
use crate::error::{Error, while_doing};
use crate::output::Output;

/// Result of a command.
pub(crate) type Result<T> = std::result::Result<T, Error>;

/// Runs a command to its end.
pub(crate) fn run(command: Command, output: &Output) -> Result<ExitCode> {
    let output = *output;
    let done = match command {
        Command::Serve(arguments) => runtime()?.block_on(serve::run(arguments, output)),
        Command::S3(arguments) => return s3::runtime()?.block_on(s3::run(arguments, output)),
        Command::Mount(arguments) => mount::run(arguments, output),
        Command::Sandbox(command) => return runtime()?.block_on(sandbox::run(command, output)),
        Command::Backup(command) => runtime()?.block_on(backup::run(command, output)),
        Command::Bucket(command) => runtime()?.block_on(bucket::run(command, output)),
        Command::Keys(arguments) => keys::run(arguments, output),
        Command::Doctor => return doctor::run(output),
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Arguments::command(), "sandkeep", &mut std::io::stdout());
            Ok(())
        }
    };
    done.map(|()| ExitCode::SUCCESS)
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(while_doing("cannot start the runtime"))
}
