//! Each public code has a page, and each page a code.

use std::collections::BTreeSet;
use std::path::Path;

use sandkeep_api::ErrorCode;

#[test]
fn every_code_has_its_page_and_no_page_is_orphaned() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/errors");
    let pages: BTreeSet<String> = std::fs::read_dir(&directory)
        .expect("docs/errors exists")
        .map(|entry| entry.expect("readable").file_name().into_string().expect("plain names"))
        .filter(|name| name != "README.md")
        .collect();
    let codes: BTreeSet<String> = ErrorCode::ALL.iter().map(|code| format!("{code}.md")).collect();
    assert_eq!(pages, codes);
}

#[test]
fn every_page_says_meaning_cause_and_remedy() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/errors");
    for code in ErrorCode::ALL {
        let text = std::fs::read_to_string(directory.join(format!("{code}.md"))).expect("tested above");
        for part in [&format!("# {code}"), "Status ", "**Meaning.**", "**Cause.**", "**Remedy.**"] {
            assert!(text.contains(part), "{code}: {part} is missing");
        }
        assert!(text.contains(&format!("Status {}", code.status().as_u16())), "{code}: wrong status");
    }
}
