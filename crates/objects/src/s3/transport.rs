//! Carries actions: connections, signatures, timeouts, retries.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures::{Stream, StreamExt, TryStreamExt, stream};
use http::header::{CONTENT_LENGTH, HOST, HeaderValue, USER_AGENT};
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use url::Url;

use super::action::{Action, Head};
use super::retry::{self, Budget};
use super::signers::Signers;
use super::{AddressingStyle, Provider, Quirks, S3Settings, failure, region_of};
use crate::sigv4::{PayloadHash, Signer};
use crate::{Body, ByteStream, Error, Result};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest wait for the head of an answer; completing large uploads takes servers minutes.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(300);
/// Longest pause between two pieces of a body.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);
/// Connections kept open per host.
const IDLE_CONNECTIONS: usize = 64;
/// Longest answer that is read whole: a page of 1,000 long keys with their metadata.
const LONGEST_DOCUMENT: usize = 32 << 20;

type RequestBody = UnsyncBoxBody<Bytes, Error>;

/// A server and an account on it.
pub(super) struct Transport {
    endpoint: Url,
    style: AddressingStyle,
    pub(super) quirks: Quirks,
    signers: Signers,
    unsigned_payload: bool,
    pool: Client<HttpsConnector<HttpConnector>, RequestBody>,
    budget: Budget,
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transport").field("endpoint", &self.endpoint.as_str()).finish_non_exhaustive()
    }
}

/// What one try came to.
enum Try {
    Answered(Response<Incoming>),
    Failed(Error),
    /// Worth another try.
    Transient(Error),
}

impl Transport {
    pub(super) fn new(settings: S3Settings) -> Result<Self> {
        let S3Settings { endpoint, region, style, provider, credentials } = settings;
        if !matches!(endpoint.scheme(), "http" | "https")
            || endpoint.host_str().is_none()
            || endpoint.path() != "/"
        {
            return Err(Error::Unsupported { what: "an endpoint that is not http(s)://HOST[:PORT]" });
        }
        let quirks = Quirks::of(provider.or_else(|| Provider::of(&endpoint)));
        let region = region.unwrap_or_else(|| region_of(&endpoint));
        Ok(Self {
            style: style.unwrap_or(quirks.style),
            quirks,
            signers: Signers::new(credentials, region),
            unsigned_payload: endpoint.scheme() == "https" || is_loopback(&endpoint),
            pool: pool(),
            budget: Budget::default(),
            endpoint,
        })
    }

    /// Sends an action until it has an answer worth having: a success, or a refusal that is final.
    pub(super) async fn send(&self, action: Action) -> Result<Response<Incoming>> {
        let Action { head, body } = action;
        let mut body = without_empty_stream(body).await?;
        let (mut switched_region, mut asked_again) = (false, false);
        for attempt in 1.. {
            let (sent, replayable) = replay(&mut body);
            let error = match self.attempt(&head, sent).await {
                Try::Answered(answer) => {
                    self.budget.succeeded();
                    return Ok(answer);
                }
                Try::Failed(Error::WrongRegion { region }) if !switched_region && replayable => {
                    switched_region = true;
                    self.signers.switch_region(region);
                    continue;
                }
                // Credentials that were replaced before their time.
                Try::Failed(Error::InvalidCredentials { .. })
                    if !asked_again && replayable && self.signers.can_change() =>
                {
                    asked_again = true;
                    self.signers.distrust();
                    continue;
                }
                Try::Failed(error) => return Err(error),
                Try::Transient(error) => error,
            };
            if attempt >= retry::MAX_ATTEMPTS || !replayable || !self.budget.take() {
                return Err(error);
            }
            tracing::debug!(%error, attempt, method = %head.method, "a request is tried again");
            tokio::time::sleep(retry::pause(attempt)).await;
        }
        unreachable!("the last try returns")
    }

    /// The same, with the whole body of the answer.
    pub(super) async fn document(&self, action: Action) -> Result<(HeaderMap, Bytes)> {
        let (parts, body) = self.send(action).await?.into_parts();
        let body = collect(self.stream(body, None)).await?;
        Ok((parts.headers, body))
    }

