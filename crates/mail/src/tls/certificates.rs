//! Certificates and revocation lists in PEM files.

use std::path::Path;

use rustls::pki_types::{CertificateDer, CertificateRevocationListDer};

use super::environment::{Environment, cannot_load};
use super::mistake::{Mistake, Why};
use super::pem::{Section, sections};
use super::settings::Source;
use super::x509;

const LEAF: &str = "PEM_read_bio_X509_AUX()";
const OTHERS: &str = "PEM_read_bio_X509()";

/// A server's certificate and those that lead from it towards its authority, leaf first.
pub(super) fn chain(
    source: &Source,
    environment: &Environment<'_>,
) -> Result<Vec<CertificateDer<'static>>, Mistake> {
    let fails = |step| cannot_load("certificate", source, step);
    let text = environment.content(source).map_err(fails(LEAF))?;
    let certificates = certificates(&text).map_err(fails(LEAF))?;
    for (index, certificate) in certificates.iter().enumerate() {
        if x509::parse(certificate).is_none() {
            return Err(fails(if index == 0 { LEAF } else { OTHERS })(Why::Malformed("certificate")));
        }
    }
    Ok(certificates)
}

/// The trusted certificates in `path`.
pub(super) fn authorities(
    path: &Path,
    environment: &Environment<'_>,
) -> Result<Vec<CertificateDer<'static>>, Mistake> {
    chain(&Source::File(path.to_owned()), environment)
}

/// The revocation lists in `path`.
pub(super) fn revocation_lists(
    path: &Path,
    environment: &Environment<'_>,
) -> Result<Vec<CertificateRevocationListDer<'static>>, Mistake> {
    let fails = || cannot_load("CRL", &path.display(), "PEM_read_bio_X509_CRL()");
    let text = environment.content(&Source::File(path.to_owned())).map_err(fails())?;
    let mut lists = Vec::new();
    for section in sections(&text) {
        let section = section.map_err(fails())?;
        if section.label == "X509 CRL" {
            lists.push(section.der.to_vec().into());
        }
    }
    if lists.is_empty() { Err(fails()(Why::NoPem("CRL"))) } else { Ok(lists) }
}

/// All certificates in `text`, at least one.
fn certificates(text: &[u8]) -> Result<Vec<CertificateDer<'static>>, Why> {
    let mut certificates = Vec::new();
    for section in sections(text) {
        certificates.extend(certificate(&section?)?);
    }
    if certificates.is_empty() { Err(Why::NoPem("certificate")) } else { Ok(certificates) }
}

/// The certificate in `section`, if it holds one.
fn certificate(section: &Section<'_>) -> Result<Option<CertificateDer<'static>>, Why> {
    let der = match section.label {
        "CERTIFICATE" | "X509 CERTIFICATE" => &section.der[..],
        // OpenSSL's own format: the certificate, then what it is trusted for.
        "TRUSTED CERTIFICATE" => x509::first_value(&section.der).ok_or(Why::Malformed("certificate"))?.0,
        _ => return Ok(None),
    };
    Ok(Some(der.to_vec().into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::testing::{Ca, Files, openssl};

    #[test]
    fn a_chain_is_all_certificates_of_its_file() {
        let (ca, mut files) = (Ca::new("ca"), Files::default());
        let leaf = ca.leaf("mail.example");
        let file = files.add(
            "c.pem",
            format!(
                "text\n{}-----BEGIN DH PARAMETERS-----\nAAEC\n-----END DH PARAMETERS-----\n{}",
                leaf.pem(),
                ca.pem()
            ),
        );
        let chain = files.with(|environment| chain(&Source::File(file.clone()), environment));
        assert_eq!(chain, Ok(vec![leaf.der.clone(), ca.der()]));
        let inline = Source::Data(leaf.pem().into_bytes()[..].into());
        assert_eq!(files.with(|environment| super::chain(&inline, environment)), Ok(vec![leaf.der]));
    }

    #[test]
    fn openssl_s_own_format_holds_a_certificate_too() {
        let (ca, mut files) = (Ca::new("ca"), Files::default());
        let trusted = openssl::run(&["x509", "-trustout", "-addtrust", "clientAuth"], ca.pem().as_bytes());
        assert!(trusted.starts_with(b"-----BEGIN TRUSTED CERTIFICATE-----"));
        let file = files.add("t.pem", trusted);
        assert_eq!(files.with(|environment| authorities(&file, environment)), Ok(vec![ca.der()]));
    }

    #[test]
    fn what_is_wrong_is_told_in_the_words_of_the_originals() {
        let mut files = Files::default();
        let cases = [
            ("", "PEM_read_bio_X509_AUX() failed (SSL: no certificate in PEM form)"),
            ("-----BEGIN CERTIFICATE-----\n", "PEM_read_bio_X509_AUX() failed (SSL: bad PEM)"),
            (
                "-----BEGIN CERTIFICATE-----\nAAEC\n-----END CERTIFICATE-----\n",
                "PEM_read_bio_X509_AUX() failed (SSL: malformed certificate)",
            ),
            (
                &format!(
                    "{}-----BEGIN CERTIFICATE-----\nAAEC\n-----END CERTIFICATE-----\n",
                    Ca::new("ca").pem()
                ),
                "PEM_read_bio_X509() failed (SSL: malformed certificate)",
            ),
        ];
        for (text, reason) in cases {
            let file = files.add("x.pem", text);
            let mistake = files
                .with(|environment| chain(&Source::File(file.clone()), environment))
                .expect_err("a mistake");
            assert_eq!(mistake.to_string(), format!("cannot load certificate \"/files/x.pem\": {reason}"));
        }
        let missing = Source::File("/files/none".into());
        let mistake = files.with(|environment| chain(&missing, environment)).expect_err("a mistake");
        assert_eq!(
            mistake.to_string(),
            "cannot load certificate \"/files/none\": BIO_new_file() failed (SSL: 2: No such file or directory)"
        );
        let file = files.add("crl.pem", Ca::new("ca").pem());
        let mistake = files.with(|environment| revocation_lists(&file, environment)).expect_err("a mistake");
        assert_eq!(
            mistake.to_string(),
            "cannot load CRL \"/files/crl.pem\": PEM_read_bio_X509_CRL() failed (SSL: no CRL in PEM form)"
        );
    }
}
