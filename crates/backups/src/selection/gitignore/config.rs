//! The few settings of a repository that decide what is ignored (git-config(1)).

/// What matters here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Config {
    /// `core.ignoreCase`.
    pub(crate) ignores_case: bool,
    /// `core.bare`.
    pub(crate) is_bare: bool,
    /// `core.worktree`.
    pub(crate) worktree: Option<Vec<u8>>,
    /// `extensions.objectFormat` is sha256.
    pub(crate) is_sha256: bool,
    /// `extensions.worktreeConfig`.
    pub(crate) has_worktree_config: bool,
}

impl Config {
    /// Takes in a file; what it sets replaces what was set before. Files that it includes are not read.
    pub(crate) fn read(&mut self, text: &[u8]) {
        let mut section = Vec::new();
        for line in logical_lines(text) {
            let line = line.trim_ascii();
            if let Some(rest) = line.strip_prefix(b"[") {
                let end = rest.iter().position(|byte| *byte == b']').unwrap_or(rest.len());
                section = rest[..end].to_ascii_lowercase();
                let behind = rest.get(end + 1..).unwrap_or_default().trim_ascii();
                self.set(&section, behind);
            } else {
                self.set(&section, line);
            }
        }
    }

    fn set(&mut self, section: &[u8], line: &[u8]) {
        if line.is_empty() || matches!(line[0], b'#' | b';') {
            return;
        }
        let (name, value) = match line.iter().position(|byte| *byte == b'=') {
            Some(at) => (line[..at].trim_ascii(), Some(value(&line[at + 1..]))),
            None => (line, None),
        };
        let is_true = value.as_deref().is_none_or(is_true);
        match (section, name.to_ascii_lowercase().as_slice()) {
            (b"core", b"ignorecase") => self.ignores_case = is_true,
            (b"core", b"bare") => self.is_bare = is_true,
            (b"core", b"worktree") => self.worktree = value,
            (b"extensions", b"objectformat") => {
                self.is_sha256 = value.is_some_and(|value| value.eq_ignore_ascii_case(b"sha256"));
            }
            (b"extensions", b"worktreeconfig") => self.has_worktree_config = is_true,
            _ => {}
        }
    }
}

fn is_true(value: &[u8]) -> bool {
    let value = value.to_ascii_lowercase();
    matches!(value.as_slice(), b"true" | b"yes" | b"on")
        || std::str::from_utf8(&value)
            .ok()
            .and_then(|value| value.parse::<i64>().ok())
            .is_some_and(|value| value != 0)
}

/// Lines, joined where one ends with a backslash.
fn logical_lines(text: &[u8]) -> Vec<Vec<u8>> {
    let mut lines: Vec<Vec<u8>> = Vec::new();
    let mut goes_on = false;
    for line in text.split(|byte| *byte == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let backslashes = line.iter().rev().take_while(|byte| **byte == b'\\').count();
        let continues = backslashes % 2 == 1;
        let kept = if continues { &line[..line.len() - 1] } else { line };
        match lines.last_mut().filter(|_| goes_on) {
            Some(last) => last.extend_from_slice(kept),
            None => lines.push(kept.to_vec()),
        }
        goes_on = continues;
    }
    lines
}

/// Without comment, quotes and escapes.
fn value(text: &[u8]) -> Vec<u8> {
    let mut value = Vec::new();
    let mut is_quoted = false;
    let mut kept = 0;
    let mut bytes = text.trim_ascii().iter();
    while let Some(&byte) = bytes.next() {
        match byte {
            b'"' => is_quoted = !is_quoted,
            b'\\' => match bytes.next() {
                Some(b'n') => value.push(b'\n'),
                Some(b't') => value.push(b'\t'),
                Some(b'b') => value.push(8),
                Some(&other) => value.push(other),
                None => {}
            },
            b'#' | b';' if !is_quoted => break,
            other => value.push(other),
        }
        if is_quoted || !byte.is_ascii_whitespace() {
            kept = value.len();
        }
    }
    value.truncate(kept);
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_settings_that_matter_are_found() {
        let mut config = Config::default();
        config.read(
            b"[core]\n\tbare = false\n\tignoreCase\n# worktree = /no\n\tworkTree = \"../a b\" ; note\n\
              [extensions]\n\tobjectFormat = sha256\n[other \"core\"]\n\tbare = true\n",
        );
        let expected = Config {
            ignores_case: true,
            worktree: Some(b"../a b".to_vec()),
            is_sha256: true,
            ..Config::default()
        };
        assert_eq!(config, expected);
        config.read(b"[core] ignorecase = 0\n[core]\n bare = y\\\nes");
        assert!(config.is_bare && !config.ignores_case);
    }
}
