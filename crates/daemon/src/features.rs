//! What this host offers, for `sandkeep doctor`: the runtime's one probe, and what the other crates need.

pub use sandkeep_sandboxes::{Finding, Need};

/// Everything found, required things first.
pub fn examine() -> Vec<Finding> {
    let mut findings = sandkeep_sandboxes::Features::probe().findings();
    findings.push(root());
    findings.sort_by_key(|finding| finding.need != Need::Required);
    findings
}

fn root() -> Finding {
    Finding {
        name: "root".into(),
        need: Need::Required,
        is_there: rustix::process::geteuid().is_root(),
        remedy: "run with sudo: mounts and namespaces need root for now".into(),
    }
}
