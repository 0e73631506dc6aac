//! Limits by control groups, whichever the host has: each controller in version 2, in version 1, or not at all.
//!
//! A sandbox's groups lie below our own group. If the version 2 tree exists, it has a group there too, also without
//! controllers: `cgroup.kill` ends every process at once, frozen ones too.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::{Doing, Failure};
use crate::{Limits, mountinfo};

/// Processes and threads; fork bombs end here. Also the most that can be asked for.
const MAXIMUM_PROCESSES: u64 = 4_000;

/// Share of the host's memory that a sandbox may use if nothing else is asked for.
const DEFAULT_MEMORY_PERCENT: u64 = 80;

/// Length of the interval in which processor time is granted.
const CPU_PERIOD_MICROSECONDS: u64 = 100_000;

/// The kernel lets go of a group a moment after its last process.
const REMOVAL_ATTEMPTS: u32 = 2_000;
const REMOVAL_PAUSE: Duration = Duration::from_millis(1);

const CONTROLLERS: [&str; 3] = ["memory", "pids", "cpu"];
/// Stops processes where there is no unified tree. Limits nothing.
const FREEZER: &str = "freezer";

/// Where a controller is to be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CgroupVersion {
    /// In the unified tree.
    V2,
    /// In a tree of its own.
    V1,
}

/// What control groups this host offers us.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cgroups {
    /// Controllers that limit sandboxes, of memory, pids and cpu.
    pub controllers: BTreeMap<String, CgroupVersion>,
    /// Whether all processes of a group can be killed at once.
    pub kill: bool,
    #[serde(skip)]
    parents: Parents,
}

/// Directories below which groups are made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Parents {
    unified: Option<PathBuf>,
    separate: BTreeMap<String, PathBuf>,
}

impl Cgroups {
    /// Looks at the mount table and tries the controllers.
    pub(crate) fn find() -> Self {
        let membership = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let mounts = mountinfo::of("self").unwrap_or_default();
        let mut found = Self::default();
        for mount in &mounts {
            match mount.kind.as_str() {
                "cgroup2" => found.add_unified(mount, &membership),
                "cgroup" => found.add_separate(mount, &membership),
                _ => {}
            }
        }
        if found.parents.unified.is_none() {
            found.add_freezer(&mounts, &membership);
        }
        found
    }

    fn add_freezer(&mut self, mounts: &[mountinfo::Mount], membership: &str) {
        let has_it = |mount: &&mountinfo::Mount| mount.options.split(',').any(|option| option == FREEZER);
        let mount = mounts.iter().filter(|mount| mount.kind == "cgroup").find(has_it);
        let directory = mount.and_then(|mount| own_directory(mount, membership, FREEZER));
        if let Some(directory) = directory.filter(|place| place.is_dir()) {
            self.parents.separate.insert(FREEZER.to_owned(), directory);
        }
    }

    fn add_unified(&mut self, mount: &mountinfo::Mount, membership: &str) {
        if self.parents.unified.is_some() {
            return;
        }
        let own = own_directory(mount, membership, "");
        let candidates = [own.clone(), Some(mount.point.clone())];
        let usable = candidates.into_iter().flatten().find(|directory| can_be_divided(directory));
        let Some(parent) = usable.or(own).filter(|directory| directory.is_dir()) else { return };
        for name in enabled_controllers(&parent) {
            self.controllers.insert(name.to_owned(), CgroupVersion::V2);
        }
        self.kill = true;
        self.parents.unified = Some(parent);
    }

    fn add_separate(&mut self, mount: &mountinfo::Mount, membership: &str) {
        for name in CONTROLLERS {
            if !mount.options.split(',').any(|option| option == name) || self.controllers.contains_key(name) {
                continue;
            }
            if let Some(directory) = own_directory(mount, membership, name).filter(|place| place.is_dir()) {
                self.controllers.insert(name.to_owned(), CgroupVersion::V1);
                self.parents.separate.insert(name.to_owned(), directory);
            }
        }
    }

    /// Makes the groups of a sandbox and sets its limits.
    pub(crate) fn make(&self, group: &Group, limits: &Limits) -> Result<(), Failure> {
        group.make(&self.controllers, limits)
    }

