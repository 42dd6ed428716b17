//! Every scheme against hashes that other tools made: `doveadm pw` (D), `openssl passwd` (O), libxcrypt (X).

use super::*;

const PASSWORD: &str = "Tr0ub4dor&3";
const LONG: &str = "correct horse battery staple correct horse battery staple correct horse battery staple";

/// Hashes of [`PASSWORD`].
const HASHES: &[&str] = &[
    // D
    "{PLAIN}Tr0ub4dor&3",
    "{CLEARTEXT}Tr0ub4dor&3",
    "{clear}Tr0ub4dor&3",
    "{PLAIN.B64}VHIwdWI0ZG9yJjM=",
    "{PLAIN.HEX}547230756234646f722633",
    "{SHA}h0Vy56WuaklGamrFeLmK26eMaqY=",
    "{SHA1}h0Vy56WuaklGamrFeLmK26eMaqY=",
    "{SHA1.HEX}874572e7a5ae6a49466a6ac578b98adba78c6aa6",
    "{SHA}874572e7a5ae6a49466a6ac578b98adba78c6aa6",
    "{SHA256}SEhuFRToQjRv9AWx5F9EBZroJhnyMG+Z0JQNyzhukfc=",
    "{SHA512}xyu2IccEDPS2R0BjqaeXJpDiUvNa2+fPr/Wx7iMW7+c4LnI9QeATor+8M8MAfFDFhH0hqInM6DhTbqxyeAjeQA==",
    "{SHA512.b64}xyu2IccEDPS2R0BjqaeXJpDiUvNa2+fPr/Wx7iMW7+c4LnI9QeATor+8M8MAfFDFhH0hqInM6DhTbqxyeAjeQA==",
    "{SSHA}4wQt++cd75ClaWTwUSvcerhIAns1Nvxl",
    "{SSHA256}uQmxSwEQIBezMfcMEEQNJUtg3uez/5C2InBcob72SrD6wvQf",
    "{SSHA256.HEX}a548bf7d4079c68d42cdaa65cd879275c3a4c180db3234cb8bd48fc98202c06e09402fa0",
    "{SSHA512}9VxvOkPN07rYLQIp7zZgVr9ScolMiPQdguakXD4TFOqWElDxxnJYCIdfGzwJcHqwBYcNjOPf0XTBz6DdHAIZzN6NoDg=",
    "{SMD5}rZTpEQ+fNtn3KGIRqROLi4kpZvI=",
    "{LDAP-MD5}Ts5XphMjtSzP/b7wIZVnVA==",
    "{MD5}Ts5XphMjtSzP/b7wIZVnVA==",
    "{PLAIN-MD5}4ece57a61323b52ccffdbef021956754",
    "{PLAIN-MD5.BASE64}Ts5XphMjtSzP/b7wIZVnVA==",
    "4ece57a61323b52ccffdbef021956754[34]",
    "{CRAM-MD5}c0a49b541c47c13e0fed75e90df0510e8e19d265316dbafce5048e1f92c94232",
    "{HMAC-MD5}c0a49b541c47c13e0fed75e90df0510e8e19d265316dbafce5048e1f92c94232",
    "{CRAM-MD5.B64}wKSbVBxHwT4P7XXpDfBRDo4Z0mUxbbr85QSOH5LJQjI=",
    "{MD5}$1$EdZ4bz41$t0vyx8998yLj7F76vDNTk/",
    "{MD5-CRYPT}$1$CqYYeOQf$iMbZ9HEKpfehkEXpa5/aB1",
    "{SHA256-CRYPT}$5$9LO0RPaLyI0ZPAIu$KEp2L./mmLHSNLEWyRAaI4igzbfyJqId4M0kQ3MjEF2",
    "{SHA512-CRYPT}$6$YbqtztvbmrjJBN56$NcByQBTcJxByuP1GaJCpzx40RMHD4li8Qp47HeK7RTwNwZ3p49XwhLFREStj4IXMRMCbfW5H6j68dlc6gUTTU1",
    "{SHA512-CRYPT.B64}JDYkRXFMd3p6WC5EYzZSOS4yMyREenlsbGpUaVZGbGtteE51TE9ucU0vSmJVNnhzMVdPcHZPZENVMWxEVTdDdHFzV0EuNHlNYTJ5bXJpajdnQ3N2OVZxZjEuMWJCT0ttei9wSUZELlE3MA==",
    "{BLF-CRYPT}$2y$05$VdwAHx6gJCD.ODOl7CaVfO3ata8BN0pGPiNIoPJTx27lj9MuPQGnu",
    "{BLF-CRYPT.B64}JDJ5JDA1JDA1ZmxZdmN5ZFJ5RHEuLzgvdklnSXU2cnlvUDIyM2c1Q1RuWENmanppTEFYUGpxLklGWFN5",
    "{CRYPT}$2y$05$d0VJcqdtFw38EjDCwEj5L.0gFZumFt0XRggikKrPlvj2PQCw.KjFy",
    "$2y$05$d0VJcqdtFw38EjDCwEj5L.0gFZumFt0XRggikKrPlvj2PQCw.KjFy",
    "{ARGON2I}$argon2i$v=19$m=32768,t=3,p=1$jQeuxbMV2EKWJWNln2UB5A$wcjEb5f38girwg2T1wgAxhvWuaUeKG6ESX0h+GyLRmM",
    "{ARGON2ID}$argon2id$v=19$m=65536,t=3,p=1$ZjiOGCKO+2N0yKi7yDAvNw$NgfbYW1kITAZv2Csx2FNDe0p3MITBgSAKk+87zi1Tc8",
    "{ARGON2ID.HEX}246172676f6e32696424763d3139246d3d36353533362c743d332c703d31246a777a51666f6a326435736e4c757a5a326c554a6f77247051553469304c636a6a5754526b64614e764753666e786a68445437444441326c346d39465059746b5230",
    "{SCRAM-SHA-1}4096,6iAOGlPHizeCnYK9rCjmYA==,YtuyneYEAJ/Th5J8tHd1xuRMUhY=,Xa04rlAZbA81oI5JIXedDPM38aE=",
    "{SCRAM-SHA-256}4096,nDyUaja41RHmp5ssOJovFA==,OmVWXm+ws6JRbYp8pHbAoyMFa2vog7NmE18mTABSPrU=,9yR/QOJnnkGvgQS5hd2X4e1ZsGO7QwuKY3I3sQLeDA0=",
    "{PBKDF2}$1$WseNC8H2aAlqBjVu$5000$6d73211348bef979dc081c466342fd00a30b7b80",
    // O
    "$1$saltsalt$ueg/7ujBFDpyKLR2vs28p1",
    "$5$saltstring$RT55UUFV8nhS8YjKMVGspyCektw1KgSPNiHv3htupz8",
    "$6$saltstring$XikFVg.7EhH1eUDEUpzvo18fWP5xsooAUeVrPgDQF0pycEsAR1KJFDpioiNUhrHfBTxVAip6F1kkOGFYRBADj/",
    // X
    "$2a$05$abcdefghijklmnopqrstuujyowYzwa5GTkdJQ1hID4j4yIozDs7U.",
    "$2b$04$abcdefghijklmnopqrstuu5UWyuxawIwQzpnlr0Mft5nu6B9cYh/C",
    "$5$rounds=1000$saltstring$Q90Aao3QJ6B4rK.UcmxuPxl3PWCn54cld3UioVLBmG0",
    "$6$rounds=5000$saltstring$XikFVg.7EhH1eUDEUpzvo18fWP5xsooAUeVrPgDQF0pycEsAR1KJFDpioiNUhrHfBTxVAip6F1kkOGFYRBADj/",
    "$y$j75$abcdefgh1234$WSnjdaHd4WTmtfjS3aNBnnyALnJh7U51FTGM7mqwU5C",
    "$y$j75$abcdefgh1234567$nE4AdNhMnf/np.IL7cTk91..UJgccTim3xFMi0QWv4B",
    "{CRYPT}$y$j9T$abcdefgh1234$Hy2/rkKPAlTRpyLFiHYnkt/ZYAmQ.xM.qwQn3kskUZD",
];

