//! Where the bucket of a plan is, and with which keys.

use std::net::{IpAddr, SocketAddr};

use sandkeep_api::{ErrorCode, InvalidInput};
use sandkeep_objects::{AddressingStyle, BucketName, S3Settings};
use url::{Host, Url};

use super::detect;
use super::plan::Plan;
use crate::error::ServiceError;
use crate::services::Services;
use crate::settings::Binding;
use crate::volumes::StoreSpec;

/// A bucket, and what must be done before it is mounted.
#[derive(Debug)]
pub(in crate::services) struct Target {
    /// How a worker reaches it.
    pub(in crate::services) store: StoreSpec,
    /// It is an embedded bucket of a binding: made on demand.
    pub(in crate::services) create: bool,
}

impl Services {
    /// Checks endpoint or binding, then credentials.
    pub(in crate::services) fn mount_target(&self, plan: &Plan) -> Result<Target, ServiceError> {
        let mut target = match plan.endpoint_url()? {
            Some(url) => self.endpoint_target(plan, url)?,
            None => self.binding_target(plan)?,
        };
        let s3 = &mut target.store.s3;
        s3.provider = plan.provider.or(s3.provider);
        s3.region = plan.hints.region.clone().or(s3.region.take());
        if plan.hints.path_style {
            s3.style = Some(AddressingStyle::Path);
        }
        Ok(target)
    }

    fn endpoint_target(&self, plan: &Plan, url: Url) -> Result<Target, ServiceError> {
        let bucket = bucket(&plan.bucket)?;
        let scheme = if self.store.tls { "https" } else { "http" };
        let own = is_own(&url, (scheme, self.store.address), &self.settings.s3_public);
        if own && plan.credentials.is_none() {
            return Ok(Target { store: self.store.bucket(bucket), create: false });
        }
        let variables = self.settings.variables.overlaid(&plan.variables);
        let credentials = detect(plan.credentials.as_ref(), &variables)?;
        // A public address of ours may lead around the world, or nowhere.
        let url = if own { self.store.settings.endpoint.clone() } else { url };
        Ok(Target { store: StoreSpec { s3: S3Settings::new(url, Some(credentials)), bucket }, create: false })
    }

    fn binding_target(&self, plan: &Plan) -> Result<Target, ServiceError> {
        let missing = || {
            let message = format!("R2 binding \"{}\" not found in Worker env", plan.bucket);
            InvalidInput::new(ErrorCode::InvalidMountConfig, message)
        };
        let binding = self.settings.bindings.get(&plan.bucket).ok_or_else(missing)?;
        let variables = self.settings.variables.overlaid(&plan.variables);
        Ok(Target { store: self.binding_store(binding, &variables)?, create: binding.remote.is_none() })
    }

    /// The store that a binding names.
    pub(in crate::services) fn binding_store(
        &self,
        binding: &Binding,
        variables: &crate::settings::Variables,
    ) -> Result<StoreSpec, ServiceError> {
        let bucket = binding.bucket.clone();
        let Some(remote) = &binding.remote else { return Ok(self.store.bucket(bucket)) };
        let credentials = match &remote.credentials {
            Some(credentials) => credentials.clone(),
            None => detect(None, variables)?.into(),
        };
        let s3 = S3Settings {
            region: remote.region.clone(),
            credentials: Some(credentials),
            ..S3Settings::new(remote.endpoint.clone(), None)
        };
        Ok(StoreSpec { s3, bucket })
    }
}

fn bucket(name: &str) -> Result<BucketName, InvalidInput> {
    name.parse().map_err(|error: sandkeep_objects::KeyError| {
        InvalidInput::new(ErrorCode::InvalidMountConfig, format!("Invalid bucket name: {error}"))
    })
}

/// Whether a URL is our own S3 listener: in any spelling of loopback with its port, in its own address, or in one that
/// the settings name.
fn is_own(url: &Url, (scheme, listener): (&str, SocketAddr), public: &[Url]) -> bool {
    let origin = |url: &Url| {
        (url.scheme().to_owned(), url.host_str().map(str::to_lowercase), url.port_or_known_default())
    };
    if public.iter().any(|known| origin(known) == origin(url)) {
        return true;
    }
    if url.scheme() != scheme {
        return false;
    }
    let same_host = match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(ip)) => ip.is_loopback() || IpAddr::from(ip) == listener.ip(),
        Some(Host::Ipv6(ip)) => ip.to_canonical().is_loopback() || IpAddr::from(ip) == listener.ip(),
        None => false,
    };
    same_host && url.port_or_known_default() == Some(listener.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_listener_is_known_in_any_spelling() {
        let listener = ("http", SocketAddr::from(([127, 0, 0, 1], 9000)));
        let public = [Url::parse("https://s3.example.org").expect("a URL")];
        let own = |url: &str| is_own(&Url::parse(url).expect("a URL"), listener, &public);
        for url in [
            "http://127.0.0.1:9000",
            "http://localhost:9000/",
            "http://LOCALHOST:9000",
            "http://x.localhost:9000",
            "http://127.9.9.9:9000",
            "http://[::1]:9000",
            "http://[::ffff:127.0.0.1]:9000",
            "http://2130706433:9000",
            "https://S3.example.org:443/",
        ] {
            assert!(own(url), "{url}");
        }
        for url in [
            "http://127.0.0.1:9001",
            "https://127.0.0.1:9000",
            "http://localhost.example.org:9000",
            "http://10.0.0.1:9000",
            "http://s3.example.org",
        ] {
            assert!(!own(url), "{url}");
        }
        let secure = |url: &str| is_own(&Url::parse(url).expect("a URL"), ("https", listener.1), &public);
        assert!(secure("https://localhost:9000") && !secure("http://localhost:9000"));
    }
}