    /// The same, for answers whose body says nothing.
    pub(super) async fn headers(&self, action: Action) -> Result<HeaderMap> {
        // Reading the body to its end lets the connection be used again.
        self.document(action).await.map(|(headers, _)| headers)
    }

    async fn attempt(&self, head: &Head, body: Body) -> Try {
        let signer = match self.signers.signer().await {
            Ok(signer) => signer,
            Err(error) => return Try::Failed(error),
        };
        let request = match self.request(head, body, signer.as_deref()) {
            Ok(request) => request,
            Err(error) => return Try::Failed(error),
        };
        let answer = match in_time(ANSWER_TIMEOUT, self.pool.request(request)).await {
            Err(error) => return Try::Transient(self.unreachable(error)),
            Ok(Err(error)) => return self.not_answered(error),
            Ok(Ok(answer)) => answer,
        };
        if answer.status().is_success() {
            return Try::Answered(answer);
        }
        let (parts, body) = answer.into_parts();
        let body = collect(self.stream(body, None)).await.unwrap_or_default();
        let error = failure::error(head, parts.status, &parts.headers, &body);
        match error {
            Error::Server { .. } if retry::is_transient(parts.status) => Try::Transient(error),
            _ if parts.status == StatusCode::SERVICE_UNAVAILABLE => Try::Transient(error),
            _ => Try::Failed(error),
        }
    }

    fn not_answered(&self, error: hyper_util::client::legacy::Error) -> Try {
        // A body of ours that failed is the caller's own error.
        let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&error);
        while let Some(one) = cause {
            if let Some(own) = one.downcast_ref::<Error>() {
                return Try::Failed(own.clone());
            }
            cause = one.source();
        }
        Try::Transient(self.unreachable(error))
    }

    /// Scheme, host and port.
    pub(super) fn origin(&self) -> String {
        self.endpoint.origin().ascii_serialization()
    }

    fn unreachable(&self, source: impl std::error::Error + Send + Sync + 'static) -> Error {
        let endpoint = self.origin();
        Error::Unreachable { endpoint, source: Arc::new(source) }
    }

    fn request(&self, head: &Head, body: Body, signer: Option<&Signer>) -> Result<Request<RequestBody>> {
        let in_path = self.style == AddressingStyle::Path;
        let host = self.host(head.bucket.as_ref().filter(|_| !in_path).map(crate::BucketName::as_str));
        let uri = format!("{}://{host}{}", self.endpoint.scheme(), head.target(in_path));
        let unfit = |_| Error::Unsupported { what: "this endpoint or key in a request" };
        let mut request = Request::builder().method(head.method.clone()).uri(uri).body(()).map_err(unfit)?;
        *request.headers_mut() = head.headers.clone();
        let headers = request.headers_mut();
        headers.insert(
            HOST,
            HeaderValue::from_str(&host).map_err(|_| Error::Unsupported { what: "this host name" })?,
        );
        headers.insert(USER_AGENT, HeaderValue::from_static(concat!("sandkeep/", env!("CARGO_PKG_VERSION"))));
        headers.insert(CONTENT_LENGTH, HeaderValue::from(body.length()));
        let (mut parts, ()) = request.into_parts();
        if let Some(signer) = signer {
            signer.sign(&mut parts, &self.payload_hash(&body), SystemTime::now());
        }
        Ok(Request::from_parts(parts, request_body(body)))
    }

    /// Host and, unless it is the scheme's own, port.
    fn host(&self, bucket: Option<&str>) -> String {
        let host = self.endpoint.host_str().unwrap_or_default();
        let host = bucket.map_or_else(|| host.to_owned(), |bucket| format!("{bucket}.{host}"));
        match self.endpoint.port() {
            Some(port) => format!("{host}:{port}"),
            None => host,
        }
    }

    /// Hashing a body costs a second of CPU per GiB; TLS and loopback need none.
    fn payload_hash(&self, body: &Body) -> PayloadHash {
        match body {
            Body::Bytes(bytes) if !self.unsigned_payload || bytes.is_empty() => PayloadHash::of(bytes),
            _ => PayloadHash::Unsigned,
        }
    }

    /// The body of an answer; fails if it pauses too long, and if it is shorter than `expected`.
    pub(super) fn stream(&self, body: Incoming, expected: Option<u64>) -> ByteStream {
        let endpoint = self.origin();
        let state = (body, 0_u64, endpoint);
        Box::pin(stream::try_unfold(state, move |(mut body, mut read, endpoint)| async move {
            loop {
                let frame = match in_time(IDLE_TIMEOUT, body.frame()).await {
                    Err(error) => return Err(Error::Unreachable { endpoint, source: Arc::new(error) }),
                    Ok(Some(Err(error))) => return Err(cut_short(read, expected, &error)),
                    Ok(Some(Ok(frame))) => frame,
                    Ok(None) if expected.is_some_and(|expected| expected != read) => {
                        return Err(Error::Corrupt { what: format!("the body ended after {read} bytes") });
                    }
                    Ok(None) => return Ok(None),
                };
                if let Ok(data) = frame.into_data() {
                    read += data.len() as u64;
                    return Ok(Some((data, (body, read, endpoint))));
                }
            }
        }))
    }
}

