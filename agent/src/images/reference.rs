//! The parts of an image's name.

/// Registry of names that name none (distribution reference grammar).
const DEFAULT_REGISTRY: &str = "docker.io";

/// An image's name, taken apart: `[registry/]repository[:tag][@digest]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// Host, with its port if it has one; `docker.io` where the name has none.
    pub registry: String,
    /// Path in the registry, without `library/` where the name leaves it out.
    pub repository: String,
    /// `:tag`, `@digest` or both, with their marks; `:latest` where the name has neither: without a
    /// tag an engine would pull every tag there is.
    pub version: String,
    /// Whether the name itself has the registry.
    names_registry: bool,
}

/// A private registry of ECR.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EcrRegistry {
    /// The AWS account it belongs to.
    pub account: String,
    /// Its Region.
    pub region: String,
}

impl Reference {
    /// Takes a name apart. Whether it is a good one is for the engine to say.
    pub fn parse(image: &str) -> Self {
        let (first, rest) = image.split_once('/').unwrap_or(("", image));
        let names_registry = first.contains(['.', ':']) || first == "localhost";
        let (registry, path) = if names_registry {
            (first, rest)
        } else {
            (DEFAULT_REGISTRY, image)
        };
        let (name, digest) = path
            .split_once('@')
            .map_or((path, ""), |(name, _)| (name, &path[name.len()..]));
        let last = name.rfind('/').map_or(0, |slash| slash + 1);
        let tag = name[last..]
            .find(':')
            .map_or(name.len(), |colon| last + colon);
        let version = format!("{}{digest}", &name[tag..]);
        Self {
            registry: registry.to_owned(),
            repository: name[..tag].to_owned(),
            version: if version.is_empty() {
                ":latest".to_owned()
            } else {
                version
            },
            names_registry,
        }
    }

    /// The whole name, its version included.
    pub fn name(&self) -> String {
        let Self {
            registry,
            repository,
            version,
            ..
        } = self;
        if self.names_registry {
            format!("{registry}/{repository}{version}")
        } else {
            format!("{repository}{version}")
        }
    }

    /// The same image in a mirror of its registry, `HOST[:PORT][/PREFIX]`. The Docker Hub's official
    /// images lie below `library/` everywhere else.
    #[must_use]
    pub fn in_mirror(&self, mirror: &str) -> Self {
        let is_official = self.registry == DEFAULT_REGISTRY && !self.repository.contains('/');
        let library = if is_official { "library/" } else { "" };
        let path = format!("{library}{}", self.repository);
        let (registry, repository) = match mirror.trim_end_matches('/').split_once('/') {
            Some((host, prefix)) => (host, format!("{prefix}/{path}")),
            None => (mirror, path),
        };
        Self {
            registry: registry.to_owned(),
            repository,
            version: self.version.clone(),
            names_registry: true,
        }
    }

    /// The digest, where the name has one.
    pub fn digest(&self) -> Option<&str> {
        self.version.split_once('@').map(|(_, digest)| digest)
    }

    /// The registry as one of ECR (ECR user guide, "Private registry"):
    /// `ACCOUNT.dkr.ecr[-fips].REGION.amazonaws.com[.cn]`.
    pub fn ecr(&self) -> Option<EcrRegistry> {
        let (account, rest) = self.registry.split_once(".dkr.ecr")?;
        let rest = rest
            .strip_prefix("-fips")
            .unwrap_or(rest)
            .strip_prefix('.')?;
        let region = rest
            .strip_suffix(".amazonaws.com")
            .or_else(|| rest.strip_suffix(".amazonaws.com.cn"))?;
        let is_account = account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit());
        let is_region = !region.is_empty()
            && region
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        (is_account && is_region).then(|| EcrRegistry {
            account: account.to_owned(),
            region: region.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_taken_apart_and_put_together() {
        for (image, registry, repository, version, whole) in [
            ("debian", "docker.io", "debian", ":latest", "debian:latest"),
            ("a/b:1", "docker.io", "a/b", ":1", "a/b:1"),
            (
                "host:5000/debian",
                "host:5000",
                "debian",
                ":latest",
                "host:5000/debian:latest",
            ),
            (
                "localhost/a@sha256:00",
                "localhost",
                "a",
                "@sha256:00",
                "localhost/a@sha256:00",
            ),
            (
                "ghcr.io/a/b:2@sha256:00",
                "ghcr.io",
                "a/b",
                ":2@sha256:00",
                "ghcr.io/a/b:2@sha256:00",
            ),
        ] {
            let reference = Reference::parse(image);
            assert_eq!(
                (
                    reference.registry.as_str(),
                    reference.repository.as_str(),
                    reference.version.as_str()
                ),
                (registry, repository, version),
                "{image}"
            );
            assert_eq!(reference.name(), whole, "{image}");
        }
        assert_eq!(
            Reference::parse("a:2@sha256:00").digest(),
            Some("sha256:00")
        );
    }

    #[test]
    fn a_mirror_has_the_same_path_below_its_own() {
        for (image, mirror, expected) in [
            ("debian:12", "mirror:5000", "mirror:5000/library/debian:12"),
            ("a/b", "mirror.local/hub/", "mirror.local/hub/a/b:latest"),
            ("ghcr.io/a:1", "127.0.0.1:5000", "127.0.0.1:5000/a:1"),
        ] {
            assert_eq!(
                Reference::parse(image).in_mirror(mirror).name(),
                expected,
                "{image}"
            );
        }
    }

    #[test]
    fn a_registry_of_ecr_tells_account_and_region() {
        let ecr = |image: &str| {
            Reference::parse(image)
                .ecr()
                .map(|registry| (registry.account, registry.region))
        };
        let expected = Some(("123456789012".to_owned(), "eu-west-1".to_owned()));
        assert_eq!(
            ecr("123456789012.dkr.ecr.eu-west-1.amazonaws.com/app:1"),
            expected
        );
        assert_eq!(
            ecr("123456789012.dkr.ecr-fips.eu-west-1.amazonaws.com/app"),
            expected
        );
        for image in [
            "public.ecr.aws/codebuild/standard:7.0",
            "123.dkr.ecr.eu-west-1.amazonaws.com/app",
            "123456789012.dkr.ecr.eu-west-1.amazonaws.com.evil.example/app",
            "123456789012.dkr.ecr.evil.example/eu-west-1.amazonaws.com",
        ] {
            assert_eq!(ecr(image), None, "{image}");
        }
    }
}
