//! What root inside can not do, and what nobody inside can see.

use std::path::Path;

use sandkeep_sandboxes::{Sandbox, SandboxSpec};

use crate::world::{World, code, run, sh, shell};

/// Lines that must fail inside.
const DENIED: &[&str] = &[
    "mount -t tmpfs x /mnt",
    "mount --bind /etc /mnt",
    "umount /proc",
    "mount -o remount,rw /usr",
    "mknod /tmp/n c 1 3",
    "mknod /tmp/n b 254 0",
    "unshare -U true",
    "unshare -m true",
    "unshare -n true",
    "setpriv --reuid 1000 --clear-groups unshare -U true",
    "nsenter -t 1 -m true",
    "hostname other",
    "echo x > /proc/sys/kernel/core_pattern",
    "echo x > /proc/sys/kernel/hostname",
    "echo 1 > /proc/sys/kernel/printk",
    "echo 1 > /proc/sys/net/ipv4/ip_forward",
    "test -s /proc/kcore && head -c1 /proc/kcore | grep -q .",
    "head -c1 /proc/keys | grep -q .",
    "dmesg",
    "ls /proc/1/root/",
    "cat /proc/1/environ",
    "cat /proc/1/maps",
    "ls -l /proc/1/exe 2>/dev/null | grep -e '->'",
    "ls /proc/1/fd/",
    "kill -9 1; sleep 0.1; test ! -d /proc/1",
    "ip link add dummy0 type dummy",
    "ip addr add 10.0.0.1/8 dev lo",
    "ping -c1 -W1 8.8.8.8",
    "chroot /proc/1/root true",
    "nice -n -5 true 2>&1 | grep -qv denied && [ \"$(nice -n -5 nice)\" = -5 ]",
    "swapoff -a; swapon /tmp/x",
    "date -s 2001-01-01",
    "cat /etc/shadow",
    "ls /etc/ssh/ssh_host_*",
    "test -e /etc/sudoers",
    "ls /sys/*",
    "ls /dev/sd* /dev/vd* /dev/mem /dev/kmsg /dev/fuse /dev/loop*",
];

#[tokio::test(flavor = "multi_thread")]
async fn root_inside_has_no_power_outside() {
    let world = World::shared().await;
    let sandbox = world.sandbox().await;
    for line in DENIED {
        assert_ne!(code(&sandbox, line).await, 0, "allowed: {line}");
    }
    assert!(sandbox.is_running());
    sandbox.destroy().await.unwrap();
}

/// Calls that need no program: name, number on x86-64, first arguments, expected errno.
const CALLS: &str = r#"
import ctypes, errno, socket
libc = ctypes.CDLL(None, use_errno=True)
def call(*a):
    r = libc.syscall(*[ctypes.c_long(x) for x in a])
    return errno.errorcode[ctypes.get_errno()] if r < 0 else 'ok'
print('io_uring', call(425, 1, 0))
print('bpf', call(321, 0, 0, 0))
print('perf', call(298, 0, 0, -1, -1, 0))
print('userfaultfd', call(323, 0))
print('keyctl', call(250, 0, -3, 0))
print('clone3', call(435, 0, 0))
print('clone newuser', call(56, 0x10000000 | 17, 0, 0, 0, 0))
print('setns', call(308, 0, 0))
print('fsopen', call(430, 0, 0))
print('x32 mount', call(0x40000000 | 165, 0, 0, 0, 0, 0))
print('handle', call(304, 0, 0, 0))
for name, family, protocol in (('vsock', 40, 0), ('audit', 16, 9), ('packet', 17, 0), ('raw', 2, 1)):
    try:
        socket.socket(family, socket.SOCK_RAW if name != 'vsock' else socket.SOCK_STREAM, protocol)
        print(name, 'ok')
    except OSError as e:
        print(name, errno.errorcode[e.errno])
"#;

