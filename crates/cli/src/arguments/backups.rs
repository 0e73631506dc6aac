//! Arguments of `sandkeep backup`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::{ServiceArguments, StoreArguments};

#[derive(Debug, Subcommand)]
pub(crate) enum BackupCommand {
    /// Back up a directory of a sandbox, or with --to a directory of this host.
    #[command(after_help = "Examples:
  sandkeep backup create --sandbox demo /workspace --name before-upgrade
  sandkeep backup create --sandbox demo /workspace --gitignore --dry-run
  sandkeep backup create ~/project --to s3://backups/laptop --exclude node_modules

The second backup of a directory reads and sends only what changed, and is complete by itself all the same.")]
    Create(Box<BackupCreateArguments>),
    /// Restore a backup in a sandbox, at once, as a copy-on-write overlay; with --from in a directory of this host.
    #[command(after_help = "Examples:
  sandkeep backup restore --sandbox demo 0b5a4e4e-6f0c-4c7b-9d8e-1f2a3b4c5d6e
  sandkeep backup restore --sandbox demo 0b5a4e4e-6f0c-4c7b-9d8e-1f2a3b4c5d6e --dir /home/copy --eager
  sandkeep backup restore 0b5a4e4e-6f0c-4c7b-9d8e-1f2a3b4c5d6e --from s3://backups/laptop --dir ~/project")]
    Restore(BackupRestoreArguments),
    /// List backups: the service's, or with --from those of a bucket.
    #[command(after_help = "Example:\n  sandkeep backup ls --dir /workspace --older-than 604800")]
    Ls(BackupListArguments),
    /// Show a backup: what is in it, what was left out by which rule, what was skipped.
    Show(BackupArguments),
    /// Read a backup's archive and compare it with what was written.
    #[command(after_help = "Examples:
  sandkeep backup verify 0b5a4e4e-6f0c-4c7b-9d8e-1f2a3b4c5d6e
  sandkeep backup verify 0b5a4e4e-6f0c-4c7b-9d8e-1f2a3b4c5d6e --from s3://backups/laptop")]
    Verify(BackupArguments),
    /// Delete backups.
    Rm {
        /// Which.
        #[arg(required = true)]
        ids: Vec<String>,
        #[command(flatten)]
        place: PlaceArguments,
    },
    /// Delete backups by rules. Rules for keeping hold for each directory by itself.
    #[command(after_help = "Examples:
  sandkeep backup prune --expired
  sandkeep backup prune --keep-last 3 --keep-daily 7 --keep-weekly 4 --dry-run")]
    Prune(BackupPruneArguments),
    /// Copy a backup into another bucket; it keeps its id.
    #[command(after_help = "Examples:
  sandkeep backup copy 0b5a4e4e-6f0c-4c7b-9d8e-1f2a3b4c5d6e --bucket archive
  sandkeep backup copy 0b5a4e4e-6f0c-4c7b-9d8e-1f2a3b4c5d6e --from s3://backups/laptop --to s3://archive/laptop")]
    Copy(BackupCopyArguments),
    /// Write a backup's archive to a file, as squashfs or as tar; `-` is standard output.
    #[command(after_help = "Examples:
  sandkeep backup export 0b5a4e4e-6f0c-4c7b-9d8e-1f2a3b4c5d6e backup.sqsh
  sandkeep backup export 0b5a4e4e-6f0c-4c7b-9d8e-1f2a3b4c5d6e - --format tar | tar tv")]
    Export(BackupExportArguments),
    /// Make a backup of a squashfs archive that another program made.
    #[command(after_help = "Example:\n  sandkeep backup import site.sqsh --to s3://backups --dir /workspace")]
    Import(BackupImportArguments),
}

/// The service's backups, or those of a bucket.
#[derive(Args, Debug)]
pub(crate) struct PlaceArguments {
    /// s3://BUCKET[/PREFIX] instead of the service.
    #[arg(long, value_name = "URL")]
    pub(crate) from: Option<String>,
    #[command(flatten)]
    pub(crate) store: StoreArguments,
    #[command(flatten)]
    pub(crate) service: ServiceArguments,
}

#[derive(Args, Debug)]
pub(crate) struct BackupArguments {
    /// Which.
    pub(crate) id: String,
    #[command(flatten)]
    pub(crate) place: PlaceArguments,
}

