//! Private keys in PEM files: PKCS#8, PKCS#1 and SEC1, also under pass phrases.

use std::sync::Arc;

use proto::Secret;
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs1KeyDer, PrivatePkcs8KeyDer, PrivateSec1KeyDer};
use rustls::sign::SigningKey;
use zeroize::Zeroize;

use super::decrypt;
use super::environment::{Environment, cannot_load};
use super::mistake::{Mistake, Why};
use super::pem::{Section, sections};
use super::settings::Source;

/// The key in `source`, opened with the first of `passphrases` that fits if it is encrypted.
pub(super) fn key(
    source: &Source,
    passphrases: Option<&[Secret]>,
    environment: &Environment<'_>,
) -> Result<Arc<dyn SigningKey>, Mistake> {
    match source {
        Source::Engine(value) => return Err(Mistake::KeyElsewhere(value.clone(), "engine")),
        Source::Store(value) => return Err(Mistake::KeyElsewhere(value.clone(), "store")),
        Source::File(_) | Source::Data(_) => {}
    }
    environment.content(source).and_then(|text| first_key(&text, passphrases)).map_err(cannot_load(
        "certificate key",
        source,
        "PEM_read_bio_PrivateKey()",
    ))
}

/// The first key in `text`.
fn first_key(text: &[u8], passphrases: Option<&[Secret]>) -> Result<Arc<dyn SigningKey>, Why> {
    for section in sections(text) {
        let section = section?;
        if let Some(format) = Format::of(&section) {
            return format.open(&section, passphrases);
        }
    }
    Err(Why::NoPem("private key"))
}

/// How a key is written down.
#[derive(Clone, Copy)]
enum Format {
    Pkcs8,
    EncryptedPkcs8,
    Pkcs1,
    Sec1,
    /// DSA and whatever else there may be.
    Unsupported,
}

impl Format {
    /// `None`: not a key at all, such as the EC parameters that OpenSSL writes before a key.
    fn of(section: &Section<'_>) -> Option<Self> {
        match section.label {
            "PRIVATE KEY" => Some(Self::Pkcs8),
            "ENCRYPTED PRIVATE KEY" => Some(Self::EncryptedPkcs8),
            "RSA PRIVATE KEY" => Some(Self::Pkcs1),
            "EC PRIVATE KEY" => Some(Self::Sec1),
            label => label.ends_with(" PRIVATE KEY").then_some(Self::Unsupported),
        }
    }

    fn open(self, section: &Section<'_>, phrases: Option<&[Secret]>) -> Result<Arc<dyn SigningKey>, Why> {
        match self {
            Self::EncryptedPkcs8 => try_each(phrases, |phrase| {
                Self::Pkcs8.load(&decrypt::pkcs8(&section.der, phrase)?).map_err(wrong)
            }),
            Self::Pkcs1 | Self::Sec1 if decrypt::is_traditional(section) => {
                try_each(phrases, |phrase| self.load(&decrypt::traditional(section, phrase)?).map_err(wrong))
            }
            _ => self.load(&section.der),
        }
    }

    fn load(self, der: &[u8]) -> Result<Arc<dyn SigningKey>, Why> {
        let mut key: PrivateKeyDer<'static> = match self {
            Self::Pkcs8 => PrivatePkcs8KeyDer::from(der.to_vec()).into(),
            Self::Pkcs1 => PrivatePkcs1KeyDer::from(der.to_vec()).into(),
            Self::Sec1 => PrivateSec1KeyDer::from(der.to_vec()).into(),
            Self::EncryptedPkcs8 | Self::Unsupported => return Err(Why::Key),
        };
        let loaded = any_supported_type(&key).map_err(|_| Why::Key);
        key.zeroize();
        loaded
    }
}

/// A wrong phrase may leave what looks like padding; then it is the content that is no key.
fn wrong(_: Why) -> Why {
    Why::WrongPhrase
}

/// What the first phrase that fits gives.
fn try_each<T>(phrases: Option<&[Secret]>, open: impl Fn(&[u8]) -> Result<T, Why>) -> Result<T, Why> {
    for phrase in phrases.ok_or(Why::NoPhrase)? {
        match open(phrase.expose()) {
            Err(Why::WrongPhrase) => {}
            other => return other,
        }
    }
    Err(Why::WrongPhrase)
}

#[cfg(test)]
mod tests {
    use rustls::SignatureAlgorithm;

    use super::*;
    use crate::tls::testing::{Files, openssl};

    /// The kind of the key in `text`, or the reason against it.
    fn read(text: impl Into<Vec<u8>>, phrases: Option<&[&str]>) -> Result<SignatureAlgorithm, String> {
        let mut files = Files::default();
        let source = Source::File(files.add("k.pem", text));
        let phrases: Option<Vec<Secret>> =
            phrases.map(|all| all.iter().map(|one| one.as_bytes().into()).collect());
        let key = files.with(|environment| key(&source, phrases.as_deref(), environment));
        key.map(|key| key.algorithm()).map_err(|mistake| mistake.to_string())
    }

