//! What the master hands to the worker: a configuration with everything that it names, and messages around it.
//!
//! The worker reads the same texts again and so comes to the same configuration: there is no second way to write one
//! down. Only what needs the machine comes along as it was found: files, matches of patterns, host names, the user.

use std::collections::{BTreeMap, VecDeque};
use std::ffi::OsString;
use std::fmt;
use std::fs::File;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;

use conf::{Names, Source, Sources};
use mail::files::{Files, Known};
use mail::flavour::Flavour;
use mail::listener::Bound;
use mail::settings::Listen;
use mail::settings::log::Destination;
use nix::unistd::{Gid, Uid};
use serde::de::Visitor;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroizing;

use crate::logs::Logs;
use crate::settings::{self, Account, Configuration, Loaded, Machine, Request};
use crate::ticket_keys::TicketKey;

/// What master and worker have to agree on.
pub(crate) const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), " 2");

/// What the master says.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum ToWorker {
    /// Comes first.
    Hello {
        /// Of the agreement.
        version: String,
        /// Whether the program has gone to the background.
        background: bool,
        /// Keys of session tickets that workers before have made.
        ticket_keys: Vec<TicketKey>,
    },
    /// Serve this from now on, which has this number. Descriptors: listening sockets, then logs.
    Serve(u64, Arc<Bundle>),
    /// Logs were opened again. Descriptors: all of them.
    Logs(Vec<OsString>),
    /// What the system says of a name.
    Resolved(u64, Result<Vec<IpAddr>, String>),
    /// The file of this name, which `conf` of `resolver` names, has these name servers now.
    NameServers(String, Vec<SocketAddr>),
    /// Accept nothing more, and end with the last session.
    Drain,
    /// End at once.
    Stop,
}

/// What the worker says.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum ToMaster {
    /// It serves the bundle of this number.
    Serving(u64),
    /// It cannot serve the bundle of this number, for this reason, and goes on as before.
    Failed(u64, String),
    /// So many connections there are.
    Connections(usize),
    /// Somebody has told it to reopen its logs, which it cannot.
    Reopen,
    /// It has made a key of session tickets, for the next worker.
    TicketKey(TicketKey),
    /// What does the system say of this name?
    Resolve(u64, String),
}

/// The longest message of a worker, which is not trusted.
pub(crate) const LONGEST_TO_MASTER: usize = 64 * 1024;

/// The longest message of the master.
pub(crate) const LONGEST_TO_WORKER: usize = 1 << 30;

/// A configuration and everything that it names.
#[derive(Serialize, Deserialize)]
pub(crate) struct Bundle {
    program: String,
    file: OsString,
    prefix: OsString,
    directives: Option<OsString>,
    /// The log of the main context if that has none; `None`: standard error.
    error_log: Option<OsString>,
    host_name: String,
    open_files: u64,
    processors: usize,
    sources: Vec<(OsString, Bytes)>,
    matches: Vec<(OsString, Vec<OsString>)>,
    names: BTreeMap<String, Vec<IpAddr>>,
    files: Vec<(OsString, Bytes)>,
    roots: Option<Vec<Bytes>>,
    identity: Option<Identity>,
    /// How many sockets each `listen` has, in the order of the configuration.
    sockets: Vec<usize>,
    logs: Vec<OsString>,
}

/// Whom the worker becomes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Identity {
    pub(crate) name: String,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) groups: Vec<u32>,
}

/// A bundle that was opened.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) flavour: Flavour,
    pub(crate) configuration: Configuration,
    pub(crate) files: Files,
    pub(crate) identity: Option<Identity>,
    pub(crate) bounds: Vec<Bound>,
    pub(crate) logs: Logs,
}

