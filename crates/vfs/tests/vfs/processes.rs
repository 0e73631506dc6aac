//! This test binary, started again in another role: servers that are killed, clients that touch a mount.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use sandkeep_vfs::{Connection, Negotiated, Server, Takeover};

use crate::probe::{DATA, DATA_LENGTH, Probe, SLOW, pattern};

/// Nothing here takes long; who takes this long hangs.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);
const ROLE: &str = "SANDKEEP_VFS_TEST_ROLE";
const ARGUMENT: &str = "SANDKEEP_VFS_TEST_ARGUMENT";

/// A child that does not outlive its test.
pub(crate) struct Process(pub(crate) Child);

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Process {
    pub(crate) fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    /// Ends within the limit; the code it ends with (none: killed).
    pub(crate) fn wait(mut self) -> Option<i32> {
        let (sender, receiver) = channel();
        let stdout = self.0.stdout.take();
        let pid = rustix::process::Pid::from_child(&self.0);
        std::thread::spawn(move || {
            // A child that ends closes its output; waiting for that leaves the reaping to us.
            if let Some(mut stdout) = stdout {
                let _ = stdout.read_to_end(&mut Vec::new());
            }
            let _ = sender.send(());
        });
        receiver.recv_timeout(LIMIT).unwrap_or_else(|_| panic!("process {pid:?} still runs"));
        self.0.wait().unwrap().code()
    }
}

fn again(role: &str, argument: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "processes::plays_its_role", "--nocapture"])
        .env(ROLE, role)
        .env(ARGUMENT, argument);
    command
}

/// Not a test by itself: what the children of other tests run.
#[test]
fn plays_its_role() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let argument = std::env::var(ARGUMENT).unwrap();
    match role.as_str() {
        "server" => serve(&argument),
        "client" => work(Path::new(&argument)),
        "slow-reader" => read_slow(Path::new(&argument)),
        "slow-syncer" => sync_slow(Path::new(&argument)),
        other => panic!("no role {other}"),
    }
}

/// Starts a server on a connection that somebody else holds too. `holds`: it never answers slow reads.
pub(crate) fn server(connection: Connection, takeover: Takeover, holds: bool) -> Process {
    let Connection { device, negotiated: agreed, requests } = connection;
    let Negotiated { minor, flags, max_write } = agreed;
    let crashed = takeover == Takeover::AfterCrash;
    let remembers = requests.is_some();
    let argument = format!(
        "{minor} {flags} {max_write} {} {} {}",
        u8::from(crashed),
        u8::from(holds),
        u8::from(remembers)
    );
    let mut command = again("server", &argument);
    // Standard error is the one other descriptor that a child can be given without unsafe code.
    if let Some(requests) = requests {
        command.stderr(requests);
    }
    Process(command.stdin(device).stdout(Stdio::piped()).spawn().unwrap())
}

fn serve(argument: &str) {
    let numbers: Vec<u64> = argument.split(' ').map(|number| number.parse().unwrap()).collect();
    let negotiated = Negotiated { minor: numbers[0] as u32, flags: numbers[1], max_write: numbers[2] as u32 };
    let takeover = if numbers[3] == 1 { Takeover::AfterCrash } else { Takeover::Fresh };
    let device = std::io::stdin().as_fd().try_clone_to_owned().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let (probe, seen) = Probe::new();
    if numbers[4] == 0 {
        probe.release(1000);
    }
    std::thread::spawn(move || seen.iter().try_for_each(|what| writeln!(std::io::stdout(), "{what:?}")));
    let server = Server::start(2, runtime.handle().clone()).unwrap();
    let requests = (numbers[5] == 1).then(|| std::io::stderr().as_fd().try_clone_to_owned().unwrap());
    let session = server.serve(Connection { device, negotiated, requests }, probe, takeover).unwrap();
    runtime.block_on(session.ended());
}

impl Process {
    /// Waits until the server has begun to answer a slow read.
    pub(crate) fn reads_slowly(&mut self) {
        let stdout = self.0.stdout.as_mut().unwrap();
        let begun = BufReader::new(stdout).lines().map_while(Result::ok).any(|line| line == "ReadStarted");
        assert!(begun, "the server ended early");
    }

    /// Whether a thread of it sleeps so that no signal wakes it: the kernel has sent its interrupt, and waits
    /// for the answer.
    pub(crate) fn is_past_interruption(&self) -> bool {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.0.id())).unwrap();
        let status =
            |task: std::fs::DirEntry| std::fs::read_to_string(task.path().join("status")).unwrap_or_default();
        tasks.map(|task| status(task.unwrap())).any(|status| status.contains("State:\tD"))
    }
}

/// A process that reads all the time and tells of each round.
pub(crate) struct Client {
    process: Process,
    stdin: ChildStdin,
    rounds: Receiver<()>,
}

impl Client {
    pub(crate) fn start(directory: &Path) -> Self {
        let mut command = again("client", directory.to_str().unwrap());
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (stdin, stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let (sender, rounds) = channel();
        std::thread::spawn(move || {
            let lines = BufReader::new(stdout).lines().map_while(Result::ok);
            lines.filter(|line| line == "round").map_while(|_| sender.send(()).ok()).count()
        });
        Self { process: Process(child), stdin, rounds }
    }

    /// Waits until it has done a whole round from now on.
    pub(crate) fn round(&self) {
        while self.rounds.try_recv().is_ok() {}
        for _ in 0..2 {
            self.rounds.recv_timeout(LIMIT).expect("the client goes on");
        }
    }

    /// It met no error.
    pub(crate) fn finish(self) {
        drop(self.stdin);
        assert_eq!(self.process.wait(), Some(0), "the client met an error");
    }
}

fn work(directory: &Path) {
    let stop = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&stop);
    std::thread::spawn(move || {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        seen.store(true, Ordering::Relaxed);
    });
    for round in 0_u64.. {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        assert_eq!(std::fs::read_dir(directory).unwrap().map(Result::unwrap).count(), 5);
        let file = std::fs::OpenOptions::new().read(true).write(true).open(directory.join(DATA)).unwrap();
        assert_eq!(file.metadata().unwrap().len(), DATA_LENGTH);
        let offset = round * 7_919 % (DATA_LENGTH - 100_000);
        let mut bytes = vec![0; 100_000];
        file.read_exact_at(&mut bytes, offset).unwrap();
        assert!(bytes == pattern(offset, bytes.len()), "the bytes are those of the file");
        file.write_all_at(&bytes, offset).unwrap();
        std::io::stdout().write_all(b"round\n").unwrap();
    }
}

pub(crate) fn slow_reader(directory: &Path) -> Process {
    let mut command = again("slow-reader", directory.to_str().unwrap());
    Process(command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap())
}

fn read_slow(directory: &Path) {
    let mut bytes = [0; 1000];
    std::fs::File::open(directory.join(SLOW)).unwrap().read_exact_at(&mut bytes, 5).unwrap();
    assert!(bytes[..] == pattern(5, 1000), "the bytes are those of the file");
}

pub(crate) fn slow_syncer(directory: &Path) -> Process {
    let mut command = again("slow-syncer", directory.to_str().unwrap());
    Process(command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap())
}

fn sync_slow(directory: &Path) {
    std::fs::File::open(directory.join(SLOW)).unwrap().sync_all().unwrap();
}
