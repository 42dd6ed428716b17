//! Finds the upstream of an authorised client, connects to it and logs in there.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use proto::back::Outcome;
use proto::forwarded::Place;
use proto::proxy_protocol::{Endpoints, Version, write_v1, write_v2};
use proto::{Back, Dialogue, Forwarded, Front, LoginAnswer, Refusal, imap, pop3, smtp};
use tokio::time::{Instant, timeout, timeout_at};

use crate::address::{Endpoint, Target};
use crate::auth::Resolve;
use crate::driver::{self, Said, converse};
use crate::event::Event;
use crate::generation::Service;
use crate::link::Link;
use crate::login::{Authorised, hang_up};
use crate::preface::Prefaced;
use crate::random;
use crate::relay::Relay;
use crate::session::{Connected, Parting, Word};
use crate::settings::{Server, UpstreamTls};
use crate::slots::{Slot, Slots};
use crate::teller::{Action, Teller};
use crate::trouble::{Call, Trouble, UpstreamTrouble};

/// What a client is told whose credentials were good but cannot be passed on.
const UNSENDABLE: &[u8] = b"Invalid login or password";

/// Connects a client to its upstream. One limit (`timeout`) covers connecting and logging in (as the originals).
pub async fn open(
    mut authorised: Box<Authorised>,
    slots: &Arc<Slots>,
    teller: &mut Teller,
) -> Result<Connected, Parting> {
    let settings = Arc::clone(&authorised.prefaced.service.settings);
    let mut input = std::mem::take(&mut authorised.prefaced.input);
    let plan = Plan::new(&authorised, &teller.server, &settings);
    let service = Arc::clone(&authorised.prefaced.service);
    let attempt = tokio::select! {
        attempt = Box::pin(attempt(plan, &service, slots, teller)) => attempt,
        () = hang_up(&mut authorised.prefaced.link, &mut input) => return Err(Trouble::ClientGone.into()),
    };
    match attempt {
        Ok(Opened { link, slot, reply }) => {
            let relay = Relay::new(
                authorised.prefaced.link,
                link,
                std::mem::take(&mut *input),
                BytesMut::from(reply),
                settings.proxy.timeout,
            );
            Ok(Connected { relay, slot, counted: authorised.prefaced.counted })
        }
        Err(failed) => {
            let Failed { trouble, answer } = *failed;
            authorised.prefaced.input = input;
            Err(Parting { trouble: trouble.into(), word: Word::Answer(authorised, answer) })
        }
    }
}

/// What is to be done: where to go, how, and as whom.
struct Plan {
    target: Target,
    back: Back,
    tls: UpstreamTls,
    /// Whether to verify the upstream's certificate, if the authority says so.
    verify: Option<bool>,
    /// The name that the upstream has to prove, if the authority says so.
    name: Option<String>,
    /// A PROXY header, empty if there is to be none.
    header: BytesMut,
    /// Where the client has connected to, if it would only come back from there.
    loops: Option<SocketAddr>,
}

impl Plan {
    fn new(authorised: &Authorised, server: &Endpoint, settings: &Server) -> Self {
        let Authorised { prefaced, route, .. } = authorised;
        let tls = route.tls.mode.unwrap_or(settings.proxy.ssl);
        let mut back = back(authorised, settings);
        if tls == UpstreamTls::Starttls {
            back = back.with_starttls();
        }
        Self {
            target: route.target.clone(),
            back,
            tls,
            verify: route.tls.verify,
            name: route.tls.name.clone(),
            header: header(settings.proxy.protocol, prefaced),
            loops: loops(authorised, server),
        }
    }
}

/// Where the client has connected to. Behind that address it would meet the same authority, and under the same name
/// get the same verdict (Dovecot's proxy refuses the same).
fn loops(Authorised { prefaced, login, route, .. }: &Authorised, server: &Endpoint) -> Option<SocketAddr> {
    let same_user = login.credentials.user == route.identity.user;
    // The ports are known without a system call, and hardly ever the same.
    let may_be = same_user && server.port() == route.target.port();
    if may_be { prefaced.link.local_addr().map(canonical) } else { None }
}

fn canonical(addr: SocketAddr) -> SocketAddr {
    SocketAddr::new(addr.ip().to_canonical(), addr.port())
}

