//! A configuration at work: everything that its sessions share.
//!
//! A session keeps the generation that it began with; it is freed with its last session.

use std::collections::HashMap;
use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use conf::Fault;

use crate::auth::chain::Chain;
use crate::auth::http::{HttpAuthority, SetupError};
use crate::auth::users::{LoadError, Pool, Users, UsersFile};
use crate::auth::{Authenticate, Resolve};
use crate::dns;
use crate::files::Files;
use crate::limit::{self, Limits};
use crate::log::ServerLog;
use crate::penalty::{self, Penalty};
use crate::settings::{self, ErrorLog, UpstreamTls};
use crate::tls::{self, ClientTls, ServerTls};

/// All services of one configuration.
#[derive(Debug)]
pub struct Generation {
    /// In the order of [`settings::Mail::servers`].
    pub services: Vec<Arc<Service>>,
}

/// What outlives a generation: every one is made with the same.
pub struct Makings {
    /// Turns names into addresses where no `resolver` does.
    pub resolver: Arc<dyn Resolve>,
    /// Resolvers of `resolver`, with what they know.
    pub resolvers: dns::Resolvers,
    /// Counts what resolvers do, by `status_zone`.
    pub zones: dns::Zones,
    /// The name servers that resolvers find in files.
    pub conf_files: dns::ConfFiles,
    /// What `limit_conn` counts.
    pub limits: limit::Zones,
    /// What `auth_penalty` remembers.
    pub penalties: penalty::Tables,
    /// Ticket keys and session caches.
    pub lasting: tls::Lasting,
    /// Where slow password hashes are verified.
    pub verifiers: Arc<Pool>,
}

impl Makings {
    /// Makings of a process that has not served yet: nothing is counted, remembered or known.
    pub fn new(resolver: Arc<dyn Resolve>, lasting: tls::Lasting, verifiers: Arc<Pool>) -> Self {
        Self {
            resolver,
            resolvers: dns::Resolvers::default(),
            zones: dns::Zones::default(),
            conf_files: dns::ConfFiles::default(),
            limits: limit::Zones::default(),
            penalties: penalty::Tables::default(),
            lasting,
            verifiers,
        }
    }
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
    /// TLS cannot be spoken as the configuration says.
    #[error(transparent)]
    Tls(Box<Fault>),
}

impl From<tls::Mistake> for BuildError {
    fn from(mistake: tls::Mistake) -> Self {
        Self::Tls(Box::new(Fault::nowhere(conf::Mistake::own(mistake))))
    }
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
        mut log: impl FnMut(&[ErrorLog]) -> ServerLog,
        mut warn: impl FnMut(&dyn Display),
    ) -> Result<Self, BuildError> {
        let mut workshop = Workshop { makings, files, users: HashMap::new(), warn: &mut warn };
        let mut services = Vec::with_capacity(servers.len());
        for settings in servers {
            services.push(Arc::new(workshop.service(settings, log(&settings.core.error_logs))?));
        }
        Ok(Self { services })
    }
}

/// Makes services, and remembers what several of them share.
struct Workshop<'a> {
    makings: &'a Makings,
    files: &'a Files,
    /// Users files by their paths.
    users: HashMap<PathBuf, Arc<UsersFile>>,
    warn: &'a mut dyn FnMut(&dyn Display),
}

