//! `sandkeep doctor`: what this host offers, what is missing, and the remedy.

use std::process::ExitCode;

use sandkeep_daemon::features::{self, Finding, Verdict};

use super::Result;
use crate::output::Output;

/// Exit code 1 when something is missing without which nothing works.
pub(crate) fn run(output: Output) -> Result<ExitCode> {
    let findings = features::examine();
    output.list(&findings, &["", "feature", "found", "remedy"], row);
    let usable = findings.iter().all(|finding| finding.verdict != Verdict::Missing);
    Ok(if usable { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn row(finding: &Finding) -> Vec<String> {
    let sign = match finding.verdict {
        Verdict::Good => "ok",
        Verdict::Fallback => "fallback",
        Verdict::Missing => "MISSING",
    };
    vec![sign.into(), finding.feature.clone(), finding.found.clone(), finding.remedy.clone().unwrap_or_default()]
}
