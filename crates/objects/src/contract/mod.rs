//! What every [`ObjectStore`] must do, as checks that panic where one does not.
//!
//! An implementer calls [`run`] from a test; a service with buckets calls [`run_service`]. Each check gets a store of
//! its own. What stores may do differently (times, upload ids, limits) is not checked.

mod bodies;
mod buckets;
mod conditions;
mod copies;
mod deletions;
mod fixture;
mod keys;
mod listings;
mod multipart;
mod objects;
mod own;
mod ranges;

use std::sync::Arc;

use futures::future::BoxFuture;

use crate::{ObjectService, ObjectStore};

use fixture::Fixture;
pub use own::{run_own, run_tags};

/// Parts that every server takes: S3's minimum for all but the last.
const PART: usize = 5 << 20;

type Check = (&'static str, fn(Fixture) -> BoxFuture<'static, ()>);

/// Lists checks by name, so that a failure tells which one it was.
macro_rules! checks {
    ($($module:ident: $($name:ident),+;)+) => {
        &[$($((concat!(stringify!($module), "::", stringify!($name)), |fixture| Box::pin($module::$name(fixture))),)+)+]
    };
}

const CHECKS: &[Check] = checks! {
    objects: bytes_are_kept, an_object_is_replaced, metadata_are_kept, a_missing_object_is_told;
    keys: any_bytes_are_a_key, a_key_beside_a_key_below_it;
    ranges: ranges_are_cut, ranges_outside_are_refused;
    listings: keys_come_in_order_page_by_page, a_delimiter_groups, listings_start_after, prefixes_are_bytes,
        entries_tell_size_and_tag;
    conditions: reads_are_conditional, writes_are_conditional, one_of_many_creators_wins;
    deletions: deleting_twice_succeeds, many_are_deleted_at_once;
    copies: a_copy_takes_metadata_or_not, copies_are_conditional, a_missing_source_is_told;
    multipart: parts_become_an_object, a_part_is_replaced, wrong_parts_are_refused, uploads_are_listed_and_aborted,
        unknown_uploads_are_told, parts_are_copied, completions_are_conditional;
    bodies: streams_are_kept, bodies_of_a_wrong_length_are_refused, failing_bodies_publish_nothing,
        readers_keep_what_they_opened;
};

/// Runs every check, each on a fresh empty store that `make` makes.
///
/// # Panics
/// If the store does not keep the contract.
pub async fn run<F, Made>(make: F)
where
    F: Fn() -> Made,
    Made: Future<Output = Arc<dyn ObjectStore>>,
{
    for (name, check) in CHECKS {
        tracing::debug!(check = name, "contract of object stores");
        let fixture = Fixture::new(name, make().await);
        check(fixture).await;
    }
}

/// Runs every check of [`run`], each in a bucket of its own, and those about buckets.
///
/// # Panics
/// If the service does not keep the contract.
pub async fn run_service(service: Arc<dyn ObjectService>) {
    buckets::buckets_come_and_go(&*service).await;
    buckets::objects_are_copied_between_buckets(&*service).await;
    let count = std::sync::atomic::AtomicUsize::new(0);
    run(|| {
        let number = count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let service = &service;
        async move { buckets::fresh(&**service, &format!("contract-{number}")).await }
    })
    .await;
}
