//! The lines of a build's log that the agent itself writes, before the executor starts and after
//! it has ended.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use executor::protocol::spool::{Segments, SpoolWriter, segment_name};
use jiff::Timestamp;

use crate::model::{PhaseContext, Status};

/// Writes `[Container]` lines into the spool while the executor does not.
#[derive(Debug)]
pub struct AgentLog {
    writer: SpoolWriter<Directory>,
}

#[derive(Debug)]
struct Directory(PathBuf);

impl Segments for Directory {
    type File = File;

    fn create(&mut self, number: u32) -> io::Result<File> {
        let path = self.0.join(segment_name(number));
        OpenOptions::new()
            .append(true)
            .create_new(true)
            .mode(0o600)
            .open(path)
    }
}

impl AgentLog {
    /// Starts writing with a new segment of the spool.
    pub fn start(spool: PathBuf, segment: u32, sequence: u64) -> io::Result<Self> {
        Ok(Self {
            writer: SpoolWriter::start(Directory(spool), segment, sequence)?,
        })
    }

    /// Writes one line in CodeBuild's form: `[Container] 2026/01/31 12:34:56.123456 text`.
    pub fn line(&mut self, text: &str) -> io::Result<()> {
        let time = Timestamp::now().strftime("%Y/%m/%d %H:%M:%S.%6f");
        self.writer
            .log(format!("[Container] {time} {text}\n").as_bytes())
    }

    /// Writes one line as a program of the build would.
    pub fn output(&mut self, text: &str) -> io::Result<()> {
        self.writer.log(format!("{text}\n").as_bytes())
    }

    /// Writes the two lines that end a phase.
    pub fn phase_complete(
        &mut self,
        phase: &str,
        status: Status,
        context: &PhaseContext,
    ) -> io::Result<()> {
        self.line(&format!("Phase complete: {phase} State: {}", status.name()))?;
        let PhaseContext {
            status_code,
            message,
        } = context;
        self.line(&format!(
            "Phase context status code: {status_code} Message: {message}"
        ))
    }

    /// Where the next writer goes on: number of its first segment and of its first record.
    pub fn next(&self) -> (u32, u64) {
        self.writer.next()
    }
}
