//! Logins against small files, on a runtime with one thread.

use std::net::SocketAddr;
use std::num::NonZero;
use std::sync::mpsc;

use proto::Credentials;

use super::*;
use crate::address::ClientAddr;

const SLOW: &str = "{BLF-CRYPT}$2b$04$abcdefghijklmnopqrstuu5UWyuxawIwQzpnlr0Mft5nu6B9cYh/C";
const CONTEXTS: &str = "{CRAM-MD5}c0a49b541c47c13e0fed75e90df0510e8e19d265316dbafce5048e1f92c94232";
const PASSWORD: &str = "Tr0ub4dor&3";
const CHALLENGE: &str = "<1.2@mail.example.org>";
const CRAM_MD5: &str = "9a8e4867d2375f22237c98a09ece2129";
const APOP: &str = "63d10e017888a117e69d2117dbe32adb";

fn pool() -> Arc<Pool> {
    Arc::new(Pool::new(NonZero::<usize>::MIN).unwrap())
}

fn users(text: &str) -> Users {
    Users::new(Arc::new(UsersFile::parse("users", text.as_bytes()).unwrap()), pool(), false)
}

fn with_fallback(text: &str) -> Users {
    Users { fallback: true, ..users(text) }
}

fn login(method: Method, user: &str, password: &str) -> Login {
    Login {
        credentials: Credentials {
            method,
            user: Bytes::copy_from_slice(user.as_bytes()),
            password: Secret::from(password.as_bytes()),
        },
        challenge: method.is_digest().then(|| Bytes::from_static(CHALLENGE.as_bytes())),
        attempt: 1,
        helo: Bytes::new(),
        envelope: None,
    }
}

fn plain(user: &str, password: &str) -> Login {
    login(Method::Plain, user, password)
}

async fn ask_as(users: &Users, protocol: Protocol, login: &Login) -> Verdict {
    let client = Client::new(protocol, ClientAddr::Tcp(SocketAddr::from(([192, 0, 2, 99], 4711))));
    users.authenticate(login, &client, &|remark| panic!("{remark:?}")).await
}

async fn ask(users: &Users, login: &Login) -> Verdict {
    ask_as(users, Protocol::Imap, login).await
}

fn granted(verdict: Verdict) -> (String, String, Option<String>) {
    let Verdict::Granted(route) = verdict else { panic!("{verdict:?}") };
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let password = route.identity.password.map(|password| text(password.expose()));
    (route.target.to_string(), text(&route.identity.user), password)
}

fn refusal(verdict: Verdict) -> (String, String) {
    let Verdict::Denied(Denial { refusal, wait }) = verdict else { panic!("{verdict:?}") };
    assert_eq!((wait, refusal.retry, &refusal.challenge), (Duration::ZERO, false, &None));
    let text = |bytes: Bytes| String::from_utf8(bytes.to_vec()).unwrap();
    (text(refusal.text), text(refusal.code.unwrap()))
}

fn is_plain_refusal(verdict: Verdict) -> bool {
    refusal(verdict) == ("Authentication failed.".to_owned(), "535 5.7.8".to_owned())
}

#[tokio::test]
async fn the_right_password_leads_to_the_users_host() {
    let users = users(&format!("joe:{SLOW}::::::host=192.0.2.1\nann:{{PLAIN}}a b::::::host=h port=2\n"));
    let (target, user, password) = granted(ask(&users, &plain("joe", PASSWORD)).await);
    assert_eq!(
        (target.as_str(), user.as_str(), password.as_deref()),
        ("192.0.2.1:143", "joe", Some(PASSWORD))
    );
    let (target, ..) = granted(ask_as(&users, Protocol::Smtp, &plain("ann", "a b")).await);
    assert_eq!(target, "h:2");
}

#[tokio::test]
async fn destuser_and_pass_are_what_the_upstream_hears() {
    let users = users("joe:{PLAIN}x::::::host=h destuser=joe@example.org pass=y\n");
    let (_, user, password) = granted(ask(&users, &plain("joe", "x")).await);
    assert_eq!((user.as_str(), password.as_deref()), ("joe@example.org", Some("y")));
}

#[tokio::test]
async fn a_user_may_have_tls_of_their_own() {
    use crate::auth::RouteTls;
    use crate::settings::UpstreamTls;
    let users = users(
        "joe:{PLAIN}x::::::host=be.example hostip=192.0.2.7 starttls=any-cert\nann:{PLAIN}x::::::host=h\n",
    );
    let tls = async |user| match ask(&users, &plain(user, "x")).await {
        Verdict::Granted(route) => route.tls,
        other => panic!("{other:?}"),
    };
    let (mode, name) = (Some(UpstreamTls::Starttls), Some("be.example".to_owned()));
    assert_eq!(tls("joe").await, RouteTls { mode, verify: Some(false), name });
    assert_eq!(tls("ann").await, RouteTls::default());
}

