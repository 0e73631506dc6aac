//! git's own glob: what `wildmatch.c` of git matches, without its exponential worst case.
//!
//! Patterns come from files that anybody may have written, so every pair of places in pattern and text is looked at once,
//! and nothing recurses.

/// How a glob is to be applied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Mode {
    /// `*`, `?` and brackets do not match a slash; `**` between slashes does.
    pub(super) is_path: bool,
    /// ASCII letters match in either case.
    pub(super) ignores_case: bool,
}

/// Longer patterns match nothing.
const MAX_PATTERN_BYTES: usize = 16 << 10;

/// Whether the whole text matches the pattern.
pub(super) fn wildmatch(pattern: &[u8], text: &[u8], mode: Mode) -> bool {
    pattern.len() <= MAX_PATTERN_BYTES && Matcher { pattern, text, mode, tried: Vec::new() }.run()
}

struct Matcher<'a> {
    pattern: &'a [u8],
    text: &'a [u8],
    mode: Mode,
    /// A bit per pair of places behind a star from which the rest was tried.
    tried: Vec<u64>,
}

/// How far a pattern goes without a choice.
enum Walked {
    Matched,
    Failed,
    /// To a star at this place in the pattern, and this place in the text.
    Star(usize, usize),
}

/// A star and where else it may end.
struct Choice {
    /// Where the pattern goes on behind it.
    rest: usize,
    /// Where it may end next; none: it has tried all.
    end: Option<usize>,
    /// It may cross slashes.
    crosses: bool,
    /// Where the pattern goes on, at the same place in the text, if `**/` stands for no directory.
    without: Option<(usize, usize)>,
}

