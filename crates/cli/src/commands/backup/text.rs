//! Backups as people read them.

use std::fmt::Write;

use sandkeep_api::{BackupInfo, BackupPreview, LeftOutName, LeftOutRule};
use sandkeep_daemon::standalone::{LeftOut, LeftOutPath, Manifest, Preview};

use crate::output::Output;

/// What there is to say of a backup, whoever told it.
pub(super) struct Shown {
    fields: Vec<(&'static str, String)>,
    rules: Vec<LeftOutRule>,
    skipped: Vec<(String, String)>,
    skipped_count: u64,
    is_fuzzy: bool,
}

impl Shown {
    pub(super) fn of_service(info: &BackupInfo) -> Self {
        let expires = info.expires_at.map(|time| time.to_string()).unwrap_or_default();
        let mut fields = vec![
            ("id", info.id.clone()),
            ("name", info.name.clone().unwrap_or_default()),
            ("directory", info.dir.clone()),
            ("created", info.created_at.clone()),
            ("expires", expires),
            ("archive", format!("{} bytes", info.size_bytes)),
            ("content", format!("{} entries, {} bytes", info.entries, info.content_bytes)),
        ];
        fields.extend(info.base.as_ref().map(|base| ("began with", base.clone())));
        fields.extend((info.copied_bytes > 0).then(|| ("copied", format!("{} bytes", info.copied_bytes))));
        fields.extend(info.consistency.as_ref().map(|how| ("taken", consistency(how))));
        Self {
            fields,
            rules: info.left_out.clone(),
            skipped: info.skipped.iter().map(|one| (one.path.clone(), one.reason.clone())).collect(),
            skipped_count: info.skipped_count,
            is_fuzzy: info.consistency.as_deref() == Some("fuzzy"),
        }
    }

    pub(super) fn of_host(manifest: &Manifest) -> Self {
        Self::of_service(&BackupInfo {
            id: manifest.id.to_string(),
            dir: manifest.dir.clone(),
            name: manifest.name.clone(),
            size_bytes: manifest.size_bytes,
            ttl: manifest.ttl,
            created_at: manifest.created_at.clone(),
            expires_at: manifest.expires_at(),
            entries: manifest.entries,
            content_bytes: manifest.content_bytes,
            excluded: manifest.excluded,
            left_out: manifest.left_out.iter().cloned().map(rule).collect(),
            skipped: manifest
                .skipped
                .iter()
                .map(|one| sandkeep_api::SkippedName { path: one.path.clone(), reason: one.reason.clone() })
                .collect(),
            skipped_count: manifest.skipped_count,
            base: manifest.base.as_ref().map(ToString::to_string),
            copied_bytes: manifest.copied_bytes,
            consistency: manifest.consistency.clone(),
        })
    }

    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        for (name, value) in self.fields.iter().filter(|(_, value)| !value.is_empty()) {
            writeln!(text, "{name:<11}{value}").expect("strings take everything");
        }
        text.push_str(&rules(&self.rules));
        for (path, reason) in &self.skipped {
            writeln!(text, "skipped    {path} ({reason})").expect("strings take everything");
        }
        text.trim_end().to_owned()
    }

    /// What whoever made the backup should know at once.
    pub(super) fn notes(&self, output: Output) {
        if output.json() {
            return;
        }
        if self.skipped_count > 0 {
            output.note(&format!(
                "{} names are not as they were: `sandkeep backup show` says which",
                self.skipped_count
            ));
        }
        if self.is_fuzzy {
            output.note(
                "processes ran while the files were taken: what they wrote meanwhile may be half there",
            );
        }
    }
}

fn consistency(how: &str) -> String {
    match how {
        "frozen" => "while nothing in the sandbox ran".to_owned(),
        "fuzzy" => "while things in the sandbox ran".to_owned(),
        other => other.to_owned(),
    }
}

fn rule(rule: LeftOut) -> LeftOutRule {
    let LeftOut { by, pattern, source, names, files, bytes } = rule;
    LeftOutRule { by, pattern, source, names, files, bytes }
}

fn rules(rules: &[LeftOutRule]) -> String {
    let mut text = String::new();
    for rule in rules {
        let source = rule.source.as_ref().map(|source| format!(" ({source})")).unwrap_or_default();
        let LeftOutRule { by, pattern, files, bytes, .. } = rule;
        writeln!(text, "left out   {files} files, {bytes} bytes by {by} {pattern}{source}")
            .expect("strings take everything");
    }
    text
}

/// What this process itself found, in the service's words.
pub(super) fn preview_of_host(preview: Preview) -> BackupPreview {
    let name =
        |one: LeftOutPath| LeftOutName { path: one.path, rule: one.rule, files: one.files, bytes: one.bytes };
    BackupPreview {
        entries: preview.entries,
        content_bytes: preview.content_bytes,
        excluded: preview.excluded,
        rules: preview.rules.into_iter().map(rule).collect(),
        left_out: preview.left_out.into_iter().map(name).collect(),
    }
}

/// The answer to a dry run.
pub(super) fn previewed(preview: &BackupPreview) -> String {
    let mut text = String::new();
    for name in &preview.left_out {
        let pattern = preview.rules.get(name.rule).map(|rule| rule.pattern.as_str()).unwrap_or_default();
        writeln!(text, "{}\t{} files, {} bytes by {pattern}", name.path, name.files, name.bytes)
            .expect("strings take everything");
    }
    let listed = preview.left_out.len() as u64;
    if listed < preview.excluded {
        writeln!(text, "... and {} more", preview.excluded - listed).expect("strings take everything");
    }
    text.push_str(&rules(&preview.rules));
    let BackupPreview { entries, content_bytes, .. } = preview;
    write!(text, "in the backup: {entries} entries, {content_bytes} bytes").expect("strings take everything");
    text
}
