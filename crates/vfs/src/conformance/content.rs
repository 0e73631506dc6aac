//! What is written is what is read.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::FlockOperation;
use rustix::io::Errno;
use sandkeep_fuse::SharedMapping;

use super::{Checked, Problem, ensure, ensure_equal, ensure_error};

/// Bytes that differ at every place, so that a misplaced block shows.
fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at as u32).wrapping_mul(2_654_435_761).to_le_bytes()[3]).collect()
}

fn read_write(path: &Path) -> Checked<File> {
    Ok(OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?)
}

pub(super) fn a_new_file_reads_back(directory: &Path) -> Checked {
    let path = directory.join("file");
    fs::write(&path, b"hello")?;
    ensure_equal(&fs::read(&path)?, &b"hello".to_vec())?;
    ensure_equal(&fs::metadata(&path)?.len(), &5)
}

pub(super) fn an_empty_file_has_no_bytes(directory: &Path) -> Checked {
    let path = directory.join("empty");
    File::create(&path)?;
    ensure_equal(&fs::read(&path)?, &Vec::new())?;
    ensure_equal(&fs::metadata(&path)?.len(), &0)
}

pub(super) fn large_content_reads_back(directory: &Path) -> Checked {
    let path = directory.join("large");
    let content = pattern(9 * 1024 * 1024 + 13);
    fs::write(&path, &content)?;
    ensure(fs::read(&path)? == content, "9 MiB and 13 bytes read back")
}

pub(super) fn random_offsets_read_back(directory: &Path) -> Checked {
    let path = directory.join("file");
    let content = pattern(1 << 20);
    fs::write(&path, &content)?;
    let file = File::open(&path)?;
    for step in 0..64 {
        let at = (step * 48_271) % (content.len() - 5000);
        let mut piece = vec![0; 1 + step * 70];
        file.read_exact_at(&mut piece, at as u64)?;
        ensure(piece == content[at..at + piece.len()], "a piece at a random offset reads back")?;
    }
    Ok(())
}

pub(super) fn overwriting_the_middle_keeps_the_rest(directory: &Path) -> Checked {
    let path = directory.join("file");
    let mut content = pattern(300_000);
    fs::write(&path, &content)?;
    let file = read_write(&path)?;
    file.write_all_at(&[7; 5000], 100_001)?;
    drop(file);
    content[100_001..105_001].fill(7);
    ensure(fs::read(&path)? == content, "only the middle has changed")
}

pub(super) fn appending_writes_at_the_end(directory: &Path) -> Checked {
    let path = directory.join("log");
    fs::write(&path, b"one\n")?;
    let mut file = OpenOptions::new().append(true).open(&path)?;
    file.write_all(b"two\n")?;
    file.seek(SeekFrom::Start(0))?;
    file.write_all(b"three\n")?;
    drop(file);
    ensure_equal(&fs::read_to_string(&path)?, &"one\ntwo\nthree\n".to_owned())
}

pub(super) fn appending_descriptors_do_not_overwrite_each_other(directory: &Path) -> Checked {
    let path = directory.join("log");
    let mut first = OpenOptions::new().append(true).create(true).open(&path)?;
    let mut second = OpenOptions::new().append(true).open(&path)?;
    for _ in 0..10 {
        first.write_all(b"a")?;
        second.write_all(b"b")?;
    }
    drop((first, second));
    ensure_equal(&fs::read_to_string(&path)?, &"ab".repeat(10))
}

pub(super) fn a_writer_reads_its_own_bytes(directory: &Path) -> Checked {
    let file = read_write(&directory.join("file"))?;
    file.write_all_at(b"0123456789", 0)?;
    file.write_all_at(b"xx", 4)?;
    let mut seen = [0; 10];
    file.read_exact_at(&mut seen, 0)?;
    ensure_equal(&seen, b"0123xx6789")
}

pub(super) fn a_second_descriptor_sees_written_bytes(directory: &Path) -> Checked {
    let path = directory.join("file");
    let mut writer = File::create(&path)?;
    writer.write_all(b"written, not closed")?;
    ensure_equal(&fs::read(&path)?, &b"written, not closed".to_vec())?;
    ensure_equal(&fs::metadata(&path)?.len(), &19)
}

pub(super) fn reading_behind_the_end_gives_nothing(directory: &Path) -> Checked {
    let path = directory.join("file");
    fs::write(&path, b"12345")?;
    let file = File::open(&path)?;
    let mut buffer = [9; 10];
    ensure_equal(&file.read_at(&mut buffer, 3)?, &2)?;
    ensure_equal(&file.read_at(&mut buffer, 5)?, &0)?;
    ensure_equal(&file.read_at(&mut buffer, 1 << 40)?, &0)
}

