//! The command line. These structures end here: commands receive them and turn them into settings at once.

mod backups;
mod endpoint;

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

pub(crate) use backups::{
    BackupArguments, BackupCommand, BackupCopyArguments, BackupCreateArguments, BackupExportArguments,
    BackupImportArguments, BackupListArguments, BackupPruneArguments, BackupRestoreArguments, ExportFormat,
    PlaceArguments,
};
pub(crate) use endpoint::{
    BucketCommand, KeysArguments, KeysCommand, LifecycleArguments, MigrateArguments, S3Arguments, S3Command,
};

/// Self-hosted sandboxes whose data outlives them.
#[derive(Debug, Parser)]
#[command(name = "sandkeep", version, propagate_version = true, after_help = EXAMPLES, max_term_width = 110)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
    #[command(flatten)]
    pub(crate) output: OutputArguments,
}

const EXAMPLES: &str = "Examples:
  sandkeep serve                                        the service, with its own S3 store
  sandkeep sandbox exec demo -- python -c 'print(6*7)'  run a program in a sandbox
  sandkeep sandbox mount demo my-bucket /data --create  mount an embedded bucket in it
  sandkeep backup create --sandbox demo /workspace      take a backup of a directory
  sandkeep mount s3://bucket/prefix /mnt/x              mount a bucket on this host, without the service";

/// How results look.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct OutputArguments {
    /// Results and errors as JSON.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// More of what happens, on standard error (SANDKEEP_LOG says more exactly).
    #[arg(short, long, global = true)]
    pub(crate) verbose: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the service: sandboxes over HTTP, and the S3 endpoint.
    Serve(ServeArguments),
    /// Run the S3 endpoint alone.
    S3(S3Arguments),
    /// Mount a bucket on a directory of this host.
    Mount(MountArguments),
    /// Create, use and remove sandboxes.
    #[command(subcommand, visible_alias = "sb")]
    Sandbox(SandboxCommand),
    /// Back up directories and restore them.
    #[command(subcommand)]
    Backup(BackupCommand),
    /// Create, list, move and remove buckets.
    #[command(subcommand)]
    Bucket(BucketCommand),
    /// Show, make and remove the access keys of the embedded S3 endpoint.
    Keys(KeysArguments),
    /// Say what this host offers, what is missing and what to do about it.
    Doctor,
    /// Print a completion script for a shell.
    #[command(after_help = "Example:\n  sandkeep completions bash > /etc/bash_completion.d/sandkeep")]
    Completions {
        /// Which shell.
        shell: clap_complete::Shell,
    },
}

#[derive(Args, Debug)]
#[command(after_help = "Examples:
  sandkeep serve --data /srv/sandkeep
  SANDBOX_API_KEY=secret sandkeep serve --listen 0.0.0.0:8787

Settings: flag, then environment SANDKEEP_<FLAG>, then the file, then the default.")]
pub(crate) struct ServeArguments {
    /// Where the API listens [default: 127.0.0.1:8787]. Without an API key only loopback is served.
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) listen: Option<SocketAddr>,
    /// Where the S3 endpoint listens [default: 127.0.0.1:9000].
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) s3_listen: Option<SocketAddr>,
    /// Serve the S3 endpoint with HTTPS and this certificate (PEM, with its chain); a replaced file is used at once.
    #[arg(long, value_name = "FILE", requires = "s3_tls_key")]
    pub(crate) s3_tls_certificate: Option<PathBuf>,
    /// The certificate's private key (PEM).
    #[arg(long, value_name = "FILE", requires = "s3_tls_certificate")]
    pub(crate) s3_tls_key: Option<PathBuf>,
    /// Where everything is kept [default: /var/lib/sandkeep].
    #[arg(long, value_name = "DIRECTORY")]
    pub(crate) data: Option<PathBuf>,
    /// Where sockets are [default: /run/sandkeep, or with --data a directory in there].
    #[arg(long, value_name = "DIRECTORY")]
    pub(crate) run: Option<PathBuf>,
    /// Settings file [default: ./sandkeep.toml, then /etc/sandkeep/sandkeep.toml].
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Section `[env.NAME]` of a wrangler file.
    #[arg(long, value_name = "NAME")]
    pub(crate) env: Option<String>,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct StoreArguments {
    /// S3 server [default: AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL, then Amazon].
    #[arg(long, value_name = "URL")]
    pub(crate) endpoint: Option<String>,
    /// Region to sign for [default: AWS_REGION, AWS_DEFAULT_REGION, then by the endpoint].
    #[arg(long)]
    pub(crate) region: Option<String>,
}