impl Workshop<'_> {
    fn service(&mut self, settings: &Arc<settings::Server>, log: ServerLog) -> Result<Service, BuildError> {
        let names = settings.resolver.as_ref().map(|dns| self.names(dns));
        let resolver: Arc<dyn Resolve> = match &names {
            Some(names) => Arc::clone(names) as _,
            None => Arc::clone(&self.makings.resolver),
        };
        Ok(Service {
            settings: Arc::clone(settings),
            authority: self.authority(settings, &resolver)?,
            resolver,
            names,
            tls: self.tls(settings)?,
            upstream_tls: self.upstream_tls(settings)?,
            limits: Limits::new(&settings.limits, &self.makings.limits),
            penalty: settings.penalty.as_ref().map(|it| Penalty::new(it, &self.makings.penalties)),
            log,
        })
    }

    /// The users file, then the auth server, as far as the server has them.
    fn authority(
        &mut self,
        settings: &settings::Server,
        resolver: &Arc<dyn Resolve>,
    ) -> Result<Arc<dyn Authenticate>, BuildError> {
        let mut authorities: Vec<Arc<dyn Authenticate>> = Vec::with_capacity(2);
        if let Some(path) = &settings.auth_user_file {
            let (file, verifiers) = (self.users_file(path)?, Arc::clone(&self.makings.verifiers));
            authorities.push(Arc::new(Users::new(file, verifiers, settings.auth_http.is_some())));
        }
        if let Some(http) = &settings.auth_http {
            let http = HttpAuthority::new(http, Arc::clone(resolver), self.files)?;
            authorities.push(Arc::new(http.noting(settings.limits.headers())));
        }
        match <[_; 1]>::try_from(authorities) {
            Ok([only]) => Ok(only),
            Err(authorities) => Ok(Arc::new(Chain::new(authorities))),
        }
    }

    fn users_file(&mut self, path: &Path) -> Result<Arc<UsersFile>, LoadError> {
        if let Some(file) = self.users.get(path) {
            return Ok(Arc::clone(file));
        }
        let file = Arc::new(UsersFile::load(path, self.files)?);
        file.warnings().iter().for_each(|warning| (self.warn)(warning));
        self.users.insert(path.to_owned(), Arc::clone(&file));
        Ok(file)
    }

    fn names(&self, settings: &dns::Settings) -> Arc<dns::Resolver> {
        let Makings { resolvers, zones, conf_files, .. } = self.makings;
        resolvers.with(settings, |settings| dns::Resolver::new(settings, zones, conf_files))
    }

    /// TLS with clients, where the configuration has any.
    fn tls(&mut self, settings: &settings::Server) -> Result<Option<ServerTls>, BuildError> {
        let Some(wanted) = &settings.tls else { return Ok(None) };
        let built = self.with_environment(|around| ServerTls::build(&wanted.settings, around));
        let built = built.map_err(|mistake| {
            // Only what is missing has a place; what is wrong names its file (as the originals).
            if mistake.names_a_directive() {
                BuildError::Tls(Box::new(Fault::own(mistake, &wanted.at)))
            } else {
                mistake.into()
            }
        })?;
        built.remarks.iter().for_each(|remark| (self.warn)(remark));
        Ok(Some(built.made))
    }

    /// TLS with upstreams. The authority may ask for it for any user, so it is made even where the settings do not;
    /// a system without trusted certificates is then no mistake of the configuration.
    fn upstream_tls(&mut self, settings: &settings::Server) -> Result<Option<ClientTls>, BuildError> {
        match self.with_environment(|around| ClientTls::build(&settings.upstream_tls, around)) {
            Ok(built) => {
                built.remarks.iter().for_each(|remark| (self.warn)(remark));
                Ok(Some(built.made))
            }
            Err(_) if settings.proxy.ssl == UpstreamTls::Off => Ok(None),
            Err(mistake) => Err(mistake.into()),
        }
    }

    /// Lets `make` have what making TLS needs besides settings.
    fn with_environment<T>(&self, make: impl FnOnce(&tls::Environment<'_>) -> T) -> T {
        let read = |path: &Path| Ok(self.files.read(path)?.to_vec());
        let system_roots = || self.files.system_certificates();
        let lasting = &self.makings.lasting;
        make(&tls::Environment { read: &read, system_roots: &system_roots, lasting })
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
    /// How many connections it takes.
    pub limits: Limits,
    /// How guessing is answered, if it is not answered as everything is.
    pub penalty: Option<Penalty>,
    /// Where its sessions are told.
    pub log: ServerLog,
}

impl std::fmt::Debug for Service {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Service").field("settings", &self.settings).finish_non_exhaustive()
    }
}
