//! Where the sources of a build lie below `/codebuild/output/src<digits>` (observed in public logs of
//! CodeBuild; what they do not show is in docs/assumptions.md).

use super::git::RepositoryUrl;

/// A source, as far as its place depends on it.
#[derive(Debug, Clone, Copy)]
pub struct Placed<'a> {
    /// Its identifier; the primary one has none.
    pub identifier: Option<&'a str>,
    /// What it is.
    pub origin: Origin<'a>,
}

/// What a source is.
#[derive(Debug, Clone, Copy)]
pub enum Origin<'a> {
    /// A directory of this machine.
    Directory,
    /// A repository.
    Git(&'a RepositoryUrl),
    /// An object or a folder in S3, or an input artifact of a pipeline.
    S3,
    /// Nothing.
    Nothing,
}

/// The directories of the sources, the primary one's first, as they are given.
pub fn directories(sources: &[Placed<'_>]) -> Vec<String> {
    let is_local = matches!(
        sources.first(),
        Some(Placed {
            origin: Origin::Directory,
            ..
        })
    );
    let mut taken: Vec<String> = Vec::with_capacity(sources.len());
    for (index, source) in sources.iter().enumerate() {
        let directory = match (source.origin, source.identifier) {
            (Origin::Git(url), None) => format!("src/{}", url.directory()),
            // Everything in `src` would be part of a primary source that is a directory.
            (Origin::Git(url), Some(identifier)) if !is_local => {
                let directory = format!("src/{}", url.directory());
                match taken.iter().find(|other| overlap(other, &directory)) {
                    // Beside the shorter of the two, so that neither lies in the other.
                    Some(other) => {
                        let outer = if other.len() < directory.len() {
                            other
                        } else {
                            &directory
                        };
                        format!("{outer}_{identifier}")
                    }
                    None => directory,
                }
            }
            (Origin::S3, _) if sources.len() > 1 && !is_local => format!("src/s3/{index:02}"),
            (_, None) => "src".to_owned(),
            (_, Some(identifier)) => format!("secSrc/{identifier}"),
        };
        taken.push(directory);
    }
    taken
}

/// Whether one path lies in the other. `src` itself is a place for nothing, in which others may lie.
fn overlap(one: &str, other: &str) -> bool {
    let within = |outer: &str, inner: &str| {
        inner
            .strip_prefix(outer)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    one != "src" && (within(one, other) || within(other, one))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_lie_where_codebuild_puts_them() {
        let url = |text| RepositoryUrl::parse(text).unwrap().0;
        let one = url("https://github.com/o/r.git");
        let two = url("git@github.com:o/r2.git");
        let inner = url("https://github.com/o/r/x");
        let (local, s3, nothing) = (Origin::Directory, Origin::S3, Origin::Nothing);
        let git = Origin::Git;
        for (origins, expected) in [
            (vec![local], vec!["src"]),
            (vec![local, local], vec!["src", "secSrc/a"]),
            (vec![local, git(&one)], vec!["src", "secSrc/a"]),
            (vec![git(&one)], vec!["src/github.com/o/r"]),
            (
                vec![git(&one), git(&two), git(&one), git(&inner)],
                vec![
                    "src/github.com/o/r",
                    "src/github.com/o/r2",
                    "src/github.com/o/r_b",
                    "src/github.com/o/r_c",
                ],
            ),
            (vec![s3], vec!["src"]),
            (vec![s3, s3], vec!["src/s3/00", "src/s3/01"]),
            (vec![git(&one), s3], vec!["src/github.com/o/r", "src/s3/01"]),
            (vec![nothing, git(&one)], vec!["src", "src/github.com/o/r"]),
        ] {
            let identifiers = [None, Some("a"), Some("b"), Some("c")];
            let sources: Vec<_> = origins
                .iter()
                .zip(identifiers)
                .map(|(origin, identifier)| Placed {
                    identifier,
                    origin: *origin,
                })
                .collect();
            assert_eq!(directories(&sources), expected);
        }
    }
}
