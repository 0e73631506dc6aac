//! What every process that outlives its starter or holds keys does first.

use rustix::process::{DumpableBehavior, Resource, Rlimit};

/// Leaves the session of the terminal, so that its hang-up and Ctrl-C do not reach this process.
pub fn detach_from_terminal() {
    // Fails only if this process leads its group already, which is as good.
    let _ = rustix::process::setsid();
}

/// No core dumps, no ptrace, no /proc/PID/mem: keys live in this memory.
pub(crate) fn keep_memory_private() {
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable).expect("prctl(2) takes this value");
    rustix::process::setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })
        .expect("limits may always be lowered");
}
