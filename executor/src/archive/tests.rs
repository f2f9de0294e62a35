use std::convert::Infallible;
use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::*;

fn packed(files: &[(PathBuf, Content)]) -> (ArchiveSums, Vec<u8>) {
    let target = tempfile::NamedTempFile::new().unwrap();
    let look = || Ok::<(), Infallible>(());
    let sums = pack(files, target.reopen().unwrap(), look).unwrap();
    (sums, fs::read(target.path()).unwrap())
}

#[test]
fn small_large_and_linked_entries_come_out_in_order_with_their_modes() {
    let root = tempfile::tempdir().unwrap();
    let large: Vec<u8> = (0..SMALL_BYTES + 10)
        .map(|at| at.to_le_bytes()[1])
        .collect();
    let mut files = vec![];
    for at in 0..30 {
        let path = root.path().join(format!("f{at:02}"));
        let content = if at == 7 {
            large.clone()
        } else {
            format!("file {at}").into_bytes()
        };
        fs::write(&path, content).unwrap();
        files.push((PathBuf::from(format!("d/f{at:02}")), Content::File(path)));
    }
    fs::set_permissions(root.path().join("f03"), fs::Permissions::from_mode(0o755)).unwrap();
    files.push((PathBuf::from("link"), Content::Link(PathBuf::from("d/f03"))));
    let (sums, bytes) = packed(&files);
    assert_eq!(sums.bytes, bytes.len() as u64);
    assert_eq!(
        packed(&files).1,
        bytes,
        "the same files give the same archive"
    );
    let mut archive = ZipArchive::new(Cursor::new(bytes)).unwrap();
    assert_eq!(archive.len(), 31);
    for at in 0..30 {
        let mut entry = archive.by_index(at).unwrap();
        assert_eq!(entry.name().unwrap(), format!("d/f{at:02}"));
        let mode = if at == 3 { 0o755 } else { 0o644 };
        assert_eq!(entry.unix_mode().map(|mode| mode & 0o777), Some(mode));
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        assert_eq!(
            content.len(),
            if at == 7 {
                large.len()
            } else {
                format!("file {at}").len()
            }
        );
    }
    assert!(archive.by_name("link").unwrap().is_symlink());
}

#[test]
fn a_file_that_is_gone_and_a_wish_to_end_end_the_packing() {
    let gone = [(
        PathBuf::from("a"),
        Content::File(PathBuf::from("/nonexistent")),
    )];
    let target = || tempfile::tempfile().unwrap();
    let ended = pack(&gone, target(), || Ok::<(), ()>(()));
    assert!(matches!(ended, Err(PackError::File(path, _)) if path == Path::new("/nonexistent")));
    let ended = pack(&gone, target(), || Err("enough"));
    assert!(matches!(ended, Err(PackError::Cut("enough"))));
}