fn cut_short(read: u64, expected: Option<u64>, error: &hyper::Error) -> Error {
    let of = expected.map(|expected| format!(" of {expected}")).unwrap_or_default();
    Error::Corrupt { what: format!("the body was cut off after {read}{of} bytes ({error})") }
}

/// Nobody reads a body of no bytes, so its end is looked at before the request instead.
async fn without_empty_stream(body: Body) -> Result<Body> {
    match body {
        Body::Stream { length: 0, stream } | Body::Verified { length: 0, stream, .. } => {
            collect(crate::exact_length(0, stream)).await.map(Body::Bytes)
        }
        body => Ok(body),
    }
}

/// Takes the body for one try; the flag says whether there can be another.
fn replay(body: &mut Body) -> (Body, bool) {
    match body {
        Body::Bytes(bytes) => (Body::Bytes(bytes.clone()), true),
        Body::Stream { .. } | Body::Verified { .. } => {
            (std::mem::replace(body, Body::Bytes(Bytes::new())), false)
        }
    }
}

fn request_body(body: Body) -> RequestBody {
    match body {
        Body::Bytes(bytes) => Full::new(bytes).map_err(|never| match never {}).boxed_unsync(),
        Body::Stream { length, stream } | Body::Verified { length, stream, .. } => {
            let exact = crate::exact_length(length, stream);
            StreamBody::new(exact.map_ok(Frame::data)).boxed_unsync()
        }
    }
}

async fn in_time<F: Future>(
    limit: Duration,
    future: F,
) -> std::result::Result<F::Output, tokio::time::error::Elapsed> {
    tokio::time::timeout(limit, future).await
}

async fn collect(mut stream: impl Stream<Item = Result<Bytes>> + Unpin) -> Result<Bytes> {
    let mut whole = Vec::new();
    while let Some(piece) = stream.next().await {
        whole.extend_from_slice(&piece?);
        if whole.len() > LONGEST_DOCUMENT {
            return Err(Error::Corrupt { what: "the answer is far longer than any S3 document".into() });
        }
    }
    Ok(whole.into())
}

fn pool() -> Client<HttpsConnector<HttpConnector>, RequestBody> {
    let mut http = HttpConnector::new();
    http.set_nodelay(true);
    http.enforce_http(false);
    http.set_connect_timeout(Some(CONNECT_TIMEOUT));
    http.set_keepalive(Some(Duration::from_secs(60)));
    let https =
        HttpsConnectorBuilder::new().with_webpki_roots().https_or_http().enable_http1().wrap_connector(http);
    Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_max_idle_per_host(IDLE_CONNECTIONS)
        .build(https)
}

fn is_loopback(endpoint: &Url) -> bool {
    match endpoint.host() {
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        None => false,
    }
}
