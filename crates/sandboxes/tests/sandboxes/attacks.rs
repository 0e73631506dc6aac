//! Attacks that work for root without isolation, tried where only namespaces of their own keep them from harming this
//! host, and then in a sandbox, where each must fail. One that fails without isolation too (the kernel lacks what it
//! needs) shows nothing and is not counted.

use std::process::{Command, Stdio};

use crate::world::{World, run, sh, shell};

/// Python that succeeds where the attack does.
const PRELUDE: &str = "
import ctypes, errno, os, socket, resource, sys
libc = ctypes.CDLL(None, use_errno=True)
def call(*a):
    r = libc.syscall(*[ctypes.c_long(x) if isinstance(x, int) else x for x in a])
    if r < 0: raise OSError(ctypes.get_errno(), 'refused')
    return r
";

/// Name, and a line for `sh` or (with `py:`) a program. Numbers of calls are those of x86-64.
const ATTACKS: &[(&str, &str)] = &[
    ("mount a filesystem", "mkdir -p m && mount -t tmpfs x m"),
    ("mount by the new calls", "py:call(430, ctypes.c_char_p(b'tmpfs'), 0)"),
    ("bind mount", "mkdir -p b && mount --bind /etc b"),
    ("unmount", "umount /proc"),
    ("make a disk device", "mknod disk b 7 0"),
    ("make a character device", "mknod mem c 1 1"),
    ("new user namespace", "unshare -U true"),
    ("new user namespace of an ordinary user", "setpriv --reuid 1000 --clear-groups unshare -U true"),
    ("new mount namespace", "unshare -m true"),
    ("new network namespace", "unshare -n true"),
    ("io_uring", "py:call(425, 8, ctypes.create_string_buffer(120))"),
    (
        "add a key",
        "py:call(248, ctypes.c_char_p(b'user'), ctypes.c_char_p(b'k'), ctypes.c_char_p(b'v'), 1, -2)",
    ),
    ("read the keyring", "py:call(250, 0, -3, 1)"),
    (
        "BPF",
        "py:call(321, 0, ctypes.create_string_buffer(b'\\x02\\0\\0\\0\\x04\\0\\0\\0\\x08\\0\\0\\0\\x01\\0\\0\\0' + bytes(56)), 72)",
    ),
    ("userfaultfd", "py:call(323, 0)"),
    (
        "performance counters",
        "py:call(298, ctypes.create_string_buffer(b'\\x01\\0\\0\\0\\x80\\0\\0\\0' + bytes(120)), 0, -1, -1, 0)",
    ),
    ("compare kernel objects", "py:call(312, os.getpid(), os.getpid(), 1, 0, 0)"),
    (
        "file handles",
        "py:h = ctypes.create_string_buffer(b'\\x80\\0\\0\\0' + bytes(132)); call(303, -100, ctypes.c_char_p(b'/etc'), h, ctypes.byref(ctypes.c_int()), 0); call(304, os.open('/', os.O_RDONLY), h, 0)",
    ),
    ("host name", "hostname attacked"),
    ("domain name by /proc", "echo attacked > /proc/sys/kernel/domainname"),
    ("network setting by /proc", "echo 1 > /proc/sys/net/ipv4/ip_forward"),
    ("kernel log", "py:call(103, 3, ctypes.create_string_buffer(64), 64)"),
    ("raw socket", "py:socket.socket(socket.AF_INET, socket.SOCK_RAW, 1)"),
    ("packet socket", "py:socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)"),
    ("kernel cryptography", "py:socket.socket(38, socket.SOCK_SEQPACKET, 0)"),
    ("machine sockets", "py:socket.socket(40, socket.SOCK_STREAM, 0)"),
    ("network interface", "ip link add attacked type dummy || ip addr add 10.99.0.1/8 dev lo"),
    ("environment of pid 1", "cat /proc/1/environ"),
    ("memory of pid 1", "head -c 1 /proc/1/maps | grep -q ."),
    ("descriptors of pid 1", "ls /proc/1/fd/"),
    ("root of pid 1", "ls /proc/1/root/"),
    ("trace pid 1", "py:call(101, 0x4206, 1, 0, 0)"),
    ("spare oneself when memory runs out", "echo -500 > /proc/self/oom_score_adj"),
    ("higher priority", "py:os.setpriority(os.PRIO_PROCESS, 0, -5)"),
    ("real-time priority", "py:os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))"),
    ("core dumps", "py:resource.setrlimit(resource.RLIMIT_CORE, (1 << 20, 1 << 20))"),
    ("more open files", "py:resource.setrlimit(resource.RLIMIT_NOFILE, (65537, 1 << 20))"),
    ("capabilities of a file", "cp /bin/true t && setcap cap_sys_admin+ep t"),
    (
        "change the root and escape",
        "mkdir -p j && unshare -m chroot j true 2>/dev/null; unshare -m chroot / true",
    ),
    ("passwords of the host", "grep -q : /etc/shadow"),
    ("memory of the kernel", "head -c 1 /proc/kcore | grep -q ."),
    ("keys of the host", "head -c 1 /proc/keys | grep -q ."),
    ("kernel objects by /sys", "test -w /sys/kernel"),
];

