//! Real programs on a mount.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::world::{Mounted, World};

/// Runs a shell script in a fresh directory of a mount; a program that is not installed is reported and left out.
#[expect(clippy::print_stderr, reason = "who runs the test sees what was left out")]
fn check(needed: &[&str], script: &str) {
    let world = World::alone();
    let mount = world.mount();
    if let Some(missing) = needed.iter().find(|program| !installed(program)) {
        eprintln!("left out: {missing} is not installed");
        return;
    }
    run(&mount, script);
    mount.close();
    world.await_no_uploads();
}

pub(crate) fn installed(program: &str) -> bool {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&paths).any(|path| Path::new(&path).join(program).is_file())
}

fn run(mount: &Mounted, script: &str) {
    let scratch = tempfile::tempdir().unwrap();
    let directory = mount.path("work");
    fs::create_dir(&directory).unwrap();
    let output = Command::new("sh")
        .args(["-euxc", script])
        .current_dir(&directory)
        .env("HOME", scratch.path())
        .env("SCRATCH", scratch.path())
        .env_remove("PYTHONDONTWRITEBYTECODE")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}\n{}", text(&output.stdout), text(&output.stderr));
}

#[test]
fn git_commits_checks_and_clones() {
    check(
        &["git"],
        "git config --global user.name t; git config --global user.email t@example.org
         git init -q one; cd one; mkdir d; for i in 1 2 3 4 5; do echo $i > d/$i; done
         git add .; git commit -qm first; echo more >> d/1; git commit -qam second
         git checkout -qb side HEAD~1; echo s > s; git add s; git commit -qm side
         git merge -q -m merged -; git gc -q; git fsck --strict; test -z \"$(git status --porcelain)\"
         git clone -q . ../two; cd ../two; git fsck --strict; test \"$(cat d/1 | wc -l)\" = 2",
    );
}

#[test]
fn sqlite_keeps_its_integrity_with_both_journals() {
    check(
        &["python3"],
        "cat > db.py <<'END'
import sqlite3, sys
for journal in ('delete', 'wal'):
    db = sqlite3.connect(journal + '.db')
    assert db.execute('pragma journal_mode=' + journal).fetchone()[0] == journal
    db.execute('create table t (a integer primary key, b text)')
    for i in range(20):
        with db: db.execute('insert into t values (?, ?)', (i, 'x' * 1000))
    db.close()
    db = sqlite3.connect(journal + '.db')
    assert db.execute('pragma integrity_check').fetchone()[0] == 'ok'
    assert db.execute('select count(*) from t').fetchone()[0] == 20
END
python3 db.py",
    );
}

#[test]
fn trees_are_copied_and_archived_with_their_times() {
    check(
        &["tar", "cp", "diff", "find"],
        "mkdir -p src/a/b; for i in $(seq 30); do echo $i > src/a/$i; touch -d @$((1000000000 + i)).5 src/a/$i; done
         ln -s a/1 src/link; chmod 640 src/a/2; cp -a src copy; cp -a src/. copy/; diff -r --no-dereference src copy
         tar --format=posix -cf one.tar src; mkdir out; tar xf one.tar -C out; diff -r src out/src
         stamps() { find . -type f -printf '%P %m %T@\\n' | sort; }
         test \"$(cd src; stamps)\" = \"$(cd copy; stamps)\"; test \"$(cd src; stamps)\" = \"$(cd out/src; stamps)\"
         rm -r src copy out; test \"$(ls)\" = one.tar",
    );
}

#[test]
fn editors_replace_files() {
    check(
        &["sed"],
        "echo one > f; chmod 600 f; sed -i s/one/two/ f; test \"$(cat f)\" = two; test \"$(stat -c %a f)\" = 600",
    );
}

#[test]
fn python_imports_a_package() {
    check(
        &["python3"],
        "mkdir -p pkg/sub; echo 'from .sub import x' > pkg/__init__.py; echo 'x = 7' > pkg/sub/__init__.py
         python3 -c 'import pkg; assert pkg.x == 7'; python3 -c 'import pkg; assert pkg.x == 7'
         test -d pkg/__pycache__",
    );
}

#[test]
fn make_builds_only_what_changed() {
    check(
        &["make", "gcc"],
        "echo 'int main(void) { return 0; }' > m.c; printf 'm: m.c\\n\\tgcc -o m m.c\\n' > Makefile
         make -s; ./m; make -q; echo 'int main(void) { return 3; }' > m.c; ! make -q; make -s; ! ./m",
    );
}

#[test]
fn mappings_reach_the_bucket() {
    let world = World::alone();
    let mount = world.mount();
    world.put("file", vec![b'a'; 10_000]);
    let script = "import mmap
f = open('file', 'r+b'); m = mmap.mmap(f.fileno(), 0); m[5000:5003] = b'xyz'; m.flush(); m.close(); f.close()";
    let status = Command::new("python3").args(["-c", script]).current_dir(mount.path("")).status().unwrap();
    assert!(status.success());
    mount.close();
    assert_eq!(world.get("file").unwrap()[4999..5004], *b"axyza");
}

/// Random operations on one file, see `fsx.py`; on a local directory first, where a failure is the test's.
fn check_random_operations(mapping: &str) {
    let script = format!(
        "cat > $SCRATCH/fsx.py <<'END'\n{}\nEND\nfor seed in 1 2 3; do
           for file in $SCRATCH/file $PWD/file; do python3 $SCRATCH/fsx.py $file $seed 250 {mapping}; done
           cmp $SCRATCH/file file
         done",
        include_str!("fsx.py")
    );
    check(&["python3", "cmp"], &script);
}

#[test]
fn random_operations_on_a_file_follow_a_model() {
    check_random_operations("plain");
}

#[test]
fn random_operations_on_a_file_and_its_mappings_follow_a_model() {
    check_random_operations("map");
}
