//! Greets a client, learns who it is and asks the authority, as often as the authority lets it try.

use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use proto::forwarded::Hearsay;
use proto::{Dialogue, Forwarded, Front, Login, LoginAnswer, Salt};
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use crate::address::ClientAddr;
use crate::auth::{Client, Denial, Remark, Route, Verdict};
use crate::dns::{ClientName, Nameless};
use crate::driver::{Broken, Said, converse, listen, speak};
use crate::event::{Event, Step};
use crate::generation::Service;
use crate::limit::Counted;
use crate::link::Link;
use crate::log::Log;
use crate::penalty;
use crate::preface::{Credit, Prefaced};
use crate::random;
use crate::rest::{self, Moment};
use crate::scratch;
use crate::secure;
use crate::session::{Parting, Word};
use crate::teller::{Action, Teller};
use crate::trouble::{Call, Trouble};
use crate::wiped::Wiped;

/// Bytes that are read ahead while the authority thinks, so that a client that hangs up is noticed.
const READ_AHEAD: usize = 64 * 1024;

/// A client that the authority has let in. Made here alone.
#[derive(Debug)]
pub struct Authorised {
    /// The client.
    pub prefaced: Prefaced,
    /// Its side of the dialogue, for a last word should the upstream fail.
    pub front: Front,
    /// What it said about itself.
    pub login: Login,
    /// Where it goes, and as whom.
    pub route: Route,
}

/// Whose turn it is.
#[derive(Debug)]
pub enum Turn {
    /// The upstream's: the client is authorised.
    Authorised(Box<Authorised>),
    /// Nobody's: there is nothing to do before the client speaks or [its time](Waiting::until) has come.
    Silent(Box<Waiting>),
}

/// Converses with a client until it is authorised, or silent.
///
/// Everything but listening is boxed: a client that says nothing holds no room for it.
pub async fn authorise(mut waiting: Box<Waiting>, teller: &mut Teller) -> Result<Turn, Box<Parting>> {
    loop {
        if waiting.settled.is_some() {
            match Box::pin(waiting.wait()).await? {
                None => return Ok(Turn::Silent(waiting)),
                Some(Settled::Granted(granted)) => return Ok(waiting.authorised(*granted)),
                Some(Settled::Answer(answer)) => waiting.tell(answer),
            }
        }
        match waiting.hear(teller).await? {
            None => return Ok(Turn::Silent(waiting)),
            Some(Said::Question(login)) => {
                if let Some(granted) = Box::pin(waiting.judge(login, teller)).await? {
                    return Ok(waiting.authorised(granted));
                }
            }
            Some(Said::Tls) => waiting = Box::pin(waiting.secure(teller)).await?,
            Some(Said::Closed) => {
                let word = Word::Sent(waiting.prefaced.link);
                return Err(Box::new(Parting { trouble: Trouble::ClientGone, word }));
            }
        }
    }
}

/// A client that is not logged in yet.
#[derive(Debug)]
pub struct Waiting {
    prefaced: Prefaced,
    front: Front,
    salt: Salt,
    /// When its patience with us, and ours with it, ends: one limit from greeting to login (as the originals).
    deadline: Instant,
    /// What has become of its login, and when it is to know. Most clients never have to wait for it.
    settled: Option<Box<(Instant, Settled)>>,
}

/// A client that was greeted and has said nothing: the least that has to be kept of it.
///
/// There may be very many of these, so every byte counts.
#[derive(Debug)]
pub struct Greeted {
    client: ClientAddr,
    service: Arc<Service>,
    /// The two halves of its salt.
    random: u64,
    time: u32,
    deadline: Moment,
}

/// What has become of a login.
#[derive(Debug)]
enum Settled {
    /// The client is let in.
    Granted(Box<(Login, Route)>),
    /// It is told this.
    Answer(LoginAnswer),
}

impl Greeted {
    /// How long there is nothing to do if the client says nothing.
    pub fn until(&self) -> Instant {
        self.deadline.into()
    }

    /// Whether the client says nothing for so long that its session may rest.
    pub async fn is_silent(&self, link: &mut Link) -> bool {
        let may_rest = rest::is_possible() && self.until() > Instant::now() + rest::AFTER;
        may_rest && timeout(rest::AFTER, link.readable()).await.is_err() && link.is_quiet()
    }

    /// Where it comes from.
    pub fn client(&self) -> ClientAddr {
        self.client
    }

    /// Where its session is told.
    pub fn log(&self) -> Arc<Log> {
        Arc::clone(self.service.log.of(self.client))
    }

