//! What every program finds in its environment.

/// Unless something else is asked for.
pub(crate) const STANDARD: [(&str, &str); 3] = [
    ("HOME", "/root"),
    ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
    ("LANG", "C.UTF-8"),
];