impl Matcher<'_> {
    fn run(&mut self) -> bool {
        let mut choices: Vec<Choice> = Vec::new();
        let mut place = (0, 0);
        loop {
            match self.walk(place.0, place.1) {
                Walked::Matched => return true,
                Walked::Failed => {}
                Walked::Star(at, text) => choices.push(self.choice(at, text)),
            }
            place = loop {
                let Some(choice) = choices.last_mut() else { return false };
                match choice.next(self.text) {
                    None => drop(choices.pop()),
                    Some(next) if self.is_new(next) => break next,
                    // From here on an earlier choice of the same star has tried, or will try, all that follows.
                    Some(next) if next.0 == choice.rest => choice.end = None,
                    Some(_) => {}
                }
            };
        }
    }

    /// Matches from a place in the pattern that is not within a star, and a place in the text.
    fn walk(&self, mut at: usize, mut text: usize) -> Walked {
        loop {
            let Some(&symbol) = self.pattern.get(at) else {
                return if text == self.text.len() { Walked::Matched } else { Walked::Failed };
            };
            if symbol == b'*' {
                return Walked::Star(at, text);
            }
            let Some(&byte) = self.text.get(text) else { return Walked::Failed };
            let next = match symbol {
                b'\\' => self.literal(self.pattern.get(at + 1).copied(), byte).then_some(at + 2),
                b'?' => (!(self.mode.is_path && byte == b'/')).then_some(at + 1),
                b'[' => self.bracket(at + 1, byte),
                literal => self.literal(Some(literal), byte).then_some(at + 1),
            };
            let Some(next) = next else { return Walked::Failed };
            (at, text) = (next, text + 1);
        }
    }

    fn choice(&self, at: usize, text: usize) -> Choice {
        let rest = at + self.pattern[at..].iter().take_while(|byte| **byte == b'*').count();
        let is_double = rest - at > 1;
        let crosses = !self.mode.is_path || (is_double && self.stands_alone(at, rest));
        let is_optional = self.mode.is_path && crosses && self.pattern.get(rest) == Some(&b'/');
        Choice { rest, end: Some(text), crosses, without: is_optional.then_some((rest + 1, text)) }
    }

    /// Whether two stars have a slash or an end of the pattern on both sides.
    fn stands_alone(&self, at: usize, rest: usize) -> bool {
        let before = at == 0 || self.pattern[at - 1] == b'/';
        before && matches!(&self.pattern[rest..], [] | [b'/', ..] | [b'\\', b'/', ..])
    }

    fn is_new(&mut self, (at, text): (usize, usize)) -> bool {
        let columns = self.text.len() + 1;
        if self.tried.is_empty() {
            self.tried = vec![0; ((self.pattern.len() + 1) * columns).div_ceil(64)];
        }
        let place = at * columns + text;
        let (word, bit) = (place / 64, 1_u64 << (place % 64));
        let is_new = self.tried[word] & bit == 0;
        self.tried[word] |= bit;
        is_new
    }

    fn literal(&self, symbol: Option<u8>, byte: u8) -> bool {
        symbol.is_some_and(|symbol| self.folded(symbol) == self.folded(byte))
    }

    fn folded(&self, byte: u8) -> u8 {
        if self.mode.ignores_case { byte.to_ascii_lowercase() } else { byte }
    }

    /// Where the pattern goes on behind a bracket expression that matches the byte.
    fn bracket(&self, mut at: usize, byte: u8) -> Option<usize> {
        let byte = self.folded(byte);
        let is_negated = matches!(self.pattern.get(at), Some(b'!' | b'^'));
        at += usize::from(is_negated);
        let mut previous = None;
        let mut is_found = false;
        let mut is_first = true;
        loop {
            let symbol = *self.pattern.get(at)?;
            if symbol == b']' && !is_first {
                break;
            }
            is_first = false;
            let behind = (self.pattern.get(at + 1), self.pattern.get(at + 2));
            match symbol {
                b'\\' => {
                    let escaped = *behind.0?;
                    is_found |= escaped == byte;
                    (previous, at) = (Some(escaped), at + 2);
                }
                b'-' if previous.is_some() && !matches!(behind.0, None | Some(b']')) => {
                    let (end, next) = self.range_end(at + 1)?;
                    is_found |= self.is_in_range(previous.unwrap_or_default(), end, byte);
                    (previous, at) = (None, next);
                }
                b'[' if behind.0 == Some(&b':') => match self.class(at + 2, byte)? {
                    (Some(is_member), next) => {
                        is_found |= is_member;
                        (previous, at) = (None, next);
                    }
                    (None, _) => {
                        is_found |= byte == b'[';
                        (previous, at) = (Some(b'['), at + 1);
                    }
                },
                literal => {
                    is_found |= literal == byte;
                    (previous, at) = (Some(literal), at + 1);
                }
            }
        }
        let is_refused = is_found == is_negated || (self.mode.is_path && byte == b'/');
        (!is_refused).then_some(at + 1)
    }

    fn range_end(&self, at: usize) -> Option<(u8, usize)> {
        match *self.pattern.get(at)? {
            b'\\' => Some((*self.pattern.get(at + 1)?, at + 2)),
            end => Some((end, at + 1)),
        }
    }

    fn is_in_range(&self, start: u8, end: u8, byte: u8) -> bool {
        let upper = byte.to_ascii_uppercase();
        (start..=end).contains(&byte) || (self.mode.ignores_case && (start..=end).contains(&upper))
    }

    /// A class behind `[:`, and where the pattern goes on; no class: these are ordinary characters. None at all: the
    /// pattern cannot match.
    fn class(&self, at: usize, byte: u8) -> Option<(Option<bool>, usize)> {
        let length = self.pattern.get(at..)?.iter().position(|byte| *byte == b']')?;
        let name = match self.pattern[at..at + length].strip_suffix(b":") {
            Some(name) => name,
            None => return Some((None, at)),
        };
        let is_member = match name {
            b"alnum" => byte.is_ascii_alphanumeric(),
            b"alpha" => byte.is_ascii_alphabetic(),
            b"blank" => matches!(byte, b' ' | b'\t'),
            b"cntrl" => byte.is_ascii_control(),
            b"digit" => byte.is_ascii_digit(),
            b"graph" => byte.is_ascii_graphic(),
            b"lower" => byte.is_ascii_lowercase(),
            b"print" => byte.is_ascii_graphic() || byte == b' ',
            b"punct" => byte.is_ascii_punctuation(),
            b"space" => byte.is_ascii_whitespace() || byte == 0x0b,
            b"upper" => byte.is_ascii_uppercase() || (self.mode.ignores_case && byte.is_ascii_lowercase()),
            b"xdigit" => byte.is_ascii_hexdigit(),
            _ => return None,
        };
        Some((Some(is_member), at + length + 1))
    }
}