/// Hashes of [`LONG`] by D.
const LONG_HASHES: &[&str] = &[
    "{MD5-CRYPT}$1$O.VNq7Ab$0bubDA0WLtV/cOdnNHaAR/",
    "{CRAM-MD5}55e42b558b16793f6850ade8217897c6642f12c453fc80ff5bdf2d2bde6c04a5",
    "{SHA256-CRYPT}$5$RAzYrkuTkt972UhH$wswrh.m2T1ElWNw1MIFWl1Knrybsm0Q2tykIee1Wzf2",
    "{SHA512-CRYPT}$6$Y237mMEtJXev3lFE$dKqNOiUmHbJSd73Z.XsGbZaynIzr9GFjswSwzW3XaisGIehTuTPXOcioo1KQ2V5URulRacziPmSEPxLEy1pSG0",
    "{BLF-CRYPT}$2y$05$v1J2tVgxhrpIDE2KdE7kMOskKbIYo.iLnh9wG3Trox76OcEKze8lC",
];

fn stored(field: &str) -> Stored {
    Stored::parse(field.as_bytes()).unwrap_or_else(|broken| panic!("{field}: {broken}"))
}

fn broken(field: &str) -> Broken {
    Stored::parse(field.as_bytes()).err().unwrap_or_else(|| panic!("{field} was taken"))
}

