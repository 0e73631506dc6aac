//! What a case found instead of what it expected, with the line of the check.

use std::fmt;
use std::io;
use std::panic::Location;

/// Outcome of a case.
pub(crate) type Checked<T = ()> = Result<T, Problem>;

/// A broken expectation.
#[derive(Debug)]
pub(crate) struct Problem {
    text: String,
    location: &'static Location<'static>,
}

impl Problem {
    #[track_caller]
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), location: Location::caller() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (line {} of {})", self.text, self.location.line(), self.location.file())
    }
}

impl From<io::Error> for Problem {
    #[track_caller]
    fn from(error: io::Error) -> Self {
        Self::new(error.to_string())
    }
}

impl From<rustix::io::Errno> for Problem {
    #[track_caller]
    fn from(error: rustix::io::Errno) -> Self {
        Self::new(error.to_string())
    }
}

/// Fails unless the condition holds.
#[track_caller]
pub(crate) fn ensure(holds: bool, expectation: &str) -> Checked {
    if holds { Ok(()) } else { Err(Problem::new(format!("does not hold: {expectation}"))) }
}

/// Fails unless both are the same.
#[track_caller]
pub(crate) fn ensure_equal<T: PartialEq + fmt::Debug>(seen: &T, expected: &T) -> Checked {
    if seen == expected {
        return Ok(());
    }
    let shorten = |value: &T| {
        let text = format!("{value:?}");
        if text.len() > 200 {
            format!("{}... ({} characters)", &text[..text.floor_char_boundary(200)], text.len())
        } else {
            text
        }
    };
    Err(Problem::new(format!("is {}, should be {}", shorten(seen), shorten(expected))))
}

/// Fails unless the call failed with this error number.
#[track_caller]
pub(crate) fn ensure_error<T>(
    result: Result<T, impl Into<io::Error>>,
    expected: rustix::io::Errno,
) -> Checked {
    match result.map_err(Into::into) {
        Ok(_) => Err(Problem::new(format!("succeeded, should fail with {}", io::Error::from(expected)))),
        Err(error) if error.raw_os_error() == Some(expected.raw_os_error()) => Ok(()),
        Err(error) => {
            Err(Problem::new(format!("failed with {error}, should fail with {}", io::Error::from(expected))))
        }
    }
}
