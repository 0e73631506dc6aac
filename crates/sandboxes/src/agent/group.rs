//! Ending a program with all that it started.

use std::collections::BTreeSet;

use crate::sys::signals::send;

/// Who forks while we look is found in the next look.
const MAXIMUM_LOOKS: usize = 16;

/// Sends SIGKILL to a program's process group and to everyone else in its session (shells give background jobs groups
/// of their own). A process that made a session of its own has left, as daemons do.
pub(super) fn kill(leader: i32) {
    signal(leader, libc::SIGKILL);
    kill_while(|look| look.iter().filter(|process| process.session == leader).map(|p| p.pid).collect());
}

/// Like [`kill`] for a shell that adopts orphans: nothing below it has left. It is stopped first, so that it starts
/// nothing more, and goes last, since its children would become ours.
pub(super) fn kill_tree(leader: i32) {
    send(leader, libc::SIGSTOP);
    kill_while(|look| {
        let below = descendants(look, leader);
        let of_session = look.iter().filter(|process| process.session == leader).map(|p| p.pid);
        below.into_iter().chain(of_session).filter(|pid| *pid != leader).collect()
    });
    send(leader, libc::SIGKILL);
}

/// Sends a signal to a program's process group, or to itself while it has not made that group yet.
pub(super) fn signal(leader: i32, signal: libc::c_int) {
    if !send(-leader, signal) {
        send(leader, signal);
    }
}

fn kill_while(victims: impl Fn(&[Living]) -> Vec<i32>) {
    for _ in 0..MAXIMUM_LOOKS {
        let found = victims(&living());
        if found.is_empty() {
            return;
        }
        for pid in found {
            send(pid, libc::SIGKILL);
        }
    }
}

/// A process that is not a zombie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Living {
    pid: i32,
    parent: i32,
    session: i32,
}

fn living() -> Vec<Living> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    let numbers = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    numbers.filter_map(look_at).collect()
}

fn look_at(pid: i32) -> Option<Living> {
    parse(pid, &std::fs::read(format!("/proc/{pid}/stat")).ok()?)
}

/// Fields 3, 4 and 6 of proc_pid_stat(5); the name (field 2) ends with the last parenthesis.
fn parse(pid: i32, stat: &[u8]) -> Option<Living> {
    let after_name = stat.rsplit(|byte| *byte == b')').next()?;
    let mut fields = std::str::from_utf8(after_name).ok()?.split_whitespace();
    let state = fields.next()?;
    let parent = fields.next()?.parse().ok()?;
    let session = fields.nth(1)?.parse().ok()?;
    (!matches!(state, "Z" | "X")).then_some(Living { pid, parent, session })
}

fn descendants(look: &[Living], leader: i32) -> BTreeSet<i32> {
    let mut found = BTreeSet::from([leader]);
    loop {
        let before = found.len();
        found.extend(
            look.iter().filter(|process| found.contains(&process.parent)).map(|p| p.pid).collect::<Vec<_>>(),
        );
        if found.len() == before {
            return found;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_parentheses_do_not_confuse() {
        let expected = Living { pid: 7, parent: 3, session: 5 };
        assert_eq!(parse(7, b"7 (a) S b)) S 3 4 5 0 -1"), Some(expected));
        assert_eq!(parse(7, b"7 (x) Z 3 4 5 0"), None);
        assert_eq!(parse(7, b""), None);
    }

    #[test]
    fn descendants_are_found_at_any_depth() {
        let process = |pid, parent| Living { pid, parent, session: pid };
        let look = [process(9, 8), process(8, 2), process(2, 1), process(3, 1), process(4, 3)];
        assert_eq!(descendants(&look, 2), BTreeSet::from([2, 8, 9]));
    }
}
