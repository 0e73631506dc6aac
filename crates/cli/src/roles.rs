//! The roles of our other processes, told apart by the first argument.

use std::process::ExitCode;

use sandkeep_daemon::roles;

use crate::logging;

/// Runs the role that `word` names; none: it names none.
pub(crate) fn run(word: Option<&str>) -> Option<ExitCode> {
    let outcome = match word? {
        roles::INIT => roles::run_init(),
        roles::KEEPER => {
            logging::start(false);
            roles::run_keeper()
        }
        roles::WORKER => {
            logging::start(false);
            roles::run_worker()
        }
        _ => return None,
    };
    Some(match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "the process ends");
            ExitCode::FAILURE
        }
    })
}
