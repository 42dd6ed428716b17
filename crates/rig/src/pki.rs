//! Keys and certificates for tests, made when they are needed, in files as servers and clients want them.
//!
//! Wrong ones are made like right ones: a [`Root`] that nobody trusts, a server certificate for another name, an expired
//! one ([`Root::expired_server`]), one without a root ([`Identity::self_signed`]).

use std::path::PathBuf;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256, RsaKeySize, date_time_ymd,
};
use tempfile::TempDir;

/// Kinds of keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// ECDSA on P-256: quick to make.
    Ec,
    /// RSA with 2048 bits: what old clients know.
    Rsa,
}

impl Key {
    fn generate(self) -> KeyPair {
        let made = match self {
            Self::Ec => KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256),
            Self::Rsa => KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048),
        };
        made.expect("a key can be made")
    }
}

/// A root authority, trusted by those who are given its [`certificate`](Root::certificate).
#[derive(Debug)]
pub struct Root {
    issuer: Issuer<'static, KeyPair>,
    directory: TempDir,
}

impl Root {
    /// A root with a key of its own. Two roots may well have the same name.
    pub fn new(key: Key, name: &str) -> Self {
        let mut params = named(name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = key.generate();
        let certificate = params.self_signed(&key).expect("a certificate can be signed");
        let directory = tempfile::tempdir().expect("a temporary directory");
        write(&directory, CERTIFICATE, &certificate.pem());
        Self { issuer: Issuer::new(params, key), directory }
    }

    /// The file with its certificate, PEM.
    pub fn certificate(&self) -> PathBuf {
        self.directory.path().join(CERTIFICATE)
    }

    /// A server with these names, which are host names or IP addresses. The first is the subject's name as well.
    pub fn server(&self, key: Key, names: &[&str]) -> Identity {
        self.issue(key, server(names))
    }

    /// The same, valid in the year 2020 only.
    pub fn expired_server(&self, key: Key, names: &[&str]) -> Identity {
        self.issue(key, expired(server(names)))
    }

    /// A client with this name.
    pub fn client(&self, key: Key, name: &str) -> Identity {
        self.issue(key, client(name))
    }

    /// The same, valid in the year 2020 only.
    pub fn expired_client(&self, key: Key, name: &str) -> Identity {
        self.issue(key, expired(client(name)))
    }

    fn issue(&self, key: Key, mut params: CertificateParams) -> Identity {
        params.use_authority_key_identifier_extension = true;
        let key = key.generate();
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate can be signed");
        Identity::write(&certificate.pem(), &key)
    }
}

/// A key and its certificate, in files that go when this value is dropped.
#[derive(Debug)]
pub struct Identity {
    directory: TempDir,
}

impl Identity {
    /// A server that vouches for itself.
    pub fn self_signed(key: Key, names: &[&str]) -> Self {
        let key = key.generate();
        let certificate = server(names).self_signed(&key).expect("a certificate can be signed");
        Self::write(&certificate.pem(), &key)
    }

    /// The file with its certificate, PEM. The root's is not in it.
    pub fn certificate(&self) -> PathBuf {
        self.directory.path().join(CERTIFICATE)
    }

    /// The file with its key, PEM, PKCS#8, not encrypted.
    pub fn key(&self) -> PathBuf {
        self.directory.path().join("key.pem")
    }

    fn write(certificate: &str, key: &KeyPair) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        write(&directory, CERTIFICATE, certificate);
        write(&directory, "key.pem", &key.serialize_pem());
        Self { directory }
    }
}

const CERTIFICATE: &str = "certificate.pem";

/// Parameters of a certificate with this subject, valid now and for a long time.
fn named(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params
}

fn server(names: &[&str]) -> CertificateParams {
    let all: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
    let alternatives = CertificateParams::new(all).expect("names are host names or addresses");
    let mut params = named(names.first().expect("a server has a name"));
    params.subject_alt_names = alternatives.subject_alt_names;
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params
}

fn client(name: &str) -> CertificateParams {
    let mut params = named(name);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params
}

fn expired(mut params: CertificateParams) -> CertificateParams {
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2021, 1, 1);
    params
}

fn write(directory: &TempDir, name: &str, text: &str) {
    std::fs::write(directory.path().join(name), text).expect("the directory is writable");
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;
    use crate::tool::{self, Ran};

    /// What openssl thinks of a certificate.
    fn verify(root: &Root, identity: &Identity, purpose: &str, name: &[&str]) -> Ran {
        let mut openssl = Command::new("openssl");
        openssl.args(["verify", "-x509_strict", "-purpose", purpose, "-CAfile"]).arg(root.certificate());
        tool::run(openssl.args(name).arg(identity.certificate()), &[])
    }

    const FOR_MAIL: [&str; 2] = ["-verify_hostname", "mail.example.test"];

    #[test]
    fn openssl_believes_what_the_root_has_signed() {
        for key in [Key::Ec, Key::Rsa] {
            let root = Root::new(key, "Test root");
            let server = root.server(key, &["mail.example.test", "127.0.0.1"]);
            verify(&root, &server, "sslserver", &FOR_MAIL).succeeded();
            verify(&root, &server, "sslserver", &["-verify_ip", "127.0.0.1"]).succeeded();
            verify(&root, &server, "sslclient", &[]).failed();
            verify(&root, &root.client(key, "ann"), "sslclient", &[]).succeeded();
        }
    }

    #[test]
    fn openssl_says_what_is_wrong_with_the_others() {
        let root = Root::new(Key::Ec, "Test root");
        let names = &["mail.example.test"];
        let refused = |identity: Identity, why: &str| {
            let ran = verify(&root, &identity, "sslserver", &FOR_MAIL).failed();
            assert!(ran.stderr.contains(why), "{}", ran.stderr);
        };
        refused(root.expired_server(Key::Ec, names), "certificate has expired");
        refused(root.server(Key::Ec, &["other.example.test"]), "hostname mismatch");
        refused(Identity::self_signed(Key::Ec, names), "self-signed certificate");
        // The same name, another key.
        refused(
            Root::new(Key::Ec, "Test root").server(Key::Ec, names),
            "unable to get local issuer certificate",
        );
    }
}
