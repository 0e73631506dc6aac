//! Requests written by hand, so that they can be wrong.

use std::time::SystemTime;

use http::request::Parts;
use http::{HeaderName, HeaderValue};
use sandkeep_objects::Credentials;
use sandkeep_objects::sigv4::{ChunkSigner, PayloadHash, Signer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::fixture::Fixture;

/// A request being made.
pub(crate) struct Raw {
    parts: Parts,
    body: Vec<u8>,
    host: String,
    credentials: Credentials,
    region: String,
    time: SystemTime,
    payload: PayloadHash,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: String,
    pub(crate) body: String,
}

impl Answer {
    /// The error code of the document, or nothing.
    pub(crate) fn code(&self) -> &str {
        let code = self.body.split_once("<Code>").and_then(|(_, rest)| rest.split_once("</Code>"));
        code.map_or("", |(code, _)| code)
    }

    pub(crate) fn check(&self, status: u16, code: &str) {
        assert_eq!((self.status, self.code()), (status, code), "{self:?}");
    }
}

impl Raw {
    /// `METHOD /path?query` to the endpoint.
    pub(crate) fn new(fixture: &Fixture, line: &str) -> Self {
        let (method, target) = line.split_once(' ').expect("METHOD TARGET");
        let host = fixture.host();
        let request = http::Request::builder().method(method).uri(target).header("host", &host).body(());
        Self {
            parts: request.expect("a request").into_parts().0,
            body: Vec::new(),
            host,
            credentials: fixture.credentials(),
            region: "us-east-1".to_owned(),
            time: SystemTime::now(),
            payload: PayloadHash::Unsigned,
        }
    }

    pub(crate) fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// A header, signed if it is added before [`Self::send`].
    pub(crate) fn header(mut self, name: &'static str, value: &str) -> Self {
        let value = HeaderValue::from_str(value).expect("a value");
        self.parts.headers.insert(HeaderName::from_static(name), value);
        self
    }

    pub(crate) fn region(mut self, region: &str) -> Self {
        region.clone_into(&mut self.region);
        self
    }

    pub(crate) fn time(mut self, time: SystemTime) -> Self {
        self.time = time;
        self
    }

    pub(crate) fn credentials(mut self, credentials: Credentials) -> Self {
        self.credentials = credentials;
        self
    }

    pub(crate) fn payload(mut self, payload: PayloadHash) -> Self {
        self.payload = payload;
        self
    }

    /// Signs it; further headers are not signed.
    pub(crate) fn sign(mut self) -> (Self, ChunkSigner) {
        let signer = Signer::new(self.credentials.clone(), self.region.clone());
        let chunks = signer.sign(&mut self.parts, &self.payload, self.time);
        (self, chunks)
    }

    /// Signs it and sends it.
    pub(crate) async fn send(self) -> Answer {
        self.sign().0.send_as_it_is().await
    }

    /// Sends it and reads until the connection ends.
    pub(crate) async fn send_as_it_is(self) -> Answer {
        exchange(&self.host, &[self.head(true).as_bytes(), &self.body].concat()).await
    }

    /// Sends the text of a whole request, such as that of [`Self::text`] with changes.
    pub(crate) async fn text_of(fixture: &Fixture, text: &str) -> Answer {
        exchange(&fixture.host(), text.as_bytes()).await
    }

    /// Sends what there is of it, stops sending, and waits until the endpoint has given up.
    pub(crate) async fn send_half(self) {
        let mut stream = TcpStream::connect(&self.host).await.expect("connect");
        stream.write_all(&[self.head(true).as_bytes(), &self.body].concat()).await.expect("send");
        stream.shutdown().await.expect("shut down");
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest).await;
    }

    /// Sends only the head, on a connection that may stay open.
    pub(crate) async fn send_head_only(self) -> (Answer, TcpStream) {
        let mut stream = TcpStream::connect(&self.host).await.expect("connect");
        stream.write_all(self.head(false).as_bytes()).await.expect("send");
        let mut bytes = Vec::new();
        while !bytes.windows(4).any(|window| window == b"\r\n\r\n") {
            assert_ne!(stream.read_buf(&mut bytes).await.expect("an answer"), 0, "{bytes:?}");
        }
        (parse(&bytes), stream)
    }

    /// The head as it is sent on a connection that closes behind it.
    pub(crate) fn text(&self) -> String {
        self.head(true)
    }

    fn head(&self, close: bool) -> String {
        let mut head = format!("{} {} HTTP/1.1\r\n", self.parts.method, self.parts.uri);
        for (name, value) in &self.parts.headers {
            head.push_str(&format!("{name}: {}\r\n", value.to_str().expect("text")));
        }
        if !self.parts.headers.contains_key("content-length") {
            head.push_str(&format!("content-length: {}\r\n", self.body.len()));
        }
        if close {
            head.push_str("connection: close\r\n");
        }
        head + "\r\n"
    }
}

async fn exchange(host: &str, request: &[u8]) -> Answer {
    let mut stream = TcpStream::connect(host).await.expect("connect");
    // The endpoint may refuse and close before everything is sent.
    let _ = stream.write_all(request).await;
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes).await;
    parse(&bytes)
}

fn parse(bytes: &[u8]) -> Answer {
    let text = String::from_utf8_lossy(bytes);
    let (headers, body) = text.split_once("\r\n\r\n").expect("a whole head");
    let status = headers.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    Answer { status, headers: headers.to_ascii_lowercase(), body: body.to_owned() }
}
