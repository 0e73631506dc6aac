//! What the transport promises, seen from both ends of a mount.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};

use rustix::io::Errno;
use sandkeep_vfs::conformance::{Served, TestMount};
use sandkeep_vfs::{Inode, MemoryFs, MountOptions, Mounted, Server, Takeover, abort, mount};

use crate::probe::{CACHED, DATA, PANICS, PANICS_LATER, Probe, SLOW, Seen, pattern};
use crate::processes::{LIMIT, slow_reader, slow_syncer};

const MIB: usize = 1 << 20;

fn probe() -> (Served, Arc<Probe>, Receiver<Seen>) {
    let (probe, seen) = Probe::new();
    (Served::start(probe.clone()).unwrap(), probe, seen)
}

fn expect(seen: &Receiver<Seen>, expected: Seen) {
    assert_eq!(seen.recv_timeout(LIMIT).expect("something happens"), expected);
}

/// Runs in a thread of its own, so that a hang fails the test, whose guard then aborts the mount.
fn limited<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let (sender, receiver) = channel();
    std::thread::spawn(move || sender.send(work()));
    receiver.recv_timeout(LIMIT).expect("the work ends in time")
}

#[test]
fn requests_of_one_mebibyte_reach_the_filesystem() {
    let (served, probe, _) = probe();
    let path = served.directory().join(DATA);
    limited(move || {
        let file = OpenOptions::new().read(true).write(true).open(path).unwrap();
        let mut bytes = vec![0; 4 * MIB];
        file.read_exact_at(&mut bytes, 77).unwrap();
        assert!(bytes == pattern(77, 4 * MIB), "the pieces of the answers are in order");
        file.write_all_at(&bytes, 77).unwrap();
    });
    assert_eq!(probe.largest_read.load(Ordering::Relaxed) as usize, MIB);
    assert_eq!(probe.largest_write.load(Ordering::Relaxed), MIB);
    assert!(
        probe.looked_up_in_reading_thread.load(Ordering::Relaxed),
        "ready answers come from the reading thread"
    );
    served.close().unwrap();
}

#[test]
fn a_killed_reader_ends_and_its_read_is_dropped() {
    let (served, _probe, seen) = probe();
    let reader = slow_reader(served.directory());
    expect(&seen, Seen::ReadStarted);
    limited(move || reader.kill());
    expect(&seen, Seen::ReadDropped);
    served.close().unwrap();
    expect(&seen, Seen::Detached);
}

#[test]
fn a_killed_writer_does_not_undo_its_change() {
    let (served, probe, seen) = probe();
    let mut syncer = slow_syncer(served.directory());
    expect(&seen, Seen::SyncStarted);
    syncer.0.kill().unwrap();
    let syncer = limited(move || {
        while !syncer.is_past_interruption() {
            std::thread::yield_now();
        }
        syncer
    });
    // Whatever comes after the interrupt is read after it.
    fs::metadata(served.directory().join(DATA)).unwrap();
    probe.release(1);
    expect(&seen, Seen::SyncFinished);
    limited(move || syncer.kill());
    served.close().unwrap();
}

fn check_panic(name: &'static str) {
    let (served, _probe, _seen) = probe();
    let (path, data) = (served.directory().join(name), served.directory().join(DATA));
    limited(move || {
        let error = File::open(path).unwrap().read_at(&mut [0; 10], 0).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(Errno::IO.raw_os_error()));
        File::open(data).unwrap().read_exact_at(&mut [0; 10], 0).unwrap();
    });
    served.close().unwrap();
}

#[test]
fn a_panic_answers_eio() {
    check_panic(PANICS);
}

#[test]
fn a_panic_on_the_runtime_answers_eio() {
    check_panic(PANICS_LATER);
}

#[test]
fn an_abort_ends_waiting_callers_and_tells_the_filesystem() {
    let (served, probe, seen) = probe();
    let path = served.directory().join(SLOW);
    let reader = std::thread::spawn(move || File::open(path).unwrap().read_at(&mut [0; 10], 0).unwrap_err());
    expect(&seen, Seen::ReadStarted);
    served.mount().abort().unwrap();
    let error = limited(move || reader.join().unwrap());
    assert_eq!(error.raw_os_error(), Some(Errno::CONNABORTED.raw_os_error()));
    let error = fs::metadata(served.directory()).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(Errno::NOTCONN.raw_os_error()));
    probe.release(1);
    expect(&seen, Seen::Detached);
    // Once more: what has ended is ended.
    served.mount().abort().unwrap();
}

#[test]
fn an_unserved_mount_can_be_aborted() {
    let Mounted { connection, mount } = mount(&TestMount::options()).unwrap();
    let mounted = TestMount::attach(&mount).unwrap();
    limited(move || {
        abort(&mount).unwrap();
        drop((connection, mounted));
    });
}

