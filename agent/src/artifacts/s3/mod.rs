//! Artifacts in a bucket.
//!
//! Files go up as they lie in the channel: small ones whole, large ones in parts, several at a time, within a
//! bound of memory. Every request carries a checksum that the service verifies. What passes by itself (outages,
//! throttling, cut lines) is tried again for minutes; an upload that fails or is stopped leaves no parts behind.

mod attempts;
mod multipart;

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{ChecksumAlgorithm, ObjectCannedAcl, ServerSideEncryption};
use bytes::Bytes;
use nix::fcntl::OFlag;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use walkdir::WalkDir;

use super::StoreError;
use attempts::{ANSWER_LIMIT, patiently};
use multipart::{PART_BYTES, Unfinished};

/// Files that are uploaded at a time.
const FILES_AT_A_TIME: usize = 64;

/// Memory for content on its way, in bytes.
const MEMORY_BYTES: usize = 32 * 1024 * 1024;

/// Memory is given out in pieces of this size, in bytes.
const MEMORY_PIECE_BYTES: usize = 64 * 1024;

/// What all objects of an artifact have in common.
#[derive(Debug, Clone)]
pub struct ObjectAttributes {
    /// Name of the bucket.
    pub bucket: String,
    /// Metadata, by names without `x-amz-meta-`.
    pub metadata: HashMap<String, String>,
    /// How they are encrypted.
    pub encryption: Encryption,
    /// What the owner of the bucket may do with them.
    pub acl: Option<ObjectCannedAcl>,
}

/// How objects are encrypted at rest (API, `ProjectArtifacts`, member `encryptionDisabled`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Encryption {
    /// As the bucket does by itself.
    OfBucket,
    /// With a key of KMS: AWS's own for S3, or this one.
    Kms(Option<String>),
}

/// A bucket to which artifacts go.
#[derive(Debug, Clone)]
pub struct S3Store {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    client: Client,
    attributes: ObjectAttributes,
    memory: Semaphore,
    /// Uploads that are being begun.
    beginnings: Mutex<JoinSet<()>>,
    unfinished: Mutex<Vec<Unfinished>>,
}

impl S3Store {
    /// Nobody is contacted before something is stored.
    pub fn new(client: &Client, attributes: ObjectAttributes) -> Self {
        // The attempts are counted here, over minutes; the client's own would be over in seconds.
        let timeouts = TimeoutConfig::builder().read_timeout(ANSWER_LIMIT).build();
        let config = client
            .config()
            .to_builder()
            .retry_config(RetryConfig::disabled())
            .timeout_config(timeouts)
            .build();
        let memory = Semaphore::new(MEMORY_BYTES / MEMORY_PIECE_BYTES);
        Self {
            shared: Arc::new(Shared {
                client: Client::from_conf(config),
                attributes,
                memory,
                beginnings: Mutex::default(),
                unfinished: Mutex::default(),
            }),
        }
    }

    /// The ARN of an object, or of what the keys of several begin with.
    pub fn location(&self, key: &str) -> String {
        let bucket = &self.shared.attributes.bucket;
        format!("arn:aws:s3:::{bucket}/{key}")
            .trim_end_matches('/')
            .to_owned()
    }

    /// Stores one file under a key.
    pub async fn store_file(
        &self,
        file: &Path,
        key: &str,
        stop: &CancellationToken,
    ) -> Result<(), StoreError> {
        self.store(vec![(file.to_owned(), key.to_owned())], stop)
            .await
    }

