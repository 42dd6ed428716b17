//! TLS with upstreams: configurations of rustls, one that verifies and one that does not, made from settings.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ResolvesClientCert, Resumption};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, InvalidDnsNameError, ServerName, UnixTime};
use rustls::sign::SingleCertAndKey;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, OtherError, SignatureScheme};
use webpki::EndEntityCert;

use super::certificates::authorities;
use super::ciphers;
use super::environment::{Built, Environment};
use super::groups;
use super::mistake::Mistake;
use super::pairs::Pair;
use super::protocols::Protocols;
use super::server::trust;
use super::settings::ClientSettings;
use super::signature;
use super::trust::{Purpose, Trust};
use super::verify_error::VerifyError;

/// TLS as one server speaks it with its upstreams.
#[derive(Debug, Clone)]
pub struct ClientTls {
    verifying: Arc<ClientConfig>,
    trusting: Arc<ClientConfig>,
    verify: bool,
    name: Option<ServerName<'static>>,
}

impl ClientTls {
    /// Makes it.
    pub fn build(settings: &ClientSettings, environment: &Environment<'_>) -> Result<Built<Self>, Mistake> {
        let mut remarks = Vec::new();
        let protocols = Protocols::new("proxy_ssl_protocols", &settings.protocols, &mut remarks)?;
        let tls12 = ciphers::tls12(&settings.ciphers)
            .map_err(|why| Mistake::Call("SSL_CTX_set_cipher_list", settings.ciphers.clone(), why))?;
        let certificate = own_certificate(settings, environment)?;
        let trust = load_trust(settings, environment)?;
        let name = settings
            .name
            .as_deref()
            .map(|name| server_name(name).map_err(|_| Mistake::Name(name.to_owned())));
        let provider = Arc::new(CryptoProvider {
            cipher_suites: [ciphers::tls13_default(), tls12].concat(),
            kx_groups: groups::default(),
            ..aws_lc_rs::default_provider()
        });
        let assembly = Assembly { settings, environment, protocols, provider, certificate };
        let made = Self {
            verifying: assembly.config(Verifier::Trust(trust))?,
            trusting: assembly.config(Verifier::Anyone)?,
            verify: settings.verify,
            name: name.transpose()?,
        };
        Ok(Built { made, remarks })
    }

    /// The configuration for an upstream: verified as the settings say, or as `verify` says if it says anything.
    ///
    /// Sessions of the one are never resumed by the other.
    pub fn config(&self, verify: Option<bool>) -> &Arc<ClientConfig> {
        if verify.unwrap_or(self.verify) { &self.verifying } else { &self.trusting }
    }

    /// The name that an upstream has to prove: `given` for this session, or that of the settings, or `called`, as
    /// which it was looked up; a host name or an address.
    pub fn name(
        &self,
        given: Option<&str>,
        called: &str,
    ) -> Result<ServerName<'static>, InvalidDnsNameError> {
        match (given, &self.name) {
            (Some(given), _) => server_name(given),
            (None, Some(name)) => Ok(name.clone()),
            (None, None) => server_name(called),
        }
    }

    /// Why verification failed, if `error` of a handshake says that it did.
    pub fn verify_error(error: &Error) -> Option<VerifyError> {
        match error {
            Error::InvalidCertificate(CertificateError::Other(OtherError(reason))) => {
                reason.downcast_ref::<VerifyError>().copied()
            }
            _ => None,
        }
    }
}

/// Everything that the settings name, loaded.
struct Assembly<'a> {
    settings: &'a ClientSettings,
    environment: &'a Environment<'a>,
    protocols: Protocols,
    provider: Arc<CryptoProvider>,
    certificate: Option<Arc<dyn ResolvesClientCert>>,
}

impl Assembly<'_> {
    fn config(&self, verifier: Verifier) -> Result<Arc<ClientConfig>, Mistake> {
        let clock = Arc::clone(&self.environment.lasting.clock);
        let builder = ClientConfig::builder_with_details(Arc::clone(&self.provider), clock)
            .with_protocol_versions(&self.protocols.supported())?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier));
        let mut config = match &self.certificate {
            Some(certificate) => builder.with_client_cert_resolver(Arc::clone(certificate)),
            None => builder.with_no_client_auth(),
        };
        config.enable_sni = self.settings.server_name;
        config.enable_early_data = false;
        config.cert_compressors.clear();
        config.cert_decompressors.clear();
        if !self.settings.session_reuse {
            config.resumption = Resumption::disabled();
        }
        Ok(Arc::new(config))
    }
}

/// A host name or an address, IPv6 also in brackets.
fn server_name(name: &str) -> Result<ServerName<'static>, InvalidDnsNameError> {
    let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    ServerName::try_from(bare.trim_end_matches('.').to_owned())
}

fn own_certificate(
    settings: &ClientSettings,
    environment: &Environment<'_>,
) -> Result<Option<Arc<dyn ResolvesClientCert>>, Mistake> {
    let Some(certificate) = &settings.certificate else { return Ok(None) };
    let key = settings.key.as_ref().ok_or_else(|| Mistake::NoProxyKey(certificate.to_string()))?;
    let pair = Pair::load(certificate, key, settings.passphrases.as_deref(), &[], environment)?;
    Ok(Some(Arc::new(SingleCertAndKey::from(pair.certified))))
}

/// Whom to believe when upstreams are verified. Sessions can ask for that even with `proxy_ssl_verify off`, so
/// what is written must be good; but only with `on` must there be someone.
fn load_trust(settings: &ClientSettings, environment: &Environment<'_>) -> Result<Trust, Mistake> {
    let certificates = match &settings.trusted_certificate {
        Some(path) => authorities(path, environment)?,
        None => (environment.system_roots)(),
    };
    if certificates.is_empty() && settings.verify {
        return Err(Mistake::NoRoots);
    }
    trust(certificates, settings.crl.as_deref(), settings.verify_depth, environment)
}

/// What an upstream's certificate has to be.
#[derive(Debug)]
enum Verifier {
    /// Someone trusted vouches for it and the name is in it.
    Trust(Trust),
    /// Anything; but the upstream must have its key.
    Anyone,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let checked = match self {
            Self::Anyone => Ok(()),
            Self::Trust(trust) => {
                let chain: Vec<_> = std::iter::once(leaf)
                    .chain(others)
                    .map(|der| CertificateDer::from(der.as_ref()))
                    .collect();
                trust.check(&chain, Purpose::Server, now).and_then(|()| is_for(leaf, name))
            }
        };
        match checked {
            Ok(()) => Ok(ServerCertVerified::assertion()),
            Err(error) => Err(CertificateError::Other(OtherError(Arc::new(error))).into()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        signature::of_tls12(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        signature::of_tls13(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        signature::schemes()
    }
}

/// That `name` is among the subject alternative names of `leaf`. Common names do not count any more (RFC 9525,
/// section 6.3).
fn is_for(leaf: &CertificateDer<'_>, name: &ServerName<'_>) -> Result<(), VerifyError> {
    let valid = EndEntityCert::try_from(leaf).and_then(|leaf| leaf.verify_is_valid_for_subject_name(name));
    valid.map_err(|_| match name {
        ServerName::IpAddress(_) => VerifyError::Address,
        _ => VerifyError::HostName,
    })
}
