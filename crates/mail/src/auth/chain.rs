//! Several authorities in a row: `auth_user_file` first, then `auth_http`.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use proto::{Login, Refusal};

use super::{Authenticate, Client, Denial, Notes, Pending, Verdict};

/// What a client hears whom no authority knows; the same as after a wrong password in a users file.
const UNKNOWN_USER: Bytes = Bytes::from_static(b"Authentication failed.");

/// RFC 4954, section 6: credentials invalid.
const UNKNOWN_USER_CODE: Bytes = Bytes::from_static(b"535 5.7.8");

/// Asks one authority after the other, until one has heard of the user.
///
/// Only [`Verdict::Unknown`] goes on to the next. A refusal is final, so that a wrong password for a user of one
/// authority is never tried at another; so is a failure, since nobody knows then whose user it is. A user whom
/// nobody knows is refused, and may not try again on this connection.
pub struct Chain {
    authorities: Vec<Arc<dyn Authenticate>>,
}

impl Chain {
    /// Asks `authorities` in this order.
    pub fn new(authorities: Vec<Arc<dyn Authenticate>>) -> Self {
        Self { authorities }
    }

    async fn ask(&self, login: &Login, client: &Client, note: &Notes<'_>) -> Verdict {
        for authority in &self.authorities {
            match authority.authenticate(login, client, note).await {
                Verdict::Unknown => {}
                verdict => return verdict,
            }
        }
        let code = Some(UNKNOWN_USER_CODE);
        let refusal = Refusal { text: UNKNOWN_USER, code, challenge: None, retry: false };
        Verdict::Denied(Denial { refusal, wait: Duration::ZERO })
    }
}

impl Authenticate for Chain {
    fn authenticate<'a>(
        &'a self,
        login: &'a Login,
        client: &'a Client,
        note: &'a Notes<'a>,
    ) -> Pending<'a, Verdict> {
        Box::pin(self.ask(login, client, note))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use proto::{Credentials, Identity, Method, Protocol, Secret};

    use super::*;
    use crate::address::{ClientAddr, Target};
    use crate::auth::{Failure, Route, RouteTls};

    /// Has one verdict to give.
    struct Scripted(Mutex<Option<Verdict>>);

    impl Authenticate for Scripted {
        fn authenticate<'a>(&'a self, _: &'a Login, _: &'a Client, _: &'a Notes<'a>) -> Pending<'a, Verdict> {
            let verdict = self.0.lock().expect("not poisoned").take().expect("asked once");
            Box::pin(async { verdict })
        }
    }

    fn granted() -> Verdict {
        let identity = Identity { user: Bytes::from_static(b"u"), password: None };
        Verdict::Granted(Route {
            target: Target::Unix("/upstream".into()),
            identity,
            tls: RouteTls::default(),
            said: Vec::new(),
        })
    }

    fn denied() -> Verdict {
        let text = Bytes::from_static(b"no");
        let refusal = Refusal { text, code: None, challenge: None, retry: true };
        Verdict::Denied(Denial { refusal, wait: Duration::from_secs(1) })
    }

    fn failed() -> Verdict {
        Verdict::Failed(Failure::Closed { server: "auth".to_owned() })
    }

    /// The verdict of a chain, and how many of its authorities were asked.
    async fn ask(verdicts: impl IntoIterator<Item = Verdict>) -> (Verdict, usize) {
        let all: Vec<_> =
            verdicts.into_iter().map(|verdict| Arc::new(Scripted(Mutex::new(Some(verdict))))).collect();
        let chain = Chain::new(all.iter().map(|one| Arc::clone(one) as Arc<dyn Authenticate>).collect());
        let credentials = Credentials {
            method: Method::Plain,
            user: Bytes::from_static(b"u"),
            password: Secret::default(),
        };
        let login = Login { credentials, challenge: None, attempt: 1, helo: Bytes::new(), envelope: None };
        let client = Client::new(Protocol::Smtp, ClientAddr::Unix);
        let verdict = chain.authenticate(&login, &client, &|_| {}).await;
        let asked = all.iter().filter(|one| one.0.lock().expect("not poisoned").is_none()).count();
        (verdict, asked)
    }

    #[tokio::test]
    async fn the_next_is_asked_only_about_users_that_the_one_before_does_not_know() {
        assert!(matches!(ask([Verdict::Unknown, granted()]).await, (Verdict::Granted(_), 2)));
        assert!(matches!(ask([granted(), denied()]).await, (Verdict::Granted(_), 1)));
        assert!(matches!(ask([denied(), granted()]).await, (Verdict::Denied(_), 1)));
        assert!(matches!(ask([failed(), granted()]).await, (Verdict::Failed(_), 1)));
    }

    #[tokio::test]
    async fn a_user_whom_nobody_knows_is_refused_for_good() {
        for verdicts in [vec![], vec![Verdict::Unknown], vec![Verdict::Unknown, Verdict::Unknown]] {
            let Verdict::Denied(denial) = ask(verdicts).await.0 else { panic!("not refused") };
            assert_eq!(denial.wait, Duration::ZERO);
            assert_eq!(denial.refusal.text, "Authentication failed.");
            assert!(!denial.refusal.retry);
        }
    }
}
