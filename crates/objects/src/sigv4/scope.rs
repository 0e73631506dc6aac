//! When and for what a signature holds.

use std::fmt;
use std::time::SystemTime;

use jiff::Timestamp as Instant;
use jiff::tz::TimeZone;

/// A time as `20260131T235959Z`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timestamp(String);

impl Timestamp {
    /// The second of a time. Times that no calendar holds become 1970.
    pub fn new(time: SystemTime) -> Self {
        let instant = Instant::try_from(time).unwrap_or(Instant::UNIX_EPOCH);
        Self(instant.strftime("%Y%m%dT%H%M%SZ").to_string())
    }

    /// Parses `20260131T235959Z` and nothing else.
    pub fn parse(text: &str) -> Option<Self> {
        let shaped = text.len() == 16 && text.bytes().enumerate().all(|(at, byte)| fits(at, byte));
        let parsed = Self(text.to_owned());
        (shaped && parsed.instant().is_some()).then_some(parsed)
    }

    /// Parses the `date` header of HTTP.
    pub(super) fn parse_http_date(text: &str) -> Option<Self> {
        let zoned = jiff::fmt::rfc2822::parse(text).ok()?;
        SystemTime::try_from(zoned.timestamp()).ok().map(Self::new)
    }

    /// The time.
    pub fn time(&self) -> SystemTime {
        self.instant()
            .and_then(|instant| SystemTime::try_from(instant).ok())
            .unwrap_or(SystemTime::UNIX_EPOCH)
    }

    /// The day as `20260131`.
    pub fn date(&self) -> &str {
        &self.0[..8]
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn instant(&self) -> Option<Instant> {
        let civil = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%SZ", &self.0).ok()?;
        civil.to_zoned_datetime(TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
    }
}

fn fits(at: usize, byte: u8) -> bool {
    match at {
        8 => byte == b'T',
        15 => byte == b'Z',
        _ => byte.is_ascii_digit(),
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// `DATE/REGION/SERVICE/aws4_request`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Scope {
    date: String,
    region: String,
    service: String,
}

impl Scope {
    /// The scope of a request to S3.
    pub fn s3(timestamp: &Timestamp, region: impl Into<String>) -> Self {
        Self::new(timestamp, region, "s3")
    }

    /// The scope of a request to any service.
    pub fn new(timestamp: &Timestamp, region: impl Into<String>, service: impl Into<String>) -> Self {
        Self { date: timestamp.date().to_owned(), region: region.into(), service: service.into() }
    }

    /// Parses the four parts, of which the last must be `aws4_request`.
    pub fn parse(text: &str) -> Option<Self> {
        let (rest, terminator) = text.rsplit_once('/')?;
        let (rest, service) = rest.rsplit_once('/')?;
        let (date, region) = rest.split_once('/')?;
        let dated = date.len() == 8 && date.bytes().all(|byte| byte.is_ascii_digit());
        let whole = dated && terminator == "aws4_request" && !region.is_empty() && !region.contains('/');
        whole.then(|| Self { date: date.into(), region: region.into(), service: service.into() })
    }

    /// The day, as `20260131`.
    pub fn date(&self) -> &str {
        &self.date
    }

    /// The region, such as `us-east-1` or `auto`.
    pub fn region(&self) -> &str {
        &self.region
    }

    /// The service, such as `s3`.
    pub fn service(&self) -> &str {
        &self.service
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}/aws4_request", self.date, self.region, self.service)
    }
}