    /// Stores all files of a directory under keys that begin with `prefix`, and gives their paths, sorted. The
    /// directory comes out of a container: it may hold plain files and directories, nothing else.
    pub async fn store_directory(
        &self,
        directory: &Path,
        prefix: &str,
        stop: &CancellationToken,
    ) -> Result<Vec<String>, StoreError> {
        let listed = directory.to_owned();
        let paths = tokio::task::spawn_blocking(move || list(&listed)).await;
        let paths = paths.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))?;
        let key = |path: &String| match prefix {
            "" => path.clone(),
            prefix => format!("{prefix}/{path}"),
        };
        let files = paths.iter().map(|path| (directory.join(path), key(path)));
        self.store(files.collect(), stop).await?;
        Ok(paths)
    }

    /// Stores files under their keys. Whatever becomes of it, no upload is left unfinished.
    async fn store(
        &self,
        files: Vec<(PathBuf, String)>,
        stop: &CancellationToken,
    ) -> Result<(), StoreError> {
        let mut uploads = JoinSet::new();
        let stored = stop.run_until_cancelled(self.upload_all(files, &mut uploads));
        let stored = stored.await;
        // None may begin another part, or another upload.
        uploads.shutdown().await;
        self.shared.abort_unfinished().await;
        stored.unwrap_or(Err(StoreError::Stopped))
    }

    async fn upload_all(
        &self,
        files: Vec<(PathBuf, String)>,
        uploads: &mut JoinSet<Result<(), StoreError>>,
    ) -> Result<(), StoreError> {
        for (path, key) in files {
            if uploads.len() == FILES_AT_A_TIME
                && let Some(ended) = uploads.join_next().await
            {
                joined(ended)?;
            }
            let shared = Arc::clone(&self.shared);
            uploads.spawn(async move { shared.upload(&path, &key).await });
        }
        while let Some(ended) = uploads.join_next().await {
            joined(ended)?;
        }
        Ok(())
    }
}

/// The result of a task that nobody aborts while it is waited for.
fn joined<T>(ended: Result<T, tokio::task::JoinError>) -> T {
    ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
}

/// The paths of all files below a directory, relative to it, sorted.
fn list(directory: &Path) -> Result<Vec<String>, StoreError> {
    let mut paths = Vec::new();
    for entry in WalkDir::new(directory).sort_by_file_name() {
        let entry = entry?;
        if entry.file_type().is_dir() {
            continue;
        }
        let relative = entry.path().strip_prefix(directory).ok();
        // A key is text, so that a name that is none cannot be stored as it is.
        match relative.and_then(Path::to_str) {
            Some(path) if entry.file_type().is_file() => paths.push(path.to_owned()),
            _ => {
                return Err(StoreError::NotAFile {
                    path: entry.into_path(),
                });
            }
        }
    }
    Ok(paths)
}

impl Shared {
    async fn upload(self: Arc<Self>, path: &Path, key: &str) -> Result<(), StoreError> {
        let source = Arc::new(Source::open(path)?);
        if source.size_bytes > PART_BYTES {
            return self.upload_in_parts(source, key).await;
        }
        let size = usize::try_from(source.size_bytes).unwrap_or(usize::MAX);
        let _memory = self.memory_for(size).await;
        let content = source.read(0, size).await?;
        let put = || {
            let attributes = &self.attributes;
            let put = self.client.put_object();
            let (encryption, kms_key) = attributes.encryption.members();
            put.bucket(&attributes.bucket)
                .key(key)
                .set_metadata(Some(attributes.metadata.clone()))
                .set_server_side_encryption(encryption)
                .set_ssekms_key_id(kms_key)
                .set_acl(attributes.acl.clone())
                .checksum_algorithm(ChecksumAlgorithm::Crc32)
                .body(ByteStream::from(content.clone()))
                .send()
        };
        let put = patiently(put).await;
        put.map(drop).map_err(|reason| self.refused(key, reason))
    }

    /// Waits until there is memory for some bytes, or for as many as there can be.
    async fn memory_for(&self, bytes: usize) -> Option<SemaphorePermit<'_>> {
        let pieces = bytes.div_ceil(MEMORY_PIECE_BYTES).max(1);
        let pieces = pieces.min(MEMORY_BYTES / MEMORY_PIECE_BYTES);
        // The semaphore is never closed.
        let pieces = u32::try_from(pieces).unwrap_or(u32::MAX);
        self.memory.acquire_many(pieces).await.ok()
    }

    fn refused(&self, key: &str, reason: String) -> StoreError {
        StoreError::Upload {
            bucket: self.attributes.bucket.clone(),
            key: key.to_owned(),
            reason,
        }
    }

    fn beginnings(&self) -> MutexGuard<'_, JoinSet<()>> {
        self.beginnings
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn unfinished(&self) -> MutexGuard<'_, Vec<Unfinished>> {
        self.unfinished
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Encryption {
    /// The members of a request.
    fn members(&self) -> (Option<ServerSideEncryption>, Option<String>) {
        match self {
            Self::OfBucket => (None, None),
            Self::Kms(key) => (Some(ServerSideEncryption::AwsKms), key.clone()),
        }
    }
}

