//! One entry of an archive.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime};

use crate::clock;

/// What an entry holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Content {
    /// The content of this file.
    File(PathBuf),
    /// A link that leads there.
    Link(PathBuf),
}

/// An open file and what the archive says of it.
pub(super) struct Opened {
    pub(super) file: File,
    pub(super) size: u64,
    pub(super) options: SimpleFileOptions,
}

impl Opened {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        // A pipe that nobody writes to must not hold the build.
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_NONBLOCK)
            .open(path)?;
        let metadata = file.metadata()?;
        let mode = metadata.permissions().mode() & 0o777;
        Ok(Self {
            size: metadata.len(),
            options: SimpleFileOptions::default()
                .compression_method(CompressionMethod::Deflated)
                .compression_level(Some(1))
                .unix_permissions(mode)
                .last_modified_time(time(metadata.modified()?)),
            file,
        })
    }
}

/// The name of an entry. ZIP knows text only.
pub(super) fn name(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// A time in UTC; the first one that ZIP knows for those before 1980.
fn time(time: SystemTime) -> DateTime {
    let seconds = time
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |age| age.as_secs());
    let (year, month, day) = clock::date(seconds / 86_400);
    let part = |part: u64| u8::try_from(part).unwrap_or(0);
    DateTime::from_date_and_time(
        u16::try_from(year).unwrap_or(0),
        part(month),
        part(day),
        part(seconds / 3600 % 24),
        part(seconds / 60 % 60),
        part(seconds % 60),
    )
    .unwrap_or_default()
}