#[cfg(target_arch = "x86_64")]
#[tokio::test(flavor = "multi_thread")]
async fn dangerous_calls_are_refused() {
    let world = World::shared().await;
    let sandbox = world.sandbox().await;
    sandbox.write_file("calls.py", CALLS.into()).await.unwrap();
    let answers = sh(&sandbox, "python3 calls.py").await;
    let expected = "io_uring EPERM\nbpf EPERM\nperf EPERM\nuserfaultfd EPERM\nkeyctl EPERM\nclone3 ENOSYS\n\
                    clone newuser EPERM\nsetns EPERM\nfsopen EPERM\nx32 mount ENOSYS\nhandle EPERM\n\
                    vsock EPERM\naudit EPERM\npacket EPERM\nraw EPERM";
    assert_eq!(answers, expected);
    sandbox.destroy().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn root_inside_can_do_what_a_root_does() {
    let world = World::shared().await;
    let sandbox =
        world.create("host-name", &SandboxSpec { hostname: "box".into(), ..Default::default() }).await;
    let check = async |line: &str, expected: &str| assert_eq!(sh(&sandbox, line).await, expected, "{line}");
    check("hostname; cat /etc/hostname; getent hosts box | cut -d' ' -f1", "box\nbox\n127.0.1.1").await;
    check("touch /usr/bin/new /etc/new; chown 1000:1000 /etc/new; stat -c '%u %g' /etc/new", "1000 1000")
        .await;
    check("stat -c '%U' / /usr /usr/bin/env /etc/passwd /workspace /tmp | uniq", "root").await;
    check("mv /usr/share/doc /usr/share/doc2 && test -d /usr/share/doc2 && echo moved", "moved").await;
    check("setpriv --reuid 1000 --clear-groups id -u", "1000").await;
    check("setpriv --reuid 1000 --clear-groups cat /etc/shadow 2>/dev/null; echo -n", "").await;
    check("stat -c %a /tmp /var/tmp /root", "1777\n1777\n700").await;
    let paths = "for p in workspace home tmp var/tmp app root home/sandbox mnt data storage run; do test -d /$p || echo $p; done";
    check(paths, "").await;
    let server = "python3 -m http.server 80 --bind 127.0.0.1 >/dev/null 2>&1 & p=$!; \
                  for i in $(seq 200); do curl -sf -o /dev/null http://s3.internal/ && echo served && break; sleep 0.02; done; kill $p";
    check(server, "served").await;
    check("python3 -c 'import pty; pty.spawn([\"tty\"])' | tr -d '\\r'", "/dev/pts/0").await;
    check("echo x > /dev/null; head -c4 /dev/urandom | wc -c; echo y > /dev/shm/f; cat /dev/shm/f", "4\ny")
        .await;
    check("cat /proc/self/cgroup | cut -d: -f3 | sort -u", "/").await;
    sandbox.destroy().await.unwrap();
}

/// Searches everything that can be read inside for a string that exists only outside.
const SEARCH: &str = r#"
cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline /proc/[0-9]*/mountinfo /proc/self/mounts /proc/net/unix 2>/dev/null | grep -a -c SECRET
env | grep -c SECRET
grep -r -a -l SECRET /etc /root /home /var /run /tmp /workspace /opt /srv /mnt /data /storage /app 2>/dev/null
for f in /proc/self/fd/*; do readlink $f; done | grep SECRET
true
"#;

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_the_host_is_seen() {
    let canary = "canary-9f3b27";
    let holder = tempfile::Builder::new().prefix(canary).tempdir_in("/var/tmp").unwrap();
    std::fs::write(holder.path().join("credentials"), canary).unwrap();
    let with_secret = std::process::Command::new("sleep")
        .arg("60")
        .env("AWS_SECRET_ACCESS_KEY", canary)
        .spawn()
        .map(Killed)
        .unwrap();
    let world = World::shared().await;
    let sandbox = world.sandbox().await;
    assert_eq!(sh(&sandbox, &SEARCH.replace("SECRET", "[c]anary-9f3b27")).await, "0\n0");
    let host_paths = world.state();
    let directory = host_paths.parent().unwrap().file_name().unwrap().to_str().unwrap();
    assert_eq!(code(&sandbox, &format!("cat /proc/[0-9]*/mountinfo | grep {directory}")).await, 1);
    assert_eq!(
        sh(&sandbox, "cat /proc/[0-9]*/mountinfo | grep -c -e upperdir=/[^p] -e lowerdir=/[^p] || true")
            .await,
        "0"
    );
    assert!(sh(&sandbox, "ls /proc | grep -c '^[0-9]*$'").await.parse::<u32>().unwrap() < 8);
    assert_eq!(sh(&sandbox, "ls -A /root /home/sandbox /srv /opt | grep -v : | tr -d '\\n'").await, "");
    drop(with_secret);
    sandbox.destroy().await.unwrap();
}

