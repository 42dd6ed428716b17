//! Certificates for the proxies, made for this run.

use std::io;
use std::path::{Path, PathBuf};

use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256, SignatureAlgorithm};
use tempfile::TempDir;

/// The name that the certificates certify.
pub(crate) const NAME: &str = "mail.bench.test";

/// The kind of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    /// ECDSA on P-256.
    P256,
    /// RSA with 2,048 bits.
    Rsa2048,
}

impl Key {
    const ALL: [Self; 2] = [Self::P256, Self::Rsa2048];

    fn file(self) -> &'static str {
        match self {
            Self::P256 => "p256",
            Self::Rsa2048 => "rsa2048",
        }
    }

    fn algorithm(self) -> &'static SignatureAlgorithm {
        match self {
            Self::P256 => &PKCS_ECDSA_P256_SHA256,
            Self::Rsa2048 => &PKCS_RSA_SHA256,
        }
    }
}

/// A directory with a certificate and a key of each kind, gone when dropped.
#[derive(Debug)]
pub(crate) struct Certificates(TempDir);

impl Certificates {
    pub(crate) fn make() -> io::Result<Self> {
        let directory = TempDir::with_prefix("gatepost-bench-keys-")?;
        for key in Key::ALL {
            write(key, directory.path()).map_err(io::Error::other)??;
        }
        Ok(Self(directory))
    }

    /// The certificate's PEM file, which clients trust, too.
    pub(crate) fn certificate(&self, key: Key) -> PathBuf {
        certificate(self.0.path(), key)
    }

    /// The key's PEM file.
    pub(crate) fn key(&self, key: Key) -> PathBuf {
        private(self.0.path(), key)
    }
}

fn write(key: Key, directory: &Path) -> Result<io::Result<()>, rcgen::Error> {
    let pair = KeyPair::generate_for(key.algorithm())?;
    let signed = CertificateParams::new(vec![NAME.to_owned()])?.self_signed(&pair)?;
    let written = std::fs::write(certificate(directory, key), signed.pem())
        .and_then(|()| std::fs::write(private(directory, key), pair.serialize_pem()));
    Ok(written)
}

fn certificate(directory: &Path, key: Key) -> PathBuf {
    directory.join(key.file()).with_extension("crt")
}

fn private(directory: &Path, key: Key) -> PathBuf {
    directory.join(key.file()).with_extension("key")
}