    /// Takes up the dialogue behind its greeting.
    pub fn waiting(self, link: Link) -> Box<Waiting> {
        let Self { client, service, random, time, deadline } = self;
        let client = Client::new(service.settings.protocol.protocol(), client);
        let (forwarded, input, counted) = (Hearsay::default(), Wiped::new(), Counted::default());
        let credit = Credit::Nothing;
        let prefaced = Prefaced { link, client, service, secured: false, credit, forwarded, input, counted };
        let mut waiting = Waiting::new(prefaced, Salt { random, time }, deadline.into());
        let _ = waiting.greeting();
        waiting
    }
}

impl Waiting {
    /// A client that is to be greeted.
    pub fn greet(prefaced: Prefaced) -> Box<Self> {
        let deadline = Instant::now() + prefaced.service.settings.core.timeout;
        Self::new(prefaced, salt(), deadline)
    }

    /// Boxed, since it moves from step to step and a step keeps room for what moves through it.
    fn new(prefaced: Prefaced, salt: Salt, deadline: Instant) -> Box<Self> {
        let settings = &prefaced.service.settings;
        let fronts = Arc::clone(settings.protocol.fronts());
        let mut front = Front::new(settings.protocol.protocol(), fronts, prefaced.secured, salt);
        if prefaced.credit != Credit::Nothing {
            front = front.trusting();
        }
        Box::new(Self { prefaced, front, salt, deadline, settled: None })
    }

    /// Its link.
    pub fn link(&mut self) -> &mut Link {
        &mut self.prefaced.link
    }