#[test]
fn invalidation_drops_what_the_kernel_has_cached() {
    let (served, probe, _) = probe();
    let path = served.directory().join(CACHED);
    limited(move || {
        let first_byte = || {
            File::open(&path).and_then(|file| {
                let mut byte = [0];
                file.read_exact_at(&mut byte, 0).map(|()| byte[0])
            })
        };
        assert_eq!(first_byte().unwrap(), 1);
        probe.version.store(2, Ordering::Relaxed);
        assert_eq!(first_byte().unwrap(), 1, "the kernel keeps the page");
        let inode = std::os::unix::fs::MetadataExt::ino(&fs::metadata(&path).unwrap());
        let kernel = probe.kernel.get().unwrap();
        kernel.invalidate_entry(Inode::ROOT, CACHED.as_bytes());
        kernel.invalidate_inode(Inode(inode), 0, 0);
        // The notification has a thread of its own; `limited` bounds the wait for it.
        while first_byte().unwrap() != 2 {
            std::thread::yield_now();
        }
    });
    served.close().unwrap();
}

#[test]
fn unknown_requests_are_refused_politely() {
    let (served, _probe, _) = probe();
    let directory = served.directory().to_owned();
    limited(move || {
        let file = File::open(directory.join(DATA)).unwrap();
        assert_eq!(rustix::fs::ioctl_getflags(&file), Err(Errno::NOTTY));
        assert_eq!(rustix::fs::statvfs(&directory).map(drop), Err(Errno::REMOTEIO));
        assert_eq!(rustix::fs::getxattr(&directory, "user.a", &mut [0; 9][..]), Err(Errno::OPNOTSUPP));
        let error = fs::create_dir(directory.join("new")).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(Errno::ROFS.raw_os_error()));
    });
    served.close().unwrap();
}

fn mount_line(directory: &Path) -> String {
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let wanted = format!(" {} ", directory.display());
    table.lines().find(|line| line.contains(&wanted)).unwrap().to_owned()
}

fn check_options(options: &MountOptions, present: &[&str], absent: &[&str]) {
    let served = Served::start_with(Arc::new(MemoryFs::new()), options).unwrap();
    let line = mount_line(served.directory());
    for word in present {
        assert!(line.contains(word), "{word} is in {line}");
    }
    for word in absent {
        assert!(!line.contains(word), "{word} is not in {line}");
    }
    let path = served.directory().join("file");
    let written = limited(move || fs::write(path, b"").map_err(|error| error.raw_os_error()));
    let refused = Err(Some(Errno::ROFS.raw_os_error()));
    assert_eq!(written, if options.read_only { refused } else { Ok(()) });
    served.close().unwrap();
}

#[test]
fn options_show_in_the_mount_table() {
    let base = TestMount::options();
    check_options(
        &base,
        &["fuse.sandkeep", " test ", "default_permissions", "allow_other"],
        &["nosuid", "nodev"],
    );
    let untrusted = MountOptions { trusted: false, allow_other: false, ..base.clone() };
    check_options(&untrusted, &["nosuid", "nodev"], &["allow_other"]);
    check_options(&MountOptions { read_only: true, ..base }, &[" ro,"], &[]);
}

#[test]
fn the_kernels_read_ahead_is_raised() {
    let options = MountOptions { read_ahead_kib: 4096, ..TestMount::options() };
    let Mounted { connection, mount } = mount(&options).unwrap();
    let number = sandkeep_vfs::connection_id(&mount).unwrap();
    let setting = format!("/sys/class/bdi/0:{number}/read_ahead_kb");
    // Where sysfs may not be written (in containers), it stays as it is.
    if OpenOptions::new().write(true).open(&setting).is_ok() {
        assert_eq!(fs::read_to_string(setting).unwrap().trim(), "4096");
    }
    drop((connection, mount));
}

#[test]
fn one_server_serves_many_mounts() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let server = Server::start(2, runtime.handle().clone()).unwrap();
    let served: Vec<_> = (0..40)
        .map(|_| {
            let Mounted { connection, mount } = mount(&TestMount::options()).unwrap();
            let session = server.serve(connection, Arc::new(MemoryFs::new()), Takeover::Fresh).unwrap();
            (TestMount::attach(&mount).unwrap(), session)
        })
        .collect();
    // The threads live as long as there is something to serve.
    drop(server);
    let served = Arc::new(Mutex::new(served));
    let touched = Arc::clone(&served);
    limited(move || {
        for (index, (mounted, _)) in touched.lock().unwrap().iter().enumerate() {
            let path = mounted.directory().join("file");
            fs::write(&path, vec![index as u8; 3 * MIB]).unwrap();
            assert!(fs::read(&path).unwrap() == vec![index as u8; 3 * MIB], "every mount has its own file");
        }
    });
    for (mounted, session) in Arc::into_inner(served).unwrap().into_inner().unwrap() {
        drop(mounted);
        runtime.block_on(session.ended());
    }
}
