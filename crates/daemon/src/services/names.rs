//! Names of granted buckets below `s3.internal`, in the sandbox's own `/etc/hosts`.
//!
//! Tools that put the bucket before the host's name find it so, without a name server. Nothing depends on it: a program
//! that changes the file harms itself only.

use std::collections::BTreeSet;
use std::io::Read;

use sandkeep_objects::BucketName;
use tracing::info;

use super::Live;

const FILE: &str = "/etc/hosts";
/// A longer file is left alone.
const LONGEST: u64 = 1 << 20;
/// What is ours, between the program's own lines.
const BEGIN: &str = "# buckets at s3.internal";
const END: &str = "# end of buckets";

/// Lets `BUCKET.s3.internal` be this host for these buckets and no others.
pub(super) async fn tell(live: &Live, buckets: &BTreeSet<BucketName>) {
    if let Err(reason) = try_to_tell(live, buckets).await {
        info!(sandbox = %live.id, reason, "names of buckets do not resolve in a sandbox");
    }
}

async fn try_to_tell(live: &Live, buckets: &BTreeSet<BucketName>) -> Result<(), String> {
    let text = |error: &dyn std::error::Error| crate::volumes::chain(error);
    let (file, about) = live.sandbox.open_file(FILE).await.map_err(|error| text(&error))?;
    if about.size > LONGEST {
        return Err(format!("{FILE} is too long"));
    }
    let read = move || {
        let mut before = String::new();
        file.take(LONGEST).read_to_string(&mut before).map(|_| before)
    };
    let before = tokio::task::spawn_blocking(read).await.map_err(|error| text(&error))?;
    let before = before.map_err(|error| text(&error))?;
    let after = with_buckets(&before, buckets);
    if after == before {
        return Ok(());
    }
    live.sandbox.write_file(FILE, after.into()).await.map_err(|error| text(&error))
}

/// The file with our lines at its end instead of where they were.
fn with_buckets(before: &str, buckets: &BTreeSet<BucketName>) -> String {
    let mut inside = false;
    let mut after = String::new();
    for line in before.lines() {
        inside |= line == BEGIN;
        if !inside {
            after.push_str(line);
            after.push('\n');
        }
        inside &= line != END;
    }
    if buckets.is_empty() {
        return after;
    }
    after.push_str(BEGIN);
    for bucket in buckets {
        after.push_str(&format!("\n127.0.0.1\t{bucket}.s3.internal"));
    }
    after.push('\n');
    after.push_str(END);
    after.push('\n');
    after
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_others_stay() {
        let buckets = |names: &[&str]| names.iter().map(|name| name.parse().expect("a name")).collect();
        let own = "127.0.0.1\tlocalhost s3.internal\n10.0.0.1 mine\n";
        let two = with_buckets(own, &buckets(&["b", "a"]));
        let lines = "127.0.0.1\ta.s3.internal\n127.0.0.1\tb.s3.internal\n";
        assert_eq!(two, format!("{own}# buckets at s3.internal\n{lines}# end of buckets\n"));
        let later = with_buckets(&format!("{two}10.0.0.2 later\n"), &buckets(&["c"]));
        assert!(later.contains("later") && later.contains("c.s3") && !later.contains("a.s3"), "{later}");
        assert_eq!(with_buckets(&two, &buckets(&[])), own);
        assert_eq!(with_buckets(own, &buckets(&[])), own);
    }
}
