//! Certificates with their keys: the i-th with the i-th, as the originals pair them.

use std::sync::Arc;

use proto::Secret;
use rustls::pki_types::CertificateDer;
use rustls::sign::{CertifiedKey, SigningKey};
use rustls::{SignatureAlgorithm, SignatureScheme};

use super::certificates::chain;
use super::environment::Environment;
use super::keys;
use super::mistake::{Mistake, Why};
use super::settings::{ServerSettings, Source};
use super::sni;
use super::x509;

/// Every scheme by which a key may sign in TLS 1.2 or 1.3.
const SCHEMES: [SignatureScheme; 10] = [
    SignatureScheme::ED25519,
    SignatureScheme::ECDSA_NISTP256_SHA256,
    SignatureScheme::ECDSA_NISTP384_SHA384,
    SignatureScheme::ECDSA_NISTP521_SHA512,
    SignatureScheme::RSA_PSS_SHA256,
    SignatureScheme::RSA_PSS_SHA384,
    SignatureScheme::RSA_PSS_SHA512,
    SignatureScheme::RSA_PKCS1_SHA256,
    SignatureScheme::RSA_PKCS1_SHA384,
    SignatureScheme::RSA_PKCS1_SHA512,
];

/// A certificate with its key, and what it is good for.
#[derive(Debug)]
pub(super) struct Pair {
    pub(super) certified: Arc<CertifiedKey>,
    /// The names that it is for, in lower case.
    pub(super) names: Vec<String>,
    /// How its key signs.
    pub(super) schemes: Vec<SignatureScheme>,
}

impl Pair {
    /// Loads one pair; it is for `names`, or if there are none for the certificate's own.
    pub(super) fn load(
        certificate: &Source,
        key: &Source,
        passphrases: Option<&[Secret]>,
        names: &[String],
        environment: &Environment<'_>,
    ) -> Result<Self, Mistake> {
        let chain = chain(certificate, environment)?;
        let signing = keys::key(key, passphrases, environment)?;
        belongs(&*signing, &chain[0])
            .map_err(|why| Mistake::Call("SSL_CTX_use_PrivateKey", key.to_string(), why))?;
        let names = if names.is_empty() {
            sni::names_in(&chain[0])
        } else {
            names.iter().map(|name| sni::pattern(name)).collect::<Result<_, _>>()?
        };
        let schemes =
            SCHEMES.into_iter().filter(|scheme| signing.choose_scheme(&[*scheme]).is_some()).collect();
        Ok(Self { certified: Arc::new(CertifiedKey::new(chain, signing)), names, schemes })
    }

    /// The kind of key.
    pub(super) fn kind(&self) -> SignatureAlgorithm {
        self.certified.key.algorithm()
    }
}

/// All pairs of a server, at least one. Keys without a certificate are ignored, as in the originals.
pub(super) fn load(settings: &ServerSettings, environment: &Environment<'_>) -> Result<Vec<Pair>, Mistake> {
    let phrases = settings.passphrases.as_deref();
    let pairs = settings.certificates.iter().zip(&settings.keys);
    pairs
        .map(|(certificate, key)| {
            Pair::load(&certificate.source, key, phrases, &certificate.names, environment)
        })
        .collect()
}

/// That there are as many keys as certificates, and some; the first thing to check of all.
pub(super) fn are_complete(settings: &ServerSettings) -> Result<(), Mistake> {
    let wanted_by = settings.wanted_by;
    let Some(last) = settings.certificates.last() else { return Err(Mistake::NoCertificate(wanted_by)) };
    if settings.keys.is_empty() {
        return Err(Mistake::NoKey(wanted_by));
    }
    if settings.keys.len() < settings.certificates.len() {
        return Err(Mistake::NoKeyFor { certificate: last.source.to_string(), wanted_by });
    }
    Ok(())
}

