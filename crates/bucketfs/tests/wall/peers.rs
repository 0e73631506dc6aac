//! Sharing a bucket with s3fs and rclone, in both directions. A program that is not installed is reported and left out.

use std::path::{Path, PathBuf};
use std::process::Command;

use sandkeep_testing::gateway::TestGateway;
use tempfile::TempDir;

use crate::programs::installed;
use crate::world::{Mounted, World};

/// A bucket that is mounted by us at `$OURS` and can be reached by others; `$SCRATCH` is local, `$THEIRS` an empty
/// directory to mount on.
struct Shared {
    world: World,
    ours: Mounted,
    gateway: TestGateway,
    scratch: TempDir,
}

/// Ends also when a check fails.
struct Theirs(PathBuf);

impl Drop for Theirs {
    fn drop(&mut self) {
        // Nothing is mounted there if the peer could not mount.
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).output();
    }
}

impl Shared {
    fn new() -> Self {
        let world = World::alone();
        let ours = world.mount_forgetful();
        let gateway = world.run(TestGateway::start(world.service()));
        let scratch = tempfile::tempdir().unwrap();
        std::fs::create_dir(scratch.path().join("theirs")).unwrap();
        Self { world, ours, gateway, scratch }
    }

    fn theirs(&self) -> PathBuf {
        self.scratch.path().join("theirs")
    }

    /// Runs a script; returns what it says.
    fn shell(&self, script: &str) -> String {
        let credentials = self.gateway.credentials();
        let output = Command::new("sh")
            .args(["-euc", script])
            .current_dir(self.scratch.path())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.scratch.path())
            .env("OURS", self.ours.path(""))
            .env("THEIRS", self.theirs())
            .env("URL", self.gateway.endpoint())
            .env("AWS_ACCESS_KEY_ID", &credentials.access_key_id.0)
            .env("AWS_SECRET_ACCESS_KEY", credentials.secret_access_key.expose())
            .env("RCLONE_CONFIG_SK_TYPE", "s3")
            .env("RCLONE_CONFIG_SK_PROVIDER", "Other")
            .env("RCLONE_CONFIG_SK_ENV_AUTH", "true")
            .env("RCLONE_CONFIG_SK_ENDPOINT", self.gateway.endpoint())
            .output()
            .unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert!(output.status.success(), "{}\n{}", text(&output.stdout), text(&output.stderr));
        text(&output.stdout)
    }

    fn close(self) {
        self.ours.close();
        self.world.run(self.gateway.stop());
    }
}

#[expect(clippy::print_stderr, reason = "who runs the test sees what was left out")]
fn missing(program: &str) -> bool {
    if !installed(program) {
        eprintln!("left out: {program} is not installed");
        return true;
    }
    false
}

/// Makes one of everything in the current directory.
const MAKE: &str = "
    mkdir -m 750 dir; printf content > dir/file; chmod 640 dir/file; chown 1234:2345 dir/file
    touch -d @1700000000 dir/file; ln -s dir/file link; mkdir empty; : > dir/nothing
    head -c 12000000 /dev/urandom > large; printf renamed > old; mv old new";

/// Tells about everything in the current directory, byte for byte.
const TELL: &str = "
    find . -mindepth 1 | sort | while read -r name; do
        stat -c '%n %F %a %u:%g' \"$name\"; if test -f \"$name\"; then md5sum < \"$name\"; stat -c '%Y %s' \"$name\"; fi
    done; readlink link";

#[test]
fn s3fs_and_a_mount_see_the_same_in_both_directions() {
    if missing("s3fs") {
        return;
    }
    let shared = Shared::new();
    let theirs = Theirs(shared.theirs());
    shared.shell(
        "s3fs test-bucket \"$THEIRS\" -o url=\"$URL\" -o use_path_request_style -o endpoint=us-east-1 \
             -o stat_cache_expire=0 -o multipart_size=5",
    );
    let tell = |at: &str| shared.shell(&format!("cd \"{at}\"; {TELL}"));
    for (writer, reader) in [("$OURS", "$THEIRS"), ("$THEIRS", "$OURS")] {
        shared.shell(&format!("mkdir \"{writer}/all\"; cd \"{writer}/all\"; {MAKE}"));
        let (written, read) = (tell(&format!("{writer}/all")), tell(&format!("{reader}/all")));
        assert_eq!(written, read, "{writer} to {reader}");
        assert!(written.contains("./dir/file regular file 640 1234:2345"), "{written}");
        assert!(written.contains("./link symbolic link"), "{written}");
        shared.shell(&format!("rm -r \"{reader}/all\"; test -z \"$(ls -A \"{writer}\")\""));
    }
    shared.shell("umount \"$THEIRS\"");
    drop(theirs);
    shared.close();
}

#[test]
fn rclone_and_a_mount_see_the_same_in_both_directions() {
    if missing("rclone") {
        return;
    }
    let shared = Shared::new();
    let scratch: &Path = shared.scratch.path();
    let there = shared.shell(&format!(
        "mkdir here; cd here; {MAKE}; rm link
         rclone copy --metadata . sk:test-bucket/there
         cd \"$OURS/there\"; stat -c '%a %u:%g %Y' dir/file; md5sum < large; md5sum < {0}/here/large; ls",
        scratch.display()
    ));
    let lines: Vec<&str> = there.lines().collect();
    assert_eq!(lines[0], "640 1234:2345 1700000000", "{there}");
    assert_eq!(lines[1], lines[2]);
    assert!(lines.contains(&"new"), "{there}");
    let back = shared.shell(&format!(
        "mkdir \"$OURS/ours\"; cd \"$OURS/ours\"; {MAKE}
         cd {0}; rclone copy sk:test-bucket/ours back
         stat -c %Y back/dir/file; cat back/new; echo; md5sum < back/large; md5sum < \"$OURS/ours/large\"",
        scratch.display()
    ));
    let lines: Vec<&str> = back.lines().collect();
    assert_eq!(lines[..2], ["1700000000", "renamed"], "{back}");
    assert_eq!(lines[2], lines[3]);
    shared.close();
}
