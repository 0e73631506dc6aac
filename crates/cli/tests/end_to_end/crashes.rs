//! SIGKILL of the S3 endpoint and power cuts below it: what was acknowledged is exactly there.
//!
//! Rounds of both by SANDKEEP_CRASH_ROUNDS and SANDKEEP_POWER_CUTS; `scripts/test all` runs many.

use sandkeep_testing::acknowledged::Acknowledged;
use sandkeep_testing::power::{Loss, PowerDisk};
use tempfile::TempDir;

use super::endpoint::{Endpoint, acknowledged_more, check, rounds};

/// Writers at work when the end comes.
const WRITERS: u64 = 4;

/// Bytes of the disk whose power is cut; what is not written costs nothing.
const DISK: u64 = 512 << 20;

/// How many changes are acknowledged before the end of a round: more or less of everything.
fn changes(seed: u64) -> u64 {
    5 + seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) % 120
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_survives_sigkill() {
    let folder = TempDir::with_prefix("sandkeep-test.").expect("a folder");
    let data = folder.path().join("store");
    let ledger = Acknowledged::default();
    let mut endpoint = Endpoint::start(&data);
    endpoint.create_bucket().await;
    for round in 0..rounds("SANDKEEP_CRASH_ROUNDS", 4) {
        let mut writers = ledger.write(&endpoint.bucket(), WRITERS, round);
        acknowledged_more(&ledger, changes(round)).await;
        endpoint.kill();
        writers.shutdown().await;
        endpoint = Endpoint::start(&data);
        let wrong = ledger.judge(&*endpoint.bucket()).await.expect("the server answers");
        assert!(wrong.is_empty(), "round {round}: {wrong:#?}");
        endpoint.stop();
        check(&data);
        endpoint = Endpoint::start(&data);
    }
    endpoint.stop();
}

/// Writes, cuts the power, and returns what is missing afterwards.
async fn cut(disk: &mut PowerDisk, ledger: &Acknowledged, seed: u64, loss: Loss) -> Vec<String> {
    let data = disk.directory().join("store");
    let endpoint = Endpoint::start(&data);
    let mut writers = ledger.write(&endpoint.bucket(), WRITERS, seed);
    acknowledged_more(ledger, changes(seed)).await;
    disk.cut(loss);
    // From here on nothing is acknowledged: a sync fails.
    endpoint.kill();
    writers.shutdown().await;
    disk.restart();
    let endpoint = Endpoint::start(&data);
    let wrong = ledger.judge(&*endpoint.bucket()).await.expect("the server answers");
    endpoint.stop();
    wrong
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_survives_a_power_cut() {
    let mut disk = PowerDisk::new(DISK);
    let ledger = Acknowledged::default();
    let data = disk.directory().join("store");
    let endpoint = Endpoint::start(&data);
    endpoint.create_bucket().await;
    endpoint.stop();
    for seed in 0..rounds("SANDKEEP_POWER_CUTS", 4) {
        let loss = if seed % 2 == 0 { Loss::All } else { Loss::Some(seed) };
        let wrong = cut(&mut disk, &ledger, seed, loss).await;
        assert!(wrong.is_empty(), "seed {seed}, {loss:?}: {wrong:#?}");
        check(&data);
    }
}

/// The test above sees what a store loses that does not sync: on a disk that acknowledges flushes and does nothing,
/// our syncs are as good as none.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_lies_about_flushes_loses_what_was_acknowledged() {
    let mut disk = PowerDisk::new(DISK);
    let ledger = Acknowledged::default();
    let data = disk.directory().join("store");
    let endpoint = Endpoint::start(&data);
    endpoint.create_bucket().await;
    endpoint.stop();
    disk.lie();
    let wrong = cut(&mut disk, &ledger, 7, Loss::All).await;
    assert!(!wrong.is_empty(), "nothing was lost, so the test of power cuts proves nothing");
}
