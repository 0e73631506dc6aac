//! Mounts outlive their servers: in order by draining, and after SIGKILL by sending requests again.

use std::os::fd::OwnedFd;
use std::sync::mpsc::Receiver;

use sandkeep_fuse::abi::init::HAS_RESEND;
use sandkeep_vfs::conformance::TestMount;
use sandkeep_vfs::{Connection, Mounted, Negotiated, Server, Takeover, mount};

use crate::probe::{Probe, Seen};
use crate::processes::{Client, LIMIT, server, slow_reader};

struct Held {
    mount: TestMount,
    device: OwnedFd,
    negotiated: Negotiated,
}

impl Held {
    fn new() -> Self {
        let Mounted { connection: Connection { device, negotiated }, mount } =
            mount(&TestMount::options()).unwrap();
        Self { mount: TestMount::attach(&mount).unwrap(), device, negotiated }
    }

    fn connection(&self) -> Connection {
        Connection { device: self.device.try_clone().unwrap(), negotiated: self.negotiated }
    }

    fn server(&self, takeover: Takeover, holds: bool) -> crate::processes::Process {
        server(self.device.try_clone().unwrap(), self.negotiated, takeover, holds)
    }
}

fn expect(seen: &Receiver<Seen>, expected: Seen) {
    assert_eq!(seen.recv_timeout(LIMIT).expect("something happens"), expected);
}

#[test]
fn killed_servers_are_replaced_without_an_error() {
    let held = Held::new();
    if held.negotiated.flags & HAS_RESEND == 0 {
        // Kernels before 6.9 cannot send requests again; see docs/decisions.
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
}

#[test]
fn a_request_that_died_with_its_server_is_answered_by_the_next() {
    let held = Held::new();
    if held.negotiated.flags & HAS_RESEND == 0 {
        return;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
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
}

#[test]
fn a_drained_connection_is_served_by_the_next() {
    let held = Held::new();
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
    let held = Held::new();
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
#[test]
fn zz_stress() {
    if std::env::var("STRESS").is_err() {
        return;
    }
    let held = Held::new();
    let clients: Vec<_> = (0..6).map(|_| Client::start(held.mount.directory())).collect();
    let mut serving = held.server(Takeover::Fresh, true);
    for k in 0..400u64 {
        std::thread::sleep(std::time::Duration::from_micros(3000 + k * 7919 % 15000));
        serving.kill();
        serving = held.server(Takeover::AfterCrash, true);
    }
    clients.iter().for_each(Client::round);
    clients.into_iter().for_each(Client::finish);
}
