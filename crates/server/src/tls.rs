use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, ensure};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::config::TlsFiles;

/// Encrypts connections with this certificate: TLS 1.2 and 1.3, HTTP/1.1.
pub(crate) fn acceptor(files: &TlsFiles) -> anyhow::Result<TlsAcceptor> {
    let cannot = |path: &Path| format!("{} cannot be used", path.display());
    let certificates = CertificateDer::pem_file_iter(&files.certificate)
        .with_context(|| cannot(&files.certificate))?;
    let certificates: Vec<_> = certificates
        .collect::<Result<_, _>>()
        .with_context(|| cannot(&files.certificate))?;
    ensure!(
        !certificates.is_empty(),
        "{} holds no certificate",
        files.certificate.display()
    );
    let key = PrivateKeyDer::from_pem_file(&files.key).with_context(|| cannot(&files.key))?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(certificates, key)
        .context("the certificate and its key do not go together")?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}
