//! Forms by which browsers upload: their parts, and the policy that says what may be in them. Without I/O.
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-HTTPPOSTConstructPolicy.html>

mod fields;
mod policy;

pub(crate) use fields::{Fields, Form, boundary_of, content_length, malformed};
pub(crate) use policy::Policy;
