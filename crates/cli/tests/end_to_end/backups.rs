//! Backups in all their forms: what is left out, checkpoints, freezing, restores of each kind, and what can be done with them.

use std::fs;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::service::Service;
use super::standalone::with_keys;

/// All of a directory's content, as text; without the links of directories, which overlays do not count.
const PICTURE: &str = "cd /workspace && find . -printf '%p %y %m %U:%G %l %Ts\\n' | sort &&
     find . ! -type d -printf '%p %n\\n' | sort && find . -type f -print0 | sort -z | xargs -0 sha256sum";

fn id(backup: &Value) -> &str {
    backup["id"].as_str().expect("an id")
}

fn post(service: &Service, path: &str, body: &Value) -> Value {
    let (status, text) = service.http("POST", path, Some(&body.to_string()));
    assert!((200..300).contains(&status), "{path}: {status} {text}");
    serde_json::from_str(&text).expect("JSON")
}

#[test]
fn what_git_ignores_is_left_out_listed_and_counted() {
    let service = Service::start();
    service.shell(
        "demo",
        "cd /workspace && git init -q && mkdir -p node_modules/x src && echo 12345 >node_modules/x/y && echo a >src/a.js &&
         printf 'node_modules/\\n*.log\\n' >.gitignore && echo 1 >src/b.log && echo 2 >src/kept.log && git add -f src/kept.log",
    );
    let options = json!({"dir": "/workspace", "useGitignore": true, "excludes": [".git"], "dryRun": true});
    let preview = post(&service, "/v1/sandboxes/demo/backups", &options);
    let mut paths: Vec<_> =
        preview["leftOut"].as_array().expect("a list").iter().map(|one| &one["path"]).collect();
    paths.sort_by_key(|path| path.to_string());
    assert_eq!(paths, [".git/", "node_modules/", "src/b.log"]);
    let listed =
        service.ok(&["backup", "create", "--sandbox", "demo", "/workspace", "--gitignore", "--dry-run"]);
    assert!(listed.contains("node_modules/\t1 files, 6 bytes by node_modules/"), "{listed}");
    assert_eq!(service.json(&["backup", "ls"]), json!([]));
    let backup = service.json(&["backup", "create", "--sandbox", "demo", "/workspace", "--gitignore"]);
    let shown = service.ok(&["backup", "show", id(&backup)]);
    assert!(shown.contains("left out   1 files, 2 bytes by gitignore *.log (.gitignore:2)"), "{shown}");
    service.ok(&["backup", "restore", "--sandbox", "other", id(&backup)]);
    let found =
        service.shell("other", "cd /workspace && find . -path ./.git -prune -o -type f -print | sort");
    assert_eq!(found, "./.gitignore\n./src/a.js\n./src/kept.log\n");
}

#[test]
fn a_checkpoint_of_a_restored_directory_sends_the_change_and_is_complete() {
    let service = Service::start();
    service.shell(
        "demo",
        "cd /workspace && head -c 20000000 /dev/urandom >big && mkdir -p d/e && for n in 1 2 3; do echo $n >d/e/$n; done &&
         ln d/e/1 hard && echo x >gone",
    );
    let first = service.json(&["backup", "create", "--sandbox", "demo", "/workspace"]);
    service.ok(&["backup", "restore", "--sandbox", "demo", id(&first)]);
    service.shell(
        "demo",
        "cd /workspace && rm gone && mv d moved && echo new >moved/new && chmod 600 moved/e/2 && echo more >>moved/e/3",
    );
    let second =
        service.json(&["backup", "create", "--sandbox", "demo", "/workspace", "--name", "checkpoint"]);
    let info = service.json(&["backup", "show", id(&second)]);
    assert_eq!(info["base"], first["id"], "{info}");
    assert!(info["copiedBytes"].as_u64().expect("a number") > 10_000_000, "{info}");
    assert_eq!(info["consistency"], "frozen", "{info}");
    let picture = service.shell("demo", PICTURE);
    // Complete by itself: the first is gone.
    service.ok(&["backup", "rm", id(&first)]);
    service.ok(&["backup", "restore", "--sandbox", "demo", id(&second)]);
    assert_eq!(service.shell("demo", PICTURE), picture);
    assert!(service.ok(&["backup", "verify", id(&second)]).contains("is intact"));
    // The next one builds upon it, though nothing was restored from it since.
    service.shell("demo", "cd /workspace && echo third >third");
    let third = service.json(&["backup", "create", "--sandbox", "demo", "/workspace"]);
    assert_eq!(service.json(&["backup", "show", id(&third)])["base"], second["id"]);
    let full = service.json(&["backup", "create", "--sandbox", "demo", "/workspace", "--full"]);
    assert_eq!(service.json(&["backup", "show", id(&full)])["base"], Value::Null);
}

