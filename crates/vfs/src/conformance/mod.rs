//! The POSIX behaviour that every writable filesystem of ours must show, checked by real system calls.
//!
//! Each case is a named function that gets an empty directory of its own. The suite passes on tmpfs, which judges
//! the tests, and on `MemoryFs` over a real FUSE mount; filesystems run it over their own mounts. What a filesystem
//! does not offer is declared in [`Features`]. Checks nothing about caching, speed or what a bucket holds afterwards.

mod attributes;
mod content;
mod directories;
mod extended;
mod holes;
mod links;
mod problem;
mod renames;
mod served;
mod unlinked;
mod users;

use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

pub(crate) use problem::{Checked, Problem, ensure, ensure_equal, ensure_error};
pub use served::{Served, TestMount};

/// A case that takes longer hangs.
const CASE_LIMIT: Duration = Duration::from_secs(60);

/// What a filesystem offers beyond the common ground; cases that need more are left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Features {
    /// link(2).
    pub hard_links: bool,
    /// Extended attributes of the `user.` namespace.
    pub xattrs: bool,
    /// `RENAME_EXCHANGE`.
    pub rename_exchange: bool,
    /// mkfifo(3) and sockets.
    pub special_files: bool,
    /// chown(2) to any user; without it, cases of other users are left out too.
    pub ownership: bool,
    /// SEEK_DATA and SEEK_HOLE find holes, and blocks are only counted where data is.
    pub sparse: bool,
    /// fallocate(2) mode 0.
    pub allocate: bool,
    /// Access times can be set and are kept.
    pub access_times: bool,
    /// Directories' times change with their entries and can be set.
    pub directory_times: bool,
    /// Files that are unlinked while open keep their content and attributes.
    pub unlink_open: bool,
    /// mmap(2) with `MAP_SHARED` for writing.
    pub shared_mappings: bool,
}

impl Features {
    /// Everything that tmpfs offers.
    pub const ALL: Self = Self {
        hard_links: true,
        xattrs: true,
        rename_exchange: true,
        special_files: true,
        ownership: true,
        sparse: true,
        allocate: true,
        access_times: true,
        directory_times: true,
        unlink_open: true,
        shared_mappings: true,
    };
}

/// A case that did not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Module and function.
    pub case: &'static str,
    /// What was seen instead, and where.
    pub problem: String,
}

/// A named check.
#[derive(Clone, Copy)]
struct Case {
    name: &'static str,
    needed: fn(&Features) -> bool,
    check: fn(&Path) -> Checked,
}

macro_rules! case {
    ($module:ident::$check:ident $(if $($feature:ident)&+)?) => {
        Case {
            name: concat!(stringify!($module), "::", stringify!($check)),
            needed: |features| { let _ = features; true $($(&& features.$feature)+)? },
            check: $module::$check,
        }
    };
}

/// Runs every case that `features` allow, each in a fresh directory below `directory`, which must be writable.
///
/// Call it from a thread that does not serve the mount it checks.
pub fn run(directory: &Path, features: Features) -> Vec<Failure> {
    cases().iter().filter(|case| (case.needed)(&features)).filter_map(|case| fails(case, directory)).collect()
}

/// Names of the cases that `features` allow.
pub fn names(features: Features) -> Vec<&'static str> {
    cases().iter().filter(|case| (case.needed)(&features)).map(|case| case.name).collect()
}

/// Runs one case by its name; none if it holds or there is no such case.
pub fn run_one(directory: &Path, name: &str) -> Option<Failure> {
    cases().iter().find(|case| case.name == name).and_then(|case| fails(case, directory))
}

