//! The suite of `vfs` over a bucket, behind a real mount.

use sandkeep_objects::MemorySettings;
use sandkeep_vfs::conformance::{Failure, Features, run};

use crate::world::World;

/// What a bucket cannot do; `docs/semantics.md` gives the reasons.
const FEATURES: Features =
    Features { hard_links: false, rename_exchange: false, sparse: false, ..Features::ALL };

fn check(world: &World) {
    let mount = world.mount();
    let failures = run(&mount.path(""), FEATURES);
    let listed: Vec<String> =
        failures.iter().map(|Failure { case, problem }| format!("{case}: {problem}")).collect();
    assert!(listed.is_empty(), "{} cases do not hold:\n{}", listed.len(), listed.join("\n"));
    mount.close();
    assert_eq!(world.keys(), [""; 0]);
    world.await_no_uploads();
}

#[test]
fn a_bucket_passes_every_case() {
    check(&World::new());
}

#[test]
fn a_bucket_that_lists_no_metadata_passes_every_case() {
    check(&World::with(MemorySettings { lists_metadata: false, ..MemorySettings::default() }));
}
