//! Chains, judged by us and by `openssl verify`.

use rcgen::{
    BasicConstraints, CertificateParams, GeneralSubtree, IsCa, KeyUsagePurpose, NameConstraints,
    SerialNumber, date_time_ymd,
};

use super::*;
use crate::tls::names::{certificate_facts, pem};
use crate::tls::testing::{
    Ca, Leaf, NOW, client, new_key, now, openssl, params, self_signed, unknown_extension,
};

/// A chain, and who is asked about it.
struct Case {
    what: &'static str,
    trusted: Vec<CertificateDer<'static>>,
    lists: Vec<CertificateRevocationListDer<'static>>,
    chain: Vec<CertificateDer<'static>>,
    depth: usize,
}

impl Case {
    fn new<const N: usize, const M: usize>(
        what: &'static str,
        trusted: [CertificateDer<'static>; N],
        chain: [CertificateDer<'static>; M],
    ) -> Self {
        Self { what, trusted: trusted.into(), lists: Vec::new(), chain: chain.into(), depth: 1 }
    }

    fn depth(self, depth: usize) -> Self {
        Self { depth, ..self }
    }

    fn lists<const N: usize>(self, lists: [CertificateRevocationListDer<'static>; N]) -> Self {
        Self { lists: lists.into(), ..self }
    }

    fn ours(&self) -> u8 {
        let trust = Trust::new(self.trusted.clone(), self.depth).with_lists(&self.lists).expect("lists");
        trust.check(&self.chain, Purpose::Client, now()).map_or_else(VerifyError::code, |()| 0)
    }

    /// The last error that OpenSSL finds; it goes on after most.
    fn theirs(&self) -> u8 {
        let directory = tempfile::tempdir().expect("a directory");
        let write = |name: &str, content: String| {
            let path = directory.path().join(name);
            std::fs::write(&path, content).expect("a file");
            path.to_str().expect("text").to_owned()
        };
        let all =
            |certificates: &[CertificateDer<'_>]| certificates.iter().map(|der| pem(der)).collect::<String>();
        let list = |list: &CertificateRevocationListDer<'_>| pem(list).replace("CERTIFICATE", "X509 CRL");
        let (time, depth) = (NOW.to_string(), self.depth.to_string());
        let mut arguments = vec!["verify".to_owned()];
        arguments
            .extend(["-attime", &time, "-verify_depth", &depth, "-purpose", "sslclient"].map(Into::into));
        arguments.extend(["-CAfile".into(), write("trusted", all(&self.trusted)), "-no-CApath".into()]);
        if !self.lists.is_empty() {
            arguments.extend(["-crl_check".into(), "-crl_check_all".into(), "-CRLfile".into()]);
            arguments.push(write("lists", self.lists.iter().map(list).collect()));
        }
        if self.chain.len() > 1 {
            arguments.extend(["-untrusted".into(), write("untrusted", all(&self.chain[1..]))]);
        }
        arguments.push(write("leaf", pem(&self.chain[0])));
        let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        match openssl::last_verify_error(&arguments) {
            // There `openssl verify` stops; a server goes on, and the originals show the last that it finds.
            20 if self.chain.len() == 1 => 21,
            22 => 20,
            code => code,
        }
    }
}

fn check(cases: impl IntoIterator<Item = (Case, u8)>) {
    for (case, code) in cases {
        assert_eq!((case.ours(), case.theirs()), (code, code), "{}", case.what);
    }
}

/// `params` changed by `change`, signed by `ca`.
fn leaf(ca: &Ca, change: impl FnOnce(&mut CertificateParams)) -> CertificateDer<'static> {
    let mut params = client("client");
    change(&mut params);
    ca.sign(&params, new_key()).der
}

#[test]
fn chains_lead_to_a_root_within_the_depth() {
    let ca = Ca::new("ca");
    let (one, two) = (ca.below("one"), ca.below("one").below("two"));
    let middle = ca.below("middle");
    let last = middle.below("last");
    let direct = leaf(&ca, |_| {});
    let (via_one, via_last) = (leaf(&one, |_| {}), leaf(&last, |_| {}));
    check([
        (Case::new("below the root", [ca.der()], [direct.clone()]), 0),
        (Case::new("below the root, no intermediates", [ca.der()], [direct.clone()]).depth(0), 0),
        (Case::new("one intermediate", [ca.der()], [via_one.clone(), one.der()]), 0),
        (Case::new("one too many", [ca.der()], [via_one.clone(), one.der()]).depth(0), 20),
        (Case::new("two", [ca.der()], [via_last.clone(), last.der(), middle.der()]).depth(2), 0),
        (Case::new("two too many", [ca.der()], [via_last.clone(), last.der(), middle.der()]), 20),
        (Case::new("others in between", [ca.der()], [via_one.clone(), two.der(), one.der(), ca.der()]), 0),
        (Case::new("a trusted intermediate", [ca.der(), one.der()], [via_one.clone()]), 0),
    ]);
}

#[test]
fn what_is_missing_is_named() {
    let (ca, stranger) = (Ca::new("ca"), Ca::new("stranger"));
    let one = ca.below("one");
    let strange = stranger.below("strange");
    let expired = |params: &mut CertificateParams| params.not_after = date_time_ymd(2029, 1, 1);
    let alone = self_signed(&client("alone"));
    let mut old = client("old");
    expired(&mut old);
    check([
        (Case::new("no intermediate", [ca.der()], [leaf(&one, |_| {})]), 21),
        (Case::new("a stranger's", [ca.der()], [leaf(&stranger, |_| {})]), 21),
        (Case::new("through a stranger's", [ca.der()], [leaf(&strange, |_| {}), strange.der()]), 20),
        (
            Case::new(
                "up to a stranger",
                [ca.der()],
                [leaf(&strange, |_| {}), strange.der(), stranger.der()],
            )
            .depth(2),
            19,
        ),
        (Case::new("self-signed", [ca.der()], [alone.der]), 18),
        (Case::new("self-signed and expired", [ca.der()], [self_signed(&old).der]), 10),
        (Case::new("a strange authority itself", [ca.der()], [stranger.der()]), 26),
        (Case::new("only a trusted intermediate", [one.der()], [leaf(&one, |_| {})]), 2),
    ]);
    // Here `openssl verify` stops at 20; its servers go on to 21 and then to this.
    assert_eq!(Case::new("a stranger's and expired", [ca.der()], [leaf(&stranger, expired)]).ours(), 10);
}

#[test]
fn nobody_is_trusted_when_nobody_is_named() {
    let ca = Ca::new("ca");
    let case = Case::new("nobody", [], [leaf(&ca, |_| {})]);
    assert_eq!(case.ours(), 21);
    assert_eq!(Trust::new(Vec::new(), 1).check(&[], Purpose::Client, now()), Err(VerifyError::Unspecified));
}

#[test]
fn everything_has_its_time() {
    let ca = Ca::new("ca");
    let past = date_time_ymd(2029, 1, 1);
    let future = date_time_ymd(2031, 1, 1);
    let authority = |not_after| {
        let mut params = params("old ca");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.not_after = not_after;
        params
    };
    let old = Ca::with(authority(past));
    let old_between = ca.below_with(authority(past));
    check([
        (Case::new("expired", [ca.der()], [leaf(&ca, |params| params.not_after = past)]), 10),
        (Case::new("not yet valid", [ca.der()], [leaf(&ca, |params| params.not_before = future)]), 9),
        (Case::new("an expired root", [old.der()], [leaf(&old, |_| {})]), 10),
        (
            Case::new("an expired intermediate", [ca.der()], [leaf(&old_between, |_| {}), old_between.der()]),
            10,
        ),
    ]);
}

#[test]
fn extensions_are_obeyed() {
    use rcgen::ExtendedKeyUsagePurpose::{ClientAuth, ServerAuth};
    let ca = Ca::new("ca");
    let narrow = Ca::with({
        let mut params = params("narrow");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params
    });
    let below = narrow.below("below");
    let fenced = Ca::with({
        let mut params = params("fenced");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.name_constraints = Some(NameConstraints {
            permitted_subtrees: vec![GeneralSubtree::DnsName("example.org".into())],
            excluded_subtrees: vec![],
        });
        params
    });
    let named = |ca: &Ca, name: &str| ca.sign(&params(name), new_key()).der;
    check([
        (Case::new("no usage", [ca.der()], [leaf(&ca, |params| params.extended_key_usages.clear())]), 0),
        (
            Case::new(
                "a server's",
                [ca.der()],
                [leaf(&ca, |params| params.extended_key_usages = vec![ServerAuth])],
            ),
            26,
        ),
        (
            Case::new(
                "both",
                [ca.der()],
                [leaf(&ca, |params| params.extended_key_usages = vec![ServerAuth, ClientAuth])],
            ),
            0,
        ),
        (
            Case::new(
                "unknown",
                [ca.der()],
                [leaf(&ca, |params| params.custom_extensions = vec![unknown_extension(false)])],
            ),
            0,
        ),
        (
            Case::new(
                "critical",
                [ca.der()],
                [leaf(&ca, |params| params.custom_extensions = vec![unknown_extension(true)])],
            ),
            34,
        ),
        (Case::new("too far below", [narrow.der()], [leaf(&below, |_| {}), below.der()]), 25),
        (Case::new("within the fence", [fenced.der()], [named(&fenced, "a.example.org")]), 0),
        (Case::new("outside the fence", [fenced.der()], [named(&fenced, "a.example.net")]), 47),
    ]);
}

#[test]
fn signatures_are_checked() {
    let ca = Ca::new("ca");
    let mut forged = leaf(&ca, |_| {}).to_vec();
    *forged.last_mut().expect("bytes") ^= 1;
    let again = Ca::new("ca");
    let idle = ca.below_with(params("no authority"));
    let unidentified = leaf(&again, |params| params.use_authority_key_identifier_extension = false);
    check([
        (Case::new("forged", [ca.der()], [forged.into()]), 7),
        (Case::new("another authority of that name", [ca.der()], [unidentified]), 7),
        (Case::new("another, and it says which", [ca.der()], [leaf(&again, |_| {})]), 21),
        (Case::new("by a client", [ca.der()], [leaf(&idle, |_| {}), idle.der()]), 26),
        (Case::new("both are trusted", [ca.der(), again.der()], [leaf(&again, |_| {})]), 0),
    ]);
}

#[test]
fn revocation_lists_must_cover_every_level() {
    let ca = Ca::new("ca");
    let one = ca.below_with({
        let mut params = params("one");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.serial_number = Some(SerialNumber::from_slice(&[9]));
        params
    });
    let five = |ca: &Ca| leaf(ca, |params| params.serial_number = Some(SerialNumber::from_slice(&[5])));
    let (direct, via_one) = (five(&ca), five(&one));
    let (good, gone) = (|ca: &Ca| ca.list(&[6], (2029, 2031)), |ca: &Ca| ca.list(&[5, 6], (2029, 2031)));
    let chain = || Case::new("through an intermediate", [ca.der()], [via_one.clone(), one.der()]);
    let single = |what| Case::new(what, [ca.der()], [direct.clone()]);
    check([
        (single("not revoked").lists([good(&ca)]), 0),
        (single("revoked").lists([gone(&ca)]), 23),
        (single("an old list").lists([ca.list(&[], (2028, 2029))]), 12),
        (single("a stranger's list").lists([good(&Ca::new("stranger"))]), 3),
        (chain().lists([good(&ca), good(&one)]), 0),
        (chain().lists([good(&ca), gone(&one)]), 23),
        (chain().lists([ca.list(&[9], (2029, 2031)), good(&one)]), 23),
        (chain().lists([good(&ca)]), 3),
    ]);
}

#[test]
fn of_several_lists_of_an_authority_the_newest_counts() {
    let ca = Ca::new("ca");
    let direct = leaf(&ca, |params| params.serial_number = Some(SerialNumber::from_slice(&[7])));
    // One for webpki, and one for us.
    for client in [direct, version_1(&ca)] {
        let case = |what| Case::new(what, [ca.der()], [client.clone()]);
        let list = |revoked: &[u8], years| ca.list(revoked, years);
        let (before, revoking) = (list(&[], (2028, 2031)), list(&[7], (2029, 2031)));
        check([
            (case("revoked by the second").lists([before.clone(), revoking.clone()]), 23),
            (case("revoked by the first").lists([revoking.clone(), before]), 23),
            (case("taken back").lists([list(&[7], (2028, 2031)), list(&[], (2029, 2031))]), 0),
            (case("past, then present").lists([list(&[], (2028, 2029)), list(&[], (2029, 2031))]), 0),
            (case("past, then revoking").lists([list(&[], (2028, 2029)), revoking.clone()]), 23),
            (case("present, and one to come").lists([list(&[], (2031, 2032)), revoking]), 23),
        ]);
    }
}

#[test]
fn a_trusted_certificate_is_trusted_as_it_is() {
    let alone = self_signed(&client("alone"));
    let mut authority = params("own authority");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = self_signed(&authority);
    let mut signer = params("a signer only");
    signer.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let signer = self_signed(&signer);
    let mut old = client("old");
    old.not_after = date_time_ymd(2029, 1, 1);
    let old = self_signed(&old);
    let mut server = params("server");
    server.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
    let server = self_signed(&server);
    let case = |what, leaf: &Leaf| Case::new(what, [leaf.der.clone()], [leaf.der.clone()]);
    check([
        (case("alone", &alone), 0),
        (case("its own authority", &authority), 0),
        (case("for signing certificates only", &signer), 26),
        (case("expired", &old), 10),
        (case("a server's", &server), 26),
        (case("without a list", &alone).lists([Ca::new("ca").list(&[], (2029, 2031))]), 3),
    ]);
}

#[test]
fn a_trusted_client_is_no_authority() {
    let alone = Ca::with(params("alone"));
    let case = Case::new("issued by a client", [alone.der()], [leaf(&alone, |_| {})]);
    check([(case, 26)]);
    let old = Case::new("the same, of version 1", [alone.der()], [version_1(&alone)]);
    check([(old, 26)]);
}

/// A certificate of version 1, serial number 7, as `openssl x509 -req` has made them for decades.
fn version_1(ca: &Ca) -> CertificateDer<'static> {
    let key = openssl::run(&["genpkey", "-algorithm", "ed25519"], &[]);
    let pem = openssl::version_1_by(&key, Some((&ca.pem(), &ca.key_pem())));
    openssl::run(&["x509", "-outform", "DER"], &pem).into()
}

#[test]
fn certificates_of_the_first_version_are_taken_below_a_root() {
    let (ca, stranger) = (Ca::new("ca"), Ca::new("stranger"));
    let one = ca.below("one");
    let good = version_1(&ca);
    let mut forged = good.to_vec();
    *forged.last_mut().expect("bytes") ^= 1;
    let mut old = params("old");
    old.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    old.not_after = date_time_ymd(2029, 1, 1);
    let old = Ca::with(old);
    check([
        (Case::new("good", [stranger.der(), ca.der()], [good.clone()]), 0),
        (Case::new("a stranger's", [stranger.der()], [good.clone()]), 21),
        (Case::new("forged", [ca.der()], [forged.into()]), 7),
        (Case::new("below an expired root", [old.der()], [version_1(&old)]), 10),
        (Case::new("revoked", [ca.der()], [good.clone()]).lists([ca.list(&[7], (2029, 2031))]), 23),
        (Case::new("not revoked", [ca.der()], [good.clone()]).lists([ca.list(&[6], (2029, 2031))]), 0),
        (Case::new("an old list", [ca.der()], [good.clone()]).lists([ca.list(&[], (2028, 2029))]), 12),
        (Case::new("a new list", [ca.der()], [good.clone()]).lists([ca.list(&[], (2031, 2032))]), 11),
        (Case::new("no list", [ca.der()], [good]).lists([stranger.list(&[], (2029, 2031))]), 3),
    ]);
    // OpenSSL takes these too. Nothing of an intermediate would be checked but by webpki, which does not look.
    let deep = Case::new("below an intermediate", [ca.der()], [version_1(&one), one.der()]);
    assert_eq!((deep.ours(), deep.theirs()), (20, 0));
}

#[test]
fn leaves_that_are_authorities_are_taken_below_a_root() {
    let ca = Ca::new("ca");
    let authority = |params: &mut CertificateParams| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    check([
        (Case::new("an authority", [ca.der()], [leaf(&ca, authority)]), 0),
        (
            Case::new(
                "a server's",
                [ca.der()],
                [leaf(&ca, |params| {
                    authority(params);
                    params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
                })],
            ),
            26,
        ),
        (
            Case::new(
                "with something critical",
                [ca.der()],
                [leaf(&ca, |params| {
                    authority(params);
                    params.custom_extensions = vec![unknown_extension(true)];
                })],
            ),
            34,
        ),
        (
            Case::new(
                "expired",
                [ca.der()],
                [leaf(&ca, |params| {
                    authority(params);
                    params.not_after = date_time_ymd(2029, 1, 1);
                })],
            ),
            10,
        ),
        (Case::new("for signing only", [ca.der()], [ca.below("below").der()]), 26),
    ]);
}

#[test]
fn long_chains_of_strangers_cost_little() {
    let ca = Ca::new("ca");
    let strangers: Vec<_> = (0..40).map(|index| Ca::new(&index.to_string()).der()).collect();
    let mut case = Case::new("a crowd", [ca.der()], [leaf(&ca, |_| {})]);
    case.chain.extend(strangers);
    assert_eq!(case.ours(), 0);
}

#[test]
fn no_change_to_a_certificate_goes_unnoticed() {
    let ca = Ca::new("ca");
    let old = version_1(&ca);
    let trust = Trust::new(vec![ca.der()], 1).with_lists(&[ca.list(&[1], (2029, 2031))]).expect("lists");
    for good in [leaf(&ca, |_| {}), old] {
        assert_eq!(trust.check(std::slice::from_ref(&good), Purpose::Client, now()), Ok(()));
        for index in 0..good.len() {
            for change in [0x01, 0x80, 0xff] {
                let mut changed = good.to_vec();
                changed[index] ^= change;
                certificate_facts(&changed[..].into(), true);
                let result = trust.check(&[changed.into()], Purpose::Client, now());
                assert!(result.is_err(), "byte {index}");
            }
            let cut = CertificateDer::from(&good[..index]);
            certificate_facts(&cut, true);
            assert!(trust.check(&[cut], Purpose::Client, now()).is_err(), "{index} bytes");
        }
    }
}
