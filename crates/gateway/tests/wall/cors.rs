//! Pages of other origins, with and without a rule for them.

use crate::fixture::{Fixture, put};
use crate::raw::{Answer, Raw};

const RULES: &str = "<CORSConfiguration>\
    <CORSRule><ID>pages</ID><AllowedOrigin>https://*.example</AllowedOrigin><AllowedMethod>GET</AllowedMethod>\
    <AllowedMethod>PUT</AllowedMethod><AllowedHeader>x-amz-*</AllowedHeader><AllowedHeader>Authorization</AllowedHeader>\
    <ExposeHeader>ETag</ExposeHeader><MaxAgeSeconds>60</MaxAgeSeconds></CORSRule>\
    <CORSRule><AllowedOrigin>*</AllowedOrigin><AllowedMethod>HEAD</AllowedMethod></CORSRule></CORSConfiguration>";

async fn preflight(fixture: &Fixture, origin: &str, method: &str, headers: &str) -> Answer {
    let request = Raw::new(fixture, "OPTIONS /bucket/k").header("origin", origin);
    let request = request.header("access-control-request-method", method);
    request.header("access-control-request-headers", headers).send_as_it_is().await
}

#[tokio::test]
async fn pages_are_let_in_by_rules() {
    let fixture = Fixture::new().await;
    put(&*fixture.store, "k", "text").await;
    Raw::new(&fixture, "GET /bucket?cors").send().await.check(404, "NoSuchCORSConfiguration");
    preflight(&fixture, "https://a.example", "GET", "").await.check(403, "AccessForbidden");
    Raw::new(&fixture, "PUT /bucket?cors").body(RULES).send().await.check(200, "");
    let read = Raw::new(&fixture, "GET /bucket?cors").send().await;
    assert!(read.body.contains("<CORSRule><ID>pages</ID><AllowedOrigin>https://*.example<"), "{read:?}");

    let allowed = preflight(&fixture, "https://a.example", "PUT", "X-Amz-Date, authorization").await;
    allowed.check(200, "");
    for header in [
        "access-control-allow-origin: https://a.example",
        "access-control-allow-methods: get, put",
        "access-control-allow-headers: x-amz-date, authorization",
        "access-control-expose-headers: etag",
        "access-control-max-age: 60",
        "access-control-allow-credentials: true",
        "vary: origin",
    ] {
        assert!(allowed.headers.contains(header), "{header}: {allowed:?}");
    }
    for (origin, method, headers) in [
        ("https://a.example.evil", "GET", ""),
        ("https://a.example", "DELETE", ""),
        ("https://a.example", "GET", "x-amz-date, x-other"),
    ] {
        preflight(&fixture, origin, method, headers).await.check(403, "AccessForbidden");
    }
    preflight(&fixture, "https://a.example", "TRACE", "").await.check(400, "BadRequest");
    let missing = Raw::new(&fixture, "OPTIONS /missing/k").header("origin", "https://a.example");
    let missing = missing.header("access-control-request-method", "GET").send_as_it_is().await;
    missing.check(403, "AccessForbidden");
}

#[tokio::test]
async fn answers_carry_the_permission_and_nothing_more() {
    let fixture = Fixture::new().await;
    put(&*fixture.store, "k", "text").await;
    Raw::new(&fixture, "PUT /bucket?cors").body(RULES).send().await.check(200, "");
    let from = |line: &str, origin: &str| Raw::new(&fixture, line).header("origin", origin);
    let read = from("GET /bucket/k", "https://a.example").send().await;
    assert!(read.body == "text" && read.headers.contains("access-control-allow-origin: https://a.example"));
    let refused = from("GET /bucket/missing", "https://a.example").send().await;
    refused.check(404, "NoSuchKey");
    assert!(refused.headers.contains("access-control-allow-origin: https://a.example"), "{refused:?}");
    let head = from("HEAD /bucket/k", "https://b").send().await;
    assert!(head.headers.contains("access-control-allow-origin: *"), "{head:?}");
    let other = from("GET /bucket/k", "https://b").send().await;
    assert!(other.status == 200 && !other.headers.contains("access-control"), "{other:?}");
    // A permission of a page is none of the endpoint: without a signature there is no answer.
    from("GET /bucket/k", "https://a.example").send_as_it_is().await.check(403, "AccessDenied");

    for (rules, code) in [
        ("<CORSConfiguration/>", "MalformedXML"),
        (
            "<CORSConfiguration><CORSRule><AllowedOrigin>*</AllowedOrigin></CORSRule></CORSConfiguration>",
            "MalformedXML",
        ),
        (&RULES.replace("PUT", "PATCH"), "InvalidRequest"),
        (&RULES.replace("https://*", "*//*"), "InvalidRequest"),
    ] {
        Raw::new(&fixture, "PUT /bucket?cors").body(rules).send().await.check(400, code);
    }
    Raw::new(&fixture, "DELETE /bucket?cors").send().await.check(204, "");
    Raw::new(&fixture, "GET /bucket?cors").send().await.check(404, "NoSuchCORSConfiguration");
}
