//! Which pages of which origins may use a bucket from a browser.
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/cors.html>

use serde::{Deserialize, Serialize};

/// One rule of a bucket.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CorsRule {
    /// What a person calls it.
    pub id: Option<String>,
    /// Origins, each with at most one `*`.
    pub origins: Vec<String>,
    /// Methods.
    pub methods: Vec<String>,
    /// Headers that a request may have, each with at most one `*`.
    pub headers: Vec<String>,
    /// Headers of answers that a page may see.
    pub exposed: Vec<String>,
    /// How long a browser may remember the permission.
    pub max_age_seconds: Option<u32>,
}

impl CorsRule {
    /// Whether it allows a request of this kind.
    pub fn allows<'h>(&self, origin: &str, method: &str, mut headers: impl Iterator<Item = &'h str>) -> bool {
        let header_allowed = |header: &str| {
            let header = header.to_ascii_lowercase();
            self.headers.iter().any(|allowed| fits(&allowed.to_ascii_lowercase(), &header))
        };
        self.origins.iter().any(|allowed| fits(allowed, origin))
            && self.methods.iter().any(|allowed| allowed == method)
            && headers.all(header_allowed)
    }

    /// Whether it is for everybody, so that the answer does not depend on who asks.
    pub fn is_for_all_origins(&self) -> bool {
        self.origins.iter().any(|origin| origin == "*")
    }
}

/// Whether `text` fits a pattern with at most one `*`.
fn fits(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((start, end)) => {
            text.len() >= start.len() + end.len() && text.starts_with(start) && text.ends_with(end)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_anything() {
        for (pattern, text, expected) in [
            ("*", "https://a.example", true),
            ("https://a.example", "https://a.example", true),
            ("https://a.example", "https://a.example.evil", false),
            ("https://*.example", "https://a.b.example", true),
            ("https://*.example", "https://.example.evil", false),
            ("aba*aba", "aba", false),
            ("", "x", false),
        ] {
            assert_eq!(fits(pattern, text), expected, "{pattern} {text}");
        }
    }
}
