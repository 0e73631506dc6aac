//! Listing ahead of a walk, never far.

use std::sync::Arc;

use futures::{StreamExt, stream};
use sandkeep_objects::ListRequest;

use super::builder::Builder;
use super::{Walk, Walked};
use crate::core::Core;
use crate::listing::Child;
use crate::remote::list_failed;

/// Names listed and not yet taken, beyond which nothing more is listed.
const MAX_NAMES: usize = 4_000;

/// Objects whose attributes are asked for one by one, likewise: what waits for them gets old meanwhile.
const MAX_ASKED: usize = 200;

/// Keys of a page while that is so.
const SHORT_PAGE: u32 = 200;

/// Lists page after page until the walk stops or the tree ends.
pub(super) async fn run(core: Arc<Core>, walk: Arc<Walk>) {
    let mut builder = Builder::new(&walk.root, &walk.prefix);
    let mut continuation = None;
    let mut limit = SHORT_PAGE;
    while has_room(&core, &walk).await {
        let fetched = core.clock.monotonic();
        let request = ListRequest {
            prefix: walk.prefix.clone(),
            start_after: if continuation.is_none() { walk.start.clone() } else { Vec::new() },
            continuation,
            limit,
            ..ListRequest::default()
        };
        let page = {
            let Ok(_request) = core.request().await else { break };
            match core.store.list(request).await {
                Ok(page) => page,
                // Whoever needs a listing asks for it alone, and learns why it fails.
                Err(error) => {
                    list_failed(&walk.prefix, &error);
                    break;
                }
            }
        };
        continuation = page.next;
        // Where listings tell attributes, nothing has to wait.
        limit = if page.objects.iter().all(|object| object.metadata.is_some()) { 0 } else { SHORT_PAGE };
        let last = page.objects.last().map(|object| object.key.as_bytes().to_vec());
        for object in page.objects {
            let former = |path: &[u8]| core.table.at(path)?.state().directory.listing.clone();
            for (path, walked) in builder.add(object, fetched, &core.defaults, former) {
                publish(&core, &walk, path, walked);
            }
        }
        walk.state().reached = last.unwrap_or_default();
        walk.news.notify_waiters();
        if continuation.is_none() {
            for (path, walked) in builder.finish() {
                publish(&core, &walk, path, walked);
            }
            break;
        }
    }
    walk.end();
}

/// Waits until more is wanted; false once nobody walks any more.
async fn has_room(core: &Core, walk: &Walk) -> bool {
    loop {
        {
            let state = walk.state();
            if state.ended {
                return false;
            }
            if state.waiting > 0 || (state.names < MAX_NAMES && state.asked < MAX_ASKED) {
                return true;
            }
        }
        // What is not taken within the age is not believed any more.
        if tokio::time::timeout(core.settings.metadata_age, walk.room.notified()).await.is_err() {
            return false;
        }
    }
}

fn publish(core: &Arc<Core>, walk: &Arc<Walk>, path: Vec<u8>, walked: Walked) {
    let unknown: Vec<_> = walked
        .listing
        .children
        .iter()
        .filter_map(|(name, child)| match child {
            Child::Object(object) if object.known.get().is_none() => Some((name.clone(), Arc::clone(object))),
            _ => None,
        })
        .collect();
    {
        let mut state = walk.state();
        if state.changed.contains(&path) {
            return;
        }
        state.names += walked.listing.children.len();
        state.asked += unknown.len();
        state.done.insert(path.clone(), walked);
    }
    if unknown.is_empty() {
        return;
    }
    let (core, walk) = (Arc::clone(core), Arc::clone(walk));
    let runtime = core.runtime.clone();
    runtime.spawn(async move {
        let width = core.settings.metadata_requests.max(1);
        let learning = stream::iter(unknown).for_each_concurrent(width, |(name, object)| {
            let (core, walk, path) = (&core, &walk, &path);
            async move {
                if !walk.state().ended || walk.state().done.contains_key(path) {
                    // Whoever needs it asks again, and learns why it failed.
                    let _ = core.learn(path, &name, &object).await;
                }
                walk.state().asked -= 1;
                walk.room.notify_one();
            }
        });
        learning.await;
    });
}
