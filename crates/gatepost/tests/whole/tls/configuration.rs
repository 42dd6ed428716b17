//! Mistakes in TLS settings, as `-t` tells them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rig::pki::{Identity, Key, Root};
use rig::tool::{self, Ran};
use tempfile::TempDir;

/// A directory with good and bad files, used as prefix.
struct Prefix(TempDir);

impl Prefix {
    fn new() -> Self {
        let prefix = Self(tempfile::tempdir().expect("a temporary directory"));
        let root = Root::new(Key::Ec, "Test root");
        let (ec, rsa) = (root.server(Key::Ec, &["a.test"]), root.server(Key::Rsa, &["a.test"]));
        prefix.take("ec", &ec);
        prefix.take("rsa", &rsa);
        prefix.take("other", &root.server(Key::Ec, &["b.test"]));
        prefix.copy("ca.pem", &root.certificate());
        prefix.write("empty", "");
        prefix.write("garbage.pem", "-----BEGIN CERTIFICATE-----\nAAEC\n-----END CERTIFICATE-----\n");
        prefix.write("long", &"x".repeat(600));
        prefix.write("phrases", "wrong\nright\n");
        let mut openssl = Command::new("openssl");
        openssl.args(["pkcs8", "-topk8", "-passout", "pass:right", "-in"]).arg(prefix.path("ec.key"));
        tool::run(openssl.arg("-out").arg(prefix.path("locked.key")), &[]).succeeded();
        prefix
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).expect("the directory is writable");
    }

    fn copy(&self, name: &str, from: &Path) {
        fs::copy(from, self.path(name)).expect("the directory is writable");
    }

    fn take(&self, name: &str, identity: &Identity) {
        self.copy(&format!("{name}.pem"), &identity.certificate());
        self.copy(&format!("{name}.key"), &identity.key());
    }

    /// Tests a configuration whose server has these directives in line 5; `mail` are those around it, in line 4.
    fn test(&self, mail: &str, server: &str) -> Ran {
        let address = rig::port::free();
        self.write(
            "conf",
            &format!(
                "pid pid; error_log error.log;\nevents {{}}\nmail {{ auth_http localhost:9000/auth;\n{mail}\n\
                 server {{ {server} protocol imap; }}\n}}\n"
            )
            .replace('@', &address.to_string()),
        );
        let mut gatepost = Command::new(env!("CARGO_BIN_EXE_gatepost"));
        tool::run(gatepost.arg("-p").arg(self.0.path()).args(["-c", "conf", "-t"]), &[])
    }

    /// What is said but for the syntax, without program and directory.
    fn told(&self, ran: &Ran) -> Vec<String> {
        let text = ran.stderr.replace(&format!("{}/", self.0.path().display()), "");
        let lines = text.lines().map(|line| line.trim_start_matches("gatepost: ").to_owned());
        lines.filter(|line| line != "the configuration file conf syntax is ok").collect()
    }

    #[track_caller]
    fn refuses(&self, mail: &str, server: &str, expected: &str) {
        let ran = self.test(mail, server).failed();
        let told = self.told(&ran);
        let last = "configuration file conf test failed".to_owned();
        assert_eq!(told, [format!("[emerg] {expected}"), last], "{mail} {server}");
    }

    #[track_caller]
    fn accepts(&self, server: &str) -> Vec<String> {
        let ran = self.test("", server).succeeded();
        let mut told = self.told(&ran);
        assert_eq!(told.pop().as_deref(), Some("configuration file conf test is successful"));
        told
    }
}

const EC: &str = "ssl_certificate ec.pem; ssl_certificate_key ec.key;";
const NO_FILE: &str = "(SSL: 2: No such file or directory)";

#[test]
fn what_is_missing_is_told_with_the_place_that_needs_it() {
    let prefix = Prefix::new();
    let listen = "the \"listen ... ssl\" directive in conf:5";
    let refuses = |server: &str, expected: &str| prefix.refuses("", server, expected);
    refuses("listen @ ssl;", &format!("no \"ssl_certificate\" is defined for {listen}"));
    refuses(
        "listen @; starttls on;",
        "no \"ssl_certificate\" is defined for the \"starttls\" directive in conf:5",
    );
    prefix.refuses(
        "starttls only;",
        "listen @;",
        "no \"ssl_certificate\" is defined for the \"starttls\" directive in conf:4",
    );
    refuses(
        "listen @ ssl; ssl_certificate ec.pem;",
        &format!("no \"ssl_certificate_key\" is defined for {listen}"),
    );
    refuses(
        &format!("listen @ ssl; {EC} ssl_certificate rsa.pem;"),
        &format!("no \"ssl_certificate_key\" is defined for certificate \"rsa.pem\" and {listen}"),
    );
    refuses(
        &format!("listen @ ssl; {EC} ssl_verify_client on;"),
        "no ssl_client_certificate or ssl_trusted_certificate for ssl_verify_client",
    );
}

