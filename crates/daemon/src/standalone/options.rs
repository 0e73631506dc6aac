//! `-o`: options of a mount as mount(8), fstab and s3fs give them.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use sandkeep_bucketfs::BucketFsSettings;

use super::Hints;
use crate::volumes::VolumeError;

/// Words of mount(8), fstab(5) and of s3fs that are true here anyway, or mean nothing: mounts are shown to everybody
/// whom their modes let in, and never offer devices or set-user-id programs.
const WITHOUT_EFFECT: [&str; 46] = [
    "_netdev",
    "allow_other",
    "async",
    "atime",
    "auto",
    "big_writes",
    "compat_dir",
    "complement_stat",
    "connect_timeout",
    "dbglevel",
    "defaults",
    "del_cache",
    "diratime",
    "enable_content_md5",
    "enable_noobj_cache",
    "ensure_diskfree",
    "exec",
    "lazytime",
    "list_object_max_keys",
    "listobjectsv2",
    "max_dirty_data",
    "max_stat_cache_size",
    "max_thread_count",
    "multireq_max",
    "noatime",
    "noauto",
    "nodev",
    "nodiratime",
    "nofail",
    "nomixupload",
    "nonempty",
    "norelatime",
    "nosuid",
    "nouser",
    "owner",
    "parallel_count",
    "readwrite_timeout",
    "relatime",
    "retries",
    "rw",
    "sigv4",
    "strictatime",
    "user",
    "users",
    "use_cache",
    "use_path_request_style",
];

const MIB: u64 = 1 << 20;

/// S3's own bounds of a part.
const PART_MIB: std::ops::RangeInclusive<u64> = 5..=5120;

/// Least memory that transfers can work with.
const MEMORY_MIB: std::ops::RangeInclusive<u64> = 16..=65_536;

/// The value of a variable, if it has one.
pub type Variables = Box<dyn Fn(&str) -> Option<String>>;

/// What the options of one mount say.
#[derive(Clone, Debug, Default)]
pub struct HostMountOptions {
    /// Server and region.
    pub hints: Hints,
    /// `passwd_file=`: where the keys are, instead of the environment.
    pub password_file: Option<PathBuf>,
    /// Everything else.
    pub settings: BucketFsSettings,
    /// Options that change nothing here.
    pub without_effect: Vec<String>,
}

impl HostMountOptions {
    /// Reads `options`, each `NAME` or `NAME=VALUE`; of a name given twice the last one counts.
    ///
    /// # Errors
    /// A name that is not known, a value that is not possible.
    pub fn parse(options: &[String]) -> Result<Self, VolumeError> {
        let mut parsed = Self::default();
        for option in options.iter().map(|option| option.trim()).filter(|option| !option.is_empty()) {
            let (name, value) = option.split_once('=').unwrap_or((option, ""));
            parsed.apply(option, name, value)?;
        }
        Ok(parsed)
    }

    fn apply(&mut self, option: &str, name: &str, value: &str) -> Result<(), VolumeError> {
        let settings = &mut self.settings;
        match name {
            "ro" => settings.read_only = true,
            "rw" => settings.read_only = false,
            "url" => self.hints.endpoint = Some(value.to_owned()),
            // s3fs calls the region so.
            "endpoint" if !value.contains("://") => self.hints.region = Some(value.to_owned()),
            "endpoint" => self.hints.endpoint = Some(value.to_owned()),
            "region" => self.hints.region = Some(value.to_owned()),
            "passwd_file" => self.password_file = Some(value.into()),
            "uid" => settings.owner.default_uid = number(option, value)?,
            "gid" => settings.owner.default_gid = number(option, value)?,
            "umask" => {
                let mask = octal(option, value)?;
                *settings = std::mem::take(settings).with_umask(mask);
            }
            "file_mode" => settings.file_mode = octal(option, value)?,
            "directory_mode" => settings.directory_mode = octal(option, value)?,
            "metadata_age" | "stat_cache_expire" => {
                settings.metadata_age = Duration::from_secs(number(option, value)?);
            }
            "part_size" | "multipart_size" => settings.part_size = mebibytes(option, value, PART_MIB)?,
            "memory" => settings.memory_budget = mebibytes(option, value, MEMORY_MIB)?,
            _ if name.starts_with("x-") || name.starts_with("comment") => {}
            _ if WITHOUT_EFFECT.contains(&name) => self.without_effect.push(option.to_owned()),
            _ => return Err(VolumeError::plain(format!("the mount option {name:?} is not known"))),
        }
        Ok(())
    }

    /// The variables that [`super::locate`] looks at: those of the environment, or the keys of the password file.
    ///
    /// # Errors
    /// The file cannot be read, others may read it, it has no keys for `source`.
    pub fn environment(
        &self,
        source: &str,
        environment: impl Fn(&str) -> Option<String> + 'static,
    ) -> Result<Variables, VolumeError> {
        let Some(file) = &self.password_file else { return Ok(Box::new(environment)) };
        let (id, secret) = read_keys(file, source)?;
        Ok(Box::new(move |name| match name {
            "AWS_ACCESS_KEY_ID" => Some(id.clone()),
            "AWS_SECRET_ACCESS_KEY" => Some(secret.clone()),
            "AWS_SESSION_TOKEN" => None,
            name => environment(name),
        }))
    }
}

