//! The wall of `fuse`: the kernel's bytes in, operations out. Mounts are tested where a filesystem is, in `vfs`.

use proptest::prelude::*;
use sandkeep_fuse::abi::{self, Field, opcode};
use sandkeep_fuse::{DecodeError, Operation, TimeChange, decode};

#[track_caller]
fn check(opcode: u32, body: &[&[u8]], expected: &Operation<'_>) {
    let body = body.concat();
    assert_eq!(decode(opcode, &body).as_ref(), Ok(expected));
    let short = &body[..body.len().saturating_sub(1)];
    if short.len() < body.len() {
        assert_ne!(decode(opcode, short).as_ref(), Ok(expected), "a byte less is not the same");
    }
}

#[test]
fn names_end_with_nul() {
    check(opcode::LOOKUP, &[b"name\0"], &Operation::Lookup { name: b"name" });
    check(opcode::SYMLINK, &[b"name\0target\0"], &Operation::Symlink { name: b"name", target: b"target" });
    let made = abi::MkdirIn { mode: 0o40755, umask: 0o22 }.to_bytes();
    check(opcode::MKDIR, &[&made, b"sub\0"], &Operation::MakeDirectory { name: b"sub", mode: 0o40755 });
    assert_eq!(decode(opcode::UNLINK, b"unterminated"), Err(DecodeError { opcode: opcode::UNLINK }));
}

#[test]
fn both_renames_are_one_operation() {
    let expected = |flags| Operation::Rename { name: b"old", new_parent: 7, new_name: b"new", flags };
    check(opcode::RENAME, &[&7_u64.to_ne_bytes(), b"old\0new\0"], &expected(0));
    let second = abi::Rename2In { newdir: 7, flags: 2, padding: 0 }.to_bytes();
    check(opcode::RENAME2, &[&second, b"old\0new\0"], &expected(2));
}

#[test]
fn writes_carry_exactly_their_data() {
    let write = abi::WriteIn { fh: 3, offset: 4096, size: 5, write_flags: 4, ..abi::WriteIn::default() };
    let expected = Operation::Write { handle: 3, offset: 4096, drop_set_id: true, data: b"hello" };
    check(opcode::WRITE, &[&write.to_bytes(), b"hello"], &expected);
    let longer = [&write.to_bytes()[..], b"hello and more"].concat();
    assert_eq!(decode(opcode::WRITE, &longer), Ok(expected));
}

#[test]
fn only_valid_attributes_are_set() {
    let request = abi::SetattrIn {
        valid: abi::setattr::SIZE
            | abi::setattr::ATIME
            | abi::setattr::ATIME_NOW
            | abi::setattr::MTIME
            | abi::setattr::FH,
        fh: 9,
        size: 100,
        mtime: (-5_i64) as u64,
        mtimensec: 7,
        uid: 1000,
        ..abi::SetattrIn::default()
    };
    let expected = Operation::SetAttributes {
        handle: Some(9),
        mode: None,
        uid: None,
        gid: None,
        size: Some(100),
        accessed: Some(TimeChange::Now),
        modified: Some(TimeChange::To(-5, 7)),
        changed: None,
        drop_set_id: false,
    };
    check(opcode::SETATTR, &[&request.to_bytes()], &expected);
}

#[test]
fn forgets_come_in_batches() {
    let head = abi::BatchForgetIn { count: 2, dummy: 0 }.to_bytes();
    let one = |nodeid, nlookup| abi::ForgetOne { nodeid, nlookup }.to_bytes();
    let body = [&head[..], &one(5, 1), &one(6, 20)].concat();
    let Ok(Operation::BatchForget(forgotten)) = decode(opcode::BATCH_FORGET, &body) else {
        panic!("a batch")
    };
    assert_eq!(forgotten.collect::<Vec<_>>(), [(5, 1), (6, 20)]);
    let lying = abi::BatchForgetIn { count: u32::MAX, dummy: 0 }.to_bytes();
    assert!(decode(opcode::BATCH_FORGET, &[&lying[..], &one(5, 1)].concat()).is_err());
}

#[test]
fn unknown_opcodes_are_told_apart_from_malformed_ones() {
    assert_eq!(decode(52, b""), Ok(Operation::Unknown { opcode: 52 }));
    assert_eq!(decode(u32::MAX, b"x"), Ok(Operation::Unknown { opcode: u32::MAX }));
    assert_eq!(decode(opcode::READ, &[0; 39]), Err(DecodeError { opcode: opcode::READ }));
}

#[test]
fn structures_survive_a_round_trip() {
    let entry = abi::EntryOut {
        nodeid: 1,
        generation: 2,
        attr_valid_nsec: 3,
        attr: abi::Attr { ino: 4, blksize: 5, flags: 6, ..abi::Attr::default() },
        ..abi::EntryOut::default()
    };
    assert_eq!(abi::EntryOut::load(&entry.to_bytes()), entry);
    // The place of a field, as linux/fuse.h has it: attr begins at 40.
    assert_eq!(u64::load(&entry.to_bytes()[40..]), 4);
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(opcode in 0_u32..64, body in proptest::collection::vec(any::<u8>(), 0..300)) {
        if let Ok(Operation::BatchForget(forgotten)) = decode(opcode, &body) {
            prop_assert!(forgotten.count() <= body.len() / 16);
        }
    }

    /// Mostly small numbers, so that counts and sizes are often possible.
    #[test]
    fn plausible_bytes_never_panic(opcode in 0_u32..64, body in proptest::collection::vec(0_u8..3, 0..200)) {
        if let Ok(Operation::Write { data, .. }) = decode(opcode, &body) {
            prop_assert!(data.len() + 40 <= body.len());
        }
    }
}
