//! HTTPS with certificates from files, which may be replaced while the endpoint runs.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use sandkeep_gateway::{Error, Gateway, GatewaySettings, KeyRing, TlsFiles};
use sandkeep_objects::DirectoryService;

/// Makes a certificate for loopback that vouches for itself.
fn certify(files: &TlsFiles) {
    let arguments = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=sandkeep \
                     -addext subjectAltName=IP:127.0.0.1";
    let made = Command::new("openssl")
        .args(arguments.split_whitespace())
        .arg("-out")
        .arg(&files.certificate)
        .arg("-keyout")
        .arg(&files.key)
        .output()
        .expect("openssl runs");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

/// Whether curl, which trusts `certificate` alone, gets an answer.
async fn reached(gateway: &Gateway, certificate: &Path) -> bool {
    let mut curl = tokio::process::Command::new("curl");
    curl.arg("-s").arg("--cacert").arg(certificate).arg(format!("https://{}/", gateway.address()));
    let answer = curl.output().await.expect("curl runs");
    String::from_utf8_lossy(&answer.stdout).contains("AccessDenied")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replaced_certificate_is_used_and_a_broken_one_is_not() {
    let directory = tempfile::tempdir().expect("temporary directory");
    let at = |name: &str| directory.path().join(name);
    let files = TlsFiles { certificate: at("certificate.pem"), key: at("key.pem") };
    let settings = || GatewaySettings {
        listen: ([127, 0, 0, 1], 0).into(),
        regions: Vec::new(),
        keys: KeyRing::load_or_create(&at("keys.json"), None).expect("fresh keys"),
        tls: Some(files.clone()),
    };
    let service = Arc::new(DirectoryService::open(&at("store")).await.expect("a store"));
    let refused = Gateway::start(settings(), Arc::clone(&service) as _).await;
    assert!(matches!(refused, Err(Error::Tls { .. })), "there are no files yet: {refused:?}");

    certify(&files);
    let gateway = Gateway::start(settings(), service).await.expect("an endpoint");
    let old = at("old.pem");
    std::fs::copy(&files.certificate, &old).expect("a copy");
    assert!(reached(&gateway, &old).await);
    std::fs::write(&files.certificate, "nonsense").expect("it can be written");
    assert!(reached(&gateway, &old).await, "the old one goes on while the new one is broken");
    certify(&files);
    assert!(reached(&gateway, &files.certificate).await && !reached(&gateway, &old).await);
    gateway.stop().await;
}