struct Killed(std::process::Child);

impl Drop for Killed {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn private_files_of_usr_are_hidden() {
    let private = tempfile::Builder::new().prefix("sandkeep-private").tempdir_in("/usr/local/share").unwrap();
    let public = tempfile::Builder::new().prefix("sandkeep-public").tempdir_in("/usr/local/share").unwrap();
    for (directory, mode) in [(&private, 0o700), (&public, 0o755)] {
        let mode = std::os::unix::fs::PermissionsExt::from_mode(mode);
        std::fs::set_permissions(directory.path(), mode).unwrap();
    }
    std::fs::write(private.path().join("file"), "text").unwrap();
    for (name, mode) in [("open", 0o644), ("closed", 0o600)] {
        let path = public.path().join(name);
        std::fs::write(&path, "text").unwrap();
        std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
    }
    let world = World::new().await;
    let sandbox = world.sandbox().await;
    let exists = async |path: &Path| code(&sandbox, &format!("test -e {}", path.display())).await == 0;
    assert!(exists(&public.path().join("open")).await);
    assert!(!exists(&public.path().join("closed")).await);
    assert!(!exists(private.path()).await);
    sandbox.destroy().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn exposed_paths_are_read_only_and_keep_their_permissions() {
    let shown = tempfile::Builder::new().prefix("sandkeep-shown").tempdir_in("/var/tmp").unwrap();
    std::fs::set_permissions(shown.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    for (name, mode) in [("open", 0o644), ("closed", 0o600)] {
        let path = shown.path().join(name);
        std::fs::write(&path, name).unwrap();
        std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
    }
    let world = World::shared().await;
    let spec = SandboxSpec { expose: vec![shown.path().to_owned()], ..SandboxSpec::default() };
    let sandbox = world.create("exposed", &spec).await;
    let directory = shown.path().display();
    assert_eq!(sh(&sandbox, &format!("cat {directory}/open")).await, "open");
    assert_ne!(code(&sandbox, &format!("cat {directory}/closed")).await, 0);
    assert_ne!(code(&sandbox, &format!("echo x > {directory}/open || touch {directory}/new")).await, 0);
    sandbox.destroy().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn sandboxes_do_not_see_each_other() {
    let world = World::shared().await;
    let one = world.create("one", &SandboxSpec::default()).await;
    let other = world.create("other", &SandboxSpec::default()).await;
    assert_ne!(one.id_base(), other.id_base());
    let listening = one.exec(shell("python3 -m http.server 8080")).await.unwrap();
    let ask = "curl -s -m 1 -o /dev/null http://127.0.0.1:8080/";
    crate::world::until(async || code(&one, ask).await == 0).await;
    assert_ne!(code(&other, ask).await, 0);
    sh(&one, "touch /workspace/mine /tmp/mine /usr/mine").await;
    assert_eq!(
        sh(&other, "ls /workspace /tmp; ls /usr | grep mine; pgrep -f http[.]server; true").await,
        "/tmp:\n\n/workspace:"
    );
    drop(listening);
    both(&one, &other).await;
}

async fn both(one: &Sandbox, other: &Sandbox) {
    one.destroy().await.unwrap();
    assert_eq!(run(other, shell("echo still here")).await.text(), "still here");
    other.destroy().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn we_can_listen_inside() {
    let world = World::shared().await;
    let sandbox = world.sandbox().await;
    let listener = sandbox.listen(80).await.unwrap();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        std::io::Write::write_all(&mut stream, b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello").unwrap();
        drop(std::io::Read::read(&mut stream, &mut [0; 1024]));
    });
    assert_eq!(sh(&sandbox, "curl -s http://s3.internal/").await, "hello");
    server.join().unwrap();
    sandbox.destroy().await.unwrap();
}
