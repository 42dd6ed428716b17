//! Greets a client, learns who it is and asks the authority, as often as the authority lets it try.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use proto::{Dialogue, Forwarded, Front, Login, LoginAnswer, Salt};
use tokio::time::{Instant, sleep, timeout_at};

use crate::address::ClientAddr;
use crate::auth::{Client, Denial, Failure, Remark, Route, Verdict};
use crate::dns::{ClientName, Nameless};
use crate::driver::{Broken, Said, converse};
use crate::event::{Event, Step};
use crate::link::Link;
use crate::penalty;
use crate::preface::{Credit, Prefaced};
use crate::scratch;
use crate::secure;
use crate::session::{Parting, Word, farewell};
use crate::teller::{Action, Teller};
use crate::trouble::Trouble;

/// Bytes that are read ahead while the authority thinks, so that a client that hangs up is noticed.
const READ_AHEAD: usize = 64 * 1024;

/// A client that the authority has let in. Made here alone.
#[derive(Debug)]
pub struct Authorised {
    /// The client.
    pub prefaced: Prefaced,
    /// Its side of the dialogue, for a last word should the upstream fail.
    pub front: Front,
    /// What it has sent behind its login: the upstream's.
    pub input: BytesMut,
    /// What it said about itself.
    pub login: Login,
    /// Where it goes, and as whom.
    pub route: Route,
}

/// Converses with a client until it is authorised.
pub async fn authorise(prefaced: Prefaced, teller: &mut Teller) -> Result<Box<Authorised>, Parting> {
    let mut waiting = Waiting::greet(prefaced);
    loop {
        let login = match waiting.hear(teller).await? {
            Said::Question(login) => login,
            Said::Tls => {
                waiting = Box::pin(waiting.secure(teller)).await?;
                continue;
            }
            Said::Closed => {
                return Err(Parting {
                    trouble: Trouble::ClientGone,
                    word: Word::Sent(waiting.prefaced.link),
                });
            }
        };
        if !waiting.believe(teller) {
            waiting.front.answer(LoginAnswer::Failed);
            continue;
        }
        let verdict = waiting.ask(&login, teller).await?;
        match waiting.hold_back(verdict, &login, teller).await? {
            Verdict::Granted(route) => return Ok(waiting.authorised(login, route)),
            Verdict::Denied(denial) => waiting.deny(denial, teller).await?,
            Verdict::Unknown => waiting.front.answer(LoginAnswer::Failed),
            Verdict::Failed(failure) => waiting.fail(&failure, teller),
        }
    }
}

/// A client that is not logged in yet.
struct Waiting {
    prefaced: Prefaced,
    front: Front,
    input: BytesMut,
    /// When its patience with us, and ours with it, ends: one limit from greeting to login (as the originals).
    deadline: Instant,
}

impl Waiting {
    /// Boxed, since it moves from step to step and a step keeps room for what moves through it.
    fn greet(mut prefaced: Prefaced) -> Box<Self> {
        let input = std::mem::take(&mut prefaced.input);
        let settings = &prefaced.service.settings;
        let fronts = Arc::clone(settings.protocol.fronts());
        let mut front = Front::new(settings.protocol.protocol(), fronts, prefaced.secured, salt());
        if prefaced.credit != Credit::Nothing {
            front = front.trusting();
        }
        let deadline = Instant::now() + settings.core.timeout;
        Box::new(Self { prefaced, front, input, deadline })
    }

    /// Converses until there is a login or an end.
    async fn hear(&mut self, teller: &mut Teller) -> Result<Said<Login>, Trouble> {
        let link = &mut self.prefaced.link;
        let told = &*teller;
        let note = |_: &Front, violation| told.tell_while(Action::Auth, &Event::Violation(&violation));
        let heard = timeout_at(self.deadline, converse(link, &mut self.front, &mut self.input, note)).await;
        teller.begin(if self.front.greeted_only() { Action::Greeting } else { Action::Auth });
        teller.login = self.front.login_name().map(Bytes::copy_from_slice);
        match heard {
            Err(_) => Err(Trouble::ClientTimedOut),
            Ok(Ok(said)) => Ok(said),
            Ok(Err(Broken::Ended)) => Err(Trouble::ClientGone),
            Ok(Err(Broken::Io(call, source))) => Err(Trouble::Client { call, source }),
        }
    }

