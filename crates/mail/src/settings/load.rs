//! Reading `mail {}` blocks, and resolving them into [`Mail`].

use std::sync::Arc;
use std::time::Duration;

use conf::{
    Args, Block, Chapter, Count, Directive, Fault, Position, Reading, Vocabulary, apply, bind, chapter, doc,
};
use proto::Protocol;

use super::core::Logging;
use super::limit::{LIMIT_ZONES, ZonesBlock};
use super::listen::{LISTEN, ListenBlock};
use super::scope::{self, Scope};
use super::zone::Zones;
use super::{
    AuthHttp, ConnLimits, Core, Mail, Proxy, Server, Surroundings, auth_user_file, imap, limit, penalty,
    pop3, proxy_ssl, realip, resolver, smtp, ssl,
};
use crate::dns;

/// All `mail {}` blocks as written. Several count as one (as in Angie; nginx refuses a second).
#[derive(Debug)]
pub struct MailBlock {
    scope: Scope,
    servers: Servers,
    limit_zones: ZonesBlock,
}

/// The servers as written.
#[derive(Debug, Default)]
struct Servers {
    blocks: Vec<ServerBlock>,
    listen: ListenBlock,
    zones: Zones,
}

/// A `server {}` as written.
#[derive(Debug)]
struct ServerBlock {
    scope: Scope,
    protocol: Option<Protocol>,
    /// Its last `listen … ssl`.
    ssl: Option<Position>,
    /// Where its `{` stands.
    at: Position,
}

/// Directives of `mail` only.
const MAIL: &[Directive<Servers>] = &[Directive::block(
    "server",
    Count::Exactly(0),
    doc(
        "{ … }",
        "",
        "A server: addresses to listen on, a protocol, and whatever differs from what `mail` says.",
    ),
    server,
)];

/// What is missing in a server, which only shows when all is read.
#[derive(Debug, thiserror::Error)]
enum ServerMistake {
    #[error("no \"listen\" is defined for server")]
    NoListen,
    #[error("unknown mail protocol for server")]
    UnknownProtocol,
    #[error("no \"auth_http\" is defined for server")]
    NoAuthHttp,
}

fn server(servers: &mut Servers, args: &Args<'_>, block: &Block) -> Result<(), Fault> {
    let mut scope = Scope::new(servers.zones.clone());
    servers.listen.begin(servers.blocks.len());
    let mut own = bind(LISTEN, &mut servers.listen);
    scope.rows(&mut own, |rows| apply(block, rows, args.reading()))?;
    if !servers.listen.listens() {
        return Err(Fault::own(ServerMistake::NoListen, args.at()));
    }
    let (protocol, ssl) = (servers.listen.protocol, servers.listen.ssl.take());
    servers.blocks.push(ServerBlock { scope, protocol, ssl, at: args.at().clone() });
    Ok(())
}

impl Default for MailBlock {
    fn default() -> Self {
        let servers = Servers::default();
        Self { scope: Scope::new(servers.zones.clone()), servers, limit_zones: ZonesBlock::default() }
    }
}

impl MailBlock {
    /// Reads one `mail {}`.
    ///
    /// # Errors
    /// The first mistake in the order of the text.
    pub fn read(&mut self, block: &Block, reading: &Reading<'_>) -> Result<(), Fault> {
        let mut own = (bind(MAIL, &mut self.servers), bind(LIMIT_ZONES, &mut self.limit_zones));
        self.scope.rows(&mut own, |rows| apply(block, rows, reading))
    }

    /// Fills in what is inherited, and checks what shows only now that all is read.
    ///
    /// # Errors
    /// The first mistake: each check is made for all servers before the next, as in the originals.
    pub fn resolve(&self, around: &Surroundings) -> Result<Mail, Fault> {
        let protocols =
            self.servers.blocks.iter().map(ServerBlock::protocol).collect::<Result<Vec<_>, _>>()?;
        let shared = resolver::shared(&self.scope.resolver);
        let resolve = |(server, protocol): (&ServerBlock, _)| {
            self.server(server, protocol, around, shared.as_ref()).map(Arc::new)
        };
        let servers = self.servers.blocks.iter().zip(protocols).map(resolve).collect::<Result<_, _>>()?;
        Ok(Mail { servers, listens: self.servers.listen.resolve() })
    }

