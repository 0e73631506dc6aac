//! The mount table of a process, as /proc/PID/mountinfo tells it (proc_pid_mountinfo(5)).

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use rustix::fs::{Mode, OFlags, openat};

/// One mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mount {
    pub(crate) id: u64,
    pub(crate) parent: u64,
    /// major:minor, as /proc/PID/maps writes it too.
    pub(crate) device: String,
    /// What of the filesystem is mounted.
    pub(crate) root: PathBuf,
    /// Where, seen from the process's root.
    pub(crate) point: PathBuf,
    pub(crate) kind: String,
    /// Options of the filesystem, not of the mount.
    pub(crate) options: String,
}

/// The mounts that a process sees; `process` is a number or `self`.
pub(crate) fn of(process: impl std::fmt::Display) -> io::Result<Vec<Mount>> {
    let table = std::fs::read(format!("/proc/{process}/mountinfo"))?;
    Ok(parse(&table))
}

/// The same through an open directory of /proc, from where that /proc is out of sight.
pub(crate) fn below(process_directory: BorrowedFd<'_>) -> io::Result<Vec<Mount>> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let file = openat(process_directory, "mountinfo", flags, Mode::empty())?;
    let mut table = Vec::new();
    File::from(file).read_to_end(&mut table)?;
    Ok(parse(&table))
}

fn parse(table: &[u8]) -> Vec<Mount> {
    table.split(|byte| *byte == b'\n').filter_map(parse_line).collect()
}

fn parse_line(line: &[u8]) -> Option<Mount> {
    let fields: Vec<&[u8]> = line.split(|byte| *byte == b' ').collect();
    let text = |index: usize| Some(String::from_utf8_lossy(fields.get(index)?).into_owned());
    // A variable number of optional fields ends with a lone dash.
    let dash = fields.iter().position(|field| *field == b"-")?;
    Some(Mount {
        id: text(0)?.parse().ok()?,
        parent: text(1)?.parse().ok()?,
        device: text(2)?,
        root: unescape(fields.get(3)?),
        point: unescape(fields.get(4)?),
        kind: text(dash + 1)?,
        options: text(dash + 3)?,
    })
}

/// Space, tab, newline and backslash are written as three octal digits.
fn unescape(field: &[u8]) -> PathBuf {
    let mut plain = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((first, after)) = rest.split_first() {
        let octal = after.get(..3).filter(|_| *first == b'\\').and_then(octal_byte);
        plain.push(octal.unwrap_or(*first));
        rest = if octal.is_some() { &after[3..] } else { after };
    }
    PathBuf::from(OsString::from_vec(plain))
}

fn octal_byte(digits: &[u8]) -> Option<u8> {
    u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_taken_apart() {
        let line =
            b"36 35 98:0 /mnt1 /mnt\\0402 rw,noatime shared:1 master:2 - ext3 /dev/root rw,errors=continue";
        let expected = Mount {
            id: 36,
            parent: 35,
            device: "98:0".into(),
            root: "/mnt1".into(),
            point: "/mnt 2".into(),
            kind: "ext3".into(),
            options: "rw,errors=continue".into(),
        };
        assert_eq!(parse(line), [expected]);
    }
}