    /// Which directories a sandbox's groups will be.
    pub(crate) fn plan(&self, name: &str) -> Group {
        let unified = self.parents.unified.as_ref().map(|parent| parent.join(name));
        let separate = self.parents.separate.iter();
        Group {
            unified,
            separate: separate.map(|(kind, parent)| (kind.clone(), parent.join(name))).collect(),
        }
    }
}

/// Enables all controllers that are offered for the groups below a directory.
///
/// Never in a group that has processes itself, except for the top: the kernel would refuse `memory` and accept `pids`
/// and `cpu`, after which no group below it takes processes (cgroup-v2.rst, "No Internal Process Constraint" and
/// "Threads").
fn can_be_divided(directory: &Path) -> bool {
    let read = |file: &str| std::fs::read_to_string(directory.join(file));
    let is_top = read("cgroup.type").is_err();
    if !is_top && !read("cgroup.procs").is_ok_and(|processes| processes.is_empty()) {
        return false;
    }
    let offered = read("cgroup.controllers").unwrap_or_default();
    let offered = offered.split_whitespace().filter(|name| CONTROLLERS.contains(name));
    let wanted: Vec<_> = offered.map(|name| format!("+{name}")).collect();
    !wanted.is_empty() && std::fs::write(directory.join("cgroup.subtree_control"), wanted.join(" ")).is_ok()
}

/// Controllers of ours that groups below a directory have.
fn enabled_controllers(directory: &Path) -> Vec<&'static str> {
    let enabled = std::fs::read_to_string(directory.join("cgroup.subtree_control")).unwrap_or_default();
    CONTROLLERS.into_iter().filter(|name| enabled.split_whitespace().any(|one| one == *name)).collect()
}

/// The directory of our own group in a mounted tree, from lines `number:controllers:path`.
fn own_directory(mount: &mountinfo::Mount, membership: &str, controller: &str) -> Option<PathBuf> {
    let path = membership.lines().find_map(|line| {
        let mut fields = line.splitn(3, ':').skip(1);
        let controllers = fields.next()?;
        let path = fields.next()?;
        controllers.split(',').any(|name| name == controller).then_some(path)
    })?;
    let below = Path::new(path).strip_prefix(&mount.root).unwrap_or_else(|_| Path::new(""));
    Some(mount.point.join(below))
}

/// The groups of one sandbox.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Group {
    unified: Option<PathBuf>,
    separate: BTreeMap<String, PathBuf>,
}

/// Pause between two looks at whether all processes have stopped.
const FREEZING_PAUSE: Duration = Duration::from_millis(1);

impl Group {
    fn directories(&self) -> impl Iterator<Item = &PathBuf> {
        let mut all: Vec<&PathBuf> = self.unified.iter().chain(self.separate.values()).collect();
        // Two controllers of version 1 may share a tree.
        all.dedup();
        all.into_iter()
    }

