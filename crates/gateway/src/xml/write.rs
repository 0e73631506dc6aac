//! Writing documents.

use std::fmt::Write;

/// S3's namespace, without which some clients find nothing.
const NAMESPACE: &str = "http://s3.amazonaws.com/doc/2006-03-01/";

/// A document being written.
#[derive(Debug)]
pub(crate) struct Xml {
    text: String,
    root: &'static str,
}

impl Xml {
    /// Starts a document of S3.
    pub(crate) fn document(root: &'static str) -> Self {
        Self::start(root, &format!(" xmlns=\"{NAMESPACE}\""))
    }

    /// Starts a document without a namespace, as errors are.
    pub(crate) fn document_without_namespace(root: &'static str) -> Self {
        Self::start(root, "")
    }

    fn start(root: &'static str, attributes: &str) -> Self {
        let text = format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<{root}{attributes}>");
        Self { text, root }
    }

    /// An element that contains others.
    pub(crate) fn element(&mut self, name: &str, content: impl FnOnce(&mut Self)) -> &mut Self {
        self.open(name);
        content(self);
        self.close(name)
    }

    /// An element that contains text.
    pub(crate) fn text(&mut self, name: &str, text: &str) -> &mut Self {
        self.open(name);
        escape(text, &mut self.text);
        self.close(name)
    }

    /// An element that contains text, if there is any.
    pub(crate) fn optional(&mut self, name: &str, text: Option<&str>) -> &mut Self {
        match text {
            Some(text) => self.text(name, text),
            None => self,
        }
    }

    /// Text right inside the element that is open.
    pub(crate) fn content(&mut self, text: &str) -> &mut Self {
        escape(text, &mut self.text);
        self
    }

    /// Markup that is known to be well-formed.
    pub(crate) fn markup(&mut self, markup: &str) -> &mut Self {
        self.text.push_str(markup);
        self
    }

    /// The whole document.
    pub(crate) fn finish(mut self) -> String {
        let root = self.root;
        self.close(root);
        self.text
    }

    fn open(&mut self, name: &str) {
        self.text.extend(["<", name, ">"]);
    }

    fn close(&mut self, name: &str) -> &mut Self {
        self.text.extend(["</", name, ">"]);
        self
    }
}

/// Control characters become references as on S3, although XML 1.0 has none for them; keys that contain such are
/// asked for with `encoding-type=url`.
fn escape(text: &str, into: &mut String) {
    let mut rest = text;
    // What is escaped is ASCII, so bytes can be searched; nearly all text has none of it and is copied at once.
    while let Some(at) = rest.bytes().position(|byte| byte < b' ' || b"&<>\"".contains(&byte)) {
        into.push_str(&rest[..at]);
        match rest.as_bytes()[at] {
            b'&' => into.push_str("&amp;"),
            b'<' => into.push_str("&lt;"),
            b'>' => into.push_str("&gt;"),
            b'"' => into.push_str("&quot;"),
            control => write!(into, "&#x{control:x};").expect("a String takes all text"),
        }
        rest = &rest[at + 1..];
    }
    into.push_str(rest);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_escaped() {
        let mut document = Xml::document_without_namespace("A");
        document.text("B", "<\"&>\n\u{1}é ").element("C", |inner| {
            inner.optional("D", None).optional("E", Some(""));
        });
        assert_eq!(
            document.finish(),
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<A><B>&lt;&quot;&amp;&gt;&#xa;&#x1;é </B><C><E></E></C></A>"
        );
    }
}