/// The PROXY header that tells an upstream who the client is, and where it has connected to.
fn header(version: Option<Version>, prefaced: &Prefaced) -> BytesMut {
    let mut header = BytesMut::new();
    let Some(version) = version else { return header };
    let endpoints = match (prefaced.client.addr.tcp(), prefaced.link.local_addr()) {
        (Some(source), Some(destination)) => Some(Endpoints { source, destination }),
        _ => None,
    };
    match version {
        Version::V1 => write_v1(endpoints, &mut header),
        Version::V2 => write_v2(endpoints, hops(&prefaced.forwarded), &mut header),
    }
    header
}

/// How many proxies there may still be, if there was one before this. To the first upstream of a client goes the header
/// of the originals, and no byte more.
fn hops(forwarded: &Forwarded) -> Option<u8> {
    forwarded.ttl.and_then(|_| forwarded.next_ttl())
}

/// An upstream that has accepted the login.
struct Opened {
    link: Link,
    slot: Slot,
    /// What the client gets first.
    reply: Bytes,
}

/// An upstream that could not be had, and what the client is told.
struct Failed {
    trouble: UpstreamTrouble,
    answer: LoginAnswer,
}

impl From<UpstreamTrouble> for Box<Failed> {
    fn from(trouble: UpstreamTrouble) -> Self {
        Self::new(Failed { trouble, answer: LoginAnswer::Failed })
    }
}

async fn attempt(
    mut plan: Plan,
    service: &Service,
    slots: &Arc<Slots>,
    teller: &mut Teller,
) -> Result<Opened, Box<Failed>> {
    let settings = &*service.settings;
    let slot = slots.take().ok_or(UpstreamTrouble::NoSlot)?;
    let deadline = Instant::now() + settings.core.timeout;
    teller.begin(Action::Connecting);
    let endpoints = timeout_at(deadline, resolve(&plan.target, &*service.resolver))
        .await
        .map_err(|_| UpstreamTrouble::TimedOut)??;
    let mut link = connect(&endpoints, &plan, deadline, teller).await?;
    if settings.proxy.keepalive {
        link.set_keepalive(true)
            .map_err(|source| UpstreamTrouble::Connect { endpoint: endpoints[0].clone(), source })?;
    }
    let logged_in = timeout_at(deadline, log_in(&mut link, &mut plan, service, teller)).await;
    if let Some(snub) = plan.back.snub() {
        teller.tell(&Event::Snubbed(snub));
    }
    let Ok(reply) = logged_in else {
        if let Action::Upstream(_) = teller.action() {
            teller.begin(Action::Upstream(plan.back.action()));
        }
        return Err(UpstreamTrouble::TimedOut.into());
    };
    Ok(Opened { link, slot, reply: reply? })
}

/// Says everything that the upstream is to hear from us, and returns what it said to the login.
async fn log_in(
    link: &mut Link,
    plan: &mut Plan,
    service: &Service,
    teller: &mut Teller,
) -> Result<Bytes, Box<Failed>> {
    if !plan.header.is_empty() {
        teller.begin(Action::SendingHeader);
        link.write_all(&plan.header)
            .await
            .map_err(|source| UpstreamTrouble::Io { call: Call::Send, source })?;
    }
    if plan.tls == UpstreamTls::Implicit {
        secure(link, plan, service, teller).await?;
    }
    loop {
        let mut input = BytesMut::new();
        teller.begin(Action::Upstream(plan.back.action()));
        let said = converse(link, &mut plan.back, &mut input, |_, _| {}).await;
        teller.begin(Action::Upstream(plan.back.action()));
        match said {
            Ok(Said::Question(outcome)) => return accepted(outcome, &service.settings),
            Ok(Said::Tls) => {
                secure(link, plan, service, teller).await?;
                plan.back.secured();
            }
            Ok(Said::Closed) | Err(driver::Broken::Ended) => return Err(UpstreamTrouble::Closed.into()),
            Err(driver::Broken::Io(call, source)) => return Err(UpstreamTrouble::Io { call, source }.into()),
        }
    }
}

/// All places where the upstream may be, best first.
async fn resolve(target: &Target, resolver: &dyn Resolve) -> Result<Vec<Endpoint>, UpstreamTrouble> {
    match target {
        Target::Ip(addr) => Ok(vec![Endpoint::Tcp(*addr)]),
        Target::Unix(path) => Ok(vec![Endpoint::Unix(path.clone())]),
        Target::Name(name, port) => match resolver.resolve(name).await {
            Ok(found) => {
                Ok(found.addrs.into_iter().map(|ip| Endpoint::Tcp(SocketAddr::new(ip, *port))).collect())
            }
            Err(source) => Err(UpstreamTrouble::Resolve { name: name.clone(), source }),
        },
    }
}