pub(super) fn truncating_shortens_and_extends(directory: &Path) -> Checked {
    let path = directory.join("file");
    fs::write(&path, b"0123456789")?;
    let file = read_write(&path)?;
    file.set_len(4)?;
    ensure_equal(&file.metadata()?.len(), &4)?;
    file.set_len(8)?;
    drop(file);
    ensure_equal(&fs::read(&path)?, &b"0123\0\0\0\0".to_vec())
}

pub(super) fn truncating_by_path_changes_a_closed_file(directory: &Path) -> Checked {
    let path = directory.join("file");
    let content = pattern(200_000);
    fs::write(&path, &content)?;
    // truncate(2) is O_WRONLY without O_TRUNC and ftruncate(2), as coreutils does it.
    let file = OpenOptions::new().write(true).open(&path)?;
    file.set_len(70_001)?;
    drop(file);
    ensure(fs::read(&path)? == content[..70_001], "the kept part is unchanged")
}

pub(super) fn truncating_a_missing_file_fails(directory: &Path) -> Checked {
    ensure_error(OpenOptions::new().write(true).truncate(true).open(directory.join("none")), Errno::NOENT)
}

pub(super) fn opening_with_truncate_empties(directory: &Path) -> Checked {
    let path = directory.join("file");
    fs::write(&path, b"old")?;
    drop(OpenOptions::new().write(true).truncate(true).open(&path)?);
    ensure_equal(&fs::metadata(&path)?.len(), &0)?;
    ensure_equal(&fs::read(&path)?, &Vec::new())
}

pub(super) fn opening_with_truncate_and_rewriting_replaces(directory: &Path) -> Checked {
    let path = directory.join("file");
    fs::write(&path, pattern(100_000))?;
    ensure_equal(&fs::read(&path)?.len(), &100_000)?;
    fs::write(&path, b"short")?;
    ensure_equal(&fs::read(&path)?, &b"short".to_vec())
}

pub(super) fn creating_exclusively_fails_where_a_file_is(directory: &Path) -> Checked {
    let path = directory.join("file");
    drop(OpenOptions::new().write(true).create_new(true).open(&path)?);
    ensure_error(OpenOptions::new().write(true).create_new(true).open(&path), Errno::EXIST)
}

pub(super) fn creating_without_exclusive_opens_what_is_there(directory: &Path) -> Checked {
    let path = directory.join("file");
    fs::write(&path, b"kept")?;
    drop(OpenOptions::new().append(true).create(true).open(&path)?);
    ensure_equal(&fs::read(&path)?, &b"kept".to_vec())
}

pub(super) fn opening_a_missing_file_fails(directory: &Path) -> Checked {
    ensure_error(File::open(directory.join("none")), Errno::NOENT)?;
    ensure_error(File::open(directory.join("no/directory")), Errno::NOENT)
}

pub(super) fn opening_a_directory_for_writing_fails(directory: &Path) -> Checked {
    fs::create_dir(directory.join("sub"))?;
    ensure_error(OpenOptions::new().write(true).open(directory.join("sub")), Errno::ISDIR)
}

pub(super) fn a_file_is_no_directory(directory: &Path) -> Checked {
    fs::write(directory.join("file"), b"")?;
    ensure_error(File::open(directory.join("file/below")), Errno::NOTDIR)?;
    ensure_error(fs::create_dir(directory.join("file/below")), Errno::NOTDIR)
}

pub(super) fn writing_through_a_read_only_descriptor_fails(directory: &Path) -> Checked {
    let path = directory.join("file");
    fs::write(&path, b"content")?;
    let file = File::open(&path)?;
    ensure_error(file.write_at(b"x", 0), Errno::BADF)?;
    ensure_error(file.set_len(1), Errno::INVAL)
}

pub(super) fn a_read_only_created_file_is_written_through_its_descriptor(directory: &Path) -> Checked {
    let path = directory.join("object");
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o444).open(&path)?;
    file.write_all(b"git does this")?;
    drop(file);
    ensure_equal(&fs::read(&path)?, &b"git does this".to_vec())
}

pub(super) fn syncing_succeeds(directory: &Path) -> Checked {
    let mut file = File::create(directory.join("file"))?;
    file.write_all(b"first")?;
    file.sync_all()?;
    file.write_all(b" second")?;
    file.sync_data()?;
    file.write_all(b" third")?;
    drop(file);
    File::open(directory)?.sync_all()?;
    ensure_equal(&fs::read_to_string(directory.join("file"))?, &"first second third".to_owned())
}

pub(super) fn seeking_moves_from_start_end_and_here(directory: &Path) -> Checked {
    let path = directory.join("file");
    fs::write(&path, b"0123456789")?;
    let mut file = File::open(&path)?;
    ensure_equal(&file.seek(SeekFrom::End(-3))?, &7)?;
    ensure_equal(&file.seek(SeekFrom::Current(-2))?, &5)?;
    let mut byte = [0];
    file.read_exact(&mut byte)?;
    ensure_equal(&byte, b"5")?;
    ensure_error(file.seek(SeekFrom::Current(-100)), Errno::INVAL)
}

