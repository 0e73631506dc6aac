//! Other users: the kernel checks permissions, the filesystem keeps owners. Run as root.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use super::{Checked, ensure, ensure_equal};

const NOBODY: u32 = 65_534;

/// Whether a shell of another user could do it.
fn as_nobody(directory: &Path, script: &str) -> Checked<bool> {
    fs::set_permissions(directory, Permissions::from_mode(0o777))?;
    let mut command = Command::new("sh");
    command.arg("-c").arg(script).current_dir(directory).uid(NOBODY).gid(NOBODY);
    Ok(command.stdout(Stdio::null()).stderr(Stdio::null()).status()?.success())
}

fn file(directory: &Path, mode: u32) -> Checked<std::path::PathBuf> {
    let path = directory.join("file");
    fs::write(&path, b"content")?;
    fs::set_permissions(&path, Permissions::from_mode(mode))?;
    Ok(path)
}

pub(super) fn others_may_not_read_what_is_private(directory: &Path) -> Checked {
    file(directory, 0o600)?;
    ensure(!as_nobody(directory, "cat file")?, "others cannot read a private file")?;
    file(directory, 0o604)?;
    ensure(as_nobody(directory, "cat file")?, "others can read a public file")
}

pub(super) fn others_may_not_write_what_is_read_only(directory: &Path) -> Checked {
    let path = file(directory, 0o644)?;
    ensure(!as_nobody(directory, "echo x >> file")?, "others cannot write")?;
    ensure_equal(&fs::read(&path)?, &b"content".to_vec())
}

pub(super) fn others_may_not_remove_from_a_sticky_directory(directory: &Path) -> Checked {
    let sub = directory.join("sub");
    fs::create_dir(&sub)?;
    fs::set_permissions(&sub, Permissions::from_mode(0o1777))?;
    file(&sub, 0o666)?;
    ensure(!as_nobody(directory, "rm -f sub/file")?, "others cannot remove what is not theirs")?;
    ensure(as_nobody(directory, "echo x > sub/mine && rm sub/mine")?, "they can remove their own")
}

pub(super) fn others_own_what_they_create(directory: &Path) -> Checked {
    ensure(as_nobody(directory, "echo x > mine && mkdir sub && ln -s mine link")?, "others can create")?;
    for name in ["mine", "sub", "link"] {
        let seen = fs::symlink_metadata(directory.join(name))?;
        ensure_equal(&(seen.uid(), seen.gid()), &(NOBODY, NOBODY))?;
    }
    Ok(())
}

pub(super) fn others_may_not_chmod(directory: &Path) -> Checked {
    file(directory, 0o644)?;
    ensure(!as_nobody(directory, "chmod 777 file")?, "others cannot change the mode")?;
    ensure(!as_nobody(directory, "chown 65534 file")?, "others cannot take a file")?;
    ensure(as_nobody(directory, "echo x > mine && chmod 600 mine")?, "owners can change the mode")
}

pub(super) fn writing_drops_set_user_id(directory: &Path) -> Checked {
    let path = file(directory, 0o6777)?;
    ensure(as_nobody(directory, "echo x >> file")?, "others can write")?;
    ensure_equal(&(fs::metadata(&path)?.mode() & 0o7777), &0o777)
}

pub(super) fn changing_the_owner_drops_set_user_id(directory: &Path) -> Checked {
    let path = file(directory, 0o6755)?;
    chown(&path, Some(NOBODY), Some(NOBODY))?;
    ensure_equal(&(fs::metadata(&path)?.mode() & 0o7777), &0o755)
}
