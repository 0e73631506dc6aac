//! One kept connection of HTTP/1.1, as far as S3 endpoints need it.

use std::borrow::Cow;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::SystemTime;

use http::request::Parts;
use sandkeep_objects::Credentials;
use sandkeep_objects::sigv4::{PayloadHash, Signer};

use crate::Failure;

/// Where to, and as whom.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    endpoint: String,
    bucket: String,
    signer: Arc<Signer>,
}

impl Target {
    pub(crate) fn from_environment(endpoint: &str, bucket: &str) -> Result<Self, Failure> {
        let variable = |name: &str| std::env::var(name).map_err(|_| format!("{name} is not set"));
        let credentials = Credentials::new(variable("S3LOAD_KEY")?, variable("S3LOAD_SECRET")?);
        let region = variable("S3LOAD_REGION").unwrap_or_else(|_| "us-east-1".to_owned());
        let signer = Arc::new(Signer::new(credentials, region));
        Ok(Self { endpoint: endpoint.to_owned(), bucket: bucket.to_owned(), signer })
    }
}

/// A request: a key, or `?QUERY` of the bucket.
#[derive(Debug)]
pub(crate) struct Call<'c> {
    method: &'static str,
    place: String,
    pub(crate) body: Cow<'c, [u8]>,
    hashed: bool,
}

impl<'c> Call<'c> {
    pub(crate) fn of(method: &'static str, place: String) -> Self {
        Self { method, place, body: Cow::Borrowed(&[]), hashed: true }
    }

    /// A body whose SHA-256 is signed, as SDKs do it.
    pub(crate) fn with(self, body: impl Into<Cow<'c, [u8]>>) -> Self {
        Self { body: body.into(), ..self }
    }

    /// A body that the signature does not cover, as over TLS.
    pub(crate) fn unhashed(self, body: &'c [u8]) -> Self {
        Self { body: body.into(), hashed: false, ..self }
    }
}

/// The end of an answer.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    /// Bytes of the body.
    pub(crate) length: u64,
    /// Its beginning: all of a document, nothing of an object.
    pub(crate) body: Vec<u8>,
    pub(crate) etag: String,
}

/// Bodies longer than this are counted, not kept.
const KEPT: u64 = 4 << 20;

#[derive(Debug)]
pub(crate) struct Connection {
    target: Target,
    stream: TcpStream,
    buffer: Vec<u8>,
    /// What of the buffer was received and not used.
    filled: std::ops::Range<usize>,
}

impl Connection {
    pub(crate) fn open(target: &Target) -> Result<Self, Failure> {
        let stream = TcpStream::connect(&target.endpoint)?;
        stream.set_nodelay(true)?;
        Ok(Self { target: target.clone(), stream, buffer: vec![0; 256 * 1024], filled: 0..0 })
    }

    /// Sends a request and reads the whole answer, which must be a success.
    pub(crate) fn call(&mut self, call: &Call<'_>) -> Result<Answer, Failure> {
        let head = self.head(call)?;
        if call.body.len() <= 64 * 1024 {
            self.stream.write_all(&[&head[..], &call.body].concat())?;
        } else {
            self.stream.write_all(&head)?;
            self.stream.write_all(&call.body)?;
        }
        self.read_answer(call)
    }

    fn head(&self, call: &Call<'_>) -> Result<Vec<u8>, Failure> {
        let path = if call.place.is_empty() || call.place.starts_with('?') { "" } else { "/" };
        let uri = format!("/{}{path}{}", self.target.bucket, call.place);
        let request =
            http::Request::builder().method(call.method).uri(&uri).header("host", &self.target.endpoint);
        let (mut parts, ()) = request.body(())?.into_parts();
        let payload = if call.hashed { PayloadHash::of(&call.body) } else { PayloadHash::Unsigned };
        self.target.signer.sign(&mut parts, &payload, SystemTime::now());
        Ok(written(&parts, &uri, call.body.len()))
    }

    fn read_answer(&mut self, call: &Call<'_>) -> Result<Answer, Failure> {
        let head = self.read_head()?;
        let mut lines = head.split("\r\n");
        let status = lines.next().and_then(|line| line.split(' ').nth(1)).unwrap_or_default().to_owned();
        let (mut answer, mut length, mut chunked) = (Answer::default(), None, false);
        for (name, value) in lines.filter_map(|line| line.split_once(':')) {
            let value = value.trim();
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = Some(value.parse::<u64>()?),
                "transfer-encoding" => chunked = value.eq_ignore_ascii_case("chunked"),
                "etag" => value.clone_into(&mut answer.etag),
                _ => {}
            }
        }
        if call.method != "HEAD" && status != "204" {
            if chunked {
                self.read_chunks(&mut answer)?;
            } else {
                self.read_body(length.ok_or("an answer without length")?, &mut answer)?;
            }
        }
        if !status.starts_with('2') {
            let text = String::from_utf8_lossy(&answer.body).into_owned();
            return Err(format!("{} {}: {status} {text}", call.method, call.place).into());
        }
        Ok(answer)
    }

    fn read_head(&mut self) -> Result<String, Failure> {
        loop {
            let received = &self.buffer[self.filled.clone()];
            if let Some(at) = received.windows(4).position(|window| window == b"\r\n\r\n") {
                let head = String::from_utf8(received[..at].to_vec())?;
                self.filled.start += at + 4;
                return Ok(head);
            }
            self.receive()?;
        }
    }

    fn read_chunks(&mut self, answer: &mut Answer) -> Result<(), Failure> {
        loop {
            let size = u64::from_str_radix(self.read_line()?.trim(), 16)?;
            if size == 0 {
                self.read_line()?;
                return Ok(());
            }
            self.read_body(size, answer)?;
            self.read_line()?;
        }
    }

    fn read_line(&mut self) -> Result<String, Failure> {
        loop {
            let received = &self.buffer[self.filled.clone()];
            if let Some(at) = received.iter().position(|&byte| byte == b'\n') {
                let line = String::from_utf8(received[..at].to_vec())?;
                self.filled.start += at + 1;
                return Ok(line);
            }
            self.receive()?;
        }
    }

    fn read_body(&mut self, mut length: u64, answer: &mut Answer) -> Result<(), Failure> {
        answer.length += length;
        while length > 0 {
            if self.filled.is_empty() {
                self.receive()?;
            }
            let took = self.filled.len().min(usize::try_from(length).unwrap_or(usize::MAX));
            if answer.length <= KEPT {
                let received = self.filled.start..self.filled.start + took;
                answer.body.extend_from_slice(&self.buffer[received]);
            }
            self.filled.start += took;
            length -= took as u64;
        }
        Ok(())
    }

    /// Receives more behind what is there.
    fn receive(&mut self) -> Result<(), Failure> {
        self.buffer.copy_within(self.filled.clone(), 0);
        self.filled = 0..self.filled.len();
        if self.filled.end == self.buffer.len() {
            return Err("an answer whose head does not end".into());
        }
        match self.stream.read(&mut self.buffer[self.filled.end..])? {
            0 => Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
            received => {
                self.filled.end += received;
                Ok(())
            }
        }
    }
}

fn written(parts: &Parts, uri: &str, length: usize) -> Vec<u8> {
    let mut head = format!("{} {uri} HTTP/1.1\r\n", parts.method).into_bytes();
    for (name, value) in &parts.headers {
        head.extend_from_slice(name.as_str().as_bytes());
        head.extend_from_slice(b": ");
        head.extend_from_slice(value.as_bytes());
        head.extend_from_slice(b"\r\n");
    }
    head.extend_from_slice(format!("content-length: {length}\r\n\r\n").as_bytes());
    head
}
