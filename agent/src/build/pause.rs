//! Builds that wait for a person: found, entered, resumed. They belong to another process of this
//! program, the one that runs them; what it and this one share is the build's directory.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use executor::protocol::{
    Continuation, Order, OrderError, Pause, PauseReason, Resume, WindowSize, channel, write_order,
};
use uuid::Uuid;

use super::provision::connect_now;
use crate::data_directory::{DataDirectory, DirectoryError, other_owner};
use crate::docker::{DockerError, Engine, Exec};

/// How often is looked whether an order was carried out.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// How long is looked.
const LOOK_LIMIT: Duration = Duration::from_secs(10);

/// What stands for the project in the target of a debug session (API, `DebugSession`).
const SESSION_TARGET: &str = "codebuild";

/// A build that is paused.
#[derive(Debug, Clone)]
pub struct PausedBuild {
    /// Where and why.
    pub pause: Pause,
    uuid: Uuid,
    channel: PathBuf,
    data_directory: PathBuf,
}

/// Why there is no paused build to work on.
#[derive(Debug, thiserror::Error)]
pub enum FindError {
    /// No build of this data directory has such an identifier.
    #[error("no build `{0}` runs on this machine with this data directory")]
    Unknown(String),
    /// Several builds have identifiers that start so.
    #[error("`{given}` stands for several builds: {}", builds.join(", "))]
    Ambiguous {
        /// What was given.
        given: String,
        /// Their identifiers.
        builds: Vec<String>,
    },
    /// The build runs.
    #[error("build {0} is not paused")]
    NotPaused(Uuid),
    /// No build is named and none is paused.
    #[error("no build is paused")]
    NonePaused,
    /// No build is named and several are paused.
    #[error("several builds are paused, and one has to be named: {}", .0.join(", "))]
    SeveralPaused(Vec<String>),
    /// Files of the build cannot be read by this user.
    #[error("build {build} belongs to user {owner}: run this as that user or as root")]
    OtherUser {
        /// The build.
        build: Uuid,
        /// Whose it is.
        owner: String,
    },
    /// The builds cannot be listed.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// What the build says of its pause cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Why a build was not resumed.
#[derive(Debug, thiserror::Error)]
pub enum ResumeError {
    /// There is no such command.
    #[error("the list has {commands} commands: `--from-command` takes 1 to {}, the last one for the end of the list", commands + 1)]
    NoCommand {
        /// Number of commands of the list.
        commands: usize,
    },
    /// The executor does not answer.
    #[error("cannot reach the build: is it over?")]
    Connect(#[source] io::Error),
    /// The order cannot be given.
    #[error("cannot give the order")]
    Order(#[from] OrderError),
    /// The pause lasts.
    #[error("the build did not go on within {} seconds", LOOK_LIMIT.as_secs())]
    NoAnswer,
}

impl PausedBuild {
    /// Finds the paused build that `given` names: by its identifier, its UUID, a beginning of one of
    /// them, or the target of its debug session. Without a name, the only one that is paused.
    pub fn find(data: &DataDirectory, given: Option<&str>) -> Result<Self, FindError> {
        let builds = data.builds()?;
        let Some(given) = given else {
            return Self::only(data, &builds);
        };
        let (project, prefix) = match given.rsplit_once(':') {
            Some((SESSION_TARGET, prefix)) => (None, prefix),
            Some((project, prefix)) => (Some(project), prefix),
            None => (None, given),
        };
        let prefix = prefix.to_ascii_lowercase();
        let mut found = Vec::new();
        for uuid in builds {
            if prefix.is_empty() || !uuid.to_string().starts_with(&prefix) {
                continue;
            }
            let paused = Self::read(data, uuid)?;
            // Which project a build belongs to is known only while it is paused.
            let of_project = match (project, &paused) {
                (Some(project), Some(paused)) => paused.pause.build == format!("{project}:{uuid}"),
                _ => true,
            };
            if of_project {
                found.push((uuid, paused));
            }
        }
        if found.len() > 1 {
            return Err(FindError::Ambiguous {
                given: given.to_owned(),
                builds: found.iter().map(|(uuid, _)| uuid.to_string()).collect(),
            });
        }
        match found.pop() {
            Some((_, Some(paused))) => Ok(paused),
            Some((uuid, None)) => Err(FindError::NotPaused(uuid)),
            None => Err(FindError::Unknown(given.to_owned())),
        }
    }

    fn only(data: &DataDirectory, builds: &[Uuid]) -> Result<Self, FindError> {
        let mut paused = Vec::new();
        for uuid in builds {
            match Self::read(data, *uuid) {
                Ok(found) => paused.extend(found),
                // Nobody has named it.
                Err(FindError::OtherUser { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        if paused.len() > 1 {
            let builds = paused.into_iter().map(|paused| paused.pause.build);
            return Err(FindError::SeveralPaused(builds.collect()));
        }
        paused.pop().ok_or(FindError::NonePaused)
    }

    /// The present pause of a build; `None` if there is none.
    fn read(data: &DataDirectory, uuid: Uuid) -> Result<Option<Self>, FindError> {
        let channel = data.channel(uuid);
        let path = channel.join(channel::PAUSED);
        let json = match read(&path) {
            Ok(json) => json,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => {
                return Err(match other_owner(&data.build_path(uuid)) {
                    Some(owner) => FindError::OtherUser { build: uuid, owner },
                    None => FindError::Read { path, source },
                });
            }
        };
        match serde_json::from_slice(&json) {
            Ok(pause) => Ok(Some(Self {
                pause,
                uuid,
                channel,
                data_directory: data.root().to_owned(),
            })),
            Err(error) => Err(FindError::Read {
                path,
                source: error.into(),
            }),
        }
    }

    /// How the build goes on with a command that a person names, counting from 1.
    pub fn from_command(&self, number: usize) -> Result<Continuation, ResumeError> {
        let commands = self.pause.place.commands;
        match number.checked_sub(1) {
            Some(index) if index <= commands => Ok(Continuation::Command(index)),
            _ => Err(ResumeError::NoCommand { commands }),
        }
    }

    /// Lets the build go on, and waits until it does.
    pub async fn resume(&self, with: Continuation) -> Result<(), ResumeError> {
        let resume = Resume {
            pause: self.pause.number,
            with,
        };
        let mut control = connect_now(&self.channel).map_err(ResumeError::Connect)?;
        // So small that it never waits.
        write_order(&mut control, &Order::Resume(resume))?;
        let is_over = async {
            while self.lasts() {
                tokio::time::sleep(LOOK_INTERVAL).await;
            }
        };
        let waited = tokio::time::timeout(LOOK_LIMIT, is_over).await;
        waited.map_err(|_| ResumeError::NoAnswer)
    }

    /// What the build goes on with, for a person.
    pub fn destination(&self, with: Continuation) -> String {
        match (with, self.pause.reason) {
            (Continuation::Next, PauseReason::Breakpoint) => "the rest of the command".to_owned(),
            (Continuation::Next, PauseReason::Failure) => "the failed command".to_owned(),
            (Continuation::Command(index), _) => format!("command {}", index + 1),
            (Continuation::GiveUp, _) => "the failure as it is".to_owned(),
        }
    }

    /// Whether this pause, and no later one, lasts.
    fn lasts(&self) -> bool {
        let json = read(&self.channel.join(channel::PAUSED)).unwrap_or_default();
        let pause = serde_json::from_slice::<Pause>(&json);
        pause.is_ok_and(|pause| pause.number == self.pause.number)
    }

    /// Starts a shell in the place of the command at which the build is paused, in a terminal of
    /// this size and kind.
    pub async fn shell(
        &self,
        engine: &Engine,
        size: WindowSize,
        kind: Option<&str>,
    ) -> Result<Exec, DockerError> {
        let command = vec![
            "/codebuild/readonly/bin/executor".to_owned(),
            "attach".to_owned(),
            self.pause.process.to_string(),
            size.rows.to_string(),
            size.columns.to_string(),
        ];
        let environment = kind.map(|kind| format!("TERM={kind}"));
        let container = engine.container_of_build(&self.data_directory, self.uuid);
        container
            .await?
            .exec(command, environment.into_iter().collect())
            .await
    }
}

/// Reads what the executor has left, within its limit.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?
        .take(channel::PAUSED_LIMIT_BYTES)
        .read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use executor::protocol::{CommandList, PausePlace, PauseReason, Phase};

    use super::*;
    use crate::data_directory::BuildDirectory;

    const FIRST: Uuid = Uuid::from_u128(0xabcd_0000_0000_4000_8000_0000_0000_0001);
    const SECOND: Uuid = Uuid::from_u128(0xabcd_0000_0000_4000_8000_0000_0000_0002);
    const RUNNING: Uuid = Uuid::from_u128(0x1234_0000_0000_4000_8000_0000_0000_0003);

    fn pause(build: Uuid) -> Pause {
        Pause {
            number: 1,
            build: format!("demo:{build}"),
            reason: PauseReason::Failure,
            process: 7,
            place: PausePlace {
                phase: Phase::Build,
                list: CommandList::Commands,
                index: 0,
                commands: 2,
            },
        }
    }

    /// A data directory with these builds, the first ones paused.
    fn builds(paused: &[Uuid]) -> (tempfile::TempDir, DataDirectory, Vec<BuildDirectory>) {
        let root = tempfile::tempdir().unwrap();
        let data = DataDirectory::open(root.path()).unwrap();
        let mut held = vec![data.create_build(RUNNING).unwrap()];
        for build in paused {
            let directory = data.create_build(*build).unwrap();
            let json = serde_json::to_vec(&pause(*build)).unwrap();
            fs::write(directory.channel().join(channel::PAUSED), json).unwrap();
            held.push(directory);
        }
        (root, data, held)
    }

    fn found(data: &DataDirectory, given: Option<&str>) -> Result<Uuid, String> {
        let found = PausedBuild::find(data, given);
        found
            .map(|paused| paused.uuid)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn a_build_is_found_by_whatever_stands_for_it_alone() {
        let (_root, data, _held) = builds(&[FIRST, SECOND]);
        let whole = FIRST.to_string();
        for given in [
            whole.clone(),
            whole.to_uppercase(),
            format!("demo:{whole}"),
            format!("codebuild:{whole}"),
        ] {
            assert_eq!(found(&data, Some(&given)), Ok(FIRST), "{given}");
        }
        for (given, why) in [
            ("abcd", "`abcd` stands for several builds: abcd0000-"),
            ("demo:abcd", "`demo:abcd` stands for several builds"),
            ("other:abcd", "no build `other:abcd` runs"),
            ("ffff", "no build `ffff` runs"),
            ("demo:", "no build `demo:` runs"),
            ("1234", "is not paused"),
        ] {
            let error = found(&data, Some(given)).unwrap_err();
            assert!(error.contains(why), "{given}: {error}");
        }
        let error = found(&data, None).unwrap_err();
        assert!(error.contains("several builds are paused"), "{error}");
    }

    #[test]
    fn the_only_paused_build_needs_no_name() {
        let (_root, data, _held) = builds(&[SECOND]);
        assert_eq!(found(&data, None), Ok(SECOND));
        assert_eq!(found(&data, Some("a")), Ok(SECOND));
        let (_root, data, _held) = builds(&[]);
        assert_eq!(found(&data, None).unwrap_err(), "no build is paused");
    }

    #[test]
    fn what_a_build_left_is_read_within_limits() {
        let (_root, data, held) = builds(&[FIRST]);
        let path = held[1].channel().join(channel::PAUSED);
        fs::write(&path, "{".repeat(1_000_000)).unwrap();
        let error = found(&data, None).unwrap_err();
        assert!(error.starts_with("cannot read "), "{error}");
    }

    #[test]
    fn a_command_is_named_by_a_number_that_the_list_has() {
        let (_root, data, _held) = builds(&[FIRST]);
        let paused = PausedBuild::find(&data, None).unwrap();
        let index = |number| paused.from_command(number).ok();
        assert_eq!(index(0), None);
        assert_eq!(index(1), Some(Continuation::Command(0)));
        assert_eq!(index(3), Some(Continuation::Command(2)));
        assert_eq!(index(4), None);
    }
}
