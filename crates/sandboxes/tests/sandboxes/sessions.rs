//! Sessions: what survives from command to command, how they end, and what code inside can do to them.

use std::collections::BTreeMap;
use std::time::Duration;

use sandkeep_sandboxes::{
    Detach, Error, Execution, Placement, Sandbox, SandboxSpec, SessionCommand, SessionLoss, SessionOptions,
};

use crate::world::{Output, World, code, finish, sh, until};

fn command(line: &str) -> SessionCommand {
    SessionCommand { line: line.into(), ..SessionCommand::default() }
}

async fn begin(sandbox: &Sandbox, session: &str, command: SessionCommand) -> Execution {
    sandbox.exec_in_session(session, command).await.unwrap()
}

async fn run(sandbox: &Sandbox, session: &str, line: &str) -> Result<Output, SessionLoss> {
    finish(begin(sandbox, session, command(line)).await).await
}

/// Output of a command that must succeed.
async fn text(sandbox: &Sandbox, session: &str, line: &str) -> String {
    let output = run(sandbox, session, line).await.unwrap();
    assert_eq!(output.status.code, 0, "{line}: {} {}", output.text(), output.errors());
    output.text()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_one_shell() {
    let world = World::shared().await;
    let sandbox = world.sandbox().await;
    let setup =
        "mkdir -p a/b; cd a/b; export SEEN=1; unseen=2; f() { echo \"f $*\"; }; alias hi='echo hello'";
    assert_eq!(text(&sandbox, "s", setup).await, "");
    let look = "pwd; echo $unseen; env | grep SEEN; f x y; hi";
    assert_eq!(text(&sandbox, "s", look).await, "/workspace/a/b\n2\nSEEN=1\nf x y\nhello");
    assert_eq!(text(&sandbox, "other", "pwd; echo [$unseen]; ls").await, "/workspace\n[]\na");
    assert_eq!(text(&sandbox, "s", "set -- 1 2; exec 5</etc/hostname; read x <&5; echo $x").await, "sandbox");
    assert_eq!(
        text(&sandbox, "s", "echo $# $x; trap 'echo trapped' USR1; kill -USR1 $$").await,
        "2 sandbox\ntrapped"
    );
    let argv = SessionCommand::from_argv(["cd", "/usr/it's; echo \n$HOME"]);
    assert_eq!(finish(begin(&sandbox, "s", argv).await).await.unwrap().status.code, 1);
    finish(begin(&sandbox, "s", SessionCommand::from_argv(["cd", "/usr"])).await).await.unwrap();
    assert_eq!(text(&sandbox, "s", "pwd").await, "/usr");
    sandbox.destroy().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn output_is_exact() {
    let world = World::shared().await;
    let sandbox = world.sandbox().await;
    let check = async |line: &str, stdout: &[u8], stderr: &[u8], code: i32| {
        let output = run(&sandbox, "s", line).await.unwrap();
        let found = (&output.stdout[..], &output.stderr[..], output.status.code);
        assert_eq!(found, (stdout, stderr, code), "{line}");
    };
    check("printf 'a\\0b'; printf '\\377' >&2; (exit 3)", b"a\0b", b"\xff", 3).await;
    check("cat <<END\none\n  two $((1+1))\nEND", b"one\n  two 2\n", b"", 0).await;
    check("# only a comment", b"", b"", 0).await;
    check("", b"", b"", 0).await;
    check("no-such-program", b"", b"bash: line 1: no-such-program: command not found\n", 127).await;
    check("echo 1\n\nno-such-program", b"1\n", b"bash: line 3: no-such-program: command not found\n", 127)
        .await;
    check("cat; read x; echo $?", b"1\n", b"", 0).await;
    check("exec >/tmp/elsewhere; echo gone", b"", b"", 0).await;
    check("echo here; cat /tmp/elsewhere", b"here\ngone\n", b"", 0).await;
    check("exec 2>&1; echo x >&2", b"x\n", b"", 0).await;
    check("exec >&- 2>&-", b"", b"", 0).await;
    check("echo again", b"again\n", b"", 0).await;
    check("set -x; true", b"", b"++ true\n", 0).await;
    check("set +x", b"", b"++ set +x\n", 0).await;
    check("IFS=0123456789; set -u; set -f; (exit 17)", b"", b"", 17).await;
    check(
        "unset IFS; set +uf; return 4",
        b"",
        b"bash: line 1: return: can only `return' from a function or sourced script\n",
        2,
    )
    .await;
    check("echo() { builtin echo mine; }; printf() { :; }; read() { :; }; echo", b"mine\n", b"", 0).await;
    check(
        "unset -f echo printf read; trap 'echo debug' DEBUG; echo a; trap - DEBUG",
        b"debug\na\ndebug\n",
        b"",
        0,
    )
    .await;
    check("echo out >/dev/stdout; echo err >/dev/stderr", b"out\n", b"err\n", 0).await;
    let syntax = run(&sandbox, "s", "echo (").await.unwrap();
    assert!(syntax.status.code != 0 && syntax.errors().contains("syntax error"), "{}", syntax.errors());
    check("echo still there", b"still there\n", b"", 0).await;
    sandbox.destroy().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn much_output_and_large_commands_pass() {
    let world = World::shared().await;
    let sandbox = world.sandbox().await;
    let large = "x".repeat(3_000_000);
    assert_eq!(text(&sandbox, "s", &format!("v={large}; echo ${{#v}}")).await, "3000000");
    let output = run(&sandbox, "s", "head -c 20000000 /dev/zero | tee /dev/stderr").await.unwrap();
    assert_eq!((output.stdout.len(), output.stderr.len()), (20_000_000, 20_000_000));
    // Who does not read stops the command, not us.
    let mut slow = begin(&sandbox, "s", command("head -c 3000000 /dev/zero; touch /tmp/written")).await;
    slow.next().await;
    assert_eq!(code(&sandbox, "test -e /tmp/written").await, 1);
    finish(slow).await.unwrap();
    assert_eq!(code(&sandbox, "test -e /tmp/written").await, 0);
    sandbox.destroy().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn environments_and_directories_of_one_command_are_its_own() {
    let world = World::shared().await;
    let sandbox = world.sandbox().await;
    text(&sandbox, "s", "export KEPT=old PLAIN=p; export -n PLAIN; mkdir -p 'it'\"'\"'s here'").await;
    let env = [("KEPT", "new 'quoted'\n$x"), ("FRESH", "1"), ("PLAIN", "q")];
    let env: BTreeMap<_, _> = env.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let own = SessionCommand {
        env,
        cwd: Some("it's here".into()),
        ..command("pwd; env | grep -E '^(KEPT|FRESH|PLAIN)' | sort; echo \"$KEPT\"; GONE=1; export STAYS=1")
    };
    let output = finish(begin(&sandbox, "s", own).await).await.unwrap();
    assert_eq!(output.text(), "/workspace/it's here\nFRESH=1\nKEPT=new 'quoted'\nPLAIN=q\nnew 'quoted'\n$x");
    let after = "pwd; echo $KEPT [$FRESH] $PLAIN $STAYS; env | grep -c PLAIN=";
    assert_eq!(run(&sandbox, "s", after).await.unwrap().text(), "/workspace\nold [] p 1\n0");
    for (cwd, reason) in [("/nowhere", "No such file or directory"), ("/etc/hosts", "Not a directory")] {
        let output = SessionCommand { cwd: Some(cwd.into()), ..command("echo not run") };
        let output = finish(begin(&sandbox, "s", output).await).await.unwrap();
        assert_eq!(output.errors(), format!("Failed to change directory to {cwd}: {reason}"));
        assert_eq!((output.status.code, output.text()), (1, String::new()));
    }
    let options = SessionOptions {
        env: [("A".to_owned(), "1".to_owned())].into(),
        cwd: Some("/no/such/place".into()),
        command_timeout: None,
    };
    sandbox.create_session("made", options.clone()).await.unwrap();
    assert!(matches!(sandbox.create_session("made", options).await, Err(Error::SessionExists)));
    assert_eq!(text(&sandbox, "made", "pwd; echo $A").await, "/root\n1");
    let changes = |pairs: &[(&str, Option<&str>)]| {
        pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.map(str::to_owned)))
            .collect::<BTreeMap<_, _>>()
    };
    sandbox.change_environment("made", changes(&[("A", None), ("B", Some("it's"))])).await.unwrap();
    assert_eq!(text(&sandbox, "made", "env | grep -E '^[AB]='").await, "B=it's");
    sandbox.change_environment("later", changes(&[("C", Some("3"))])).await.unwrap();
    assert_eq!(text(&sandbox, "later", "env | grep ^C=").await, "C=3");
    assert_eq!(
        sandbox.session_environment("later").await.unwrap(),
        [("C".to_owned(), "3".to_owned())].into()
    );
    sandbox.destroy().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_of_a_session_wait_for_each_other_and_sessions_do_not() {
    let world = World::shared().await;
    let sandbox = world.sandbox().await;
    let first =
        begin(&sandbox, "s", command("while [ ! -e /tmp/go ]; do sleep 0.01; done; echo first >>/tmp/log"))
            .await;
    let second = begin(&sandbox, "s", command("echo second >>/tmp/log; cat /tmp/log")).await;
    assert_eq!(
        text(&sandbox, "other", "echo free; cat /tmp/log 2>&1 || :").await,
        "free\ncat: /tmp/log: No such file or directory"
    );
    let info = sandbox.sessions().await.unwrap();
    let states: Vec<_> = info.iter().map(|info| (info.id.as_str(), info.is_running, info.is_busy)).collect();
    assert_eq!(states, [("other", true, false), ("s", true, true)]);
    sh(&sandbox, "touch /tmp/go").await;
    assert_eq!(finish(second).await.unwrap().text(), "first\nsecond");
    finish(first).await.unwrap();
    // Twenty sessions at once, each with its own order.
    let runs = (0..20).map(|number| {
        let sandbox = sandbox.clone();
        tokio::spawn(async move {
            let session = format!("n{number}");
            for step in 0..5 {
                let line = format!("i=$((${{i:-0}}+1)); echo $i:{number}");
                assert_eq!(text(&sandbox, &session, &line).await, format!("{}:{number}", step + 1));
            }
        })
    });
    for task in runs.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    sandbox.destroy().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_a_shell_is_told_and_the_next_use_begins_anew() {
    let world = World::shared().await;
    let sandbox = world.sandbox().await;
    for (line, expected) in
        [("exit 3", 3), ("kill -9 $$", 137), ("set -e; false; echo no", 1), ("exec true", 0)]
    {
        text(&sandbox, "s", "cd /usr; X=1").await;
        let ended = run(&sandbox, "s", line).await;
        assert_eq!(ended, Err(SessionLoss::Terminated { code: expected }), "{line}");
        assert_eq!(text(&sandbox, "s", "pwd; echo [$X]").await, "/workspace\n[]");
    }
    // What was asked for before the end is the next use.
    let ending = begin(&sandbox, "s", command("sleep 0.05; exit 5")).await;
    let queued = begin(&sandbox, "s", command("echo new $$")).await;
    assert_eq!(finish(ending).await, Err(SessionLoss::Terminated { code: 5 }));
    assert!(finish(queued).await.unwrap().text().starts_with("new "));
    sandbox.destroy().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn deletion_takes_everything_that_the_session_started() {
    let world = World::shared().await;
    let sandbox = world.sandbox().await;
    let daemons = "set -m; sleep 2001 & (setsid sleep 2002 &); setsid -f setsid sleep 2003; (setsid sh -c 'sleep 2004 & sleep 2005' &) ; sleep 0.1";
    text(&sandbox, "s", daemons).await;
    text(&sandbox, "other", "(setsid sleep 2006 >/dev/null 2>&1 &)").await;
    let running = "pgrep -fx 'sleep 200[1-5]' | wc -l";
    until(async || sh(&sandbox, running).await == "5").await;
    let current = begin(&sandbox, "s", command("sleep 2001")).await;
    let queued = begin(&sandbox, "s", command("echo never")).await;
    until(async || sandbox.sessions().await.unwrap().iter().any(|info| info.id == "s" && info.is_busy)).await;
    assert!(sandbox.delete_session("s").await.unwrap());
    assert_eq!(finish(current).await, Err(SessionLoss::Destroyed));
    assert_eq!(finish(queued).await, Err(SessionLoss::Destroyed));
    until(async || sh(&sandbox, running).await == "0").await;
    assert_eq!(code(&sandbox, "pgrep -fx 'sleep 2006'").await, 0);
    assert!(!sandbox.delete_session("s").await.unwrap());
    assert_eq!(text(&sandbox, "s", "echo fresh").await, "fresh");
    assert_eq!(sh(&sandbox, "ls /dev/sandkeep | wc -l").await, "2");
    sandbox.destroy().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_timeout_ends_the_waiting_and_not_the_command() {
    let world = World::shared().await;
    let sandbox = world.sandbox().await;
    let options =
        SessionOptions { command_timeout: Some(Duration::from_millis(200)), ..SessionOptions::default() };
    sandbox.create_session("s", options).await.unwrap();
    let line = "while [ ! -e /tmp/go ]; do echo tick; sleep 0.01; done; echo done >/tmp/done";
    let late = run(&sandbox, "s", line).await;
    let after = Duration::from_millis(200);
    assert_eq!(late, Err(SessionLoss::TimedOut { after, has_begun: true }));
    let short = Duration::from_millis(50);
    let behind =
        begin(&sandbox, "s", SessionCommand { timeout: Some(short), ..command("echo never >/tmp/never") })
            .await;
    assert_eq!(finish(behind).await, Err(SessionLoss::TimedOut { after: short, has_begun: false }));
    sh(&sandbox, "touch /tmp/go").await;
    until(async || code(&sandbox, "test -e /tmp/done").await == 0).await;
    // With time of its own: machines are slow at times.
    let patient =
        SessionCommand { timeout: Some(Duration::from_secs(60)), ..command("cat /tmp/done; ls /tmp") };
    let output = finish(begin(&sandbox, "s", patient).await).await.unwrap();
    assert_eq!(output.text(), "done\ndone\ngo");
    sandbox.destroy().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_goes_on_without_its_client_and_without_the_daemon() {
    let mut world = World::new().await;
    let sandbox = world.create("kept", &SandboxSpec::default()).await;
    text(&sandbox, "s", "cd /usr; export X=1").await;
    let line = "while [ ! -e /tmp/go ]; do head -c 100000 /dev/zero; sleep 0.01; done; echo done >/tmp/done";
    let mut left = begin(&sandbox, "s", command(line)).await;
    left.next().await;
    let never = begin(&sandbox, "s", command("touch /tmp/never")).await;
    drop((never, left, sandbox));
    world.restart().await;
    let sandbox = world.runtime().adopt().await.unwrap().remove(0);
    let states: Vec<_> =
        sandbox.sessions().await.unwrap().into_iter().map(|info| (info.id, info.is_busy)).collect();
    assert_eq!(states, [("s".to_owned(), true)]);
    sh(&sandbox, "touch /tmp/go").await;
    assert_eq!(text(&sandbox, "s", "pwd; echo $X; cat /tmp/done; ls /tmp").await, "/usr\n1\ndone\ndone\ngo");
    // A background job's output may have nobody who reads it.
    text(
        &sandbox,
        "s",
        "(for i in 1 2 3 4 5 6 7 8 9; do head -c 100000 /dev/zero; done; touch /tmp/wrote) &",
    )
    .await;
    until(async || code(&sandbox, "test -e /tmp/wrote").await == 0).await;
    sandbox.destroy().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_covered_directory_is_entered_again() {
    let world = World::shared().await;
    let sandbox = world.sandbox().await;
    text(&sandbox, "s", "mkdir -p project; cd project; echo old >file").await;
    let mount = crate::mounts::tmpfs(&sandbox, "new");
    sandbox.attach(mount, "/workspace/project", Placement::OnTop).await.unwrap();
    assert_eq!(text(&sandbox, "s", "ls; pwd").await, "new\n/workspace/project");
    sandbox.detach("/workspace/project", Detach::Force, false).await.unwrap();
    assert_eq!(text(&sandbox, "s", "cat file; pwd").await, "old\n/workspace/project");
    sandbox.destroy().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn code_inside_harms_its_own_session_only() {
    let world = World::shared().await;
    let sandbox = world.sandbox().await;
    let spoil = [
        "for i in $(seq 0 300); do eval \"exec $i>&-\" 2>/dev/null; done",
        "printf 'nonsense' >/dev/sandkeep/*/report",
        "rm -rf /dev/sandkeep/*/*; mkdir -p /dev/sandkeep/1/command /dev/sandkeep/1/out",
        "mv /dev/sandkeep /dev/moved; ln -s /proc /dev/sandkeep",
    ];
    for (number, line) in spoil.iter().enumerate() {
        let session = format!("spoilt{number}");
        let ended = tokio::time::timeout(Duration::from_millis(500), run(&sandbox, &session, line)).await;
        drop(ended);
        // Whatever became of it, it can be deleted, and the agent serves others.
        let next = tokio::time::timeout(Duration::from_millis(200), run(&sandbox, &session, "echo x")).await;
        drop(next);
        assert!(
            tokio::time::timeout(Duration::from_secs(30), sandbox.delete_session(&session))
                .await
                .unwrap()
                .is_ok()
        );
        assert_eq!(sh(&sandbox, "echo alive").await, "alive");
    }
    sh(&sandbox, "rm -rf /dev/sandkeep /dev/moved").await;
    assert_eq!(text(&sandbox, "healed", "echo healed").await, "healed");
    sandbox.destroy().await.unwrap();
}
