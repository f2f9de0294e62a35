//! `mask-check`: what a log would show of secrets.

use std::fs;
use std::io::{self, Read, Write};
use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use executor::masking::{Encodings, MaskedStream, Masker};

use super::exit::{Exit, Failure, tell};
use crate::config;

/// How much of the text is masked at once, in bytes.
const CHUNK_BYTES: usize = 64 * 1024;

/// Masks a text as a build's log is masked, and tells whether it held a secret
///
/// Reads the text from standard input and prints it masked. Ends with 1 if anything was hidden, so
/// that a script can check what a build has written. AWS access key ids are always hidden.
#[derive(Debug, Args)]
pub(super) struct MaskCheckArgs {
    /// File whose content, without the last line break, is a secret (repeatable)
    #[arg(long, value_name = "FILE")]
    secret_file: Vec<PathBuf>,
    /// Environment variable whose value is a secret (repeatable)
    #[arg(long, value_name = "NAME")]
    secret_env: Vec<String>,
    /// Hide the values as they are only, not their encodings (base64, URL, JSON, shell)
    #[arg(long)]
    plain: bool,
}

pub(super) fn run(args: &MaskCheckArgs) -> Result<Exit, Failure> {
    let secrets = secrets(args).map_err(Failure::usage)?;
    let encodings = if args.plain {
        Encodings::Plain
    } else {
        Encodings::Common
    };
    let masker =
        Masker::new(secrets.iter().map(String::as_str), encodings).map_err(Failure::fault)?;
    if masker.too_short() > 0 {
        tell(format_args!(
            "{} secret(s) are too short to be masked",
            masker.too_short()
        ));
    }
    let hidden = mask(&masker, io::stdin().lock(), io::stdout().lock()).map_err(Failure::fault)?;
    Ok(if hidden {
        Exit::BuildFailed
    } else {
        Exit::Success
    })
}

fn secrets(args: &MaskCheckArgs) -> anyhow::Result<Vec<String>> {
    let mut secrets = Vec::new();
    for file in &args.secret_file {
        let text =
            fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
        secrets.push(text.strip_suffix('\n').unwrap_or(&text).to_owned());
    }
    for name in &args.secret_env {
        secrets.push(
            config::process_environment(name)
                .with_context(|| format!("variable {name} is not set"))?,
        );
    }
    Ok(secrets)
}

/// Masks a stream; whether anything was hidden.
fn mask(secrets: &Masker, mut input: impl Read, mut output: impl Write) -> io::Result<bool> {
    let mut stream = MaskedStream::default();
    let (mut chunk, mut masked) = (vec![0; CHUNK_BYTES], Vec::new());
    let (mut bytes_in, mut bytes_out) = (0, 0);
    loop {
        let read = input.read(&mut chunk)?;
        masked.clear();
        if read == 0 {
            stream.finish(secrets, &mut masked);
        } else {
            stream.push(secrets, &chunk[..read], &mut masked);
        }
        output.write_all(&masked)?;
        bytes_in += read;
        bytes_out += masked.len();
        if read == 0 {
            output.flush()?;
            // Whatever is hidden is longer than what stands in its place.
            return Ok(bytes_in != bytes_out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_with_a_secret_is_told_from_one_without() {
        let masker = Masker::new(["hunter2"], Encodings::Common).unwrap();
        for (text, expected) in [
            ("all well\n", Some("all well\n")),
            ("pass hunter2!\n", Some("pass ***!\n")),
            // Of a base64 text at least the part is hidden that the secret alone decides.
            ("aHVudGVyMg==\n", None),
        ] {
            let mut output = Vec::new();
            let hidden = mask(&masker, text.as_bytes(), &mut output).unwrap();
            let output = String::from_utf8(output).unwrap();
            assert_eq!(hidden, output != text, "{text}");
            assert!(
                expected.is_none_or(|expected| expected == output)
                    && (hidden || expected.is_some()),
                "{output}"
            );
        }
    }
}
