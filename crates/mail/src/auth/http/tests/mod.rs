//! The authority against scripted servers over real sockets.
//!
//! Where time matters the clock stands still unless nobody has anything to do; those tests use unix sockets,
//! whose bytes arrive as soon as they are sent.

mod answers;
mod connections;
mod peer;
mod requests;
mod servers;
mod tls;
mod waits;

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use proto::{Credentials, Login, Method, Protocol, Secret};

use self::peer::Peer;
use super::HttpAuthority;
use crate::address::{ClientAddr, Target};
use crate::auth::{Addresses, Authenticate, Client, Failure, Pending, Remark, Resolve, Verdict};
use crate::files::Files;
use crate::settings::AuthHttp;
use crate::settings::auth_http::AuthUrl;

/// What a working server says; the connection may be used again.
const GRANT: &str = "HTTP/1.1 200 OK\r\nAuth-Status: OK\r\nAuth-Server: 127.0.0.1\r\nAuth-Port: 143\r\n\
                     Content-Length: 0\r\n\r\n";

/// `a LOGIN u p`.
fn login() -> Login {
    Login {
        credentials: Credentials {
            method: Method::Plain,
            user: Bytes::from_static(b"u"),
            password: Secret::from(&b"p"[..]),
        },
        challenge: None,
        attempt: 1,
        helo: Bytes::new(),
        envelope: None,
    }
}

fn client() -> Client {
    Client::new(Protocol::Imap, ClientAddr::Tcp("192.0.2.1:4711".parse().expect("an address")))
}

fn url(target: Target) -> AuthUrl {
    AuthUrl { tls: false, target, host: "auth.example".to_owned(), uri: "/auth".to_owned() }
}

fn settings(urls: impl IntoIterator<Item = AuthUrl>) -> AuthHttp {
    AuthHttp {
        urls: urls.into_iter().collect(),
        timeout: Duration::from_mins(1),
        headers: Vec::new(),
        pass_client_cert: false,
    }
}

fn authority(peers: &[&Peer]) -> HttpAuthority {
    let settings = settings(peers.iter().map(|peer| url(peer.target())));
    HttpAuthority::new(&settings, Arc::new(Names::default()), &Files::on_disk()).expect("an authority")
}

/// What `authority` says of `login`.
async fn ask(authority: &HttpAuthority, login: &Login) -> Verdict {
    ask_noting(authority, login).await.0
}

/// The same, with what it remarked.
async fn ask_noting(authority: &HttpAuthority, login: &Login) -> (Verdict, Vec<Remark>) {
    let remarks = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&remarks);
    let note = move |remark| noted.lock().expect("not poisoned").push(remark);
    let verdict = authority.authenticate(login, &client(), &note).await;
    let remarks = std::mem::take(&mut *remarks.lock().expect("not poisoned"));
    (verdict, remarks)
}

/// Lets the connections of finished exchanges become idle; true if `count` of them do.
async fn idles(authority: &HttpAuthority, count: usize) -> bool {
    for _ in 0..1000 {
        if authority.servers[0].idle() == count {
            return true;
        }
        tokio::task::yield_now().await;
    }
    false
}

/// A short form of a verdict: the upstream and who to be there, the words of a refusal, or the failure.
fn short(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Granted(route) => {
            let password = route.identity.password.as_ref().map_or(&b"-"[..], Secret::expose);
            let (user, password) = (route.identity.user.escape_ascii(), password.escape_ascii());
            format!("{} as {user}/{password}", route.target)
        }
        Verdict::Denied(denial) => {
            format!("denied {:?} after {:?}", denial.refusal.text, denial.wait)
        }
        Verdict::Unknown => "unknown".to_owned(),
        Verdict::Failed(failure) => failure.to_string(),
    }
}

/// A resolver with a fixed list.
#[derive(Default)]
struct Names(HashMap<&'static str, Vec<IpAddr>>);

impl Resolve for Names {
    fn resolve<'a>(&'a self, host: &'a str) -> Pending<'a, io::Result<Addresses>> {
        let addrs = self.0.get(host).cloned().ok_or_else(|| io::Error::from(io::ErrorKind::NotFound));
        Box::pin(async { Ok(Addresses { addrs: addrs?, ttl: Duration::from_secs(30) }) })
    }
}
