//! Dovecot's passwd-file format: `user:password:uid:gid:gecos:home:shell:extra fields`.

use std::collections::HashMap;
use std::collections::hash_map::Entry as Slot;
use std::io;
use std::path::Path;
use std::time::Duration;

use super::extra::{BadField, Extra};
use super::scheme::Stored;
use super::schemes::Broken;
use crate::files::Files;

/// A users file, checked and ready to be asked.
///
/// Takes a few hundred bytes per user. Prints no secret.
#[derive(Debug)]
pub struct UsersFile {
    name: String,
    entries: Vec<Entry>,
    by_user: HashMap<Box<[u8]>, usize>,
    dearest: Option<usize>,
    longest_delay: Duration,
    warnings: Vec<Warning>,
}

/// What the file says of one user.
#[derive(Debug)]
pub(super) struct Entry {
    /// Counted from one.
    pub(super) line: usize,
    /// How to verify a password.
    pub(super) password: Stored,
    /// The extra fields.
    pub(super) extra: Extra,
}

/// What makes a users file unusable. Cites file, line and user; never a password or a hash.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("user \"{user}\" has {flaw} in {file}:{line}")]
pub struct Fault {
    /// The file.
    pub file: String,
    /// The line, counted from one.
    pub line: usize,
    /// The user, escaped.
    pub user: String,
    /// What is wrong with the entry.
    pub flaw: Flaw,
}

/// What is wrong with an entry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// The password field.
    #[error(transparent)]
    Password(#[from] Broken),
    /// The extra fields.
    #[error(transparent)]
    Field(#[from] BadField),
    /// A NUL or a carriage return, which no command or reply can carry.
    #[error("a NUL or CR character")]
    Unsendable,
}

/// Why a users file could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// It cannot be read.
    #[error("cannot read users file \"{file}\"")]
    Read {
        /// The file.
        file: String,
        /// The system's reason.
        source: io::Error,
    },
    /// It makes no sense.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// What an operator should know of a users file that works.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("user \"{user}\" exists more than once, ignored in {file}:{line}")]
pub struct Warning {
    /// The file.
    pub file: String,
    /// The line of the entry that does not count.
    pub line: usize,
    /// The user, escaped.
    pub user: String,
}

impl UsersFile {
    /// Checks the file at `path` among `files`.
    pub fn load(path: &Path, files: &Files) -> Result<Self, LoadError> {
        let file = path.display().to_string();
        match files.read(path) {
            Ok(bytes) => Ok(Self::parse(file, &bytes)?),
            Err(source) => Err(LoadError::Read { file, source }),
        }
    }

    /// Checks the contents of the file called `name`.
    ///
    /// Every hash is checked as far as that is possible without the password. The first fault ends it.
    pub fn parse(name: impl Into<String>, bytes: &[u8]) -> Result<Self, Fault> {
        let mut file = Self {
            name: name.into(),
            entries: Vec::new(),
            by_user: HashMap::new(),
            dearest: None,
            longest_delay: Duration::ZERO,
            warnings: Vec::new(),
        };
        for (number, line) in (1..).zip(bytes.split(|&b| b == b'\n')) {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            // No user: blank lines, comments, and whatever begins with a colon (as in Dovecot).
            if !matches!(line, [] | [b'#' | b':', ..]) {
                file.take(number, line)?;
            }
        }
        file.entries.shrink_to_fit();
        Ok(file)
    }

    /// What an operator should know.
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// The name that faults and failures cite.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How many users there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no user at all.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The number of the entry of `user`, compared byte by byte.
    pub(super) fn find(&self, user: &[u8]) -> Option<usize> {
        self.by_user.get(user).copied()
    }

    /// An entry by its number.
    pub(super) fn entry(&self, number: usize) -> Option<&Entry> {
        self.entries.get(number)
    }

    /// The entry whose password takes longest to verify.
    pub(super) const fn dearest(&self) -> Option<usize> {
        self.dearest
    }

    /// The longest `delay=` of all.
    pub(super) const fn longest_delay(&self) -> Duration {
        self.longest_delay
    }

    fn take(&mut self, line: usize, text: &[u8]) -> Result<(), Fault> {
        let Fields { user, password, extra } = Fields::of(text);
        let slot = match self.by_user.entry(user.into()) {
            Slot::Vacant(slot) => slot,
            Slot::Occupied(_) => {
                self.warnings.push(Warning { file: self.name.clone(), line, user: escaped(user) });
                return Ok(());
            }
        };
        let entry = Entry::parse(line, text, password, extra).map_err(|flaw| Fault {
            file: self.name.clone(),
            line,
            user: escaped(user),
            flaw,
        })?;
        let number = self.entries.len();
        let dearest = self.dearest.and_then(|number| self.entries.get(number)).map_or(0, Entry::cost);
        if entry.cost() > dearest {
            self.dearest = Some(number);
        }
        self.longest_delay = self.longest_delay.max(entry.extra.delay());
        slot.insert(number);
        self.entries.push(entry);
        Ok(())
    }
}

impl Entry {
    fn parse(line: usize, text: &[u8], password: &[u8], extra: &[u8]) -> Result<Self, Flaw> {
        if text.iter().any(|byte| matches!(byte, 0 | b'\r')) {
            return Err(Flaw::Unsendable);
        }
        Ok(Self { line, password: Stored::parse(password)?, extra: Extra::parse(extra)? })
    }

    const fn cost(&self) -> u64 {
        self.password.cost()
    }
}

fn escaped(user: &[u8]) -> String {
    user.escape_ascii().to_string()
}

/// The fields of a line that matter here.
struct Fields<'a> {
    user: &'a [u8],
    password: &'a [u8],
    extra: &'a [u8],
}

