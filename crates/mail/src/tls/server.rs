//! TLS with clients: a configuration of rustls and an opinion of client certificates, made from settings.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::compress::ZLIB_COMPRESSOR;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::CertificateDer;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{ProducesTickets, StoresServerSessions, WebPkiClientVerifier};
use rustls::time_provider::TimeProvider;
use rustls::{DistinguishedName, ServerConfig, SupportedCipherSuite};

use super::certificates::{authorities, revocation_lists};
use super::ciphers;
use super::conf_command::Choices;
use super::environment::{Built, Environment, Lasting, cannot_load};
use super::groups;
use super::mistake::{Mistake, Why};
use super::pairs;
use super::pem::sections;
use super::protocols::Protocols;
use super::sessions::{Context, Sessions};
use super::settings::{ServerSettings, Source, VerifyClient};
use super::sni::Certificates;
use super::tickets::{TicketKey, Ticketer};
use super::trust::Trust;
use super::verify::{AskForCertificate, ClientCertificate, Policy};
use super::x509;

/// TLS as one server speaks it.
#[derive(Debug, Clone)]
pub struct ServerTls {
    /// For connections, implicit or after STARTTLS.
    pub config: Arc<ServerConfig>,
    policy: Option<Arc<Policy>>,
}

impl ServerTls {
    /// Makes it. The first mistake ends it; they are looked for in the order of the originals.
    pub fn build(settings: &ServerSettings, environment: &Environment<'_>) -> Result<Built<Self>, Mistake> {
        let mut remarks = Vec::new();
        pairs::are_complete(settings)?;
        let protocols = Protocols::new("ssl_protocols", &settings.protocols, &mut remarks)?;
        let tls12 = ciphers::tls12(&settings.ciphers)
            .map_err(|why| Mistake::Call("SSL_CTX_set_cipher_list", settings.ciphers.clone(), why))?;
        let pairs = pairs::load(settings, environment)?;
        let clients = Clients::load(settings, environment)?;
        check_dhparam(settings, environment)?;
        let groups = groups::groups(&settings.ecdh_curve, &mut remarks)
            .map_err(|why| Mistake::Call("SSL_CTX_set1_curves_list", settings.ecdh_curve.clone(), why))?;
        let ticket_keys = ticket_keys(settings, environment)?;
        let mut choices = Choices {
            protocols,
            tls13: ciphers::tls13_default(),
            groups,
            prefer_server_ciphers: settings.prefer_server_ciphers,
            tickets: settings.session_tickets,
            pairs,
        };
        choices.apply(settings, environment, &mut remarks)?;
        let made = Assembly { settings, environment, clients, ticket_keys }.assemble(choices, tls12)?;
        Ok(Built { made, remarks })
    }

    /// What is thought of the certificates that a client has sent, leaf first, once the handshake is over;
    /// `None` if it was not asked for any.
    pub fn judge(&self, chain: Option<&[CertificateDer<'_>]>) -> Option<ClientCertificate> {
        self.policy.as_ref().map(|policy| policy.judge(chain))
    }
}

/// Everything that the settings name, loaded.
struct Assembly<'a> {
    settings: &'a ServerSettings,
    environment: &'a Environment<'a>,
    clients: Option<Clients>,
    ticket_keys: Vec<TicketKey>,
}

impl Assembly<'_> {
    fn assemble(self, choices: Choices, tls12: Vec<SupportedCipherSuite>) -> Result<ServerTls, Mistake> {
        let clock = &self.environment.lasting.clock;
        let versions = choices.protocols.supported();
        // rustls takes any suite of TLS 1.3 that both know for a sign that the client can verify every type of
        // certificate, even if that version is not spoken.
        let spoken = |suite: &SupportedCipherSuite| versions.contains(&suite.version());
        let provider = CryptoProvider {
            cipher_suites: [choices.tls13, tls12].concat().into_iter().filter(spoken).collect(),
            kx_groups: choices.groups,
            ..aws_lc_rs::default_provider()
        };
        let certificates = Arc::new(Certificates::new(choices.pairs));
        let context = context(&certificates, self.clients.as_ref());
        let (verifier, policy) = Clients::split(self.clients, self.settings, clock);
        let mut config = ServerConfig::builder_with_details(provider.into(), Arc::clone(clock))
            .with_protocol_versions(&versions)?
            .with_client_cert_verifier(verifier)
            .with_cert_resolver(certificates);
        config.alpn_protocols = vec![self.settings.protocol.name().into()];
        config.ignore_client_order = choices.prefer_server_ciphers;
        // Never: what a client says must not be replayed (RFC 8446, appendix E.5).
        config.max_early_data_size = 0;
        config.cert_compressors =
            if self.settings.certificate_compression { vec![ZLIB_COMPRESSOR] } else { Vec::new() };
        // Clients do not get to say how much memory their certificates take when unpacked.
        config.cert_decompressors.clear();
        let (settings, lasting) = (self.settings, self.environment.lasting);
        config.session_storage = sessions(settings, lasting, context.clone());
        if choices.tickets {
            config.ticketer = ticketer(settings, lasting, self.ticket_keys, context);
        }
        Ok(ServerTls { config: Arc::new(config), policy })
    }
}

