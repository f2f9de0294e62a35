//! Names of things, long and short.

use crate::api::Settings;

/// The ARN of something of CodeBuild's here, such as `project/demo`.
pub(super) fn of(settings: &Settings, resource: &str) -> String {
    let Settings {
        region, account, ..
    } = settings;
    format!("arn:aws:codebuild:{region}:{account}:{resource}")
}

/// The short name in a name or an ARN of something of this kind, whatever Region and account the ARN
/// has: there is one installation.
pub(super) fn short<'a>(name: &'a str, kind: &str) -> &'a str {
    name.strip_prefix("arn:")
        .and_then(|arn| arn.splitn(5, ':').nth(4))
        .and_then(|resource| resource.strip_prefix(kind)?.strip_prefix('/'))
        .unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_found_in_its_arn_only() {
        for (text, expected) in [
            ("demo", "demo"),
            (
                "arn:aws:codebuild:us-east-1:123456789012:build/demo:1",
                "demo:1",
            ),
            (
                "arn:aws:codebuild:us-east-1:123456789012:project/demo",
                "arn:aws:codebuild:us-east-1:123456789012:project/demo",
            ),
            ("arn:aws", "arn:aws"),
        ] {
            assert_eq!(short(text, "build"), expected);
        }
    }
}