impl<'a> Fields<'a> {
    fn of(line: &'a [u8]) -> Self {
        let mut fields = line.splitn(7, |&b| b == b':');
        let user = fields.next().unwrap_or_default();
        let password = fields.next().unwrap_or_default();
        // uid, gid, gecos, home
        let rest = fields.nth(4).unwrap_or_default();
        Self { user, password, extra: behind_shell(rest) }
    }
}

/// Skips the shell. Extra fields may be written in its place, `user:password:::::host=…`: they hold a `=`, or are
/// the end of the line and no path.
fn behind_shell(rest: &[u8]) -> &[u8] {
    let (shell, extra) = match rest.iter().position(|&b| b == b':') {
        Some(colon) => (&rest[..colon], Some(&rest[colon + 1..])),
        None => (rest, None),
    };
    match extra {
        _ if shell.starts_with(b"/") => extra.unwrap_or_default(),
        Some(extra) if !shell.contains(&b'=') => extra,
        _ => rest,
    }
}

#[cfg(test)]
mod tests {
    use proto::Protocol;

    use super::*;

    fn parse(text: &str) -> UsersFile {
        UsersFile::parse("users", text.as_bytes()).unwrap()
    }

    fn fault(text: &str) -> String {
        UsersFile::parse("/etc/gatepost/users", text.as_bytes()).unwrap_err().to_string()
    }

    fn host_of(file: &UsersFile, user: &str) -> String {
        let entry = file.entry(file.find(user.as_bytes()).unwrap()).unwrap();
        entry.extra.target(Protocol::Imap).unwrap().to_string()
    }

    #[test]
    fn extra_fields_are_found_wherever_dovecot_finds_them() {
        let file = parse(concat!(
            "seven:{PLAIN}x::::::host=192.0.2.7\n",
            "six:{PLAIN}x:::::host=192.0.2.6\n",
            "full:{PLAIN}x:1000:1000:Full Name:/home/full:/bin/sh:host=192.0.2.8 port=2\n",
            "word:{PLAIN}x:1000:1000::/home/word:bash:host=192.0.2.9\n",
            "v6:{PLAIN}x::::::host=2001:db8::1 port=3\n",
            "short6:{PLAIN}x:::::host=2001:db8::2\n",
        ));
        assert_eq!(host_of(&file, "seven"), "192.0.2.7:143");
        assert_eq!(host_of(&file, "six"), "192.0.2.6:143");
        assert_eq!(host_of(&file, "full"), "192.0.2.8:2");
        assert_eq!(host_of(&file, "word"), "192.0.2.9:143");
        assert_eq!(host_of(&file, "v6"), "[2001:db8::1]:3");
        assert_eq!(host_of(&file, "short6"), "[2001:db8::2]:143");
        assert_eq!(file.len(), 6);
    }

    #[test]
    fn nologin_in_the_place_of_the_shell_still_shuts_out() {
        let file = parse("gone:{PLAIN}x:::::nologin\nalso:{PLAIN}x:::::nologin reason=a: b\n");
        for user in ["gone", "also"] {
            assert!(file.entry(file.find(user.as_bytes()).unwrap()).unwrap().extra.nologin.is_some());
        }
    }

