//! Processes that are left to themselves: what is kept of them, how they end, and that they outlive the daemon.

use std::io::{Read, Write};
use std::time::Duration;

use sandkeep_sandboxes::{
    Error, ProcessEvent, ProcessInfo, ProcessRequest, ProcessStatus, Sandbox, SandboxSpec, SessionCommand,
};

use crate::world::{World, code, finish, sh, until};

fn request(id: &str, command: &str) -> ProcessRequest {
    ProcessRequest { id: id.into(), command: command.into(), ..ProcessRequest::default() }
}

async fn start(sandbox: &Sandbox, id: &str, command: &str) -> ProcessInfo {
    sandbox.start_process(request(id, command)).await.unwrap()
}

/// Everything until its end.
async fn followed(sandbox: &Sandbox, id: &str) -> (String, String, ProcessInfo) {
    let mut log = sandbox.process_log(id).await.unwrap();
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    loop {
        match log.next().await.expect("it ends with an end") {
            ProcessEvent::Stdout(bytes) => stdout.extend(bytes),
            ProcessEvent::Stderr(bytes) => stderr.extend(bytes),
            ProcessEvent::Ended(info) => {
                assert_eq!(log.next().await, None);
                let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
                return (text(stdout), text(stderr), info);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_is_told_about_from_start_to_end() {
    let world = World::shared().await;
    let sandbox = world.sandbox().await;
    let line = "echo out; echo err >&2; while [ ! -e /tmp/go ]; do sleep 0.01; done; echo last; exit 7";
    let info = start(&sandbox, "p", line).await;
    assert_eq!((info.id.as_str(), info.command.as_str(), info.status), ("p", line, ProcessStatus::Running));
    assert_eq!((info.exit_code, info.ended_at), (None, None));
    assert_eq!(sh(&sandbox, &format!("test -d /proc/{} && echo there", info.pid)).await, "there");
    assert!(matches!(sandbox.start_process(request("p", "true")).await, Err(Error::ProcessExists)));
    let follower = tokio::spawn({
        let sandbox = sandbox.clone();
        async move { followed(&sandbox, "p").await }
    });
    sh(&sandbox, "touch /tmp/go").await;
    let (stdout, stderr, ended) = follower.await.unwrap();
    assert_eq!((stdout.as_str(), stderr.as_str()), ("out\nlast\n", "err\n"));
    assert_eq!((ended.status, ended.exit_code), (ProcessStatus::Failed, Some(7)));
    assert!(ended.ended_at.unwrap() >= ended.started_at);
    // Also afterwards, and by others.
    assert_eq!(followed(&sandbox, "p").await, (stdout, stderr, ended.clone()));
    assert_eq!(sandbox.processes().await.unwrap(), [ended]);
    assert_eq!(start(&sandbox, "p", "true").await.status, ProcessStatus::Running);
    assert_eq!(followed(&sandbox, "p").await.2.status, ProcessStatus::Completed);
    assert_eq!(sandbox.clean_up_processes().await.unwrap(), 1);
    assert!(matches!(sandbox.process_log("p").await, Err(Error::NoSuchProcess)));
    assert!(matches!(sandbox.kill_process("p", None).await, Err(Error::NoSuchProcess)));
    sandbox.destroy().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_keep_the_newest_and_stop_nobody() {
    let world = World::shared().await;
    let sandbox = world.sandbox().await;
    start(&sandbox, "loud", "seq 1 2000000; echo the end").await;
    until(async || sandbox.processes().await.unwrap()[0].status == ProcessStatus::Completed).await;
    let (stdout, _, _) = followed(&sandbox, "loud").await;
    assert_eq!(stdout.len(), 512 * 1024);
    assert!(stdout.ends_with("1999999\n2000000\nthe end\n"));
    sandbox.destroy().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_are_killed_with_what_they_started() {
    let world = World::shared().await;
    let sandbox = world.sandbox().await;
    start(&sandbox, "polite", "sleep 3001 & sleep 3001").await;
    start(&sandbox, "handler", "trap 'echo bye; exit 0' TERM; echo ready; while :; do sleep 0.01; done")
        .await;
    start(&sandbox, "hup", "sleep 3002").await;
    let mut log = sandbox.process_log("handler").await.unwrap();
    assert_eq!(log.next().await, Some(ProcessEvent::Stdout(b"ready\n".to_vec())));
    sandbox.kill_process("handler", None).await.unwrap();
    let (stdout, _, info) = followed(&sandbox, "handler").await;
    assert_eq!(
        (stdout.as_str(), info.status, info.exit_code),
        ("ready\nbye\n", ProcessStatus::Killed, Some(0))
    );
    sandbox.kill_process("hup", Some(1)).await.unwrap();
    assert_eq!(followed(&sandbox, "hup").await.2.exit_code, Some(129));
    assert_eq!(sandbox.kill_processes().await.unwrap(), 1);
    assert_eq!(followed(&sandbox, "polite").await.2.exit_code, Some(143));
    until(async || code(&sandbox, "pgrep -fx 'sleep 300[12]'").await != 0).await;
    let timeout = Some(Duration::from_millis(50));
    sandbox.start_process(ProcessRequest { timeout, ..request("late", "sleep 3003") }).await.unwrap();
    let (_, _, info) = followed(&sandbox, "late").await;
    assert_eq!((info.status, info.exit_code), (ProcessStatus::Killed, Some(124)));
    sandbox.destroy().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_gives_its_processes_what_it_has() {
    let world = World::shared().await;
    let sandbox = world.sandbox().await;
    let line = "mkdir -p d/e; cd d; export SEEN='two\nlines' A=1";
    let command = SessionCommand { line: line.into(), ..SessionCommand::default() };
    finish(sandbox.exec_in_session("s", command).await.unwrap()).await.unwrap();
    let in_session =
        |id: &str, command: &str| ProcessRequest { session: Some("s".into()), ..request(id, command) };
    let env = [("A".to_owned(), "2".to_owned())].into();
    let own = ProcessRequest { env, cwd: Some("e".into()), ..in_session("1", "pwd; echo \"$SEEN\" $A") };
    sandbox.start_process(own).await.unwrap();
    assert_eq!(followed(&sandbox, "1").await.0, "/workspace/d/e\ntwo\nlines 2\n");
    // A busy shell cannot be asked, but is not waited for either.
    let sleep = SessionCommand {
        line: "export B=1; while [ ! -e /tmp/go ]; do sleep 0.01; done".into(),
        ..SessionCommand::default()
    };
    let busy = sandbox.exec_in_session("s", sleep).await.unwrap();
    sandbox.start_process(in_session("2", "pwd; echo $B")).await.unwrap();
    assert_eq!(followed(&sandbox, "2").await.0, "/workspace/d\n\n");
    sh(&sandbox, "touch /tmp/go").await;
    finish(busy).await.unwrap();
    // The process does not end with the session's shell, as it is not its child.
    sandbox.start_process(in_session("3", "sleep 3004")).await.unwrap();
    sandbox.delete_session("s").await.unwrap();
    assert_eq!(sandbox.processes().await.unwrap()[2].status, ProcessStatus::Running);
    let broken = ProcessRequest { cwd: Some("/nowhere".into()), ..request("4", "true") };
    sandbox.start_process(broken).await.unwrap();
    let (_, stderr, info) = followed(&sandbox, "4").await;
    assert_eq!(info.exit_code, Some(1));
    assert_eq!(stderr, "Failed to change directory to /nowhere: No such file or directory\n");
    sandbox.destroy().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_outlive_the_daemon() {
    let mut world = World::new().await;
    let sandbox = world.create("kept", &SandboxSpec::default()).await;
    let info =
        start(&sandbox, "p", "echo before; while [ ! -e /tmp/go ]; do sleep 0.01; done; echo after").await;
    let mut log = sandbox.process_log("p").await.unwrap();
    assert_eq!(log.next().await, Some(ProcessEvent::Stdout(b"before\n".to_vec())));
    drop((log, sandbox));
    world.restart().await;
    let sandbox = world.runtime().adopt().await.unwrap().remove(0);
    assert_eq!(sandbox.processes().await.unwrap(), [info]);
    sh(&sandbox, "touch /tmp/go").await;
    let (stdout, _, info) = followed(&sandbox, "p").await;
    assert_eq!((stdout.as_str(), info.status), ("before\nafter\n", ProcessStatus::Completed));
    sandbox.destroy().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn ports_of_the_sandbox_are_reached_and_no_others() {
    let world = World::shared().await;
    let sandbox = world.sandbox().await;
    let outside = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let patience = Duration::from_secs(5);
    assert!(sandbox.connect_to(outside.local_addr().unwrap().port(), patience).await.is_err());
    for (number, address) in ["127.0.0.1", "::1"].iter().enumerate() {
        let port = 8080 + number as u16;
        start(&sandbox, &port.to_string(), &format!("python3 -m http.server {port} --bind {address}")).await;
        until(async || sandbox.connect_to(port, patience).await.is_ok()).await;
        let mut stream = sandbox.connect_to(port, patience).await.unwrap();
        stream.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.0 200"), "{answer}");
    }
    sandbox.destroy().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn there_are_not_too_many() {
    let world = World::shared().await;
    let sandbox = world.sandbox().await;
    for number in 0..130 {
        start(&sandbox, &number.to_string(), "true").await;
        if number % 10 == 0 {
            followed(&sandbox, &number.to_string()).await;
        }
    }
    assert_eq!(sandbox.processes().await.unwrap().len(), 128);
    sandbox.destroy().await.unwrap();
}
