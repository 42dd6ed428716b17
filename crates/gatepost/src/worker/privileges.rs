//! Gives up what the master has and the worker does not need.

use std::io;

use mail::settings::log::Level;
use nix::sys::prctl;
use nix::unistd::{chdir, setgroups, setresgid, setresuid};
use rustix::process::setpriority_process;
use rustix::thread::{CapabilitySet, CapabilitySets, clear_ambient_capability_set, set_capabilities};

use super::Fatal;
use super::sandbox;
use crate::bundle::Identity;
use crate::settings::{Process, Sandbox};
use crate::start::{self, Say};

/// Becomes what the configuration says, for good; to be called while there is one thread.
///
/// What does not matter for safety is said if it fails, as in the originals.
pub(super) fn drop_all(process: &Process, identity: Option<&Identity>, say: Say<'_>) -> Result<(), Fatal> {
    if let Some(priority) = process.priority
        && let Err(error) = setpriority_process(None, priority)
    {
        alert(say, &format!("setpriority({priority})"), &error.into());
    }
    start::limit(process, say);
    if let Some(identity) = identity {
        become_user(identity)?;
    }
    prctl::set_no_new_privs().map_err(failed("prctl(PR_SET_NO_NEW_PRIVS)"))?;
    give_up_capabilities().map_err(failed("capset()"))?;
    start::guard_memory(process, say);
    if let Some(directory) = &process.directory {
        chdir(directory).map_err(failed(format!("chdir(\"{}\")", directory.display())))?;
    }
    lock_in(process.sandbox, say)
}

/// The groups first, since a user without privileges cannot change them.
fn become_user(identity: &Identity) -> Result<(), Fatal> {
    let (uid, gid) = (identity.uid(), identity.gid());
    let Identity { name, .. } = identity;
    setresgid(gid, gid, gid).map_err(failed(format!("setgid({gid})")))?;
    setgroups(&identity.groups()).map_err(failed(format!("initgroups({name}, {gid})")))?;
    setresuid(uid, uid, uid).map_err(failed(format!("setuid({uid})")))
}

/// Nothing that root may do, even if `user` is root.
pub(crate) fn give_up_capabilities() -> io::Result<()> {
    // An old kernel may not have ambient capabilities; then there are none to clear.
    let _ = clear_ambient_capability_set();
    let none = CapabilitySet::empty();
    let sets = CapabilitySets { effective: none, permitted: none, inheritable: none };
    Ok(set_capabilities(None, sets)?)
}

fn lock_in(wanted: Sandbox, say: Say<'_>) -> Result<(), Fatal> {
    if wanted == Sandbox::Off {
        say(Level::Notice, &"sandbox: off");
        return Ok(());
    }
    let walls = sandbox::enter()?;
    say(Level::Notice, &walls);
    match wanted {
        Sandbox::On if !walls.are_complete() => Err(Fatal::NoSandbox(walls)),
        _ => Ok(()),
    }
}

fn failed<E: Into<io::Error>>(call: impl Into<String>) -> impl FnOnce(E) -> Fatal {
    move |error| Fatal::Call { call: call.into(), source: error.into() }
}

fn alert(say: Say<'_>, call: &str, error: &io::Error) {
    let reason = mail::event::Errno(error.raw_os_error());
    say(Level::Alert, &format_args!("{call} failed{reason}"));
}
