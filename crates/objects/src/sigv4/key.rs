//! Derived keys and what they make.

use std::fmt;

use data_encoding::HEXLOWER;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use zeroize::Zeroize;

use crate::SecretKey;
use crate::sigv4::Scope;

/// The key for one day, region and service. Shows as `[redacted]`, wiped when dropped.
#[derive(Clone)]
pub struct SigningKey([u8; 32]);

impl SigningKey {
    /// Derives the key of a scope.
    /// <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>
    pub fn derive(secret: &SecretKey, scope: &Scope) -> Self {
        let mut seed = format!("AWS4{}", secret.expose());
        let date = hmac(seed.as_bytes(), scope.date());
        seed.zeroize();
        let region = hmac(&date, scope.region());
        let service = hmac(&region, scope.service());
        Self(hmac(&service, "aws4_request"))
    }

    /// Signs a string.
    pub fn sign(&self, string_to_sign: &str) -> Signature {
        Signature(HEXLOWER.encode(&hmac(&self.0, string_to_sign)))
    }
}

impl Drop for SigningKey {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// A signature in lower-case hex.
#[derive(Clone, Debug)]
pub struct Signature(String);

impl Signature {
    /// Wraps what a request carries.
    pub fn claimed(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The hex digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Compares without telling by its time how much is equal.
    pub fn matches(&self, other: &Self) -> bool {
        self.0.as_bytes().ct_eq(other.0.as_bytes()).into()
    }
}

fn hmac(key: &[u8], text: &str) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().into()
}