    fn server(
        &self,
        server: &ServerBlock,
        protocol: Protocol,
        around: &Surroundings,
        shared: Option<&Arc<dns::Settings>>,
    ) -> Result<Server, Fault> {
        let (inner, outer) = (&server.scope, &self.scope);
        let logging = Logging {
            error_logs: inner.log.resolve(&outer.log, around)?,
            tags: inner.tags.resolve(&outer.tags),
        };
        let core = Core::resolve(&inner.core, &outer.core, logging, around);
        let auth_http = AuthHttp::resolve(&inner.auth_http, &outer.auth_http);
        let auth_user_file = auth_user_file::resolve(&inner.auth_user_file, &outer.auth_user_file, around);
        if auth_http.is_none() && auth_user_file.is_none() {
            return Err(Fault::own(ServerMistake::NoAuthHttp, &server.at));
        }
        let limits = limit::resolve(&inner.limit, &outer.limit, &self.limit_zones)?;
        Ok(Server {
            auth_http,
            auth_user_file,
            proxy: Proxy::resolve(&inner.proxy, &outer.proxy),
            tls: ssl::resolve(&inner.ssl, &outer.ssl, protocol, server.ssl.as_ref()),
            upstream_tls: proxy_ssl::resolve(&inner.proxy_ssl, &outer.proxy_ssl),
            greeting_delay: match protocol {
                Protocol::Smtp => smtp::greeting_delay(&inner.smtp, &outer.smtp),
                Protocol::Imap | Protocol::Pop3 => Duration::ZERO,
            },
            real_ip: realip::resolve(&inner.realip, &outer.realip),
            resolver: resolver::resolve(&inner.resolver, &outer.resolver, shared),
            protocol: front(inner, outer, protocol, &core, &limits),
            core,
            limits,
            penalty: penalty::resolve(&inner.penalty, &outer.penalty),
        })
    }
}

impl ServerBlock {
    fn protocol(&self) -> Result<Protocol, Fault> {
        self.protocol.ok_or_else(|| Fault::own(ServerMistake::UnknownProtocol, &self.at))
    }
}

fn front(
    inner: &Scope,
    outer: &Scope,
    protocol: Protocol,
    core: &Core,
    limits: &ConnLimits,
) -> super::ProtocolSettings {
    use super::ProtocolSettings::{Imap, Pop3, Smtp};
    let starttls = ssl::starttls_of(&inner.ssl, &outer.ssl);
    match protocol {
        Protocol::Imap => Imap(Arc::new(imap::resolve(&inner.imap, &outer.imap, core, starttls))),
        Protocol::Pop3 => {
            let settings = pop3::resolve(&inner.pop3, &outer.pop3, core, starttls);
            Pop3(Arc::new(if limits.limits.is_empty() {
                settings
            } else {
                pop3::with_response_codes(settings)
            }))
        }
        Protocol::Smtp => Smtp(Arc::new(smtp::resolve(&inner.smtp, &outer.smtp, core, starttls))),
    }
}

/// `vocabulary` and every directive that stands in `mail` or `server`.
pub fn vocabulary(vocabulary: Vocabulary) -> Vocabulary {
    scope::vocabulary(vocabulary).and(MAIL).and(LIMIT_ZONES).and(LISTEN)
}

/// The reference of every directive that stands in `mail` or `server`.
pub fn chapters() -> Vec<Chapter> {
    let mut chapters = vec![chapter("Servers", "mail", MAIL), chapter("Listening", "server", LISTEN)];
    chapters.extend(scope::chapters());
    chapters.push(chapter("Zones of limits", "mail", LIMIT_ZONES));
    chapters
}

#[cfg(test)]
mod tests;
