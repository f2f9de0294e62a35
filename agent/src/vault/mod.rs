//! Seals secrets for the store: a text goes in, a text that only the holder of the key can open comes
//! out. Whoever reads the database alone learns nothing, and cannot exchange one secret for another.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::rand;
use secrecy::{ExposeSecret, SecretString};

use crate::model::hex;

/// How many bytes the key has.
const KEY_BYTES: usize = 32;

/// A key and what is sealed with it.
#[derive(Clone)]
pub struct Vault(Arc<RandomizedNonceKey>);

impl std::fmt::Debug for Vault {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Vault")
    }
}

/// Why a vault cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// The key file cannot be read or made.
    #[error("cannot {operation} the key file {}", path.display())]
    File {
        /// What was tried.
        operation: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The key file can be read by others.
    #[error("the key file {} can be read by others: `chmod 600` it, and replace what was sealed with it", path.display())]
    Exposed {
        /// Its path.
        path: PathBuf,
    },
    /// The key file does not hold a key.
    #[error("the key file {} does not hold a key: 64 hexadecimal digits", path.display())]
    Malformed {
        /// Its path.
        path: PathBuf,
    },
    /// What was sealed cannot be opened with this key, or was sealed for something else.
    #[error(
        "what is sealed for {purpose} cannot be opened: it was sealed with another key file, or changed"
    )]
    Closed {
        /// For what it should have been.
        purpose: String,
    },
    /// The cryptographic library refused to work.
    #[error("cannot seal for {purpose}")]
    Seal {
        /// For what.
        purpose: String,
    },
}

impl Vault {
    /// Opens the vault with the key in a file. A file that does not exist is made, with a new key,
    /// readable by its owner only.
    pub fn open(path: &Path) -> Result<Self, VaultError> {
        match fs::read_to_string(path) {
            Ok(text) => Self::of_key(path, &text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Self::of_key(path, &create(path)?)
            }
            Err(source) => Err(failed("read", path)(source)),
        }
    }

    /// Opens the vault with the key in a file that has to be there.
    pub fn open_existing(path: &Path) -> Result<Self, VaultError> {
        let text = fs::read_to_string(path).map_err(failed("read", path))?;
        Self::of_key(path, &text)
    }

    fn of_key(path: &Path, text: &str) -> Result<Self, VaultError> {
        let malformed = || VaultError::Malformed {
            path: path.to_owned(),
        };
        let metadata = fs::metadata(path).map_err(failed("look at", path))?;
        if metadata.permissions().mode() & 0o077 != 0 {
            return Err(VaultError::Exposed {
                path: path.to_owned(),
            });
        }
        let key = hex::decode(text.trim()).filter(|key| key.len() == KEY_BYTES);
        let key = RandomizedNonceKey::new(&AES_256_GCM, &key.ok_or_else(malformed)?);
        Ok(Self(Arc::new(key.map_err(|_| malformed())?)))
    }

    /// Seals a secret for a purpose, such as `access key AKIA…`; it opens for the same purpose only.
    pub fn seal(&self, purpose: &str, secret: &SecretString) -> Result<String, VaultError> {
        let mut bytes = secret.expose_secret().as_bytes().to_vec();
        let nonce = self
            .0
            .seal_in_place_append_tag(Aad::from(purpose.as_bytes()), &mut bytes)
            .map_err(|_| VaultError::Seal {
                purpose: purpose.to_owned(),
            })?;
        Ok(hex::encode(&[&nonce.as_ref()[..], &bytes].concat()))
    }

    /// Opens what was sealed for a purpose.
    pub fn unseal(&self, purpose: &str, sealed: &str) -> Result<SecretString, VaultError> {
        let opened = || {
            let mut bytes = hex::decode(sealed)?;
            let (nonce, rest) = bytes.split_at_mut_checked(NONCE_LEN)?;
            let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
            let aad = Aad::from(purpose.as_bytes());
            let secret = self.0.open_in_place(nonce, aad, rest).ok()?;
            Some(std::str::from_utf8(secret).ok()?.into())
        };
        opened().ok_or_else(|| VaultError::Closed {
            purpose: purpose.to_owned(),
        })
    }
}