fn fails(case: &Case, directory: &Path) -> Option<Failure> {
    let place = directory.join(case.name.replace("::", "-"));
    let failure = |problem: String| Some(Failure { case: case.name, problem });
    if let Err(error) = std::fs::create_dir(&place) {
        return failure(format!("cannot create the case's directory: {error}"));
    }
    let (sender, receiver) = mpsc::channel();
    let check = case.check;
    let thread_place = place.clone();
    let thread = std::thread::spawn(move || {
        let _ = sender.send(check(&thread_place));
    });
    let outcome = receiver.recv_timeout(CASE_LIMIT);
    match outcome {
        Err(mpsc::RecvTimeoutError::Timeout) => {
            return failure(format!("still running after {CASE_LIMIT:?}"));
        }
        Err(mpsc::RecvTimeoutError::Disconnected) => return failure("panicked".to_owned()),
        Ok(Err(problem)) => return failure(problem.to_string()),
        Ok(Ok(())) => {}
    }
    let _ = thread.join();
    match std::fs::remove_dir_all(&place) {
        Ok(()) => None,
        Err(error) => failure(format!("cannot remove what it made: {error}")),
    }
}

#[rustfmt::skip]
fn cases() -> Vec<Case> {
    vec![
        case!(content::a_new_file_reads_back),
        case!(content::an_empty_file_has_no_bytes),
        case!(content::large_content_reads_back),
        case!(content::random_offsets_read_back),
        case!(content::overwriting_the_middle_keeps_the_rest),
        case!(content::appending_writes_at_the_end),
        case!(content::appending_descriptors_do_not_overwrite_each_other),
        case!(content::a_writer_reads_its_own_bytes),
        case!(content::a_second_descriptor_sees_written_bytes),
        case!(content::reading_behind_the_end_gives_nothing),
        case!(content::truncating_shortens_and_extends),
        case!(content::truncating_by_path_changes_a_closed_file),
        case!(content::truncating_a_missing_file_fails),
        case!(content::opening_with_truncate_empties),
        case!(content::opening_with_truncate_and_rewriting_replaces),
        case!(content::creating_exclusively_fails_where_a_file_is),
        case!(content::creating_without_exclusive_opens_what_is_there),
        case!(content::opening_a_missing_file_fails),
        case!(content::opening_a_directory_for_writing_fails),
        case!(content::a_file_is_no_directory),
        case!(content::writing_through_a_read_only_descriptor_fails),
        case!(content::a_read_only_created_file_is_written_through_its_descriptor),
        case!(content::syncing_succeeds),
        case!(content::seeking_moves_from_start_end_and_here),
        case!(content::copying_ranges_copies),
        case!(content::copying_files_copies),
        case!(content::parallel_writers_of_one_file_meet),
        case!(content::parallel_writers_of_many_files_do_not_disturb),
        case!(content::a_file_can_be_rewritten_many_times),
        case!(content::a_shared_mapping_reaches_the_file if shared_mappings),
        case!(content::a_private_mapping_reads_the_file),
        case!(content::locks_exclude_within_the_mount),
        case!(holes::a_hole_reads_as_zeros),
        case!(holes::extending_reads_as_zeros),
        case!(holes::shrinking_then_extending_shows_no_old_bytes),
        case!(holes::data_and_holes_are_found if sparse),
        case!(holes::seeking_data_behind_the_end_fails),
        case!(holes::a_sparse_file_counts_few_blocks if sparse),
        case!(holes::allocating_extends if allocate),
        case!(directories::a_new_directory_is_empty),
        case!(directories::creating_where_something_is_fails),
        case!(directories::creating_below_nothing_fails),
        case!(directories::removing_an_empty_directory_removes_it),
        case!(directories::removing_a_full_directory_fails),
        case!(directories::removing_a_file_as_directory_fails),
        case!(directories::unlinking_a_directory_fails),
        case!(directories::unlinking_a_missing_name_fails),
        case!(directories::a_removed_name_can_be_used_again),
        case!(directories::a_removed_directory_can_be_made_again),
        case!(directories::listing_shows_every_name_once),
        case!(directories::listing_includes_dots_and_types),
        case!(directories::listing_while_deleting_skips_nothing_else),
        case!(directories::listing_while_creating_shows_the_old_names),
        case!(directories::listing_can_be_rewound),
        case!(directories::inode_numbers_agree_between_listing_and_stat),
        case!(directories::names_of_255_bytes_work),
        case!(directories::names_of_256_bytes_are_too_long),
        case!(directories::names_are_bytes),
        case!(directories::deep_trees_can_be_walked_and_removed),
        case!(directories::link_counts_follow_subdirectories),
        case!(directories::statfs_answers),
        case!(renames::a_file_moves),
        case!(renames::a_file_moves_to_another_directory),
        case!(renames::a_file_replaces_a_file),
        case!(renames::a_directory_moves_with_its_content),
        case!(renames::a_directory_replaces_an_empty_directory),
        case!(renames::a_directory_does_not_replace_a_full_one),
        case!(renames::a_directory_does_not_replace_a_file),
        case!(renames::a_file_does_not_replace_a_directory),
        case!(renames::a_directory_does_not_move_into_itself),
        case!(renames::a_missing_name_does_not_move),
        case!(renames::renaming_to_itself_changes_nothing),
        case!(renames::no_replace_refuses_and_moves),
        case!(renames::exchange_swaps if rename_exchange),
        case!(renames::an_open_file_follows_its_name),
        case!(renames::a_file_being_written_can_be_renamed),
        case!(renames::writing_beside_and_renaming_over_replaces),
        case!(unlinked::an_open_file_stays_readable if unlink_open),
        case!(unlinked::an_open_file_stays_writable if unlink_open),
        case!(unlinked::an_open_file_has_no_links if unlink_open),
        case!(unlinked::a_replaced_open_file_keeps_its_content if unlink_open),
        case!(unlinked::a_removed_working_directory_is_empty),
        case!(links::a_symlink_leads_to_its_target),
        case!(links::a_dangling_symlink_can_be_read),
        case!(links::a_symlink_has_the_length_of_its_target),
        case!(links::unlinking_a_symlink_leaves_the_target),
        case!(links::a_loop_of_symlinks_fails),
        case!(links::a_symlink_to_a_directory_can_be_walked),
        case!(links::reading_a_file_as_symlink_fails),
        case!(links::a_long_target_is_kept),
        case!(links::hard_links_share_everything if hard_links),
        case!(links::hard_links_outlive_the_first_name if hard_links),
        case!(links::hard_links_of_directories_fail if hard_links),
        case!(links::a_hard_link_over_a_name_fails if hard_links),
        case!(links::a_fifo_carries_bytes if special_files),
        case!(links::a_socket_can_be_bound if special_files),
        case!(attributes::modes_are_kept),
        case!(attributes::the_umask_applies),
        case!(attributes::chmod_changes_the_mode),
        case!(attributes::chmod_changes_the_mode_of_an_open_file),
        case!(attributes::special_bits_are_kept),
        case!(attributes::chown_changes_the_owner if ownership),
        case!(attributes::chown_of_one_leaves_the_other if ownership),
        case!(attributes::chown_of_a_symlink_leaves_the_target if ownership),
        case!(attributes::setgid_directories_pass_their_group_on if ownership),
        case!(attributes::sizes_follow_writes),
        case!(attributes::times_are_set_to_the_nanosecond),
        case!(attributes::access_times_are_set if access_times),
        case!(attributes::times_set_before_close_are_kept),
        case!(attributes::times_before_1970_are_kept),
        case!(attributes::now_is_now),
        case!(attributes::writing_changes_the_modification_time),
        case!(attributes::chmod_leaves_the_modification_time),
        case!(attributes::directory_times_follow_their_entries if directory_times),
        case!(attributes::kinds_are_shown),
        case!(extended::a_value_reads_back if xattrs),
        case!(extended::a_missing_value_is_no_data if xattrs),
        case!(extended::create_and_replace_are_obeyed if xattrs),
        case!(extended::names_are_listed if xattrs),
        case!(extended::a_removed_value_is_gone if xattrs),
        case!(extended::small_buffers_are_refused if xattrs),
        case!(extended::binary_and_empty_values_are_kept if xattrs),
        case!(extended::directories_have_values_too if xattrs),
        case!(extended::values_outlive_writes_and_renames if xattrs),
        case!(users::others_may_not_read_what_is_private if ownership),
        case!(users::others_may_not_write_what_is_read_only if ownership),
        case!(users::others_may_not_remove_from_a_sticky_directory if ownership),
        case!(users::others_own_what_they_create if ownership),
        case!(users::others_may_not_chmod if ownership),
        case!(users::writing_drops_set_user_id if ownership),
        case!(users::changing_the_owner_drops_set_user_id if ownership),
    ]
}
