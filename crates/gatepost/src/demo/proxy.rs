//! The proxy of the demo: the real one, put together by hand instead of by a configuration.

use std::io;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use mail::address::Endpoint;
use mail::auth::users::{Pool, Users, UsersFile};
use mail::flavour::Flavour;
use mail::generation::{Generation, Service};
use mail::limit;
use mail::listener::Bound;
use mail::log::{Log, Output, ServerLog, Sink};
use mail::serve::{Order, Workers, rings};
use mail::settings::listen::SocketOptions;
use mail::settings::log::Level;
use mail::settings::{ConnLimits, Core, Door, Listen, ProtocolSettings, Proxy, RealIp, Server, UpstreamTls};
use mail::slots::Slots;
use mail::tls::ClientSettings;
use proto::sasl::Mechanisms;
use proto::{Limits, Mechanism, Settings, Starttls};
use tokio::runtime;
use tokio::signal::ctrl_c;

use super::{Front, Plan, Ports};
use crate::{console, start};

/// Connections, upstreams included. It is a demo.
const CONNECTIONS: usize = 1024;

/// Runs the demo until Ctrl-C.
pub(crate) fn main() -> ExitCode {
    let runtime = match runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error),
    };
    match runtime.block_on(super::run(Ports::USUAL, &mut io::stdout(), serve)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(trouble) => failed(&trouble),
    }
}

fn failed(error: &dyn std::error::Error) -> ExitCode {
    console::print(Flavour::Gatepost, format_args!("demo: {error}"));
    ExitCode::FAILURE
}

/// Serves the fronts of `plan` until Ctrl-C.
async fn serve(plan: Plan) -> io::Result<()> {
    let log = ServerLog::from(Log::new(vec![Output::all(Arc::new(Sink::new(io::stdout())), Level::Info)]));
    let makings = start::makings()?;
    let mut services = Vec::new();
    let mut sockets = Vec::new();
    for (protocol, front) in protocols(plan) {
        services.push(Arc::new(Service {
            authority: authority(&front, &makings.verifiers)?,
            settings: Arc::new(server(protocol)),
            resolver: Arc::clone(&makings.resolver),
            names: None,
            tls: None,
            upstream_tls: None,
            limits: limit::Limits::default(),
            penalty: None,
            log: log.clone(),
        }));
        let listen = listen(&front, sockets.len());
        sockets.push(Bound::adopt(Arc::new(listen), vec![front.port.listener.into()])?);
    }
    let mut workers = Workers::new(Slots::new(CONNECTIONS), Box::new(|_| {}), rings(1));
    workers.install(Generation { services }, &sockets, 1)?;
    ctrl_c().await?;
    workers.order(Order::Stop);
    workers.join();
    Ok(())
}

/// Each protocol with what it says to clients before it knows them.
fn protocols(plan: Plan) -> [(ProtocolSettings, Front); 3] {
    let words = |capabilities: &[&'static str]| {
        Arc::new(Settings {
            server_name: "gatepost.example.org".to_owned(),
            limits: Limits { line: 4096, errors: 5, commands: 1000 },
            capabilities: capabilities.iter().map(|word| word.as_bytes().into()).collect(),
            mechanisms: Mechanisms::NONE
                .with(Mechanism::Plain)
                .with(Mechanism::Login)
                .with(Mechanism::CramMd5),
            starttls: Starttls::Off,
        })
    };
    [
        (
            ProtocolSettings::Imap(words(&["IMAP4rev1", "SASL-IR", "LITERAL+", "IDLE", "UIDPLUS", "ID"])),
            plan.imap,
        ),
        (ProtocolSettings::Pop3(words(&["TOP", "USER", "UIDL"])), plan.pop3),
        (ProtocolSettings::Smtp(words(&["8BITMIME", "SIZE 33554432"])), plan.smtp),
    ]
}

fn authority(front: &Front, verifiers: &Arc<Pool>) -> io::Result<Arc<Users>> {
    let file =
        UsersFile::parse("demo".to_owned(), front.users_file().as_bytes()).map_err(io::Error::other)?;
    Ok(Arc::new(Users::new(Arc::new(file), Arc::clone(verifiers), false)))
}

fn server(protocol: ProtocolSettings) -> Server {
    let fronts = protocol.fronts();
    Server {
        core: Core {
            server_name: fronts.server_name.clone(),
            timeout: Duration::from_mins(1),
            max_errors: fronts.limits.errors,
            max_commands: fronts.limits.commands,
            error_logs: Vec::new(),
            log_tags: Arc::default(),
        },
        auth_http: None,
        auth_user_file: None,
        proxy: Proxy {
            buffer: 4096,
            timeout: Duration::from_hours(24),
            pass_error_message: false,
            smtp_auth: false,
            xclient: true,
            keepalive: false,
            protocol: None,
            imap_id: false,
            pop3_xclient: false,
            ssl: UpstreamTls::Off,
        },
        tls: None,
        upstream_tls: ClientSettings::default(),
        greeting_delay: Duration::ZERO,
        real_ip: RealIp::default(),
        limits: ConnLimits::default(),
        penalty: None,
        resolver: None,
        protocol,
    }
}

fn listen(front: &Front, server: usize) -> Listen {
    Listen {
        endpoint: Endpoint::Tcp(front.port.address),
        door: Door { server, ssl: false, proxy_protocol: false },
        exact: Vec::new(),
        options: SocketOptions::default(),
    }
}
