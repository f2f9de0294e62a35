//! Build logs without what differs from build to build.

/// Replaces the times of `[Container]` lines, the time that discovery took and the build's own numbers
/// in paths, so that logs of two builds can be compared byte for byte: `[Container] <time> Entering phase
/// BUILD`, `/codebuild/output/src<n>/src`.
pub fn normalise(log: &str) -> String {
    log.split_inclusive('\n')
        .map(|line| normalise_source(&normalise_discovery(&normalise_time(line))))
        .collect()
}

fn normalise_time(line: &str) -> String {
    const PREFIX: &str = "[Container] ";
    const TIME: &str = "0000/00/00 00:00:00.000000 ";
    let shaped = |text: &str| {
        text.len() == TIME.len()
            && text
                .bytes()
                .zip(TIME.bytes())
                .all(|(byte, shape)| match shape {
                    b'0' => byte.is_ascii_digit(),
                    _ => byte == shape,
                })
    };
    let rest = line
        .strip_prefix(PREFIX)
        .and_then(|rest| rest.split_at_checked(TIME.len()));
    match rest {
        Some((time, rest)) if shaped(time) => format!("{PREFIX}<time> {rest}"),
        _ => line.to_owned(),
    }
}

fn normalise_discovery(line: &str) -> String {
    const WORDS: &str = "Report auto-discover file discovery took ";
    match line.split_once(WORDS) {
        Some((before, _)) => format!("{before}{WORDS}<n> seconds\n"),
        None => line.to_owned(),
    }
}

fn normalise_source(line: &str) -> String {
    const ROOT: &str = "/codebuild/output/src";
    let mut parts = line.split(ROOT);
    let mut normalised = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let rest = part.trim_start_matches(|first: char| first.is_ascii_digit());
        normalised.push_str(ROOT);
        if rest.len() < part.len() {
            normalised.push_str("<n>");
        }
        normalised.push_str(rest);
    }
    normalised
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_differs_between_builds_is_replaced() {
        for (line, expected) in [
            (
                "[Container] 2026/01/31 12:34:56.123456 Running\n",
                "[Container] <time> Running\n",
            ),
            (
                "[Container] 2026/01/31 12:34:56 Running",
                "[Container] 2026/01/31 12:34:56 Running",
            ),
            (
                "at /codebuild/output/src123/src/a:",
                "at /codebuild/output/src<n>/src/a:",
            ),
            ("/codebuild/output/srcs", "/codebuild/output/srcs"),
            ("[Container] €2026", "[Container] €2026"),
        ] {
            assert_eq!(normalise(line), expected);
        }
    }
}
