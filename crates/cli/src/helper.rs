//! `mount.sandkeep`: what mount(8) starts for `mount -t sandkeep` and for lines of fstab. A link of this name to the
//! program becomes `sandkeep mount`.

use std::ffi::{OsStr, OsString};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode};

/// The name of the link.
const NAME: &str = "mount.sandkeep";

/// Becomes `sandkeep mount` if this program was started as mount(8)'s helper; returns only if it was not, or if that fails.
pub(crate) fn become_mount() -> Option<ExitCode> {
    let mut arguments = std::env::args_os();
    let name = arguments.next()?;
    if Path::new(&name).file_name() != Some(OsStr::new(NAME)) {
        return None;
    }
    let error = match std::env::current_exe() {
        Ok(program) => Command::new(program).arg0("sandkeep").args(translated(arguments)).exec(),
        Err(error) => error,
    };
    let output = crate::output::Output::new(false);
    output.failure(&crate::error::while_doing("cannot start sandkeep mount")(error));
    Some(ExitCode::FAILURE)
}

/// The command line of `sandkeep mount` for that of a helper: `SOURCE DIR [-sfnv] [-N NAMESPACE] [-o OPTIONS] [-t TYPE]`,
/// see mount(8).
fn translated(arguments: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut translated: Vec<OsString> = vec!["mount".into()];
    let mut arguments = arguments;
    while let Some(argument) = arguments.next() {
        match argument.to_str() {
            Some("-o") => {
                translated.push(argument);
                translated.extend(arguments.next());
            }
            Some("-t" | "-N") => drop(arguments.next()),
            Some(switch) if switch.starts_with('-') => {}
            _ => translated.push(argument),
        }
    }
    translated
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_helpers_arguments_become_those_of_the_command() {
        let given = ["s3://b/p", "/mnt/x", "-s", "-n", "-v", "-o", "ro,uid=7", "-t", "sandkeep"];
        let translated = translated(given.into_iter().map(OsString::from));
        assert_eq!(translated, ["mount", "s3://b/p", "/mnt/x", "-o", "ro,uid=7"]);
    }
}
