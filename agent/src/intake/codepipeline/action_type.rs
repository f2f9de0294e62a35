//! What CodePipeline would refuse of an action type with each question (API, `ActionTypeId`).

use crate::intake::IntakeError;
use crate::pipeline::ActionType;

/// The categories of actions.
const CATEGORIES: [&str; 7] = [
    "Approval", "Build", "Compute", "Deploy", "Invoke", "Source", "Test",
];

/// Says what of an action type cannot be.
pub(super) fn check(action: &ActionType) -> Result<(), IntakeError> {
    let ActionType {
        category,
        provider,
        version,
        fleet,
    } = action;
    let wrong = |what: &str, text: &str| {
        Err(IntakeError::Configuration(format!(
            "codepipeline: {text:?} is not {what}"
        )))
    };
    if !CATEGORIES.contains(&category.as_str()) {
        return wrong("a category of actions, such as Build or Test", category);
    }
    if !is_word(provider, 35) {
        return wrong("a provider: at most 35 letters, digits, _ and -", provider);
    }
    if !is_word(version, 9) {
        return wrong("a version: at most 9 letters, digits, _ and -", version);
    }
    match fleet {
        Some(fleet) if !is_word(fleet, 50) => {
            wrong("a fleet: at most 50 letters, digits, _ and -", fleet)
        }
        _ => Ok(()),
    }
}

fn is_word(text: &str, most: usize) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    (1..=most).contains(&text.len()) && text.bytes().all(is_letter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_codepipeline_would_refuse_is_named() {
        let usual = ActionType {
            category: "Build".to_owned(),
            provider: "SelfHostedBuild".to_owned(),
            version: "1".to_owned(),
            fleet: Some("linux-large".to_owned()),
        };
        check(&usual).unwrap();
        let changed = |change: fn(&mut ActionType)| {
            let mut action = usual.clone();
            change(&mut action);
            check(&action).unwrap_err().to_string()
        };
        for (refused, part) in [
            (
                changed(|action| action.category = "build".to_owned()),
                "\"build\" is not a category",
            ),
            (
                changed(|action| action.provider = "x".repeat(36)),
                "is not a provider",
            ),
            (
                changed(|action| action.version.clear()),
                "\"\" is not a version",
            ),
            (
                changed(|action| action.fleet = Some("a b".to_owned())),
                "\"a b\" is not a fleet",
            ),
        ] {
            assert!(refused.contains(part), "{refused}");
        }
    }
}
