//! Patterns of one `.gitignore`: as git parses and applies them (dir.c, gitignore(5)).

use super::wildmatch::{Mode, wildmatch};

/// What makes a byte special in git's globs.
const SPECIAL: &[u8] = b"*?[\\";
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// The patterns of one file, in its order.
#[derive(Debug)]
pub(crate) struct Patterns {
    /// The file, as people are told of it.
    pub(crate) source: String,
    patterns: Vec<Pattern>,
}

#[derive(Debug)]
struct Pattern {
    glob: Vec<u8>,
    /// Bytes without a wildcard at its start.
    literal: usize,
    is_negated: bool,
    /// It ends with a slash: only directories match.
    wants_directory: bool,
    /// It has a slash before its end: matches the whole path, else the last name.
    has_slash: bool,
    /// One star, then no wildcard.
    is_suffix: bool,
    line: u32,
}

/// The pattern that decides about a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Match {
    /// The path is ignored; else it was taken back by a `!`.
    pub(crate) is_ignored: bool,
    /// From 1.
    pub(crate) line: u32,
}

impl Patterns {
    /// Parses a file, whatever is in it.
    pub(crate) fn parse(source: String, text: &[u8]) -> Self {
        let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
        let has_end = text.ends_with(b"\n");
        let count = text.split(|byte| *byte == b'\n').count() - usize::from(has_end);
        let lines = text.split(|byte| *byte == b'\n').take(count).zip(1..);
        // git ends every line with a newline before it looks for the return before it.
        let parsed = lines.filter(|(line, _)| !line.is_empty() && line[0] != b'#');
        let patterns = parsed.map(|(line, number)| Pattern::parse(line, number)).collect();
        Self { source, patterns }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// The last pattern that matches a path below the file's directory.
    pub(crate) fn last_match(&self, path: &[u8], is_directory: bool, ignores_case: bool) -> Option<Match> {
        let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or(path);
        let decides = |pattern: &&Pattern| {
            (is_directory || !pattern.wants_directory) && pattern.matches(path, name, ignores_case)
        };
        let pattern = self.patterns.iter().rev().find(decides)?;
        Some(Match { is_ignored: !pattern.is_negated, line: pattern.line })
    }

    /// A pattern as people are told of it.
    pub(crate) fn text_of(&self, line: u32) -> String {
        let pattern = self.patterns.iter().find(|pattern| pattern.line == line);
        pattern.map(Pattern::text).unwrap_or_default()
    }
}

impl Pattern {
    fn parse(line: &[u8], number: u32) -> Self {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let line = without_trailing_spaces(line.split(|byte| *byte == 0).next().unwrap_or(line));
        let (is_negated, line) = line.strip_prefix(b"!").map_or((false, line), |rest| (true, rest));
        let (wants_directory, glob) = line.strip_suffix(b"/").map_or((false, line), |rest| (true, rest));
        let literal = literal_length(glob);
        Self {
            literal,
            is_negated,
            wants_directory,
            has_slash: glob.contains(&b'/'),
            is_suffix: glob.first() == Some(&b'*') && literal_length(&glob[1..]) == glob.len() - 1,
            line: number,
            glob: glob.to_vec(),
        }
    }

    fn matches(&self, path: &[u8], name: &[u8], ignores_case: bool) -> bool {
        if self.has_slash {
            self.matches_path(path, ignores_case)
        } else {
            self.matches_name(name, ignores_case)
        }
    }

    fn matches_name(&self, name: &[u8], ignores_case: bool) -> bool {
        if self.literal == self.glob.len() {
            return equal(&self.glob, name, ignores_case);
        }
        if self.is_suffix {
            let suffix = &self.glob[1..];
            let end = name.len().checked_sub(suffix.len()).map(|start| &name[start..]);
            return end.is_some_and(|end| equal(suffix, end, ignores_case));
        }
        wildmatch(&self.glob, name, Mode { is_path: false, ignores_case })
    }

    /// The part before the first wildcard is compared first, and the glob begins behind it: git does so, and `a**/b`
    /// means something else therefore than it would as a whole.
    fn matches_path(&self, path: &[u8], ignores_case: bool) -> bool {
        let anchor = usize::from(self.glob.first() == Some(&b'/'));
        let literal = self.literal.saturating_sub(anchor);
        let glob = &self.glob[anchor..];
        if literal > path.len() || !equal(&glob[..literal], &path[..literal], ignores_case) {
            return false;
        }
        let (glob, path) = (&glob[literal..], &path[literal..]);
        (glob.is_empty() && path.is_empty()) || wildmatch(glob, path, Mode { is_path: true, ignores_case })
    }

    fn text(&self) -> String {
        let (before, after) =
            (if self.is_negated { "!" } else { "" }, if self.wants_directory { "/" } else { "" });
        format!("{before}{}{after}", String::from_utf8_lossy(&self.glob))
    }
}

fn literal_length(glob: &[u8]) -> usize {
    glob.iter().position(|byte| SPECIAL.contains(byte)).unwrap_or(glob.len())
}

fn equal(one: &[u8], other: &[u8], ignores_case: bool) -> bool {
    if ignores_case { one.eq_ignore_ascii_case(other) } else { one == other }
}

/// A space at the end counts only behind a backslash.
fn without_trailing_spaces(line: &[u8]) -> &[u8] {
    let mut end = None;
    let mut at = 0;
    while at < line.len() {
        match line[at] {
            b' ' => end = end.or(Some(at)),
            b'\\' => {
                at += 1;
                if at == line.len() {
                    return line;
                }
                end = None;
            }
            _ => end = None,
        }
        at += 1;
    }
    &line[..end.unwrap_or(line.len())]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ignored(text: &str, path: &str) -> Option<bool> {
        let (path, is_directory) = path.strip_suffix('/').map_or((path, false), |path| (path, true));
        let found =
            Patterns::parse(String::new(), text.as_bytes()).last_match(path.as_bytes(), is_directory, false);
        found.map(|found| found.is_ignored)
    }

    #[test]
    fn lines_mean_what_gitignore_5_says() {
        for (text, path, expected) in [
            ("*.o", "a/b.o", Some(true)),
            ("/a", "a", Some(true)),
            ("/a", "b/a", None),
            ("a/b", "x/a/b", None),
            ("a/", "a", None),
            ("a/", "x/a/", Some(true)),
            ("*.o\n!keep.o", "keep.o", Some(false)),
            ("# a\n\\#b", "#b", Some(true)),
            ("# a", "# a", None),
            ("\\!x", "!x", Some(true)),
            ("a  ", "a", Some(true)),
            ("a\\ ", "a ", Some(true)),
            ("a\r\nb", "a", Some(true)),
            ("a\t", "a", None),
            ("\u{feff}a", "a", Some(true)),
            ("doc/**/x", "doc/a/b/x", Some(true)),
            ("**/x/y", "a/x/y", Some(true)),
            // Surprising, and what git does.
            ("a**/b", "ax/b", Some(true)),
            ("a**/b", "a/b", Some(true)),
            ("/", "a/", None),
            ("!", "a", None),
        ] {
            assert_eq!(ignored(text, path), expected, "{text:?} on {path:?}");
        }
    }

    #[test]
    fn the_deciding_line_is_named() {
        let patterns = Patterns::parse(".gitignore".into(), b"# comment\n*.o\n!b.o\nx/\n");
        assert_eq!(patterns.last_match(b"a.o", false, false), Some(Match { is_ignored: true, line: 2 }));
        assert_eq!(patterns.text_of(2), "*.o");
        assert_eq!((patterns.text_of(3), patterns.text_of(4)), ("!b.o".into(), "x/".into()));
    }
}
