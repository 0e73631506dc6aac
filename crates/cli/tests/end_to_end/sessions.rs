//! Sessions, processes and terminals over HTTP and on the command line, also across the death of the daemon.

use std::process::{Command, Stdio};
use std::time::Duration;

use sandkeep_api::client::TerminalFrame;
use sandkeep_api::{
    Client, EnvironmentChanges, ErrorCode, ExecRequest, ExecResult, OutputEncoding, ProcessStatus,
    SandboxOptions, SessionChoice, SessionRequest, StartProcess, WaitForExit, WaitForLog, WaitForPort,
};
use serde_json::json;

use super::service::Service;

const BRIDGE_ID: &str = "abc234";

fn client(service: &Service) -> Client {
    Client::new(&service.url().parse().expect("a URL"), None).expect("a client")
}

fn command(line: &str) -> ExecRequest {
    ExecRequest { command: line.to_owned(), ..ExecRequest::default() }
}

async fn run(client: &Client, request: ExecRequest) -> ExecResult {
    client.exec("demo", &request).await.expect("it runs")
}

async fn code(client: &Client, request: ExecRequest) -> Option<ErrorCode> {
    client.exec("demo", &request).await.expect_err("it is refused").code()
}

fn in_session(session: &str, line: &str) -> ExecRequest {
    ExecRequest { session_id: SessionChoice::Named(session.to_owned()), ..command(line) }
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_share_the_default_session_unless_they_say_otherwise() {
    let service = Service::start();
    let client = client(&service);
    run(&client, command("cd /usr; export A=1; f() { echo f; }")).await;
    let result = run(&client, command("pwd; echo $A; f")).await;
    assert_eq!(
        (result.stdout.as_str(), result.session_id.as_deref()),
        ("/usr\n1\nf\n", Some("sandbox-demo"))
    );
    let fresh = ExecRequest { session_id: SessionChoice::Fresh, ..command("pwd; echo [$A]") };
    let result = run(&client, fresh.clone()).await;
    assert_eq!((result.stdout.as_str(), result.session_id), ("/workspace\n[]\n", None));
    let env = [("A".to_owned(), Some("set".to_owned())), ("B".to_owned(), Some("it's".to_owned()))].into();
    client.set_env_vars("demo", &EnvironmentChanges { env, session_id: None }).await.expect("set");
    assert_eq!(run(&client, command("echo $A $B")).await.stdout, "set it's\n");
    // A fresh shell has what was set for the sandbox, not what a command exported.
    assert_eq!(run(&client, fresh.clone()).await.stdout, "/workspace\n[set]\n");
    let env = [("A".to_owned(), None)].into();
    client.set_env_vars("demo", &EnvironmentChanges { env, session_id: None }).await.expect("unset");
    assert_eq!(run(&client, command("echo [$A]")).await.stdout, "[]\n");
    let argv = ExecRequest { args: Some(vec!["/etc/it's $HOME".into()]), ..command("cd") };
    assert_eq!(run(&client, argv).await.exit_code, 1);
    let base64 =
        ExecRequest { encoding: OutputEncoding::Base64, ..command("printf 'a\\0'; printf '\\377' >&2") };
    let result = run(&client, base64).await;
    assert_eq!((result.stdout.as_str(), result.stderr.as_str()), ("YQA=", "/w=="));
    let options = SandboxOptions { enable_default_session: Some(false), ..SandboxOptions::default() };
    client.put_sandbox("demo", &options).await.expect("changed");
    assert_eq!(run(&client, command("pwd")).await.stdout, "/workspace\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_end_as_the_contract_says() {
    let service = Service::start();
    let client = client(&service);
    let request =
        SessionRequest { id: Some("s".into()), command_timeout_ms: Some(200), ..SessionRequest::default() };
    assert_eq!(client.create_session("demo", &request).await.expect("made").id, "s");
    let again = client.create_session("demo", &request).await.expect_err("it is there");
    assert_eq!(again.code(), Some(ErrorCode::SessionAlreadyExists));
    let generated = client.create_session("demo", &SessionRequest::default()).await.expect("made").id;
    assert!(generated.starts_with("session-"), "{generated}");
    run(&client, in_session("s", "X=1")).await;
    let exited = client.exec("demo", &in_session("s", "exit 3")).await.expect_err("the shell exits");
    assert_eq!(exited.code(), Some(ErrorCode::SessionTerminated));
    assert!(exited.to_string().contains("shell exited (exit code: 3)"), "{exited}");
    assert_eq!(run(&client, in_session("s", "echo [$X]")).await.stdout, "[]\n");
    let slow = ExecRequest { timeout: Some(100), ..in_session("s", "sleep 0.5; echo late >/tmp/late") };
    let late = client.exec("demo", &slow).await.expect_err("it takes too long");
    assert_eq!(late.code(), Some(ErrorCode::CommandExecutionError));
    assert!(late.to_string().contains("Command timeout after 100ms"), "{late}");
    assert_eq!(run(&client, in_session("s", "cat /tmp/late")).await.stdout, "late\n");
    let running = tokio::spawn({
        let client = client.clone();
        async move { code(&client, in_session("s", "touch /tmp/runs; sleep 1000")).await }
    });
    let is_busy = async || client.session("demo", "s").await.expect("known").busy;
    while !is_busy().await {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(client.delete_session("demo", "s").await.expect("deleted").success);
    assert_eq!(running.await.expect("it ends"), Some(ErrorCode::SessionDestroyed));
    let default = client.delete_session("demo", "sandbox-demo").await.expect_err("it stays");
    assert_eq!(default.code(), Some(ErrorCode::ValidationFailed));
    let bad = ExecRequest { env: [("a-b".to_owned(), Some("x".to_owned()))].into(), ..command("true") };
    assert_eq!(code(&client, bad).await, Some(ErrorCode::ValidationFailed));
}

#[test]
fn the_bridge_has_sessions_by_header() {
    let service = Service::start();
    let route = |rest: &str| format!("/v1/sandbox/{BRIDGE_ID}/{rest}");
    let exec = |session: Option<&str>, argv: &[&str]| {
        let mut curl = Command::new("curl");
        curl.args(["-s", "-d", &json!({ "argv": argv, "timeout_ms": 300 }).to_string()]);
        if let Some(session) = session {
            curl.args(["-H", &format!("Session-Id: {session}")]);
        }
        let output = curl.arg(service.url() + &route("exec")).output().expect("curl runs");
        String::from_utf8(output.stdout).expect("events are text")
    };
    let made = json!({"id": "b", "cwd": "/usr", "env": {"E": "1"}}).to_string();
    assert_eq!(service.http("POST", &route("session"), Some(&made)), (200, "{\"id\":\"b\"}".to_owned()));
    assert_eq!(service.http("POST", &route("session"), Some(&made)).0, 502);
    assert!(exec(Some("b"), &["pwd"]).contains("data: L3Vzcgo=\n"));
    assert!(exec(Some("b"), &["export", "X=a b"]).contains("{\"exit_code\":0}"));
    assert!(exec(Some("b"), &["eval", "echo $X$E"]).contains("data: YSBiMQo=\n"));
    assert!(exec(None, &["sh", "-c", "echo $X$E"]).contains("data: Cg==\n"));
    let exited = exec(Some("b"), &["exit", "4"]);
    assert!(
        exited.contains("event: error\n") && exited.contains("exec_error") && exited.contains("exit code: 4"),
        "{exited}"
    );
    let late = exec(Some("b"), &["sleep", "1"]);
    assert!(late.contains("Command timeout after 300ms") && late.contains("exec_error"), "{late}");
    let (status, body) = service.http("DELETE", &route("session/b"), None);
    assert!(status == 200 && body.starts_with("{\"success\":true,\"sessionId\":\"b\""), "{status} {body}");
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_are_started_awaited_and_survive_the_daemon() {
    let mut service = Service::start();
    let client = client(&service);
    run(&client, command("mkdir -p www; cd www; echo hello >index.html; export GREETING=hi")).await;
    let line = "echo $GREETING; exec python3 -u -m http.server 8080";
    let start =
        StartProcess { command: line.into(), process_id: Some("web".into()), ..StartProcess::default() };
    let info = client.start_process("demo", &start).await.expect("started");
    assert_eq!(
        (info.id.as_str(), info.status, info.session_id.as_deref()),
        ("web", ProcessStatus::Running, Some("sandbox-demo"))
    );
    let again = client.start_process("demo", &start).await.expect_err("it runs");
    assert_eq!(again.code(), Some(ErrorCode::ProcessAlreadyExists));
    let port = WaitForPort {
        port: 8080,
        mode: Default::default(),
        path: Some("/index.html".into()),
        status: None,
        timeout: Some(30_000),
        interval: Some(20),
    };
    client.wait_for_port("demo", "web", &port).await.expect("it serves");
    let wait = |text: &str, timeout| WaitForLog { text: text.into(), timeout: Some(timeout) };
    let line = client.wait_for_log("demo", "web", &wait("GET /index.html", 30_000)).await.expect("it logs");
    assert!(line.line.contains("200"), "{line:?}");
    let late = client.wait_for_log("demo", "web", &wait("never", 50)).await.expect_err("it never comes");
    assert_eq!(late.code(), Some(ErrorCode::ProcessReadyTimeout));
    let late = client
        .wait_for_port("demo", "web", &WaitForPort { port: 1, timeout: Some(50), ..port.clone() })
        .await;
    assert_eq!(late.expect_err("nobody listens").code(), Some(ErrorCode::ProcessReadyTimeout));
    service.kill_daemon();
    service.start_daemon();
    let list = client.processes("demo").await.expect("known").processes;
    assert_eq!((list.len(), list[0].pid, list[0].status), (1, info.pid, ProcessStatus::Running));
    let logs = client.process_logs("demo", "web").await.expect("kept");
    assert!(logs.stdout.starts_with("hi\n") && logs.stderr.contains("GET /index.html"), "{logs:?}");
    assert_eq!(run(&client, command("pwd; echo $GREETING")).await.stdout, "/workspace/www\nhi\n");
    client.kill_process("demo", "web", Some("SIGKILL")).await.expect("killed");
    let exit = client.wait_for_exit("demo", "web", &WaitForExit::default()).await.expect("it ended");
    assert_eq!(exit.exit_code, 137);
    let gone = client.wait_for_log("demo", "web", &wait("never", 5_000)).await.expect_err("it has ended");
    assert_eq!(gone.code(), Some(ErrorCode::ProcessExitedBeforeReady));
    let mut events = client.process_stream("demo", "web").await.expect("a stream");
    let mut last = None;
    while let Some(event) = events.next().await {
        last = Some(event.expect("an event"));
    }
    assert!(matches!(last, Some(sandkeep_api::ProcessLogEvent::Exit { exit_code: 137, .. })), "{last:?}");
    assert_eq!(client.clean_up_processes("demo").await.expect("forgotten").count, 1);
    let unknown = client.process("demo", "web").await.expect_err("it is forgotten");
    assert_eq!(unknown.code(), Some(ErrorCode::ProcessNotFound));
}

/// Reads until a terminal shows a text.
async fn shows(terminal: &mut sandkeep_api::client::TerminalConnection, wanted: &str) -> String {
    let mut seen = String::new();
    while !seen.contains(wanted) {
        let next = tokio::time::timeout(Duration::from_secs(30), terminal.next()).await.expect("it comes");
        match next.expect("it goes on").expect("it works") {
            TerminalFrame::Output(bytes) => seen += &String::from_utf8_lossy(&bytes),
            TerminalFrame::Notice(notice) => {
                seen += &format!("<{}>", serde_json::to_string(&notice).expect("JSON"));
            }
        }
    }
    seen
}

#[tokio::test(flavor = "multi_thread")]
async fn terminals_are_shared_resized_replayed_and_survive_the_daemon() {
    let mut service = Service::start_with(Some("secret"));
    let client = Client::new(&service.url().parse().expect("a URL"), Some("secret")).expect("a client");
    run(&client, command("cd /usr; export SEEN=yes")).await;
    let mut first = client.terminal("demo", None, None, (80, 24)).await.expect("a terminal");
    assert!(shows(&mut first, "ready").await.ends_with("<{\"type\":\"ready\"}>"));
    first.write("pwd; echo $SEEN; stty size; echo a$((1+1))\n".into()).await.expect("typed");
    let seen = shows(&mut first, "a2").await;
    assert!(seen.contains("/usr") && seen.contains("yes") && seen.contains("24 80"), "{seen}");
    let mut second = client.terminal("demo", None, None, (80, 24)).await.expect("the same");
    let replay = shows(&mut second, "ready").await;
    assert!(replay.contains("a2"), "{replay}");
    second.resize(100, 30).await.expect("resized");
    second.write("stty size; echo b$((1+1))\n".into()).await.expect("typed");
    assert!(shows(&mut first, "b2").await.contains("30 100"));
    assert!(shows(&mut second, "b2").await.contains("30 100"));
    service.kill_daemon();
    service.start_daemon();
    let mut third = client.terminal("demo", None, None, (80, 24)).await.expect("still there");
    assert!(shows(&mut third, "ready").await.contains("b2"));
    third.write("exit 7\n".into()).await.expect("typed");
    let end = shows(&mut third, "exit\",").await;
    assert!(end.ends_with("<{\"type\":\"exit\",\"code\":7}>"), "{end}");
    assert!(third.next().await.is_none());
    let wrong = Client::new(&service.url().parse().expect("a URL"), Some("wrong")).expect("a client");
    let refused = wrong.terminal("demo", None, None, (80, 24)).await.expect_err("no key");
    assert_eq!(refused.code(), Some(ErrorCode::Unauthorized));
}

#[test]
fn the_command_line_is_a_real_terminal() {
    let service = Service::start();
    let program = env!("CARGO_BIN_EXE_sandkeep");
    let script = |log: &str, keys: &str| {
        let log = service.path(log);
        let line = format!(
            "stty cols 90 rows 20; {program} sandbox shell demo --url {}; echo code=\\$?; stty -a | grep -o ' icanon'",
            service.url()
        );
        let log = log.display();
        let typed = format!(
            "shows() {{ for i in $(seq 600); do grep -q \"$1\" {log} && return; sleep 0.05; done; }}; \
             ({keys}; shows 'code=[0-9]') | script -qefc \"{line}\" {log}"
        );
        let output =
            Command::new("bash").args(["-c", &typed]).stdin(Stdio::null()).output().expect("script runs");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let keys = "shows '# '; printf 'stty size; echo X$((6*7))\\r'; shows X42; printf 'exit 5\\r'";
    let seen = script("first", keys);
    assert!(
        seen.contains("20 90") && seen.contains("X42") && seen.contains("code=5") && seen.contains(" icanon"),
        "{seen}"
    );
    let keys = "shows '# '; printf 'KEPT=yes; echo Y$((6*7))\\r'; shows Y42; printf '\\035'";
    let seen = script("second", keys);
    assert!(seen.contains("detached") && seen.contains("code=0"), "{seen}");
    let seen = script("third", "shows '# '; printf 'echo [$KEPT]; exit\\r'");
    assert!(seen.contains("[yes]"), "{seen}");
    let output = service.run(&["sandbox", "shell", "demo"]);
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        !output.status.success() && error.contains("not a terminal") && error.contains("sandbox exec"),
        "{error}"
    );
    service.ok(&["sandbox", "exec", "demo", "--session", "s", "--shell", "cd /usr"]);
    assert_eq!(service.ok(&["sandbox", "exec", "demo", "--session", "s", "--", "pwd"]), "/usr\n");
}
