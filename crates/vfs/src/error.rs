//! Errno: the only error a filesystem has.

use std::fmt;

/// A positive error number as in errno(3).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Errno(pub i32);

macro_rules! errnos {
    ($($name:ident),* $(,)?) => {
        impl Errno {
            $(#[doc = concat!("`", stringify!($name), "`, see errno(3).")]
            pub const $name: Self = Self(libc::$name);)*

            /// The symbolic name, if it is one this crate uses.
            pub fn name(self) -> Option<&'static str> {
                $(if self == Self::$name { return Some(stringify!($name)); })*
                None
            }
        }
    };
}

errnos!(
    EPERM,
    ENOENT,
    EINTR,
    EIO,
    ENXIO,
    E2BIG,
    EBADF,
    EAGAIN,
    ENOMEM,
    EACCES,
    EBUSY,
    EEXIST,
    EXDEV,
    ENODEV,
    ENOTDIR,
    EISDIR,
    EINVAL,
    EMFILE,
    ENOTTY,
    EFBIG,
    ENOSPC,
    EROFS,
    EMLINK,
    ERANGE,
    ENAMETOOLONG,
    ENOSYS,
    ENOTEMPTY,
    ELOOP,
    ENODATA,
    EOVERFLOW,
    EILSEQ,
    EOPNOTSUPP,
    ESTALE,
    EDQUOT,
    ECANCELED,
    ETIMEDOUT,
    EREMOTEIO,
);

impl fmt::Debug for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "errno {}", self.0),
        }
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl std::error::Error for Errno {}

/// A mount that could not be made or served.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MountError {
    /// `/dev/fuse` is missing or may not be opened.
    #[error("cannot open /dev/fuse")]
    Device {
        /// The system's error.
        #[source]
        source: std::io::Error,
    },
    /// A step of mounting failed.
    #[error("cannot mount: {step}")]
    Mount {
        /// System call or option.
        step: String,
        /// The system's error.
        #[source]
        source: std::io::Error,
    },
    /// Threads or descriptors could not be had.
    #[error("cannot serve the mount")]
    Serve {
        /// The system's error.
        #[source]
        source: std::io::Error,
    },
}

impl From<sandkeep_fuse::Error> for MountError {
    fn from(error: sandkeep_fuse::Error) -> Self {
        use sandkeep_fuse::Error as Fuse;
        let mount = |step: String, source: std::io::Error| Self::Mount { step, source };
        match error {
            Fuse::Device(source) => Self::Device { source: source.into() },
            Fuse::Mount { step, source } => mount(step.to_owned(), source.into()),
            Fuse::Serve { source, .. } => Self::Serve { source },
            Fuse::Init(source) => mount("FUSE_INIT".to_owned(), source.into()),
            unsupported @ (Fuse::OldMountInterface | Fuse::OldProtocol { .. } | Fuse::NoInit) => mount(
                "unsupported kernel".to_owned(),
                std::io::Error::new(std::io::ErrorKind::Unsupported, unsupported),
            ),
            other => Self::Serve { source: std::io::Error::other(other) },
        }
    }
}