fn sessions(settings: &ServerSettings, lasting: &Lasting, context: Context) -> Arc<dyn StoresServerSessions> {
    let clock = Arc::clone(&lasting.clock);
    let modes = &settings.session_cache;
    Arc::new(Sessions::new(modes, &lasting.caches, context, settings.session_timeout, clock))
}

fn ticketer(
    settings: &ServerSettings,
    lasting: &Lasting,
    keys: Vec<TicketKey>,
    context: Context,
) -> Arc<dyn ProducesTickets> {
    let clock = Arc::clone(&lasting.clock);
    Arc::new(Ticketer::new(keys, &lasting.keyring, context, settings.session_timeout, clock))
}

/// What `ssl_verify_client` needs.
struct Clients {
    trust: Trust,
    hints: Vec<DistinguishedName>,
    /// Mode, depth and authorities.
    context: Context,
}

impl Clients {
    /// `None` with `ssl_verify_client off`; then no file is even opened.
    fn load(settings: &ServerSettings, environment: &Environment<'_>) -> Result<Option<Self>, Mistake> {
        if settings.verify_client == VerifyClient::Off {
            return Ok(None);
        }
        if settings.client_certificate.is_none()
            && settings.trusted_certificate.is_none()
            && settings.verify_client != VerifyClient::OptionalNoCa
        {
            return Err(Mistake::NoAuthorities);
        }
        let load = |path: &Option<PathBuf>| match path {
            Some(path) => authorities(path, environment),
            None => Ok(Vec::new()),
        };
        let named = load(&settings.client_certificate)?;
        let hints = subjects(&named);
        let count = named.len();
        let trusted = [named, load(&settings.trusted_certificate)?].concat();
        let mut context = Context::new()
            .with(format!("{:?} {}", settings.verify_client, settings.verify_depth).as_bytes())
            .with(&count.to_be_bytes());
        for certificate in &trusted {
            context = context.with(certificate);
        }
        let trust = trust(trusted, settings.crl.as_deref(), settings.verify_depth, environment)?;
        Ok(Some(Self { trust, hints, context }))
    }

    /// What rustls needs in the handshake, and we after it.
    fn split(
        clients: Option<Self>,
        settings: &ServerSettings,
        clock: &Arc<dyn TimeProvider>,
    ) -> (Arc<dyn ClientCertVerifier>, Option<Arc<Policy>>) {
        let Some(clients) = clients else { return (WebPkiClientVerifier::no_client_auth(), None) };
        let policy = Policy { mode: settings.verify_client, trust: clients.trust, clock: Arc::clone(clock) };
        (Arc::new(AskForCertificate { hints: clients.hints }), Some(Arc::new(policy)))
    }
}

/// The [`Trust`] in `certificates`, with the lists in the file `crl`.
pub(super) fn trust(
    certificates: Vec<CertificateDer<'static>>,
    crl: Option<&Path>,
    depth: usize,
    environment: &Environment<'_>,
) -> Result<Trust, Mistake> {
    let trust = Trust::new(certificates, depth);
    let Some(path) = crl else { return Ok(trust) };
    let lists = revocation_lists(path, environment)?;
    trust.with_lists(&lists).map_err(cannot_load("CRL", &path.display(), "PEM_read_bio_X509_CRL()"))
}

/// The names of `certificates`, each once.
fn subjects(certificates: &[CertificateDer<'_>]) -> Vec<DistinguishedName> {
    let mut subjects: Vec<DistinguishedName> = Vec::new();
    for certificate in certificates.iter().filter_map(|der| x509::parse(der)) {
        let subject = x509::subject(&certificate);
        if !subjects.iter().any(|other| other.as_ref() == subject.as_ref()) {
            subjects.push(subject);
        }
    }
    subjects
}

/// What sessions belong to: certificates, and what is wanted of clients.
fn context(certificates: &Certificates, clients: Option<&Clients>) -> Context {
    let mut context = Context::new().with(b"gatepost sessions 1");
    for leaf in certificates.leaves() {
        context = context.with(leaf);
    }
    match clients {
        Some(clients) => context.with(clients.context.as_ref()),
        None => context.with(b""),
    }
}

fn ticket_keys(settings: &ServerSettings, environment: &Environment<'_>) -> Result<Vec<TicketKey>, Mistake> {
    let load = |path: &PathBuf| {
        let content = (environment.read)(path)
            .map_err(|error| Mistake::Open { path: path.clone(), reason: (&error).into() })?;
        TicketKey::from_file(path, &zeroize::Zeroizing::new(content))
    };
    settings.session_ticket_keys.iter().map(load).collect()
}

/// That there are parameters in the file, as the originals want; nothing uses them.
fn check_dhparam(settings: &ServerSettings, environment: &Environment<'_>) -> Result<(), Mistake> {
    let Some(path) = &settings.dhparam else { return Ok(()) };
    let failed = |call, why| Mistake::Call(call, path.display().to_string(), why);
    let text = environment.content(&Source::File(path.clone())).map_err(|why| failed("BIO_new_file", why))?;
    for section in sections(&text) {
        let section = section.map_err(|why| failed("PEM_read_bio_DHparams", why))?;
        if matches!(section.label, "DH PARAMETERS" | "X9.42 DH PARAMETERS") {
            return Ok(());
        }
    }
    Err(failed("PEM_read_bio_DHparams", Why::NoPem("DH parameters")))
}
