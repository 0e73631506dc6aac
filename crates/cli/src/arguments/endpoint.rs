//! Arguments of what concerns the S3 endpoint and its store.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};

use super::ServiceArguments;

#[derive(Args, Debug)]
#[command(after_help = "Example:
  sandkeep s3 --listen 127.0.0.1:9000 --data /srv/s3

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
    /// Create a bucket.
    Create {
        /// Lower-case letters, digits, dots and hyphens.
        name: String,
        #[command(flatten)]
        service: ServiceArguments,
    },
    /// List buckets.
    Ls {
        #[command(flatten)]
        service: ServiceArguments,
    },
    /// Remove empty buckets.
    Rm {
        /// Which.
        #[arg(required = true)]
        names: Vec<String>,
        #[command(flatten)]
        service: ServiceArguments,
    },
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
    number.checked_mul(seconds).map(Duration::from_secs).ok_or_else(invalid)
}
