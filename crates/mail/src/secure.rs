//! TLS with a client: the handshake, and whether its certificate will do.
//!
//! The same for implicit TLS and behind STARTTLS. A certificate that will not do is refused inside TLS, in the words of
//! the protocol (as the originals), so that people see why.

use proto::Protocol;
use proto::auth_http::Tls;
use tokio::time::{Instant, timeout_at};

use crate::generation::Service;
use crate::link::Link;
use crate::session::{Parting, Word};
use crate::tls::{self, ClientCertificate, Rejection, ServerTls};
use crate::trouble::Trouble;

/// Makes the handshake and looks at the certificate; what the authority is told of it.
pub async fn accept(
    mut link: Link,
    service: &Service,
    deadline: Instant,
) -> Result<(Link, Option<Tls>), Parting> {
    let Some(tls) = &service.tls else {
        // The configuration check sees to it that nobody gets here without.
        return Err(Trouble::ClientGone.into());
    };
    let made = timeout_at(deadline, link.accept_tls(tls.config.clone())).await;
    let facts = match made {
        Ok(Ok(facts)) => facts,
        Ok(Err(error)) => return Err(Parting { trouble: error.into(), word: Word::Sent(link) }),
        Err(_) => return Err(Trouble::ClientTimedOut.into()),
    };
    let certificate = judge(tls, &facts.certificates);
    if let Some(rejection) = certificate.as_ref().and_then(ClientCertificate::rejection) {
        return Err(refuse(link, service.settings.protocol.protocol(), rejection, deadline).await);
    }
    let with_pem = service.settings.auth_http.as_ref().is_some_and(|auth| auth.pass_client_cert);
    let verification = certificate.map(|certificate| certificate.verification(with_pem));
    let known = tls::facts(facts.version, facts.suite, verification);
    Ok((link, Some(Tls { server_name: facts.server_name, ..known })))
}

fn judge(tls: &ServerTls, chain: &[rustls::pki_types::CertificateDer<'_>]) -> Option<ClientCertificate> {
    tls.judge(Some(chain).filter(|chain| !chain.is_empty()))
}

async fn refuse(mut link: Link, protocol: Protocol, rejection: Rejection, deadline: Instant) -> Parting {
    let words = match rejection {
        Rejection::Missing => protocol.certificate_missing(),
        Rejection::Bad(_) => protocol.certificate_refused(),
    };
    // A client that does not take it is as gone as one that does.
    let _ = timeout_at(deadline, link.write_all(words)).await;
    Parting { trouble: Trouble::Certificate(rejection), word: Word::Sent(link) }
}
