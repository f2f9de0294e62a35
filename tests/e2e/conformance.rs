//! The conformance suite holds for this agent.

use std::path::Path;

use tests::conformance;

#[test]
fn every_case_of_the_conformance_suite_holds() {
    let report = conformance::run_all(&Path::new(env!("CARGO_MANIFEST_DIR")).join("conformance"));
    assert!(report.broken.is_empty(), "{report}");
    assert!(
        report.held.len() >= 80,
        "the suite has lost cases: {report}"
    );
}
