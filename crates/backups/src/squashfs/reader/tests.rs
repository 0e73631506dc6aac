//! Archives of mksquashfs read from memory, whole and damaged.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};

use bytes::Bytes;
use proptest::prelude::*;

use super::codec::decompress;
use super::{Archive, Content, Inode, Opening, Piece, Place, ReadError, Reader, parse_superblock};

/// Inodes that a walk visits at most: names of a damaged archive may lead to the same directory again and again.
const MAX_VISITS: usize = 20_000;
/// Bytes of each file that a walk reads.
const MAX_READ: u64 = 4 << 20;

/// What a walk found: path to kind and content.
type Tree = BTreeMap<Vec<u8>, Vec<u8>>;

fn open(bytes: &Bytes) -> Result<Archive, ReadError> {
    let mut opening = Opening::new(parse_superblock(bytes, bytes.len() as u64)?);
    opening.step(bytes)?;
    Ok(Archive::new(opening, 1 << 20))
}

fn walk(bytes: &Bytes) -> Result<Tree, ReadError> {
    let archive = open(bytes)?;
    let reader = Reader::new(&archive, bytes);
    let mut tree = Tree::new();
    let mut pending = vec![(Vec::new(), reader.root()?)];
    while let Some((path, inode)) = pending.pop() {
        if tree.len() > MAX_VISITS {
            break;
        }
        // Damage in one place does not keep the walk from the others.
        let content = content(&reader, bytes, &inode).unwrap_or_else(|error| error.to_string().into());
        for (name, child) in children(&reader, &inode).unwrap_or_default() {
            pending.push(([&path[..], b"/", &name].concat(), child));
        }
        tree.insert(path, content);
    }
    Ok(tree)
}

fn children(reader: &Reader<'_>, inode: &Inode) -> Result<Vec<(Vec<u8>, Inode)>, ReadError> {
    let Content::Directory(directory) = &inode.content else { return Ok(Vec::new()) };
    let mut children = Vec::new();
    let mut place = Place::default();
    loop {
        let names = reader.names(directory, place, 7)?;
        let Some(last) = names.last() else { return Ok(children) };
        place = last.next;
        for name in names {
            if let Ok(child) = reader.named(inode, &name) {
                let _ = reader.lookup(inode, &name.name);
                children.push((name.name, child));
            }
        }
        if children.len() > MAX_VISITS {
            return Ok(children);
        }
    }
}

fn content(reader: &Reader<'_>, bytes: &Bytes, inode: &Inode) -> Result<Vec<u8>, ReadError> {
    let _ = (reader.inode(inode.number), reader.id(inode.uid), reader.id(inode.gid));
    let mut content = format!("{:?} {:o} ", inode.content.kind(), inode.permissions).into_bytes();
    for name in reader.xattr_names(inode.xattrs)? {
        content.extend(reader.xattr(inode.xattrs, &name)?.unwrap_or_default());
    }
    match &inode.content {
        Content::Symlink(target) => content.extend(target),
        Content::File(file) => {
            reader.seek(file, 0, true)?;
            for piece in reader.pieces(inode.number, file, 0, file.size.min(MAX_READ) as u32)? {
                content.extend(piece_bytes(reader, bytes, piece)?);
            }
        }
        _ => {}
    }
    Ok(content)
}

fn piece_bytes(reader: &Reader<'_>, bytes: &Bytes, piece: Piece) -> Result<Vec<u8>, ReadError> {
    match piece {
        Piece::Hole { length } => Ok(vec![0; length as usize]),
        Piece::Data { extent, skip, length } => {
            let start = extent.position as usize;
            let stored = &bytes[start..start + extent.stored as usize];
            let block = match extent.plain {
                true => Bytes::copy_from_slice(stored),
                false => decompress(reader.archive().codec, stored, extent.limit as usize)?,
            };
            let part = block.get(skip as usize..(skip + length) as usize);
            part.map(<[u8]>::to_vec).ok_or(ReadError::Damaged { what: "short" })
        }
    }
}

/// A little of everything.
fn make_tree(root: &Path) {
    fs::create_dir_all(root.join("a/b/c")).unwrap();
    fs::create_dir(root.join("many")).unwrap();
    fs::write(root.join("a/small"), "small").unwrap();
    fs::write(root.join("a/empty"), "").unwrap();
    let large: Vec<u8> = (0..300_000u32).flat_map(|n| (n ^ n << 7).to_le_bytes()).collect();
    fs::write(root.join("a/b/large"), &large).unwrap();
    fs::write(root.join("a/b/zeros"), vec![0; 400_000]).unwrap();
    fs::hard_link(root.join("a/small"), root.join("a/b/c/linked")).unwrap();
    symlink("../small", root.join("a/b/link")).unwrap();
    for n in 0..600 {
        fs::write(root.join(format!("many/a rather long name to fill directory blocks {n}")), n.to_string())
            .unwrap();
    }
    let status = Command::new("mkfifo").arg(root.join("pipe")).status().unwrap();
    assert!(status.success());
    for (name, value) in [("user.one", "1".repeat(10)), ("user.long", "x".repeat(3000))] {
        let file = root.join("a/small");
        let status = Command::new("setfattr").args(["-n", name, "-v", &value]).arg(file).status().unwrap();
        assert!(status.success());
    }
}