#[test]
fn a_sandbox_goes_on_after_its_backup_whatever_it_does() {
    let service = Service::start();
    let ticker = "n=0; while :; do n=$((n+1)); echo $n >next; mv next tick; sleep 0.01; done";
    service.shell(
        "demo",
        &format!("cd /workspace && echo 0 >tick && (setsid sh -c '{ticker}' >/dev/null 2>&1 &)"),
    );
    let backup = service.json(&["backup", "create", "--sandbox", "demo", "/workspace"]);
    let info = service.json(&["backup", "show", id(&backup)]);
    assert!(info["consistency"] == "frozen" || info["consistency"] == "fuzzy", "{info}");
    let unfrozen = service.json(&["backup", "create", "--sandbox", "demo", "/workspace", "--no-freeze"]);
    assert_eq!(service.json(&["backup", "show", id(&unfrozen)])["consistency"], Value::Null);
    let moves = service.shell(
        "demo",
        "cd /workspace && a=$(cat tick); sleep 0.5; b=$(cat tick); test \"$a\" != \"$b\" && echo moves",
    );
    assert_eq!(moves, "moves\n");
}

#[test]
fn an_eager_restore_writes_files_and_again_replaces_them() {
    let service = Service::start();
    service.shell(
        "demo",
        "cd /workspace && mkdir d && echo one >d/a && chmod 751 d && ln d/a b && chown 7:8 d/a",
    );
    let picture = service.shell("demo", PICTURE);
    let backup = service.json(&["backup", "create", "--sandbox", "demo", "/workspace"]);
    service.shell("demo", "cd /workspace && echo two >d/a && echo extra >extra");
    service.ok(&["backup", "restore", "--sandbox", "demo", id(&backup), "--eager"]);
    assert_eq!(service.shell("demo", PICTURE), picture);
    service.shell("demo", "cd /workspace && rm -r d && echo x >y");
    let handle = json!({"id": id(&backup), "dir": "/workspace", "localBucket": true});
    post(&service, "/v1/sandboxes/demo/restore", &handle);
    assert_eq!(service.shell("demo", PICTURE), picture);
    // Lazily over it, and the other way round.
    service.ok(&["backup", "restore", "--sandbox", "demo", id(&backup)]);
    assert_eq!(service.shell("demo", PICTURE), picture);
    service.ok(&["backup", "restore", "--sandbox", "demo", id(&backup), "--eager"]);
    assert_eq!(service.shell("demo", PICTURE), picture);
    // A restore that fails leaves what was there.
    let missing = json!({"id": "00000000-0000-4000-8000-000000000000", "dir": "/workspace", "eager": true});
    let (status, text) = service.http("POST", "/v1/sandboxes/demo/restore", Some(&missing.to_string()));
    assert!(status == 404 && text.contains("BACKUP_NOT_FOUND"), "{status} {text}");
    assert_eq!(service.shell("demo", PICTURE), picture);
}