#[tokio::test]
async fn unknown_users_and_wrong_passwords_hear_the_same() {
    let users = users(&format!("joe:{SLOW}::::::host=h\nann:{{PLAIN}}x::::::host=h\ngone:*::::::host=h\n"));
    for (user, password) in
        [("joe", "x"), ("ann", PASSWORD), ("gone", "*"), ("who", "x"), ("", ""), ("JOE", PASSWORD)]
    {
        assert!(is_plain_refusal(ask(&users, &plain(user, password)).await), "{user}");
    }
}

#[tokio::test]
async fn an_unknown_user_costs_one_verification_of_the_dearest_hash() {
    let users = users(&format!("ann:{{PLAIN}}x::::::host=h\njoe:{SLOW}::::::host=h\ngone:*::::::host=h\n"));
    let mut begun = users.pool.begun();
    for (user, password) in [("joe", "wrong"), ("who", "wrong"), ("who", PASSWORD), ("gone", PASSWORD)] {
        assert!(is_plain_refusal(ask(&users, &plain(user, password)).await), "{user}");
        begun += 1;
        assert_eq!(users.pool.begun(), begun, "{user}");
    }
}

#[tokio::test]
async fn cheap_passwords_are_verified_in_place() {
    let users = users(&format!("ann:{{PLAIN}}x::::::host=h\ncram:{CONTEXTS}::::::host=h\n"));
    granted(ask(&users, &plain("ann", "x")).await);
    granted(ask(&users, &plain("cram", PASSWORD)).await);
    assert!(is_plain_refusal(ask(&users, &plain("who", "x")).await));
    assert_eq!(users.pool.begun(), 0);
}

#[tokio::test]
async fn an_empty_file_refuses_everybody() {
    assert!(is_plain_refusal(ask(&users(""), &plain("joe", "x")).await));
    assert!(is_plain_refusal(ask(&users("joe:!::::::host=h\n"), &plain("joe", "x")).await));
}

#[tokio::test]
async fn with_a_fallback_unknown_users_are_left_to_it_at_once() {
    let users = with_fallback(&format!("joe:{SLOW}::::::host=h delay=9\n"));
    for method in [Method::Plain, Method::CramMd5, Method::External, Method::None] {
        assert!(matches!(ask(&users, &login(method, "who", "x")).await, Verdict::Unknown));
    }
    assert_eq!(users.pool.begun(), 0);
}

#[tokio::test]
async fn with_a_fallback_a_known_user_is_still_the_files_own() {
    let users = with_fallback("joe:{PLAIN}x::::::host=h\n");
    assert!(is_plain_refusal(ask(&users, &plain("joe", "wrong")).await));
    assert!(is_plain_refusal(ask(&users, &login(Method::Xoauth2, "joe", "token")).await));
    granted(ask(&users, &plain("joe", "x")).await);
}

#[tokio::test]
async fn digests_are_checked_against_clear_passwords() {
    let users = users(&format!("joe:{{PLAIN}}{PASSWORD}::::::host=h\nann:{SLOW}::::::host=h pass=p\n"));
    for (method, digest) in [(Method::CramMd5, CRAM_MD5), (Method::Apop, APOP)] {
        let (_, _, password) = granted(ask_as(&users, Protocol::Pop3, &login(method, "joe", digest)).await);
        assert_eq!(password.as_deref(), Some(PASSWORD), "the upstream gets the clear password");
        assert!(is_plain_refusal(ask(&users, &login(method, "joe", PASSWORD)).await));
        assert!(is_plain_refusal(ask(&users, &login(method, "ann", digest)).await));
        assert!(is_plain_refusal(ask(&users, &login(method, "who", digest)).await));
        let unchallenged = Login { challenge: None, ..login(method, "joe", digest) };
        assert!(is_plain_refusal(ask(&users, &unchallenged).await));
    }
    assert_eq!(users.pool.begun(), 0);
}

#[tokio::test]
async fn cram_md5_contexts_serve_cram_md5_but_not_apop() {
    let users = users(&format!("joe:{CONTEXTS}::::::host=h pass=p\n"));
    let (_, _, password) = granted(ask(&users, &login(Method::CramMd5, "joe", CRAM_MD5)).await);
    assert_eq!(password.as_deref(), Some("p"));
    assert!(is_plain_refusal(ask(&users, &login(Method::Apop, "joe", APOP)).await));
}

