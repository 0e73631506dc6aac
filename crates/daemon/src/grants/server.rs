//! The gateway's side: keeps an endpoint for each sandbox that has grants.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::{SocketFlags, accept_with};
use sandkeep_gateway::{ALL_REQUESTS, FairQueue, SandboxEndpoint, SandboxLimits};
use sandkeep_objects::PlacedService;
use tokio::sync::watch;

use super::buckets;
use super::protocol::{Answer, Elsewhere, Request};
use super::{GrantsById, Limits};
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
    service: PlacedService,
    served: Mutex<BTreeMap<String, Served>>,
    configured: watch::Sender<bool>,
    /// As the last daemon said; none: nobody did.
    elsewhere: Mutex<Option<Option<Elsewhere>>>,
    queue: FairQueue,
}

/// Takes requests at `socket` on the current tokio runtime, for as long as the process lives. What is returned becomes
/// true when the daemon has said where buckets are.
pub(crate) fn serve(socket: OwnedFd, service: PlacedService) -> io::Result<watch::Receiver<bool>> {
    let (configured, is_configured) = watch::channel(false);
    let endpoints = Arc::new(Endpoints {
        service,
        served: Mutex::default(),
        configured,
        elsewhere: Mutex::default(),
        queue: FairQueue::new(ALL_REQUESTS),
    });
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
    std::thread::Builder::new().name("grants".into()).spawn(accept)?;
    Ok(is_configured)
}

async fn answer(endpoints: Arc<Endpoints>, connection: OwnedFd) {
    let answered = async {
        let channel = AsyncChannel::new(connection)?;
        let Some((request, descriptors)) = channel.receive().await? else { return Ok(()) };
        let answer = match request {
            Request::Configure { elsewhere, sandbox_requests } => {
                endpoints.queue.set_total(sandbox_requests);
                endpoints.configure(elsewhere)
            }
            Request::Serve { .. } | Request::Close { .. } | Request::List => {
                endpoints.handle(request, descriptors)
            }
            request => buckets::answer(&endpoints.service, request).await,
        };
        channel.send(&answer, &[]).await
    };
    if let Err(error) = answered.await {
        tracing::warn!(%error, "a request of the daemon was not answered");
    }
}

impl Endpoints {
    /// A daemon that says the same as the one before disturbs no move of a bucket.
    fn configure(&self, elsewhere: Option<Elsewhere>) -> Answer {
        let mut known = self.elsewhere.lock().unwrap_or_else(PoisonError::into_inner);
        if known.as_ref() != Some(&elsewhere) {
            if let Err(error) = buckets::configure(&self.service, elsewhere.clone()) {
                return Answer::Failed(chain(&error));
            }
            *known = Some(elsewhere);
        }
        self.configured.send_replace(true);
        Answer::Done
    }

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
            Request::Serve { sandbox, grants, limits } => {
                let entry = served.entry(sandbox);
                if descriptors.is_empty() && matches!(entry, Entry::Vacant(_)) {
                    return Answer::NeedsListener;
                }
                let replaced =
                    self.replace(entry, descriptors.pop().map(|listener| (listener, limits)), grants);
                replaced.map_or_else(|error| Answer::Failed(chain(&error)), |()| Answer::Done)
            }
            _ => Answer::Failed("this is not about sandboxes".to_owned()),
        }
    }

    fn replace(
        &self,
        entry: Entry<'_, String, Served>,
        listener: Option<(OwnedFd, Limits)>,
        grants: GrantsById,
    ) -> Result<(), sandkeep_gateway::Error> {
        let values = || grants.values().cloned().collect();
        match (entry, listener) {
            (Entry::Occupied(mut there), _) => {
                there.get().endpoint.grant(values())?;
                there.get_mut().grants = grants;
            }
            (Entry::Vacant(place), Some((listener, Limits { requests, bandwidth }))) => {
                let embedded = Arc::new(self.service.clone());
                let limits = SandboxLimits { requests, bandwidth };
                let endpoint =
                    SandboxEndpoint::start(TcpListener::from(listener), embedded, limits, &self.queue)?;
                endpoint.grant(values())?;
                place.insert(Served { endpoint, grants });
            }
            (Entry::Vacant(_), None) => {}
        }
        Ok(())
    }
}
