//! git's rules on what is ignored, without git: patterns, globs, the index, settings. Reads no files.
//!
//! `docs/decisions/0030-gitignore-without-git.md` says why this is our own.

mod config;
mod index;
mod patterns;
mod wildmatch;

pub(crate) use config::Config;
pub(crate) use index::{DamagedIndex, Index, TrackedDirectory, parse as parse_index};
pub(crate) use patterns::{Match, Patterns};

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// An index of version 2 with these paths.
    fn index_of(paths: &[&str]) -> Vec<u8> {
        let mut bytes = b"DIRC\0\0\0\x02".to_vec();
        bytes.extend((paths.len() as u32).to_be_bytes());
        for path in paths {
            let start = bytes.len();
            bytes.extend([0; 24]);
            bytes.extend(0o100_644_u32.to_be_bytes());
            bytes.extend([0; 32]);
            bytes.extend((path.len() as u16).to_be_bytes());
            bytes.extend(path.as_bytes());
            bytes.resize(start + (bytes.len() - start + 8) / 8 * 8, 0);
        }
        bytes.extend([0; 20]);
        bytes
    }

    #[test]
    fn files_and_directories_of_an_index_are_found() {
        let index = parse_index(&index_of(&["a.b", "a/b/c", "a/d"]), 20).unwrap().into_index(None, false);
        assert!(index.has_file(b"a/d") && !index.has_file(b"a") && !index.has_file(b"a/b"));
        assert_eq!(index.directory(b"a"), TrackedDirectory::Inside);
        assert_eq!(index.directory(b"a/b"), TrackedDirectory::Inside);
        assert_eq!(index.directory(b"a/d"), TrackedDirectory::No);
    }

    proptest! {
        #[test]
        fn damaged_indexes_are_errors_and_never_panics(
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
            cut in any::<prop::sample::Index>(),
            version in 2..6_u8,
            extension in prop::collection::vec(any::<u8>(), 0..60),
        ) {
            let mut bytes = index_of(&["a", "b/c", "b/d"]);
            bytes[7] = version;
            bytes.truncate(bytes.len() - 20);
            bytes.extend(b"link");
            bytes.extend((extension.len() as u32).to_be_bytes());
            bytes.extend(extension);
            bytes.extend([0; 20]);
            for (at, value) in changes {
                let at = at.index(bytes.len());
                bytes[at] = value;
            }
            bytes.truncate(cut.index(bytes.len()) + 1);
            if let Ok(parsed) = parse_index(&bytes, 20) {
                parsed.into_index(None, true).directory(b"b");
            }
        }

        #[test]
        fn any_text_is_a_file_of_patterns_and_settings(
            text in prop::collection::vec(prop::sample::select(b"a*?[]!/\\#\n\r \0-:\xff".to_vec()), 0..60),
            path in prop::collection::vec(prop::sample::select(b"a/]\\-\xff".to_vec()), 1..12),
        ) {
            let patterns = Patterns::parse(String::new(), &text);
            patterns.last_match(&path, true, true);
            Config::default().read(&text);
        }
    }
}
