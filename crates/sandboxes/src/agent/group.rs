//! Ending a program with all that it started.

use crate::sys::signals::send;

/// Who forks while we look is found in the next look.
const MAXIMUM_LOOKS: usize = 16;

/// Sends SIGKILL to a program's process group and to everyone else in its session (shells give background jobs groups
/// of their own). A process that made a session of its own has left, as daemons do.
pub(super) fn kill(leader: i32) {
    signal(leader, libc::SIGKILL);
    for _ in 0..MAXIMUM_LOOKS {
        let members = members(leader);
        if members.is_empty() {
            return;
        }
        for pid in members {
            send(pid, libc::SIGKILL);
        }
    }
}

/// Sends a signal to a program's process group, or to itself while it has not made that group yet.
pub(super) fn signal(leader: i32, signal: libc::c_int) {
    if !send(-leader, signal) {
        send(leader, signal);
    }
}

/// Living processes of a session.
fn members(session: i32) -> Vec<i32> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    let numbers = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    numbers.filter(|pid| session_of_living(*pid) == Some(session)).collect()
}

/// Fields 3 and 6 of proc_pid_stat(5); the name (field 2) ends with the last parenthesis.
fn session_of_living(pid: i32) -> Option<i32> {
    let stat = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
    let after_name = stat.rsplit(|byte| *byte == b')').next()?;
    let mut fields = std::str::from_utf8(after_name).ok()?.split_whitespace();
    let state = fields.next()?;
    let session = fields.nth(2)?.parse().ok()?;
    (!matches!(state, "Z" | "X")).then_some(session)
}
