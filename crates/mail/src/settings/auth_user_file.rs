//! The `auth_user_file` directive: users in a file of our own.

use std::path::PathBuf;

use conf::{Count, Directive, Setting, doc};

use super::Surroundings;

/// The users file as written.
#[derive(Debug, Default)]
pub struct AuthUserFileBlock {
    file: Setting<PathBuf>,
}

/// Directives about users files.
pub const AUTH_USER_FILE: &[Directive<AuthUserFileBlock>] =
    &[Directive::new("auth_user_file", Count::Exactly(1), doc("FILE", "", "A file of users in the format of Dovecot's passwd-file, relative to the directory of the main configuration
file. It is asked before `auth_http`; a server needs at least one of them. Not in the originals."), |b, a| b.file.set(a, |a| Ok(a.path().to_owned())))];

/// The users file of a server.
pub fn resolve(
    server: &AuthUserFileBlock,
    mail: &AuthUserFileBlock,
    around: &Surroundings,
) -> Option<PathBuf> {
    server.file.inherit(&mail.file).value().map(|file| around.in_directory(file))
}
