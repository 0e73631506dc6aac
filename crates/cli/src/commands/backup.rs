//! `sandkeep backup`: in sandboxes through the service, of host directories by ourselves.

use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use sandkeep_api::{BackupCompression, BackupEvent, BackupInfo, BackupRequest, DirectoryBackup};
use sandkeep_daemon::standalone::{
    self, Compression, CreateOptions, Hints, Location, Progress, ProgressSink,
};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::{Result, service};
use crate::arguments::{
    BackupCommand, BackupCreateArguments, BackupRestoreArguments, CompressionArgument, ServiceArguments,
    StoreArguments,
};
use crate::error::{Error, while_doing};
use crate::output::Output;
use crate::progress::Bar;

/// Seconds until restores are refused, where nobody says otherwise (contract: three days).
const DEFAULT_TTL: f64 = 259_200.0;

pub(crate) async fn run(command: BackupCommand, output: Output) -> Result<()> {
    match command {
        BackupCommand::Create(arguments) => create(arguments, output).await,
        BackupCommand::Restore(arguments) => restore(arguments, output).await,
        BackupCommand::Ls { from: None, service, .. } => list_of_service(&service, output).await,
        BackupCommand::Ls { from: Some(from), store, .. } => list_of_bucket(&from, store, output).await,
        BackupCommand::Show { id, service } => show(&id, &service, output).await,
        BackupCommand::Rm { ids, service } => remove(&ids, &service, output).await,
    }
}

async fn create(arguments: BackupCreateArguments, output: Output) -> Result<()> {
    match (arguments.sandbox.clone(), arguments.to.clone()) {
        (Some(sandbox), _) => create_in_sandbox(&sandbox, arguments, output).await,
        (None, Some(to)) => create_on_host(&to, arguments, output).await,
        (None, None) => Err(Error::new("neither --sandbox nor --to is given")),
    }
}

async fn create_in_sandbox(sandbox: &str, arguments: BackupCreateArguments, output: Output) -> Result<()> {
    let client = service::client(&arguments.service)?;
    let format = arguments.compression.map(|one| format!("{one:?}").to_lowercase());
    let request = BackupRequest {
        dir: arguments.directory,
        name: arguments.name,
        ttl: arguments.ttl,
        excludes: arguments.excludes,
        compression: format.map(|format| BackupCompression { format: Some(format), threads: None }),
        ..BackupRequest::default()
    };
    let mut events = client.create_backup_stream(sandbox, &request).await?;
    let bar = Bar::new();
    while let Some(event) = events.next().await {
        match event? {
            BackupEvent::Progress(progress) => bar.show(progress.read_bytes, progress.total_bytes),
            BackupEvent::Complete { backup } => {
                bar.finish();
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

/// Shows progress that this process itself makes.
struct Shown(Bar);

impl ProgressSink for Shown {
    fn report(&self, progress: Progress) {
        self.0.show(progress.read_bytes, progress.total_bytes);
    }
}

async fn create_on_host(to: &str, arguments: BackupCreateArguments, output: Output) -> Result<()> {
    let Location { store, prefix } = locate(to, arguments.store)?;
    let directory = Path::new(&arguments.directory).canonicalize();
    let directory = directory.map_err(while_doing(&format!("cannot read {}", arguments.directory)))?;
    let options = CreateOptions {
        id: standalone::new_backup_id(),
        now: SystemTime::now(),
        key_prefix: prefix,
        dir: directory.display().to_string(),
        name: arguments.name,
        ttl: arguments.ttl.unwrap_or(DEFAULT_TTL),
        excludes: arguments.excludes,
        compression: arguments.compression.map_or(Compression::default(), codec),
        threads: std::thread::available_parallelism().map_or(1, usize::from),
        multipart: true,
    };
    if options.ttl <= 0.0 || !options.ttl.is_finite() {
        return Err(Error::new("--ttl must be a positive number of seconds"));
    }
    let cancel = CancellationToken::new();
    let request = standalone::BackupRequest { store, directory, options };
    let backup = standalone::create_backup(request, Arc::new(Shown(Bar::new())), cancel.clone());
    tokio::pin!(backup);
    let manifest = tokio::select! {
        done = &mut backup => done?,
        _ = tokio::signal::ctrl_c() => {
            cancel.cancel();
            backup.await?
        }
    };
    output.result(&manifest, || manifest.id.to_string());
    Ok(())
}

fn codec(argument: CompressionArgument) -> Compression {
    match argument {
        CompressionArgument::Gzip => Compression::Gzip,
        CompressionArgument::Lz4 => Compression::Lz4,
        CompressionArgument::Zstd => Compression::Zstd,
    }
}

fn locate(url: &str, store: StoreArguments) -> Result<Location> {
    let hints = Hints { endpoint: store.endpoint, region: store.region };
    Ok(standalone::locate(url, &hints, |name| std::env::var(name).ok())?)
}

async fn restore(arguments: BackupRestoreArguments, output: Output) -> Result<()> {
    let client = service::client(&arguments.service)?;
    let dir = match arguments.dir {
        Some(dir) => dir,
        None => client.backup(&arguments.id).await?.dir,
    };
    let handle = DirectoryBackup { id: arguments.id, dir, local_bucket: None };
    let restored = client.restore_backup(&arguments.sandbox, &handle).await?;
    output.result(&restored, || format!("{} shows backup {}", restored.dir, restored.id));
    Ok(())
}

async fn list_of_service(arguments: &ServiceArguments, output: Output) -> Result<()> {
    let list = service::client(arguments)?.backups().await?;
    output.list(&list.backups, &HEADER, |backup: &BackupInfo| {
        row(&backup.id, &backup.created_at, &backup.dir, backup.size_bytes, backup.name.as_deref())
    });
    Ok(())
}

async fn list_of_bucket(from: &str, store: StoreArguments, output: Output) -> Result<()> {
    let Location { store, prefix } = locate(from, store)?;
    let manifests = standalone::list_backups(store, &prefix).await?;
    output.list(&manifests, &HEADER, |backup| {
        row(backup.id.as_str(), &backup.created_at, &backup.dir, backup.size_bytes, backup.name.as_deref())
    });
    Ok(())
}

const HEADER: [&str; 5] = ["id", "created", "directory", "bytes", "name"];

fn row(id: &str, created: &str, dir: &str, bytes: u64, name: Option<&str>) -> Vec<String> {
    vec![id.into(), created.into(), dir.into(), bytes.to_string(), name.unwrap_or_default().into()]
}

async fn show(id: &str, arguments: &ServiceArguments, output: Output) -> Result<()> {
    let backup = service::client(arguments)?.backup(id).await?;
    output.result(&backup, || serde_json::to_string_pretty(&backup).expect("our own types are JSON"));
    Ok(())
}

async fn remove(ids: &[String], arguments: &ServiceArguments, output: Output) -> Result<()> {
    let client = service::client(arguments)?;
    for id in ids {
        client.delete_backup(id).await?;
        output.result(&json!({ "id": id, "deleted": true }), || format!("deleted {id}"));
    }
    Ok(())
}
