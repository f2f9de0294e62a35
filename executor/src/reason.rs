//! System errors in CodeBuild's words, which are those of Go.

use std::io;

/// The error as Go says it: `no such file or directory`. Go has its words from the C library, with
/// a small first letter.
pub(crate) fn text(error: &io::Error) -> String {
    let text = error.to_string();
    let Some(code) = error.raw_os_error() else {
        return text;
    };
    let text = text.trim_end_matches(&format!(" (os error {code})"));
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
            (libc::EAGAIN, "resource temporarily unavailable"),
            (libc::ELOOP, "too many levels of symbolic links"),
            (libc::ENOMEM, "cannot allocate memory"),
        ] {
            assert_eq!(text(&io::Error::from_raw_os_error(code)), expected);
        }
    }
}
