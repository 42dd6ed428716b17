//! Whether a chain of certificates leads to someone trusted.
//!
//! webpki decides. What is added is what OpenSSL's users are used to: a limit of intermediate authorities, roots
//! that expire or are no authorities, results in OpenSSL's numbers, and two kinds of leaf that webpki does not
//! take: a trusted self-signed certificate presented as it is, and a certificate of version 1 or of an authority
//! directly below a root. Both get all the checks that a leaf without intermediates can fail.

use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, TrustAnchor, UnixTime};
use webpki::{EndEntityCert, Error, VerifiedPath, anchor_from_trusted_cert};
use x509_parser::extensions::KeyUsage;
use x509_parser::prelude::{X509Certificate, X509Version};

use super::mistake::Why;
use super::revocation::{self, Lists};
use super::signature;
use super::verify_error::VerifyError;
use super::x509::{self, Validity};

/// How many of the certificates that a peer presents are looked at. Chains are shorter; each costs time.
const MAX_PRESENTED: usize = 16;

/// What a peer's certificate must be good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// A client's.
    Client,
    /// A server's.
    Server,
}

impl Purpose {
    fn webpki(self) -> webpki::KeyUsage {
        match self {
            Self::Client => webpki::KeyUsage::client_auth(),
            Self::Server => webpki::KeyUsage::server_auth(),
        }
    }
}

/// Who is trusted, and how far.
#[derive(Debug)]
pub(super) struct Trust {
    roots: Vec<Root>,
    /// Those of the roots that are authorities, for webpki, and which of the roots each is.
    anchors: Vec<TrustAnchor<'static>>,
    of_anchors: Vec<usize>,
    /// Trusted certificates that are not self-signed: they help chains to a root, as in OpenSSL, and no more.
    intermediates: Vec<CertificateDer<'static>>,
    lists: Lists,
    depth: usize,
}

/// A trusted certificate that is self-signed.
#[derive(Debug)]
pub(super) struct Root {
    der: CertificateDer<'static>,
    pub(super) subject: Vec<u8>,
    pub(super) public_key: Vec<u8>,
    key_id: Option<Vec<u8>>,
    validity: Validity,
    is_authority: bool,
    /// Through how many others it may vouch; webpki asks that of intermediates only.
    path_length: Option<usize>,
    limits_names: bool,
    pub(super) may_sign_lists: bool,
}

impl Trust {
    /// Trusts `certificates`, through at most `depth` intermediate authorities. Those that cannot be read are left
    /// out.
    pub(super) fn new(certificates: Vec<CertificateDer<'static>>, depth: usize) -> Self {
        let (mut roots, mut intermediates) = (Vec::new(), Vec::new());
        for der in certificates {
            match Root::new(&der) {
                Some(root) => roots.push(root),
                None => intermediates.push(der),
            }
        }
        let (mut anchors, mut of_anchors) = (Vec::new(), Vec::new());
        for (index, root) in roots.iter().enumerate().filter(|(_, root)| root.is_authority) {
            if let Ok(anchor) = anchor_from_trusted_cert(&root.der) {
                anchors.push(anchor.to_owned());
                of_anchors.push(index);
            }
        }
        Self { roots, anchors, of_anchors, intermediates, lists: Lists::default(), depth }
    }