/// A file on its way.
#[derive(Debug)]
struct Source {
    path: PathBuf,
    file: File,
    size_bytes: u64,
}

impl Source {
    /// Opens what really is a file: it comes out of a container.
    fn open(path: &Path) -> Result<Self, StoreError> {
        let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
        let opened = OpenOptions::new()
            .read(true)
            .custom_flags(flags.bits())
            .open(path)
            .and_then(|file| Ok((file.metadata()?, file)));
        let (metadata, file) = opened.map_err(cannot_read(path))?;
        if !metadata.is_file() {
            return Err(StoreError::NotAFile {
                path: path.to_owned(),
            });
        }
        Ok(Self {
            path: path.to_owned(),
            file,
            size_bytes: metadata.len(),
        })
    }

    /// Reads so many bytes from a place in the file.
    async fn read(self: &Arc<Self>, from: u64, size: usize) -> Result<Bytes, StoreError> {
        let source = Arc::clone(self);
        let read = tokio::task::spawn_blocking(move || {
            let mut content = vec![0; size];
            let read = source.file.read_exact_at(&mut content, from);
            read.map_err(cannot_read(&source.path))?;
            Ok(Bytes::from(content))
        });
        joined(read.await)
    }
}

fn cannot_read(path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    let path = path.to_owned();
    move |source| StoreError::Read { path, source }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::net::SocketAddr;
    use std::os::unix::fs::symlink;

    use aws_credential_types::Credentials;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn all_files_are_listed_and_a_link_is_refused() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("b/empty")).unwrap();
        fs::write(root.path().join("b/1"), "").unwrap();
        fs::write(root.path().join("a"), "").unwrap();
        assert_eq!(list(root.path()).unwrap(), ["a", "b/1"]);
        symlink("/etc/shadow", root.path().join("b/link")).unwrap();
        assert!(matches!(
            list(root.path()),
            Err(StoreError::NotAFile { .. })
        ));
        assert!(Source::open(&root.path().join("b/link")).is_err());
    }

    /// A client of a service at this address.
    fn client(address: SocketAddr) -> Client {
        let config = aws_sdk_s3::Config::builder()
            .behavior_version(aws_config::BehaviorVersion::latest())
            .region(aws_config::Region::new("us-east-1"))
            .credentials_provider(Credentials::new("k", "s", None, None, "test"))
            .endpoint_url(format!("http://{address}"))
            .force_path_style(true)
            .build();
        Client::from_conf(config)
    }

    /// The first line of the next request, which comes over a connection of its own.
    async fn request(service: &TcpListener) -> (TcpStream, String) {
        let (mut connection, _) = service.accept().await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(connection.read_u8().await.unwrap());
        }
        let head = String::from_utf8(head).unwrap();
        (connection, head.lines().next().unwrap().to_owned())
    }

    async fn answer(mut connection: TcpStream, status: u16, body: &str) {
        let answer = format!(
            "HTTP/1.1 {status} -\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        );
        connection.write_all(answer.as_bytes()).await.unwrap();
    }

    #[tokio::test]
    async fn an_upload_that_is_being_begun_when_the_build_is_stopped_is_aborted() {
        let service = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let attributes = ObjectAttributes {
            bucket: "bucket".to_owned(),
            metadata: HashMap::new(),
            encryption: Encryption::OfBucket,
            acl: None,
        };
        let store = S3Store::new(&client(service.local_addr().unwrap()), attributes);
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(PART_BYTES + 1).unwrap();
        let stop = CancellationToken::new();
        let serving = async {
            let (connection, line) = request(&service).await;
            assert!(line.starts_with("POST /bucket/k?uploads"), "{line}");
            stop.cancel();
            let begun = "<InitiateMultipartUploadResult><UploadId>u1</UploadId></InitiateMultipartUploadResult>";
            answer(connection, 200, begun).await;
            let (connection, line) = request(&service).await;
            assert!(line.starts_with("DELETE /bucket/k?"), "{line}");
            assert!(line.contains("uploadId=u1"), "{line}");
            answer(connection, 204, "").await;
        };
        let storing = store.store_file(file.path(), "k", &stop);
        let (stored, ()) = tokio::join!(storing, serving);
        assert!(matches!(stored, Err(StoreError::Stopped)), "{stored:?}");
    }
}