    #[test]
    fn a_shell_without_extra_fields_is_no_extra_field() {
        assert_eq!(
            fault("joe:{PLAIN}x:1:1::/home/joe:/sbin/nologin"),
            "user \"joe\" has no \"host=\" in /etc/gatepost/users:1"
        );
    }

    #[test]
    fn lines_without_a_user_are_skipped_and_line_ends_may_be_of_either_kind() {
        let file = parse("# comment: x\n\n\r\n:{PLAIN}x\njoe:{PLAIN}x::::::host=h\r\n");
        assert_eq!(file.len(), 1);
        assert_eq!(host_of(&file, "joe"), "h:143");
        assert_eq!(file.entry(0).unwrap().line, 5);
        assert!(parse("").is_empty());
    }

    #[test]
    fn users_are_compared_byte_by_byte() {
        let file = parse("Joe@Example.org:{PLAIN}x::::::host=h\n");
        assert!(file.find(b"Joe@Example.org").is_some());
        assert!(file.find(b"joe@example.org").is_none());
        assert!(file.find(b"Joe@Example.org ").is_none());
        assert!(file.find(b"").is_none());
    }

    #[test]
    fn the_first_of_two_entries_counts_and_the_second_is_told() {
        let file = parse("joe:{PLAIN}x::::::host=a\njoe:{BOGUS}x::::::host=b\n");
        assert_eq!(host_of(&file, "joe"), "a:143");
        let warnings: Vec<String> = file.warnings().iter().map(ToString::to_string).collect();
        assert_eq!(warnings, ["user \"joe\" exists more than once, ignored in users:2"]);
    }

    #[test]
    fn faults_cite_file_line_and_user_and_never_the_hash() {
        for (line, expected) in [
            ("joe", "no password"),
            ("joe:", "no password"),
            ("joe::::::::host=h", "no password"),
            ("joe:{PLAIN}:::::::host=h", "no password"),
            ("joe:{ROT13}hush:::::::host=h", "unknown password scheme {ROT13}"),
            ("joe:{PLAIN.b32}hush:::::::host=h", "unknown password scheme {PLAIN.b32}"),
            ("joe:{PLAIN.b64}hu?h:::::::host=h", "password hash that is not properly encoded"),
            ("joe:hush:::::::host=h", "malformed password hash"),
            ("joe:{SSHA}aHVzaA==::::::host=h", "password hash of wrong length"),
            ("joe:hushhushhushh::::::host=h", "DES-CRYPT password hash, which is too weak to be supported"),
            ("joe:{PLAIN}hush::::::pass=hush", "no \"host=\""),
            ("joe:{PLAIN}hush\0::::::host=h", "a NUL or CR character"),
            ("joe:{PLAIN}hush::::::host=h nologin reason=a\rb", "a NUL or CR character"),
        ] {
            let message = fault(&format!("# first\n{line}\n"));
            assert_eq!(message, format!("user \"joe\" has {expected} in /etc/gatepost/users:2"), "{line}");
            assert!(!message.contains("hush"));
        }
        assert_eq!(fault("j\x1bo:{PLAIN}x"), "user \"j\\x1bo\" has no \"host=\" in /etc/gatepost/users:1");
    }

    #[test]
    fn the_dearest_password_and_the_longest_delay_are_known() {
        let file = parse(concat!(
            "a:{PLAIN}x::::::host=h\n",
            "b:{BLF-CRYPT}$2y$05$d0VJcqdtFw38EjDCwEj5L.0gFZumFt0XRggikKrPlvj2PQCw.KjFy::::::host=h delay=2\n",
            "c:{PLAIN}x::::::host=h delay=1\n",
        ));
        assert_eq!(file.dearest(), file.find(b"b"));
        assert_eq!(file.longest_delay(), Duration::from_secs(2));
        assert_eq!(parse("a:!::::::host=h\n").dearest(), None);
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let error =
            UsersFile::load(Path::new("/nonexistent/users"), &Files::on_disk()).unwrap_err().to_string();
        assert_eq!(error, "cannot read users file \"/nonexistent/users\"");
    }

    #[test]
    fn nothing_secret_is_printed() {
        let file = parse(
            "joe:{PLAIN}hush::::::host=h pass=hush\nann:{SHA}h0Vy56WuaklGamrFeLmK26eMaqY=::::::host=h\n",
        );
        let printed = format!("{file:?}");
        assert!(!printed.contains("hush") && !printed.contains("h0Vy"), "{printed}");
        assert!(!printed.contains(&format!("{:?}", b"hush")), "{printed}");
    }
}
