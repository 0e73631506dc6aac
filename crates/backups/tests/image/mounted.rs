//! The image through the kernel, and a writable overlay above it.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;

use sandkeep_backups::{Compression, Image, ImageSettings};
use sandkeep_vfs::{MountOptions, Server, Session, Takeover, attach, mount};

use crate::archives::{open, own_backup, settings};
use crate::store::Watched;
use crate::trees::everything;

/// A mounted image. Unmounted and, in case that something hangs, aborted when dropped.
struct MountedImage {
    directory: tempfile::TempDir,
    mount: Option<std::os::fd::OwnedFd>,
    session: Option<Session>,
    _server: Server,
    store: Arc<Watched>,
}

impl MountedImage {
    async fn of(tree: &Path) -> Self {
        let store = own_backup(tree, Compression::default()).await;
        let image = open(&store, ImageSettings { memory_budget: 32 << 20, ..settings() }).await.unwrap();
        Self::serve(store, image)
    }

    fn serve(store: Arc<Watched>, image: Image) -> Self {
        let options = MountOptions {
            source: "backup".to_owned(),
            subtype: "sandkeep".to_owned(),
            read_only: true,
            allow_other: true,
            trusted: true,
            read_ahead_kib: 1024,
        };
        let mounted = mount(&options).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let server = Server::start(2, tokio::runtime::Handle::current()).unwrap();
        let session = server.serve(mounted.connection, Arc::new(image), Takeover::Fresh).unwrap();
        attach(&mounted.mount, directory.path()).unwrap();
        Self { directory, mount: Some(mounted.mount), session: Some(session), _server: server, store }
    }

    fn path(&self) -> &str {
        self.directory.path().to_str().unwrap()
    }

    async fn close(mut self) {
        // A descriptor keeps the mount busy.
        drop(self.mount.take());
        let output = run("umount", &[self.path()]).await;
        assert!(output.status.success(), "{output:?}");
        self.session.take().unwrap().ended().await;
    }
}

impl Drop for MountedImage {
    fn drop(&mut self) {
        if self.session.is_some() {
            let _any = self.mount.take().map(|mount| sandkeep_vfs::abort(&mount));
            let _any = Command::new("umount").args(["-l", self.path()]).status();
        }
    }
}

/// In a child, so that no thread of ours can hang in our own mount.
async fn run(program: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new(program);
    command.args(arguments);
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_kernel_shows_the_tree() {
    let tree = tempfile::tempdir().unwrap();
    everything(tree.path());
    let mounted = MountedImage::of(tree.path()).await;
    let opened = mounted.store.gets();
    assert!(opened <= 3, "{opened}");
    let source = tree.path().to_str().unwrap();
    let listing = |directory: &str| {
        let script = "cd \"$1\" && find . ! -type d -printf '%p %m %U %G %s %n %y %l %.10T@\\n' | sort";
        let arguments = ["-c", script, "sh", directory].map(str::to_owned);
        async move {
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            let output = run("sh", &arguments).await;
            assert!(output.status.success(), "{output:?}");
            String::from_utf8_lossy(&output.stdout).into_owned()
        }
    };
    // Special files cannot be compared by content.
    let output = run(
        "diff",
        &[
            "-r",
            "--no-dereference",
            "-x",
            "pipe",
            "-x",
            "null",
            "-x",
            "disk",
            "-x",
            "socket",
            source,
            mounted.path(),
        ],
    )
    .await;
    assert!(output.status.success(), "{output:?}");
    assert_eq!(listing(mounted.path()).await, listing(source).await);
    let output =
        run("getfattr", &["-n", "user.long", "--only-values", &format!("{}/a/small", mounted.path())]).await;
    assert_eq!(output.stdout.len(), 3000, "{output:?}");
    mounted.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_overlay_above_takes_all_changes() {
    let tree = tempfile::tempdir().unwrap();
    everything(tree.path());
    let mounted = MountedImage::of(tree.path()).await;
    let layers = tempfile::tempdir().unwrap();
    for name in ["upper", "work", "merged"] {
        fs::create_dir(layers.path().join(name)).unwrap();
    }
    let script = r#"
        set -e
        mount -t tmpfs tmpfs "$2" && mkdir "$2/upper" "$2/work" "$2/merged"
        mount -t overlay overlay -o "lowerdir=$1,upperdir=$2/upper,workdir=$2/work,redirect_dir=on,metacopy=on" "$2/merged"
        cd "$2/merged"
        mv a renamed
        test "$(cat renamed/small)" = small
        echo more >> renamed/b/text
        chmod 600 renamed/b/noise
        rm -r many
        mkdir many && test -z "$(ls many)"
        cmp renamed/b/noise "$1/a/b/noise"
        test "$(tail -n 1 renamed/b/text)" = more
        test "$(stat -c %a renamed/b/noise)" = 600
        test "$(getfattr -n user.one --only-values renamed/small)" = 1
        test "$(wc -l < "$1/a/b/text")" = 60000
        test "$(ls "$1/many" | wc -l)" = 3000
        cd / && umount "$2/merged"
    "#;
    let directory = layers.path().to_str().unwrap();
    let arguments = ["-m", "--propagation", "private", "sh", "-c", script, "sh", mounted.path(), directory];
    let output = run("unshare", &arguments).await;
    assert!(output.status.success(), "{output:?}");
    mounted.close().await;
}
