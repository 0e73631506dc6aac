//! Arguments of what concerns the S3 endpoint and its store.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};

use super::ServiceArguments;

#[derive(Args, Debug)]
#[command(after_help = "Example:
  sandkeep s3 --listen 127.0.0.1:9000 --data /srv/s3

Buckets may be made in another store: see SANDKEEP_BUCKETS_ENDPOINT in docs/settings.md.

The keys are generated at the first start and shown by `sandkeep keys --data DIRECTORY`, or given by
SANDKEEP_S3_ACCESS_KEY_ID and SANDKEEP_S3_SECRET_ACCESS_KEY.")]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct S3Arguments {
    #[command(subcommand)]
    pub(crate) command: Option<S3Command>,
    /// Where to listen.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9000")]
    pub(crate) listen: SocketAddr,
    /// Where buckets and keys are kept.
    #[arg(long, value_name = "DIRECTORY", required = true)]
    pub(crate) data: Option<PathBuf>,
    /// Serve HTTPS with this certificate (PEM, with its chain); a replaced file is used at once.
    #[arg(long, value_name = "FILE", env = "SANDKEEP_S3_TLS_CERTIFICATE", requires = "tls_key")]
    pub(crate) tls_certificate: Option<PathBuf>,
    /// The certificate's private key (PEM).
    #[arg(long, value_name = "FILE", env = "SANDKEEP_S3_TLS_KEY", requires = "tls_certificate")]
    pub(crate) tls_key: Option<PathBuf>,
    /// Listen here as well, without HTTPS, for the service's own processes.
    #[arg(long, hide = true, value_name = "ADDRESS", requires = "internal")]
    pub(crate) plain: Option<SocketAddr>,
    /// A region that requests may be signed for, besides auto and us-east-1; may be repeated, and buckets are in the first.
    #[arg(long = "region", value_name = "NAME", env = "SANDKEEP_S3_REGION", value_delimiter = ',')]
    pub(crate) regions: Vec<String>,
    /// Started by the service: outlives it.
    #[arg(long, hide = true)]
    pub(crate) internal: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum S3Command {
    /// Read everything in a store that is not being served, and compare it with its checksums.
    #[command(after_help = "Example:\n  sandkeep s3 fsck --data /var/lib/sandkeep/s3

Exit code 1 when something is damaged; nothing is changed.")]
    Fsck {
        /// Directory of the store; the service keeps its own in `s3` below its data directory.
        #[arg(long, value_name = "DIRECTORY")]
        data: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum BucketCommand {
    /// Create a bucket: in the embedded store, or in the store of `[buckets] default`.
    Create {
        /// Lower-case letters, digits, dots and hyphens.
        name: String,
        #[command(flatten)]
        service: ServiceArguments,
    },
    /// List buckets with what is in them.
    Ls {
        #[command(flatten)]
        service: ServiceArguments,
    },
    /// Remove empty buckets, or with --force whatever is in them.
    #[command(
        after_help = "Examples:\n  sandkeep bucket rm scratch\n  sandkeep bucket rm --force scratch-moved"
    )]
    Rm {
        /// Which.
        #[arg(required = true)]
        names: Vec<String>,
        /// Delete the objects and unfinished uploads in them, too.
        #[arg(short, long)]
        force: bool,
        #[command(flatten)]
        service: ServiceArguments,
    },
    /// Show or change after how many days what is old goes by itself.
    #[command(after_help = "Examples:
  sandkeep bucket lifecycle backups                                     shows the rules
  sandkeep bucket lifecycle backups --expire-prefix backups/ --days 30  objects below backups/ go after 30 days
  sandkeep bucket lifecycle backups --abort-incomplete-days 2           so do uploads that nobody finished
  sandkeep bucket lifecycle backups --expire-prefix backups/ --rm       takes that rule away
  sandkeep bucket lifecycle backups --rm                                takes all rules away

The service looks once an hour. A rule replaces the one before it of the same prefix.")]
    Lifecycle(LifecycleArguments),
    /// Move an embedded bucket to the store of `[buckets] default`, while it is used.
    #[command(after_help = "Examples:
  sandkeep bucket migrate my-bucket
  sandkeep bucket migrate my-bucket --delete-source --json

Every object is copied with its metadata and tags, and compared by size and checksum. Writes go on meanwhile, and are
copied, too; at the end they wait for some seconds at most. Then the bucket is there, under its name, for everyone. Until
then nothing has changed: after an end too early the same command goes on where it was. The service does the work:
Ctrl-C ends the display only.")]
    Migrate(MigrateArguments),
}