    fn make(&self, controllers: &BTreeMap<String, CgroupVersion>, limits: &Limits) -> Result<(), Failure> {
        for directory in self.directories() {
            match std::fs::create_dir(directory) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                    return Err(error).doing("make a control group");
                }
                _ => {}
            }
        }
        for (controller, version) in controllers {
            for (file, value) in settings(controller, version, limits) {
                self.set(controller, version, file, &value)?;
            }
        }
        Ok(())
    }

    fn set(
        &self,
        controller: &str,
        version: &CgroupVersion,
        setting: Setting,
        value: &str,
    ) -> Result<(), Failure> {
        let directory = match version {
            CgroupVersion::V2 => self.unified.as_ref(),
            CgroupVersion::V1 => self.separate.get(controller),
        };
        let Some(directory) = directory else { return Ok(()) };
        match std::fs::write(directory.join(setting.file), value) {
            // Accounting of swap is compiled out or switched off on many hosts.
            Err(_) if setting.optional => Ok(()),
            other => other.doing(format!("set {} of the control group", setting.file)),
        }
    }

    /// Stops all that is in; false if something does not stop in time, and then all goes on.
    pub(crate) fn freeze(&self, patience: Duration) -> io::Result<bool> {
        let Some(freezer) = self.freezer() else { return Ok(false) };
        std::fs::write(&freezer.control, freezer.freeze)?;
        let start = std::time::Instant::now();
        loop {
            match std::fs::read_to_string(&freezer.state) {
                Ok(state) if freezer.is_frozen(&state) => return Ok(true),
                Ok(_) if start.elapsed() < patience => std::thread::sleep(FREEZING_PAUSE),
                other => {
                    self.thaw()?;
                    return other.map(|_| false);
                }
            }
        }
    }

    /// Lets all that is in go on.
    pub(crate) fn thaw(&self) -> io::Result<()> {
        self.freezer().map_or(Ok(()), |freezer| std::fs::write(&freezer.control, freezer.thaw))
    }

    /// The unified tree's own, else the controller of version 1.
    fn freezer(&self) -> Option<Freezer> {
        let unified = self.unified.as_ref().map(|group| Freezer {
            control: group.join("cgroup.freeze"),
            state: group.join("cgroup.events"),
            freeze: "1",
            thaw: "0",
            frozen: "frozen 1",
        });
        let separate = || {
            let control = self.separate.get(FREEZER)?.join("freezer.state");
            let state = control.clone();
            Some(Freezer { control, state, freeze: "FROZEN", thaw: "THAWED", frozen: "FROZEN" })
        };
        unified.filter(|freezer| freezer.control.exists()).or_else(separate)
    }

    /// Moves the calling thread into the groups of version 1, so that what it clones is born there. Unlike a whole
    /// process a thread that moves itself does not wait for anything; it cannot be moved in version 2.
    pub(crate) fn enter_with_thread(&self) -> io::Result<()> {
        let separate = self.directories().filter(|directory| Some(*directory) != self.unified.as_ref());
        separate.into_iter().try_for_each(|directory| std::fs::write(directory.join("tasks"), "0"))
    }

    /// The group of version 2, if there is one.
    pub(crate) fn open_unified(&self) -> io::Result<Option<OwnedFd>> {
        self.unified.as_deref().map(crate::overlay::open_path).transpose()
    }

    /// Puts a process and its future children in.
    pub(crate) fn join(&self, pid: i32) -> io::Result<()> {
        self.directories().try_for_each(|d| std::fs::write(d.join("cgroup.procs"), pid.to_string()))
    }

    /// Kills all that is in, frozen or not.
    pub(crate) fn kill(&self) {
        // Frozen by version 1, a process dies only when it goes on.
        if let Err(error) = self.thaw() {
            tracing::debug!(%error, "a control group cannot be thawed");
        }
        let at_once = self.unified.as_ref().map(|group| std::fs::write(group.join("cgroup.kill"), "1"));
        if !matches!(at_once, Some(Ok(()))) {
            for pid in self.processes() {
                crate::sys::signals::send(pid, libc::SIGKILL);
            }
        }
    }

    /// Host numbers of the processes in it.
    pub(crate) fn processes(&self) -> Vec<i32> {
        let read = |directory: &PathBuf| std::fs::read_to_string(directory.join("cgroup.procs")).ok();
        let list = self.directories().find_map(read).unwrap_or_default();
        list.lines().filter_map(|line| line.parse().ok()).filter(|pid| *pid > 0).collect()
    }

    /// Where the kernel counts processes that it killed for the memory limit, and that limit.
    pub(crate) fn memory_report(&self) -> Option<(PathBuf, u64)> {
        let separate =
            self.separate.get("memory").map(|group| (group, "memory.oom_control", "memory.limit_in_bytes"));
        let unified = self.unified.as_ref().map(|group| (group, "memory.events", "memory.max"));
        let (group, report, limit) = separate.or(unified)?;
        let limit = std::fs::read_to_string(group.join(limit)).ok()?;
        Some((group.join(report), limit.trim().parse().ok()?))
    }

    /// Whether there is any group at all, so that [`Self::processes`] means something.
    pub(crate) fn exists(&self) -> bool {
        self.directories().next().is_some()
    }

    /// Removes the directories, once the last process is gone.
    pub(crate) fn remove(&self) -> io::Result<()> {
        self.directories().try_for_each(|directory| remove_group(directory))
    }
}

fn remove_group(directory: &Path) -> io::Result<()> {
    for _ in 0..REMOVAL_ATTEMPTS {
        match std::fs::remove_dir(directory) {
            Err(error) if error.raw_os_error() == Some(libc::EBUSY) => std::thread::sleep(REMOVAL_PAUSE),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            other => return other,
        }
    }
    std::fs::remove_dir(directory)
}

