//! What git tracks: the paths of an index of version 2, 3 or 4 (gitformat-index(5)).

/// Why an index cannot be used. Nothing may be left out then: it could be tracked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DamagedIndex(pub(crate) &'static str);

type Result<T> = std::result::Result<T, DamagedIndex>;

const SIGNATURE: &[u8] = b"DIRC";
const HEADER_BYTES: usize = 12;
/// Times, device, inode, mode, owner, group and size, before the object's name.
const STAT_BYTES: usize = 40;
const MODE_OFFSET: usize = 24;
const NAME_LENGTH_MASK: u16 = 0x0fff;
const EXTENDED_FLAG: u16 = 0x4000;
/// Entries before their names in versions below 4 are padded to a multiple of this.
const PADDING: usize = 8;
const MODE_TYPE: u32 = 0o170_000;
const MODE_SUBMODULE: u32 = 0o160_000;
const MODE_DIRECTORY: u32 = 0o040_000;

/// Tracked paths, sorted by bytes, with their modes.
#[derive(Debug, Default)]
pub(crate) struct Index {
    paths: Vec<u8>,
    entries: Vec<Entry>,
    ignores_case: bool,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    start: usize,
    end: usize,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    File,
    Submodule,
    /// All below it is tracked (sparse indexes).
    Directory,
}

/// What the index says of a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TrackedDirectory {
    /// Something below it is tracked.
    Inside,
    /// It is a submodule.
    Submodule,
    /// Nothing.
    No,
}

/// An index that builds on another one.
#[derive(Debug, Default)]
pub(crate) struct Parsed {
    own: Vec<(Vec<u8>, Kind)>,
    /// The shared index's name in hexadecimal, if this is one part of two.
    pub(crate) shared: Option<String>,
    deleted: Vec<u64>,
}

/// Parses an index file whose object names have `hash_bytes` bytes.
pub(crate) fn parse(bytes: &[u8], hash_bytes: usize) -> Result<Parsed> {
    let header = bytes.get(..HEADER_BYTES).ok_or(DamagedIndex("it is too short"))?;
    if &header[..4] != SIGNATURE {
        return Err(DamagedIndex("it does not start as an index"));
    }
    let (version, count) = (number(&header[4..]), number(&header[8..]));
    if !(2..=4).contains(&version) {
        return Err(DamagedIndex("its version is not 2, 3 or 4"));
    }
    let body = &bytes[..bytes.len().saturating_sub(hash_bytes)];
    let mut reader = Entries { bytes: body, at: HEADER_BYTES, version, hash_bytes, previous: Vec::new() };
    let mut parsed = Parsed::default();
    for _ in 0..count {
        parsed.own.push(reader.next()?);
    }
    let at = reader.at;
    parsed.read_extensions(body, at, hash_bytes)?;
    Ok(parsed)
}

struct Entries<'a> {
    bytes: &'a [u8],
    at: usize,
    version: u32,
    hash_bytes: usize,
    previous: Vec<u8>,
}

impl Entries<'_> {
    fn next(&mut self) -> Result<(Vec<u8>, Kind)> {
        let start = self.at;
        let flags_at = start + STAT_BYTES + self.hash_bytes;
        let fixed = self.bytes.get(start..flags_at + 2).ok_or(DamagedIndex("it ends too early"))?;
        let kind = match number(&fixed[MODE_OFFSET..]) & MODE_TYPE {
            MODE_SUBMODULE => Kind::Submodule,
            MODE_DIRECTORY => Kind::Directory,
            _ => Kind::File,
        };
        let flags = u16::from_be_bytes([fixed[fixed.len() - 2], fixed[fixed.len() - 1]]);
        let is_extended = self.version >= 3 && flags & EXTENDED_FLAG != 0;
        self.at = flags_at + if is_extended { 4 } else { 2 };
        let path = if self.version == 4 { self.shortened()? } else { self.padded(start, flags)? };
        self.previous.clone_from(&path);
        Ok((path, kind))
    }

    fn padded(&mut self, start: usize, flags: u16) -> Result<Vec<u8>> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let end = rest.iter().position(|byte| *byte == 0).ok_or(DamagedIndex("a path does not end"))?;
        let stated = flags & NAME_LENGTH_MASK;
        if stated < NAME_LENGTH_MASK && usize::from(stated) != end {
            return Err(DamagedIndex("a path has a wrong length"));
        }
        let length = self.at - start + end;
        let path = rest[..end].to_vec();
        self.at = start + (length + PADDING) / PADDING * PADDING;
        Ok(path)
    }

    /// Version 4: so many bytes of the path before are dropped, these are added.
    fn shortened(&mut self) -> Result<Vec<u8>> {
        let dropped = self.variable()?;
        let kept =
            self.previous.len().checked_sub(dropped).ok_or(DamagedIndex("a path has a wrong length"))?;
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let end = rest.iter().position(|byte| *byte == 0).ok_or(DamagedIndex("a path does not end"))?;
        self.at += end + 1;
        Ok([&self.previous[..kept], &rest[..end]].concat())
    }

    fn variable(&mut self) -> Result<usize> {
        let mut value = 0_usize;
        loop {
            let byte = *self.bytes.get(self.at).ok_or(DamagedIndex("it ends too early"))?;
            self.at += 1;
            value = value.checked_mul(128).ok_or(DamagedIndex("a number is too large"))?
                + usize::from(byte & 127);
            if byte & 128 == 0 {
                return Ok(value);
            }
            value += 1;
        }
    }
}