/// Connects to the first that accepts, but not to where it would only come back from. Each has an equal share of the time
/// that is left, so that one that is silent does not keep the others from being tried.
async fn connect(
    endpoints: &[Endpoint],
    plan: &Plan,
    deadline: Instant,
    teller: &mut Teller,
) -> Result<Link, UpstreamTrouble> {
    let speaks_first = plan.header.is_empty() && plan.tls != UpstreamTls::Implicit;
    let mut trouble = UpstreamTrouble::TimedOut;
    for (endpoint, left) in endpoints.iter().zip((1..=endpoints.len()).rev()) {
        if endpoint != &endpoints[0] {
            teller.tell(&Event::Trouble(&trouble.into()));
        }
        teller.upstream = Some(endpoint.clone());
        if matches!(endpoint, Endpoint::Tcp(addr) if plan.loops == Some(canonical(*addr))) {
            trouble = UpstreamTrouble::Loop(endpoint.clone());
            continue;
        }
        let share = deadline.saturating_duration_since(Instant::now())
            / u32::try_from(left).expect("a name has few addresses");
        trouble = match reach(endpoint, speaks_first, share).await {
            Ok(Some(link)) => return Ok(link),
            Ok(None) => UpstreamTrouble::TimedOut,
            // It was there, and has gone instead of speaking: that is its answer, and no reason to try another.
            Err(source) if source.kind() == io::ErrorKind::ConnectionReset => {
                return Err(UpstreamTrouble::Io { call: Call::Recv, source });
            }
            Err(source) => UpstreamTrouble::Connect { endpoint: endpoint.clone(), source },
        };
    }
    Err(trouble)
}

/// Connects, unless it takes longer than `patience`.
async fn reach(endpoint: &Endpoint, speaks_first: bool, patience: Duration) -> io::Result<Option<Link>> {
    if !speaks_first {
        return timeout(patience, Link::connect(endpoint)).await.ok().transpose();
    }
    let mut link = Link::dial(endpoint).await?;
    match timeout(patience, link.spoken_to()).await {
        Ok(reached) => reached.map(|()| Some(link)),
        Err(_) => Ok(Some(link).filter(Link::is_connected)),
    }
}

/// The dialogue that logs this client in.
fn back(authorised: &Authorised, settings: &Server) -> Back {
    let Authorised { prefaced, front, login, route, .. } = authorised;
    let identity = route.identity.clone();
    let limit = settings.proxy.buffer;
    match front {
        Front::Imap(front) => {
            let tag = front.tag().expect("an IMAP login has a tag").clone();
            let back = imap::Back::new(tag, identity, limit);
            let introduced = settings.proxy.imap_id;
            Back::Imap(if introduced { back.introducing(&forwarded(prefaced)) } else { back })
        }
        Front::Pop3(_) => {
            let back = pop3::Back::new(identity, limit);
            let introduced = settings.proxy.pop3_xclient;
            Back::Pop3(if introduced { back.introducing(&forwarded(prefaced)) } else { back })
        }
        Front::Smtp(front) => {
            let said = forwarded(prefaced);
            let facts = smtp::Facts {
                server_name: settings.core.server_name.clone(),
                client: prefaced.client.addr.tcp(),
                server: said.server.addr(),
                session: said.session,
                ttl: said.ttl,
                fields: said.fields,
                host: prefaced.client.host.clone().unwrap_or_default(),
                helo: login.helo.clone(),
                esmtp: front.esmtp(),
                identity,
                envelope: login.envelope.clone(),
                xclient: settings.proxy.xclient,
                auth: settings.proxy.smtp_auth,
            };
            Back::Smtp(Box::new(smtp::Back::new(facts, limit)))
        }
    }
}

/// What is said of the client to an upstream that may be a proxy itself.
fn forwarded(prefaced: &Prefaced) -> Forwarded {
    Forwarded {
        client: prefaced.client.addr.tcp().into(),
        server: connected_to(prefaced),
        ttl: prefaced.forwarded.next_ttl(),
        session: prefaced.forwarded.session.clone().or_else(|| Some(session_name())),
        name: prefaced.client.host.clone(),
        fields: prefaced.forwarded.fields.clone(),
    }
}

