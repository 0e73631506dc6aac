//! Bodies in all the forms in which clients send them, and none of them damaged.

use data_encoding::HEXLOWER;
use sandkeep_objects::sigv4::{ChunkSigner, PayloadHash};
use sha2::{Digest, Sha256};

use crate::fixture::{Fixture, get};
use crate::raw::{Answer, Raw};

/// CRC32 of `123456789`, the check value of the algorithm.
const CRC32: &str = "y/Q5Jg==";

/// Another body's.
const WRONG: &str = "AAAAAA==";

async fn refused(fixture: &Fixture, answer: Answer, code: &str) {
    answer.check(if code == "SignatureDoesNotMatch" { 403 } else { 400 }, code);
    assert!(fixture.stored_keys().await.is_empty());
}

#[tokio::test]
async fn hashes_in_headers_are_compared() {
    let fixture = Fixture::new().await;
    let put = || Raw::new(&fixture, "PUT /bucket/k").body("123456789");
    let other = put().payload(PayloadHash::of(b"other")).send().await;
    refused(&fixture, other, "XAmzContentSHA256Mismatch").await;
    let other = put().header("content-md5", "CY9rzUYh03PK3k6DJie09g==").send().await;
    refused(&fixture, other, "BadDigest").await;
    refused(&fixture, put().header("content-md5", "short").send().await, "InvalidDigest").await;
    refused(&fixture, put().header("x-amz-checksum-crc32", WRONG).send().await, "BadDigest").await;
    refused(&fixture, put().header("x-amz-checksum-crc32", "short").send().await, "BadDigest").await;
    let two = put().header("x-amz-checksum-crc32", CRC32).header("x-amz-checksum-crc32c", "4waSgw==");
    refused(&fixture, two.send().await, "InvalidRequest").await;

    let right =
        put().payload(PayloadHash::of(b"123456789")).header("content-md5", "JfnnlDI7RTiF9RgfG2JNCw==");
    let answer = right.header("x-amz-checksum-crc32", CRC32).send().await;
    answer.check(200, "");
    assert!(answer.headers.contains("x-amz-checksum-crc32: y/q5jg=="), "{answer:?}");
    assert_eq!(get(&*fixture.store, "k").await, b"123456789");
}

fn unsigned_chunks(fixture: &Fixture, body: &str) -> Raw {
    Raw::new(fixture, "PUT /bucket/k")
        .header("content-encoding", "aws-chunked")
        .header("x-amz-decoded-content-length", "9")
        .header("x-amz-trailer", "x-amz-checksum-crc32")
        .payload(PayloadHash::UnsignedChunksTrailer)
        .body(body)
}

#[tokio::test]
async fn unsigned_chunks_end_in_a_checksum() {
    let fixture = Fixture::new().await;
    let send = |body: String| {
        let request = unsigned_chunks(&fixture, &body);
        request.send()
    };
    let trailer = |value: &str| format!("0\r\nx-amz-checksum-crc32:{value}\r\n\r\n");
    let whole = "4\r\n1234\r\n5\r\n56789\r\n";
    refused(&fixture, send(whole.to_owned() + &trailer(WRONG)).await, "BadDigest").await;
    refused(&fixture, send(whole.to_owned() + "0\r\n\r\n").await, "MalformedTrailerError").await;
    refused(&fixture, send(whole.to_owned()).await, "IncompleteBody").await;
    // Fewer and more bytes than x-amz-decoded-content-length says, although the checksum is right.
    let fewer = format!("4\r\n1234\r\n{}", trailer("m+PaWQ=="));
    let answer = send(fewer).await;
    assert_eq!(answer.status, 400, "{answer:?}");
    let more = format!("a\r\n1234567890\r\n{}", trailer(CRC32));
    assert_eq!(send(more).await.status, 400);
    assert!(fixture.stored_keys().await.is_empty());

    let answer = send(whole.to_owned() + &trailer(CRC32)).await;
    answer.check(200, "");
    assert!(answer.headers.contains("x-amz-checksum-crc32: y/q5jg=="), "{answer:?}");
    assert_eq!(get(&*fixture.store, "k").await, b"123456789");
}

