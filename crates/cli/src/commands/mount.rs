//! `sandkeep mount`: in the foreground, or by a process of its own that this one waits for.

use std::fs::{self, DirBuilder, File};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use sandkeep_daemon::roles;
use sandkeep_daemon::standalone::{self, BucketFsSettings, Hints, HostMount, HostMountOptions};
use serde_json::{Value, json};

use super::{Result, runtime};
use crate::arguments::MountArguments;
use crate::error::{Error, while_doing};
use crate::output::Output;

pub(crate) fn run(arguments: MountArguments, output: Output) -> Result<()> {
    if !arguments.foreground {
        return background(&arguments, output);
    }
    let log = arguments.background_log.clone();
    if log.is_some() {
        roles::detach_from_terminal();
    }
    let outcome = runtime()?.block_on(foreground(arguments, output));
    if let (Ok(()), Some(log)) = (&outcome, log) {
        remove_empty(&log);
    }
    outcome
}

async fn foreground(arguments: MountArguments, output: Output) -> Result<()> {
    let MountArguments { source, directory, store, read_only, options, .. } = arguments;
    let options = HostMountOptions::parse(&options)?;
    let environment = options.environment(&source, |name| std::env::var(name).ok())?;
    if !options.without_effect.is_empty() {
        tracing::info!(options = ?options.without_effect, "these mount options change nothing here");
    }
    let hints = Hints {
        endpoint: store.endpoint.or(options.hints.endpoint),
        region: store.region.or(options.hints.region),
    };
    let location = standalone::locate(&source, &hints, environment)?;
    let read_only = read_only || options.settings.read_only;
    let settings = BucketFsSettings { prefix: location.prefix, read_only, ..options.settings };
    let mount = HostMount { store: location.store, settings, directory: directory.clone() };
    standalone::mount_bucket(mount, || report(&source, &directory, output)).await?;
    Ok(())
}

fn report(source: &str, directory: &Path, output: Output) {
    let value = json!({ "source": source, "directory": directory, "mounted": true });
    output.result(&value, || format!("{source} is mounted on {}", directory.display()));
}

/// Starts ourselves with `--foreground` and waits for its first line.
fn background(arguments: &MountArguments, output: Output) -> Result<()> {
    let program = std::env::current_exe().map_err(while_doing("cannot find this program"))?;
    let directory = arguments.directory.canonicalize();
    let directory =
        directory.map_err(while_doing(&format!("cannot mount on {}", arguments.directory.display())))?;
    let mut log = Log::open(arguments.log.clone(), &directory)?;
    let mut child = Command::new(program)
        .args(std::env::args_os().skip(1))
        .args(["--foreground", "--json", "--background-log"])
        .arg(&log.path)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log.file.try_clone().map_err(while_doing("cannot share the log"))?)
        .spawn()
        .map_err(while_doing("cannot start the mount's process"))?;
    let mut line = String::new();
    let stdout = child.stdout.take().expect("it is piped");
    BufReader::new(stdout)
        .read_line(&mut line)
        .map_err(while_doing("cannot hear from the mount's process"))?;
    if line.is_empty() {
        return Err(failure_of(child, &mut log));
    }
    report(&arguments.source, &arguments.directory, output);
    Ok(())
}

/// Where the background process writes what it has to tell.
struct Log {
    path: PathBuf,
    file: File,
    /// Its length before this mount.
    start: u64,
}

impl Log {
    fn open(chosen: Option<PathBuf>, directory: &Path) -> Result<Self> {
        let path = chosen.map_or_else(|| usual_log(directory), std::path::absolute);
        let path = path.map_err(while_doing("cannot choose a log file; name one with --log"))?;
        let what = format!("cannot log to {}; choose another file with --log", path.display());
        let file = File::options().create(true).append(true).read(true).mode(0o600).open(&path);
        let file = file.map_err(while_doing(&what))?;
        let start = file.metadata().map_err(while_doing(&what))?.len();
        Ok(Self { path, file, start })
    }

    /// The last line that was written since it was opened.
    fn last_line(&mut self) -> String {
        let mut text = String::new();
        let read =
            self.file.seek(SeekFrom::Start(self.start)).and_then(|_| self.file.read_to_string(&mut text));
        match read {
            Ok(_) => text.lines().last().unwrap_or_default().to_owned(),
            Err(error) => error.to_string(),
        }
    }
}

/// A file named after the mount point, where this user keeps what lives as long as the machine is up.
fn usual_log(directory: &Path) -> io::Result<PathBuf> {
    let run = match std::env::var_os("XDG_RUNTIME_DIR") {
        _ if rustix::process::geteuid().is_root() => PathBuf::from("/run"),
        Some(directory) => PathBuf::from(directory),
        None => std::env::temp_dir(),
    };
    let run = run.join("sandkeep");
    DirBuilder::new().recursive(true).mode(0o700).create(&run)?;
    let name = String::from_utf8_lossy(directory.as_os_str().as_bytes()).trim_matches('/').replace('/', "-");
    Ok(run.join(format!("mount-{name}.log")))
}

/// Takes a log away that tells nothing, and the directory with the last of them.
fn remove_empty(log: &Path) {
    if fs::metadata(log).is_ok_and(|about| about.len() == 0) {
        // Whatever cannot be removed does no harm.
        drop(fs::remove_file(log));
        drop(log.parent().map(fs::remove_dir));
    }
}

fn failure_of(mut child: Child, log: &mut Log) -> Error {
    drop(child.wait());
    let last = log.last_line();
    let told: Option<Value> = serde_json::from_str(&last).ok();
    let field = |name: &str| told.as_ref().and_then(|value| value[name].as_str()).map(str::to_owned);
    let message = field("error").unwrap_or_else(|| format!("the mount's process died: {last}"));
    if log.start == 0 && told.is_some() {
        // Told by us, so nobody needs to look there.
        drop(log.file.set_len(0));
        remove_empty(&log.path);
    }
    Error { message, hint: field("hint"), code: None }
}
