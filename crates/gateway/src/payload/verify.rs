//! A body being read: framing off, hashes compared at the end, and only then the last bytes passed on.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use data_encoding::HEXLOWER;
use futures::{StreamExt, stream};
use http::HeaderMap;
use sandkeep_objects::sigv4::{ChunkSigner, PayloadHash, Signature, VerifyError};
use sandkeep_objects::{Body, ByteStream, Checksum, ChecksumAlgorithm, ChecksumHasher, Error, LateChecksum};

use super::Verdict;
use super::digests::Hasher;
use super::framing::{Piece, Unframer, malformed_trailer};
use crate::authentication::Authenticated;
use crate::fault::{Fault, Outcome};
use crate::headers::text;
use crate::inbound::Inbound;

/// The checksum of objects whose clients send none.
const DEFAULT_CHECKSUM: ChecksumAlgorithm = ChecksumAlgorithm::Crc64Nvme;

/// Reads a body and compares it with what the client said.
pub(super) struct Verifying {
    inbound: Inbound,
    framing: Option<Framing>,
    /// Hashes whose value is known before the body.
    expected: Vec<Expected>,
    /// The checksum whose value follows the body.
    trailing: Option<(ChecksumAlgorithm, Hasher)>,
    /// The checksum that is stored where the client sends none, as on S3.
    /// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html>
    own: Option<ChecksumHasher>,
    verdict: Verdict,
    ended: bool,
}

/// A hash and what it must be.
struct Expected {
    hasher: Hasher,
    value: Vec<u8>,
    /// The error code if it is not.
    code: &'static str,
    /// If it is a checksum to be stored with the object.
    checksum: Option<ChecksumAlgorithm>,
}

/// An `aws-chunked` body.
struct Framing {
    unframer: Unframer,
    signatures: Option<Signatures>,
    has_trailer: bool,
}

/// The signatures of the chunks.
struct Signatures {
    signer: ChunkSigner,
    /// The chunk being read: its hash so far, and the signature it must have.
    chunk: Option<(Hasher, Signature)>,
}

impl Verifying {
    pub(super) fn new(
        headers: &HeaderMap,
        inbound: Inbound,
        authenticated: &Authenticated,
        verdict: Verdict,
    ) -> Outcome<Self> {
        let payload = &authenticated.payload;
        let framing = payload.is_chunked().then(|| Framing {
            unframer: Unframer::default(),
            signatures: (authenticated.chunks.clone())
                .filter(|_| payload.has_chunk_signatures())
                .map(|signer| Signatures { signer, chunk: None }),
            has_trailer: payload.has_trailer(),
        });
        let trailing = if payload.has_trailer() { announced_checksum(headers)? } else { None };
        let expected = expected_hashes(headers, payload)?;
        let sent = trailing.is_some() || expected.iter().any(|expected| expected.checksum.is_some());
        let own = (!sent).then(|| DEFAULT_CHECKSUM.hasher());
        Ok(Self { inbound, framing, expected, trailing, own, verdict, ended: false })
    }

    /// The content. A body that is not what the client said ends in an error.
    pub(super) fn into_stream(self) -> ByteStream {
        stream::unfold(self, |mut this| async {
            match this.next().await {
                Ok(content) => content.map(|content| (Ok(content), this)),
                Err(fault) => {
                    this.ended = true;
                    let what = fault.message.clone();
                    this.verdict.state().fault = Some(fault);
                    Some((Err(Error::Corrupt { what }), this))
                }
            }
        })
        .boxed()
    }

    async fn next(&mut self) -> Outcome<Option<Bytes>> {
        if self.ended {
            return Ok(None);
        }
        let content = match &self.framing {
            None => self.inbound.next().await?,
            Some(_) => self.next_unframed().await?,
        };
        match &content {
            Some(content) => self.update(content),
            None => self.finish()?,
        }
        Ok(content)
    }

    fn update(&mut self, content: &[u8]) {
        let trailing = self.trailing.iter_mut().map(|(_, hasher)| hasher);
        for hasher in self.expected.iter_mut().map(|expected| &mut expected.hasher).chain(trailing) {
            hasher.update(content);
        }
        if let Some(own) = &mut self.own {
            own.update(content);
        }
    }

