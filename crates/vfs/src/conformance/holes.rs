//! Holes are zeros, and cost nothing where the filesystem is sparse.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

use rustix::fs::{FallocateFlags, SeekFrom};
use rustix::io::Errno;

use super::{Checked, ensure, ensure_equal, ensure_error};

const MIB: u64 = 1 << 20;

fn with_hole(directory: &Path) -> Checked<File> {
    let file = OpenOptions::new().read(true).write(true).create_new(true).open(directory.join("sparse"))?;
    file.write_all_at(&[1; 4096], 0)?;
    file.write_all_at(&[2; 4096], 4 * MIB)?;
    Ok(file)
}

pub(super) fn a_hole_reads_as_zeros(directory: &Path) -> Checked {
    drop(with_hole(directory)?);
    let content = fs::read(directory.join("sparse"))?;
    ensure_equal(&content.len(), &((4 * MIB + 4096) as usize))?;
    ensure(content[..4096].iter().all(|byte| *byte == 1), "the data before the hole is there")?;
    ensure(content[4096..(4 * MIB) as usize].iter().all(|byte| *byte == 0), "the hole is zeros")?;
    ensure(content[(4 * MIB) as usize..].iter().all(|byte| *byte == 2), "the data behind the hole is there")
}

pub(super) fn extending_reads_as_zeros(directory: &Path) -> Checked {
    let path = directory.join("file");
    fs::write(&path, b"abc")?;
    OpenOptions::new().write(true).open(&path)?.set_len(100_000)?;
    let content = fs::read(&path)?;
    ensure_equal(&content.len(), &100_000)?;
    ensure_equal(&content[..3].to_vec(), &b"abc".to_vec())?;
    ensure(content[3..].iter().all(|byte| *byte == 0), "the extension is zeros")
}

pub(super) fn shrinking_then_extending_shows_no_old_bytes(directory: &Path) -> Checked {
    let path = directory.join("file");
    fs::write(&path, vec![9; 50_000])?;
    let file = OpenOptions::new().read(true).write(true).open(&path)?;
    file.set_len(10_001)?;
    file.set_len(50_000)?;
    let mut tail = vec![1; 39_999];
    file.read_exact_at(&mut tail, 10_001)?;
    ensure(tail.iter().all(|byte| *byte == 0), "the bytes cut off are zeros")?;
    drop(file);
    ensure(fs::read(&path)?[10_001..].iter().all(|byte| *byte == 0), "they stay zeros after closing")
}

pub(super) fn data_and_holes_are_found(directory: &Path) -> Checked {
    let file = with_hole(directory)?;
    ensure_equal(&rustix::fs::seek(&file, SeekFrom::Hole(0))?, &4096)?;
    ensure_equal(&rustix::fs::seek(&file, SeekFrom::Data(4096))?, &(4 * MIB))?;
    ensure_equal(&rustix::fs::seek(&file, SeekFrom::Hole(4 * MIB))?, &(4 * MIB + 4096))
}

pub(super) fn seeking_data_behind_the_end_fails(directory: &Path) -> Checked {
    let path = directory.join("file");
    fs::write(&path, b"12345")?;
    let file = File::open(&path)?;
    ensure_error(rustix::fs::seek(&file, SeekFrom::Data(5)), Errno::NXIO)?;
    ensure_error(rustix::fs::seek(&file, SeekFrom::Hole(9)), Errno::NXIO)?;
    ensure_equal(&rustix::fs::seek(&file, SeekFrom::Data(2))?, &2)?;
    ensure_equal(&rustix::fs::seek(&file, SeekFrom::Hole(2))?, &5)
}

pub(super) fn a_sparse_file_counts_few_blocks(directory: &Path) -> Checked {
    let file = with_hole(directory)?;
    let blocks = file.metadata()?.blocks();
    ensure((16..=256).contains(&blocks), "8 KiB of data are counted as about 16 blocks")
}

pub(super) fn allocating_extends(directory: &Path) -> Checked {
    let path = directory.join("file");
    fs::write(&path, b"abc")?;
    let file = OpenOptions::new().read(true).write(true).open(&path)?;
    rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, 10_000)?;
    ensure_equal(&file.metadata()?.len(), &10_000)?;
    rustix::fs::fallocate(&file, FallocateFlags::KEEP_SIZE, 0, 20_000)?;
    ensure_equal(&file.metadata()?.len(), &10_000)?;
    drop(file);
    ensure_equal(&fs::read(&path)?[..4].to_vec(), &b"abc\0".to_vec())
}