#[test]
fn files_that_do_not_do_are_told_by_name() {
    let prefix = Prefix::new();
    let cases = [
        (
            "ssl_certificate none.pem; ssl_certificate_key ec.key;",
            format!("cannot load certificate \"none.pem\": BIO_new_file() failed {NO_FILE}"),
        ),
        (
            "ssl_certificate empty; ssl_certificate_key ec.key;",
            "cannot load certificate \"empty\": PEM_read_bio_X509_AUX() failed (SSL: no certificate in PEM form)".into(),
        ),
        (
            "ssl_certificate garbage.pem; ssl_certificate_key ec.key;",
            "cannot load certificate \"garbage.pem\": PEM_read_bio_X509_AUX() failed (SSL: malformed certificate)".into(),
        ),
        (
            "ssl_certificate ec.pem; ssl_certificate_key none.key;",
            format!("cannot load certificate key \"none.key\": BIO_new_file() failed {NO_FILE}"),
        ),
        (
            "ssl_certificate ec.pem; ssl_certificate_key ec.pem;",
            "cannot load certificate key \"ec.pem\": PEM_read_bio_PrivateKey() failed (SSL: no private key in PEM form)".into(),
        ),
        (
            "ssl_certificate ec.pem; ssl_certificate_key locked.key;",
            "cannot load certificate key \"locked.key\": PEM_read_bio_PrivateKey() failed (SSL: the key is encrypted, \
             and there is no ssl_password_file)"
                .into(),
        ),
        (
            "ssl_certificate ec.pem; ssl_certificate_key locked.key; ssl_password_file empty;",
            "cannot load certificate key \"locked.key\": PEM_read_bio_PrivateKey() failed (SSL: no pass phrase fits)".into(),
        ),
        (
            "ssl_certificate ec.pem; ssl_certificate_key other.key;",
            "SSL_CTX_use_PrivateKey(\"other.key\") failed (SSL: key values mismatch)".into(),
        ),
        (
            "ssl_certificate ec.pem; ssl_certificate_key rsa.key;",
            "SSL_CTX_use_PrivateKey(\"rsa.key\") failed (SSL: key type mismatch)".into(),
        ),
        (
            "ssl_certificate ec.pem; ssl_certificate_key engine:e:k;",
            "cannot load certificate key \"engine:e:k\": loading \"engine:...\" certificate keys is not supported".into(),
        ),
    ];
    for (server, expected) in cases {
        prefix.refuses("", &format!("listen @ ssl; {server}"), &expected);
    }
}

#[test]
fn values_that_do_not_do_are_told_with_what_there_is() {
    let prefix = Prefix::new();
    let begins = |directive: &str, expected: &str| {
        let ran = prefix.test("", &format!("listen @ ssl; {EC} {directive}")).failed();
        let told = prefix.told(&ran);
        assert!(told[0].starts_with(&format!("[emerg] {expected}")), "{directive}: {told:?}");
    };
    begins(
        "ssl_protocols TLSv1 TLSv1.1;",
        "no usable protocol in \"ssl_protocols\": there are TLSv1.2 and TLSv1.3",
    );
    begins("ssl_protocols TLSv4;", "invalid value \"TLSv4\" in conf:5");
    begins("ssl_ciphers RC4;", "SSL_CTX_set_cipher_list(\"RC4\") failed (SSL: no cipher match, there are ");
    begins(
        "ssl_ecdh_curve foo;",
        "SSL_CTX_set1_curves_list(\"foo\") failed (SSL: unknown group \"foo\", there are ",
    );
    begins("ssl_dhparam none;", &format!("BIO_new_file(\"none\") failed {NO_FILE}"));
    begins("ssl_session_cache bad;", "invalid session cache \"bad\" in conf:5");
    begins("ssl_session_cache shared:Z:1k;", "session cache \"shared:Z:1k\" is too small in conf:5");
    begins("ssl_session_ticket_key empty;", "\"empty\" must be 48 or 80 bytes");
    begins("ssl_password_file none;", "open() \"none\" failed (2: No such file or directory) in conf:5");
    begins("ssl_password_file long;", "too long line in \"long\"");
    begins(
        "ssl_conf_command Nonsense on;",
        "SSL_CONF_cmd(\"Nonsense\", \"on\") failed (SSL: unsupported command, ",
    );
    begins(
        "ssl_verify_client on; ssl_client_certificate none;",
        &format!("cannot load certificate \"none\": BIO_new_file() failed {NO_FILE}"),
    );
    begins(
        "ssl_verify_client on; ssl_client_certificate ca.pem; ssl_crl empty;",
        "cannot load CRL \"empty\": PEM_read_bio_X509_CRL() failed",
    );
    begins("ssl_stapling on;", "\"ssl_stapling\" directive is not allowed here in conf:5");
    begins(
        "proxy_ssl on; proxy_ssl_trusted_certificate none;",
        "cannot load certificate \"none\": BIO_new_file() failed",
    );
    begins("proxy_ssl maybe;", "invalid value \"maybe\"");
}

#[test]
fn settings_that_do_are_accepted_and_odd_ones_remarked() {
    let prefix = Prefix::new();
    let quiet = [
        "listen @ ssl; ssl_certificate ec.pem; ssl_certificate_key locked.key; ssl_password_file phrases;",
        "listen @ ssl; ssl_certificate rsa.pem; ssl_certificate rsa.pem; ssl_certificate_key rsa.key; ssl_certificate_key rsa.key;",
        // Nobody speaks TLS here, so nobody looks for the files.
        "listen @; ssl_certificate none.pem; ssl_certificate_key none.key;",
        // Files for verification are not opened where nobody is verified.
        "listen @ ssl; ssl_certificate ec.pem; ssl_certificate_key ec.key; ssl_client_certificate none.pem;",
    ];
    for server in quiet {
        assert_eq!(prefix.accepts(server), [""; 0], "{server}");
    }
    let told = prefix.accepts(&format!("listen @ ssl; {EC} ssl_protocols TLSv1 TLSv1.2;"));
    assert_eq!(told, ["[warn] \"ssl_protocols\": TLSv1 cannot be had and will not be spoken"]);
}

#[test]
fn a_certificate_may_stand_in_the_configuration_itself() {
    let prefix = Prefix::new();
    let read = |name: &str| fs::read_to_string(prefix.path(name)).expect("it was written");
    let server = format!(
        "listen @ ssl; ssl_certificate \"data:{}\"; ssl_certificate_key \"data:{}\";",
        read("ec.pem"),
        read("ec.key")
    );
    assert_eq!(prefix.accepts(&server), [""; 0]);
}