fn archive(tree: &Path, options: &[&str]) -> Bytes {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("archive");
    let status = Command::new("mksquashfs")
        .args([tree, &path])
        .args(["-noappend", "-quiet", "-no-progress", "-processors", "1", "-b", "32K"])
        .args(options)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success());
    fs::read(path).unwrap().into()
}

#[test]
fn archives_hold_what_was_put_in() {
    let tree = tempfile::tempdir().unwrap();
    make_tree(tree.path());
    let options: [&[&str]; 7] = [
        &["-comp", "gzip"],
        &["-comp", "lz4"],
        &["-comp", "zstd"],
        &["-comp", "gzip", "-noI", "-noD", "-noF", "-noX", "-noId"],
        &["-comp", "zstd", "-no-fragments"],
        &["-comp", "lz4", "-no-exports", "-always-use-fragments"],
        &["-comp", "zstd", "-no-xattrs", "-no-exports"],
    ];
    for options in options {
        let bytes = archive(tree.path(), options);
        let found = walk(&bytes).unwrap();
        assert_eq!(found.len(), 612, "{options:?}");
        for (path, content) in &found {
            let path = tree.path().join(std::str::from_utf8(&path[1.min(path.len())..]).unwrap());
            if path.symlink_metadata().unwrap().is_file() {
                let expected = fs::read(&path).unwrap();
                assert!(content.ends_with(&expected), "{path:?} {options:?}");
            }
        }
        let small = &found[&b"/a/small"[..]];
        assert_eq!(small.len() > 3000, !options.contains(&"-no-xattrs"), "{options:?}");
        assert!(found[&b"/a/b/link"[..]].ends_with(b"../small"));
    }
}

#[test]
fn foreign_compressors_are_named() {
    let tree = tempfile::tempdir().unwrap();
    fs::write(tree.path().join("file"), "content").unwrap();
    for (compressor, name) in [("xz", "xz"), ("lzo", "lzo")] {
        let error = walk(&archive(tree.path(), &["-comp", compressor])).unwrap_err();
        assert!(error.to_string().contains(name), "{error}");
    }
}

#[test]
fn missing_bytes_are_named_and_the_step_repeats() {
    /// Gives one more page each time something is missing.
    struct Paged(Bytes, std::collections::BTreeSet<u64>);
    impl super::Source for Paged {
        fn bytes(&self, start: u64, length: usize) -> Result<Bytes, ReadError> {
            let range = start..start + length as u64;
            match (range.start / 512..=(range.end - 1) / 512).all(|page| self.1.contains(&page)) {
                true => self.0.bytes(start, length),
                false => Err(ReadError::Missing { range }),
            }
        }
    }
    let tree = tempfile::tempdir().unwrap();
    make_tree(tree.path());
    let mode =
        std::os::unix::fs::PermissionsExt::mode(&tree.path().metadata().unwrap().permissions()) & 0o7777;
    for options in [&["-no-exports"][..], &[]] {
        let bytes = archive(tree.path(), options);
        let mut source = Paged(bytes.clone(), Default::default());
        let mut opening = Opening::new(parse_superblock(&bytes, bytes.len() as u64).unwrap());
        let mut steps = 0;
        while let Err(error) = opening.step(&source) {
            let ReadError::Missing { range } = error else { panic!("{error}") };
            source.1.extend(range.start / 512..=(range.end - 1) / 512);
            steps += 1;
        }
        assert!(steps > 5, "{steps}");
        assert_eq!(Reader::new(&Archive::new(opening, 0), &bytes).root().unwrap().permissions, mode);
    }
}

fn damaged_archives() -> &'static [Bytes] {
    static ARCHIVES: std::sync::OnceLock<Vec<Bytes>> = std::sync::OnceLock::new();
    ARCHIVES.get_or_init(|| {
        let tree = tempfile::tempdir().unwrap();
        make_tree(tree.path());
        // Plain metadata lets damage reach the parsers instead of ending in a decompressor.
        let plain = ["-noI", "-noX", "-noId", "-noF"];
        let options =
            [&["-comp", "gzip"][..], &plain, &[&plain[..], &["-no-exports", "-comp", "zstd"]].concat()];
        options.iter().map(|options| archive(tree.path(), options)).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn damage_is_an_error_and_never_a_panic(
        which in 0..3usize,
        damage in prop::collection::vec((0.0..1.0f64, any::<u8>(), any::<bool>()), 1..12),
    ) {
        let original = &damaged_archives()[which];
        let (superblock, _) = parse_superblock(original, original.len() as u64).unwrap();
        let mut bytes = original.to_vec();
        for (place, value, in_head) in damage {
            // The superblock and the tables are what matters.
            let tables = bytes.len() - superblock.inode_table as usize;
            let at = match in_head {
                true => (place * 96.0) as usize,
                false => superblock.inode_table as usize + (place * tables as f64) as usize,
            };
            bytes[at] = value;
        }
        let _ = walk(&bytes.into());
    }

    #[test]
    fn a_cut_archive_is_an_error(which in 0..3usize, place in 0.0..1.0f64) {
        let original = &damaged_archives()[which];
        let cut = original.slice(..(place * original.len() as f64) as usize);
        let used = parse_superblock(original, original.len() as u64).unwrap().0.bytes_used;
        prop_assert!((cut.len() as u64) < used && walk(&cut).is_err() || cut.len() as u64 >= used);
    }
}
