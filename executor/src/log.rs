//! What the build says: framing lines, masked output and events, into the spool.

use std::io;
use std::os::fd::OwnedFd;

use executor::masking::{MaskedStream, Masker};
use executor::protocol::spool::SpoolWriter;
use executor::protocol::{Event, Phase, PhaseContext, Status};

use crate::clock;
use crate::docker_watch::DockerWatch;
use crate::segments::SegmentDirectory;

/// The log of one build.
#[derive(Debug)]
pub(crate) struct Log {
    writer: SpoolWriter<SegmentDirectory>,
    segment_limit: u32,
    masker: Masker,
    stream: MaskedStream,
    masked: Vec<u8>,
    at_line_start: bool,
    output_bytes: u64,
    docker: Option<DockerWatch>,
}

impl Log {
    /// Starts the log in the spool directory, where segment and record numbers go on from those
    /// of the writer before.
    pub(crate) fn start(spool: OwnedFd, limits: SpoolStart, masker: Masker) -> io::Result<Self> {
        let segments = SegmentDirectory::new(spool);
        Ok(Self {
            writer: SpoolWriter::start(segments, limits.first_segment, limits.first_sequence)?,
            // The segment that is being written cannot be removed by the agent.
            segment_limit: limits.segment_limit.max(2),
            masker,
            stream: MaskedStream::default(),
            masked: Vec::new(),
            at_line_start: true,
            output_bytes: 0,
            docker: None,
        })
    }

    /// Whether output may be taken; if not, the readers of the spool are behind.
    pub(crate) fn has_room(&self) -> io::Result<bool> {
        Ok(!self.writer.is_segment_full() || self.writer.segments().count()? < self.segment_limit)
    }

    /// A text with the secrets hidden.
    pub(crate) fn mask(&self, text: &str) -> String {
        self.masker.mask(text)
    }

    /// Number of secrets that are too short to be hidden.
    pub(crate) fn unmasked_secrets(&self) -> usize {
        self.masker.too_short()
    }

    /// Watches the output for calls of a Docker that is not there.
    pub(crate) fn watch_for_docker(&mut self) {
        self.docker = DockerWatch::new();
    }

    /// Whether there was such a call; tells it once.
    pub(crate) fn take_docker_call(&mut self) -> bool {
        self.docker.as_mut().is_some_and(DockerWatch::take)
    }

    /// Appends output of commands.
    pub(crate) fn output(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.output_bytes += bytes.len() as u64;
        if let Some(docker) = &mut self.docker {
            docker.look(bytes);
        }
        self.stream.push(&self.masker, bytes, &mut self.masked);
        self.write_masked()
    }

    /// Whether the end of the output so far may be the beginning of a secret.
    pub(crate) fn is_holding(&self) -> bool {
        self.stream.is_holding()
    }

    /// Bytes of output since this was asked last.
    pub(crate) fn take_output_bytes(&mut self) -> u64 {
        std::mem::take(&mut self.output_bytes)
    }

    /// Appends a line of the runner's own. Secrets in it must be hidden already: the words of
    /// the runner itself are never masked.
    pub(crate) fn line(&mut self, text: &str) -> io::Result<()> {
        self.end_line()?;
        let line = format!("[Container] {} {text}\n", clock::now());
        self.writer.log(line.as_bytes())
    }

    /// Ends the output of a command: its last line, and the blank line that follows each command.
    pub(crate) fn end_of_output(&mut self) -> io::Result<()> {
        self.end_line()?;
        self.writer.log(b"\n")
    }

    /// Appends an event.
    pub(crate) fn event(&mut self, event: &Event) -> io::Result<()> {
        self.writer.event(event)
    }

    /// Ends a phase: the two lines and the event. `context` is masked already.
    pub(crate) fn phase_ended(
        &mut self,
        phase: Phase,
        status: Status,
        context: Option<PhaseContext>,
    ) -> io::Result<()> {
        let (name, state) = (phase.name(), status.name());
        self.line(&format!("Phase complete: {name} State: {state}"))?;
        // A stopped phase has no context at all.
        if status != Status::Stopped {
            let (code, message) = context.as_ref().map_or(("", ""), |context| {
                (context.status_code.as_str(), context.message.as_str())
            });
            self.line(&format!(
                "Phase context status code: {code} Message: {message}"
            ))?;
        }
        self.event(&Event::PhaseEnded {
            phase,
            status,
            context,
        })
    }

    fn end_line(&mut self) -> io::Result<()> {
        self.stream.finish(&self.masker, &mut self.masked);
        self.write_masked()?;
        if !self.at_line_start {
            self.writer.log(b"\n")?;
            self.at_line_start = true;
        }
        Ok(())
    }

    fn write_masked(&mut self) -> io::Result<()> {
        if let Some(last) = self.masked.last() {
            self.at_line_start = *last == b'\n';
            self.writer.log(&self.masked)?;
            self.masked.clear();
        }
        Ok(())
    }
}

/// Where in the spool the executor begins, and how far it may go.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SpoolStart {
    /// Number of the first segment.
    pub(crate) first_segment: u32,
    /// Sequence number of the first record.
    pub(crate) first_sequence: u64,
    /// Number of segments that may exist before output is held back.
    pub(crate) segment_limit: u32,
}