#[test]
fn a_bucket_below_a_restored_directory_stays() {
    let service = Service::start();
    service.shell("demo", "cd /workspace && mkdir data && echo one >a");
    let backup = service.json(&["backup", "create", "--sandbox", "demo", "/workspace"]);
    service.ok(&["sandbox", "mount", "demo", "bucket", "/workspace/data", "--create"]);
    service.shell("demo", "echo in-bucket >/workspace/data/file && echo two >/workspace/a");
    for eager in [&[][..], &["--eager"], &[]] {
        service.ok(&[&["backup", "restore", "--sandbox", "demo", id(&backup)], eager].concat());
        assert_eq!(service.shell("demo", "cat /workspace/a /workspace/data/file"), "one\nin-bucket\n");
    }
    // What is mounted is no part of the backup, of a restored directory neither.
    service.shell("demo", "echo three >/workspace/a");
    let second = service.json(&["backup", "create", "--sandbox", "demo", "/workspace"]);
    let info = service.json(&["backup", "show", id(&second)]);
    assert_eq!(info["skipped"], json!([{"path": "data", "reason": "mount"}]));
    service.ok(&["backup", "restore", "--sandbox", "other", id(&second)]);
    assert_eq!(service.shell("other", "cd /workspace && cat a && ls data"), "three\n");
    service.ok(&["sandbox", "unmount", "demo", "/workspace/data"]);
}

#[test]
fn many_calls_at_once_queue_and_all_succeed() {
    let service = Service::start();
    service.shell("demo", "cd /workspace && echo one >a");
    let backup = service.json(&["backup", "create", "--sandbox", "demo", "/workspace"]);
    let handle = json!({"id": id(&backup), "dir": "/workspace"});
    std::thread::scope(|scope| {
        for number in 0..24 {
            let (service, handle) = (&service, &handle);
            scope.spawn(move || match number % 3 {
                0 => drop(post(service, "/v1/sandboxes/demo/backups", &json!({"dir": "/workspace"}))),
                1 => drop(post(service, "/v1/sandboxes/demo/restore", handle)),
                _ => drop(post(service, &format!("/v1/sandboxes/s{number}/restore"), handle)),
            });
        }
    });
    assert_eq!(service.shell("demo", "cat /workspace/a"), "one\n");
    assert_eq!(service.json(&["backup", "ls"]).as_array().expect("a list").len(), 9);
}

