//! The life of connections, whichever listener they come from.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::guests::Guests;
use crate::operations::{Endpoint, answer};
use crate::tls::Tls;

/// How long a request's head may take to arrive, and an idle connection stays open.
const HEAD_TIMEOUT: Duration = Duration::from_secs(60);

/// How long requests in progress may take when the endpoint stops.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// How long to wait after a failure to accept, mostly a lack of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What a new connection meets.
#[derive(Clone)]
struct Greeting {
    endpoint: Arc<Endpoint>,
    tls: Option<Arc<Tls>>,
}

/// The tasks behind a listener. Dropping it ends them at once.
#[derive(Debug)]
pub(crate) struct Connections(Life);

/// What ends the tasks of an endpoint.
#[derive(Clone, Debug)]
struct Life {
    /// No new connections and requests.
    stopping: CancellationToken,
    /// No old ones either.
    ended: CancellationToken,
    tasks: TaskTracker,
}

impl Connections {
    /// Accepts and serves, at most `limit` connections at once.
    pub(crate) fn start(
        listener: TcpListener,
        limit: usize,
        endpoint: Arc<Endpoint>,
        tls: Option<Arc<Tls>>,
    ) -> Self {
        let (stopping, ended) = (CancellationToken::new(), CancellationToken::new());
        let life = Life { stopping, ended, tasks: TaskTracker::new() };
        life.tasks.spawn(accept(listener, limit, Greeting { endpoint, tls }, life.clone()));
        Self(life)
    }

    /// Stops accepting, lets requests in progress finish for at most ten seconds, and returns.
    pub(crate) async fn stop(self) {
        self.0.stopping.cancel();
        self.0.tasks.close();
        if tokio::time::timeout(STOP_TIMEOUT, self.0.tasks.wait()).await.is_err() {
            tracing::warn!("requests are cut off");
            self.0.ended.cancel();
            self.0.tasks.wait().await;
        }
    }
}

impl Drop for Connections {
    fn drop(&mut self) {
        self.0.stopping.cancel();
        self.0.ended.cancel();
    }
}

async fn accept(listener: TcpListener, limit: usize, greeting: Greeting, life: Life) {
    let (room, guests) = (Arc::new(Semaphore::new(limit)), Guests::default());
    loop {
        let accepted = tokio::select! {
            () = life.stopping.cancelled() => return,
            accepted = accept_one(&listener, &room) => accepted,
        };
        let Some((stream, peer, permit)) = accepted else { continue };
        // Those who have too many are let go rather than kept waiting among the others.
        let Some(place) = guests.admit(peer.ip()) else {
            tracing::debug!(%peer, "a client has too many connections");
            continue;
        };
        let (greeting, life) = (greeting.clone(), life.clone());
        let tasks = life.tasks.clone();
        tasks.spawn(async move {
            greet(stream, greeting, &life).await;
            drop((place, permit));
        });
    }
}

async fn accept_one(
    listener: &TcpListener,
    room: &Arc<Semaphore>,
) -> Option<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let permit = Arc::clone(room).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, peer)) => Some((stream, peer, permit)),
        Err(error) => {
            tracing::warn!(%error, "cannot accept a connection");
            tokio::time::sleep(ACCEPT_PAUSE).await;
            None
        }
    }
}

async fn greet(stream: TcpStream, greeting: Greeting, life: &Life) {
    // Otherwise answers of more than one segment wait 40 ms for the client's delayed acknowledgement.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "cannot set TCP_NODELAY");
    }
    let Greeting { endpoint, tls } = greeting;
    let Some(tls) = tls else { return serve(stream, endpoint, life).await };
    match tokio::time::timeout(HEAD_TIMEOUT, tls.acceptor().accept(stream)).await {
        Ok(Ok(stream)) => serve(stream, endpoint, life).await,
        Ok(Err(error)) => tracing::debug!(%error, "a client could not be greeted with TLS"),
        Err(_) => tracing::debug!("a client was too slow for TLS"),
    }
}

async fn serve<S>(stream: S, endpoint: Arc<Endpoint>, life: &Life)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let endpoint = Arc::clone(&endpoint);
        async move { Ok::<_, std::convert::Infallible>(answer(&endpoint, request).await) }
    });
    let mut connection = std::pin::pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .serve_connection(TokioIo::new(stream), service)
    );
    let outcome = tokio::select! {
        outcome = connection.as_mut() => outcome,
        () = life.stopping.cancelled() => {
            connection.as_mut().graceful_shutdown();
            tokio::select! {
                outcome = connection.as_mut() => outcome,
                () = life.ended.cancelled() => return,
            }
        }
    };
    if let Err(error) = outcome {
        tracing::debug!(%error, "a connection ended");
    }
}
