//! The `sandkeep` command. Owns arguments, output, hints and progress; what it does is in `sandkeep-daemon`, in this process
//! or, over HTTP, in the service.

mod arguments;
mod commands;
mod error;
mod helper;
mod logging;
mod output;
mod progress;
mod roles;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    if let Some(outcome) = helper::become_mount() {
        return outcome;
    }
    // Our own processes come first: they must be quick, and take nothing from the command line.
    if let Some(outcome) = roles::run(std::env::args().nth(1).as_deref()) {
        return outcome;
    }
    let arguments = arguments::Arguments::parse();
    logging::start(arguments.output.verbose);
    let output = output::Output::new(arguments.output.json);
    match commands::run(arguments.command, &output) {
        Ok(code) => code,
        Err(error) => {
            output.failure(&error);
            ExitCode::FAILURE
        }
    }
}
