//! What the tests of this module share: authorities, files that are not there, a clock that stands still,
//! handshakes in memory, and the `openssl` command.

use std::collections::HashMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, CustomExtension,
    DnType, ExtendedKeyUsagePurpose, IsCa, KeyIdMethod, KeyPair, KeyUsagePurpose, PKCS_RSA_SHA256,
    RevokedCertParams, SerialNumber, date_time_ymd,
};
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, ServerName, UnixTime};
use rustls::time_provider::TimeProvider;
use rustls::{ClientConfig, ClientConnection, ServerConfig, ServerConnection};

use super::environment::{Environment, Lasting};
use super::names;

/// A certificate with its key.
pub(super) struct Leaf {
    pub(super) der: CertificateDer<'static>,
    pub(super) key: KeyPair,
}

impl Leaf {
    pub(super) fn pem(&self) -> String {
        names::pem(&self.der)
    }

    pub(super) fn key_pem(&self) -> String {
        names::pem(&self.key.serialize_der()).replace("CERTIFICATE", "PRIVATE KEY")
    }
}

/// An authority of the test's own.
pub(super) struct Ca {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// Parameters of a certificate whose common name is `name`; a host name, or `*.…`, is an alternative name too.
pub(super) fn params(name: &str) -> CertificateParams {
    let alternatives = if name.contains('.') { vec![name.to_owned()] } else { Vec::new() };
    let mut params = CertificateParams::new(alternatives).expect("a name");
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.use_authority_key_identifier_extension = true;
    params
}

fn authority(name: &str) -> CertificateParams {
    let mut params = params(name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

impl Ca {
    pub(super) fn new(name: &str) -> Self {
        Self::with(authority(name))
    }

    pub(super) fn with(params: CertificateParams) -> Self {
        let issuer = CertifiedIssuer::self_signed(params, new_key()).expect("a certificate");
        Self { issuer }
    }

    /// An authority below this one.
    pub(super) fn below(&self, name: &str) -> Self {
        self.below_with(authority(name))
    }

    pub(super) fn below_with(&self, params: CertificateParams) -> Self {
        let issuer = CertifiedIssuer::signed_by(params, new_key(), &self.issuer).expect("a certificate");
        Self { issuer }
    }

    pub(super) fn der(&self) -> CertificateDer<'static> {
        self.issuer.der().clone()
    }

    pub(super) fn pem(&self) -> String {
        names::pem(&self.der())
    }

    pub(super) fn key_pem(&self) -> String {
        names::pem(&self.issuer.key().serialize_der()).replace("CERTIFICATE", "PRIVATE KEY")
    }

    pub(super) fn leaf(&self, name: &str) -> Leaf {
        self.sign(&params(name), new_key())
    }

    pub(super) fn rsa_leaf(&self, name: &str) -> Leaf {
        self.sign(&params(name), KeyPair::generate_for(&PKCS_RSA_SHA256).expect("a key"))
    }

    pub(super) fn sign(&self, params: &CertificateParams, key: KeyPair) -> Leaf {
        let der = params.signed_by(&key, &self.issuer).expect("a certificate").der().clone();
        Leaf { der, key }
    }

    /// A list of `revoked` serial numbers, good from the first day of one year to that of another.
    pub(super) fn list(
        &self,
        revoked: &[u8],
        (from, to): (i32, i32),
    ) -> CertificateRevocationListDer<'static> {
        let revoked = revoked.iter().map(|serial| RevokedCertParams {
            serial_number: SerialNumber::from_slice(&[*serial]),
            revocation_time: date_time_ymd(from, 1, 1),
            reason_code: None,
            invalidity_date: None,
        });
        let params = CertificateRevocationListParams {
            this_update: date_time_ymd(from, 1, 1),
            next_update: date_time_ymd(to, 1, 1),
            crl_number: SerialNumber::from_slice(&[1]),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(&self.issuer).expect("a list").into()
    }
}

pub(super) fn new_key() -> KeyPair {
    KeyPair::generate().expect("a key")
}

/// A certificate that vouches for itself.
pub(super) fn self_signed(params: &CertificateParams) -> Leaf {
    let key = new_key();
    let der = params.self_signed(&key).expect("a certificate").der().clone();
    Leaf { der, key }
}

/// Parameters of a client's certificate.
pub(super) fn client(name: &str) -> CertificateParams {
    let mut params = params(name);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params
}

/// An extension that nobody knows.
pub(super) fn unknown_extension(critical: bool) -> CustomExtension {
    let mut extension = CustomExtension::from_oid_content(&[1, 2, 3, 4], vec![5, 0]);
    extension.set_criticality(critical);
    extension
}

/// The time at which tests happen: 2030-01-01.
pub(super) const NOW: u64 = 1_893_456_000;

/// [`NOW`], for verification.
pub(super) fn now() -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(NOW))
}