/// Why a bundle cannot be opened. But for the descriptors none of these can happen if both processes run the same
/// program.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BundleError {
    /// The worker does not understand the configuration.
    #[error("{0}")]
    Rejected(conf::Fault),
    /// Something is missing.
    #[error("the bundle does not fit its configuration")]
    Misfit,
    /// This process has as many as it may have.
    #[error("the master's descriptors did not arrive: too many are open")]
    NoDescriptors,
    /// A socket cannot be used.
    #[error("a listening socket cannot be used: {0}")]
    Socket(#[from] io::Error),
}

/// What a bundle is made of.
pub(crate) struct Parts<'a> {
    pub(crate) request: &'a Request<'a>,
    pub(crate) sources: Sources,
    pub(crate) names: Names,
    pub(crate) files: Files,
    pub(crate) identity: Option<Identity>,
    pub(crate) bounds: &'a [Bound],
    pub(crate) logs: &'a Logs,
}

impl Bundle {
    pub(crate) fn pack(parts: Parts<'_>) -> Self {
        let Parts { request, sources, names, files, identity, bounds, logs } = parts;
        let known = files.into_known();
        let paths = |paths: &[PathBuf]| paths.iter().cloned().map(OsString::from).collect();
        Self {
            program: request.flavour.program().to_owned(),
            file: request.file.into(),
            prefix: request.prefix.into(),
            directives: request.directives.map(Into::into),
            error_log: match &request.error_log {
                Destination::File(path) => Some(path.into()),
                Destination::Stderr | Destination::Syslog(_) => None,
            },
            host_name: request.machine.host_name.clone(),
            open_files: request.machine.open_files,
            processors: request.machine.processors,
            sources: sources
                .files()
                .iter()
                .map(|it| (it.path.as_os_str().into(), Bytes::new(&it.contents)))
                .collect(),
            matches: sources.matches().iter().map(|(name, found)| (name.into(), paths(found))).collect(),
            names: names.into_known(),
            files: known.files.into_iter().map(|(path, contents)| (path.into(), Bytes(contents))).collect(),
            roots: known.roots.map(|roots| roots.iter().map(|root| Bytes::new(root)).collect()),
            identity,
            sockets: bounds.iter().map(|bound| bound.sockets().len()).collect(),
            logs: logs.files().keys().map(Into::into).collect(),
        }
    }

    /// Reads the configuration again, and puts `descriptors` where they belong.
    pub(crate) fn open(self, descriptors: Vec<OwnedFd>) -> Result<Opened, BundleError> {
        let Loaded { outcome, files, .. } = self.load();
        let configuration = outcome.map_err(|rejected| BundleError::Rejected(rejected.fault))?;
        let flavour = self.flavour();
        let mut descriptors = VecDeque::from(descriptors);
        let bounds = adopt(&configuration.mail.listens, &self.sockets, &mut descriptors)?;
        let logs = Logs::given(take_logs(self.logs, descriptors)?);
        Ok(Opened { flavour, configuration, files, identity: self.identity, bounds, logs })
    }

    fn files(&self) -> Files {
        let files = self.files.iter().map(|(path, contents)| (path.into(), Arc::clone(&contents.0)));
        let roots = self.roots.as_ref().map(|roots| roots.iter().map(|root| root.0.to_vec()).collect());
        Files::told(Known::new(files.collect(), roots))
    }

    fn flavour(&self) -> Flavour {
        Flavour::from_program(self.program.as_ref())
    }

    fn load(&self) -> Loaded {
        let sources = self.sources.iter().map(|(path, contents)| Source {
            path: PathBuf::from(path).into(),
            contents: contents.0.as_slice().into(),
        });
        let paths = |found: &[OsString]| found.iter().map(PathBuf::from).collect();
        let matches = self.matches.iter().map(|(name, found)| (name.into(), paths(found))).collect();
        let request = Request {
            flavour: self.flavour(),
            file: self.file.as_ref(),
            prefix: self.prefix.as_ref(),
            directives: self.directives.as_deref(),
            error_log: self
                .error_log
                .clone()
                .map_or(Destination::Stderr, |path| Destination::File(path.into())),
            machine: Machine {
                host_name: self.host_name.clone(),
                // The user was looked up by the master.
                superuser: false,
                open_files: self.open_files,
                processors: self.processors,
            },
        };
        let sources = Sources::told(sources.collect(), matches);
        settings::load_from(&request, sources, Names::told(self.names.clone()), self.files())
    }
}