fn command(attack: &str) -> String {
    match attack.strip_prefix("py:") {
        Some(program) => format!("python3 - <<'END'\n{PRELUDE}{program}\nEND"),
        None => attack.to_owned(),
    }
}

/// Root of this host, in namespaces of its own, so that nothing of it lasts.
fn works_without_isolation(attack: &str) -> bool {
    let directory = tempfile::tempdir().unwrap();
    let namespaces = ["--mount", "--uts", "--ipc", "--net", "--pid", "--fork", "--mount-proc"];
    let mut unshare = Command::new("unshare");
    unshare.args(namespaces).args(["sh", "-c", &command(attack)]).current_dir(directory.path());
    unshare.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap().success()
}

#[cfg(target_arch = "x86_64")]
#[tokio::test(flavor = "multi_thread")]
async fn what_works_without_isolation_fails_inside() {
    let world = World::shared().await;
    let sandbox = world.sandbox().await;
    let mut shown = 0;
    for (name, attack) in ATTACKS {
        if !works_without_isolation(attack) {
            continue;
        }
        shown += 1;
        sh(&sandbox, "rm -rf /tmp/attack; mkdir /tmp/attack").await;
        let line = format!("cd /tmp/attack; {}", command(attack));
        let output = run(&sandbox, shell(&line)).await;
        assert_ne!(output.status.code, 0, "it works inside: {name}");
    }
    assert!(shown >= ATTACKS.len() * 2 / 3, "only {shown} attacks work without isolation");
    assert_eq!(sh(&sandbox, "echo alive").await, "alive");
    sandbox.destroy().await.unwrap();
}

/// Files of the API are found inside, whatever code inside does to the path meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn parents_that_are_swapped_for_links_lead_nowhere() {
    let world = World::shared().await;
    let sandbox = world.sandbox().await;
    let secret = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(secret.path(), "secret of the host").unwrap();
    let (place, name) =
        (secret.path().parent().unwrap().display(), secret.path().file_name().unwrap().display());
    // The control: a plain path through such a link does lead out.
    let outside = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(secret.path().parent().unwrap(), outside.path().join("d")).unwrap();
    let through = outside.path().join("d").join(secret.path().file_name().unwrap());
    assert_eq!(std::fs::read_to_string(through).unwrap(), "secret of the host");
    let swapper = format!(
        "mkdir -p real /workspace{place}; echo inside >real/{name}; mkdir -p {place}; echo inside >{place}/{name}; \
         (while :; do rm -rf d; ln -s ../../../../..{place} d; rm -f d; ln -s {place} d; rm -f d; cp -r real d; done) >/dev/null 2>&1 &"
    );
    sh(&sandbox, &swapper).await;
    let path = format!("d/{name}");
    for _ in 0..300 {
        if let Ok((mut file, _)) = sandbox.open_file(&path).await {
            let mut text = String::new();
            std::io::Read::read_to_string(&mut file, &mut text).unwrap();
            assert!(text.is_empty() || text == "inside\n" || text == "written", "{text}");
        }
        drop(sandbox.write_file(&path, "written".into()).await);
    }
    assert_eq!(std::fs::read_to_string(secret.path()).unwrap(), "secret of the host");
    sandbox.destroy().await.unwrap();
}
