//! Times as HTTP headers and S3's documents write them.

use std::time::SystemTime;

use jiff::Timestamp;

/// As in `Last-Modified`: `Fri, 30 Jan 2026 23:59:59 GMT`.
pub(crate) fn http_date(time: SystemTime) -> String {
    timestamp(time).strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

/// As in listings: `2026-01-30T23:59:59.123Z`.
pub(crate) fn iso_date(time: SystemTime) -> String {
    format!("{:.3}", timestamp(time))
}

/// Parses `Last-Modified`'s form; others are ignored, as RFC 9110 wants.
pub(crate) fn parse_http_date(text: &str) -> Option<SystemTime> {
    SystemTime::try_from(jiff::fmt::rfc2822::parse(text).ok()?.timestamp()).ok()
}

/// Parses the form of documents, with or without a fraction.
pub(crate) fn parse_iso_date(text: &str) -> Option<SystemTime> {
    SystemTime::try_from(text.parse::<Timestamp>().ok()?).ok()
}

fn timestamp(time: SystemTime) -> Timestamp {
    Timestamp::try_from(time).unwrap_or(Timestamp::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn dates_are_written_as_s3_writes_them() {
        let time = SystemTime::UNIX_EPOCH + Duration::from_millis(1_769_817_599_123);
        assert_eq!(http_date(time), "Fri, 30 Jan 2026 23:59:59 GMT");
        assert_eq!(iso_date(time), "2026-01-30T23:59:59.123Z");
        let whole = SystemTime::UNIX_EPOCH + Duration::from_secs(1_769_817_599);
        assert_eq!(parse_http_date("Fri, 30 Jan 2026 23:59:59 GMT"), Some(whole));
        assert_eq!(parse_http_date("yesterday"), None);
        assert_eq!(parse_iso_date("2026-01-30T23:59:59.123Z"), Some(time));
        assert_eq!(parse_iso_date("2026-01-30T23:59:59Z"), Some(whole));
        assert_eq!(parse_iso_date("Fri, 30 Jan 2026 23:59:59 GMT"), None);
    }
}
