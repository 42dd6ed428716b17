//! Revocation lists: webpki's view of them, and one of our own for certificates outside webpki's reach.

use std::cmp::Reverse;

use rustls::pki_types::{CertificateRevocationListDer, UnixTime};
use webpki::{
    CertRevocationList, ExpirationPolicy, OwnedCertRevocationList, RevocationCheckDepth, RevocationOptions,
    RevocationOptionsBuilder, UnknownStatusPolicy,
};
use x509_parser::prelude::{CertificateRevocationList, FromDer};

use super::mistake::Why;
use super::signature;
use super::trust::Root;
use super::verify_error::VerifyError;
use super::x509::{Age, Validity};

/// The lists of one configuration, none or more.
#[derive(Debug, Default)]
pub(super) struct Lists(Vec<List>);

#[derive(Debug)]
struct List {
    webpki: CertRevocationList<'static>,
    validity: Validity,
    /// The roots that have signed it, by index.
    signers: Vec<usize>,
}

impl Lists {
    /// Reads `lists`; `roots` are those of the same configuration.
    pub(super) fn new(lists: &[CertificateRevocationListDer<'_>], roots: &[Root]) -> Result<Self, Why> {
        lists
            .iter()
            .map(|der| List::new(der, roots))
            .collect::<Option<_>>()
            .map(Self)
            .ok_or(Why::Malformed("CRL"))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// For webpki, which takes the first of an authority.
    pub(super) fn as_webpki(&self, now: UnixTime) -> Vec<&CertRevocationList<'static>> {
        self.best_first(now).into_iter().map(|list| &list.webpki).collect()
    }

    /// Those that count at `now`, then the others; the newest first. Of several lists of an authority one counts (as in
    /// OpenSSL), and a file to which lists are added has the one before the last in it too.
    fn best_first(&self, now: UnixTime) -> Vec<&List> {
        let mut lists: Vec<_> = self.0.iter().collect();
        lists.sort_by_key(|list| (list.validity.at(now) != Age::Present, Reverse(list.validity.begin())));
        lists
    }

    /// That the certificate with this `serial` number, issued by the root with this index, is not revoked. As in
    /// the originals, once there are lists every certificate must be covered by one.
    pub(super) fn check(&self, serial: &[u8], root: usize, now: UnixTime) -> Result<(), VerifyError> {
        if self.is_empty() {
            return Ok(());
        }
        let mut lists = self.best_first(now).into_iter();
        let list = lists.find(|list| list.signers.contains(&root)).ok_or(VerifyError::NoCrl)?;
        match list.validity.at(now) {
            Age::Future => return Err(VerifyError::CrlNotYetValid),
            Age::Past => return Err(VerifyError::CrlExpired),
            Age::Present => {}
        }
        match list.webpki.find_serial(serial) {
            Ok(None) => Ok(()),
            Ok(Some(_)) => Err(VerifyError::Revoked),
            Err(_) => Err(VerifyError::Unspecified),
        }
    }
}

impl List {
    fn new(der: &[u8], roots: &[Root]) -> Option<Self> {
        let webpki = OwnedCertRevocationList::from_der(der).ok()?.into();
        let (_, parsed) = CertificateRevocationList::from_der(der).ok()?;
        let validity = Validity::between(parsed.last_update(), parsed.next_update());
        let signed = |root: &Root| {
            root.may_sign_lists
                && *root.subject == *parsed.issuer().as_raw()
                && signature::is_by(
                    &root.public_key,
                    &parsed.signature_algorithm,
                    parsed.tbs_cert_list.as_ref(),
                    &parsed.signature_value.data,
                )
        };
        let signers = (0..roots.len()).filter(|index| signed(&roots[*index])).collect();
        Some(Self { webpki, validity, signers })
    }
}

/// How webpki is to use `lists`, at least one: every level of the chain, no exceptions.
pub(super) fn options<'a>(lists: &'a [&'a CertRevocationList<'a>]) -> Option<RevocationOptions<'a>> {
    let builder = RevocationOptionsBuilder::new(lists).ok()?;
    Some(
        builder
            .with_depth(RevocationCheckDepth::Chain)
            .with_status_policy(UnknownStatusPolicy::Deny)
            .with_expiration_policy(ExpirationPolicy::Enforce)
            .build(),
    )
}
