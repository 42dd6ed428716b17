//! Configurations at work: handshakes in memory between ours and plain rustls, and with `openssl` over sockets.

mod clients;
mod command;
mod handshake;
mod mistakes;
mod resumption;
mod upstreams;

use std::sync::Arc;

use proto::Protocol;
use rustls::crypto::CryptoProvider;
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion, version};

use super::settings::{CertificateSetting, ServerSettings, Source};
use super::testing::{Ca, Files, Leaf};
use super::{Mistake, ServerTls};

/// Both versions.
const VERSIONS: [&SupportedProtocolVersion; 2] = [&version::TLS12, &version::TLS13];

/// A server, its settings and files, and the authority that its certificates come from.
struct Scene {
    ca: Ca,
    files: Files,
    settings: ServerSettings,
}

impl Scene {
    /// An IMAP server with a certificate for mail.example.
    fn new() -> Self {
        let mut scene = Self::bare();
        let leaf = scene.ca.leaf("mail.example");
        scene.add(&leaf);
        scene
    }

    /// An IMAP server without a certificate.
    fn bare() -> Self {
        Self { ca: Ca::new("ca"), files: Files::default(), settings: ServerSettings::new(Protocol::Imap) }
    }

    /// One more certificate with its key.
    fn add(&mut self, leaf: &Leaf) {
        let number = self.settings.keys.len();
        let certificate = Source::File(self.files.add(&format!("{number}.crt"), leaf.pem()));
        self.settings.certificates.push(CertificateSetting::new(certificate));
        self.settings.keys.push(Source::File(self.files.add(&format!("{number}.key"), leaf.key_pem())));
    }

    fn try_build(&self) -> Result<ServerTls, Mistake> {
        self.files.with(|environment| ServerTls::build(&self.settings, environment)).map(|built| built.made)
    }

    fn build(&self) -> ServerTls {
        self.try_build().expect("a server")
    }

    /// A client that believes in the authority and has no certificate.
    fn client(&self, versions: &[&'static SupportedProtocolVersion]) -> ClientConfig {
        self.client_builder(versions).with_no_client_auth()
    }

    fn client_builder(
        &self,
        versions: &[&'static SupportedProtocolVersion],
    ) -> rustls::ConfigBuilder<ClientConfig, rustls::client::WantsClientCert> {
        self.client_of(rustls::crypto::aws_lc_rs::default_provider(), versions)
    }

    /// A client that can do no more than `provider` has.
    fn client_of(
        &self,
        provider: CryptoProvider,
        versions: &[&'static SupportedProtocolVersion],
    ) -> rustls::ConfigBuilder<ClientConfig, rustls::client::WantsClientCert> {
        let mut roots = RootCertStore::empty();
        roots.add(self.ca.der()).expect("a root");
        ClientConfig::builder_with_details(provider.into(), Arc::clone(&self.files.lasting.clock))
            .with_protocol_versions(versions)
            .expect("versions")
            .with_root_certificates(roots)
    }
}
