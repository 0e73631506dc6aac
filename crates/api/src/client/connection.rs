//! One request and its answer over pooled connections.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client as Pool;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde::Serialize;
use serde::de::DeserializeOwned;
use url::Url;

use crate::{ClientError, ErrorBody};

/// Where to call, and with which key.
#[derive(Clone)]
pub(super) struct Connection {
    address: Arc<str>,
    authorization: Option<HeaderValue>,
    pool: Pool<HttpConnector, Full<Bytes>>,
}

/// What is sent.
pub(super) struct Call {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) content_type: Option<&'static str>,
    pub(super) accept: Option<&'static str>,
    pub(super) body: Bytes,
}

impl Call {
    pub(super) fn new(method: Method, path: impl Into<String>) -> Self {
        Self { method, path: path.into(), content_type: None, accept: None, body: Bytes::new() }
    }

    pub(super) fn json(mut self, body: &impl Serialize) -> Self {
        self.content_type = Some("application/json");
        self.body = serde_json::to_vec(body).expect("our request types have string keys only").into();
        self
    }

    pub(super) fn bytes(mut self, body: Bytes) -> Self {
        self.content_type = Some("application/octet-stream");
        self.body = body;
        self
    }

    pub(super) fn accepting(mut self, content_type: &'static str) -> Self {
        self.accept = Some(content_type);
        self
    }
}

impl Connection {
    pub(super) fn new(address: &Url, key: Option<&str>) -> Result<Self, ClientError> {
        let invalid = || ClientError::InvalidAddress { url: address.to_string() };
        let plain = address.path() == "/" && address.query().is_none() && address.username().is_empty();
        if address.scheme() != "http" || !address.has_host() || !plain {
            return Err(invalid());
        }
        let authorization = key.map(bearer).transpose().map_err(|_| invalid())?;
        let address = address.as_str().trim_end_matches('/').into();
        Ok(Self { address, authorization, pool: Pool::builder(TokioExecutor::new()).build_http() })
    }

    pub(super) fn address(&self) -> &str {
        &self.address
    }

    pub(super) fn authorization(&self) -> Option<&HeaderValue> {
        self.authorization.as_ref()
    }

    /// Sends a call and gives the answer if it is a success.
    pub(super) async fn send(&self, call: Call) -> Result<Response<Incoming>, ClientError> {
        let request = self.request(call)?;
        let response = self.pool.request(request).await.map_err(|error| self.unreachable(error))?;
        if response.status().is_success() { Ok(response) } else { Err(self.refusal(response).await) }
    }

    /// The whole body.
    pub(super) async fn send_for_bytes(&self, call: Call) -> Result<Bytes, ClientError> {
        let response = self.send(call).await?;
        let body = response.into_body().collect().await.map_err(|error| self.unreachable(error))?;
        Ok(body.to_bytes())
    }

    /// The body as JSON.
    pub(super) async fn send_for<T: DeserializeOwned>(&self, call: Call) -> Result<T, ClientError> {
        let response = self.send(call).await?;
        let status = response.status();
        let body = response.into_body().collect().await.map_err(|error| self.unreachable(error))?;
        serde_json::from_slice(&body.to_bytes())
            .map_err(|_| ClientError::Unexpected { address: self.address.to_string(), status })
    }

    fn request(&self, call: Call) -> Result<Request<Full<Bytes>>, ClientError> {
        let url = format!("{}{}", self.address, call.path);
        let mut request = Request::builder().method(call.method).uri(&url);
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        for (name, value) in [(CONTENT_TYPE, call.content_type), (ACCEPT, call.accept)] {
            if let Some(value) = value {
                request = request.header(name, value);
            }
        }
        request.body(Full::new(call.body)).map_err(|_| ClientError::InvalidAddress { url })
    }

    async fn refusal(&self, response: Response<Incoming>) -> ClientError {
        let status = response.status();
        let body = match response.into_body().collect().await {
            Ok(body) => body.to_bytes(),
            Err(error) => return self.unreachable(error),
        };
        match serde_json::from_slice::<ErrorBody>(&body) {
            Ok(body) => ClientError::Refused(Box::new(body)),
            Err(_) => ClientError::Unexpected { address: self.address.to_string(), status },
        }
    }

    pub(super) fn unreachable(&self, source: impl std::error::Error + Send + Sync + 'static) -> ClientError {
        ClientError::Unreachable { address: self.address.to_string(), source: Box::new(source) }
    }
}

fn bearer(key: &str) -> Result<HeaderValue, http::header::InvalidHeaderValue> {
    let mut value = HeaderValue::from_str(&format!("Bearer {key}"))?;
    value.set_sensitive(true);
    Ok(value)
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("address", &self.address).finish_non_exhaustive()
    }
}
