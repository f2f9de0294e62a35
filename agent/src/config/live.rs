//! What of a configuration can change while a process runs.

use super::{Config, ConfigError};

impl Config {
    /// The settings that differ in another configuration and count from the next start on only. All others
    /// can change in a running process: what a worker offers and how it lives, who is told of builds, and
    /// which messages are shown.
    pub fn fixed_changes(&self, other: &Self) -> Vec<&'static str> {
        // Whoever adds a setting has to say here which kind it is.
        let Self {
            data_directory,
            image,
            image_aliases,
            pull_policy,
            registries,
            docker_host,
            network,
            privileged_mode,
            docker_server,
            docker_layers_limit_gib,
            docker_layers_idle_days,
            region,
            account,
            cache,
            retention,
            server,
            sources,
            sqs,
            codepipeline,
            log: _,
            worker: _,
            events: _,
            commit_status: _,
        } = other;
        let all = [
            ("data_directory", self.data_directory != *data_directory),
            ("image", self.image != *image),
            ("image_aliases", self.image_aliases != *image_aliases),
            ("pull_policy", self.pull_policy != *pull_policy),
            ("registries", self.registries != *registries),
            ("docker_host", self.docker_host != *docker_host),
            ("network", self.network != *network),
            ("privileged_mode", self.privileged_mode != *privileged_mode),
            ("docker_server", self.docker_server != *docker_server),
            (
                "docker_layers_limit_gib",
                self.docker_layers_limit_gib != *docker_layers_limit_gib,
            ),
            (
                "docker_layers_idle_days",
                self.docker_layers_idle_days != *docker_layers_idle_days,
            ),
            ("region", self.region != *region),
            ("account", self.account != *account),
            ("cache", self.cache != *cache),
            ("retention", self.retention != *retention),
            ("server", self.server != *server),
            ("sources", self.sources != *sources),
            ("sqs", self.sqs != *sqs),
            ("codepipeline", self.codepipeline != *codepipeline),
        ];
        let changed = all.into_iter().filter(|(_, changes)| *changes);
        changed.map(|(name, _)| name).collect()
    }

    /// This configuration with what another one can change of it.
    #[must_use]
    pub fn with_changes(&self, other: Self) -> Self {
        Self {
            log: other.log,
            worker: other.worker,
            events: other.events,
            commit_status: other.commit_status,
            ..self.clone()
        }
    }
}

impl ConfigError {
    /// The error with its file, line and column, and without the text of the file.
    pub fn in_one_line(&self) -> String {
        match self {
            Self::Parse { path, source } => {
                let place = source.to_string();
                let place = place
                    .lines()
                    .next()
                    .and_then(|line| line.split_once(" at "));
                let place = place.map_or("", |(_, place)| place);
                let reason = source.message().replace('\n', " ");
                format!("{}, {place}: {reason}", path.display())
            }
            Self::Read { source, .. } => format!("{self}: {source}"),
            Self::Invalid { .. } | Self::NoDataDirectory => self.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn config(text: &str) -> Config {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn what_cannot_change_is_named() {
        let before = config("");
        for (text, named) in [
            ("", vec![]),
            ("log = 'info'\n[worker]\nconcurrent_builds = 3", vec![]),
            ("[[events]]\nname = 'a'\nto.sns = {topic = 'arn:t'}", vec![]),
            (
                "region = 'eu-west-1'\nimage = 'a:1'\n[server]\nlisten = '0.0.0.0:80'",
                vec!["image", "region", "server"],
            ),
        ] {
            let after = config(text);
            assert_eq!(before.fixed_changes(&after), named, "{text}");
            // It is named again for as long as nobody has started anew.
            let present = before.with_changes(after.clone());
            assert_eq!(present.fixed_changes(&after), named, "{text}");
            assert_eq!(
                (present.worker, present.events),
                (after.worker, after.events)
            );
        }
    }

    #[test]
    fn an_error_says_where_it_is_in_one_line() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = |text: &str| {
            std::fs::write(file.path(), text).unwrap();
            let loaded = Config::load(Some(file.path()), &|_| None, true);
            loaded.unwrap_err().in_one_line()
        };
        let told = error("region = 'a'\nimag = 'x'\n");
        let place = format!(
            "{}, line 2, column 1: unknown field `imag`",
            file.path().display()
        );
        assert!(told.starts_with(&place), "{told}");
        assert_eq!(told.lines().count(), 1);
        let told = error("log = 'agent=loud'\n");
        assert!(told.contains("log: "), "{told}");
        let missing = Config::load(Some(Path::new("/no/file")), &|_| None, true);
        assert!(missing.unwrap_err().in_one_line().contains("No such file"));
    }
}
