//! Mounts outlive their servers: in order by draining, and after SIGKILL by what is found in the memory of requests, or,
//! without it, by sending requests again.

use std::os::fd::OwnedFd;
use std::sync::mpsc::Receiver;

use sandkeep_fuse::abi::init::HAS_RESEND;
use sandkeep_vfs::conformance::TestMount;
use sandkeep_vfs::{Connection, Mounted, Negotiated, Server, Takeover, mount, request_memory};

use crate::probe::{Probe, Seen};
use crate::processes::{Client, LIMIT, server, slow_reader};

struct Held {
    mount: TestMount,
    device: OwnedFd,
    negotiated: Negotiated,
    requests: Option<OwnedFd>,
}

/// How a successor comes to the requests that its predecessor had read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Healing {
    ByMemory,
    /// From Linux 6.9 on.
    ByKernel,
}

use Healing::{ByKernel, ByMemory};

impl Held {
    fn new(healing: Healing) -> Self {
        let Mounted { connection: Connection { device, negotiated, .. }, mount } =
            mount(&TestMount::options()).unwrap();
        let requests = (healing == ByMemory).then(|| request_memory().unwrap());
        Self { mount: TestMount::attach(&mount).unwrap(), device, negotiated, requests }
    }

    fn can_heal(&self) -> bool {
        self.requests.is_some() || self.negotiated.flags & HAS_RESEND != 0
    }

    fn connection(&self) -> Connection {
        let requests = self.requests.as_ref().map(|memory| memory.try_clone().unwrap());
        Connection { device: self.device.try_clone().unwrap(), negotiated: self.negotiated, requests }
    }

    fn server(&self, takeover: Takeover, holds: bool) -> crate::processes::Process {
        server(self.connection(), takeover, holds)
    }
}

fn expect(seen: &Receiver<Seen>, expected: Seen) {
    assert_eq!(seen.recv_timeout(LIMIT).expect("something happens"), expected);
}

#[test]
fn killed_servers_are_replaced_without_an_error() {
    let check = |healing| {
        let held = Held::new(healing);
        if !held.can_heal() {
            return;
        }
        let clients: Vec<_> = (0..3).map(|_| Client::start(held.mount.directory())).collect();
        let mut serving = held.server(Takeover::Fresh, true);
        clients.iter().for_each(Client::round);
        for _ in 0..8 {
            serving.kill();
            serving = held.server(Takeover::AfterCrash, true);
            clients.iter().for_each(Client::round);
        }
        clients.into_iter().for_each(Client::finish);
    };
    check(ByMemory);
    check(ByKernel);
}

#[test]
fn a_request_that_died_with_its_server_is_answered_by_the_next() {
    let check = |healing| {
        let held = Held::new(healing);
        if !held.can_heal() {
            return;
        }
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let client = Client::start(held.mount.directory());
        let mut serving = held.server(Takeover::Fresh, true);
        client.round();
        let reader = slow_reader(held.mount.directory());
        serving.reads_slowly();
        serving.kill();
        let (probe, seen) = Probe::new();
        let second = Server::start(2, runtime.handle().clone()).unwrap();
        let _session = second.serve(held.connection(), probe.clone(), Takeover::AfterCrash).unwrap();
        expect(&seen, Seen::ReadStarted);
        probe.release(1);
        assert_eq!(reader.wait(), Some(0), "the reader got its bytes");
        client.round();
        client.finish();
        drop(held);
        runtime.shutdown_background();
    };
    check(ByMemory);
    check(ByKernel);
}

#[test]
fn a_drained_connection_is_served_by_the_next() {
    let held = Held::new(ByMemory);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let server = Server::start(2, runtime.handle().clone()).unwrap();
    let (first, _) = Probe::new();
    let mut session = server.serve(held.connection(), first, Takeover::Fresh).unwrap();
    let clients: Vec<_> = (0..3).map(|_| Client::start(held.mount.directory())).collect();
    for _ in 0..10 {
        clients.iter().for_each(Client::round);
        let connection = runtime.block_on(session.drain()).unwrap();
        assert_eq!(connection.negotiated, held.negotiated);
        let (next, _) = Probe::new();
        session = server.serve(connection, next, Takeover::AfterDrain).unwrap();
    }
    clients.into_iter().for_each(Client::finish);
    drop(held);
    runtime.shutdown_background();
}

#[test]
fn draining_waits_for_what_was_read() {
    let held = Held::new(ByMemory);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let server = Server::start(2, runtime.handle().clone()).unwrap();
    let (probe, seen) = Probe::new();
    let session = server.serve(held.connection(), probe.clone(), Takeover::Fresh).unwrap();
    let reader = slow_reader(held.mount.directory());
    expect(&seen, Seen::ReadStarted);
    let draining = runtime.spawn(session.drain());
    probe.release(1);
    let connection = runtime.block_on(draining).unwrap().unwrap();
    // The reader's close waits for whoever comes next.
    let (next, _) = Probe::new();
    let _session = server.serve(connection, next, Takeover::AfterDrain).unwrap();
    assert_eq!(reader.wait(), Some(0), "the reader got its bytes");
    drop(held);
    runtime.shutdown_background();
}
