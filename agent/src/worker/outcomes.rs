//! Outcomes on their way to the store: on the disk until the store has them, so that neither the death
//! of this process nor an absent database loses one.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::store::{Ended, Fence};

/// An outcome and who may write it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Pending {
    /// The attempt that had it.
    pub(super) fence: Fence,
    /// The outcome.
    pub(super) ended: Ended,
}

/// The directory of such outcomes, one file each.
#[derive(Debug)]
pub(super) struct Outcomes {
    directory: PathBuf,
}

impl Outcomes {
    /// Opens the one below a data directory.
    pub(super) fn open(data: &Path) -> io::Result<Self> {
        let directory = data.join("outcomes");
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&directory)?;
        Ok(Self { directory })
    }

    /// Keeps an outcome.
    pub(super) fn keep(&self, pending: &Pending) -> io::Result<()> {
        let path = self.path(pending.fence.build.uuid);
        let draft = path.with_extension("draft");
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&draft)?;
        file.write_all(&serde_json::to_vec(pending)?)?;
        file.sync_all()?;
        fs::rename(&draft, &path)
    }

    /// Forgets an outcome that the store has, or that nobody wants.
    pub(super) fn forget(&self, build: Uuid) {
        if let Err(error) = fs::remove_file(self.path(build))
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!("cannot remove the outcome of build {build}: {error}");
        }
    }

    /// All that are kept. A file that cannot be understood is told of and left.
    pub(super) fn all(&self) -> io::Result<Vec<Pending>> {
        let mut all = Vec::new();
        for entry in fs::read_dir(&self.directory)? {
            let path = entry?.path();
            if path.extension().is_none_or(|extension| extension != "json") {
                continue;
            }
            match serde_json::from_slice(&fs::read(&path)?) {
                Ok(pending) => all.push(pending),
                Err(error) => {
                    tracing::warn!("cannot read the outcome in {}: {error}", path.display());
                }
            }
        }
        Ok(all)
    }

    fn path(&self, build: Uuid) -> PathBuf {
        self.directory.join(format!("{build}.json"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{BuildId, Status};

    #[test]
    fn an_outcome_is_kept_until_it_is_forgotten() {
        let data = tempfile::tempdir().unwrap();
        let outcomes = Outcomes::open(data.path()).unwrap();
        let pending = Pending {
            fence: Fence {
                build: BuildId::new("demo".parse().unwrap()),
                attempt: 2,
                agent: "one".to_owned(),
            },
            ended: Ended {
                status: Status::Failed,
                record: serde_json::json!({"a": 1}),
                reports: Vec::new(),
                report_groups: Vec::new(),
            },
        };
        outcomes.keep(&pending).unwrap();
        fs::write(data.path().join("outcomes/half.json"), "{").unwrap();
        let again = Outcomes::open(data.path()).unwrap().all().unwrap();
        let [kept] = again.as_slice() else {
            panic!("one is kept: {again:?}");
        };
        assert_eq!(kept.fence, pending.fence);
        assert_eq!(kept.ended, pending.ended);
        outcomes.forget(pending.fence.build.uuid);
        outcomes.forget(pending.fence.build.uuid);
        assert!(outcomes.all().unwrap().is_empty());
    }
}
