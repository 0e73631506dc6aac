//! Terminals: what they show, to whom, and how they end.

use std::time::Duration;

use sandkeep_sandboxes::{
    Sandbox, SandboxSpec, SessionCommand, Terminal, TerminalEvent, TerminalInput, TerminalOutput,
    TerminalRequest,
};

use crate::world::{World, code, finish, until};

async fn open(sandbox: &Sandbox, request: TerminalRequest) -> (TerminalOutput, TerminalInput) {
    sandbox.open_terminal(request).await.map(Terminal::split).unwrap()
}

fn request(name: &str) -> TerminalRequest {
    TerminalRequest { name: name.into(), columns: 80, rows: 24, ..TerminalRequest::default() }
}

/// Reads until it shows a text.
async fn shows(output: &mut TerminalOutput, wanted: &str) -> String {
    let mut seen = String::new();
    while !seen.contains(wanted) {
        let next = tokio::time::timeout(Duration::from_secs(30), output.next()).await;
        match next.unwrap_or_else(|_| panic!("{wanted:?} never came: {seen:?}")) {
            Some(TerminalEvent::Output(bytes)) => seen += &String::from_utf8_lossy(&bytes),
            other => panic!("{other:?} after {seen:?}"),
        }
    }
    seen
}

async fn exit_of(output: &mut TerminalOutput) -> (i32, Option<i32>) {
    loop {
        match output.next().await {
            Some(TerminalEvent::Output(_)) => {}
            Some(TerminalEvent::Exit { code, signal }) => {
                assert_eq!(output.next().await, None);
                return (code, signal);
            }
            None => panic!("no exit"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminal_is_one_for_all_its_viewers() {
    let world = World::shared().await;
    let sandbox = world.sandbox().await;
    let (mut output, input) = open(&sandbox, request("t")).await;
    input.write(b"tty; stty size; echo $TERM; echo 6x$((6*7))\n").await.unwrap();
    let seen = shows(&mut output, "6x42").await;
    assert!(
        seen.contains("/dev/pts/0") && seen.contains("24 80") && seen.contains("xterm-256color"),
        "{seen}"
    );
    let (mut second, its_input) =
        open(&sandbox, TerminalRequest { columns: 100, rows: 30, ..request("t") }).await;
    let replayed = shows(&mut second, "6x42").await;
    assert!(replayed.contains("24 80"), "{replayed}");
    its_input.write(b"stty size; echo both=$((1+1))\n").await.unwrap();
    for output in [&mut output, &mut second] {
        assert!(shows(output, "both=2").await.contains("30 100"));
    }
    input.resize(132, 50).unwrap();
    input.write(b"stty size; echo re=$((3*3))\n").await.unwrap();
    assert!(shows(&mut second, "re=9").await.contains("50 132"));
    // Ctrl-C reaches the program in front, as job control works.
    input.write(b"sleep 4001\n").await.unwrap();
    until(async || code(&sandbox, "pgrep -fx 'sleep 4001'").await == 0).await;
    input.write(b"\x03").await.unwrap();
    until(async || code(&sandbox, "pgrep -fx 'sleep 4001'").await != 0).await;
    input.write(b"exit 3\n").await.unwrap();
    assert_eq!(exit_of(&mut output).await, (3, None));
    assert_eq!(exit_of(&mut second).await, (3, None));
    let (mut again, input) = open(&sandbox, request("t")).await;
    input.write(b"echo new=$((2*4)); kill -9 $$\n").await.unwrap();
    shows(&mut again, "new=8").await;
    assert_eq!(exit_of(&mut again).await, (137, Some(9)));
    sandbox.destroy().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminal_takes_over_from_its_session_and_goes_with_it() {
    let world = World::shared().await;
    let sandbox = world.sandbox().await;
    let line = "cd /usr; export SEEN=from-session".to_owned();
    let command = SessionCommand { line, ..SessionCommand::default() };
    finish(sandbox.exec_in_session("s", command).await.unwrap()).await.unwrap();
    let of_session = TerminalRequest { session: Some("s".into()), ..request("s") };
    let (mut output, input) = open(&sandbox, of_session).await;
    input.write(b"pwd; echo [$SEEN]; sleep 4002\n").await.unwrap();
    let seen = shows(&mut output, "[from-session]").await;
    assert!(seen.contains("/usr"), "{seen}");
    until(async || code(&sandbox, "pgrep -fx 'sleep 4002'").await == 0).await;
    sandbox.delete_session("s").await.unwrap();
    assert_eq!(exit_of(&mut output).await, (137, Some(9)));
    until(async || code(&sandbox, "pgrep -fx 'sleep 4002'").await != 0).await;
    let (mut output, _input) =
        open(&sandbox, TerminalRequest { shell: Some("/no/such/shell".into()), ..request("x") }).await;
    assert_eq!(exit_of(&mut output).await, (127, None));
    sandbox.destroy().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn terminals_outlive_their_viewers_and_the_daemon() {
    let mut world = World::new().await;
    let sandbox = world.create("kept", &SandboxSpec::default()).await;
    let (mut output, input) = open(&sandbox, request("t")).await;
    input.write(b"X=kept; echo up=$((1+1))\n").await.unwrap();
    shows(&mut output, "up=2").await;
    input.write(b"seq 1 200000; echo all=$((2+1))\n").await.unwrap();
    drop((output, input, sandbox));
    world.restart().await;
    let sandbox = world.runtime().adopt().await.unwrap().remove(0);
    let (mut output, input) = open(&sandbox, request("t")).await;
    shows(&mut output, "all=3").await;
    input.write(b"echo again=$X\n").await.unwrap();
    shows(&mut output, "again=kept").await;
    // Who types into a program that does not read waits, and only that one.
    input.write(b"sleep 4003\n").await.unwrap();
    let flood = tokio::time::timeout(Duration::from_millis(300), input.write(&[b'x'; 1_000_000])).await;
    drop(flood);
    assert_eq!(code(&sandbox, "true").await, 0);
    sandbox.destroy().await.unwrap();
}