#[test]
fn the_password_fits_its_hash_and_no_other_does() {
    for field in HASHES {
        let stored = stored(field);
        assert_eq!(stored.verify(PASSWORD.as_bytes()), Outcome::Fits, "{field}");
        assert_eq!(stored.verify(b"Tr0ub4dor&4"), Outcome::Differs, "{field}");
    }
}

#[test]
fn no_prefix_of_the_password_nor_the_empty_one_fits() {
    for field in HASHES.iter().filter(|field| !field.starts_with("{ARGON2")) {
        let stored = stored(field);
        for wrong in ["", "Tr0ub4dor&", "Tr0ub4dor&3 ", "Tr0ub4dor&3\0"] {
            assert_eq!(stored.verify(wrong.as_bytes()), Outcome::Differs, "{field} {wrong:?}");
        }
    }
}

#[test]
fn long_passwords_fit_their_hashes() {
    for field in LONG_HASHES {
        assert_eq!(stored(field).verify(LONG.as_bytes()), Outcome::Fits, "{field}");
        assert_eq!(stored(field).verify(&LONG.as_bytes()[1..]), Outcome::Differs, "{field}");
    }
}

#[test]
fn one_character_is_a_password_too() {
    assert_eq!(stored("{MD5-CRYPT}$1$XkYYAjqr$bnYpN9y31c.GX0eBit98s.").verify(b"x"), Outcome::Fits);
    assert_eq!(stored("{PLAIN}x").verify(b"x"), Outcome::Fits);
}

#[test]
fn a_locked_entry_fits_nothing() {
    for field in ["*", "!", "!!", "*LK*", "{CRYPT}!", "!$1$saltsalt$ueg/7ujBFDpyKLR2vs28p1"] {
        let stored = stored(field);
        assert!(matches!(stored, Stored::Locked), "{field}");
        assert_eq!(stored.verify(b""), Outcome::Differs);
        assert_eq!(stored.verify(field.as_bytes()), Outcome::Differs);
    }
}

