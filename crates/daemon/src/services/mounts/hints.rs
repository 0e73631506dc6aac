//! `s3fsOptions`: what they mean for a filesystem that is not s3fs.

use std::time::Duration;

use sandkeep_api::{ErrorCode, InvalidInput};

use crate::error::ServiceError;

/// These would redirect the mount or show it another key.
const NOT_OVERRIDABLE: [&str; 2] = ["passwd_file", "url"];
/// These too, while a proxy signs.
const NOT_OVERRIDABLE_WITH_PROXY: [&str; 2] = ["ahbe_conf", "use_path_request_style"];
/// They tune s3fs, or ask for what is so here anyway: nothing changes that a program could see.
const WITHOUT_EFFECT: [&str; 59] = [
    "allow_other",
    "attr_timeout",
    "auto_cache",
    "big_writes",
    "check_cache_dir_exist",
    "cipher_suites",
    "compat_dir",
    "complement_stat",
    "connect_timeout",
    "curldbg",
    "dbglevel",
    "default_permissions",
    "del_cache",
    "disable_noobj_cache",
    "enable_content_md5",
    "enable_noobj_cache",
    "enable_unsigned_payload",
    "ensure_diskfree",
    "entry_timeout",
    "fake_diskfree",
    "free_space_ratio",
    "instance_name",
    "kernel_cache",
    "list_object_max_keys",
    "listobjectsv1",
    "listobjectsv2",
    "logfile",
    "max_background",
    "max_dirty_data",
    "max_stat_cache_size",
    "max_thread_count",
    "mime",
    "mp_umask",
    "multipart_copy_size",
    "multireq_max",
    "nocopyapi",
    "nodnscache",
    "nomixupload",
    "nonempty",
    "noobj_cache_expire",
    "norenameapi",
    "nosscache",
    "notsup_compat_dir",
    "noua",
    "parallel_count",
    "readwrite_timeout",
    "retries",
    "rw",
    "set_check_cache_sigusr1",
    "sigv4",
    "singlepart_copy_limit",
    "stat_cache_interval_expire",
    "streamupload",
    "symlink_cache_expire",
    "tmpdir",
    "update_parent_dir_stat",
    "use_cache",
    "use_wtf8",
    "use_xattr",
];
const MIB: u64 = 1 << 20;
/// S3's own bounds of a part.
const PART_MIB: std::ops::RangeInclusive<u64> = 5..=5120;

/// What the options change here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Hints {
    /// `ro`.
    pub(super) read_only: bool,
    /// `use_path_request_style`.
    pub(super) path_style: bool,
    /// `multipart_size=MIB`.
    pub(super) part_size: Option<u64>,
    /// `stat_cache_expire=SECONDS`.
    pub(super) metadata_age: Option<Duration>,
    /// `umask=MODE`, octal: what objects without a mode are not allowed.
    pub(super) umask: Option<u32>,
    /// Options that change nothing here.
    pub(super) without_effect: Vec<String>,
    /// `uid=`.
    pub(super) uid: Option<u32>,
    /// `gid=`.
    pub(super) gid: Option<u32>,
    /// `endpoint=REGION`, as s3fs calls it.
    pub(super) region: Option<String>,
}

impl Hints {
    /// Reads the options; of a name given twice the last one counts.
    pub(super) fn parse(options: &[String], proxy: bool) -> Result<Self, ServiceError> {
        let mut hints = Self::default();
        for option in options {
            let (name, value) = option.split_once('=').unwrap_or((option, ""));
            check_overridable(name, proxy)?;
            hints.apply(option, name.trim(), value.trim())?;
        }
        Ok(hints)
    }

    fn apply(&mut self, option: &str, name: &str, value: &str) -> Result<(), ServiceError> {
        let number = || value.parse::<u32>().map_err(|_| invalid(option));
        match name {
            "ro" => self.read_only = true,
            "use_path_request_style" => self.path_style = true,
            "multipart_size" => {
                let size = u64::from(number()?);
                self.part_size =
                    Some(PART_MIB.contains(&size).then_some(size * MIB).ok_or_else(|| invalid(option))?);
            }
            "stat_cache_expire" => self.metadata_age = Some(Duration::from_secs(number()?.into())),
            "uid" => self.uid = Some(number()?),
            "gid" => self.gid = Some(number()?),
            "endpoint" | "region" => self.region = Some(value.to_owned()),
            "umask" => {
                let mask = u32::from_str_radix(value, 8).ok().filter(|mask| *mask <= 0o777);
                self.umask = Some(mask.ok_or_else(|| invalid(option))?);
            }
            name if WITHOUT_EFFECT.contains(&name) => self.without_effect.push(option.to_owned()),
            name => return Err(ServiceError::NotSupported { what: format!("s3fsOptions: {name}") }),
        }
        Ok(())
    }
}

fn check_overridable(name: &str, proxy: bool) -> Result<(), InvalidInput> {
    if NOT_OVERRIDABLE.contains(&name) || (proxy && NOT_OVERRIDABLE_WITH_PROXY.contains(&name)) {
        let message = format!("s3fsOptions: {name} cannot be overridden");
        return Err(InvalidInput::new(ErrorCode::InvalidMountConfig, message));
    }
    Ok(())
}

fn invalid(option: &str) -> InvalidInput {
    InvalidInput::new(ErrorCode::InvalidMountConfig, format!("s3fsOptions: {option:?} has no possible value"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(options: &[&str], proxy: bool) -> Result<Hints, String> {
        let options: Vec<String> = options.iter().map(|option| (*option).to_owned()).collect();
        Hints::parse(&options, proxy).map_err(|error| error.to_string())
    }

    #[test]
    fn what_matters_is_honoured_and_the_rest_named() {
        let hints = parse(&["nomixupload", "multipart_size=8", "multipart_size=16", "ro", "uid=7"], false);
        let without_effect = vec!["nomixupload".to_owned()];
        let expected = Hints {
            read_only: true,
            part_size: Some(16 * MIB),
            uid: Some(7),
            without_effect,
            ..Hints::default()
        };
        assert_eq!(hints, Ok(expected));
        assert_eq!(parse(&["umask=0027"], false).map(|hints| hints.umask), Ok(Some(0o027)));
        assert!(parse(&["umask=8"], false).expect_err("refused").contains("umask=8"));
        assert!(parse(&["url=http://a"], false).expect_err("refused").contains("url cannot be overridden"));
        assert!(parse(&["use_path_request_style"], false).is_ok());
        assert!(
            parse(&["use_path_request_style"], true).expect_err("refused").contains("cannot be overridden")
        );
        assert!(parse(&["storage_class=glacier"], false).expect_err("refused").contains("storage_class"));
        assert!(parse(&["multipart_size=x"], false).expect_err("refused").contains("multipart_size=x"));
    }
}