/// A chunk with its signature.
fn chunk(signer: &mut ChunkSigner, content: &str) -> String {
    let signature = signer.chunk(Sha256::digest(content).into());
    let end = if content.is_empty() { "" } else { "\r\n" };
    format!("{:x};chunk-signature={}\r\n{content}{end}", content.len(), signature.as_str())
}

fn signed_chunks(fixture: &Fixture, payload: PayloadHash) -> (Raw, ChunkSigner) {
    let request = Raw::new(fixture, "PUT /bucket/k").header("x-amz-decoded-content-length", "9");
    let request = match payload.has_trailer() {
        true => request.header("x-amz-trailer", "x-amz-checksum-crc32"),
        false => request,
    };
    request.payload(payload).sign()
}

#[tokio::test]
async fn signed_chunks_are_verified_one_by_one() {
    let fixture = Fixture::new().await;
    let (request, mut signer) = signed_chunks(&fixture, PayloadHash::SignedChunks);
    let body = chunk(&mut signer, "1234") + &chunk(&mut signer, "56789") + &chunk(&mut signer, "");
    let tampered = request.body(body.replace("56789", "56780") + "\r\n").send_as_it_is().await;
    refused(&fixture, tampered, "SignatureDoesNotMatch").await;

    let (request, mut signer) = signed_chunks(&fixture, PayloadHash::SignedChunks);
    let all = chunk(&mut signer, "1234") + &chunk(&mut signer, "56789");
    let truncated = request.body(all).send_as_it_is().await;
    refused(&fixture, truncated, "IncompleteBody").await;

    let (request, _) = signed_chunks(&fixture, PayloadHash::SignedChunks);
    let unsigned = request.body("9\r\n123456789\r\n0\r\n\r\n").send_as_it_is().await;
    refused(&fixture, unsigned, "InvalidRequest").await;

    let (request, mut signer) = signed_chunks(&fixture, PayloadHash::SignedChunks);
    let body = chunk(&mut signer, "123456789") + &chunk(&mut signer, "") + "\r\n";
    request.body(body).send_as_it_is().await.check(200, "");
    assert_eq!(get(&*fixture.store, "k").await, b"123456789");
}

#[tokio::test]
async fn signed_trailers_are_verified() {
    let fixture = Fixture::new().await;
    for (checksum, code) in [(WRONG, "BadDigest"), (CRC32, "")] {
        let (request, mut signer) = signed_chunks(&fixture, PayloadHash::SignedChunksTrailer);
        let body = chunk(&mut signer, "123456789") + &chunk(&mut signer, "");
        let signature = signer.trailer(format!("x-amz-checksum-crc32:{checksum}\n").as_bytes());
        let trailer =
            format!("x-amz-checksum-crc32:{checksum}\r\nx-amz-trailer-signature:{}\r\n", signature.as_str());
        let answer = request.body(body + &trailer + "\r\n").send_as_it_is().await;
        assert_eq!(answer.code(), code, "{answer:?}");
    }
    let (request, mut signer) = signed_chunks(&fixture, PayloadHash::SignedChunksTrailer);
    let body = chunk(&mut signer, "12345678X") + &chunk(&mut signer, "");
    let forged = HEXLOWER.encode(&[0; 32]);
    let trailer = format!("x-amz-checksum-crc32:{CRC32}\r\nx-amz-trailer-signature:{forged}\r\n\r\n");
    request.body(body + &trailer).send_as_it_is().await.check(403, "SignatureDoesNotMatch");
    assert_eq!(get(&*fixture.store, "k").await, b"123456789");
}

#[tokio::test]
async fn a_connection_that_breaks_in_the_middle_stores_nothing() {
    let fixture = Fixture::new().await;
    let request =
        Raw::new(&fixture, "PUT /bucket/k").header("content-length", "100000").body(vec![b'x'; 50_000]);
    let (request, _) = request.sign();
    request.send_half().await;
    // A request on another connection, answered after the endpoint saw the end of the first.
    Raw::new(&fixture, "GET /bucket").send().await.check(200, "");
    assert!(fixture.stored_keys().await.is_empty());
}
