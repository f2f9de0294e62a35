//! Applies the changes that diagnostics propose; everything else of the text stays as it is.

use crate::diagnostic::{Diagnostic, Edit};
use crate::span::SourceId;

/// A text after its fixes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fixed {
    /// The changed text.
    pub text: String,
    /// Number of diagnostics whose fix was applied. One whose fix overlaps another's has to wait for
    /// the next round: fix again until it is zero.
    pub applied: usize,
}

/// Applies the fixes of the diagnostics to the buildspec they were found in. Comments and order stay.
pub fn fix(text: &str, diagnostics: &[Diagnostic]) -> Fixed {
    let mut edits: Vec<&Edit> = Vec::new();
    let mut applied = 0;
    for fix in diagnostics
        .iter()
        .filter_map(|diagnostic| diagnostic.fix.as_ref())
    {
        let fits = |edit: &Edit| {
            edit.span.source == SourceId::Buildspec
                && text.get(edit.span.range()).is_some()
                && edits.iter().all(|other| !overlap(edit, other))
        };
        if fix.edits.iter().all(fits) {
            edits.extend(&fix.edits);
            applied += 1;
        }
    }
    edits.sort_by_key(|edit| edit.span);
    let (mut fixed, mut at) = (String::with_capacity(text.len()), 0);
    for edit in edits {
        fixed.push_str(&text[at..edit.span.start]);
        fixed.push_str(&edit.replacement);
        at = edit.span.end;
    }
    fixed.push_str(&text[at..]);
    Fixed {
        text: fixed,
        applied,
    }
}

/// Two insertions at one place overlap too: their order would be chance.
fn overlap(one: &Edit, other: &Edit) -> bool {
    (one.span.start < other.span.end && other.span.start < one.span.end)
        || one.span.start == other.span.start
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fixes_keep_comments_and_order() {
        let text = "version: 3 # ours\nphases:\n  biuld: # the build\n    commands:\n      - echo 'a': b # why\n";
        let fixed = fix(text, &crate::parse(text).diagnostics);
        assert_eq!(
            fixed.text,
            "version: 0.2 # ours\nphases:\n  build: # the build\n    commands:\n      - 'echo ''a'': b' # why\n"
        );
        assert!(crate::parse(&fixed.text).buildspec.is_some());
    }
}
