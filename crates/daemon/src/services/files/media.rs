//! What kind of content a file has: by its name, else by its bytes.

use std::path::Path;

/// Enough of a file to tell text from other content.
pub(crate) const SNIFFED_BYTES: usize = 64 << 10;

const UNKNOWN: &str = "application/octet-stream";

/// Names whose usual media type is not the one meant in a workspace, or that have none.
const BY_EXTENSION: &[(&str, &str)] = &[
    ("cts", "text/typescript"),
    ("ipynb", "application/x-ipynb+json"),
    ("jsonl", "application/jsonl"),
    ("mjs", "text/javascript"),
    ("mts", "text/typescript"),
    ("ndjson", "application/jsonl"),
    ("sh", "text/x-shellscript"),
    ("sql", "text/x-sql"),
    ("toml", "text/x-toml"),
    ("ts", "text/typescript"),
    ("tsx", "text/typescript"),
    ("yaml", "text/yaml"),
    ("yml", "text/yaml"),
];

/// A media type, and whether such files are text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Media {
    /// Such as `image/png`, without parameters.
    pub(crate) mime: String,
    /// Text in UTF-8.
    pub(crate) is_text: bool,
}

impl Media {
    /// By a file's path and its first bytes (all of them if `is_whole`). Text that is not UTF-8 counts as binary, so
    /// that nothing is lost.
    pub(crate) fn of(path: &str, start: &[u8], is_whole: bool) -> Self {
        let reads_as_text = reads_as_text(start, is_whole);
        let mime = by_extension(path).unwrap_or(if reads_as_text { "text/plain" } else { UNKNOWN });
        Self { mime: mime.to_owned(), is_text: reads_as_text && is_text(mime) }
    }

    /// For the header: a character set tells that it is text.
    pub(crate) fn header(&self) -> String {
        if self.is_text { format!("{}; charset=utf-8", self.mime) } else { self.mime.clone() }
    }
}

fn by_extension(path: &str) -> Option<&'static str> {
    let extension = Path::new(path).extension()?.to_str()?.to_ascii_lowercase();
    let ours = BY_EXTENSION.iter().find(|(name, _)| *name == extension).map(|(_, mime)| *mime);
    ours.or_else(|| mime_guess::from_ext(&extension).first_raw())
}

/// Whether files of a media type are text.
fn is_text(mime: &str) -> bool {
    let structured = ["+json", "+xml", "+yaml"].iter().any(|suffix| mime.ends_with(suffix));
    let named = matches!(
        mime,
        "application/ecmascript"
            | "application/javascript"
            | "application/json"
            | "application/json5"
            | "application/jsonl"
            | "application/sql"
            | "application/x-httpd-php"
            | "application/x-javascript"
            | "application/x-sh"
            | "application/x-tex"
            | "application/x-yaml"
            | "application/xml"
            | "application/yaml"
    );
    mime.starts_with("text/") || structured || named
}

/// UTF-8 without NUL; the last character may be cut off where the bytes are.
fn reads_as_text(bytes: &[u8], is_whole: bool) -> bool {
    let is_valid = match std::str::from_utf8(bytes) {
        Ok(_) => true,
        Err(error) => error.error_len().is_none() && !is_whole,
    };
    is_valid && !bytes.contains(&0)
}

#[cfg(test)]
mod tests {
    use super::Media;

    fn media(path: &str, start: &[u8]) -> (String, bool) {
        let Media { mime, is_text } = Media::of(path, start, true);
        (mime, is_text)
    }

    #[test]
    fn names_decide_and_content_where_they_do_not() {
        for (path, start, mime, is_text) in [
            ("/a.json", &b"{}"[..], "application/json", true),
            ("/a.PNG", b"\x89PNG", "image/png", false),
            ("/a.ts", b"let a = 1", "text/typescript", true),
            ("/a.svg", b"<svg/>", "image/svg+xml", true),
            ("/a.csv", b"a,b", "text/csv", true),
            ("/Makefile", b"all:\n", "text/plain", true),
            ("/empty", b"", "text/plain", true),
            ("/program", b"\x7fELF\0", "application/octet-stream", false),
            ("/latin1.txt", b"caf\xe9", "text/plain", false),
        ] {
            assert_eq!(media(path, start), (mime.to_owned(), is_text), "{path}");
        }
    }

    #[test]
    fn a_character_may_be_cut_off_where_the_sniffed_bytes_end() {
        let cut = "é".as_bytes().split_at(1).0;
        assert!(Media::of("/a", cut, false).is_text);
        assert!(!Media::of("/a", cut, true).is_text);
    }
}