/// A clock that moves when it is told to; clones are the same clock.
#[derive(Debug, Clone)]
pub(super) struct Clock(Arc<AtomicU64>);

impl Default for Clock {
    fn default() -> Self {
        Self(Arc::new(AtomicU64::new(NOW)))
    }
}

impl Clock {
    pub(super) fn advance(&self, seconds: u64) {
        self.0.fetch_add(seconds, Ordering::Relaxed);
    }

    pub(super) fn put_back(&self, seconds: u64) {
        self.0.fetch_sub(seconds, Ordering::Relaxed);
    }
}

impl TimeProvider for Clock {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(Duration::from_secs(self.0.load(Ordering::Relaxed))))
    }
}

/// Files in `/files`, in memory, and what else a configuration needs.
pub(super) struct Files {
    contents: HashMap<PathBuf, Vec<u8>>,
    pub(super) roots: Vec<CertificateDer<'static>>,
    pub(super) clock: Clock,
    pub(super) lasting: Lasting,
}

impl Default for Files {
    fn default() -> Self {
        let clock = Clock::default();
        let lasting = Lasting::with_clock(Arc::new(clock.clone()));
        Self { contents: HashMap::new(), roots: Vec::new(), clock, lasting }
    }
}

impl Files {
    /// Writes a file, and says where it is.
    pub(super) fn add(&mut self, name: &str, content: impl Into<Vec<u8>>) -> PathBuf {
        let path = Path::new("/files").join(name);
        self.contents.insert(path.clone(), content.into());
        path
    }

    /// Gives an environment with these files to `body`.
    pub(super) fn with<T>(&self, body: impl FnOnce(&Environment<'_>) -> T) -> T {
        body(&Environment {
            read: &|path| self.contents.get(path).cloned().ok_or_else(|| io::Error::from_raw_os_error(2)),
            system_roots: &|| self.roots.clone(),
            lasting: &self.lasting,
        })
    }
}

/// The `openssl` command: what it makes of something is what we are measured by.
pub(super) mod openssl {
    use std::io::Write;
    use std::process::{Command, Output, Stdio};

    /// Runs it; it has to succeed.
    pub(in crate::tls) fn run(arguments: &[&str], input: &[u8]) -> Vec<u8> {
        let output = output(arguments, input);
        assert!(
            output.status.success(),
            "openssl {arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        output.stdout
    }

    /// Its output as text, if it succeeds.
    pub(in crate::tls) fn text(arguments: &[&str]) -> Option<String> {
        let output = output(arguments, &[]);
        output.status.success().then(|| String::from_utf8(output.stdout).expect("text"))
    }

    /// The number of the last error that `openssl verify` tells, 0 for none.
    pub(in crate::tls) fn last_verify_error(arguments: &[&str]) -> u8 {
        let output = output(arguments, &[]);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        let number = |line: &str| line.strip_prefix("error ")?.split_once(" at ")?.0.parse().ok();
        let last = text.lines().filter_map(number).next_back();
        last.unwrap_or_else(|| {
            assert!(output.status.success(), "openssl {arguments:?}: {text}");
            0
        })
    }

    fn output(arguments: &[&str], input: &[u8]) -> Output {
        let mut command = Command::new("openssl");
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("openssl is installed");
        // What it has not read when it ends it did not need.
        let _ = child.stdin.take().expect("piped").write_all(input);
        child.wait_with_output().expect("an end")
    }

    /// A self-signed certificate with `subject`, as `openssl req -subj` understands it.
    pub(in crate::tls) fn self_signed(subject: &str) -> Vec<u8> {
        let directory = tempfile::tempdir().expect("a directory");
        // OpenSSL takes attributes by number only if a configuration gives them a name.
        let configuration = directory.path().join("openssl.cnf");
        let text = "oid_section=o\n[o]\nodd=1.2.3.4.5.6\n[req]\ndistinguished_name=d\n[d]\n";
        std::fs::write(&configuration, text).expect("a file");
        let configuration = configuration.to_str().expect("text");
        let subject = subject.replace("1.2.3.4.5.6", "odd");
        let key = ["-newkey", "ed25519", "-nodes", "-keyout", "/dev/null"];
        let certificate =
            ["-x509", "-utf8", "-multivalue-rdn", "-subj", &subject, "-days", "1", "-outform", "DER"];
        run(&[&["req", "-config", configuration][..], &key, &certificate].concat(), &[])
    }

    /// A certificate whose subject has one common name with `value`, a string in DER. It is not signed properly:
    /// the value is put in place of another.
    pub(in crate::tls) fn with_subject_value(value: &[u8]) -> Vec<u8> {
        let certificate = self_signed("/CN=PLACEHOLDER");
        let old = [&[0x0c, 11][..], b"PLACEHOLDER"].concat();
        replace(&certificate, &old, value)
    }

    /// Puts `new` in place of the DER value `old` wherever it stands, and corrects the lengths around it.
    fn replace(der: &[u8], old: &[u8], new: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        let mut rest = der;
        while let Some(tag) = rest.first() {
            let (head, length) = match rest[1] {
                short @ 0..0x80 => (2, usize::from(short)),
                long => {
                    let bytes = &rest[2..2 + usize::from(long & 0x7f)];
                    (2 + bytes.len(), bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)))
                }
            };
            let (value, behind) = rest.split_at(head + length);
            let content =
                if tag & 0x20 == 0 { value[head..].to_vec() } else { replace(&value[head..], old, new) };
            if value == old {
                out.extend(new);
            } else {
                out.push(*tag);
                out.extend(encoded(content.len()));
                out.extend(content);
            }
            rest = behind;
        }
        out
    }

