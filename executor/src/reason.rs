//! System errors in CodeBuild's words, which are those of Go.

use std::io;

use nix::errno::Errno;

/// The error as Go says it: `no such file or directory`.
pub(crate) fn text(error: &io::Error) -> String {
    let Some(code) = error.raw_os_error() else {
        return error.to_string();
    };
    let text = Errno::from_raw(code).desc();
    let mut characters = text.chars();
    characters.next().map_or_else(String::new, |first| {
        first.to_lowercase().chain(characters).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_reads_as_in_codebuilds_log() {
        for (code, expected) in [
            (libc::ENOENT, "no such file or directory"),
            (libc::EACCES, "permission denied"),
            (libc::E2BIG, "argument list too long"),
            (libc::ENOSPC, "no space left on device"),
        ] {
            assert_eq!(text(&io::Error::from_raw_os_error(code)), expected);
        }
    }
}