    /// STARTTLS: the time that is left from the greeting on is all there is for the handshake too.
    async fn secure(mut self: Box<Self>, teller: &mut Teller) -> Result<Box<Self>, Parting> {
        teller.begin(Action::Starttls);
        teller.starttls = true;
        let Prefaced { link, client, service, credit, forwarded, counted, .. } = self.prefaced;
        let (link, tls) = Box::pin(secure::accept(link, &service, self.deadline)).await?;
        let client = Client { tls, ..client };
        let input = BytesMut::new();
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
            let server = if *credit == Credit::Everything { said.server } else { forwarded.server };
            *forwarded = Forwarded { server, ..said.clone() };
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

    /// Asks the authority, unless the client goes away meanwhile: nobody is logged in who is not there.
    async fn ask(&mut self, login: &Login, teller: &mut Teller) -> Result<Verdict, Trouble> {
        teller.begin(Action::HttpAuth);
        teller.login = Some(login.credentials.user.clone());
        teller.tell(&Event::Step(Step::Asks(login.credentials.method)));
        let Prefaced { link, client, service, .. } = &mut self.prefaced;
        let told = &*teller;
        let note = |remark: Remark| told.tell(&Event::AuthRemark(&remark));
        let verdict = tokio::select! {
            verdict = service.authority.authenticate(login, client, &note) => verdict,
            () = hang_up(link, &mut self.input) => return Err(Trouble::ClientGone),
        };
        if let Verdict::Granted(route) = &verdict {
            teller.login = Some(route.identity.user.clone());
            teller.tell(&Event::Step(Step::Granted { target: &route.target }));
        }
        Ok(verdict)
    }

    /// `auth_penalty`: a refusal is made to wait, and a success waits here, so that neither comes sooner.
    async fn hold_back(
        &mut self,
        mut verdict: Verdict,
        login: &Login,
        teller: &Teller,
    ) -> Result<Verdict, Trouble> {
        let wait = penalty::settle(&self.prefaced, login, &verdict);
        if wait.is_zero() {
            return Ok(verdict);
        }
        teller.tell(&Event::HeldBack(wait));
        match &mut verdict {
            Verdict::Denied(denial) => denial.wait = denial.wait.max(wait),
            _ => Box::pin(self.wait(wait)).await?,
        }
        Ok(verdict)
    }

    /// Passes a refusal on, when its time has come.
    async fn deny(&mut self, denial: Denial, teller: &Teller) -> Result<(), Trouble> {
        teller.tell(&Event::LoginDenied { text: &denial.refusal.text });
        self.wait(denial.wait).await?;
        self.front.answer(LoginAnswer::Refused(denial.refusal));
        self.deadline = Instant::now() + self.prefaced.service.settings.core.timeout;
        Ok(())
    }

    async fn wait(&mut self, wait: Duration) -> Result<(), Trouble> {
        if wait.is_zero() {
            return Ok(());
        }
        tokio::select! {
            () = sleep(wait) => Ok(()),
            () = hang_up(&mut self.prefaced.link, &mut self.input) => Err(Trouble::ClientGone),
        }
    }

    fn fail(&mut self, failure: &Failure, teller: &Teller) {
        teller.tell(&Event::AuthFailed(failure));
        self.front.answer(LoginAnswer::Failed);
        self.deadline = Instant::now() + self.prefaced.service.settings.core.timeout;
    }

    fn authorised(self: Box<Self>, login: Login, route: Route) -> Box<Authorised> {
        let Self { prefaced, front, input, .. } = *self;
        Box::new(Authorised { prefaced, front, input, login, route })
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
    let Authorised { mut prefaced, mut front, mut input, .. } = authorised;
    front.answer(answer);
    let deadline = Instant::now() + prefaced.service.settings.core.timeout;
    let said = timeout_at(deadline, converse(&mut prefaced.link, &mut front, &mut input, |_, _| {})).await;
    if let Ok(Ok(Said::Closed)) = said {
        farewell(prefaced.link).await;
    }
}

/// A salt that nobody can foresee.
fn salt() -> Salt {
    let random = getrandom::u64().expect("the kernel has randomness once it is up");
    let time = std::time::SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_secs());
    Salt { random, time }
}