pub(super) fn copying_ranges_copies(directory: &Path) -> Checked {
    let content = pattern(500_000);
    fs::write(directory.join("from"), &content)?;
    fs::write(directory.join("to"), [1; 10])?;
    let from = File::open(directory.join("from"))?;
    let to = OpenOptions::new().write(true).open(directory.join("to"))?;
    let (mut read_at, mut write_at) = (1000, 10);
    while write_at < 400_010 {
        let left = 400_010 - write_at as usize;
        match rustix::fs::copy_file_range(&from, Some(&mut read_at), &to, Some(&mut write_at), left)? {
            0 => return Err(Problem::new("copy_file_range stopped early")),
            _ => continue,
        }
    }
    drop(to);
    let expected = [&[1; 10], &content[1000..401_000]].concat();
    ensure(fs::read(directory.join("to"))? == expected, "the range was copied")
}

pub(super) fn copying_files_copies(directory: &Path) -> Checked {
    let content = pattern(1_500_000);
    fs::write(directory.join("from"), &content)?;
    ensure_equal(&fs::copy(directory.join("from"), directory.join("to"))?, &1_500_000)?;
    ensure(fs::read(directory.join("to"))? == content, "the copy equals the original")
}

pub(super) fn parallel_writers_of_one_file_meet(directory: &Path) -> Checked {
    let path = directory.join("file");
    File::create(&path)?;
    let write_slice = |worker: usize| -> Checked {
        let file = OpenOptions::new().write(true).open(&path)?;
        for block in 0..32 {
            file.write_all_at(&[worker as u8 + 1; 4096], ((block * 4 + worker) * 4096) as u64)?;
        }
        Ok(())
    };
    in_parallel(4, write_slice)?;
    let content = fs::read(&path)?;
    ensure_equal(&content.len(), &(128 * 4096))?;
    for (index, block) in content.chunks(4096).enumerate() {
        ensure(block.iter().all(|byte| *byte == (index % 4) as u8 + 1), "every writer's blocks are there")?;
    }
    Ok(())
}

pub(super) fn parallel_writers_of_many_files_do_not_disturb(directory: &Path) -> Checked {
    in_parallel(8, |worker| {
        for round in 0..8 {
            let path = directory.join(format!("file-{worker}-{round}"));
            let content = vec![worker as u8; 10_000 + round * 1000];
            fs::write(&path, &content)?;
            ensure(fs::read(&path)? == content, "a file written beside others reads back")?;
        }
        Ok(())
    })?;
    ensure_equal(&fs::read_dir(directory)?.count(), &64)
}

fn in_parallel(workers: usize, work: impl Fn(usize) -> Checked + Sync) -> Checked {
    std::thread::scope(|scope| {
        let work = &work;
        let threads: Vec<_> = (0..workers).map(|worker| scope.spawn(move || work(worker))).collect();
        threads
            .into_iter()
            .try_for_each(|thread| thread.join().map_err(|_| Problem::new("a writer panicked"))?)
    })
}

pub(super) fn a_file_can_be_rewritten_many_times(directory: &Path) -> Checked {
    let path = directory.join("file");
    for round in 0..20_u8 {
        fs::write(&path, vec![round; 1000 + usize::from(round)])?;
        ensure_equal(&fs::read(&path)?, &vec![round; 1000 + usize::from(round)])?;
    }
    Ok(())
}

pub(super) fn a_shared_mapping_reaches_the_file(directory: &Path) -> Checked {
    let path = directory.join("file");
    fs::write(&path, vec![b'.'; 10_000])?;
    let file = read_write(&path)?;
    let mapping = SharedMapping::new(&file, 10_000, true)?;
    mapping.write(5000, b"mapped");
    mapping.sync()?;
    drop(mapping);
    drop(file);
    let content = fs::read(&path)?;
    ensure_equal(&content.len(), &10_000)?;
    ensure_equal(&content[4999..5007].to_vec(), &b".mapped.".to_vec())
}

pub(super) fn a_private_mapping_reads_the_file(directory: &Path) -> Checked {
    let path = directory.join("file");
    let content = pattern(300_000);
    fs::write(&path, &content)?;
    let mapping = SharedMapping::new(&File::open(&path)?, content.len(), false)?;
    ensure(mapping.read(0, content.len()) == content, "the mapping shows the file")
}

pub(super) fn locks_exclude_within_the_mount(directory: &Path) -> Checked {
    let path = directory.join("lock");
    let first = File::create(&path)?;
    let second = File::open(&path)?;
    rustix::fs::flock(&first, FlockOperation::LockExclusive)?;
    ensure_error(rustix::fs::flock(&second, FlockOperation::NonBlockingLockShared), Errno::WOULDBLOCK)?;
    rustix::fs::flock(&first, FlockOperation::Unlock)?;
    rustix::fs::flock(&second, FlockOperation::NonBlockingLockShared)?;
    Ok(())
}
