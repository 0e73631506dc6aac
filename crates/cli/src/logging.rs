//! Where logs go: standard error, as much as SANDKEEP_LOG says.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// Starts logging. SANDKEEP_LOG has the form of `tracing`'s filters, such as `info` or `sandkeep_bucketfs=debug`.
pub(crate) fn start(verbose: bool) {
    let default = if verbose { "info" } else { "warn" };
    let filter = EnvFilter::try_from_env("SANDKEEP_LOG").unwrap_or_else(|_| EnvFilter::new(default));
    let terminal = std::io::stderr().is_terminal();
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(terminal).init();
}
