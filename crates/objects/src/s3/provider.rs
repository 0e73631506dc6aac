//! What is known of providers: how to tell them, and where they differ. Data, in one place.

use url::Url;

use super::{AddressingStyle, Provider};

impl Provider {
    /// By the endpoint's host (`conformance/provider_detection.json`).
    pub fn of(endpoint: &Url) -> Option<Self> {
        let host = endpoint.host_str()?.to_ascii_lowercase();
        match host.as_str() {
            "storage.googleapis.com" => Some(Self::Gcs),
            host if host.ends_with(".r2.cloudflarestorage.com") => Some(Self::R2),
            host if host.ends_with(".amazonaws.com") => Some(Self::S3),
            _ => None,
        }
    }

    /// By the name that options use.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "r2" => Some(Self::R2),
            "s3" => Some(Self::S3),
            "gcs" => Some(Self::Gcs),
            _ => None,
        }
    }
}

/// Where a provider differs from Amazon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quirks {
    /// Where the bucket's name goes unless settings say otherwise.
    pub style: AddressingStyle,
    /// All parts of an upload but the last must be of one size.
    pub equal_parts: bool,
    /// UploadPartCopy exists.
    pub copies_parts: bool,
    /// DeleteObjects exists.
    pub deletes_many: bool,
    /// Listings are asked for metadata, MinIO's extension: those who know it save a HEAD per object, others ignore it.
    pub asks_for_metadata: bool,
}

impl Quirks {
    /// Of a provider; unknown ones get the careful choice.
    pub fn of(provider: Option<Provider>) -> Self {
        let path = AddressingStyle::Path;
        match provider {
            Some(Provider::S3) => Self {
                style: AddressingStyle::VirtualHost,
                equal_parts: false,
                copies_parts: true,
                deletes_many: true,
                asks_for_metadata: false,
            },
            Some(Provider::R2) => Self {
                style: path,
                equal_parts: true,
                copies_parts: true,
                deletes_many: true,
                asks_for_metadata: false,
            },
            // https://cloud.google.com/storage/docs/interoperability
            Some(Provider::Gcs) => Self {
                style: path,
                equal_parts: false,
                copies_parts: false,
                deletes_many: false,
                asks_for_metadata: false,
            },
            None => Self {
                style: path,
                equal_parts: false,
                copies_parts: true,
                deletes_many: true,
                asks_for_metadata: true,
            },
        }
    }
}

/// The region to sign for, by the endpoint: that of Amazon's host names, else `auto`.
pub fn region_of(endpoint: &Url) -> String {
    let host = endpoint.host_str().unwrap_or_default().to_ascii_lowercase();
    let Some(name) = host.strip_suffix(".amazonaws.com") else { return "auto".to_owned() };
    let name = name.rsplit_once(".s3").map_or(name, |(_, rest)| if rest.is_empty() { "s3" } else { rest });
    let region = name.trim_start_matches("s3").trim_start_matches(['.', '-']);
    let region = region.trim_start_matches("dualstack.");
    if region.is_empty() { "us-east-1".to_owned() } else { region.to_owned() }
}

/// s3fs-style options: the provider's own, then the user's; the last of a name wins, in the place of the first
/// (`conformance/provider_options.json`).
pub fn merge_options(provider: Option<Provider>, user: &[String]) -> Vec<String> {
    let own: &[&str] = match provider {
        Some(Provider::R2) => &["nomixupload"],
        Some(Provider::S3 | Provider::Gcs) => &[],
        None => &["use_path_request_style"],
    };
    let name = |option: &str| option.split('=').next().unwrap_or_default().to_owned();
    let mut merged: Vec<String> = Vec::new();
    for option in own.iter().map(|option| (*option).to_owned()).chain(user.iter().cloned()) {
        match merged.iter_mut().find(|known| name(known) == name(&option)) {
            Some(known) => *known = option,
            None => merged.push(option),
        }
    }
    merged
}

/// What s3fs would call the source of a mount: `bucket[:prefix]` (`conformance/s3fs_source.json`).
pub fn mount_source(bucket: &str, prefix: Option<&str>) -> String {
    match prefix.filter(|prefix| !prefix.is_empty()) {
        Some(prefix) => format!("{bucket}:{prefix}"),
        None => bucket.to_owned(),
    }
}