    /// As far as `lists` do not take back what the certificates say.
    pub(super) fn with_lists(mut self, lists: &[CertificateRevocationListDer<'_>]) -> Result<Self, Why> {
        self.lists = Lists::new(lists, &self.roots)?;
        Ok(self)
    }

    /// That `chain`, leaf first, is good for `purpose` at `now`. Whose name is in it is not asked here.
    pub(super) fn check(
        &self,
        chain: &[CertificateDer<'_>],
        purpose: Purpose,
        now: UnixTime,
    ) -> Result<(), VerifyError> {
        let (leaf, presented) = chain.split_first().ok_or(VerifyError::Unspecified)?;
        let presented = &presented[..presented.len().min(MAX_PRESENTED)];
        if let Some(index) = self.roots.iter().position(|root| root.der == *leaf) {
            return self.check_directly(leaf, index, purpose, now);
        }
        match self.check_path(leaf, presented, purpose, now) {
            Ok(()) => Ok(()),
            Err(Error::UnsupportedCertVersion | Error::CaUsedAsEndEntity) => {
                match self.issuer_among_roots(leaf)? {
                    Some(index) => self.check_directly(leaf, index, purpose, now),
                    None => Err(self.what_is_missing(leaf, presented, purpose, now)),
                }
            }
            Err(Error::UnknownIssuer) => Err(self.what_is_missing(leaf, presented, purpose, now)),
            // Another authority of the same name, such as the one before this one, is nobody that we know.
            Err(Error::InvalidSignatureForPublicKey) if !chain.iter().any(|der| self.may_be_issued(der)) => {
                Err(self.what_is_missing(leaf, presented, purpose, now))
            }
            Err(error) => Err(error.into()),
        }
    }

    fn check_path(
        &self,
        leaf: &CertificateDer<'_>,
        presented: &[CertificateDer<'_>],
        purpose: Purpose,
        now: UnixTime,
    ) -> Result<(), Error> {
        let leaf = EndEntityCert::try_from(leaf)?;
        let others = presented.iter().chain(&self.intermediates);
        let others: Vec<_> = others.map(|der| CertificateDer::from(der.as_ref())).collect();
        let lists = self.lists.as_webpki(now);
        leaf.verify_for_usage(
            signature::algorithms().all,
            &self.anchors,
            &others,
            now,
            purpose.webpki(),
            revocation::options(&lists),
            Some(&|path| self.accept(path, now)),
        )?;
        Ok(())
    }

    /// What webpki does not ask of a path.
    fn accept(&self, path: &VerifiedPath<'_>, now: UnixTime) -> Result<(), Error> {
        let intermediates = path.intermediate_certificates().count();
        if intermediates > self.depth {
            return Err(Error::MaximumPathDepthExceeded);
        }
        let anchor = self.anchors.iter().position(|anchor| std::ptr::eq(anchor, path.anchor()));
        let root = anchor
            .and_then(|index| self.roots.get(*self.of_anchors.get(index)?))
            .ok_or(Error::UnknownIssuer)?;
        if root.path_length.is_some_and(|most| intermediates > most) {
            return Err(Error::PathLenConstraintViolated);
        }
        match root.validity.check(now) {
            Ok(()) => Ok(()),
            Err(VerifyError::NotYetValid) => Err(Error::CertNotValidYet { time: now, not_before: now }),
            Err(_) => Err(Error::CertExpired { time: now, not_after: now }),
        }
    }

    /// The root that has signed `leaf`, if any says that it has.
    fn issuer_among_roots(&self, leaf: &CertificateDer<'_>) -> Result<Option<usize>, VerifyError> {
        let leaf = x509::parse(leaf).ok_or(VerifyError::Unspecified)?;
        let named: Vec<_> =
            (0..self.roots.len()).filter(|index| self.roots[*index].may_have_issued(&leaf)).collect();
        match named.iter().find(|index| self.roots[**index].has_signed(&leaf)) {
            None if !named.is_empty() => Err(VerifyError::Signature),
            signer => Ok(signer.copied()),
        }
    }

    fn may_be_issued(&self, der: &CertificateDer<'_>) -> bool {
        x509::parse(der)
            .is_some_and(|certificate| self.roots.iter().any(|root| root.may_have_issued(&certificate)))
    }

    /// Everything that a leaf can fail right below a root, or being one.
    fn check_directly(
        &self,
        leaf: &CertificateDer<'_>,
        root: usize,
        purpose: Purpose,
        now: UnixTime,
    ) -> Result<(), VerifyError> {
        let is_root_itself = self.roots[root].der == *leaf;
        let leaf = x509::parse(leaf).ok_or(VerifyError::Unspecified)?;
        if !is_root_itself {
            self.roots[root].may_issue(now)?;
        }
        check_extensions(&leaf, purpose)?;
        Validity::of(&leaf).check(now)?;
        self.lists.check(leaf.tbs_certificate.raw_serial(), root, now)
    }

    /// What OpenSSL says last where webpki says no more than that the issuer is unknown.
    fn what_is_missing(
        &self,
        leaf: &CertificateDer<'_>,
        presented: &[CertificateDer<'_>],
        purpose: Purpose,
        now: UnixTime,
    ) -> VerifyError {
        let Some(leaf) = x509::parse(leaf) else { return VerifyError::Unspecified };
        if let Err(error) = Validity::of(&leaf).check(now) {
            return error;
        }
        match self.end_of_chain(&leaf, presented) {
            VerifyError::NoChain => VerifyError::NoChain,
            error => check_extensions(&leaf, purpose).err().unwrap_or(error),
        }
    }

    /// How the chain of `leaf` ends before it comes to a root; it is followed by names, as far as it may go.
    fn end_of_chain(&self, leaf: &X509Certificate<'_>, presented: &[CertificateDer<'_>]) -> VerifyError {
        let presented: Vec<_> = presented.iter().filter_map(|der| x509::parse(der)).collect();
        let trusted: Vec<_> = self.intermediates.iter().filter_map(|der| x509::parse(der)).collect();
        let (mut last, mut length, mut last_is_trusted) = (leaf, 1, false);
        while length <= self.depth.saturating_add(1) && !x509::is_self_issued(last) {
            if self.roots.iter().any(|root| !root.is_authority && root.may_have_issued(last)) {
                return VerifyError::Purpose;
            }
            let is_issuer = |other: &&X509Certificate<'_>| other.subject().as_raw() == last.issuer().as_raw();
            let known = trusted.iter().find(is_issuer);
            let Some(issuer) = known.or_else(|| presented.iter().find(is_issuer)) else { break };
            (last, length, last_is_trusted) = (issuer, length + 1, known.is_some());
        }
        match (x509::is_self_issued(last), length) {
            (true, 1) => VerifyError::SelfSigned,
            (true, _) => VerifyError::SelfSignedInChain,
            (false, _) if last_is_trusted => VerifyError::NoIssuer,
            (false, 1) => VerifyError::NoChain,
            (false, _) => VerifyError::NoLocalIssuer,
        }
    }
}

impl Root {
    /// `None`: not self-signed, or not readable.
    fn new(der: &CertificateDer<'static>) -> Option<Self> {
        let certificate = x509::parse(der)?;
        if !x509::is_self_issued(&certificate) {
            return None;
        }
        let usage = certificate.key_usage().ok().flatten().map(|usage| usage.value);
        Some(Self {
            subject: certificate.subject().as_raw().to_vec(),
            public_key: x509::public_key(&certificate).to_vec(),
            key_id: x509::subject_key_id(&certificate).map(<[u8]>::to_vec),
            validity: Validity::of(&certificate),
            is_authority: is_authority(&certificate),
            path_length: path_length(&certificate),
            limits_names: !matches!(certificate.name_constraints(), Ok(None)),
            may_sign_lists: usage.is_none_or(KeyUsage::crl_sign),
            der: der.clone(),
        })
    }

    /// Whether names and key identifiers say so; signatures are another matter.
    fn may_have_issued(&self, certificate: &X509Certificate<'_>) -> bool {
        let same_key = match (x509::authority_key_id(certificate), &self.key_id) {
            (Some(theirs), Some(ours)) => *theirs == **ours,
            _ => true,
        };
        *self.subject == *certificate.issuer().as_raw() && same_key
    }

    fn has_signed(&self, certificate: &X509Certificate<'_>) -> bool {
        x509::names_one_algorithm(certificate.as_raw())
            && signature::is_by(
                &self.public_key,
                &certificate.signature_algorithm,
                certificate.tbs_certificate.as_ref(),
                &certificate.signature_value.data,
            )
    }

    /// That it can vouch for a leaf that webpki has not looked at.
    fn may_issue(&self, now: UnixTime) -> Result<(), VerifyError> {
        if !self.is_authority {
            return Err(VerifyError::Purpose);
        }
        if self.limits_names {
            return Err(VerifyError::PermittedNames);
        }
        self.validity.check(now)
    }
}

/// Whether a self-signed certificate may issue others, by the rules of OpenSSL: it says so, or it is of a version
/// that cannot say. A trusted client's own certificate must not make its owner an authority.
fn is_authority(certificate: &X509Certificate<'_>) -> bool {
    let (Ok(constraints), Ok(usage)) = (certificate.basic_constraints(), certificate.key_usage()) else {
        return false;
    };
    if usage.as_ref().is_some_and(|usage| !usage.value.key_cert_sign()) {
        return false;
    }
    match constraints {
        Some(constraints) => constraints.value.ca,
        None => certificate.version() == X509Version::V1 || usage.is_some(),
    }
}

fn path_length(certificate: &X509Certificate<'_>) -> Option<usize> {
    let length = certificate.basic_constraints().ok()??.value.path_len_constraint?;
    usize::try_from(length).ok()
}

/// That the extensions of a leaf allow `purpose` (RFC 5280, sections 4.2.1.3 and 4.2.1.12) and that nothing in
/// them is critical and not understood.
fn check_extensions(leaf: &X509Certificate<'_>, purpose: Purpose) -> Result<(), VerifyError> {
    use x509_parser::extensions::ParsedExtension as E;
    for extension in leaf.extensions() {
        match extension.parsed_extension() {
            E::ExtendedKeyUsage(usage) => {
                let fits = match purpose {
                    Purpose::Client => usage.client_auth,
                    Purpose::Server => usage.server_auth,
                };
                if !fits {
                    return Err(VerifyError::Purpose);
                }
            }
            E::KeyUsage(usage) if !usage.digital_signature() && !usage.key_agreement() => {
                return Err(VerifyError::Purpose);
            }
            E::ParseError { .. } => return Err(VerifyError::Extension),
            E::KeyUsage(_)
            | E::BasicConstraints(_)
            | E::SubjectAlternativeName(_)
            | E::SubjectKeyIdentifier(_)
            | E::AuthorityKeyIdentifier(_) => {}
            _ if extension.critical => return Err(VerifyError::CriticalExtension),
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