#[derive(Args, Debug)]
#[command(after_help = "Examples:
  sandkeep mount s3://my-bucket /mnt/data --endpoint http://127.0.0.1:9000
  sandkeep mount s3://my-bucket/logs /mnt/logs --read-only
  sandkeep mount s3://my-bucket /mnt/data -o uid=1000,umask=027,passwd_file=/etc/sandkeep/keys
  umount /mnt/data                       uploads what is left and ends it

Credentials come from AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN, or from the file of -o passwd_file=FILE.

For `mount -t sandkeep` and fstab, link this program to /sbin/mount.sandkeep:
  s3://my-bucket/logs /mnt/logs sandkeep _netdev,nofail,endpoint=https://s3.example,passwd_file=/etc/sandkeep/keys 0 0")]
pub(crate) struct MountArguments {
    /// s3://BUCKET[/PREFIX]
    pub(crate) source: String,
    /// An existing directory.
    pub(crate) directory: PathBuf,
    #[command(flatten)]
    pub(crate) store: StoreArguments,
    /// Refuse every change.
    #[arg(long)]
    pub(crate) read_only: bool,
    /// As for mount(8) and s3fs: ro, endpoint=URL, region=NAME, passwd_file=FILE (ID:SECRET), uid=, gid=, umask=,
    /// file_mode=, directory_mode=, metadata_age=SECONDS, part_size=MIB, memory=MIB.
    #[arg(short = 'o', value_name = "OPTION", value_delimiter = ',')]
    pub(crate) options: Vec<String>,
    /// Stay in the foreground until unmounted or interrupted, and log to standard error.
    #[arg(long)]
    pub(crate) foreground: bool,
    /// Where the background process logs [default: a file in /run/sandkeep or XDG_RUNTIME_DIR, named after DIRECTORY].
    #[arg(long, value_name = "FILE", conflicts_with = "foreground")]
    pub(crate) log: Option<PathBuf>,
    /// Started by `sandkeep mount` itself: leaves the terminal, and removes this log at the end if nothing is in it.
    #[arg(long, hide = true, value_name = "FILE", requires = "foreground")]
    pub(crate) background_log: Option<PathBuf>,
}

/// How to reach the service.
#[derive(Args, Clone, Debug)]
pub(crate) struct ServiceArguments {
    /// The service's address.
    #[arg(long, value_name = "URL", env = "SANDKEEP_URL", default_value = "http://127.0.0.1:8787")]
    pub(crate) url: String,
}

#[derive(Debug, Subcommand)]
pub(crate) enum SandboxCommand {
    /// Create a sandbox, or make sure that one of this id runs.
    #[command(after_help = "Example:\n  sandkeep sandbox create demo")]
    Create {
        /// Its id; none: a random one.
        id: Option<String>,
        #[command(flatten)]
        service: ServiceArguments,
    },
    /// Run a program in a sandbox, with its output and exit code.
    #[command(after_help = "Examples:
  sandkeep sandbox exec demo -- ls -l /workspace
  sandkeep sandbox exec demo --shell 'npm install && npm test' --timeout 600")]
    Exec(ExecArguments),
    /// Open a shell in a sandbox, as a terminal that outlives the connection.
    #[command(after_help = "Examples:
  sandkeep sandbox shell demo
  sandkeep sandbox shell demo --session build    what the session `build` exported, where it is

Ctrl-] leaves the terminal as it is; the same command shows it again, also to several people at once.")]
    Shell(ShellArguments),
    /// List sandboxes.
    Ls {
        #[command(flatten)]
        service: ServiceArguments,
    },
    /// Destroy sandboxes; what is in buckets and backups stays.
    Rm {
        /// Which.
        #[arg(required = true)]
        ids: Vec<String>,
        #[command(flatten)]
        service: ServiceArguments,
    },
    /// Mount a bucket in a sandbox.
    #[command(after_help = "Examples:
  sandkeep sandbox mount demo my-bucket /data --create
  sandkeep sandbox mount demo MY_BINDING /data --binding --prefix /users/7/
  sandkeep sandbox mount demo my-bucket /data --endpoint https://s3.us-west-2.amazonaws.com --read-only")]
    Mount(SandboxMountArguments),
    /// Unmount a bucket.
    Unmount {
        /// Which sandbox.
        id: String,
        /// Where it is mounted.
        path: String,
        #[command(flatten)]
        service: ServiceArguments,
    },
    /// Let S3 tools in a sandbox use a bucket at http://s3.internal, without a key. Mounted buckets are there already.
    #[command(after_help = "Examples:
  sandkeep sandbox grant demo my-bucket --prefix /results/ --read-only
  sandkeep sandbox grant demo MY_BINDING --binding --expires-in 3600
  sandkeep sandbox exec demo --s3 -- aws s3 ls s3://my-bucket/results/")]
    Grant(GrantArguments),
    /// List what S3 tools in a sandbox can use.
    Grants {
        /// Which sandbox.
        id: String,
        #[command(flatten)]
        service: ServiceArguments,
    },
    /// Take a grant back.
    Revoke {
        /// Which sandbox.
        id: String,
        /// Which grant, by its id.
        grant: String,
        #[command(flatten)]
        service: ServiceArguments,
    },
    /// Copy a file into (`FILE ID:PATH`) or out of (`ID:PATH FILE`) a sandbox; `-` is the terminal.
    #[command(after_help = "Example:\n  sandkeep sandbox cp notes.txt demo:/workspace/notes.txt")]
    Cp {
        /// From.
        from: String,
        /// To.
        to: String,
        #[command(flatten)]
        service: ServiceArguments,
    },
}

