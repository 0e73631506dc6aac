//! The gateway's side: keeps an endpoint for each sandbox that has grants.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io;
use std::net::TcpListener;
use std::num::NonZeroUsize;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::{SocketFlags, accept_with};
use sandkeep_gateway::SandboxEndpoint;
use sandkeep_objects::ObjectService;

use super::GrantsById;
use super::protocol::{Answer, Request};
use crate::volumes::chain;
use crate::volumes::channel::AsyncChannel;

/// After a failure to accept, mostly a lack of descriptors.
const RETRY_ACCEPT: Duration = Duration::from_millis(100);

#[derive(Debug)]
struct Served {
    endpoint: SandboxEndpoint,
    grants: GrantsById,
}

/// All endpoints inside sandboxes.
#[derive(Debug)]
struct Endpoints {
    embedded: Arc<dyn ObjectService>,
    served: Mutex<BTreeMap<String, Served>>,
}

/// Takes requests at `socket` on the current tokio runtime, for as long as the process lives.
pub(crate) fn serve(socket: OwnedFd, embedded: Arc<dyn ObjectService>) -> io::Result<()> {
    let endpoints = Arc::new(Endpoints { embedded, served: Mutex::default() });
    let runtime = tokio::runtime::Handle::current();
    let accept = move || {
        loop {
            match accept_with(&socket, SocketFlags::CLOEXEC) {
                Ok(connection) => drop(runtime.spawn(answer(Arc::clone(&endpoints), connection))),
                // Not started by a daemon.
                Err(Errno::NOTSOCK) => return,
                Err(error) => {
                    tracing::warn!(%error, "a request of the daemon could not be taken");
                    std::thread::sleep(RETRY_ACCEPT);
                }
            }
        }
    };
    std::thread::Builder::new().name("grants".into()).spawn(accept).map(drop)
}

async fn answer(endpoints: Arc<Endpoints>, connection: OwnedFd) {
    let answered = async {
        let channel = AsyncChannel::new(connection)?;
        let Some((request, descriptors)) = channel.receive().await? else { return Ok(()) };
        channel.send(&endpoints.handle(request, descriptors), &[]).await
    };
    if let Err(error) = answered.await {
        tracing::warn!(%error, "a request of the daemon was not answered");
    }
}

impl Endpoints {
    fn handle(&self, request: Request, mut descriptors: Vec<OwnedFd>) -> Answer {
        // Every change is one insertion, removal or assignment.
        let mut served = self.served.lock().unwrap_or_else(PoisonError::into_inner);
        match request {
            Request::List => Answer::Served(
                served.iter().map(|(name, served)| (name.clone(), served.grants.clone())).collect(),
            ),
            Request::Close { sandbox } => {
                served.remove(&sandbox);
                Answer::Done
            }
            Request::Serve { sandbox, grants, requests } => {
                let entry = served.entry(sandbox);
                if descriptors.is_empty() && matches!(entry, Entry::Vacant(_)) {
                    return Answer::NeedsListener;
                }
                let replaced =
                    self.replace(entry, descriptors.pop().map(|listener| (listener, requests)), grants);
                replaced.map_or_else(|error| Answer::Failed(chain(&error)), |()| Answer::Done)
            }
        }
    }

    fn replace(
        &self,
        entry: Entry<'_, String, Served>,
        listener: Option<(OwnedFd, NonZeroUsize)>,
        grants: GrantsById,
    ) -> Result<(), sandkeep_gateway::Error> {
        let values = || grants.values().cloned().collect();
        match (entry, listener) {
            (Entry::Occupied(mut there), _) => {
                there.get().endpoint.grant(values())?;
                there.get_mut().grants = grants;
            }
            (Entry::Vacant(place), Some((listener, requests))) => {
                let embedded = Arc::clone(&self.embedded);
                let endpoint = SandboxEndpoint::start(TcpListener::from(listener), embedded, requests)?;
                endpoint.grant(values())?;
                place.insert(Served { endpoint, grants });
            }
            (Entry::Vacant(_), None) => {}
        }
        Ok(())
    }
}
