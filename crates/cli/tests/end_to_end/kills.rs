//! SIGKILL of the daemon: what was running runs on, and the next daemon finds it again.

use super::service::{Service, kill};

#[test]
fn everything_survives_the_daemon() {
    let mut service = Service::start();
    service.ok(&["sandbox", "mount", "demo", "bucket", "/data", "--create"]);
    service.shell("demo", "echo kept >/data/note && (setsid sh -c 'while [ ! -e /tmp/stop ]; do date +%s%N >/data/beat; sleep 0.05; done' >/dev/null 2>&1 &)");
    service.kill_daemon();
    // The S3 endpoint still serves, and the sandbox still writes through its mount.
    let (id, secret) = service.keys();
    let get = || {
        let url = format!("{}/bucket/beat", service.endpoint());
        let user = format!("{id}:{secret}");
        let curl = [
            "-sf",
            "--aws-sigv4",
            "aws:amz:us-east-1:s3",
            "--user",
            &user,
            "-H",
            "x-amz-content-sha256: UNSIGNED-PAYLOAD",
            &url,
        ];
        let output = std::process::Command::new("curl").args(curl).output().expect("curl runs");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    // Nobody has waited for the first beat, and one may be looked for just while it is replaced.
    service.wait_until("the S3 endpoint answers", |_| !get().is_empty());
    let first = get();
    service.wait_until("the sandbox goes on writing", |_| !get().is_empty() && get() != first);
    service.start_daemon();
    assert_eq!(service.shell("demo", "cat /data/note"), "kept\n");
    let sandboxes = service.json(&["sandbox", "ls"]);
    assert_eq!(sandboxes[0]["mounts"][0]["mountPath"], "/data");
    // The writer holds the mount for a moment after it was told to stop.
    service.shell("demo", "touch /tmp/stop");
    service.wait_until("the mount is free", |service| {
        service.run(&["sandbox", "unmount", "demo", "/data"]).status.success()
    });
    service.ok(&["sandbox", "rm", "demo"]);
}

#[test]
fn a_restored_directory_survives_its_worker() {
    let service = Service::start();
    service.shell("demo", "mkdir -p /workspace/d && seq 1000 >/workspace/d/numbers");
    let backup = service.json(&["backup", "create", "--sandbox", "demo", "/workspace"]);
    service.ok(&["backup", "restore", "--sandbox", "demo", backup["id"].as_str().expect("an id")]);
    for pid in workers(&service) {
        kill(pid);
    }
    assert_eq!(service.shell("demo", "tail -n 1 /workspace/d/numbers"), "1000\n");
}

#[test]
fn an_open_file_of_a_restored_directory_survives_its_worker() {
    let service = Service::start();
    service.shell("demo", "mkdir -p /workspace/d && seq 100000 >/workspace/d/numbers");
    let backup = service.json(&["backup", "create", "--sandbox", "demo", "/workspace"]);
    service.ok(&["backup", "restore", "--sandbox", "demo", backup["id"].as_str().expect("an id")]);
    let reader = "import os, time\nf = open('/workspace/d/numbers')\nf.read(6)\n\
                  open('/tmp/begun', 'x')\nwhile not os.path.exists('/tmp/killed'): time.sleep(0.01)\n\
                  open('/tmp/sum', 'w').write(str(len(f.read())))\nos.rename('/tmp/sum', '/tmp/done')";
    service.shell("demo", &format!("(setsid python3 -c \"{reader}\" >/tmp/errors 2>&1 &)"));
    let exists = |service: &Service, file: &str| {
        service.run(&["sandbox", "exec", "demo", "--", "test", "-e", file]).status.success()
    };
    service.wait_until("the file is open", |service| exists(service, "/tmp/begun"));
    for pid in workers(&service) {
        kill(pid);
    }
    service.shell("demo", "touch /tmp/killed");
    service.wait_until("the rest is read", |service| exists(service, "/tmp/done"));
    assert_eq!(service.shell("demo", "cat /tmp/done /tmp/errors"), (588_895 - 6).to_string());
}

/// Files appear one after another while the worker is killed again and again: what was acknowledged is in the bucket.
#[test]
fn what_is_acknowledged_survives_the_worker() {
    let service = Service::start();
    service.ok(&["sandbox", "mount", "demo", "bucket", "/data", "--create"]);
    // Not by the shell's own `>`: it does not look at what close() says.
    let writer = "mkdir /data/n; for i in $(seq 200); do \
                  echo $i | dd of=/data/n/$i conv=fsync status=none && echo $i >>/tmp/acknowledged; done; touch /tmp/done";
    service.shell("demo", &format!("(setsid sh -c '{writer}' >/dev/null 2>&1 &)"));
    let is_done = |service: &Service| {
        service.run(&["sandbox", "exec", "demo", "--", "test", "-e", "/tmp/done"]).status.success()
    };
    for _ in 0..5 {
        workers(&service).into_iter().for_each(kill);
        service.wait_until("a worker takes over", |service| !workers(service).is_empty());
    }
    service.wait_until("all are written", is_done);
    service.shell("demo", "test $(wc -l </tmp/acknowledged) -gt 0");
    let missing = "while read i; do [ \"$(cat /elsewhere/n/$i)\" = $i ] || echo $i; done </tmp/acknowledged";
    service.ok(&["sandbox", "mount", "demo", "bucket", "/elsewhere", "--read-only"]);
    assert_eq!(service.shell("demo", missing), "");
}

#[test]
fn the_gateway_is_started_again_and_mounts_go_on() {
    let service = Service::start();
    service.ok(&["sandbox", "mount", "demo", "bucket", "/data", "--create"]);
    service.shell("demo", "echo kept >/data/note");
    processes(&service, b"--internal").into_iter().for_each(kill);
    assert_eq!(
        service.shell("demo", "cat /data/note && echo more >/data/more && cat /data/more"),
        "kept\nmore\n"
    );
}

#[test]
fn mounts_outlive_the_keeper() {
    let service = Service::start();
    service.ok(&["sandbox", "mount", "demo", "bucket", "/data", "--create"]);
    service.shell("demo", "echo kept >/data/note");
    processes(&service, b"__keeper").into_iter().for_each(kill);
    assert_eq!(
        service.shell("demo", "cat /data/note && echo more >/data/more && cat /data/more"),
        "kept\nmore\n"
    );
    service.ok(&["sandbox", "mount", "other", "bucket", "/data"]);
    assert_eq!(service.shell("other", "cat /data/more"), "more\n");
    service.ok(&["sandbox", "rm", "demo"]);
    service.ok(&["sandbox", "rm", "other"]);
    service.wait_until("no worker is left", |service| workers(service).is_empty());
}

#[test]
fn a_sandbox_whose_first_process_died_is_replaced() {
    let service = Service::start();
    service.ok(&["sandbox", "mount", "demo", "bucket", "/data", "--create"]);
    service.shell("demo", "echo kept >/data/note; touch /workspace/lost");
    children(service.daemon_pid(), b"__init").into_iter().for_each(kill);
    service.wait_until("the next sandbox is there", |service| {
        service.run(&["sandbox", "exec", "demo", "--shell", "test ! -e /workspace/lost"]).status.success()
    });
    service.ok(&["sandbox", "mount", "demo", "bucket", "/data"]);
    assert_eq!(service.shell("demo", "cat /data/note"), "kept\n");
}

#[test]
fn nobody_may_dump_a_process_that_holds_keys() {
    let service = Service::start();
    service.ok(&["sandbox", "mount", "demo", "bucket", "/data", "--create"]);
    let words: [&[u8]; 3] = [b"__worker", b"__keeper", b"--internal"];
    let mut holders: Vec<u32> = words.into_iter().flat_map(|word| processes(&service, word)).collect();
    assert_eq!(holders.len(), 3);
    holders.push(service.daemon_pid());
    for pid in holders {
        let limits = std::fs::read_to_string(format!("/proc/{pid}/limits")).expect("it runs");
        let core = limits.lines().find(|line| line.starts_with("Max core file size")).expect("it has one");
        assert_eq!(core.split_whitespace().nth(4), Some("0"), "{core}");
    }
}

/// Process ids of workers whose keeper belongs to this service.
fn workers(service: &Service) -> Vec<u32> {
    processes(service, b"__worker")
}

/// Process ids that have a word among their arguments and log into this service's folder.
fn processes(service: &Service, word: &[u8]) -> Vec<u32> {
    let run = service.path("run").display().to_string();
    let logs_here =
        |pid: &u32| std::fs::read_link(format!("/proc/{pid}/fd/2")).is_ok_and(|log| log.starts_with(&run));
    with_argument(word).into_iter().filter(logs_here).collect()
}

fn children(parent: u32, word: &[u8]) -> Vec<u32> {
    let line = format!("PPid:\t{parent}\n");
    let is_child = |pid: &u32| {
        std::fs::read_to_string(format!("/proc/{pid}/status")).is_ok_and(|status| status.contains(&line))
    };
    with_argument(word).into_iter().filter(is_child).collect()
}

fn with_argument(word: &[u8]) -> Vec<u32> {
    let entries = std::fs::read_dir("/proc").expect("it can be read").flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_string_lossy().parse().ok());
    let has_it = |pid: &u32| {
        let command = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        command.split(|byte| *byte == 0).any(|argument| argument == word)
    };
    pids.filter(has_it).collect()
}