#[test]
fn broken_hashes_are_told_apart() {
    let unknown = |name: &str| Broken::UnknownScheme(name.to_owned());
    for (field, expected) in [
        ("", Broken::Empty),
        ("{PLAIN}", Broken::Empty),
        ("{CRYPT}", Broken::Empty),
        ("{PLAIN.b64}", Broken::Empty),
        ("{}x", unknown("")),
        ("{PLAIN-MD4}962f9fc2d0ca37bffa8502f6b69df1c8", unknown("PLAIN-MD4")),
        ("{SHA.b85}x", unknown("SHA.b85")),
        ("{SHA.}x", unknown("SHA.")),
        ("{P\x7f}x", unknown("P\\x7f")),
        ("{PLAIN", Broken::Malformed),
        ("x", Broken::Malformed),
        ("{CRYPT}plain", Broken::Malformed),
        ("{CRYPT}\u{e9}", Broken::Malformed),
        ("JNiYP4kIef0Co", Broken::Des),
        ("JNiYP4kIef0Co[13]", Broken::Des),
        ("_J9..rasmBYk8r9AiWNc", Broken::Des),
        ("{DES-CRYPT}JNiYP4kIef0Co", Broken::Des),
        ("{SHA}h0Vy56WuaklGamrFeLmK26eMaqY=x", Broken::Encoding),
        ("{SHA.hex}874572e7a5ae6a49466a6ac578b98adba78c6aaz", Broken::Encoding),
        ("{SHA.hex}874", Broken::Encoding),
        ("{SHA}aGkK", Broken::Length),
        ("{SSHA}h0Vy56WuaklGamrFeLmK26eMaqY=", Broken::Length),
        ("{CRAM-MD5}c0a49b54", Broken::Length),
        ("{CRAM-MD5.hex}c0a49b54", Broken::Length),
        ("{MD5-CRYPT}$1$saltsalt$short", Broken::Length),
        ("{MD5-CRYPT}$1$saltsalt9$ueg/7ujBFDpyKLR2vs28p1", Broken::Length),
        ("{MD5-CRYPT}$1$saltsalt", Broken::Malformed),
        ("$5$saltstring$short", Broken::Length),
        ("$5$saltstring", Broken::Malformed),
        ("$6$saltstring$", Broken::Length),
        ("$6$rounds=x$saltstring$x", Broken::Malformed),
        ("$2y$05$short", Broken::Malformed),
        ("$2x$05$abcdefghijklmnopqrstuujyowYzwa5GTkdJQ1hID4j4yIozDs7U.", Broken::Malformed),
        ("$2y$03$abcdefghijklmnopqrstuujyowYzwa5GTkdJQ1hID4j4yIozDs7U.", Broken::Malformed),
        ("$y$j75$abcdefgh1234$", Broken::Length),
        ("$y$j75$$WSnjdaHd4WTmtfjS3aNBnnyALnJh7U51FTGM7mqwU5C", Broken::Malformed),
        ("$y$$abcdefgh1234$WSnjdaHd4WTmtfjS3aNBnnyALnJh7U51FTGM7mqwU5C", Broken::Malformed),
        ("$y$j75", Broken::Malformed),
        ("$7$CU..../....saltstring$KSKbhEiZAJjnSau.OlZ1Eu9udka60IXjgDzBSoQkXz9", Broken::Malformed),
        ("{ARGON2ID}x", Broken::Malformed),
        ("{ARGON2ID}$argon2id$v=19$m=65536,t=3,p=1$ZjiOGCKO+2N0yKi7yDAvNw", Broken::Length),
        (
            "{ARGON2ID}$argon2id$m=65536,t=3,p=1$ZjiOGCKO+2N0yKi7yDAvNw$NgfbYW1kITAZv2Csx2FNDe0p3MITBgSAKk+87zi1Tc8",
            Broken::Malformed,
        ),
        (
            "{ARGON2}$argon2d$v=19$m=65536,t=3,p=1$ZjiOGCKO+2N0yKi7yDAvNw$NgfbYW1kITAZv2Csx2FNDe0p3MITBgSAKk+87zi1Tc8",
            Broken::Malformed,
        ),
        ("{SCRAM-SHA-256}4096,nDyUaja41RHmp5ssOJovFA==", Broken::Malformed),
        (
            "{SCRAM-SHA-256}0,nDyU,OmVWXm+ws6JRbYp8pHbAoyMFa2vog7NmE18mTABSPrU=,9yR/QOJnnkGvgQS5hd2X4e1ZsGO7QwuKY3I3sQLeDA0=",
            Broken::Malformed,
        ),
        ("{SCRAM-SHA-1}4096,nDyU,OmVW,9yR/", Broken::Length),
        ("{PBKDF2}$2$salt$5000$6d73", Broken::Malformed),
        ("{PBKDF2}$1$salt$5000$6d73", Broken::Length),
    ] {
        assert_eq!(broken(field), expected, "{field}");
    }
}

