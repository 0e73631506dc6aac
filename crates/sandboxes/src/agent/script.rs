//! Text that session shells read: the loop in which they live, and what surrounds one command. Pure.

use std::collections::BTreeMap;

use super::calls::{Changes, SessionScript};

/// What the shell of a session runs. It waits for a word in `next`, then takes the command from `command`, whose end is
/// a NUL, and reports its exit code.
///
/// - Everything of ours runs with output closed, so that `set -x` and traps of the user do not show it.
/// - `eval` and not `.`, so that messages and line numbers are those of `bash -c`.
/// - `BASH_EXECUTION_STRING` is the one variable that means just this, so that no other is taken from the user.
/// - `c` in the word: the mount table has changed, enter the working directory again, as it may be covered.
/// - `b` in the word: there is something to do before the command, and if that works, `after` undoes it.
/// - One line, because lines are counted in messages.
const LOOP: &str = concat!(
    r#"shopt -s expand_aliases; "#,
    r#"while IFS= builtin read -r -d '' BASH_EXECUTION_STRING <@/next; do "#,
    r#"case $BASH_EXECUTION_STRING in *c*) builtin cd -- "$PWD" || :;; esac; "#,
    r#"if [[ $BASH_EXECUTION_STRING != *b* ]] || builtin . @/before; then "#,
    r#"IFS= builtin read -r -d '' BASH_EXECUTION_STRING <@/command; "#,
    r#"builtin eval "$BASH_EXECUTION_STRING" >@/out 2>@/err; "#,
    r#"BASH_EXECUTION_STRING=$?; else BASH_EXECUTION_STRING=1; fi; "#,
    r#"if [[ -e @/after ]]; then builtin . @/after || :; fi; "#,
    r#"builtin printf '%s\n' "$BASH_EXECUTION_STRING" >@/report; done"#
);

/// The loop of the session whose files are in `directory`.
pub(super) fn main_loop(directory: &str) -> String {
    LOOP.replace('@', directory)
}

/// `before` of a command that has an environment or a directory of its own; none: it has not. It writes `after` itself,
/// because only the shell knows what is to be restored.
pub(super) fn before(script: &SessionScript, directory: &str) -> Option<String> {
    if script.env.is_empty() && script.cwd.is_none() {
        return None;
    }
    let mut text = String::new();
    for (name, value) in &script.env {
        text += &format!("builtin printf 'builtin unset -v %s\\n' {name} >>{directory}/after\n");
        text += &format!("builtin declare -p {name} >>{directory}/after\n");
        text += &format!("builtin export {name}={}\n", quote(value));
    }
    if let Some(cwd) = &script.cwd {
        let place = quote(cwd);
        let complain = |reason: &str| {
            format!(
                "builtin printf 'Failed to change directory to %s: {reason}\\n' {place} >{directory}/err; builtin false"
            )
        };
        text += &format!("builtin printf 'builtin cd -- %q\\n' \"$PWD\" >>{directory}/after\n");
        text += &format!("if builtin cd -- {place}; then builtin true\n");
        text += &format!("elif [[ ! -e {place} ]]; then {}\n", complain("No such file or directory"));
        text += &format!("elif [[ ! -d {place} ]]; then {}\n", complain("Not a directory"));
        text += &format!("else {}; fi\n", complain("Permission denied"));
    }
    Some(text)
}

/// A command that changes the shell's environment.
pub(super) fn environment_change(changes: &Changes) -> String {
    let line = |(name, value): (&String, &Option<String>)| match value {
        Some(value) => format!("builtin export {name}={}\n", quote(value)),
        None => format!("builtin unset -v {name}\n"),
    };
    changes.iter().map(line).collect()
}

/// A command that writes the shell's environment down, with NULs between the variables.
pub(super) fn environment_capture(directory: &str) -> String {
    format!("/usr/bin/env -0 >{directory}/environment")
}

/// Variables of [`environment_capture`], without those that are about the shell itself.
pub(super) fn captured(bytes: &[u8]) -> BTreeMap<String, String> {
    let texts = bytes.split(|byte| *byte == 0).filter_map(|entry| std::str::from_utf8(entry).ok());
    let pairs = texts.filter_map(|entry| entry.split_once('='));
    let own = pairs.filter(|(name, _)| !matches!(*name, "_" | "SHLVL" | "PWD" | "OLDPWD"));
    own.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// The text as one word of a shell.
pub(crate) fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_is_one_word() {
        for text in ["", "a b", "it's", "$HOME `x` \\ \" \n * 'q'", "'"] {
            let output = std::process::Command::new("bash")
                .args(["-c", &format!("printf '%s' {}", quote(text))])
                .output()
                .unwrap();
            assert_eq!(String::from_utf8(output.stdout).unwrap(), text);
        }
    }

    #[test]
    fn the_loop_is_one_line_with_paths() {
        let text = main_loop("/dev/sandkeep/1");
        assert!(!text.contains(['\n', '@']));
        assert!(text.contains("</dev/sandkeep/1/next;"));
    }

    #[test]
    fn only_what_is_asked_for_comes_before_a_command() {
        assert_eq!(before(&SessionScript::default(), "/d"), None);
        let env = BTreeMap::from([("A".to_owned(), "b'c".to_owned())]);
        let text = before(&SessionScript { env, ..SessionScript::default() }, "/d").unwrap();
        assert!(text.contains(r"builtin export A='b'\''c'"), "{text}");
    }

    #[test]
    fn captured_environments_are_read() {
        let found = captured(b"A=b=c\0PWD=/x\0MULTI=a\nb\0_=/usr/bin/env\0broken\0");
        let expected = [("A", "b=c"), ("MULTI", "a\nb")].map(|(name, value)| (name.into(), value.into()));
        assert_eq!(found, BTreeMap::from(expected));
    }
}