impl Choice {
    fn next(&mut self, text: &[u8]) -> Option<(usize, usize)> {
        if let Some(without) = self.without.take() {
            return Some(without);
        }
        let end = self.end.take()?;
        let may_go_on = end < text.len() && (self.crosses || text[end] != b'/');
        self.end = may_go_on.then_some(end + 1);
        Some((self.rest, end))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATH: Mode = Mode { is_path: true, ignores_case: false };

    #[track_caller]
    fn check(pattern: &str, matched: &[&str], not_matched: &[&str]) {
        for text in matched {
            assert!(wildmatch(pattern.as_bytes(), text.as_bytes(), PATH), "{pattern} should match {text}");
        }
        for text in not_matched {
            assert!(
                !wildmatch(pattern.as_bytes(), text.as_bytes(), PATH),
                "{pattern} should not match {text}"
            );
        }
    }

    /// From git's own t3070-wildmatch.sh.
    #[test]
    fn globs_match_what_git_says() {
        check("foo*bar", &["foobar"], &["foo/baz/bar", "foo/bar"]);
        check("foo**bar", &["foobar", "fooxbar"], &["foo/baz/bar"]);
        check("foo/**/bar", &["foo/baz/bar", "foo/b/a/z/bar", "foo/bar"], &["foobar"]);
        check("foo/**/**/bar", &["foo/b/a/z/bar", "foo/bar"], &[]);
        check("**/foo", &["foo", "XXX/foo", "bar/baz/foo"], &["foobar"]);
        check("*/foo", &["a/foo"], &["bar/baz/foo", "foo"]);
        check("**/bar*", &["foo/bar/baz/bar"], &["foo/bar/baz"]);
        check("deep/**", &["deep/foo/bar", "deep/"], &["deep"]);
        check("t[a-g]n", &["ten"], &["tin"]);
        check("a[]]b", &["a]b"], &["aab"]);
        check("a[]-]b", &["a-b", "a]b"], &["aab"]);
        check("a[!]a-]b", &["abb"], &["a]b", "a-b", "aab"]);
        check("[[:xdigit:]]", &["5", "f", "D"], &["x"]);
        check("[a-c[:digit:]x-z]", &["5", "b", "y"], &["q"]);
        check("[[:bogus:]a]", &[], &["a", ":"]);
        check("[[:a]", &["[", ":", "a"], &["b"]);
        check("\\a\\*", &["a*"], &["ax", "\\a*"]);
        check("foo\\", &[], &["foo", "foo\\"]);
        check("[^a-", &[], &["b", "[^a-"]);
        check("foo[/]bar", &[], &["foo/bar"]);
        check("f[^eiu][^eiu]r", &["foor"], &["f/or"]);
    }

    #[test]
    fn a_hostile_glob_takes_no_longer_than_another() {
        let pattern = "a*".repeat(1000) + "b";
        assert!(!wildmatch(pattern.as_bytes(), "a".repeat(4000).as_bytes(), PATH));
        assert!(wildmatch("*a".repeat(1000).as_bytes(), "a".repeat(4000).as_bytes(), PATH));
        assert!(!wildmatch("*".repeat(20 << 10).as_bytes(), b"a", PATH));
    }
}
