//! The `events` block: how many connections, and what the originals say about how to wait for them.

use conf::{Args, Count, Directive, Fault, List, Mistake, Once, Setting, Word, doc, value};
use mail::settings::peers::Written;

/// The `events` block as written.
#[derive(Debug, Default)]
pub(super) struct EventsBlock {
    pub(super) connections: Setting<u64>,
    pub(super) debugged: List<Written>,
    ignored: Once,
}

const ONE: Count = Count::Exactly(1);

/// How tokio waits is not for a configuration to say.
const RUNTIME: &str = "the runtime decides how to wait for events";

/// Directives of `events`.
pub(super) const EVENTS: &[Directive<EventsBlock>] = &[
    Directive::new(
        "worker_connections",
        ONE,
        doc(
            "NUMBER",
            "512",
            "How many connections there may be at once: clients, upstreams and auth servers.",
        ),
        |b, a| b.connections.set(a, connections),
    ),
    Directive::accepted(
        "use",
        ONE,
        RUNTIME,
        doc("epoll | poll | select", "epoll", "How to wait for events."),
        |b, a| b.ignored.check(a, event_type),
    ),
    Directive::accepted(
        "multi_accept",
        ONE,
        RUNTIME,
        doc("on | off", "off", "Whether to accept all waiting clients at once."),
        |b, a| b.ignored.check(a, Args::flag),
    ),
    Directive::accepted(
        "accept_mutex",
        ONE,
        "there are no worker processes to take turns",
        doc("on | off", "off", "Whether worker processes take turns in accepting."),
        |b, a| b.ignored.check(a, Args::flag),
    ),
    Directive::accepted(
        "accept_mutex_delay",
        ONE,
        "there are no worker processes to take turns; the pause after running out of descriptors is always 500ms",
        doc("TIME", "500ms", "How long to wait for one's turn to accept."),
        |b, a| b.ignored.check(a, Args::msec),
    ),
    Directive::new(
        "debug_connection",
        ONE,
        doc(
            "ADDRESS | CIDR | unix: | NAME",
            "",
            "Whose sessions are told at level `debug` in all logs that tell them, whatever their levels are; by the \
             address that a client connects from, which may be a balancer's. May be repeated.",
        ),
        |b, a| {
            b.debugged.push(Written::parse(a, &a.first())?);
            Ok(())
        },
    ),
    Directive::accepted(
        "epoll_events",
        ONE,
        RUNTIME,
        doc("NUMBER", "512", "How many events to take at once."),
        |b, a| b.ignored.check(a, Args::number),
    ),
    Directive::accepted(
        "worker_aio_requests",
        ONE,
        "files are not read while serving",
        doc("NUMBER", "32", "How many files to read at once."),
        |b, a| b.ignored.check(a, Args::number),
    ),
];

/// What is wrong in `events`.
#[derive(Debug, thiserror::Error)]
enum EventsMistake {
    #[error("invalid number \"{0}\"")]
    Connections(Word),
    #[error("invalid event type \"{0}\"")]
    EventType(Word),
}

fn connections(args: &Args<'_>) -> Result<u64, Fault> {
    value::number(args.first().as_bytes())
        .ok_or_else(|| args.fault(Mistake::own(EventsMistake::Connections(args.first()))))
}

fn event_type(args: &Args<'_>) -> Result<(), Fault> {
    let name = args.first();
    if ["epoll", "poll", "select"].iter().any(|known| name == *known) {
        return Ok(());
    }
    Err(args.fault(Mistake::own(EventsMistake::EventType(name))))
}
