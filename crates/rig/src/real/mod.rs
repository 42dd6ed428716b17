//! Real mail servers, started by a test in directories and on ports of their own: backends as people run them.
//!
//! Debian's packages of Dovecot 2.3 and Postfix 3.7 are what the configurations are written for. Both servers have to be
//! started by root, because they run their parts as users of their own. `start` gives them in clear; `setup` knows TLS as
//! well, on ports of its own and by STARTTLS on the others.

mod dovecot;
mod postfix;
mod unbound;

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use nix::unistd::{Gid, Group, Uid, User};
use tempfile::TempDir;

pub use dovecot::{Dovecot, DovecotSetup};
pub use postfix::{Postfix, PostfixSetup};
pub use unbound::Unbound;

/// Who owns mail that is delivered.
const OWNER: &str = "mail";

/// A temporary directory that other users may enter.
fn directory() -> TempDir {
    let directory = tempfile::Builder::new().prefix("rig").tempdir().expect("a temporary directory");
    std::fs::set_permissions(directory.path(), Permissions::from_mode(0o755)).expect("it is ours");
    directory
}

/// A new directory that belongs to `user` and, if given, `group`.
fn owned(path: &Path, user: &str, group: Option<&str>) {
    std::fs::create_dir_all(path).expect("a directory can be made");
    let (uid, own) = account(user);
    let gid = group.map_or(own, group_id);
    nix::unistd::chown(path, Some(uid), Some(gid)).expect("root may give directories away");
}

fn account(name: &str) -> (Uid, Gid) {
    let user = User::from_name(name).ok().flatten().unwrap_or_else(|| panic!("there is no user {name}"));
    (user.uid, user.gid)
}

fn group_id(name: &str) -> Gid {
    Group::from_name(name).ok().flatten().unwrap_or_else(|| panic!("there is no group {name}")).gid
}