/// How a group is stopped.
struct Freezer {
    control: PathBuf,
    state: PathBuf,
    freeze: &'static str,
    thaw: &'static str,
    frozen: &'static str,
}

impl Freezer {
    fn is_frozen(&self, state: &str) -> bool {
        state.lines().any(|line| line == self.frozen)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Setting {
    file: &'static str,
    optional: bool,
}

const fn required(file: &'static str) -> Setting {
    Setting { file, optional: false }
}

const fn optional(file: &'static str) -> Setting {
    Setting { file, optional: true }
}

/// What to write for the limits. Order matters: memsw may not be below the limit without swap.
fn settings(controller: &str, version: &CgroupVersion, limits: &Limits) -> Vec<(Setting, String)> {
    let memory = || limits.memory.unwrap_or_else(default_memory).to_string();
    let processes = limits.processes.unwrap_or(MAXIMUM_PROCESSES).min(MAXIMUM_PROCESSES);
    let quota = limits.cpu_millis.map(|millis| millis * CPU_PERIOD_MICROSECONDS / 1_000);
    match (controller, version) {
        ("memory", CgroupVersion::V2) => {
            vec![(required("memory.max"), memory()), (optional("memory.swap.max"), "0".to_owned())]
        }
        ("memory", CgroupVersion::V1) => vec![
            (required("memory.limit_in_bytes"), memory()),
            (optional("memory.memsw.limit_in_bytes"), memory()),
        ],
        ("pids", _) => vec![(required("pids.max"), processes.to_string())],
        ("cpu", CgroupVersion::V2) => quota
            .map(|quota| (required("cpu.max"), format!("{quota} {CPU_PERIOD_MICROSECONDS}")))
            .into_iter()
            .collect(),
        ("cpu", CgroupVersion::V1) => quota
            .into_iter()
            .flat_map(|quota| {
                [
                    (required("cpu.cfs_period_us"), CPU_PERIOD_MICROSECONDS.to_string()),
                    (required("cpu.cfs_quota_us"), quota.to_string()),
                ]
            })
            .collect(),
        _ => Vec::new(),
    }
}

/// Bytes of memory of a sandbox for which none were given.
pub(crate) fn default_memory() -> u64 {
    let host = rustix::system::sysinfo();
    let total = host.totalram as u64 * u64::from(host.mem_unit);
    total / 100 * DEFAULT_MEMORY_PERCENT
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(controller: &str, version: CgroupVersion, limits: Limits, expected: &[(&str, &str)]) {
        let settings = settings(controller, &version, &limits);
        let plain: Vec<_> = settings.iter().map(|(setting, value)| (setting.file, value.as_str())).collect();
        assert_eq!(plain, expected);
    }

    #[test]
    fn limits_become_settings_of_both_versions() {
        let limits = Limits { memory: Some(1 << 20), processes: Some(9_999), cpu_millis: Some(1_500) };
        use CgroupVersion::{V1, V2};
        check("memory", V2, limits, &[("memory.max", "1048576"), ("memory.swap.max", "0")]);
        check("pids", V1, limits, &[("pids.max", "4000")]);
        check("cpu", V2, limits, &[("cpu.max", "150000 100000")]);
        check("cpu", V1, limits, &[("cpu.cfs_period_us", "100000"), ("cpu.cfs_quota_us", "150000")]);
        check("cpu", V2, Limits::default(), &[]);
    }

    #[test]
    fn our_own_group_is_found() {
        let mount = |root: &str| mountinfo::Mount {
            id: 1,
            parent: 0,
            device: "0:1".into(),
            root: root.into(),
            point: "/sys/fs/cgroup/memory".into(),
            kind: "cgroup".into(),
            options: "rw,memory".into(),
        };
        let lines = "4:memory:/a/b\n1:cpu,cpuacct:/\n0::/x\n";
        let check = |root, controller, expected: Option<&str>| {
            assert_eq!(own_directory(&mount(root), lines, controller), expected.map(PathBuf::from));
        };
        check("/", "memory", Some("/sys/fs/cgroup/memory/a/b"));
        check("/a", "memory", Some("/sys/fs/cgroup/memory/b"));
        check("/", "", Some("/sys/fs/cgroup/memory/x"));
        check("/", "pids", None);
    }
}
