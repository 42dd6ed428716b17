//! Which certificate a client gets: by the name it asks for (SNI, RFC 6066), then by what its side can verify.
//!
//! Names are looked up in a table made with the configuration; nothing is kept per name or per client.

use std::collections::HashMap;
use std::sync::Arc;

use rustls::SignatureScheme;
use rustls::pki_types::{CertificateDer, DnsName};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use x509_parser::extensions::GeneralName;

use super::mistake::Mistake;
use super::pairs::Pair;
use super::x509;

/// How many of a client's signature schemes are looked at. Clients have fewer than 20; a hello has room for
/// thousands, which a server with many certificates would compare for long.
const MAX_SCHEMES: usize = 32;

/// The certificates of one server.
#[derive(Debug)]
pub(super) struct Certificates {
    pairs: Vec<Pair>,
    /// Names in lower case, `*.example.org` as it is, and which pairs are for them.
    by_name: HashMap<String, Vec<usize>>,
    /// The pairs for a client without a name, or with one that nobody knows: the first, and those of other key
    /// types that are for the same names.
    default: Vec<usize>,
}

impl Certificates {
    /// For at least one pair.
    pub(super) fn new(pairs: Vec<Pair>) -> Self {
        let mut by_name: HashMap<String, Vec<usize>> = HashMap::new();
        for (index, pair) in pairs.iter().enumerate() {
            for name in &pair.names {
                let indices = by_name.entry(name.clone()).or_default();
                if !indices.contains(&index) {
                    indices.push(index);
                }
            }
        }
        let default = (0..pairs.len()).filter(|index| same_names(&pairs[*index], &pairs[0])).collect();
        Self { pairs, by_name, default }
    }

    /// The certificates themselves, in the order of the settings.
    pub(super) fn leaves(&self) -> impl Iterator<Item = &CertificateDer<'static>> {
        self.pairs.iter().filter_map(|pair| pair.certified.cert.first())
    }

    /// The pair for a client that asks for `name` and can verify `schemes`, in its order of preference.
    fn choose(&self, name: Option<&str>, schemes: &[SignatureScheme]) -> Option<&Pair> {
        let first = name.and_then(|name| self.named(name)).unwrap_or(&self.default);
        // A certificate for another name is a last resort, and one that the client cannot verify the very last;
        // then it is the client who says so, with a proper alert.
        (signing(self.at(first), schemes))
            .or_else(|| signing(self.at(&self.default), schemes))
            .or_else(|| signing(self.pairs.iter(), schemes))
            .or_else(|| self.at(first).next())
    }

    fn at(&self, indices: &[usize]) -> impl Iterator<Item = &Pair> {
        indices.iter().filter_map(|index| self.pairs.get(*index))
    }

    fn named(&self, name: &str) -> Option<&Vec<usize>> {
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        self.by_name.get(&name).or_else(|| {
            let (_, parent) = name.split_once('.')?;
            self.by_name.get(&format!("*.{parent}"))
        })
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let pair = self.choose(hello.server_name(), hello.signature_schemes())?;
        Some(Arc::clone(&pair.certified))
    }
}

/// The one among `candidates` whose key signs in the way that the client likes best.
fn signing<'a>(candidates: impl Iterator<Item = &'a Pair>, schemes: &[SignatureScheme]) -> Option<&'a Pair> {
    let rank =
        |pair: &Pair| schemes.iter().take(MAX_SCHEMES).position(|scheme| pair.schemes.contains(scheme));
    // The first of those that rank the same.
    candidates
        .filter_map(|pair| Some((rank(pair)?, pair)))
        .min_by_key(|(rank, _)| *rank)
        .map(|(_, pair)| pair)
}

fn same_names(a: &Pair, b: &Pair) -> bool {
    a.names.iter().all(|name| b.names.contains(name)) && b.names.iter().all(|name| a.names.contains(name))
}

/// A name of `for=` in lower case: a host name, possibly with `*` as its first label.
pub(crate) fn pattern(name: &str) -> Result<String, Mistake> {
    let lower = name.trim_end_matches('.').to_ascii_lowercase();
    let rest = lower.strip_prefix("*.").unwrap_or(&lower);
    match DnsName::try_from(rest) {
        Ok(_) => Ok(lower),
        Err(_) => Err(Mistake::Name(name.to_owned())),
    }
}