#[test]
fn hashes_that_would_take_forever_or_all_memory_are_refused() {
    for field in [
        "$2y$21$abcdefghijklmnopqrstuujyowYzwa5GTkdJQ1hID4j4yIozDs7U.",
        "$2y$31$abcdefghijklmnopqrstuujyowYzwa5GTkdJQ1hID4j4yIozDs7U.",
        "$5$rounds=999999999$saltstring$RT55UUFV8nhS8YjKMVGspyCektw1KgSPNiHv3htupz8",
        "$y$jKT$abcdefgh1234$WSnjdaHd4WTmtfjS3aNBnnyALnJh7U51FTGM7mqwU5C",
        "$y$j953/2$abcdefgh1234$WSnjdaHd4WTmtfjS3aNBnnyALnJh7U51FTGM7mqwU5C",
        "{ARGON2ID}$argon2id$v=19$m=4194304,t=3,p=1$ZjiOGCKO+2N0yKi7yDAvNw$NgfbYW1kITAZv2Csx2FNDe0p3MITBgSAKk+87zi1Tc8",
        "{ARGON2ID}$argon2id$v=19$m=65536,t=65,p=1$ZjiOGCKO+2N0yKi7yDAvNw$NgfbYW1kITAZv2Csx2FNDe0p3MITBgSAKk+87zi1Tc8",
        "{PBKDF2}$1$salt$4000000000$6d73211348bef979dc081c466342fd00a30b7b80",
    ] {
        assert_eq!(broken(field), Broken::TooCostly, "{field}");
    }
}

#[test]
fn cram_md5_is_answered_by_the_password_and_by_its_contexts() {
    // Python's hmac.
    let challenge = b"<1.2@mail.example.org>";
    for field in HASHES {
        let stored = stored(field);
        let able = matches!(stored, Stored::Clear(_) | Stored::CramMd5(_));
        assert_eq!(stored.answers_cram_md5(challenge, b"9a8e4867d2375f22237c98a09ece2129"), able, "{field}");
        assert_eq!(stored.answers_cram_md5(challenge, b"9A8E4867D2375F22237C98A09ECE2129"), able, "{field}");
        for wrong in ["", "9a8e4867", "zz8e4867d2375f22237c98a09ece2129", "9a8e4867d2375f22237c98a09ece2128"]
        {
            assert!(!stored.answers_cram_md5(challenge, wrong.as_bytes()), "{field}");
        }
        assert!(!stored.answers_cram_md5(b"<1.3@mail.example.org>", b"9a8e4867d2375f22237c98a09ece2129"));
    }
}

#[test]
fn apop_is_answered_by_the_password_alone() {
    // Python's hashlib.
    let challenge = b"<1.2@mail.example.org>";
    for field in HASHES {
        let stored = stored(field);
        let able = matches!(stored, Stored::Clear(_));
        assert_eq!(stored.answers_apop(challenge, b"63d10e017888a117e69d2117dbe32adb"), able, "{field}");
        assert!(!stored.answers_apop(challenge, b"63d10e017888a117e69d2117dbe32adc"), "{field}");
    }
}

#[test]
fn a_password_that_cannot_answer_a_digest_is_not_taken_for_an_empty_one() {
    let challenge = b"<1.2@mail.example.org>";
    let of_nothing = Contexts::of(b"").answer(challenge);
    let of_nothing = format!("{:032x}", u128::from_be_bytes(of_nothing));
    assert!(!stored("*").answers_cram_md5(challenge, of_nothing.as_bytes()));
    let of_nothing = md5::Md5::digest(challenge);
    let of_nothing = format!("{:032x}", u128::from_be_bytes(of_nothing.into()));
    assert!(!stored("*").answers_apop(challenge, of_nothing.as_bytes()));
}

#[test]
fn costs_put_hashes_into_their_order() {
    let costs: Vec<u64> = [
        "*",
        "{SSHA}4wQt++cd75ClaWTwUSvcerhIAns1Nvxl",
        "$1$saltsalt$ueg/7ujBFDpyKLR2vs28p1",
        "$5$saltstring$RT55UUFV8nhS8YjKMVGspyCektw1KgSPNiHv3htupz8",
        "$y$j9T$abcdefgh1234$Hy2/rkKPAlTRpyLFiHYnkt/ZYAmQ.xM.qwQn3kskUZD",
        "{ARGON2ID}$argon2id$v=19$m=65536,t=3,p=1$ZjiOGCKO+2N0yKi7yDAvNw$NgfbYW1kITAZv2Csx2FNDe0p3MITBgSAKk+87zi1Tc8",
        "$2y$13$abcdefghijklmnopqrstuujyowYzwa5GTkdJQ1hID4j4yIozDs7U.",
    ]
    .iter()
    .map(|field| stored(field).cost())
    .collect();
    assert!(costs.is_sorted() && costs.first() < costs.last(), "{costs:?}");
}