impl Parsed {
    fn read_extensions(&mut self, body: &[u8], mut at: usize, hash_bytes: usize) -> Result<()> {
        while let Some(header) = body.get(at..at + 8) {
            let length = number(&header[4..]) as usize;
            let data = body.get(at + 8..at + 8 + length).ok_or(DamagedIndex("an extension is too long"))?;
            if &header[..4] == b"link" {
                self.read_link(data, hash_bytes)?;
            }
            at += 8 + length;
        }
        Ok(())
    }

    /// A split index names the shared one, and which of its entries do not count.
    fn read_link(&mut self, data: &[u8], hash_bytes: usize) -> Result<()> {
        let name = data.get(..hash_bytes).ok_or(DamagedIndex("its link is too short"))?;
        if name.iter().any(|byte| *byte != 0) {
            self.shared = Some(name.iter().map(|byte| format!("{byte:02x}")).collect());
        }
        if data.len() > hash_bytes {
            self.deleted = bitmap(&data[hash_bytes..])?;
        }
        Ok(())
    }

    /// All tracked paths, those of the shared index included.
    pub(crate) fn into_index(self, shared: Option<Self>, ignores_case: bool) -> Index {
        let is_deleted = |at: usize| self.deleted.get(at / 64).is_some_and(|word| word >> (at % 64) & 1 == 1);
        let mut all: Vec<(Vec<u8>, Kind)> = Vec::new();
        if let Some(shared) = shared {
            all.extend(
                shared.own.into_iter().enumerate().filter(|(at, _)| !is_deleted(*at)).map(|(_, entry)| entry),
            );
        }
        // Entries that replace shared ones have no name: the shared one has it.
        all.extend(self.own.into_iter().filter(|(path, _)| !path.is_empty()));
        let mut index = Index { ignores_case, ..Index::default() };
        for (path, _) in &mut all {
            index.fold(path);
            if path.last() == Some(&b'/') {
                path.pop();
            }
        }
        all.sort();
        for (path, kind) in all {
            let start = index.paths.len();
            index.paths.extend_from_slice(&path);
            index.entries.push(Entry { start, end: index.paths.len(), kind });
        }
        index
    }
}

/// An EWAH bitmap: bits, words, then runs of equal words and literal words by turns.
fn bitmap(data: &[u8]) -> Result<Vec<u64>> {
    /// Bits of a shared index of a hundred million paths; keeps a damaged one from filling memory.
    const MAX_WORDS: u64 = 1 << 21;
    let short = DamagedIndex("a bitmap is too short");
    let count = number(data.get(4..8).ok_or(short)?) as usize;
    let words = data.get(8..8 + count * 8).ok_or(short)?;
    let mut words = words.as_chunks::<8>().0.iter().map(|word| u64::from_be_bytes(*word));
    let mut bits = Vec::new();
    while let Some(marker) = words.next() {
        let (value, run, literals) = (marker & 1, marker >> 1 & 0xffff_ffff, marker >> 33);
        if bits.len() as u64 + run + literals > MAX_WORDS {
            return Err(DamagedIndex("a bitmap is too long"));
        }
        bits.extend(std::iter::repeat_n(if value == 1 { u64::MAX } else { 0 }, run as usize));
        for _ in 0..literals {
            bits.push(words.next().ok_or(short)?);
        }
    }
    Ok(bits)
}

fn number(bytes: &[u8]) -> u32 {
    bytes.first_chunk().map_or(0, |bytes| u32::from_be_bytes(*bytes))
}

impl Index {
    fn path(&self, entry: &Entry) -> &[u8] {
        &self.paths[entry.start..entry.end]
    }

    fn fold(&self, path: &mut [u8]) {
        if self.ignores_case {
            path.make_ascii_lowercase();
        }
    }

    /// The first entry that is not before a path.
    fn position(&self, path: &[u8]) -> usize {
        self.entries.partition_point(|entry| self.path(entry) < path)
    }

    /// Whether a file is tracked.
    pub(crate) fn has_file(&self, path: &[u8]) -> bool {
        let mut path = path.to_vec();
        self.fold(&mut path);
        let exact = self.entries.get(self.position(&path)).is_some_and(|entry| self.path(entry) == path);
        exact || self.is_in_sparse(&path)
    }

    /// What is tracked below a directory.
    pub(crate) fn directory(&self, path: &[u8]) -> TrackedDirectory {
        let mut path = path.to_vec();
        self.fold(&mut path);
        let first = self.entries.get(self.position(&path)).filter(|entry| self.path(entry) == path);
        match first.map(|entry| entry.kind) {
            Some(Kind::Submodule) => return TrackedDirectory::Submodule,
            Some(Kind::Directory) => return TrackedDirectory::Inside,
            _ => {}
        }
        if self.is_in_sparse(&path) {
            return TrackedDirectory::Inside;
        }
        path.push(b'/');
        let next = self.entries.get(self.position(&path));
        match next.is_some_and(|entry| self.path(entry).starts_with(&path)) {
            true => TrackedDirectory::Inside,
            false => TrackedDirectory::No,
        }
    }

    /// Whether a directory above is tracked as a whole.
    fn is_in_sparse(&self, path: &[u8]) -> bool {
        let above = path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| &path[..at]);
        above.into_iter().any(|above| {
            let entry = self.entries.get(self.position(above));
            entry.is_some_and(|entry| entry.kind == Kind::Directory && self.path(entry) == above)
        })
    }
}
