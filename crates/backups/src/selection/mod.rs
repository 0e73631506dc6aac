//! What a backup leaves out: exclude patterns over paths below the directory, and git's rules.
//!
//! Owns the patterns' normalisation and meaning (contract: `conformance/exclude_patterns.json`, then fnmatch(3) with
//! FNM_PATHNAME and FNM_PERIOD as mksquashfs applies it). Reads no directory. Where mksquashfs fails on a pattern
//! with a leading `/` or `./`, here it is anchored: it matches at the top only.

pub(crate) mod gitignore;
mod glob;
#[cfg(test)]
mod tests;

use self::glob::Glob;

/// Why something is left out.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Rule {
    /// A pattern of the caller, as given.
    Exclude(String),
    /// A pattern of git's.
    Gitignore {
        /// As written.
        pattern: String,
        /// File and line, as `git check-ignore -v` shows them.
        source: String,
    },
}

/// All patterns of a backup.
#[derive(Debug, Default)]
pub(crate) struct Excludes {
    patterns: Vec<Pattern>,
}

/// A path pattern, a glob per name.
#[derive(Debug)]
struct Pattern {
    /// As given.
    text: String,
    /// Last name first, because that is how entries are looked at.
    names: Vec<Glob>,
    /// Matches at the top only; else at any depth.
    anchored: bool,
}

impl Excludes {
    /// Takes patterns as callers give them; those that would exclude nothing or everything are dropped.
    pub(crate) fn new(patterns: &[String]) -> Self {
        let mut parsed = Vec::with_capacity(patterns.len());
        for pattern in patterns {
            match normalize(pattern).and_then(|normal| Pattern::parse(pattern, &normal)) {
                Some(pattern) => parsed.push(pattern),
                None => tracing::warn!(pattern, "this exclude pattern has no effect"),
            }
        }
        Self { patterns: parsed }
    }

    /// Why the entry is left out, with all below it; none: it is not. The path is given by its names, the entry's own
    /// first and the one at the top last.
    pub(crate) fn rule<'a>(&self, names: &(impl Iterator<Item = &'a [u8]> + Clone)) -> Option<Rule> {
        let found = self.patterns.iter().find(|pattern| pattern.matches(names.clone()))?;
        Some(Rule::Exclude(found.text.clone()))
    }
}

impl Pattern {
    fn parse(text: &str, pattern: &str) -> Option<Self> {
        let anchored = pattern.starts_with('/') || pattern.starts_with("./");
        let names = pattern.split('/').rev().filter(|name| !matches!(*name, "" | ".")).map(Glob::new);
        let names: Vec<Glob> = names.collect();
        if names.is_empty() { None } else { Some(Self { text: text.to_owned(), names, anchored }) }
    }

    fn matches<'a>(&self, mut path: impl Iterator<Item = &'a [u8]>) -> bool {
        let run = self.names.iter().all(|glob| path.next().is_some_and(|name| glob.matches(name)));
        run && !(self.anchored && path.next().is_some())
    }
}

/// Takes `**` out, which fnmatch does not know: a pattern matches at any depth anyway.
fn normalize(pattern: &str) -> Option<String> {
    let kept: Vec<&str> = pattern.split('/').filter(|name| *name != "**").collect();
    Some(kept.join("/")).filter(|pattern| !pattern.is_empty())
}