/// A new random text of `length` characters out of `alphabet`, which has at most 256 of them.
pub fn random_text(alphabet: &[u8], length: usize) -> SecretString {
    let mut text = String::with_capacity(length);
    // Bytes past the last whole round of the alphabet would make its beginning likelier.
    let limit = 256 - 256 % alphabet.len();
    while text.len() < length {
        let bytes = random_bytes();
        let fair = bytes
            .into_iter()
            .map(usize::from)
            .filter(|byte| *byte < limit);
        let characters = fair.map(|byte| char::from(alphabet[byte % alphabet.len()]));
        text.extend(characters.take(length - text.len()));
    }
    text.into()
}

fn random_bytes() -> [u8; KEY_BYTES] {
    let mut bytes = [0; KEY_BYTES];
    rand::fill(&mut bytes).expect("the system has random numbers, or nothing here is safe");
    bytes
}

fn create(path: &Path) -> Result<String, VaultError> {
    let text = hex::encode(&random_bytes());
    // Written under another name first: another agent must never see half a key.
    let draft = path.with_extension(format!("{}.new", std::process::id()));
    let written = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&draft)
        .and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            // Two agents that start at once keep the key that was there first.
            fs::hard_link(&draft, path)
        });
    let _ = fs::remove_file(&draft);
    match written {
        Ok(()) => Ok(text),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            fs::read_to_string(path).map_err(failed("read", path))
        }
        Err(source) => Err(failed("make", path)(source)),
    }
}

fn failed(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> VaultError {
    let path = path.to_owned();
    move |source| VaultError::File {
        operation,
        path,
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_opens_with_the_same_key_for_the_same_purpose() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("vault.key");
        let vault = Vault::open(&path).unwrap();
        let sealed = vault.seal("access key a", &"s3cr3t".into()).unwrap();
        assert!(!sealed.contains("s3cr3t") && !sealed.contains(&hex::encode(b"s3cr3t")));
        assert_ne!(
            sealed,
            vault.seal("access key a", &"s3cr3t".into()).unwrap()
        );
        let again = Vault::open(&path).unwrap();
        let secret = again.unseal("access key a", &sealed).unwrap();
        assert_eq!(secret.expose_secret(), "s3cr3t");
        for (label, purpose, text) in [
            ("another purpose", "access key b", sealed.clone()),
            (
                "a changed digit",
                "access key a",
                sealed.replace(
                    &sealed[30..31],
                    if &sealed[30..31] == "0" { "1" } else { "0" },
                ),
            ),
            ("too short", "access key a", "00".to_owned()),
            ("no digits", "access key a", "zz".to_owned()),
        ] {
            assert!(
                matches!(again.unseal(purpose, &text), Err(VaultError::Closed { .. })),
                "{label}"
            );
        }
        let other = Vault::open(&directory.path().join("other.key")).unwrap();
        assert!(other.unseal("access key a", &sealed).is_err());
    }

    #[test]
    fn a_key_file_is_the_owners_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("vault.key");
        Vault::open(&path).unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(
            Vault::open(&path),
            Err(VaultError::Exposed { .. })
        ));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&path, "12").unwrap();
        assert!(matches!(
            Vault::open(&path),
            Err(VaultError::Malformed { .. })
        ));
    }

    #[test]
    fn random_texts_differ_and_keep_to_their_alphabet() {
        let text = random_text(b"abc", 40);
        assert_eq!(text.expose_secret().len(), 40);
        assert!(
            text.expose_secret()
                .bytes()
                .all(|byte| b"abc".contains(&byte))
        );
        assert_ne!(
            text.expose_secret(),
            random_text(b"abc", 40).expose_secret()
        );
    }
}
