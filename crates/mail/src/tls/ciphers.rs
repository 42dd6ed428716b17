//! Cipher lists in OpenSSL's syntax (ciphers(1)), read as OpenSSL reads them but over the six suites of TLS 1.2
//! that exist here; and the suites of TLS 1.3, which such lists do not touch.
//!
//! OpenSSL starts from all suites in its own order, none of them chosen, and applies one rule after the other.
//! A rule without operator moves the suites that it matches and that are not chosen yet to the end of those
//! chosen; `-` takes suites back, `!` takes them away for good, `+` moves chosen ones to the end. What a rule
//! does not know matches nothing, which is why words for suites that do not exist here need no mention.

use rustls::SupportedCipherSuite;
use rustls::crypto::aws_lc_rs::cipher_suite::{
    TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
    TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
    TLS13_AES_128_GCM_SHA256, TLS13_AES_256_GCM_SHA384, TLS13_CHACHA20_POLY1305_SHA256,
};

use super::mistake::Why;

/// A suite and the words of cipher lists that match it, its names included.
struct Suite {
    rustls: &'static SupportedCipherSuite,
    openssl: &'static str,
    iana: &'static str,
    words: &'static [&'static str],
    strength: u16,
}

/// The suites of TLS 1.2, in the order from which OpenSSL starts.
static TLS12: [Suite; 6] = [
    Suite {
        rustls: &TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
        openssl: "ECDHE-ECDSA-AES256-GCM-SHA384",
        iana: "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
        words: &["aECDSA", "ECDSA", "AES", "AES256", "AESGCM", "FIPS"],
        strength: 256,
    },
    Suite {
        rustls: &TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
        openssl: "ECDHE-RSA-AES256-GCM-SHA384",
        iana: "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
        words: &["aRSA", "AES", "AES256", "AESGCM", "FIPS"],
        strength: 256,
    },
    Suite {
        rustls: &TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
        openssl: "ECDHE-ECDSA-CHACHA20-POLY1305",
        iana: "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
        words: &["aECDSA", "ECDSA", "CHACHA20"],
        strength: 256,
    },
    Suite {
        rustls: &TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
        openssl: "ECDHE-RSA-CHACHA20-POLY1305",
        iana: "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
        words: &["aRSA", "CHACHA20"],
        strength: 256,
    },
    Suite {
        rustls: &TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
        openssl: "ECDHE-ECDSA-AES128-GCM-SHA256",
        iana: "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
        words: &["aECDSA", "ECDSA", "AES", "AES128", "AESGCM", "FIPS"],
        strength: 128,
    },
    Suite {
        rustls: &TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
        openssl: "ECDHE-RSA-AES128-GCM-SHA256",
        iana: "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
        words: &["aRSA", "AES", "AES128", "AESGCM", "FIPS"],
        strength: 128,
    },
];

/// Words that match every suite above. `SHA256` and `SHA384` match none of them: to OpenSSL an AEAD has no MAC.
const ALL_OF_THEM: &[&str] = &["ALL", "HIGH", "TLSv1.2", "ECDHE", "EECDH", "ECDH", "kECDHE", "kEECDH"];

/// The suites of TLS 1.3 in OpenSSL's order, with the names that IANA and OpenSSL share.
static TLS13: [(&str, &SupportedCipherSuite); 3] = [
    ("TLS_AES_256_GCM_SHA384", &TLS13_AES_256_GCM_SHA384),
    ("TLS_CHACHA20_POLY1305_SHA256", &TLS13_CHACHA20_POLY1305_SHA256),
    ("TLS_AES_128_GCM_SHA256", &TLS13_AES_128_GCM_SHA256),
];

/// The suites of TLS 1.2 that `list` chooses, in its order.
pub(super) fn tls12(list: &str) -> Result<Vec<SupportedCipherSuite>, Why> {
    let mut ranking = Ranking::new();
    let mut rest = list;
    if let Some(behind) = list.strip_prefix("DEFAULT") {
        // As the first word only; anywhere else OpenSSL does not know it.
        ranking.choose(&["ALL"]);
        rest = behind;
    }
    while let Some((rule, behind)) = Rule::first(rest)? {
        ranking.apply(&rule)?;
        rest = behind;
    }
    let chosen: Vec<_> = ranking.chosen.iter().map(|suite| *suite.rustls).collect();
    if chosen.is_empty() {
        Err(Why::NoCipher(names(TLS12.iter().map(|suite| suite.openssl))))
    } else {
        Ok(chosen)
    }
}

/// The suites of TLS 1.3 that a configuration gets without asking.
pub(super) fn tls13_default() -> Vec<SupportedCipherSuite> {
    TLS13.iter().map(|(_, suite)| **suite).collect()
}

