//! Ends: nothing is left, whoever dies first.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use sandkeep_sandboxes::{Error, ExecEvent, Runtime, RuntimeSettings, SandboxSpec};

use crate::world::{World, exists, name_of, run, sh, shell, until};

/// By the namespace of their numbers: another service on this host may use the same block of user ids.
fn processes_of(namespace: &Path) -> Vec<PathBuf> {
    let is_inside = |path: &PathBuf| std::fs::read_link(path.join("ns/pid")).is_ok_and(|of| of == namespace);
    std::fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path()).filter(is_inside).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_destroyed_sandbox_leaves_nothing() {
    let world = World::new().await;
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let sandbox = world.create("test", &SandboxSpec::default()).await;
    let groups = world.groups("test");
    assert!(groups.iter().all(|group| exists(group)) && world.remains().len() == 2);
    let mut execution = sandbox.exec(shell("(setsid sleep 1004 &); echo up; sleep 1004")).await.unwrap();
    assert_eq!(execution.next().await, Some(ExecEvent::Stdout("up\n".into())));
    let deep = "import os\nfor i in range(3000): os.mkdir('d'); os.chdir('d')";
    sh(&sandbox, &format!("python3 -c \"{deep}\"; chmod 000 d; mkfifo f; head -c 1000000 /dev/zero > big"))
        .await;
    let pid = sandbox.pid();
    let namespace = std::fs::read_link(format!("/proc/{pid}/ns/pid")).unwrap();
    assert!(processes_of(&namespace).len() >= 3);
    sandbox.destroy().await.unwrap();
    sandbox.destroy().await.unwrap();
    assert_eq!(execution.next().await, None);
    assert!(!sandbox.is_running());
    assert!(matches!(sandbox.exec(shell("true")).await, Err(Error::Gone)));
    assert!(matches!(sandbox.open_file("x").await, Err(Error::Gone)));
    assert!(!exists(format!("/proc/{pid}").as_ref()));
    assert_eq!(processes_of(&namespace), Vec::<PathBuf>::new());
    assert!(!groups.iter().any(|group| exists(group)), "{groups:?}");
    assert_eq!(world.remains(), Vec::<PathBuf>::new());
    assert_eq!(std::fs::read_to_string("/proc/self/mountinfo").unwrap(), mounts);
    let again = world.create("test", &SandboxSpec::default()).await;
    assert_eq!(sh(&again, "ls -A").await, "");
    again.destroy().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_is_used_once() {
    let world = World::new().await;
    let sandbox = world.create("test", &SandboxSpec::default()).await;
    match world.runtime().create(&name_of("test"), &SandboxSpec::default()).await {
        Err(Error::Start { source, .. }) => assert_eq!(source.kind(), ErrorKind::AlreadyExists),
        other => panic!("{other:?}"),
    }
    assert_eq!(sh(&sandbox, "echo untouched").await, "untouched");
    sandbox.destroy().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_start_leaves_nothing() {
    let world = World::new().await;
    let spec = SandboxSpec { expose: vec!["/no/such/path".into()], ..SandboxSpec::default() };
    match world.runtime().create(&name_of("broken"), &spec).await {
        Err(Error::Start { step, source }) => {
            assert_eq!((step.as_str(), source.kind()), ("expose /no/such/path", ErrorKind::NotFound));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(world.remains(), Vec::<PathBuf>::new());
    let wrong = RuntimeSettings { program: "/no/such/program".into(), ..world.settings() };
    let runtime = Runtime::start(wrong).await.unwrap();
    assert!(runtime.create(&name_of("broken"), &SandboxSpec::default()).await.is_err());
    let silent = RuntimeSettings { program: "/bin/true".into(), ..world.settings() };
    let runtime = Runtime::start(silent).await.unwrap();
    assert!(runtime.create(&name_of("broken"), &SandboxSpec::default()).await.is_err());
    assert_eq!(world.remains(), Vec::<PathBuf>::new());
    world.create("broken", &SandboxSpec::default()).await.destroy().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn sandboxes_survive_their_daemon() {
    let mut world = World::new().await;
    let sandbox = world.create("kept", &SandboxSpec::default()).await;
    let dying = world.create("dying", &SandboxSpec::default()).await;
    sh(&sandbox, "echo here > file; (setsid sleep 1005 >/dev/null 2>&1 &)").await;
    let (pid, id_base, dying_pid) = (sandbox.pid(), sandbox.id_base(), dying.pid());
    let execution = sandbox.exec(shell("sleep 1006")).await.unwrap();
    drop((sandbox, execution));
    let killed = rustix::process::Pid::from_raw(dying_pid as i32).unwrap();
    rustix::process::kill_process(killed, rustix::process::Signal::KILL).unwrap();
    dying.ended().await;
    drop(dying);
    world.restart().await;
    let name_taken = world.runtime().create(&name_of("kept"), &SandboxSpec::default()).await;
    assert!(name_taken.is_err());
    let found = world.runtime().adopt().await.unwrap();
    assert_eq!(found.iter().map(|s| s.name().as_str()).collect::<Vec<_>>(), ["kept"]);
    assert_eq!((found[0].pid(), found[0].id_base()), (pid, id_base));
    let look = "cat file; pgrep -afx 'sleep 1005' | cut -d' ' -f2-";
    assert_eq!(sh(&found[0], look).await, "here\nsleep 1005");
    until(async || run(&found[0], shell("pgrep -fx 'sleep 1006'")).await.status.code != 0).await;
    assert_eq!(world.runtime().adopt().await.unwrap().len(), 1);
    assert_eq!(world.remains().len(), 2);
    let other = world.create("other", &SandboxSpec::default()).await;
    assert_ne!(other.id_base(), id_base);
    other.destroy().await.unwrap();
    found[0].destroy().await.unwrap();
    assert_eq!(world.remains(), Vec::<PathBuf>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_gives_up_leaves_nothing() {
    let world = World::new().await;
    for pause in [0, 1, 3, 10] {
        let (name, spec) = (name_of("given-up"), SandboxSpec::default());
        let create = world.runtime().create(&name, &spec);
        let patience = std::time::Duration::from_millis(pause);
        if let Ok(created) = tokio::time::timeout(patience, create).await {
            created.unwrap().destroy().await.unwrap();
        }
        until(async || world.remains().is_empty()).await;
        until(async || match world.runtime().create(&name_of("given-up"), &SandboxSpec::default()).await {
            Ok(sandbox) => sandbox.destroy().await.is_ok(),
            Err(_) => false,
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_at_once() {
    let world = std::sync::Arc::new(World::new().await);
    let tasks = (0..20).map(|number| {
        let world = world.clone();
        tokio::spawn(async move {
            let sandbox = world.create(&format!("n{number}"), &SandboxSpec::default()).await;
            assert_eq!(sh(&sandbox, &format!("echo {number} > f; cat f")).await, number.to_string());
            sandbox
        })
    });
    let mut sandboxes = Vec::new();
    for task in tasks.collect::<Vec<_>>() {
        sandboxes.push(task.await.unwrap());
    }
    let mut blocks: Vec<_> = sandboxes.iter().map(|sandbox| sandbox.id_base()).collect();
    blocks.sort();
    blocks.dedup();
    assert_eq!(blocks.len(), 20);
    for sandbox in &sandboxes {
        sandbox.destroy().await.unwrap();
    }
    assert_eq!(world.remains(), Vec::<PathBuf>::new());
}

#[test]
fn what_the_host_offers_is_told_with_remedies() {
    let features = sandkeep_sandboxes::Features::probe();
    let findings = features.findings();
    assert!(findings.iter().any(|finding| finding.name == "overlay mounts" && finding.is_there));
    assert!(findings.iter().all(|finding| !finding.remedy.is_empty()));
    assert!(serde_json::to_value(&features).unwrap()["kernel"].is_string());
}