    /// The descriptor of its link, at rest.
    pub fn resting(&self) -> Option<BorrowedFd<'_>> {
        self.prefaced.link.resting()
    }

    /// How long there is nothing to do if the client says nothing.
    pub fn until(&self) -> Instant {
        self.settled.as_ref().map_or(self.deadline, |settled| settled.0)
    }

    /// Greets the client, if nothing is known of it but its address: then little has to be kept until it speaks.
    pub async fn hail(
        mut self: Box<Self>,
        teller: &mut Teller,
    ) -> Result<Result<(Link, Greeted), Box<Self>>, Trouble> {
        if !self.is_unknown(teller) {
            return Ok(Err(self));
        }
        teller.begin(Action::Greeting);
        let greeting = self.greeting();
        match timeout_at(self.deadline, self.prefaced.link.write_all(&greeting)).await {
            Ok(Ok(())) => Ok(self.greeted(teller)),
            Ok(Err(source)) => Err(Trouble::Client { call: Call::Send, source }),
            Err(_) => Err(Trouble::ClientTimedOut),
        }
    }

    /// What the front says before it has heard anything.
    fn greeting(&mut self) -> BytesMut {
        let mut greeting = BytesMut::new();
        let _ = self.front.step(&mut BytesMut::new(), &mut greeting);
        greeting
    }

    fn is_unknown(&self, teller: &Teller) -> bool {
        let Prefaced { client, secured, forwarded, service, counted, credit, input, .. } = &self.prefaced;
        let known = *secured || client.host.is_some() || client.proxied.is_some() || client.tls.is_some();
        let heard = !input.is_empty() || !forwarded.is_nothing() || !self.front.greeted_only();
        let is_new = teller.is_new(service.log.of(client.addr), client.addr);
        is_new && !known && !heard && counted.is_empty() && *credit == Credit::Nothing
    }

    /// What is left of it, if it has only been greeted and nothing is known of it but its address.
    pub fn greeted(self: Box<Self>, teller: &Teller) -> Result<(Link, Greeted), Box<Self>> {
        let Some(deadline) = Moment::at(self.deadline).filter(|_| self.is_unknown(teller)) else {
            return Err(self);
        };
        let Self { prefaced: Prefaced { client, service, link, .. }, salt: Salt { random, time }, .. } =
            *self;
        Ok((link, Greeted { client: client.addr, service, random, time, deadline }))
    }

    /// Whether the session may rest until `until` if its client stays silent: it holds nothing, and would not be woken
    /// at once.
    fn may_rest(&self, until: Instant) -> bool {
        self.prefaced.input.is_empty()
            && rest::is_possible()
            && until.saturating_duration_since(Instant::now()) > rest::AFTER
    }

    /// Whether it can, now that all that it has said should be sent.
    fn can_rest(&self, until: Instant) -> bool {
        self.may_rest(until) && self.prefaced.link.is_quiet()
    }

    /// Converses until there is a login or an end; `None` if it cannot be told when there will be.
    async fn hear(&mut self, teller: &mut Teller) -> Result<Option<Said<Login>>, Trouble> {
        let heard = timeout_at(self.deadline, self.converse(teller)).await;
        if let Ok(Ok(None)) = heard {
            return Ok(None);
        }
        teller.begin(if self.front.greeted_only() { Action::Greeting } else { Action::Auth });
        teller.login = self.front.login_name().map(Bytes::copy_from_slice);
        match heard {
            Err(_) => Err(Trouble::ClientTimedOut),
            Ok(Ok(said)) => Ok(said),
            Ok(Err(Broken::Ended)) => Err(Trouble::ClientGone),
            Ok(Err(Broken::Io(call, source))) => Err(Trouble::Client { call, source }),
        }
    }

    async fn converse(&mut self, teller: &Teller) -> Result<Option<Said<Login>>, Broken> {
        let note = |_: &Front, violation| teller.tell_while(Action::Auth, &Event::Violation(&violation));
        loop {
            let Self { prefaced: Prefaced { link, input, .. }, front, .. } = self;
            if let Some(said) = speak(link, front, input, note).await? {
                return Ok(Some(said));
            }
            if self.may_rest(self.deadline) {
                let heard = timeout(rest::AFTER, self.listen()).await;
                if let Ok(heard) = heard {
                    heard?;
                    continue;
                }
                if self.can_rest(self.deadline) {
                    return Ok(None);
                }
            }
            self.listen().await?;
        }
    }

    async fn listen(&mut self) -> Result<(), Broken> {
        listen(&mut self.prefaced.link, &mut self.prefaced.input).await
    }

    /// STARTTLS: the time that is left from the greeting on is all there is for the handshake too.
    async fn secure(mut self: Box<Self>, teller: &mut Teller) -> Result<Box<Self>, Parting> {
        teller.begin(Action::Starttls);
        teller.starttls = true;
        let Prefaced { link, client, service, credit, forwarded, counted, .. } = self.prefaced;
        let (link, tls) = Box::pin(secure::accept(link, &service, self.deadline)).await?;
        let client = Client { tls: tls.map(Box::new), ..client };
        let input = Wiped::new();
        self.prefaced = Prefaced { link, client, service, secured: true, credit, forwarded, counted, input };
        self.front.secured();
        Ok(self)
    }

    /// Takes over what a proxy has said of the client, as far as it is believed. `false`: the client has passed as many
    /// proxies as it may.
    fn believe(&mut self, teller: &mut Teller) -> bool {
        let Prefaced { client, credit, forwarded, .. } = &mut self.prefaced;
        if *credit != Credit::Nothing {
            let said = self.front.forwarded();
            let believed = match *credit {
                Credit::Everything => said.clone(),
                _ => Forwarded {
                    // The header may have said it too. Nobody can give a client more hops than it has.
                    ttl: said.ttl.into_iter().chain(forwarded.ttl).min(),
                    session: said.session.clone(),
                    ..Forwarded::clone(forwarded)
                },
            };
            *forwarded = believed.into();
        }
        if let (Credit::Everything, Some(addr)) = (*credit, forwarded.client.addr()) {
            client.addr = ClientAddr::Tcp(addr);
            client.host = client.host.take().map(|_| name_of(forwarded));
            teller.client = client.addr;
        }
        let goes_on = forwarded.next_ttl().is_some();
        if !goes_on {
            teller.tell(&Event::TooManyHops);
        }
        goes_on
    }

    /// What the authority thinks of `login`: given back with its route if the client is let in at once.
    async fn judge(&mut self, login: Login, teller: &mut Teller) -> Result<Option<(Login, Route)>, Trouble> {
        if !self.believe(teller) {
            self.front.answer(LoginAnswer::Failed);
            return Ok(None);
        }
        let verdict = self.ask(&login, teller).await?;
        Ok(self.settle(verdict, login, teller))
    }

    /// Asks the authority, unless the client goes away meanwhile: nobody is logged in who is not there.
    async fn ask(&mut self, login: &Login, teller: &mut Teller) -> Result<Verdict, Trouble> {
        teller.begin(Action::HttpAuth);
        teller.login = Some(login.credentials.user.clone());
        teller.tell(&Event::Step(Step::Asks(login.credentials.method)));
        let Prefaced { link, client, service, input, .. } = &mut self.prefaced;
        let told = &*teller;
        let note = |remark: Remark| told.tell(&Event::AuthRemark(&remark));
        let verdict = tokio::select! {
            verdict = service.authority.authenticate(login, client, &note) => verdict,
            () = hang_up(link, input) => return Err(Trouble::ClientGone),
        };
        if let Verdict::Granted(route) = &verdict {
            teller.login = Some(route.identity.user.clone());
            teller.tell(&Event::Step(Step::Granted { target: &route.target }));
        }
        Ok(verdict)
    }

    /// What `verdict` means for the client, and when it may know: after `Auth-Wait`, or after `auth_penalty` if that is
    /// longer. A success is held back like a refusal, so that neither comes sooner; one that is not is given back.
    fn settle(&mut self, verdict: Verdict, login: Login, teller: &Teller) -> Option<(Login, Route)> {
        let penalty = penalty::settle(&self.prefaced, &login, &verdict);
        if !penalty.is_zero() {
            teller.tell(&Event::HeldBack(penalty));
        }
        let (wait, settled) = match verdict {
            Verdict::Granted(route) if penalty.is_zero() => return Some((login, route)),
            Verdict::Granted(route) => (penalty, Settled::Granted(Box::new((login, route)))),
            Verdict::Denied(Denial { refusal, wait, .. }) => {
                teller.tell(&Event::LoginDenied { text: &refusal.text });
                (wait, Settled::Answer(LoginAnswer::Refused(refusal)))
            }
            Verdict::Unknown => (Duration::ZERO, Settled::Answer(LoginAnswer::Failed)),
            Verdict::Failed(failure) => {
                teller.tell(&Event::AuthFailed(&failure));
                (Duration::ZERO, Settled::Answer(LoginAnswer::Failed))
            }
        };
        self.settled = Some(Box::new((Instant::now() + wait.max(penalty), settled)));
        None
    }

    /// Waits until it is time for what the client is to know; `None` if that is so far away that the session may rest.
    async fn wait(&mut self) -> Result<Option<Settled>, Trouble> {
        while let Some(&(time, _)) = self.settled.as_deref() {
            let now = Instant::now();
            if time <= now {
                return Ok(self.settled.take().map(|settled| settled.1));
            }
            let awake = if self.may_rest(time) { time.min(now + rest::AFTER) } else { time };
            tokio::select! {
                () = sleep_until(awake) => {}
                // Also after a rest: what has ended it shows here.
                () = hang_up(&mut self.prefaced.link, &mut self.prefaced.input) => return Err(Trouble::ClientGone),
            }
            if self.can_rest(time) {
                break;
            }
        }
        Ok(None)
    }

    fn tell(&mut self, answer: LoginAnswer) {
        self.deadline = Instant::now() + self.prefaced.service.settings.core.timeout;
        self.front.answer(answer);
    }

    fn authorised(self: Box<Self>, (login, route): (Login, Route)) -> Turn {
        let Self { prefaced, front, .. } = *self;
        Turn::Authorised(Box::new(Authorised { prefaced, front, login, route }))
    }
}

