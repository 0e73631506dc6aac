//! The process roles of the one binary, other than the daemon and the sandbox's pid 1. Each is started by another of our
//! processes with one of these words as first argument; none reads secrets from arguments or environment.

mod gateway;
mod keys;
mod process;

pub use gateway::{
    GatewayRole, Listening, TlsFiles, check_store, credentials_from_environment, default_key, run_gateway,
};
pub use keys::{KeyInfo, NewKey, create_key, list_keys, remove_key};
pub use process::detach_from_terminal;
pub(crate) use process::keep_memory_private;

use std::io;
use std::os::fd::AsFd;

use crate::volumes::{keeper, worker};

/// Holds FUSE connections; its standard input is the listening socket.
pub const KEEPER: &str = "__keeper";
/// Serves one volume; its standard input is the keeper.
pub const WORKER: &str = "__worker";
/// Pid 1 of a sandbox: `sandkeep_sandboxes::Runtime::init_main`.
pub const INIT: &str = "__init";

/// The life of pid 1 of a sandbox; never returns.
pub fn run_init() -> io::Result<()> {
    sandkeep_sandboxes::Runtime::init_main()
}

/// The life of the keeper; returns only if it cannot start.
pub fn run_keeper() -> io::Result<()> {
    detach_from_terminal();
    keep_memory_private();
    let listener = io::stdin().as_fd().try_clone_to_owned()?;
    keeper::run(&listener, std::env::current_exe()?);
}

/// The life of a worker.
pub fn run_worker() -> io::Result<()> {
    detach_from_terminal();
    keep_memory_private();
    let socket = io::stdin().as_fd().try_clone_to_owned()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build()?;
    let outcome = runtime.block_on(worker::run(socket));
    // Tasks that are still retrying would otherwise hold the process.
    runtime.shutdown_background();
    outcome
}
