//! Checksums in answers and completions.

use sandkeep_objects::{Checksum, ChecksumAlgorithm, ChecksumKind, PartInfo, PartsChecksum};

use crate::call::Call;
use crate::fault::{Fault, Outcome};
use crate::headers::text;
use crate::reply::{Reply, add_header};
use crate::xml::{Record, Xml};

/// What uploads are begun with whose clients say nothing, as on S3.
pub(super) const DEFAULT: PartsChecksum =
    PartsChecksum { algorithm: ChecksumAlgorithm::Crc64Nvme, kind: ChecksumKind::FullObject };

/// Tells a checksum in the headers; of a part, the kind is that of the object's.
pub(super) fn describe(reply: &mut Reply, checksum: &Checksum, kind: ChecksumKind) {
    add_header(reply, checksum.algorithm.header(), &checksum.value);
    add_header(reply, "x-amz-checksum-type", kind.name());
}

/// Whether a read wants to know the checksum.
pub(super) fn wanted(call: &Call) -> bool {
    call.headers
        .get("x-amz-checksum-mode")
        .is_some_and(|mode| mode.as_bytes().eq_ignore_ascii_case(b"enabled"))
}

/// Writes the element of a checksum.
pub(super) fn element(document: &mut Xml, checksum: Option<&Checksum>) {
    if let Some(checksum) = checksum {
        document.text(&element_name(checksum.algorithm), &checksum.value);
    }
}

fn element_name(algorithm: ChecksumAlgorithm) -> String {
    format!("Checksum{}", algorithm.name())
}

/// What an upload is begun with.
pub(super) fn of_upload(call: &Call) -> Outcome<Option<PartsChecksum>> {
    let kind = text(&call.headers, "x-amz-checksum-type")?.map(parse_kind).transpose()?;
    let Some(name) = text(&call.headers, "x-amz-checksum-algorithm")? else {
        return match kind {
            None => Ok(None),
            Some(_) => Err(Fault::invalid_request(
                "The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header.",
            )),
        };
    };
    let unknown = |_| Fault::invalid_request("Checksum algorithm provided is unsupported.");
    let algorithm: ChecksumAlgorithm = name.parse().map_err(unknown)?;
    let usual = match algorithm {
        ChecksumAlgorithm::Crc64Nvme => ChecksumKind::FullObject,
        _ => ChecksumKind::Composite,
    };
    let kind = kind.unwrap_or(usual);
    let possible = match kind {
        ChecksumKind::FullObject => algorithm.combines(),
        ChecksumKind::Composite => algorithm != ChecksumAlgorithm::Crc64Nvme,
    };
    if !possible {
        let (kind, algorithm) = (kind.name(), algorithm.name());
        let message =
            format!("The {kind} checksum type cannot be used with the {algorithm} checksum algorithm.");
        return Err(Fault::invalid_request(message));
    }
    Ok(Some(PartsChecksum { algorithm, kind }))
}

fn parse_kind(text: &str) -> Outcome<ChecksumKind> {
    match text {
        "FULL_OBJECT" => Ok(ChecksumKind::FullObject),
        "COMPOSITE" => Ok(ChecksumKind::Composite),
        _ => Err(Fault::invalid_request("Value for x-amz-checksum-type header is invalid.")),
    }
}

/// Compares what a completion says about checksums with what was uploaded: of the parts in the document, of the whole
/// in the headers. The parts are pinned by their ETags, so what is compared is what is published.
pub(super) fn check_completion(
    call: &Call,
    begun: Option<PartsChecksum>,
    uploaded: &[PartInfo],
    records: &[(u32, &Record)],
) -> Outcome<Option<Checksum>> {
    let mut parts = Vec::with_capacity(records.len());
    for (number, record) in records {
        let Some(part) = uploaded.iter().find(|part| part.number == *number) else {
            return Err(sandkeep_objects::Error::InvalidPart { number: *number }.into());
        };
        check_part(part, record)?;
        parts.push((part.checksum.as_ref(), part.size));
    }
    check_size(call, parts.iter().map(|(_, size)| size).sum())?;
    check_kind(call, begun)?;
    let stored = begun.and_then(|begun| begun.combine(parts.iter().copied()));
    if let Some(claimed) = claimed(call)? {
        let full = PartsChecksum { algorithm: claimed.algorithm, kind: ChecksumKind::FullObject };
        let known = stored.clone().filter(|stored| stored.algorithm == claimed.algorithm);
        let known = known.or_else(|| full.combine(parts.iter().copied())).ok_or_else(|| {
            Fault::invalid_request("The upload was not created with the checksum that its completion names.")
        })?;
        if known.value != claimed.value {
            let message = "The checksum you specified did not match the calculated checksum.";
            return Err(Fault::bad("BadDigest", message));
        }
    }
    Ok(stored)
}

fn check_part(part: &PartInfo, record: &Record) -> Outcome<()> {
    let Some(known) = &part.checksum else { return Ok(()) };
    match record.get(&element_name(known.algorithm)) {
        Some(claimed) if claimed.trim() != known.value => {
            Err(sandkeep_objects::Error::InvalidPart { number: part.number }.into())
        }
        _ => Ok(()),
    }
}

fn check_size(call: &Call, size: u64) -> Outcome<()> {
    match text(&call.headers, "x-amz-mp-object-size")? {
        Some(claimed) if claimed.parse() != Ok(size) => Err(Fault::invalid_request(
            "The provided 'x-amz-mp-object-size' header value does not match what was computed.",
        )),
        _ => Ok(()),
    }
}

fn check_kind(call: &Call, begun: Option<PartsChecksum>) -> Outcome<()> {
    let claimed = text(&call.headers, "x-amz-checksum-type")?.map(parse_kind).transpose()?;
    match (claimed, begun) {
        (Some(claimed), Some(begun)) if claimed != begun.kind => Err(Fault::invalid_request(
            "The upload was created with another checksum type than its completion names.",
        )),
        _ => Ok(()),
    }
}

/// The checksum of the whole object in the headers of a completion.
fn claimed(call: &Call) -> Outcome<Option<Checksum>> {
    let named = |name: &http::HeaderName| {
        ChecksumAlgorithm::of_header(name.as_str()).map(|algorithm| (algorithm, name.clone()))
    };
    let mut claims = call.headers.keys().filter_map(named);
    let Some((algorithm, name)) = claims.next() else { return Ok(None) };
    if claims.next().is_some() {
        return Err(Fault::invalid_request("Expecting a single x-amz-checksum- header"));
    }
    let value = text(&call.headers, name)?.unwrap_or_default().to_owned();
    Ok(Some(Checksum { algorithm, value }))
}