#[test]
fn backups_are_paged_filtered_pruned_copied_exported_and_imported() {
    let service = Service::start();
    service.shell("demo", "cd /workspace && echo one >a && mkdir d && ln -s ../a d/link");
    let mut ids = Vec::new();
    for name in ["first", "second", "third"] {
        let backup = service.json(&["backup", "create", "--sandbox", "demo", "/workspace", "--name", name]);
        ids.insert(0, id(&backup).to_owned());
    }
    let page = |path: &str| {
        let (status, text) = service.http("GET", path, None);
        assert_eq!(status, 200, "{text}");
        serde_json::from_str::<Value>(&text).expect("JSON")
    };
    let one = page("/v1/backups?limit=2");
    let listed: Vec<_> =
        one["backups"].as_array().expect("a list").iter().map(|one| id(one).to_owned()).collect();
    assert_eq!(listed, ids[..2]);
    let next = one["next"].as_str().expect("a cursor");
    let two = page(&format!("/v1/backups?limit=2&cursor={next}"));
    assert_eq!((id(&two["backups"][0]), &two["next"]), (ids[2].as_str(), &Value::Null));
    assert_eq!(id(&page("/v1/backups?name=second")["backups"][0]), ids[1]);
    assert_eq!(page("/v1/backups?olderThan=3600")["backups"], json!([]));
    assert_eq!(service.http("GET", "/v1/backups?limit=0", None).0, 400);
    assert_eq!(service.http("GET", "/v1/backups?colour=red", None).0, 400);

    service.ok(&["bucket", "create", "archive"]);
    service.ok(&["backup", "copy", &ids[0], "--bucket", "archive", "--prefix", "far/"]);
    let verified = with_keys(&service)
        .args(["backup", "verify", &ids[0], "--from", "s3://archive/far"])
        .output()
        .expect("it starts");
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));

    let tar = service.path("export.tar");
    service.ok(&["backup", "export", &ids[0], tar.to_str().expect("UTF-8")]);
    let names = Command::new("tar").arg("-tf").arg(&tar).stderr(Stdio::null()).output().expect("tar runs");
    assert_eq!(String::from_utf8_lossy(&names.stdout), "./\n./a\n./d/\n./d/link\n");
    let archive = service.path("export.sqsh");
    service.ok(&["backup", "export", &ids[0], archive.to_str().expect("UTF-8")]);
    let bytes = fs::read(&archive).expect("it was written");
    let imported = with_keys(&service)
        .args([
            "--json",
            "backup",
            "import",
            archive.to_str().expect("UTF-8"),
            "--to",
            "s3://sandkeep-backups",
        ])
        .output()
        .expect("it starts");
    let imported: Value = serde_json::from_slice(&imported.stdout).expect("JSON");
    assert_eq!(imported["sizeBytes"], bytes.len());
    service.ok(&["backup", "restore", "--sandbox", "imported", id(&imported)]);
    assert_eq!(service.shell("imported", "cat /workspace/d/link"), "one\n");

    let target = service.path("restored");
    fs::create_dir(&target).expect("a folder");
    fs::write(target.join("old"), "old").expect("a file");
    let restore = with_keys(&service)
        .args(["backup", "restore", &ids[0], "--from", "s3://archive/far", "--dir"])
        .arg(&target)
        .output()
        .expect("it starts");
    assert!(restore.status.success(), "{}", String::from_utf8_lossy(&restore.stderr));
    assert_eq!(fs::read_to_string(target.join("a")).expect("a file"), "one\n");
    assert!(!target.join("old").exists());

    let would = service.json(&["backup", "prune", "--keep-last", "1", "--dry-run"]);
    assert_eq!(would.as_array().expect("a list").len(), 3);
    service.ok(&["backup", "prune", "--keep-last", "1"]);
    let left = service.json(&["backup", "ls"]);
    assert_eq!((left.as_array().expect("a list").len(), id(&left[0])), (1, id(&imported)));
}

#[test]
fn the_second_backup_of_a_host_directory_sends_the_change() {
    let service = Service::start();
    service.ok(&["bucket", "create", "laptop"]);
    let tree = service.path("tree");
    fs::create_dir(&tree).expect("a folder");
    let noise =
        Command::new("head").args(["-c", "15000000", "/dev/urandom"]).output().expect("head runs").stdout;
    fs::write(tree.join("big"), noise).expect("a file");
    fs::write(tree.join("small"), "one").expect("a file");
    // What was changed in the last seconds is not trusted to be the same next time.
    let changed = fs::metadata(tree.join("big")).expect("a file").modified().expect("a time");
    service.wait_until("the file is a few seconds old", |_| {
        changed.elapsed().is_ok_and(|age| age > std::time::Duration::from_secs(4))
    });
    let create = |arguments: &[&str]| {
        let mut command = with_keys(&service);
        command.env("XDG_CACHE_HOME", service.path("cache"));
        let output = command
            .args(["--json", "backup", "create"])
            .arg(&tree)
            .args(["--to", "s3://laptop"])
            .args(arguments);
        let output = output.output().expect("it starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice::<Value>(&output.stdout).expect("JSON")
    };
    let first = create(&[]);
    fs::write(tree.join("small"), "two").expect("a file");
    let second = create(&["--threads", "1"]);
    assert_eq!(second["base"], first["id"]);
    assert!(second["copiedBytes"].as_u64().expect("a number") > 6_000_000, "{second}");
    assert_eq!(create(&["--full"])["base"], Value::Null);
    assert_eq!(create(&["--compression", "none", "--no-multipart"])["base"], Value::Null);
}
