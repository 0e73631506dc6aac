//! `sandkeep backup create`.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use sandkeep_api::{BackupCompression, BackupEvent, BackupRequest};
use sandkeep_daemon::standalone::{self, Compression, CreateOptions, Location, Progress, ProgressSink};
use tokio_util::sync::CancellationToken;

use super::text::{Shown, previewed};
use super::{DEFAULT_TTL, Result, locate, service};
use crate::arguments::BackupCreateArguments;
use crate::error::{Error, while_doing};
use crate::output::Output;
use crate::progress::Bar;

pub(super) async fn run(arguments: BackupCreateArguments, output: Output) -> Result<()> {
    match (arguments.sandbox.clone(), arguments.to.clone()) {
        (Some(sandbox), _) => in_sandbox(&sandbox, arguments, output).await,
        (None, Some(to)) => on_host(&to, arguments, output).await,
        (None, None) => Err(Error::new("neither --sandbox nor --to is given")),
    }
}

async fn in_sandbox(sandbox: &str, arguments: BackupCreateArguments, output: Output) -> Result<()> {
    let client = service::client(&arguments.service)?;
    let dry_run = arguments.dry_run;
    let request = request(arguments);
    if dry_run {
        let preview = client.preview_backup(sandbox, &request).await?;
        output.result(&preview, || previewed(&preview));
        return Ok(());
    }
    let mut events = client.create_backup_stream(sandbox, &request).await?;
    let bar = Bar::new();
    while let Some(event) = events.next().await {
        match event? {
            BackupEvent::Progress(progress) => bar.show(progress.read_bytes, progress.total_bytes),
            BackupEvent::Complete { backup, info } => {
                bar.finish();
                let shown = Shown::of_service(&info);
                shown.notes(output);
                output.result(&backup, || backup.id.clone());
                return Ok(());
            }
            BackupEvent::Error { error } => {
                let code = Some(error.code.to_string());
                return Err(Error { message: error.message, hint: error.suggestion, code });
            }
        }
    }
    Err(Error::new("the connection broke before the backup was done")
        .hint("nothing of it is left; try again"))
}

fn request(arguments: BackupCreateArguments) -> BackupRequest {
    let compression = BackupCompression { format: arguments.compression, threads: arguments.threads };
    let has_compression = compression.format.is_some() || compression.threads.is_some();
    BackupRequest {
        dir: arguments.directory,
        name: arguments.name,
        ttl: arguments.ttl,
        gitignore: arguments.gitignore.then_some(true),
        excludes: arguments.excludes,
        compression: has_compression.then_some(compression),
        multipart: arguments.no_multipart.then_some(false),
        local_bucket: None,
        dry_run: None,
        full: arguments.full.then_some(true),
        freeze: arguments.no_freeze.then_some(false),
    }
}

/// Shows progress that this process itself makes.
pub(super) struct OnBar(pub(super) Bar);

impl ProgressSink for OnBar {
    fn report(&self, progress: Progress) {
        self.0.show(progress.read_bytes, progress.total_bytes);
    }
}

async fn on_host(to: &str, arguments: BackupCreateArguments, output: Output) -> Result<()> {
    let Location { store, prefix } = locate(to, &arguments.store)?;
    let directory = Path::new(&arguments.directory).canonicalize();
    let directory = directory.map_err(while_doing(&format!("cannot read {}", arguments.directory)))?;
    let dry_run = arguments.dry_run;
    let options = options(&directory, prefix, to, arguments)?;
    let request = standalone::BackupRequest { store, directory, options };
    if dry_run {
        let preview = standalone::preview_backup(request).await?;
        let shown = super::text::preview_of_host(preview);
        output.result(&shown, || previewed(&shown));
        return Ok(());
    }
    let cancel = CancellationToken::new();
    let backup = standalone::create_backup(request, Arc::new(OnBar(Bar::new())), cancel.clone());
    tokio::pin!(backup);
    let manifest = tokio::select! {
        done = &mut backup => done?,
        _ = tokio::signal::ctrl_c() => {
            cancel.cancel();
            backup.await?
        }
    };
    Shown::of_host(&manifest).notes(output);
    output.result(&manifest, || manifest.id.to_string());
    Ok(())
}

fn options(
    directory: &Path,
    key_prefix: String,
    to: &str,
    arguments: BackupCreateArguments,
) -> Result<CreateOptions> {
    let ttl = arguments.ttl.unwrap_or(DEFAULT_TTL);
    if ttl <= 0.0 || !ttl.is_finite() {
        return Err(Error::new("--ttl must be a positive number of seconds"));
    }
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let threads =
        arguments.threads.map_or(processors, |threads| usize::try_from(threads).unwrap_or(usize::MAX));
    if threads == 0 {
        return Err(Error::new("--threads must be at least 1"));
    }
    let compression = arguments.compression.map(|text| text.parse::<Compression>()).transpose();
    Ok(CreateOptions {
        id: standalone::new_backup_id(),
        now: SystemTime::now(),
        key_prefix,
        dir: directory.display().to_string(),
        name: arguments.name,
        ttl,
        excludes: arguments.excludes,
        gitignore: arguments.gitignore,
        compression: compression.map_err(while_doing("--compression"))?,
        threads,
        multipart: !arguments.no_multipart,
        record: if arguments.full { None } else { record_of(directory, to) },
    })
}

/// Where this user's backups of a directory leave what the next one needs to know.
fn record_of(directory: &Path, to: &str) -> Option<PathBuf> {
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let cache = absolute("XDG_CACHE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".cache")))?;
    let mut hasher = DefaultHasher::new();
    (directory, to).hash(&mut hasher);
    Some(cache.join("sandkeep/backups").join(format!("{:016x}", hasher.finish())))
}
