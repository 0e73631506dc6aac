//! Random sequences of operations against a plain model, also over a store that fails; the same seed is the same run.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;

use proptest::prelude::*;

use crate::store::{Verdict, server, unreachable};
use crate::world::{Mounted, World, noise};

/// Files that operations are about.
const NAMES: [&str; 4] = ["a", "b", "d/c", "d/e"];

#[derive(Clone, Debug)]
enum Operation {
    Replace(usize, usize, u64),
    Overwrite(usize, u64, usize, u64),
    Append(usize, usize, u64),
    Truncate(usize, u64),
    Rename(usize, usize),
    Remove(usize),
    Read(usize),
}

/// Sizes on both sides of the part size, which is 1 MiB here.
fn any_size() -> impl Strategy<Value = usize> {
    prop_oneof![4 => 0usize..5000, 1 => 1_000_000usize..2_500_000]
}

fn any_operation() -> impl Strategy<Value = Operation> {
    let file = || 0..NAMES.len();
    prop_oneof![
        3 => (file(), any_size(), any::<u64>()).prop_map(|(f, size, seed)| Operation::Replace(f, size, seed)),
        3 => (file(), 0u64..2_000_000, any_size(), any::<u64>())
            .prop_map(|(f, at, size, seed)| Operation::Overwrite(f, at, size, seed)),
        2 => (file(), any_size(), any::<u64>()).prop_map(|(f, size, seed)| Operation::Append(f, size, seed)),
        2 => (file(), 0u64..2_500_000).prop_map(|(f, size)| Operation::Truncate(f, size)),
        2 => (file(), file()).prop_map(|(from, to)| Operation::Rename(from, to)),
        1 => file().prop_map(Operation::Remove),
        2 => file().prop_map(Operation::Read),
    ]
}

type Model = BTreeMap<usize, Vec<u8>>;

/// What a file system without faults makes of it; none where the operation must fail.
fn apply(model: &mut Model, operation: &Operation) -> Option<()> {
    match *operation {
        Operation::Replace(file, size, seed) => {
            model.insert(file, noise(size, seed));
        }
        Operation::Overwrite(file, at, size, seed) => {
            let content = model.get_mut(&file)?;
            let end = at as usize + size;
            if size > 0 {
                content.resize(content.len().max(end), 0);
                content[at as usize..end].copy_from_slice(&noise(size, seed));
            }
        }
        Operation::Append(file, size, seed) => model.get_mut(&file)?.extend(noise(size, seed)),
        Operation::Truncate(file, size) => model.get_mut(&file)?.resize(size as usize, 0),
        Operation::Rename(from, to) => {
            let content = model.remove(&from)?;
            model.insert(to, content);
        }
        Operation::Remove(file) => {
            model.remove(&file)?;
        }
        Operation::Read(file) => {
            model.get(&file)?;
        }
    }
    Some(())
}

/// Does it for real; errors of close come by fsync, which Rust's `File` does not swallow.
fn perform(mount: &Mounted, operation: &Operation) -> std::io::Result<()> {
    let path = |file: usize| mount.path(NAMES[file]);
    let change = |file: usize, work: &dyn Fn(&fs::File) -> std::io::Result<()>| {
        let file = OpenOptions::new().write(true).open(path(file))?;
        work(&file)?;
        file.sync_all()
    };
    match *operation {
        Operation::Replace(file, size, seed) => {
            let file = fs::File::create(path(file))?;
            file.write_all_at(&noise(size, seed), 0)?;
            file.sync_all()
        }
        Operation::Overwrite(file, at, size, seed) => {
            change(file, &|file| file.write_all_at(&noise(size, seed), at))
        }
        Operation::Append(file, size, seed) => {
            change(file, &|file| file.write_all_at(&noise(size, seed), file.metadata()?.len()))
        }
        Operation::Truncate(file, size) => change(file, &|file| file.set_len(size)),
        Operation::Rename(from, to) => fs::rename(path(from), path(to)),
        Operation::Remove(file) => fs::remove_file(path(file)),
        Operation::Read(file) => fs::read(path(file)).map(|_| ()),
    }
}

fn start() -> (World, Mounted) {
    let world = World::new();
    let mount = world.mount();
    fs::create_dir(mount.path("d")).unwrap();
    (world, mount)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn a_mount_and_its_bucket_follow_the_model(operations in proptest::collection::vec(any_operation(), 1..25)) {
        let (world, mount) = start();
        let mut model = Model::new();
        for operation in &operations {
            let expected = apply(&mut model, operation);
            let outcome = perform(&mount, operation);
            prop_assert_eq!(outcome.is_ok(), expected.is_some(), "{:?}: {:?}", operation, outcome);
            for (index, name) in NAMES.iter().enumerate() {
                let seen = fs::read(mount.path(name)).ok();
                prop_assert!(seen.as_ref() == model.get(&index), "{} after {:?}", name, operation);
            }
        }
        mount.close();
        for (index, name) in NAMES.iter().enumerate() {
            prop_assert!(world.get(name).as_ref() == model.get(&index), "{} in the bucket", name);
        }
        world.await_no_uploads();
    }

    /// What was acknowledged is there; what failed is there whole or not at all.
    #[test]
    fn faults_lose_nothing_acknowledged(
        operations in proptest::collection::vec(any_operation(), 1..20), seed: u64, rate in 2u64..8,
    ) {
        let (world, mount) = start();
        // What each file may be: after a failure, as it was or as it was to be.
        let mut possible = vec![Model::new()];
        let mut requests = seed;
        world.store.script(move |_| {
            requests = requests.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            match (requests >> 33) % (rate * 4) {
                0 => Verdict::Fail(server(503)),
                1 => Verdict::Fail(unreachable()),
                2 => Verdict::Lose(unreachable()),
                3 => Verdict::Cut,
                _ => Verdict::Pass,
            }
        });
        for operation in &operations {
            let outcome = perform(&mount, operation);
            let after: Vec<Model> = possible.iter().map(|model| {
                let mut model = model.clone();
                apply(&mut model, operation);
                model
            }).collect();
            match outcome {
                Ok(()) => possible = after,
                // A rename that fails after its copy leaves both names.
                Err(_) => {
                    if let Operation::Rename(from, to) = *operation {
                        let both: Vec<Model> = possible.iter().filter_map(|model| {
                            let mut model = model.clone();
                            let content = model.get(&from)?.clone();
                            model.insert(to, content);
                            Some(model)
                        }).collect();
                        possible.extend(both);
                    }
                    if let Operation::Replace(file, ..) = *operation {
                        // Opening it emptied it, which a lost answer may have published.
                        possible.extend(possible.clone().into_iter().map(|mut model| { model.insert(file, Vec::new()); model }));
                    }
                    possible.extend(after);
                }
            }
            possible.dedup();
            if possible.len() > 64 { break; }
        }
        world.store.heal();
        mount.close();
        for (index, name) in NAMES.iter().enumerate() {
            let stored = world.get(name);
            prop_assert!(possible.iter().any(|model| model.get(&index) == stored.as_ref()),
                "{}: {:?} bytes, {:?}", name, stored.as_ref().map(Vec::len),
                possible.iter().map(|model| model.get(&index).map(Vec::len)).collect::<Vec<_>>());
        }
    }
}