/// The suites of TLS 1.3 in `list`, names with colons between. Unknown names are left out, as OpenSSL does; an
/// empty list is none at all.
pub(super) fn tls13(list: &str) -> Result<Vec<SupportedCipherSuite>, Why> {
    let mut chosen = Vec::new();
    for name in list.split(':') {
        let known = TLS13.iter().find(|(known, _)| *known == name).map(|(_, suite)| **suite);
        chosen.extend(known.filter(|suite| !chosen.contains(suite)));
    }
    if chosen.is_empty() && !list.is_empty() {
        return Err(Why::NoCipher(names(TLS13.iter().map(|(name, _)| *name))));
    }
    Ok(chosen)
}

/// The suite's name as OpenSSL prints it.
pub(super) fn openssl_name(suite: rustls::CipherSuite) -> Option<&'static str> {
    let old = TLS12.iter().find(|known| known.rustls.suite() == suite).map(|known| known.openssl);
    old.or_else(|| TLS13.iter().find(|(_, known)| known.suite() == suite).map(|(name, _)| *name))
}

fn names<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.collect::<Vec<_>>().join(", ")
}

impl Suite {
    fn is(&self, word: &str) -> bool {
        word == self.openssl || word == self.iana || self.words.contains(&word) || ALL_OF_THEM.contains(&word)
    }
}

/// One rule of a list.
struct Rule<'a> {
    operator: Operator,
    words: Vec<&'a str>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Operator {
    Choose,
    TakeBack,
    TakeAway,
    MoveToEnd,
    Special,
}

impl<'a> Rule<'a> {
    /// The first rule of `list`, and what is behind it.
    fn first(list: &'a str) -> Result<Option<(Self, &'a str)>, Why> {
        let list = list.trim_start_matches([':', ' ', ';', ',']);
        let Some(first) = list.chars().next() else { return Ok(None) };
        let operator = match first {
            '-' => Operator::TakeBack,
            '!' => Operator::TakeAway,
            '+' => Operator::MoveToEnd,
            '@' => Operator::Special,
            _ => Operator::Choose,
        };
        let mut rest = if operator == Operator::Choose { list } else { &list[1..] };
        let mut words = Vec::new();
        loop {
            let end = rest.find(|c| !is_of_a_word(c)).unwrap_or(rest.len());
            if end == 0 {
                return Err(Why::Syntax);
            }
            words.push(&rest[..end]);
            rest = &rest[end..];
            match rest.strip_prefix('+') {
                Some(behind) => rest = behind,
                None => return Ok(Some((Self { operator, words }, rest))),
            }
        }
    }
}

fn is_of_a_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '=' | '_')
}

/// All suites that are not taken away for good, chosen or not, each kind in its order.
struct Ranking {
    chosen: Vec<&'static Suite>,
    others: Vec<&'static Suite>,
}

impl Ranking {
    fn new() -> Self {
        Self { chosen: Vec::new(), others: TLS12.iter().collect() }
    }

    fn apply(&mut self, rule: &Rule<'_>) -> Result<(), Why> {
        match rule.operator {
            Operator::Choose => self.choose(&rule.words),
            Operator::TakeBack => {
                let back = extract(&mut self.chosen, &rule.words);
                self.others.splice(..0, back);
            }
            Operator::TakeAway => {
                extract(&mut self.chosen, &rule.words);
                extract(&mut self.others, &rule.words);
            }
            Operator::MoveToEnd => {
                let last = extract(&mut self.chosen, &rule.words);
                self.chosen.extend(last);
            }
            Operator::Special => self.special(&rule.words)?,
        }
        Ok(())
    }

    fn choose(&mut self, words: &[&str]) {
        let next = extract(&mut self.others, words);
        self.chosen.extend(next);
    }

    /// `@STRENGTH`, and `@SECLEVEL=n`, which is accepted: what exists here satisfies every level up to 3, and the
    /// sizes of keys that the levels above ask for are not ours to judge.
    fn special(&mut self, words: &[&str]) -> Result<(), Why> {
        match words {
            ["STRENGTH"] => self.chosen.sort_by_key(|suite| std::cmp::Reverse(suite.strength)),
            [word] if matches!(word.strip_prefix("SECLEVEL=").map(str::as_bytes), Some([b'0'..=b'5'])) => {}
            _ => return Err(Why::Syntax),
        }
        Ok(())
    }
}