/// The descriptors that go with a bundle of `bounds` and `logs`, in its order.
pub(crate) fn descriptors<'a>(bounds: &'a [Bound], logs: &'a Logs) -> Vec<BorrowedFd<'a>> {
    let sockets = bounds.iter().flat_map(Bound::sockets).map(|socket| socket.as_fd());
    sockets.chain(logs.files().values().map(|file| file.as_fd())).collect()
}

fn adopt(
    listens: &[Listen],
    counts: &[usize],
    descriptors: &mut VecDeque<OwnedFd>,
) -> Result<Vec<Bound>, BundleError> {
    if listens.len() != counts.len() {
        return Err(BundleError::Misfit);
    }
    if descriptors.len() < counts.iter().sum() {
        return Err(BundleError::NoDescriptors);
    }
    let adopt = |(listen, count): (&Listen, &usize)| {
        let sockets = descriptors.drain(..*count).map(Into::into).collect();
        Ok(Bound::adopt(Arc::new(listen.clone()), sockets)?)
    };
    listens.iter().zip(counts).map(adopt).collect()
}

/// Log files by their paths, as many as there are descriptors.
pub(crate) fn take_logs(
    paths: Vec<OsString>,
    descriptors: impl IntoIterator<Item = OwnedFd, IntoIter: ExactSizeIterator>,
) -> Result<BTreeMap<PathBuf, File>, BundleError> {
    let descriptors = descriptors.into_iter();
    if descriptors.len() < paths.len() {
        return Err(BundleError::NoDescriptors);
    }
    if descriptors.len() > paths.len() {
        return Err(BundleError::Misfit);
    }
    Ok(paths.into_iter().map(PathBuf::from).zip(descriptors.map(File::from)).collect())
}

impl Identity {
    /// `account` with all groups that its user is in.
    pub(crate) fn of(account: &Account) -> io::Result<Self> {
        let name = std::ffi::CString::new(account.name.as_str())?;
        let groups = nix::unistd::getgrouplist(&name, account.gid)?;
        Ok(Self {
            name: account.name.clone(),
            uid: account.uid.as_raw(),
            gid: account.gid.as_raw(),
            groups: groups.into_iter().map(Gid::as_raw).collect(),
        })
    }

    pub(crate) fn uid(&self) -> Uid {
        Uid::from_raw(self.uid)
    }

    pub(crate) fn gid(&self) -> Gid {
        Gid::from_raw(self.gid)
    }

    pub(crate) fn groups(&self) -> Vec<Gid> {
        self.groups.iter().copied().map(Gid::from_raw).collect()
    }
}

/// Names only: contents may be secret.
impl fmt::Debug for Bundle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bundle")
            .field("file", &self.file)
            .field("sockets", &self.sockets)
            .finish_non_exhaustive()
    }
}

/// Contents of a file or the like: sent in one piece, wiped when nobody needs them any more.
#[derive(Clone)]
pub(crate) struct Bytes(Arc<Zeroizing<Vec<u8>>>);

impl Bytes {
    pub(crate) fn new(contents: &[u8]) -> Self {
        Self(Arc::new(Zeroizing::new(contents.to_vec())))
    }

    /// The contents themselves.
    pub(crate) fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Copying;
        impl Visitor<'_> for Copying {
            type Value = Bytes;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("bytes")
            }

            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Bytes, E> {
                Ok(Bytes::new(bytes))
            }
        }
        deserializer.deserialize_bytes(Copying)
    }
}
