//! Identities of what is told: the same whenever and by whomever the same thing is told.

use sha2::{Digest, Sha256};
use uuid::{Builder, Uuid};

use crate::model::BuildRequest;

/// The identity of what a build has to tell by these names: a UUID of version 8, out of a digest (RFC 9562,
/// section 5.8).
pub(super) fn of(request: &BuildRequest, names: &[&str]) -> Uuid {
    let mut digest = Sha256::new();
    digest.update(request.id.uuid.as_bytes());
    for name in names {
        // No name holds a zero byte: the parts cannot be cut differently.
        digest.update([0]);
        digest.update(name.as_bytes());
    }
    let mut bytes = [0; 16];
    let digest = digest.finalize();
    for (byte, of_digest) in bytes.iter_mut().zip(digest.iter()) {
        *byte = *of_digest;
    }
    Builder::from_custom_bytes(bytes).into_uuid()
}