/// The host names in a certificate: subject alternative names, or where it has none the last common name.
pub(super) fn names_in(certificate: &CertificateDer<'_>) -> Vec<String> {
    let Some(certificate) = x509::parse(certificate) else { return Vec::new() };
    let alternatives = certificate.subject_alternative_name().ok().flatten();
    let names: Vec<&str> = match &alternatives {
        Some(names) => names.value.general_names.iter().filter_map(dns_name).collect(),
        None => certificate
            .subject()
            .iter_common_name()
            .filter_map(|name| name.as_str().ok())
            .last()
            .into_iter()
            .collect(),
    };
    names.into_iter().filter_map(|name| pattern(name).ok()).collect()
}

fn dns_name<'a>(name: &GeneralName<'a>) -> Option<&'a str> {
    match name {
        GeneralName::DNSName(name) => Some(name),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::settings::Source;
    use crate::tls::testing::{Ca, Files, Leaf};

    const ECDSA: SignatureScheme = SignatureScheme::ECDSA_NISTP256_SHA256;
    const RSA: SignatureScheme = SignatureScheme::RSA_PSS_SHA256;

    fn certificates(leaves: &[(&Leaf, &[&str])]) -> Certificates {
        let mut files = Files::default();
        let pairs = leaves.iter().map(|(leaf, names)| {
            let certificate = Source::File(files.add("c", leaf.pem()));
            let key = Source::File(files.add("k", leaf.key_pem()));
            let names: Vec<_> = names.iter().map(ToString::to_string).collect();
            files
                .with(|environment| Pair::load(&certificate, &key, None, &names, environment))
                .expect("a pair")
        });
        Certificates::new(pairs.collect())
    }

    /// Which of `leaves` a client gets.
    fn chosen(leaves: &[(&Leaf, &[&str])], name: Option<&str>, schemes: &[SignatureScheme]) -> Option<usize> {
        let certificates = certificates(leaves);
        let pair = certificates.choose(name, schemes)?;
        leaves.iter().position(|(leaf, _)| leaf.der == pair.certified.cert[0])
    }

    #[test]
    fn names_of_the_certificates_serve_when_nothing_is_said() {
        let ca = Ca::new("ca");
        let (a, b, wild) = (ca.leaf("a.example"), ca.leaf("b.example"), ca.leaf("*.example.org"));
        let leaves: [(&Leaf, &[&str]); 3] = [(&a, &[]), (&b, &[]), (&wild, &[])];
        let cases = [
            (Some("a.example"), 0),
            (Some("B.Example"), 1),
            (Some("b.example."), 1),
            (Some("x.example.org"), 2),
            (Some("x.y.example.org"), 0),
            (Some("example.org"), 0),
            (Some("c.example"), 0),
            (None, 0),
        ];
        for (name, index) in cases {
            assert_eq!(chosen(&leaves, name, &[ECDSA, RSA]), Some(index), "{name:?}");
        }
    }

    #[test]
    fn names_that_are_given_replace_those_of_the_certificate() {
        let ca = Ca::new("ca");
        let (a, b) = (ca.leaf("a.example"), ca.leaf("b.example"));
        let leaves: [(&Leaf, &[&str]); 2] = [(&a, &["x.example"]), (&b, &["*.Mail.example", "a.example"])];
        let cases = [("a.example", 1), ("b.example", 0), ("x.example", 0), ("imap.mail.example", 1)];
        for (name, index) in cases {
            assert_eq!(chosen(&leaves, Some(name), &[ECDSA]), Some(index), "{name}");
        }
    }

    #[test]
    fn among_types_the_client_s_preference_decides() {
        let ca = Ca::new("ca");
        let (rsa, ec, other) = (ca.rsa_leaf("a.example"), ca.leaf("a.example"), ca.leaf("b.example"));
        let leaves: [(&Leaf, &[&str]); 3] = [(&rsa, &[]), (&ec, &[]), (&other, &[])];
        let cases: [(Option<&str>, &[SignatureScheme], usize); 7] = [
            (Some("a.example"), &[ECDSA, RSA], 1),
            (Some("a.example"), &[RSA, ECDSA], 0),
            (None, &[ECDSA, RSA], 1),
            (None, &[RSA], 0),
            (Some("b.example"), &[RSA, ECDSA], 2),
            (Some("b.example"), &[RSA], 0),
            (Some("b.example"), &[SignatureScheme::ED448], 2),
        ];
        for (name, schemes, index) in cases {
            assert_eq!(chosen(&leaves, name, schemes), Some(index), "{name:?} {schemes:?}");
        }
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for name in ["", "*", "*.", "a..b", "a b", "*.*.a", "a.*.b"] {
            assert_eq!(pattern(name), Err(Mistake::Name(name.into())), "{name}");
        }
        assert_eq!(pattern("*.Example.ORG."), Ok("*.example.org".into()));
    }
}