#[derive(Args, Debug)]
pub(crate) struct LifecycleArguments {
    /// Which bucket.
    pub(crate) name: String,
    /// Objects whose keys start with this ('' for all) go after --days.
    #[arg(long, value_name = "PREFIX")]
    pub(crate) expire_prefix: Option<String>,
    /// How long after they were written.
    #[arg(long, value_name = "N", requires = "expire_prefix", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) days: Option<u32>,
    /// Multipart uploads that are not finished so many days after their beginning are aborted.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) abort_incomplete_days: Option<u32>,
    /// Take the rule of --expire-prefix away, or all.
    #[arg(long, conflicts_with_all = ["days", "abort_incomplete_days"])]
    pub(crate) rm: bool,
    #[command(flatten)]
    pub(crate) service: ServiceArguments,
}

#[derive(Args, Debug)]
pub(crate) struct MigrateArguments {
    /// Which bucket.
    pub(crate) name: String,
    /// Delete the embedded bucket after the switch [default: it stays as NAME-moved].
    #[arg(long)]
    pub(crate) delete_source: bool,
    /// Abort multipart uploads that are in progress at the switch [default: wait a minute for them, then fail].
    #[arg(long)]
    pub(crate) abort_uploads: bool,
    /// End a move that runs; the bucket stays where it is.
    #[arg(long, conflicts_with_all = ["delete_source", "abort_uploads"])]
    pub(crate) cancel: bool,
    #[command(flatten)]
    pub(crate) service: ServiceArguments,
}

#[derive(Args, Debug)]
#[command(after_help = "Examples:
  sandkeep keys
  sandkeep keys create reports --allow my-bucket/reports --read-only --expires-in 30d
  eval \"$(sandkeep keys --export)\" && aws --endpoint-url http://127.0.0.1:9000 s3 ls")]
pub(crate) struct KeysArguments {
    #[command(subcommand)]
    pub(crate) command: Option<KeysCommand>,
    /// Data directory of the service or of `sandkeep s3`.
    #[arg(
        long,
        global = true,
        value_name = "DIRECTORY",
        env = "SANDKEEP_DATA",
        default_value = "/var/lib/sandkeep"
    )]
    pub(crate) data: PathBuf,
    /// As lines for a shell to evaluate.
    #[arg(long)]
    pub(crate) export: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum KeysCommand {
    /// Make a key pair; its secret is shown this once.
    #[command(after_help = "Examples:
  sandkeep keys create ci                                          everywhere, for ever
  sandkeep keys create reports --allow my-bucket/reports --allow logs --read-only --expires-in 30d
  sandkeep --json keys create ci                                   for programs

A running endpoint knows the key with its next request.")]
    Create {
        /// What to call it.
        name: String,
        /// Only this bucket, or only what is below a prefix of it; may be repeated.
        #[arg(long, value_name = "BUCKET[/PREFIX]")]
        allow: Vec<String>,
        /// Refuse every change.
        #[arg(long)]
        read_only: bool,
        /// From now until the key is refused, such as 12h or 30d.
        #[arg(long, value_name = "TIME", value_parser = parse_duration)]
        expires_in: Option<Duration>,
    },
    /// List the key pairs, without their secrets.
    Ls,
    /// Remove a key pair: requests signed with it are refused at once.
    Rm {
        /// Which.
        name: String,
    },
}

/// Seconds: ten years, which no clock overflows.
const LONGEST_VALIDITY: u64 = 3650 * 86_400;

/// A number with s, m, h or d behind it.
fn parse_duration(text: &str) -> Result<Duration, String> {
    let invalid = || format!("{text:?} is not a number with s, m, h or d behind it");
    let (number, unit) = text.split_at(text.len().saturating_sub(1));
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return Err(invalid()),
    };
    let number: u64 = number.parse().map_err(|_| invalid())?;
    let valid = number.checked_mul(seconds).filter(|seconds| (1..=LONGEST_VALIDITY).contains(seconds));
    valid.map(Duration::from_secs).ok_or_else(|| format!("{text:?} is not between 1s and 3650d"))
}
