//! An S3 server in memory whose network can be set: so far away, so many bytes a second on each connection.
//!
//! `bench-server KEYFILE [--metadata]` listens on a free port of loopback, makes the bucket `bench`, writes a line of
//! JSON with its endpoint and keys to standard output, and then answers each line of standard input with one of JSON:
//!
//! - `link MILLISECONDS MEGABYTES_PER_SECOND`: from now on every answer waits so long; 0 MB/s is unlimited.
//! - `fill KEY BYTES [COUNT]`: puts objects of noise; with a count, `{}` in the key is replaced by 00000, 00001...
//! - `clear`: empties the bucket.
//! - `reset`: forgets what was counted. `stats`: requests by kind, bytes in and out since then.
//! - `sum PREFIX`: objects and bytes below a prefix, uploads in progress.
//!
//! With `--metadata` listings tell metadata where they are asked to, as MinIO's and our own endpoint do.

mod control;
mod link;

use std::io::{BufRead, Write};
use std::path::Path;
use std::sync::Arc;

use control::Control;
use link::{Link, Linked};
use sandkeep_gateway::{Gateway, GatewaySettings, KeyRing};
use sandkeep_objects::{BucketName, MemoryService, MemorySettings, ObjectService};
use serde_json::json;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let file = arguments.first().ok_or("usage: bench-server KEYFILE [--metadata]")?;
    let lists_metadata = arguments.iter().any(|argument| argument == "--metadata");
    // S3's own bound, so that nobody sends smaller parts here than anywhere else.
    let settings = MemorySettings { lists_metadata, minimum_part_bytes: 5 << 20 };
    let memory = MemoryService::with_settings(settings);
    let bucket: BucketName = "bench".parse()?;
    memory.create_bucket(&bucket).await?;
    let link = Arc::new(Link::default());
    let linked = Linked::new(Arc::new(memory.clone()), Arc::clone(&link));
    let keys = KeyRing::load_or_create(Path::new(file), None)?;
    let credentials = keys.named("default").ok_or("the ring has no default pair")?.credentials.clone();
    let settings =
        GatewaySettings { listen: ([127, 0, 0, 1], 0).into(), regions: Vec::new(), keys, tls: None };
    let gateway = Gateway::start(settings, Arc::new(linked)).await?;
    tell(&json!({
        "endpoint": format!("http://{}", gateway.address()),
        "accessKeyId": credentials.access_key_id,
        "secretAccessKey": credentials.secret_access_key.expose(),
    }))?;
    let control = Control::new(&memory, &bucket, link);
    let (sender, mut lines) = tokio::sync::mpsc::channel(1);
    // A blocked read of standard input must not keep the runtime from ending.
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if sender.blocking_send(line).is_err() {
                return;
            }
        }
    });
    while let Some(line) = lines.recv().await {
        tell(&control.answer(&line).await.unwrap_or_else(|error| json!({ "error": error.to_string() })))?;
    }
    gateway.stop().await;
    Ok(())
}

fn tell(value: &serde_json::Value) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{value}")?;
    out.flush()
}
