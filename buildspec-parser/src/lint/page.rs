//! The documentation page of all codes.

use std::fmt::Write as _;

use super::RULES;
use crate::code::Code;

/// The page in Markdown: the rules with their reasons and examples, then every other diagnostic.
pub fn page() -> String {
    let mut page = String::from(
        "# Diagnostics of buildspecs\n\n\
         Every diagnostic has a stable code. `error`: CodeBuild refuses the file (inside `batch`: the batch). \
         `warning`: the build runs, but probably not as meant. `info`: worth knowing.\n\n\
         A comment switches a code off for its line, or, alone on a line, for the next one; either way also for \
         the lines below that are indented deeper. Errors cannot be switched off.\n\n\
         ```yaml\n\
         # buildspec-agent: disable-file=needs-privileged-mode\n\
         version: 0.2\n\
         phases:\n  \
           build:\n    \
             commands:\n      \
               - | # buildspec-agent: disable=hidden-failure\n        \
                 make lint\n        \
                 make test\n\
         ```\n\n\
         ## Habits\n",
    );
    for rule in RULES {
        let code = rule.code;
        // Writing to a text cannot fail, here and below.
        let _ = write!(
            page,
            "\n### {code}\n\n{} Level: {}.\n\n{}\n\nInstead of\n\n```yaml\n{}```\n\nwrite\n\n```yaml\n{}```\n",
            code.summary(),
            code.level(),
            rule.rationale,
            rule.bad,
            rule.good,
        );
    }
    page.push_str("\n## Grammar\n\n| code | level | |\n| --- | --- | --- |\n");
    for code in Code::ALL
        .iter()
        .filter(|code| RULES.iter().all(|rule| rule.code != **code))
    {
        let _ = writeln!(page, "| `{code}` | {} | {} |", code.level(), code.summary());
    }
    page
}
