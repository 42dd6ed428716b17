//! Key exchange groups by their names in OpenSSL: `auto`, `X25519:prime256v1`, `X25519MLKEM768`.

use rustls::crypto::SupportedKxGroup;
use rustls::crypto::aws_lc_rs::kx_group::{
    MLKEM768, MLKEM1024, SECP256R1, SECP256R1MLKEM768, SECP384R1, X25519, X25519MLKEM768,
};

use super::mistake::{Remark, Why};

type Group = &'static dyn SupportedKxGroup;

/// The groups that exist, with all the names that OpenSSL has for them; the first is shown.
static KNOWN: [(&[&str], Group); 7] = [
    (&["X25519MLKEM768"], X25519MLKEM768),
    (&["X25519", "x25519"], X25519),
    (&["P-256", "prime256v1", "secp256r1"], SECP256R1),
    (&["P-384", "secp384r1"], SECP384R1),
    (&["SecP256r1MLKEM768"], SECP256R1MLKEM768),
    (&["MLKEM768"], MLKEM768),
    (&["MLKEM1024"], MLKEM1024),
];

/// How many of the above are used when nothing is said.
const DEFAULT: usize = 4;

/// Groups of OpenSSL that do not exist here, as far as anyone is likely to name them.
const UNAVAILABLE: &[&str] = &[
    "P-521",
    "secp521r1",
    "P-224",
    "secp224r1",
    "P-192",
    "prime192v1",
    "secp192r1",
    "X448",
    "secp256k1",
    "brainpoolP256r1",
    "brainpoolP384r1",
    "brainpoolP512r1",
    "brainpoolP256r1tls13",
    "brainpoolP384r1tls13",
    "brainpoolP512r1tls13",
    "ffdhe2048",
    "ffdhe3072",
    "ffdhe4096",
    "ffdhe6144",
    "ffdhe8192",
    "MLKEM512",
    "SecP384r1MLKEM1024",
    "X448MLKEM1024",
];

/// The groups that a configuration gets without asking.
pub(super) fn default() -> Vec<Group> {
    KNOWN[..DEFAULT].iter().map(|(_, group)| *group).collect()
}

/// The groups in `list`, names with colons between, most preferred first.
///
/// A name behind `?` need not be known. Groups that only OpenSSL has are left out with a remark, so that a list
/// that ends in `secp521r1` goes on working.
pub(super) fn groups(list: &str, remarks: &mut Vec<Remark>) -> Result<Vec<Group>, Why> {
    if list == "auto" {
        return Ok(default());
    }
    let mut chosen: Vec<Group> = Vec::new();
    let mut missing = Vec::new();
    for word in list.split(':') {
        match named(word) {
            Named::Known(group) if chosen.iter().any(|other| other.name() == group.name()) => {}
            Named::Known(group) => chosen.push(group),
            Named::Unavailable(name) => missing.push(name),
            Named::Optional => {}
            Named::Unknown => {
                return Err(Why::UnknownGroup { group: word.to_owned(), there_are: available() });
            }
        }
    }
    if chosen.is_empty() {
        return Err(Why::NoGroup(available()));
    }
    if !missing.is_empty() {
        remarks.push(Remark::Groups(missing.join(", ")));
    }
    Ok(chosen)
}

enum Named<'a> {
    Known(Group),
    Unavailable(&'a str),
    Optional,
    Unknown,
}

fn named(word: &str) -> Named<'_> {
    let name = word.strip_prefix('?').unwrap_or(word);
    // Since 3.5 OpenSSL knows names in any letter case; before, only as written above.
    let is = |known: &&str| known.eq_ignore_ascii_case(name);
    if let Some((_, group)) = KNOWN.iter().find(|(names, _)| names.iter().any(is)) {
        Named::Known(*group)
    } else if name.len() < word.len() {
        Named::Optional
    } else if UNAVAILABLE.iter().any(is) {
        Named::Unavailable(name)
    } else {
        Named::Unknown
    }
}

fn available() -> String {
    KNOWN.iter().map(|(names, _)| names[0]).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use rustls::NamedGroup;

    use super::*;

    fn chosen(list: &str) -> (Result<Vec<NamedGroup>, Why>, Vec<Remark>) {
        let mut remarks = Vec::new();
        let chosen =
            groups(list, &mut remarks).map(|groups| groups.iter().map(|group| group.name()).collect());
        (chosen, remarks)
    }

    #[test]
    fn auto_is_the_usual_four() {
        let (groups, remarks) = chosen("auto");
        let usual =
            [NamedGroup::X25519MLKEM768, NamedGroup::X25519, NamedGroup::secp256r1, NamedGroup::secp384r1];
        assert_eq!((groups, remarks), (Ok(usual.to_vec()), Vec::new()));
    }

    #[test]
    fn names_are_those_of_openssl() {
        let cases = [
            (
                "X25519:prime256v1:secp384r1",
                vec![NamedGroup::X25519, NamedGroup::secp256r1, NamedGroup::secp384r1],
            ),
            ("P-384:P-256:secp384r1", vec![NamedGroup::secp384r1, NamedGroup::secp256r1]),
            ("X25519MLKEM768:x25519", vec![NamedGroup::X25519MLKEM768, NamedGroup::X25519]),
            ("SecP256r1MLKEM768", vec![NamedGroup::secp256r1MLKEM768]),
            ("MLKEM1024:MLKEM768", vec![NamedGroup::MLKEM1024, NamedGroup::MLKEM768]),
            ("?curve-of-the-future:?secp521r1:X25519", vec![NamedGroup::X25519]),
        ];
        for (list, expected) in cases {
            assert_eq!(chosen(list), (Ok(expected), Vec::new()), "{list}");
        }
    }

    #[test]
    fn groups_that_only_openssl_has_are_left_out_with_a_remark() {
        let (groups, remarks) = chosen("prime256v1:secp521r1:X448");
        assert_eq!(groups, Ok(vec![NamedGroup::secp256r1]));
        assert_eq!(
            remarks[0].to_string(),
            "\"ssl_ecdh_curve\": secp521r1, X448 cannot be had and will not be used"
        );
    }

    #[test]
    fn lists_that_name_nothing_usable_are_refused() {
        let there_are = "X25519MLKEM768, X25519, P-256, P-384, SecP256r1MLKEM768, MLKEM768, MLKEM1024";
        let reason = |list| chosen(list).0.expect_err("a reason").to_string();
        assert_eq!(reason("secp521r1"), format!("no usable group, there are {there_are}"));
        assert_eq!(reason("?nonsense"), format!("no usable group, there are {there_are}"));
        assert_eq!(reason("X25519:foo"), format!("unknown group \"foo\", there are {there_are}"));
        assert_eq!(reason(""), format!("unknown group \"\", there are {there_are}"));
        assert_eq!(reason("X25519::P-256"), format!("unknown group \"\", there are {there_are}"));
    }
}
