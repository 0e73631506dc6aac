//! The server's judgement.

use std::time::{Duration, SystemTime};

use crate::SecretKey;
use crate::sigv4::canonical::{canonical_path, canonical_query, canonical_request, string_to_sign};
use crate::sigv4::{ChunkSigner, Claim, ClaimKind, SignedRequest, SigningKey, VerifyError};

impl Claim {
    /// Refuses what was signed more than `skew` before or after `now`, and presigned requests that expired.
    pub fn check_time(&self, now: SystemTime, skew: Duration) -> Result<(), VerifyError> {
        let signed = self.timestamp.time();
        if signed > now + skew {
            return Err(VerifyError::TimeTooSkewed);
        }
        match self.kind {
            ClaimKind::Header if now > signed + skew => Err(VerifyError::TimeTooSkewed),
            ClaimKind::Presigned { expires } if now > signed + expires => Err(VerifyError::Expired),
            _ => Ok(()),
        }
    }

    /// Checks the signature with the secret of [`Self::access_key_id`], and that nothing that matters is unsigned.
    /// Returns what checks the chunks of a streaming body.
    pub fn verify(
        &self,
        request: &SignedRequest<'_>,
        secret: &SecretKey,
    ) -> Result<ChunkSigner, VerifyError> {
        self.check_signed_headers(request)?;
        self.verify_with_key(request, SigningKey::derive(secret, &self.scope))
    }

    /// As [`Self::verify`], with the key of [`Self::scope`] already derived, and without looking at which headers are
    /// signed.
    pub fn verify_with_key(
        &self,
        request: &SignedRequest<'_>,
        key: SigningKey,
    ) -> Result<ChunkSigner, VerifyError> {
        let canonical = self.string_to_sign(request, &canonical_path(request.raw_path));
        let mut expected = key.sign(&canonical);
        if !expected.matches(&self.signature) {
            // Some clients sign the path just as they send it. It names the same object.
            expected = key.sign(&self.string_to_sign(request, request.raw_path));
        }
        if !expected.matches(&self.signature) {
            return Err(VerifyError::SignatureMismatch { string_to_sign: canonical });
        }
        Ok(ChunkSigner::new(key, self.timestamp.clone(), self.scope.clone(), expected))
    }

    /// Refuses requests whose `host` or `x-amz-*` headers are not covered: someone on the way could add or change a
    /// copy source, for example.
    pub fn check_signed_headers(&self, request: &SignedRequest<'_>) -> Result<(), VerifyError> {
        let is_signed = |name: &str| self.signed_headers.iter().any(|signed| signed == name);
        if !is_signed("host") {
            return Err(VerifyError::UnsignedHeader { name: "host".to_owned() });
        }
        let names = request.headers.keys().map(http::HeaderName::as_str);
        // The hash of the body is in the canonical request anyway, and presigned requests may repeat it.
        let mut matter = names.filter(|name| name.starts_with("x-amz-") && *name != "x-amz-content-sha256");
        match matter.find(|name| !is_signed(name)) {
            Some(name) => Err(VerifyError::UnsignedHeader { name: name.to_owned() }),
            None => Ok(()),
        }
    }

    fn string_to_sign(&self, request: &SignedRequest<'_>, path: &str) -> String {
        let canonical = canonical_request(
            request.method,
            path,
            &canonical_query(request.raw_query),
            request.headers,
            &self.signed_headers,
            self.payload.as_str(),
        );
        string_to_sign(&self.timestamp, &self.scope, &canonical)
    }
}