#[derive(Args, Debug)]
pub(crate) struct ExecArguments {
    /// Which sandbox; it is created if it does not exist.
    pub(crate) id: String,
    /// Program and arguments, verbatim.
    #[arg(last = true, required_unless_present = "shell", conflicts_with = "shell")]
    pub(crate) argv: Vec<String>,
    /// A whole command line for bash instead.
    #[arg(long, value_name = "LINE")]
    pub(crate) shell: Option<String>,
    /// Run it in this session, where `cd` and `export` last; it goes on when this client leaves.
    #[arg(long, value_name = "ID")]
    pub(crate) session: Option<String>,
    /// Working directory [default: /workspace, or where the session is].
    #[arg(long)]
    pub(crate) cwd: Option<String>,
    /// NAME=VALUE, for this command only; may be repeated.
    #[arg(short, long = "env", value_name = "NAME=VALUE")]
    pub(crate) env: Vec<String>,
    /// Preset what S3 tools need for http://s3.internal (AWS_ENDPOINT_URL and others).
    #[arg(long)]
    pub(crate) s3: bool,
    /// Seconds after which the command is ended (exit code 124).
    #[arg(long, value_name = "SECONDS")]
    pub(crate) timeout: Option<f64>,
    #[command(flatten)]
    pub(crate) service: ServiceArguments,
}

#[derive(Args, Debug)]
pub(crate) struct ShellArguments {
    /// Which sandbox; it is created if it does not exist.
    pub(crate) id: String,
    /// The terminal of this session [default: the default session].
    #[arg(long, value_name = "ID")]
    pub(crate) session: Option<String>,
    /// Another program than bash.
    #[arg(long, value_name = "PROGRAM")]
    pub(crate) shell: Option<String>,
    #[command(flatten)]
    pub(crate) service: ServiceArguments,
}

#[derive(Args, Debug)]
pub(crate) struct GrantArguments {
    /// Which sandbox.
    pub(crate) id: String,
    /// Bucket, or with --binding the binding's name.
    pub(crate) bucket: String,
    /// S3 server [default: the embedded store].
    #[arg(long, value_name = "URL", conflicts_with = "binding")]
    pub(crate) endpoint: Option<String>,
    /// BUCKET is the name of a binding of the service's settings.
    #[arg(long)]
    pub(crate) binding: bool,
    /// Create the embedded bucket if it does not exist.
    #[arg(long, conflicts_with_all = ["endpoint", "binding"])]
    pub(crate) create: bool,
    /// Grant only keys below this; starts with a slash.
    #[arg(long)]
    pub(crate) prefix: Option<String>,
    /// Refuse every change.
    #[arg(long)]
    pub(crate) read_only: bool,
    /// Seconds after which the grant ends [default: with the sandbox].
    #[arg(long, value_name = "SECONDS")]
    pub(crate) expires_in: Option<u64>,
    #[command(flatten)]
    pub(crate) service: ServiceArguments,
}

#[derive(Args, Debug)]
pub(crate) struct SandboxMountArguments {
    /// Which sandbox.
    pub(crate) id: String,
    /// Bucket, or with --binding the binding's name.
    pub(crate) bucket: String,
    /// Absolute path inside.
    pub(crate) path: String,
    /// S3 server [default: the embedded store].
    #[arg(long, value_name = "URL", conflicts_with = "binding")]
    pub(crate) endpoint: Option<String>,
    /// BUCKET is the name of a binding of the service's settings.
    #[arg(long)]
    pub(crate) binding: bool,
    /// Create the embedded bucket if it does not exist.
    #[arg(long, conflicts_with_all = ["endpoint", "binding"])]
    pub(crate) create: bool,
    /// Show only keys below this; starts with a slash.
    #[arg(long)]
    pub(crate) prefix: Option<String>,
    /// Refuse every change.
    #[arg(long)]
    pub(crate) read_only: bool,
    #[command(flatten)]
    pub(crate) service: ServiceArguments,
}
