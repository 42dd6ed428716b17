//! A configuration at work: everything that its sessions share.
//!
//! A session keeps the generation that it began with; it is freed with its last session.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::auth::chain::Chain;
use crate::auth::http::{HttpAuthority, SetupError};
use crate::auth::users::{LoadError, Pool, Users, UsersFile, Warning};
use crate::auth::{Authenticate, Resolve};
use crate::dns;
use crate::files::Files;
use crate::flavour::Flavour;
use crate::log::Log;
use crate::settings::{self, ErrorLog};
use crate::tls::{ClientTls, ServerTls};

/// All services of one configuration.
#[derive(Debug)]
pub struct Generation {
    /// In the order of [`settings::Mail::servers`].
    pub services: Vec<Arc<Service>>,
}

/// What outlives a generation: every one is made with the same.
pub struct Makings {
    /// Whose texts to use.
    pub flavour: Flavour,
    /// Turns names into addresses.
    pub resolver: Arc<dyn Resolve>,
    /// Where slow password hashes are verified.
    pub verifiers: Arc<Pool>,
}

/// Why a configuration cannot be put to work.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// A users file cannot be read or has a mistake in it.
    #[error(transparent)]
    UsersFile(#[from] LoadError),
    /// An auth server cannot be asked.
    #[error(transparent)]
    AuthHttp(#[from] SetupError),
}

impl Generation {
    /// Puts `servers` to work, with what they read from `files`. `log` finds the log for `error_log` lines; `warn`
    /// hears of what looks wrong.
    ///
    /// Connects to nobody.
    pub fn build(
        servers: &[Arc<settings::Server>],
        makings: &Makings,
        files: &Files,
        mut log: impl FnMut(&[ErrorLog]) -> Arc<Log>,
        mut warn: impl FnMut(&Warning),
    ) -> Result<Self, BuildError> {
        let mut users = UsersFiles { files, parsed: HashMap::new() };
        let mut services = Vec::with_capacity(servers.len());
        for settings in servers {
            services.push(Arc::new(Service {
                settings: Arc::clone(settings),
                authority: authority(settings, makings, &mut users, &mut warn)?,
                resolver: Arc::clone(&makings.resolver),
                names: None,
                tls: None,
                upstream_tls: None,
                log: log(&settings.core.error_logs),
                flavour: makings.flavour,
            }));
        }
        Ok(Self { services })
    }
}

/// Users files by their paths: servers that name the same one share it.
struct UsersFiles<'f> {
    files: &'f Files,
    parsed: HashMap<PathBuf, Arc<UsersFile>>,
}

/// The users file, then the auth server, as far as the server has them.
fn authority(
    settings: &settings::Server,
    makings: &Makings,
    users: &mut UsersFiles<'_>,
    warn: &mut impl FnMut(&Warning),
) -> Result<Arc<dyn Authenticate>, BuildError> {
    let mut authorities: Vec<Arc<dyn Authenticate>> = Vec::with_capacity(2);
    if let Some(path) = &settings.auth_user_file {
        let file = users.file(path, warn)?;
        let fallback = settings.auth_http.is_some();
        authorities.push(Arc::new(Users::new(file, Arc::clone(&makings.verifiers), fallback)));
    }
    if let Some(http) = &settings.auth_http {
        authorities.push(Arc::new(HttpAuthority::new(http, Arc::clone(&makings.resolver), users.files)?));
    }
    match <[_; 1]>::try_from(authorities) {
        Ok([only]) => Ok(only),
        Err(authorities) => Ok(Arc::new(Chain::new(authorities))),
    }
}

impl UsersFiles<'_> {
    fn file(&mut self, path: &Path, warn: &mut impl FnMut(&Warning)) -> Result<Arc<UsersFile>, LoadError> {
        if let Some(file) = self.parsed.get(path) {
            return Ok(Arc::clone(file));
        }
        let file = Arc::new(UsersFile::load(path, self.files)?);
        file.warnings().iter().for_each(warn);
        self.parsed.insert(path.to_owned(), Arc::clone(&file));
        Ok(file)
    }
}

/// One `server {}` at work.
pub struct Service {
    /// What the configuration says.
    pub settings: Arc<settings::Server>,
    /// Who decides about logins.
    pub authority: Arc<dyn Authenticate>,
    /// Turns names of upstreams into addresses.
    pub resolver: Arc<dyn Resolve>,
    /// Turns addresses of SMTP clients into names, if `resolver` says who is to be asked.
    pub names: Option<Arc<dns::Resolver>>,
    /// TLS with clients.
    pub tls: Option<ServerTls>,
    /// TLS with upstreams; `None` if there is nothing to verify them by.
    pub upstream_tls: Option<ClientTls>,
    /// Where its sessions are told.
    pub log: Arc<Log>,
    /// Whose texts to use there.
    pub flavour: Flavour,
}

impl std::fmt::Debug for Service {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Service").field("settings", &self.settings).finish_non_exhaustive()
    }
}
