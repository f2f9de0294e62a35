//! The executor, embedded in this program by `build.rs`.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use uuid::Uuid;

use super::DirectoryError;

const EXECUTOR: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/executor"));

/// Hash of the executor's bytes, so that agents of two versions can share a data directory.
const EXECUTOR_HASH: &str = env!("EXECUTOR_HASH");

/// How long the executor of another version stays after its last use.
const IDLE: Duration = Duration::from_hours(30 * 24);

/// How exactly the last use is noted.
const NOTED: Duration = Duration::from_hours(24);

/// Puts the executor into the data directory if it is not there yet, and gives its path. Its time of modification is
/// that of its last use.
pub(super) fn install(root: &Path) -> Result<PathBuf, DirectoryError> {
    let path = root.join(format!("executor-{EXECUTOR_HASH}"));
    if let Some(age) = age(&path) {
        if age > NOTED {
            File::open(&path)
                .and_then(|file| file.set_modified(SystemTime::now()))
                .map_err(DirectoryError::new("set the time of", &path))?;
        }
        return Ok(path);
    }
    // Written under another name first: nobody must ever see half a program.
    let draft = root.join(format!("executor-{EXECUTOR_HASH}.{}", Uuid::new_v4()));
    let written = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o755)
        .open(&draft)
        .and_then(|mut file| file.write_all(EXECUTOR).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&draft, &path));
    if let Err(error) = written {
        let _ = fs::remove_file(&draft);
        return Err(DirectoryError::new("write executor", &path)(error));
    }
    Ok(path)
}

/// Removes executors of other versions, and halves of them, that nobody has used for long.
pub(super) fn remove_old(root: &Path) -> Result<(), DirectoryError> {
    let entries = fs::read_dir(root).map_err(DirectoryError::new("read directory", root))?;
    for entry in entries.flatten() {
        let (name, path) = (entry.file_name(), entry.path());
        let is_executor = name.as_encoded_bytes().starts_with(b"executor-");
        if is_executor && age(&path).is_some_and(|age| age > IDLE) {
            fs::remove_file(&path).map_err(DirectoryError::new("remove", &path))?;
        }
    }
    Ok(())
}

/// How long ago a file was used; `None` if there is none.
fn age(path: &Path) -> Option<Duration> {
    let used = fs::metadata(path).ok()?.modified().ok()?;
    Some(used.elapsed().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn executors_of_versions_that_nobody_runs_go() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        let own = install(root).unwrap();
        let [old, young, other] =
            ["executor-old", "executor-young", "store.db"].map(|name| root.join(name));
        for (path, days) in [(&own, 31), (&old, 31), (&young, 29), (&other, 31)] {
            let file = OpenOptions::new()
                .append(true)
                .create(true)
                .open(path)
                .unwrap();
            let used = SystemTime::now() - Duration::from_hours(24 * days);
            file.set_modified(used).unwrap();
        }
        assert_eq!(install(root).unwrap(), own, "it is in use again");
        remove_old(root).unwrap();
        let left = [&own, &old, &young, &other].map(|path| path.exists());
        assert_eq!(left, [true, false, true, true]);
    }
}