    fn failure(why: &str) -> Result<SignatureAlgorithm, String> {
        Err(format!(
            "cannot load certificate key \"/files/k.pem\": PEM_read_bio_PrivateKey() failed (SSL: {why})"
        ))
    }

    const RSA: &[&str] = &["genpkey", "-quiet", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"];
    const P256: &[&str] = &["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"];

    #[test]
    fn keys_of_all_kinds_are_read() {
        let (rsa, ec) = (openssl::run(RSA, &[]), openssl::run(P256, &[]));
        let p521 = openssl::run(&["ecparam", "-name", "secp521r1", "-genkey"], &[]);
        assert!(p521.starts_with(b"-----BEGIN EC PARAMETERS-----"), "OpenSSL writes what is not a key first");
        let cases = [
            (openssl::run(&["rsa", "-traditional"], &rsa), SignatureAlgorithm::RSA),
            (openssl::run(&["ec"], &ec), SignatureAlgorithm::ECDSA),
            (openssl::run(&["genpkey", "-algorithm", "ed25519"], &[]), SignatureAlgorithm::ED25519),
            (p521, SignatureAlgorithm::ECDSA),
            (rsa, SignatureAlgorithm::RSA),
            (ec, SignatureAlgorithm::ECDSA),
        ];
        for (text, kind) in cases {
            assert_eq!(read(text.clone(), None), Ok(kind), "{}", String::from_utf8_lossy(&text));
        }
    }

    #[test]
    fn encrypted_keys_open_with_the_phrase_that_fits() {
        let (rsa, ec) = (openssl::run(RSA, &[]), openssl::run(P256, &[]));
        let pass = ["-passout", "pass:right"];
        let ways: [(&[&str], &[u8], _); 9] = [
            (&["rsa", "-traditional", "-des3"], &rsa, SignatureAlgorithm::RSA),
            (&["rsa", "-traditional", "-aes128"], &rsa, SignatureAlgorithm::RSA),
            (&["ec", "-aes192"], &ec, SignatureAlgorithm::ECDSA),
            (&["ec", "-aes256"], &ec, SignatureAlgorithm::ECDSA),
            (&["pkcs8", "-topk8", "-iter", "9"], &rsa, SignatureAlgorithm::RSA),
            (&["pkcs8", "-topk8", "-v2", "des3", "-iter", "9"], &rsa, SignatureAlgorithm::RSA),
            (
                &["pkcs8", "-topk8", "-v2", "aes-128-cbc", "-v2prf", "hmacWithSHA1", "-iter", "9"],
                &ec,
                SignatureAlgorithm::ECDSA,
            ),
            (
                &["pkcs8", "-topk8", "-v2", "aes-256-cbc", "-v2prf", "hmacWithSHA512", "-iter", "9"],
                &ec,
                SignatureAlgorithm::ECDSA,
            ),
            (&["pkcs8", "-topk8", "-scrypt", "-scrypt_N", "16"], &ec, SignatureAlgorithm::ECDSA),
        ];
        for (way, key, kind) in ways {
            let text = openssl::run(&[way, &pass[..]].concat(), key);
            assert_eq!(read(text.clone(), Some(&["wrong", "right"])), Ok(kind), "{way:?}");
            assert_eq!(read(text.clone(), Some(&["wrong", ""])), failure("no pass phrase fits"), "{way:?}");
            assert_eq!(
                read(text, None),
                failure("the key is encrypted, and there is no ssl_password_file"),
                "{way:?}"
            );
        }
    }

    #[test]
    fn keys_that_cannot_sign_here_are_refused() {
        let small = ["genpkey", "-quiet", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:1024"];
        let unsupported = failure(&Why::Key.to_string());
        assert_eq!(read(openssl::run(&small, &[]), None), unsupported);
        assert_eq!(read(openssl::run(&["ecparam", "-name", "secp256k1", "-genkey"], &[]), None), unsupported);
        assert_eq!(
            read("-----BEGIN DSA PRIVATE KEY-----\nAAEC\n-----END DSA PRIVATE KEY-----", None),
            unsupported
        );
        let exotic = openssl::run(&["ec", "-camellia256", "-passout", "pass:x"], &openssl::run(P256, &[]));
        assert_eq!(read(exotic, Some(&["x"])), failure("unsupported encryption CAMELLIA-256-CBC"));
    }

    #[test]
    fn files_without_a_key_are_refused() {
        assert_eq!(read("", None), failure("no private key in PEM form"));
        assert_eq!(read("-----BEGIN PRIVATE KEY-----\nAA", None), failure("bad PEM"));
    }

    #[test]
    fn keys_where_only_openssl_could_find_them_are_refused_by_name() {
        let files = Files::default();
        for (value, kind) in [("engine:pkcs11:x", "engine"), ("store:file:x", "store")] {
            let source = Source::key(value, |_| unreachable!("not a file"));
            let mistake = files.with(|environment| key(&source, None, environment)).expect_err("a mistake");
            assert_eq!(
                mistake.to_string(),
                format!(
                    "cannot load certificate key \"{value}\": loading \"{kind}:...\" certificate keys is not supported"
                )
            );
        }
    }
}
