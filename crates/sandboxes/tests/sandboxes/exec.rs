//! Programs: what they get, what comes back, how they end.

use std::time::Duration;

use sandkeep_sandboxes::{ExecEvent, ExecRequest, ExitStatus, SandboxSpec, SessionCommand};

use crate::world::{World, argv, code, finish, run, sh, shell, until};

#[tokio::test(flavor = "multi_thread")]
async fn output_is_exact_in_both_forms() {
    let world = World::shared().await;
    let sandbox = world.sandbox().await;
    let all: Vec<u8> = (1..=255).cycle().take(300_000).collect();
    let output = run(&sandbox, argv(&[b"printf", b"%s", &all[..100_000]])).await;
    assert_eq!(output.stdout, &all[..100_000]);
    assert_eq!(output.status, ExitStatus { code: 0, timed_out: false });
    let output = run(&sandbox, shell("printf 'a\\0b\\n'; printf '\\377' >&2; exit 3")).await;
    assert_eq!((&output.stdout[..], &output.stderr[..]), (&b"a\0b\n"[..], &b"\xff"[..]));
    assert_eq!(output.status.code, 3);
    let output = run(&sandbox, argv(&[b"sh", b"-c", b"echo \"$1\"", b"x", b"$HOME; rm *\n'\""])).await;
    assert_eq!(output.text(), "$HOME; rm *\n'\"");
    sandbox.destroy().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn much_output_arrives_whole_and_waits_for_its_reader() {
    let world = World::shared().await;
    let sandbox = world.sandbox().await;
    let mut execution = sandbox
        .exec(shell("head -c 20000000 /dev/zero | tee /dev/stderr; touch /tmp/written"))
        .await
        .unwrap();
    assert_eq!(code(&sandbox, "test -e /tmp/written").await, 1);
    let (mut out, mut err) = (0, 0);
    while let Some(event) = execution.next().await {
        match event {
            ExecEvent::Stdout(bytes) => out += bytes.len(),
            ExecEvent::Stderr(bytes) => err += bytes.len(),
            ExecEvent::Exit(status) => assert_eq!(status.code, 0),
            ExecEvent::Lost(loss) => panic!("{loss:?}"),
        }
    }
    assert_eq!((out, err), (20_000_000, 20_000_000));
    sandbox.destroy().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_run_says_so_as_a_shell_would() {
    let world = World::shared().await;
    let sandbox = world.sandbox().await;
    let check = async |request: ExecRequest, expected_code, expected_error: &str| {
        let output = run(&sandbox, request).await;
        assert_eq!((output.status.code, output.errors().as_str()), (expected_code, expected_error));
    };
    check(argv(&[b"no-such-program"]), 127, "bash: no-such-program: command not found").await;
    check(argv(&[b"/no/such"]), 127, "bash: /no/such: No such file or directory").await;
    check(argv(&[b"/etc/hosts"]), 126, "bash: /etc/hosts: Permission denied").await;
    let output = run(&sandbox, shell("no-such-program")).await;
    assert_eq!(output.status.code, 127);
    assert!(output.errors().ends_with("no-such-program: command not found"), "{}", output.errors());
    let directory = |cwd: &str| ExecRequest { cwd: Some(cwd.into()), ..shell("pwd") };
    let missing = "Failed to change directory to /nowhere: No such file or directory";
    check(directory("/nowhere"), 1, missing).await;
    assert_eq!(run(&sandbox, directory("/tmp")).await.text(), "/tmp");
    assert_eq!(run(&sandbox, directory("../home")).await.text(), "/home");
    assert_eq!(run(&sandbox, shell("pwd")).await.text(), "/workspace");
    sandbox.destroy().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_environment_is_ours_and_input_is_empty() {
    let world = World::shared().await;
    let sandbox = world.sandbox().await;
    let request = ExecRequest { env: vec![("A".into(), "b c".into())], ..argv(&[b"env"]) };
    let mut lines: Vec<_> = run(&sandbox, request).await.text().lines().map(str::to_owned).collect();
    lines.sort();
    let path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    assert_eq!(lines, ["A=b c", "HOME=/root", "LANG=C.UTF-8", path]);
    assert_eq!(sh(&sandbox, "cat; id -u; echo $0; umask; ulimit -c").await, "0\n/bin/bash\n0022\n0");
    assert_eq!(sh(&sandbox, "echo out > /dev/stdout; echo err > /dev/stderr").await, "out");
    sandbox.destroy().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn python_is_there_under_both_names() {
    let world = World::shared().await;
    let sandbox = world.sandbox().await;
    let program = "import json, os, ssl, sqlite3\nprint(json.dumps({'uid': os.getuid()}))";
    for name in [&b"python"[..], b"python3"] {
        let output = run(&sandbox, argv(&[name, b"-c", program.as_bytes()])).await;
        assert_eq!(output.text(), "{\"uid\": 0}", "{}", output.errors());
    }
    sandbox.destroy().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_timeout_ends_the_whole_group() {
    let world = World::shared().await;
    let sandbox = world.sandbox().await;
    let request = |line: &str| ExecRequest { timeout: Some(Duration::from_millis(300)), ..shell(line) };
    let output = run(&sandbox, request("sleep 1000 & printf x >&2; sleep 1000")).await;
    assert_eq!(output.status, ExitStatus { code: 124, timed_out: true });
    assert_eq!(output.stderr, b"x\nCommand timed out after 300ms\n");
    let stubborn = "trap '' TERM; (trap '' TERM; sleep 1001) & while :; do sleep 1001; done";
    assert_eq!(run(&sandbox, request(stubborn)).await.status.code, 124);
    until(async || code(&sandbox, "pgrep -fx 'sleep 100[01]'").await != 0).await;
    sandbox.destroy().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_run_is_killed_and_so_is_a_killed_one() {
    let world = World::shared().await;
    let sandbox = world.sandbox().await;
    let line = "set -m; sleep 1002 & touch /tmp/started; wait";
    let running = "pgrep -fx 'sleep 1002'";
    let execution = sandbox.exec(shell(line)).await.unwrap();
    until(async || code(&sandbox, "test -e /tmp/started").await == 0).await;
    assert_eq!(code(&sandbox, running).await, 0);
    drop(execution);
    until(async || code(&sandbox, running).await != 0).await;
    let mut execution = sandbox.exec(shell("sleep 1002")).await.unwrap();
    execution.kill();
    let killed = ExitStatus { code: 137, timed_out: false };
    assert_eq!(execution.next().await, Some(ExecEvent::Exit(killed)));
    sandbox.destroy().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn background_children_do_not_hold_the_run() {
    let world = World::shared().await;
    let sandbox = world.sandbox().await;
    let line = "(while :; do echo more || exit; sleep 0.01; touch /tmp/alive; done) & echo first";
    let output = run(&sandbox, shell(line)).await;
    assert!(output.text().starts_with("first") || output.text().contains("\nfirst"), "{}", output.text());
    assert_eq!(output.status.code, 0);
    // It goes on, although nobody reads it any more.
    sh(&sandbox, "rm -f /tmp/alive").await;
    until(async || code(&sandbox, "test -e /tmp/alive").await == 0).await;
    sandbox.destroy().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn orphans_are_reaped() {
    let world = World::shared().await;
    let sandbox = world.sandbox().await;
    sh(&sandbox, "for i in 1 2 3 4 5; do (sleep 0.05 >/dev/null 2>&1 &) ; done").await;
    until(async || code(&sandbox, "grep -qs '^State:.Z' /proc/[0-9]*/status").await != 0).await;
    until(async || sh(&sandbox, "ls -d /proc/[0-9]* | wc -l").await.parse::<u32>().unwrap() <= 4).await;
    sandbox.destroy().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn many_runs_at_once_do_not_mix() {
    let world = World::shared().await;
    let sandbox = world.sandbox().await;
    let runs = (0..200).map(|number| {
        let sandbox = sandbox.clone();
        tokio::spawn(async move {
            let output = run(&sandbox, argv(&[b"echo", number.to_string().as_bytes()])).await;
            assert_eq!(output.text(), number.to_string());
        })
    });
    for task in runs.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    sandbox.destroy().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_hold() {
    let world = World::shared().await;
    let limits = sandkeep_sandboxes::Limits { memory: Some(64 << 20), processes: Some(20), cpu_millis: None };
    let sandbox = world.create("limited", &SandboxSpec { limits, ..SandboxSpec::default() }).await;
    let controllers = &world.runtime().features().cgroups.controllers;
    if controllers.contains_key("memory") {
        let output = run(&sandbox, argv(&[b"python3", b"-c", b"x = b'x' * (200 << 20)"])).await;
        assert_eq!(output.status.code, 137, "{}", output.errors());
        assert_eq!(output.errors(), "Killed: the sandbox has used up its memory (limit 64 MiB)");
        let line = "python3 -c 'x = \"x\" * (200 << 20)'".to_owned();
        let command = SessionCommand { line, ..SessionCommand::default() };
        let output = finish(sandbox.exec_in_session("s", command).await.unwrap()).await.unwrap();
        assert!(output.errors().ends_with("has used up its memory (limit 64 MiB)"), "{}", output.errors());
        let shot = run(&sandbox, shell("printf x >&2; kill -9 $$")).await;
        assert_eq!((shot.status.code, shot.errors().as_str()), (137, "x"));
    }
    if controllers.contains_key("pids") {
        let line = "for i in $(seq 50); do sleep 5 >/dev/null 2>&1 & done; wait";
        assert_ne!(run(&sandbox, shell(line)).await.stderr, b"");
    }
    assert_eq!(sh(&sandbox, "echo alive").await, "alive");
    sandbox.destroy().await.unwrap();
}