/// Where the client has connected to: the first proxy knows.
fn connected_to(prefaced: &Prefaced) -> Place {
    match prefaced.forwarded.server {
        Place { ip: None, .. } => prefaced.link.local_addr().into(),
        first => first,
    }
}

/// A name by which the logs of all machines that a session passes can be put together.
fn session_name() -> Bytes {
    format!("{:016x}", random::number()).into()
}

/// TLS with the upstream. Whatever is wrong with it, the login ends here: no name and no password goes out in clear.
async fn secure(
    link: &mut Link,
    plan: &Plan,
    service: &Service,
    teller: &mut Teller,
) -> Result<(), UpstreamTrouble> {
    teller.begin(Action::UpstreamHandshake);
    let Some(tls) = &service.upstream_tls else {
        return Err(UpstreamTrouble::Unprepared("there are no trusted certificates"));
    };
    let called = match &plan.target {
        Target::Ip(addr) => addr.ip().to_string(),
        Target::Name(name, _) => name.clone(),
        Target::Unix(_) => "localhost".to_owned(),
    };
    let name = tls.name(plan.name.as_deref(), &called);
    let name = name.map_err(|_| UpstreamTrouble::Unprepared("its name cannot stand in a certificate"))?;
    let config = Arc::clone(tls.config(plan.verify));
    link.connect_tls(config, name).await.map_err(UpstreamTrouble::Handshake)?;
    Ok(())
}

fn accepted(outcome: Outcome, settings: &Server) -> Result<Bytes, Box<Failed>> {
    match outcome {
        Outcome::LoggedIn { reply } => Ok(reply),
        Outcome::Refused { reply, shown_from } => {
            let passed = settings.proxy.pass_error_message;
            let shown = reply[shown_from..].strip_suffix(b"\r\n").unwrap_or(&reply[shown_from..]).to_vec();
            let trouble = UpstreamTrouble::Refused { reply: shown, passed };
            let answer = if passed { LoginAnswer::Passed(reply) } else { LoginAnswer::Failed };
            Err(Box::new(Failed { trouble, answer }))
        }
        Outcome::NoTls { reply } => Err(UpstreamTrouble::NoTls { reply: reply.to_vec() }.into()),
        Outcome::TooLong { reply } => Err(UpstreamTrouble::TooLong { reply: reply.to_vec() }.into()),
        Outcome::NoPassword => Err(UpstreamTrouble::NoPassword.into()),
        Outcome::Unsendable => {
            let text = Bytes::from_static(UNSENDABLE);
            let refusal = Refusal { text, code: None, challenge: None, retry: false };
            let answer = LoginAnswer::Refused(refusal);
            Err(Box::new(Failed { trouble: UpstreamTrouble::Unsendable, answer }))
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt as _;
    use tokio::net::TcpListener;

    use super::*;

    const SHORT: Duration = Duration::from_millis(50);
    const LONG: Duration = Duration::from_secs(30);

    #[tokio::test]
    async fn an_upstream_that_is_there_is_reached_whether_it_speaks_or_not() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = Endpoint::Tcp(listener.local_addr().unwrap());
        for (speaks_first, patience) in [(false, LONG), (true, SHORT)] {
            assert!(reach(&endpoint, speaks_first, patience).await.unwrap().is_some());
            drop(listener.accept().await.unwrap());
        }
        let greeting = async {
            let mut upstream = listener.accept().await.unwrap().0;
            upstream.write_all(b"* OK\r\n").await.unwrap();
            upstream
        };
        let (reached, _upstream) = tokio::join!(reach(&endpoint, true, LONG), greeting);
        let mut said = BytesMut::new();
        let said_first = driver::listen(&mut reached.unwrap().unwrap(), &mut said).await;
        said_first.unwrap();
        assert_eq!(said, "* OK\r\n");
    }

    #[tokio::test]
    async fn an_upstream_that_resets_instead_of_speaking_was_there() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = Endpoint::Tcp(listener.local_addr().unwrap());
        let reset = async { listener.accept().await.unwrap().0.set_zero_linger().unwrap() };
        let (reached, ()) = tokio::join!(reach(&endpoint, true, LONG), reset);
        assert_eq!(reached.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
    }

    #[tokio::test]
    async fn an_upstream_that_is_not_there_is_told_from_one_that_is_silent() {
        let endpoint = Endpoint::Tcp(rig::port::free());
        for speaks_first in [false, true] {
            let error = reach(&endpoint, speaks_first, LONG).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        }
    }
}
