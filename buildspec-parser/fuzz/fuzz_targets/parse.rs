//! No bytes make the parser, the rules, the fixes or the outputs panic; what is accepted prints and
//! reads back as itself.
#![no_main]

use buildspec_parser::lint::{LintConfig, lint};
use buildspec_parser::output::{self, Color, Findings};
use buildspec_parser::{expand, fix, merge, parse, parse_bytes, plan, print};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    parse_bytes(bytes);
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let parsed = lint(text, &LintConfig::default());
    for diagnostic in &parsed.diagnostics {
        output::text(diagnostic, "fuzz", text, Color::Never);
    }
    let findings = Findings { name: "fuzz", text, diagnostics: &parsed.diagnostics };
    output::json(&findings);
    output::github(&findings);
    output::sarif(&[findings], "0");
    fix(text, &parsed.diagnostics);
    merge(text, text);
    if let Some(spec) = parsed.buildspec {
        plan::phases(&spec);
        plan::globs(&spec);
        plan::variables(&spec);
        if let Some(batch) = &spec.batch {
            let _ = expand::expand(batch);
        }
        assert_eq!(parse(&print(&spec)).buildspec, Some(spec));
    }
});