#[derive(Args, Debug)]
pub(crate) struct BackupCreateArguments {
    /// Which directory.
    pub(crate) directory: String,
    /// In this sandbox.
    #[arg(long, value_name = "ID", required_unless_present = "to", conflicts_with = "to")]
    pub(crate) sandbox: Option<String>,
    /// A directory of this host, into s3://BUCKET[/PREFIX].
    #[arg(long, value_name = "URL")]
    pub(crate) to: Option<String>,
    #[command(flatten)]
    pub(crate) store: StoreArguments,
    /// A name for it, at most 256 characters.
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// Seconds until restores are refused [default: 259200, three days].
    #[arg(long)]
    pub(crate) ttl: Option<f64>,
    /// Leave out what matches, anchored or at any depth; may be repeated.
    #[arg(long = "exclude", value_name = "PATTERN")]
    pub(crate) excludes: Vec<String>,
    /// Leave out what git ignores; what it tracks stays. git need not be installed.
    #[arg(long)]
    pub(crate) gitignore: bool,
    /// gzip, lz4, zstd, zstd:1 to zstd:22, or none [default: that of the backup before, else zstd].
    #[arg(long, value_name = "CODEC")]
    pub(crate) compression: Option<String>,
    /// Threads that read and compress.
    #[arg(long)]
    pub(crate) threads: Option<u64>,
    /// Upload in one request, through a temporary file.
    #[arg(long)]
    pub(crate) no_multipart: bool,
    /// Read every file again, whatever is known from earlier backups.
    #[arg(long)]
    pub(crate) full: bool,
    /// Do not freeze the sandbox while its files are taken.
    #[arg(long)]
    pub(crate) no_freeze: bool,
    /// Only list what would be left out.
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) service: ServiceArguments,
}

#[derive(Args, Debug)]
pub(crate) struct BackupRestoreArguments {
    /// Which backup.
    pub(crate) id: String,
    /// In this sandbox.
    #[arg(long, value_name = "ID", required_unless_present = "from", conflicts_with = "from")]
    pub(crate) sandbox: Option<String>,
    /// Where to [default: the directory it was taken from].
    #[arg(long)]
    pub(crate) dir: Option<String>,
    /// Write all files now instead of fetching them when they are read.
    #[arg(long)]
    pub(crate) eager: bool,
    #[command(flatten)]
    pub(crate) place: PlaceArguments,
}

#[derive(Args, Debug)]
pub(crate) struct BackupListArguments {
    /// Of that name.
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// Of that directory.
    #[arg(long)]
    pub(crate) dir: Option<String>,
    /// Made at least so many seconds ago.
    #[arg(long, value_name = "SECONDS")]
    pub(crate) older_than: Option<u64>,
    /// Made at most so many seconds ago.
    #[arg(long, value_name = "SECONDS")]
    pub(crate) newer_than: Option<u64>,
    #[command(flatten)]
    pub(crate) place: PlaceArguments,
}

#[derive(Args, Debug)]
pub(crate) struct BackupPruneArguments {
    /// Those that have expired.
    #[arg(long)]
    pub(crate) expired: bool,
    /// All but the newest so many.
    #[arg(long, value_name = "COUNT")]
    pub(crate) keep_last: Option<u64>,
    /// All but the newest of each of the last so many days that have one (UTC).
    #[arg(long, value_name = "COUNT")]
    pub(crate) keep_daily: Option<u64>,
    /// All but the newest of each of the last so many ISO weeks that have one.
    #[arg(long, value_name = "COUNT")]
    pub(crate) keep_weekly: Option<u64>,
    /// Only say which.
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) place: PlaceArguments,
}

#[derive(Args, Debug)]
pub(crate) struct BackupCopyArguments {
    /// Which.
    pub(crate) id: String,
    /// A bucket of the service, or a binding.
    #[arg(long, required_unless_present = "to", conflicts_with = "to")]
    pub(crate) bucket: Option<String>,
    /// Start of the keys in that bucket; ends with a slash.
    #[arg(long, requires = "bucket")]
    pub(crate) prefix: Option<String>,
    /// s3://BUCKET[/PREFIX], with --from.
    #[arg(long, value_name = "URL", requires = "from")]
    pub(crate) to: Option<String>,
    #[command(flatten)]
    pub(crate) place: PlaceArguments,
}

/// Form of an exported archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ExportFormat {
    Sqsh,
    Tar,
}

#[derive(Args, Debug)]
pub(crate) struct BackupExportArguments {
    /// Which.
    pub(crate) id: String,
    /// Where to.
    pub(crate) file: PathBuf,
    /// [default: by the file's name, else sqsh]
    #[arg(long, value_enum)]
    pub(crate) format: Option<ExportFormat>,
    #[command(flatten)]
    pub(crate) service: ServiceArguments,
}

#[derive(Args, Debug)]
pub(crate) struct BackupImportArguments {
    /// Which archive.
    pub(crate) file: PathBuf,
    /// s3://BUCKET[/PREFIX]
    #[arg(long, value_name = "URL")]
    pub(crate) to: String,
    #[command(flatten)]
    pub(crate) store: StoreArguments,
    /// Where a restore goes if nobody says otherwise.
    #[arg(long, default_value = "/workspace")]
    pub(crate) dir: String,
    /// A name for it, at most 256 characters.
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// Seconds until restores are refused [default: 259200, three days].
    #[arg(long)]
    pub(crate) ttl: Option<f64>,
}
