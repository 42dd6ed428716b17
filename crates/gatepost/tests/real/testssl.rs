//! testssl.sh looks for what is wrong with our TLS: <https://testssl.sh>.

use std::process::Command;
use std::time::Duration;

use rig::pki::{Key, Root};
use rig::{Program, Proxy, tool};

const NAME: &str = "mail.example.test";

/// The longest that it may take; half a minute is usual.
const LIMIT: Duration = Duration::from_mins(2);

/// What it looks at; simulations of clients, and what is of the web only, are left out for their time.
const CHECKS: [&str; 5] = ["-p", "-s", "-P", "-S", "-U"];

/// Findings about testssl.sh itself, and about the certificate alone: one made in the test for a name that is not in DNS
/// cannot please in these. Whether sessions are taken up again it cannot always tell on a busy machine, and only informs;
/// tests with openssl see to that.
const LEFT_OUT: [&str; 9] = [
    "engine_problem",
    "sessionresumption_",
    "cert_validityPeriod",
    "cert_chain_of_trust",
    "cert_trust",
    "cert_revocation",
    "cert_crlDistributionPoints",
    "cert_ocspURL",
    "cert_extlifeSpan",
];

/// Runs it; returns the findings as `id: severity: finding`.
#[track_caller]
fn findings(proxy: &Proxy, place: &str, options: &[&str]) -> Vec<String> {
    let json = proxy.directory().join(format!("{place}.json"));
    let mut testssl = Command::new("testssl");
    testssl.args([
        "--quiet",
        "--warnings",
        "off",
        "--color",
        "0",
        "--nodns",
        "none",
        "--connect-timeout",
        "5",
    ]);
    testssl.args(["--openssl-timeout", "5", "--sneaky"]).args(CHECKS).args(options);
    testssl.arg("--jsonfile").arg(&json).arg(proxy.at(place).to_string());
    // Its exit code counts the findings.
    let ran = tool::run_within(&mut testssl, &[], LIMIT);
    let program = r#"
import json, sys
for found in json.load(open(sys.argv[1])):
    print(found["id"], found["severity"], found["finding"], sep=": ")
"#;
    let read = tool::python(program, &[json.to_str().expect("a plain name")]);
    assert!(read.status.success(), "{}\n{}\n{}", read.stderr, ran.text(), ran.stderr);
    read.text().lines().map(str::to_owned).collect()
}

/// Worse than LOW; WARN and FATAL are failures of testssl.sh itself.
fn is_bad(finding: &str) -> bool {
    let mut parts = finding.split(": ");
    let (id, severity) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    !["OK", "INFO", "LOW", "DEBUG"].contains(&severity) && !LEFT_OUT.iter().any(|of| id.starts_with(of))
}

#[track_caller]
fn pleases(place: &str, options: &[&str]) {
    let root = Root::new(Key::Ec, "Test root");
    let (ec, rsa) = (root.server(Key::Ec, &[NAME]), root.server(Key::Rsa, &[NAME]));
    let pairs = [&ec, &rsa].map(|identity| {
        let (certificate, key) = (identity.certificate(), identity.key());
        format!("ssl_certificate {}; ssl_certificate_key {};", certificate.display(), key.display())
    });
    let mail = format!(
        "auth_http 127.0.0.1:1; {} server {{ listen @tls ssl; listen @clear; protocol imap; starttls only; ssl_prefer_server_ciphers on; }}",
        pairs.concat()
    );
    let proxy = Proxy::start(&Program::gatepost(env!("CARGO_BIN_EXE_gatepost")), &mail);
    let findings = findings(&proxy, place, options);
    // It has met TLS and not something else.
    assert!(findings.iter().any(|found| found.starts_with("TLS1_3: OK: offered")), "{}", findings.join("\n"));
    assert!(findings.iter().any(|found| found.starts_with("heartbleed: OK")), "{}", findings.join("\n"));
    let bad: Vec<_> = findings.iter().filter(|found| is_bad(found)).collect();
    assert!(bad.is_empty(), "{bad:#?}\n{}", proxy.log());
}

#[test]
fn testssl_finds_nothing_worse_than_low_in_implicit_tls() {
    pleases("tls", &[]);
}

#[test]
fn testssl_finds_nothing_worse_than_low_behind_starttls() {
    pleases("clear", &["--starttls", "imap"]);
}