/// Reads `ID:SECRET` or `BUCKET:ID:SECRET`, as s3fs has them; the bucket's own line is preferred.
fn read_keys(file: &Path, source: &str) -> Result<(String, String), VolumeError> {
    let cannot =
        |error: std::io::Error| VolumeError::failed(&format!("cannot read {}", file.display()), &error);
    let mode = fs::metadata(file).map_err(cannot)?.permissions().mode();
    if mode & 0o077 != 0 {
        let message = format!("{} may be read by others; run chmod 600 {}", file.display(), file.display());
        return Err(VolumeError::plain(message));
    }
    let text = fs::read_to_string(file).map_err(cannot)?;
    let bucket = source.trim_start_matches("s3://").split('/').next().unwrap_or_default();
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let mut keys = None;
    for line in lines {
        match line.split(':').collect::<Vec<_>>()[..] {
            [own, id, secret] if own == bucket => return Ok((id.to_owned(), secret.to_owned())),
            [id, secret] => keys = Some((id.to_owned(), secret.to_owned())),
            _ => {}
        }
    }
    keys.ok_or_else(|| {
        let message = format!("{} has no line ID:SECRET or {bucket}:ID:SECRET", file.display());
        VolumeError::plain(message)
    })
}

fn invalid(option: &str) -> VolumeError {
    VolumeError::plain(format!("the mount option {option:?} has no possible value"))
}

fn number<T: FromStr>(option: &str, value: &str) -> Result<T, VolumeError> {
    value.parse().map_err(|_| invalid(option))
}

fn octal(option: &str, value: &str) -> Result<u32, VolumeError> {
    u32::from_str_radix(value, 8).ok().filter(|mode| *mode <= 0o7777).ok_or_else(|| invalid(option))
}

fn mebibytes(option: &str, value: &str, bounds: std::ops::RangeInclusive<u64>) -> Result<u64, VolumeError> {
    let size: u64 = number(option, value)?;
    bounds.contains(&size).then_some(size * MIB).ok_or_else(|| invalid(option))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(options: &str) -> Result<HostMountOptions, String> {
        let options: Vec<String> = options.split(',').map(str::to_owned).collect();
        HostMountOptions::parse(&options).map_err(|error| error.message)
    }

    #[test]
    fn a_line_of_fstab_is_understood() {
        let line =
            "_netdev,nofail,x-systemd.automount,ro,endpoint=http://h:1,region=auto,uid=7,umask=027,memory=32";
        let parsed = parse(line).unwrap();
        assert_eq!(parsed.hints.endpoint.as_deref(), Some("http://h:1"));
        assert_eq!(parsed.hints.region.as_deref(), Some("auto"));
        let BucketFsSettings { read_only, owner, file_mode, directory_mode, memory_budget, .. } =
            parsed.settings;
        assert_eq!((read_only, owner.default_uid), (true, 7));
        assert_eq!((file_mode, directory_mode, memory_budget), (0o640, 0o750, 32 * MIB));
        assert_eq!(parsed.without_effect, ["_netdev", "nofail"]);
    }

    #[test]
    fn the_words_of_s3fs_are_understood() {
        let parsed =
            parse("url=http://h:1,use_path_request_style,endpoint=eu,multipart_size=16,stat_cache_expire=3")
                .unwrap();
        assert_eq!(parsed.hints.endpoint.as_deref(), Some("http://h:1"));
        assert_eq!(parsed.hints.region.as_deref(), Some("eu"));
        assert_eq!(
            (parsed.settings.part_size, parsed.settings.metadata_age),
            (16 * MIB, Duration::from_secs(3))
        );
    }

    #[test]
    fn what_is_not_known_or_not_possible_is_refused_by_name() {
        for (options, culprit) in [
            ("ro,noexec", "noexec"),
            ("uid=x", "uid=x"),
            ("umask=9", "umask=9"),
            ("multipart_size=1", "multipart_size=1"),
        ] {
            assert!(parse(options).unwrap_err().contains(culprit), "{options}");
        }
    }

    #[test]
    fn keys_are_read_from_a_file_that_only_its_owner_may_read() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("keys");
        let write = |text: &str, mode| {
            fs::write(&file, text).unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        };
        let keys = || read_keys(&file, "s3://b/prefix").map_err(|error| error.message);
        write("# mine\nA:S\nother:B:T\n", 0o600);
        assert_eq!(keys().unwrap(), ("A".to_owned(), "S".to_owned()));
        write("A:S\nb:C:U\n", 0o600);
        assert_eq!(keys().unwrap(), ("C".to_owned(), "U".to_owned()));
        write("other:B:T\n", 0o600);
        assert!(keys().unwrap_err().contains("has no line"));
        write("A:S\n", 0o644);
        assert!(keys().unwrap_err().contains("chmod 600"));
    }
}
