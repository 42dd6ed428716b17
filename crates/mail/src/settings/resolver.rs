//! The resolver: which name servers to ask. For a later release, except for having none.

use std::time::Duration;

use conf::{Args, Count, Directive, Fault, Mistake, Setting, doc};

/// The resolver as written.
#[derive(Debug, Default)]
pub struct ResolverBlock {
    servers: Setting<()>,
    timeout: Setting<Duration>,
}

/// Directives of the resolver.
pub const RESOLVER: &[Directive<ResolverBlock>] = &[
    Directive::new("resolver", Count::AtLeast(1), doc("off", "off", "Which name servers find the name of an SMTP client. Not yet: anything but `off`, with which upstreams are
told `[UNAVAILABLE]`. The names of auth servers and upstreams are resolved by the system."), |b, a| b.servers.set(a, off)),
    Directive::accepted("resolver_timeout", Count::Exactly(1), "there is no resolver yet", doc("TIME", "30s", "How long a look-up of `resolver` may take."), |b, a| {
        b.timeout.set(a, Args::msec)
    }),
];

/// `off`, after which everything is ignored, as in the originals.
fn off(args: &Args<'_>) -> Result<(), Fault> {
    if args.first() == "off" {
        return Ok(());
    }
    Err(args.fault(Mistake::ParameterNotYet { name: args.name(), parameter: args.first() }))
}