    fn finish(&mut self) -> Outcome<()> {
        self.ended = true;
        if let Some(own) = self.own.take() {
            self.verdict.checksum.set(own.checksum());
        }
        for expected in self.expected.drain(..) {
            if expected.hasher.finish() != expected.value {
                return Err(mismatch(expected.code));
            }
            if let Some(algorithm) = expected.checksum {
                self.verdict.checksum.set(Checksum::of_bytes(algorithm, &expected.value));
            }
        }
        Ok(())
    }

    async fn next_unframed(&mut self) -> Outcome<Option<Bytes>> {
        loop {
            let Some(framing) = &mut self.framing else { return Ok(None) };
            match framing.unframer.next()? {
                Some(Piece::Content(content)) => {
                    framing.hash(&content);
                    return Ok(Some(content));
                }
                Some(Piece::Chunk { signature, last }) => framing.begin_chunk(signature, last)?,
                Some(Piece::End(trailer)) => {
                    framing.finish(&trailer)?;
                    self.check_trailer(&trailer)?;
                    self.expect_end().await?;
                    return Ok(None);
                }
                None => match self.inbound.next().await? {
                    Some(bytes) => framing.unframer.feed(&bytes),
                    None => {
                        return Err(Fault::incomplete_body("The chunked body ended before its last chunk"));
                    }
                },
            }
        }
    }

    fn check_trailer(&mut self, trailer: &[(String, String)]) -> Outcome<()> {
        let Some((algorithm, hasher)) = self.trailing.take() else { return Ok(()) };
        let sent = trailer.iter().find(|(name, _)| name == algorithm.header()).map(|(_, value)| value);
        let sent = sent.and_then(|value| STANDARD.decode(value).ok()).ok_or_else(malformed_trailer)?;
        if hasher.finish() != sent {
            return Err(mismatch("BadDigest"));
        }
        self.verdict.checksum.set(Checksum::of_bytes(algorithm, &sent));
        Ok(())
    }

    /// hyper has not seen the end of the body yet, although its content was complete.
    async fn expect_end(&mut self) -> Outcome<()> {
        while let Some(bytes) = self.inbound.next().await? {
            let Some(framing) = &mut self.framing else { return Ok(()) };
            framing.unframer.feed(&bytes);
            framing.unframer.next()?;
        }
        Ok(())
    }
}

impl Framing {
    fn hash(&mut self, content: &[u8]) {
        if let Some(Signatures { chunk: Some((hasher, _)), .. }) = &mut self.signatures {
            hasher.update(content);
        }
    }

    fn begin_chunk(&mut self, signature: Option<String>, last: bool) -> Outcome<()> {
        let Some(signatures) = &mut self.signatures else { return Ok(()) };
        signatures.end_chunk()?;
        let claimed = signature.ok_or_else(|| Fault::invalid_request("A chunk has no signature"))?;
        signatures.chunk = Some((Hasher::sha256(), Signature::claimed(claimed)));
        if last { signatures.end_chunk() } else { Ok(()) }
    }

    fn finish(&mut self, trailer: &[(String, String)]) -> Outcome<()> {
        if !self.has_trailer && !trailer.is_empty() {
            return Err(malformed_trailer());
        }
        match &mut self.signatures {
            Some(signatures) if self.has_trailer => signatures.check_trailer(trailer),
            _ => Ok(()),
        }
    }
}

impl Signatures {
    fn end_chunk(&mut self) -> Outcome<()> {
        let Some((hasher, claimed)) = self.chunk.take() else { return Ok(()) };
        let hash = hasher.finish().try_into().expect("SHA-256 has 32 bytes");
        self.compare(&claimed, |signer| signer.chunk(hash))
    }

    fn check_trailer(&mut self, trailer: &[(String, String)]) -> Outcome<()> {
        const NAME: &str = "x-amz-trailer-signature";
        let claimed = trailer.iter().find(|(name, _)| name == NAME).ok_or_else(malformed_trailer)?;
        let lines = trailer.iter().filter(|(name, _)| name != NAME);
        let canonical: String = lines.map(|(name, value)| format!("{name}:{value}\n")).collect();
        self.compare(&Signature::claimed(claimed.1.clone()), |signer| signer.trailer(canonical.as_bytes()))
    }

