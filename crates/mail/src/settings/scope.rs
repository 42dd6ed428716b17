//! What can be set in `mail` as well as in `server`: one block of every owner.

use conf::{Chapter, Rows, Vocabulary, bind, chapter};

use super::auth_http::{AUTH_HTTP, AuthHttpBlock};
use super::auth_user_file::{AUTH_USER_FILE, AuthUserFileBlock};
use super::core::{CORE, CoreBlock};
use super::imap::{IMAP, ImapBlock};
use super::limit::{LIMIT, LimitBlock};
use super::log::{LOG, LogBlock, TAGS, TagBlock};
use super::penalty::{PENALTY, PenaltyBlock};
use super::pop3::{POP3, Pop3Block};
use super::proxy::{PROXY, ProxyBlock};
use super::proxy_ssl::{PROXY_SSL, ProxySslBlock};
use super::realip::{REALIP, RealipBlock};
use super::resolver::{RESOLVER, ResolverBlock};
use super::smtp::{SMTP, SmtpBlock};
use super::ssl::{SSL, SslBlock};
use super::zone::Zones;

/// The blocks of all owners whose directives stand in both contexts.
#[derive(Debug, Default)]
pub(super) struct Scope {
    pub(super) core: CoreBlock,
    pub(super) log: LogBlock,
    pub(super) tags: TagBlock,
    pub(super) auth_http: AuthHttpBlock,
    pub(super) auth_user_file: AuthUserFileBlock,
    pub(super) proxy: ProxyBlock,
    pub(super) proxy_ssl: ProxySslBlock,
    pub(super) imap: ImapBlock,
    pub(super) pop3: Pop3Block,
    pub(super) smtp: SmtpBlock,
    pub(super) ssl: SslBlock,
    pub(super) realip: RealipBlock,
    pub(super) resolver: ResolverBlock,
    pub(super) limit: LimitBlock,
    pub(super) penalty: PenaltyBlock,
}

impl Scope {
    /// Nothing written yet, in a configuration that has declared `zones`.
    pub(super) fn new(zones: Zones) -> Self {
        let Zones { ssl, penalty } = zones;
        Self { ssl: SslBlock::new(ssl), penalty: PenaltyBlock::new(penalty), ..Self::default() }
    }

    /// Lets `with` apply statements to these blocks and to `own`, the directives of one context only.
    pub(super) fn rows<R>(&mut self, own: &mut dyn Rows, with: impl FnOnce(&mut [&mut dyn Rows]) -> R) -> R {
        with(&mut [
            own,
            &mut bind(CORE, &mut self.core),
            &mut bind(LOG, &mut self.log),
            &mut bind(TAGS, &mut self.tags),
            &mut bind(AUTH_HTTP, &mut self.auth_http),
            &mut bind(AUTH_USER_FILE, &mut self.auth_user_file),
            &mut bind(PROXY, &mut self.proxy),
            &mut bind(PROXY_SSL, &mut self.proxy_ssl),
            &mut bind(IMAP, &mut self.imap),
            &mut bind(POP3, &mut self.pop3),
            &mut bind(SMTP, &mut self.smtp),
            &mut bind(SSL, &mut self.ssl),
            &mut bind(REALIP, &mut self.realip),
            &mut bind(RESOLVER, &mut self.resolver),
            &mut bind(LIMIT, &mut self.limit),
            &mut bind(PENALTY, &mut self.penalty),
        ])
    }
}

/// Every directive that stands in both contexts.
pub(super) fn vocabulary(vocabulary: Vocabulary) -> Vocabulary {
    vocabulary
        .and(CORE)
        .and(LOG)
        .and(TAGS)
        .and(AUTH_HTTP)
        .and(AUTH_USER_FILE)
        .and(PROXY)
        .and(PROXY_SSL)
        .and(IMAP)
        .and(POP3)
        .and(SMTP)
        .and(SSL)
        .and(REALIP)
        .and(RESOLVER)
        .and(LIMIT)
        .and(PENALTY)
}

/// The reference of the same.
pub(super) fn chapters() -> Vec<Chapter> {
    const BOTH: &str = "mail, server";
    vec![
        chapter("Core", BOTH, CORE),
        chapter("Log", "main, mail, server", LOG),
        chapter("Tags of the log", BOTH, TAGS),
        chapter("Auth server", BOTH, AUTH_HTTP),
        chapter("Users file", BOTH, AUTH_USER_FILE),
        chapter("Upstreams", BOTH, PROXY),
        chapter("TLS with upstreams", BOTH, PROXY_SSL),
        chapter("IMAP", BOTH, IMAP),
        chapter("POP3", BOTH, POP3),
        chapter("SMTP", BOTH, SMTP),
        chapter("TLS with clients", BOTH, SSL),
        chapter("Real addresses", BOTH, REALIP),
        chapter("Resolver", BOTH, RESOLVER),
        chapter("Limits", BOTH, LIMIT),
        chapter("Penalties", BOTH, PENALTY),
    ]
}
