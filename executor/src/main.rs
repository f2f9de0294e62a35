//! The program inside a build container, its first process: runs one build as the agent's plan
//! says.

mod archive;
mod attach;
mod build;
mod cache;
mod cgroups;
mod channel;
mod clock;
mod confine;
mod control;
mod digest;
mod docker_watch;
mod grant;
mod life;
mod log;
mod measure;
mod memory;
mod mounts;
mod output;
mod pauses;
mod places;
mod processes;
mod reason;
mod remove;
mod routes;
mod segments;
mod session;
mod setup;
mod shell;
mod supervisor;
mod sys;
mod tools;
mod untrusted;
mod users;
mod walk;
mod watch;

use std::env;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use executor::protocol::WindowSize;

use crate::setup::{Confinement, Neighbours};

/// How the program is used.
const USAGE: &str = "\
usage: executor [--cut-off-neighbours]   run a build as first process of a container
       executor --keep-capabilities      the same in a privileged container
       executor --root DIRECTORY         run a build without a container, below DIRECTORY
       executor confine PROGRAM [ARG...]  shut a container in that runs containers, become PROGRAM
       executor measure BYTES DIRECTORY  tell whether a directory takes more than that
       executor remove PATH...           remove files and directories
       executor attach PID ROWS COLUMNS  run a shell in the place of a paused process
       executor hold                     be such a process until the build goes on
       executor --version";

fn main() -> ExitCode {
    let mut arguments = env::args_os().map(|argument| argument.to_string_lossy().into_owned());
    let program = PathBuf::from(arguments.next().unwrap_or_default());
    let arguments: Vec<String> = arguments.collect();
    let name = program.file_name().unwrap_or_default().to_string_lossy();
    if let Some(code) = tools::run(&name, &arguments) {
        return code;
    }
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        [] => life::live("/".into(), Confinement::Container(Neighbours::Reachable)),
        ["--cut-off-neighbours"] => {
            life::live("/".into(), Confinement::Container(Neighbours::CutOff))
        }
        ["--keep-capabilities"] => life::live("/".into(), Confinement::Privileged),
        ["--root", root] => life::live(PathBuf::from(root), Confinement::None),
        ["attach", process, rows, columns] => {
            match (process.parse(), rows.parse(), columns.parse()) {
                (Ok(process), Ok(rows), Ok(columns)) => {
                    attach::attach(process, WindowSize { rows, columns })
                }
                _ => say(io::stderr(), USAGE, 2),
            }
        }
        ["hold"] => tools::hold(),
        ["confine", program, ref arguments @ ..] => confine::confine(program, arguments),
        ["measure", limit, directory] => measure::measure(limit, directory),
        ["remove", ref paths @ ..] if !paths.is_empty() => remove::remove(paths),
        ["--version"] => say(
            io::stdout(),
            concat!("executor ", env!("CARGO_PKG_VERSION")),
            0,
        ),
        _ => say(io::stderr(), USAGE, 2),
    }
}

fn say(mut stream: impl Write, text: &str, code: u8) -> ExitCode {
    match writeln!(stream, "{text}") {
        Ok(()) => ExitCode::from(code),
        Err(_) => ExitCode::FAILURE,
    }
}
