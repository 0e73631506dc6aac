//! `sandkeep doctor`: what this host offers, what is missing, and the remedy.

use std::process::ExitCode;

use sandkeep_daemon::features::{self, Finding, Need};

use super::Result;
use crate::output::Output;

/// Exit code 1 when something is missing without which nothing works.
pub(crate) fn run(output: Output) -> Result<ExitCode> {
    let findings = features::examine();
    output.list(&findings, &["", "feature", "otherwise"], row);
    let usable = findings.iter().all(|finding| finding.is_there || finding.need == Need::Better);
    Ok(if usable { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn row(finding: &Finding) -> Vec<String> {
    let sign = match (finding.is_there, finding.need) {
        (true, _) => "ok",
        (false, Need::Better) => "fallback",
        (false, Need::Required) => "MISSING",
    };
    let remedy = if finding.is_there { String::new() } else { finding.remedy.clone() };
    vec![sign.into(), finding.name.clone(), remedy]
}