/// That `key` is the key of `certificate`.
///
/// The originals notice a key of another type at the first handshake only; here it does not get that far.
fn belongs(key: &dyn SigningKey, certificate: &CertificateDer<'_>) -> Result<(), Why> {
    let certificate = x509::parse(certificate).ok_or(Why::Malformed("certificate"))?;
    let ours = key.public_key().ok_or(Why::Key)?;
    let theirs = x509::public_key(&certificate);
    if *ours == *theirs {
        return Ok(());
    }
    let kind = |key| x509::key_kind(key);
    Err(if kind(&ours) == kind(theirs) { Why::Mismatch } else { Why::TypeMismatch })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::settings::{CertificateSetting, WantedBy};
    use crate::tls::testing::{Ca, Files, Leaf, openssl};
    use proto::Protocol;

    fn loaded(certificates: &[&Leaf], keys: &[&Leaf]) -> Result<Vec<SignatureAlgorithm>, String> {
        let mut files = Files::default();
        let mut settings = ServerSettings::new(Protocol::Imap);
        settings.wanted_by = WantedBy::Starttls;
        for (index, leaf) in certificates.iter().enumerate() {
            let path = files.add(&format!("{index}.crt"), leaf.pem());
            settings.certificates.push(CertificateSetting::new(Source::File(path)));
        }
        for (index, leaf) in keys.iter().enumerate() {
            settings.keys.push(Source::File(files.add(&format!("{index}.key"), leaf.key_pem())));
        }
        let pairs =
            are_complete(&settings).and_then(|()| files.with(|environment| load(&settings, environment)));
        pairs.map(|pairs| pairs.iter().map(Pair::kind).collect()).map_err(|mistake| mistake.to_string())
    }

    #[test]
    fn several_pairs_of_different_types_go_together() {
        let ca = Ca::new("ca");
        let (rsa, ec) = (ca.rsa_leaf("a.example"), ca.leaf("a.example"));
        assert_eq!(
            loaded(&[&rsa, &ec], &[&rsa, &ec]),
            Ok(vec![SignatureAlgorithm::RSA, SignatureAlgorithm::ECDSA])
        );
    }

    #[test]
    fn surplus_keys_are_ignored_and_missing_ones_are_not() {
        let ca = Ca::new("ca");
        let (a, b) = (ca.leaf("a.example"), ca.leaf("b.example"));
        assert_eq!(loaded(&[&a], &[&a, &b]), Ok(vec![SignatureAlgorithm::ECDSA]));
        assert_eq!(
            loaded(&[], &[&a]),
            Err("no \"ssl_certificate\" is defined for the \"starttls\" directive".into())
        );
        assert_eq!(
            loaded(&[&a], &[]),
            Err("no \"ssl_certificate_key\" is defined for the \"starttls\" directive".into())
        );
        assert_eq!(
            loaded(&[&a, &b], &[&a]),
            Err("no \"ssl_certificate_key\" is defined for certificate \"/files/1.crt\" and the \"starttls\" directive".into())
        );
    }

    #[test]
    fn a_key_of_another_certificate_is_noticed() {
        let ca = Ca::new("ca");
        let (a, b, rsa) = (ca.leaf("a.example"), ca.leaf("b.example"), ca.rsa_leaf("a.example"));
        let mismatch = |why| Err(format!("SSL_CTX_use_PrivateKey(\"/files/0.key\") failed (SSL: {why})"));
        assert_eq!(loaded(&[&a], &[&b]), mismatch("key values mismatch"));
        assert_eq!(loaded(&[&rsa], &[&a]), mismatch("key type mismatch"));
        assert_eq!(loaded(&[&a], &[&rsa]), mismatch("key type mismatch"));
    }

    #[test]
    fn certificates_of_the_first_version_have_keys_too() {
        let key = openssl::run(&["genpkey", "-algorithm", "ed25519"], &[]);
        let leaf = openssl::version_1(&key);
        let mut files = Files::default();
        let (certificate, key) = (Source::File(files.add("c", leaf)), Source::File(files.add("k", key)));
        let pair = files.with(|environment| Pair::load(&certificate, &key, None, &[], environment));
        assert_eq!(pair.expect("a pair").schemes, [SignatureScheme::ED25519]);
    }
}
