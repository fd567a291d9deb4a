//! TLS of the server: a certificate and its key from files.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::error::ServerError;

/// What TLS needs.
pub struct Tls(pub(super) Arc<ServerConfig>);

impl Tls {
    /// Reads a chain of certificates, the server's own first, and the key that belongs to it, both in PEM.
    ///
    /// # Errors
    /// If one cannot be read, or they do not belong together.
    pub fn load(certificate: &Path, key: &Path) -> Result<Self, ServerError> {
        let bad = |path: &Path| {
            let path = path.to_owned();
            move |problem: String| ServerError::Tls { path, problem }
        };
        let chain = CertificateDer::pem_file_iter(certificate).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        let chain = chain.map_err(|error| bad(certificate)(error.to_string()))?;
        let secret = PrivateKeyDer::from_pem_file(key).map_err(|error| bad(key)(error.to_string()))?;
        let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider())).with_safe_default_protocol_versions();
        let builder = builder.map_err(|error| bad(certificate)(error.to_string()))?;
        let mut config =
            builder.with_no_client_auth().with_single_cert(chain, secret).map_err(|error| bad(certificate)(error.to_string()))?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self(Arc::new(config)))
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tls")
    }
}
