//! Where a bucket is, from what a person types and what the environment says, in the way of the AWS tools.

use sandkeep_objects::{Credentials, S3Settings, SecretKey};
use url::Url;

use crate::volumes::{StoreSpec, VolumeError};

/// Region of an endpoint that nobody named.
const DEFAULT_REGION: &str = "us-east-1";

/// What a person says about a bucket beside its URL; none: the environment, then a default.
#[derive(Clone, Debug, Default)]
pub struct Hints {
    /// Server.
    pub endpoint: Option<String>,
    /// Region to sign for.
    pub region: Option<String>,
}

/// A bucket and a prefix in it.
#[derive(Clone, Debug)]
pub struct Location {
    /// How to reach the bucket.
    pub store: StoreSpec,
    /// Empty, or ends with `/`.
    pub prefix: String,
}

/// Reads `s3://BUCKET[/PREFIX]`. Endpoint: hint > AWS_ENDPOINT_URL_S3 > AWS_ENDPOINT_URL > Amazon; region: hint > AWS_REGION >
/// AWS_DEFAULT_REGION; credentials: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN.
pub fn locate(
    url: &str,
    hints: &Hints,
    env: impl Fn(&str) -> Option<String>,
) -> Result<Location, VolumeError> {
    let env = |name: &str| env(name).filter(|value| !value.is_empty());
    let invalid = || VolumeError::plain(format!("{url:?} is not of the form s3://BUCKET[/PREFIX]"));
    let rest = url.strip_prefix("s3://").ok_or_else(invalid)?;
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    let bucket = bucket.parse().map_err(|error| VolumeError::failed("not a bucket", &error))?;
    let region = hints.region.clone().or_else(|| env("AWS_REGION")).or_else(|| env("AWS_DEFAULT_REGION"));
    let endpoint =
        hints.endpoint.clone().or_else(|| env("AWS_ENDPOINT_URL_S3")).or_else(|| env("AWS_ENDPOINT_URL"));
    let endpoint = endpoint.unwrap_or_else(|| amazon(region.as_deref().unwrap_or(DEFAULT_REGION)));
    let endpoint = Url::parse(&endpoint)
        .map_err(|error| VolumeError::failed(&format!("the endpoint {endpoint:?}"), &error))?;
    let s3 = S3Settings { region, ..S3Settings::new(endpoint, Some(credentials(env)?)) };
    let prefix = prefix.trim_matches('/');
    let prefix = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
    Ok(Location { store: StoreSpec { s3, bucket }, prefix })
}

fn amazon(region: &str) -> String {
    format!("https://s3.{region}.amazonaws.com")
}

fn credentials(env: impl Fn(&str) -> Option<String>) -> Result<Credentials, VolumeError> {
    match (env("AWS_ACCESS_KEY_ID"), env("AWS_SECRET_ACCESS_KEY")) {
        (Some(id), Some(secret)) => {
            let session_token = env("AWS_SESSION_TOKEN").map(SecretKey::new);
            Ok(Credentials { session_token, ..Credentials::new(id, secret) })
        }
        _ => Err(VolumeError::plain(
            "No credentials found: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (for Sandkeep's own endpoint, `sandkeep keys` prints them)",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(
        url: &str,
        endpoint: Option<&str>,
        vars: &[(&str, &str)],
    ) -> Result<(String, String, String), String> {
        let env =
            |name: &str| vars.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        let hints = Hints { endpoint: endpoint.map(str::to_owned), region: None };
        let found = locate(url, &hints, env).map_err(|error| error.message)?;
        Ok((found.store.s3.endpoint.to_string(), found.store.bucket.to_string(), found.prefix))
    }

    const KEYS: [(&str, &str); 2] = [("AWS_ACCESS_KEY_ID", "A"), ("AWS_SECRET_ACCESS_KEY", "S")];

    #[test]
    fn a_location_is_found_as_the_aws_tools_find_it() {
        let local = Some("http://127.0.0.1:9000");
        let found = check("s3://b/x/y/", local, &KEYS).unwrap();
        assert_eq!(found, ("http://127.0.0.1:9000/".into(), "b".into(), "x/y/".into()));
        let west = [KEYS[0], KEYS[1], ("AWS_REGION", "us-west-2")];
        let found = check("s3://b", None, &west).unwrap();
        assert_eq!(found, ("https://s3.us-west-2.amazonaws.com/".into(), "b".into(), String::new()));
        assert!(check("s3://b", local, &[]).unwrap_err().starts_with("No credentials found"));
        assert!(check("b/x", local, &KEYS).is_err() && check("s3://B_", local, &KEYS).is_err());
    }
}