/// What the client of an SMTP proxy is called: the name that we have looked up is the proxy's.
fn name_of(forwarded: &Forwarded) -> String {
    let unknown = || ClientName::Nameless(Nameless::NoResolver).as_str().to_owned();
    forwarded.name.clone().unwrap_or_else(unknown)
}

/// Ends when the client is gone: its connection broke, or it has closed it with nothing left to be answered.
///
/// What it sends meanwhile is kept, up to [`READ_AHEAD`] bytes.
pub async fn hang_up(link: &mut Link, input: &mut BytesMut) {
    while input.len() < READ_AHEAD {
        match scratch::read(link, input, READ_AHEAD - input.len()).await {
            Ok(1..) => {}
            Ok(0) if !input.is_empty() => break,
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof && !input.is_empty() => break,
            Ok(0) | Err(_) => return,
        }
    }
    std::future::pending::<()>().await;
}

/// Says the last word of a session whose upstream could not be had.
pub async fn last_word(authorised: Authorised, answer: LoginAnswer) {
    let Authorised { mut prefaced, mut front, .. } = authorised;
    front.answer(answer);
    let deadline = Instant::now() + prefaced.service.settings.core.timeout;
    let said =
        timeout_at(deadline, converse(&mut prefaced.link, &mut front, &mut prefaced.input, |_, _| {})).await;
    if let Ok(Ok(Said::Closed)) = said {
        prefaced.link.farewell().await;
    }
}

/// A salt that nobody can foresee.
fn salt() -> Salt {
    let random = random::number();
    let time = std::time::SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_secs());
    // Whatever it counts, it only has to differ.
    let time = u32::try_from(time & u64::from(u32::MAX)).unwrap_or_default();
    Salt { random, time }
}
