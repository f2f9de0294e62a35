//! Sinks for a person or a program at the other end of standard output.

use std::io::{self, Write};

use executor::protocol::Event;
use serde::Serialize;

use super::LogSink;
use super::lines::Lines;
use crate::model::Build;

/// Writes the log byte for byte.
#[derive(Debug)]
pub struct TextSink<W>(W);

impl<W: Write + Send + Sync> TextSink<W> {
    /// Writes to `output`.
    pub fn new(output: W) -> Self {
        Self(output)
    }
}

impl<W: Write + Send + Sync> LogSink for TextSink<W> {
    fn log(&mut self, _time_micros: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes)?;
        self.0.flush()
    }

    fn event(&mut self, _time_micros: u64, _event: &Event) -> io::Result<()> {
        Ok(())
    }

    fn finished(&mut self, _build: &Build) -> io::Result<()> {
        self.0.flush()
    }
}

/// Shows nothing.
#[derive(Debug, Clone, Copy)]
pub struct NoSink;

impl LogSink for NoSink {
    fn log(&mut self, _time_micros: u64, _bytes: &[u8]) -> io::Result<()> {
        Ok(())
    }

    fn event(&mut self, _time_micros: u64, _event: &Event) -> io::Result<()> {
        Ok(())
    }

    fn finished(&mut self, _build: &Build) -> io::Result<()> {
        Ok(())
    }
}

/// Writes one JSON object a line: log lines, events, and at the end the build.
#[derive(Debug)]
pub struct JsonSink<W> {
    output: W,
    only_builds: bool,
    lines: Lines,
    line_micros: u64,
}

/// One line of output, told apart by `type`; times are milliseconds since 1970 UTC.
#[derive(Serialize)]
#[serde(rename_all = "camelCase", tag = "type")]
enum JsonLine<'a> {
    Log { timestamp: u64, message: &'a str },
    Event { timestamp: u64, event: &'a Event },
    Build { build: &'a Build },
}

impl<W: Write + Send + Sync> JsonSink<W> {
    /// Writes to `output`.
    pub fn new(output: W) -> Self {
        Self {
            output,
            only_builds: false,
            lines: Lines::default(),
            line_micros: 0,
        }
    }

    /// Writes to `output`, and there the build only.
    pub fn of_builds(output: W) -> Self {
        Self {
            only_builds: true,
            ..Self::new(output)
        }
    }
}

fn write_line(output: &mut impl Write, line: &JsonLine<'_>) -> io::Result<()> {
    let mut json = serde_json::to_vec(line)?;
    json.push(b'\n');
    output.write_all(&json)
}

impl<W: Write + Send + Sync> LogSink for JsonSink<W> {
    fn log(&mut self, time_micros: u64, bytes: &[u8]) -> io::Result<()> {
        if self.only_builds {
            return Ok(());
        }
        self.line_micros = time_micros;
        let timestamp = time_micros / 1000;
        self.lines.push(bytes, |message| {
            write_line(&mut self.output, &JsonLine::Log { timestamp, message })
        })?;
        self.output.flush()
    }

    fn event(&mut self, time_micros: u64, event: &Event) -> io::Result<()> {
        if self.only_builds {
            return Ok(());
        }
        let timestamp = time_micros / 1000;
        write_line(&mut self.output, &JsonLine::Event { timestamp, event })?;
        self.output.flush()
    }

    fn finished(&mut self, build: &Build) -> io::Result<()> {
        let timestamp = self.line_micros / 1000;
        self.lines.finish(|message| {
            write_line(&mut self.output, &JsonLine::Log { timestamp, message })
        })?;
        write_line(&mut self.output, &JsonLine::Build { build })?;
        self.output.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_output_has_whole_lines_whatever_the_records_were() {
        let mut output = Vec::new();
        let mut sink = JsonSink::new(&mut output);
        sink.log(1_000, b"he").unwrap();
        sink.log(2_000, b"llo\nrest").unwrap();
        drop(sink);
        assert_eq!(
            String::from_utf8(output).unwrap(),
            "{\"type\":\"log\",\"timestamp\":2,\"message\":\"hello\\n\"}\n"
        );
    }
}