/// Takes the suites that match all of `words` out of `suites`.
fn extract(suites: &mut Vec<&'static Suite>, words: &[&str]) -> Vec<&'static Suite> {
    suites.extract_if(.., |suite| words.iter().all(|word| suite.is(word))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::testing::openssl;

    /// The names that `list` chooses, or the reason against it.
    fn chosen(list: &str) -> Result<Vec<&'static str>, String> {
        let name = |suite: &SupportedCipherSuite| openssl_name(suite.suite()).expect("a name");
        tls12(list).map(|suites| suites.iter().map(name).collect()).map_err(|why| why.to_string())
    }

    /// What OpenSSL itself makes of `list`, as far as the suites exist here.
    fn chosen_by_openssl(list: &str) -> Option<Vec<&'static str>> {
        let text = openssl::text(&["ciphers", "-s", "-tls1_2", list])?;
        let names = text.trim().split(':').map(str::to_owned).collect::<Vec<_>>();
        let known =
            |name: &String| TLS12.iter().find(|suite| suite.openssl == name).map(|suite| suite.openssl);
        Some(names.iter().filter_map(known).collect())
    }

    #[test]
    fn lists_mean_what_they_mean_to_openssl() {
        let lists = [
            "HIGH:!aNULL:!MD5",
            "ALL",
            "DEFAULT",
            "DEFAULT:-ECDSA",
            "DEFAULT!ECDSA",
            "DEFAULT@SECLEVEL=2",
            "COMPLEMENTOFDEFAULT:CHACHA20",
            "ECDHE+AESGCM",
            "EECDH+AESGCM:EDH+AESGCM",
            "kEECDH+aECDSA",
            "ECDHE+aRSA+AES128",
            "RSA:aRSA",
            "ECDSA",
            "AES128:AES256",
            "AES128:+AESGCM+aRSA",
            "HIGH:+aECDSA",
            "ALL:-AES:AES128",
            "ALL:-ECDSA:ECDSA",
            "ALL:!AES:AES",
            "CHACHA20:AES128:@STRENGTH",
            "AES128:CHACHA20:AES256:@STRENGTH",
            "@SECLEVEL=1:HIGH",
            "TLSv1.2:!SHA384:!SHA256",
            "SHA256:SHA384:CHACHA20",
            "FIPS",
            "HIGH MEDIUM,LOW;EXPORT",
            "PSK:SRP:kRSA:DHE:NULL:ECDHE-RSA-AES128-GCM-SHA256",
            "ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:nonsense",
            "AESGCM+nonsense:CHACHA20+aRSA",
            "HIGH:DEFAULT",
            "AES128:DEFAULT",
            "AES128:-AES128:ALL",
            "EECDH+CHACHA20:EECDH+AES128:RSA+AES128:EECDH+AES256:RSA+AES256:EECDH+3DES:RSA+3DES:!MD5",
        ];
        for list in lists {
            assert_eq!(chosen(list).ok(), chosen_by_openssl(list), "{list}");
        }
    }

    #[test]
    fn names_of_iana_will_do_as_well() {
        assert_eq!(chosen("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"), Ok(vec!["ECDHE-RSA-AES128-GCM-SHA256"]));
    }

    #[test]
    fn a_list_that_leaves_none_is_told_what_exists() {
        let none = "no cipher match, there are ECDHE-ECDSA-AES256-GCM-SHA384, ECDHE-RSA-AES256-GCM-SHA384, \
            ECDHE-ECDSA-CHACHA20-POLY1305, ECDHE-RSA-CHACHA20-POLY1305, ECDHE-ECDSA-AES128-GCM-SHA256, \
            ECDHE-RSA-AES128-GCM-SHA256";
        for list in ["", "nonsense", "!ALL", "AES128-SHA", "TLSv1", "SHA256", "TLS_AES_128_GCM_SHA256", ":"] {
            assert_eq!(chosen(list), Err(none.into()), "{list}");
        }
    }

    #[test]
    fn what_is_no_list_is_refused() {
        for list in ["HIGH:!", "HIGH:@FOO", "HIGH:@SECLEVEL=9", "HIGH:/", "AES+", "HIGH:é", "@STRENGTH+HIGH"]
        {
            assert_eq!(chosen(list), Err("invalid command".into()), "{list}");
        }
    }

    #[test]
    fn suites_of_tls_1_3_are_chosen_by_name() {
        let chosen = |list| {
            tls13(list).map(|suites| {
                suites.iter().map(|suite| openssl_name(suite.suite()).expect("a name")).collect::<Vec<_>>()
            })
        };
        assert_eq!(
            chosen("TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_AES_128_GCM_SHA256"),
            Ok(vec!["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384"])
        );
        assert_eq!(
            chosen("TLS_AES_128_CCM_SHA256:TLS_CHACHA20_POLY1305_SHA256"),
            Ok(vec!["TLS_CHACHA20_POLY1305_SHA256"])
        );
        assert_eq!(chosen(""), Ok(vec![]));
        assert!(matches!(chosen("TLS_AES_128_CCM_SHA256"), Err(Why::NoCipher(_))));
        assert_eq!(tls13_default().len(), 3);
    }
}