#[tokio::test]
async fn a_digest_without_any_password_for_the_upstream_is_a_failure_except_in_smtp() {
    let users = users(&format!("joe:{CONTEXTS}::::::host=h\n"));
    let login = login(Method::CramMd5, "joe", CRAM_MD5);
    let Verdict::Failed(failure) = ask(&users, &login).await else { panic!("not a failure") };
    assert_eq!(
        failure.to_string(),
        "users file users: no \"pass=\", and only a digest of the password is known in line 1"
    );
    assert_eq!(granted(ask_as(&users, Protocol::Smtp, &login).await).2, None);
}

#[tokio::test]
async fn methods_that_a_file_cannot_check_are_refused() {
    let users = users(&format!("joe:{{PLAIN}}{PASSWORD}::::::host=h\n"));
    for method in [Method::External, Method::Xoauth2, Method::Oauthbearer, Method::None] {
        assert!(is_plain_refusal(ask(&users, &login(method, "joe", PASSWORD)).await), "{method:?}");
        assert!(is_plain_refusal(ask(&users, &login(method, "joe", "")).await), "{method:?}");
    }
}

#[tokio::test]
async fn nologin_is_told_only_to_who_knows_the_password() {
    let users = users("joe:{PLAIN}x::::::nologin\nann:{PLAIN}x::::::host=h nologin reason=Moved, ask us.\n");
    assert_eq!(
        refusal(ask(&users, &plain("joe", "x")).await),
        ("Account disabled.".to_owned(), "525 5.7.13".to_owned())
    );
    assert_eq!(refusal(ask(&users, &plain("ann", "x")).await).0, "Moved, ask us.");
    assert!(is_plain_refusal(ask(&users, &plain("joe", "wrong")).await));
    assert!(is_plain_refusal(ask(&users, &plain("ann", "wrong")).await));
}

#[tokio::test(start_paused = true)]
async fn every_verdict_is_held_back_for_the_delay_and_that_of_unknown_users_for_the_longest() {
    let users = users(
        "joe:{PLAIN}x::::::host=h delay=2\nann:{PLAIN}x::::::host=h\nall:{PLAIN}x::::::host=h delay=5\n",
    );
    for (user, password, expected) in [
        ("joe", "x", 2),
        ("joe", "wrong", 2),
        ("ann", "x", 0),
        ("ann", "wrong", 0),
        ("all", "x", 5),
        ("who", "x", 5),
    ] {
        let start = tokio::time::Instant::now();
        ask(&users, &plain(user, password)).await;
        assert_eq!(start.elapsed().as_secs(), expected, "{user} {password}");
    }
}

#[tokio::test(flavor = "current_thread")]
async fn a_slow_hash_does_not_hold_up_a_plain_password() {
    let users = users(&format!("joe:{SLOW}::::::host=h\nann:{{PLAIN}}x::::::host=h\n"));
    let (release, gate) = mpsc::channel::<()>();
    // The only verifier thread is busy until told otherwise, and Joe queues behind it.
    let busy = users.pool.run(move || gate.recv().is_ok());
    let joe = plain("joe", PASSWORD);
    let ann = async {
        granted(ask(&users, &plain("ann", "x")).await);
        let still_waiting = users.pool.begun() <= 1;
        release.send(()).unwrap();
        still_waiting
    };
    let (busy, joe, still_waiting) = tokio::join!(busy, ask(&users, &joe), ann);
    assert!(still_waiting);
    assert_eq!(busy, Ok(true));
    granted(joe);
}

#[tokio::test(flavor = "current_thread")]
async fn a_login_that_was_given_up_is_not_verified() {
    let users = users(&format!("joe:{SLOW}::::::host=h\n"));
    let (release, gate) = mpsc::channel::<()>();
    let busy = users.pool.run(move || gate.recv().is_ok());
    let give_up = async {
        let joe = plain("joe", PASSWORD);
        let asking = ask(&users, &joe);
        tokio::select! {
            biased;
            _ = asking => panic!("answered by a busy pool"),
            () = tokio::task::yield_now() => {}
        }
        release.send(()).unwrap();
    };
    let (busy, ()) = tokio::join!(busy, give_up);
    assert_eq!(busy, Ok(true));
    assert_eq!(users.pool.run(|| ()).await, Ok(()));
    assert_eq!(users.pool.begun(), 2);
}

#[tokio::test]
async fn users_of_any_bytes_are_looked_up() {
    let text = [b"\xff\xfe:{PLAIN}x::::::host=h\n".as_slice(), b"a b:{PLAIN}x::::::host=h\n"].concat();
    let users = Users::new(Arc::new(UsersFile::parse("users", &text).unwrap()), pool(), false);
    let mut login = plain("a b", "x");
    granted(ask(&users, &login).await);
    login.credentials.user = Bytes::from_static(b"\xff\xfe");
    let Verdict::Granted(route) = ask(&users, &login).await else { panic!("refused") };
    assert_eq!(route.identity.user, Bytes::from_static(b"\xff\xfe"));
}