    fn compare(
        &mut self,
        claimed: &Signature,
        sign: impl FnOnce(&mut ChunkSigner) -> Signature,
    ) -> Outcome<()> {
        let expected = sign(&mut self.signer);
        if expected.matches(claimed) {
            return Ok(());
        }
        Err(VerifyError::SignatureMismatch { string_to_sign: String::new() }.into())
    }
}

/// The hash of the payload, `Content-MD5` and `x-amz-checksum-*`, where they are sent.
fn expected_hashes(headers: &HeaderMap, payload: &PayloadHash) -> Outcome<Vec<Expected>> {
    let mut expected = Vec::new();
    if let PayloadHash::Sha256(hash) = payload {
        let value =
            HEXLOWER.decode(hash.as_bytes()).map_err(|_| Fault::invalid_argument("x-amz-content-sha256"))?;
        let code = "XAmzContentSHA256Mismatch";
        expected.push(Expected { hasher: Hasher::sha256(), value, code, checksum: None });
    }
    if let Some(sent) = text(headers, "content-md5")? {
        let invalid = || Fault::bad("InvalidDigest", "The Content-MD5 you specified is not valid.");
        let value = STANDARD.decode(sent).ok().filter(|value| value.len() == 16).ok_or_else(invalid)?;
        expected.push(Expected { hasher: Hasher::md5(), value, code: "BadDigest", checksum: None });
    }
    expected.extend(checksum_header(headers)?);
    Ok(expected)
}

/// A body that is at hand, compared with the checksum that the headers name.
pub(crate) fn verified(headers: &HeaderMap, content: Bytes) -> Outcome<Body> {
    let expected = checksum_header(headers)?;
    let algorithm = expected.as_ref().and_then(|expected| expected.checksum).unwrap_or(DEFAULT_CHECKSUM);
    let mut hasher = algorithm.hasher();
    hasher.update(&content);
    let value = hasher.finish();
    if let Some(expected) = expected.filter(|expected| expected.value != value) {
        return Err(mismatch(expected.code));
    }
    let checksum = LateChecksum::default();
    checksum.set(Checksum::of_bytes(algorithm, &value));
    let length = content.len() as u64;
    Ok(Body::Verified { length, stream: Body::Bytes(content).into_stream(), checksum })
}

fn checksum_header(headers: &HeaderMap) -> Outcome<Option<Expected>> {
    let mut names = headers.keys().filter_map(|name| ChecksumAlgorithm::of_header(name.as_str()));
    let Some(algorithm) = names.next() else { return Ok(None) };
    if names.next().is_some() {
        return Err(Fault::invalid_request("Expecting a single x-amz-checksum- header"));
    }
    let name = algorithm.header();
    let invalid = || Fault::bad("BadDigest", format!("Value for {name} header is invalid."));
    let value = STANDARD.decode(text(headers, name)?.unwrap_or_default()).map_err(|_| invalid())?;
    if value.len() != algorithm.length() {
        return Err(invalid());
    }
    let hasher = Hasher::of(algorithm);
    Ok(Some(Expected { hasher, value, code: "BadDigest", checksum: Some(algorithm) }))
}

/// The checksum that `x-amz-trailer` announces.
fn announced_checksum(headers: &HeaderMap) -> Outcome<Option<(ChecksumAlgorithm, Hasher)>> {
    let Some(names) = text(headers, "x-amz-trailer")? else { return Ok(None) };
    let mut announced = names.split(',').map(|name| name.trim().to_ascii_lowercase());
    let Some(name) = announced.find(|name| name.starts_with("x-amz-checksum-")) else { return Ok(None) };
    match ChecksumAlgorithm::of_header(&name) {
        Some(algorithm) => Ok(Some((algorithm, Hasher::of(algorithm)))),
        None => {
            Err(Fault::invalid_request("The value specified in the x-amz-trailer header is not supported"))
        }
    }
}

fn mismatch(code: &'static str) -> Fault {
    let message = match code {
        "BadDigest" => "The checksum or Content-MD5 you specified did not match what we received.",
        _ => "The provided 'x-amz-content-sha256' header does not match what was computed.",
    };
    Fault::bad(code, message)
}