    fn encoded(length: usize) -> Vec<u8> {
        let bytes = length.to_be_bytes();
        let start = bytes.iter().position(|byte| *byte != 0).unwrap_or(bytes.len() - 1);
        match length {
            0..0x80 => vec![bytes[start]],
            _ => [&[0x80 | u8::try_from(bytes.len() - start).expect("few")], &bytes[start..]].concat(),
        }
    }

    /// A certificate of version 1 for `key`, in PEM, that vouches for itself.
    pub(in crate::tls) fn version_1(key: &[u8]) -> Vec<u8> {
        version_1_by(key, None)
    }

    /// A certificate of version 1 for `key`, signed by the authority with this certificate and key, all in PEM.
    pub(in crate::tls) fn version_1_by(key: &[u8], authority: Option<(&str, &str)>) -> Vec<u8> {
        let directory = tempfile::tempdir().expect("a directory");
        let write = |name: &str, content: &[u8]| {
            let path = directory.path().join(name);
            std::fs::write(&path, content).expect("a file");
            path.to_str().expect("text").to_owned()
        };
        let key = write("key.pem", key);
        let empty = write("empty.cnf", b"[req]\ndistinguished_name=d\n[d]\n");
        let request = run(&["req", "-new", "-key", &key, "-subj", "/CN=old", "-config", &empty], &[]);
        let mut arguments: Vec<String> = ["x509", "-req", "-days", "10000"].map(Into::into).to_vec();
        match authority {
            Some((certificate, secret)) => {
                let certificate = write("ca.pem", certificate.as_bytes());
                let secret = write("ca.key", secret.as_bytes());
                arguments.extend([
                    "-CA".into(),
                    certificate,
                    "-CAkey".into(),
                    secret,
                    "-set_serial".into(),
                    "7".into(),
                ]);
            }
            None => arguments.extend(["-signkey".into(), key]),
        }
        let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        run(&arguments, &request)
    }
}

/// The two ends of a connection in memory.
pub(super) struct Ends {
    pub(super) client: ClientConnection,
    pub(super) server: ServerConnection,
}

/// Which end has ended the handshake, and why.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum End {
    Client(rustls::Error),
    Server(rustls::Error),
}

impl Ends {
    /// A handshake, and some data after it, by which tickets have arrived.
    pub(super) fn meet(
        client: &Arc<ClientConfig>,
        server: &Arc<ServerConfig>,
        name: ServerName<'static>,
    ) -> Result<Self, End> {
        let client = ClientConnection::new(Arc::clone(client), name).expect("a client");
        let server = ServerConnection::new(Arc::clone(server)).expect("a server");
        let mut ends = Self { client, server };
        ends.exchange()?;
        ends.say(b"hello");
        ends.exchange()?;
        Ok(ends)
    }

    fn say(&mut self, text: &[u8]) {
        self.server.writer().write_all(text).expect("room");
    }

    /// Carries bytes until both have nothing to say.
    fn exchange(&mut self) -> Result<(), End> {
        while self.client.wants_write() || self.server.wants_write() {
            carry(&mut self.client, &mut self.server).map_err(End::Server)?;
            carry(&mut self.server, &mut self.client).map_err(End::Client)?;
        }
        Ok(())
    }
}

fn carry<A, B>(
    from: &mut rustls::ConnectionCommon<A>,
    to: &mut rustls::ConnectionCommon<B>,
) -> Result<(), rustls::Error>
where
    A: rustls::SideData,
    B: rustls::SideData,
{
    let mut bytes = Vec::new();
    while from.wants_write() {
        from.write_tls(&mut bytes).expect("a vector takes all");
    }
    let mut bytes = &bytes[..];
    while !bytes.is_empty() {
        to.read_tls(&mut bytes).expect("room");
        to.process_new_packets()?;
    }
    Ok(())
}

/// A name for a client to ask for.
pub(super) fn name(name: &str) -> ServerName<'static> {
    ServerName::try_from(name.to_owned()).expect("a name")
}
