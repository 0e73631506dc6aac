//! AWS Signature Version 4 for S3, both ends, without I/O.
//!
//! A client signs with [`Signer`]. A server reads what a request claims with [`Claim::of`], looks up the secret of
//! [`Claim::access_key_id`], and calls [`Claim::verify`], which compares in constant time:
//!
//! ```
//! # use std::time::{Duration, SystemTime};
//! # use sandkeep_objects::{Credentials, sigv4::{Claim, PayloadHash, SignedRequest, Signer, VerifyError}};
//! # let credentials = Credentials::new("AKID", "secret");
//! let mut request = http::Request::get("/bucket/key?list-type=2").header("host", "localhost:9000").body(()).unwrap();
//! let signer = Signer::new(credentials.clone(), "us-east-1");
//! let (mut parts, ()) = request.into_parts();
//! signer.sign(&mut parts, &PayloadHash::Unsigned, SystemTime::now());
//!
//! let received = SignedRequest::of(&parts);
//! let claim = Claim::of(&received)?.expect("the request is not anonymous");
//! claim.check_time(SystemTime::now(), Duration::from_secs(900))?;
//! claim.verify(&received, &credentials.secret_access_key)?;
//! # Ok::<(), VerifyError>(())
//! ```
//!
//! Bodies of kind [`PayloadHash::is_chunked`] carry a signature per chunk: [`Claim::verify`] returns the
//! [`ChunkSigner`] that computes them. Comparing an `x-amz-content-sha256` with the body is the server's part.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-authenticating-requests.html>

mod canonical;
mod chunks;
mod claim;
mod encoding;
mod key;
mod payload;
mod refusal;
mod scope;
mod sign;
mod verify;

pub use canonical::{canonical_path, canonical_query, canonical_request, string_to_sign};
pub use chunks::ChunkSigner;
pub use claim::{Claim, ClaimKind, SignedRequest};
pub use encoding::{decode_path, decode_query, encode_path, encode_query};
pub use key::{Signature, SigningKey};
pub use payload::PayloadHash;
pub use refusal::VerifyError;
pub use scope::{Scope, Timestamp};
pub use sign::Signer;

/// The only algorithm this module knows.
pub const ALGORITHM: &str = "AWS4-HMAC-SHA256";
