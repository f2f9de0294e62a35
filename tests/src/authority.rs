//! A certificate authority of one's own, and a server's certificate from it, made by `openssl`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tempfile::TempDir;

/// The authority, with its files in a directory that goes with it.
#[derive(Debug)]
pub struct Authority(TempDir);

impl Authority {
    /// An authority that nobody knows yet.
    pub fn new() -> Self {
        let authority = Self(tempfile::tempdir().expect("a temporary directory can be made"));
        authority.openssl(&[
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=authority of a test",
            "-keyout",
            "ca.key",
            "-out",
            "ca.pem",
        ]);
        authority
    }

    /// Its certificate, in PEM form.
    pub fn certificate(&self) -> PathBuf {
        self.0.path().join("ca.pem")
    }

    /// What a server at 127.0.0.1 needs to prove by this authority who it is.
    pub fn server(&self) -> Arc<ServerConfig> {
        let extensions = "subjectAltName=IP:127.0.0.1\nbasicConstraints=CA:FALSE\n";
        fs::write(self.0.path().join("extensions"), extensions).expect("it is one's own directory");
        self.openssl(&[
            "req",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-subj",
            "/CN=127.0.0.1",
            "-keyout",
            "server.key",
            "-out",
            "server.csr",
        ]);
        self.openssl(&[
            "x509",
            "-req",
            "-days",
            "2",
            "-in",
            "server.csr",
            "-CA",
            "ca.pem",
            "-CAkey",
            "ca.key",
            "-CAcreateserial",
            "-extfile",
            "extensions",
            "-out",
            "server.pem",
        ]);
        let path = |name: &str| self.0.path().join(name);
        server_config(&path("server.pem"), &path("server.key"))
    }

    fn openssl(&self, arguments: &[&str]) {
        let ran = Command::new("openssl")
            .args(arguments)
            .current_dir(self.0.path())
            .stderr(Stdio::null())
            .stdout(Stdio::null())
            .status();
        assert!(
            ran.is_ok_and(|status| status.success()),
            "openssl makes certificates; run `make setup`"
        );
    }
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}

/// A server with this certificate and this key, both in PEM form.
pub(crate) fn server_config(certificate: &Path, key: &Path) -> Arc<ServerConfig> {
    let certificate = CertificateDer::from_pem_file(certificate).expect("openssl writes PEM");
    let key = PrivateKeyDer::from_pem_file(key).expect("openssl writes PEM");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider knows TLS")
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .expect("the key belongs to the certificate");
    Arc::new(config)
}
