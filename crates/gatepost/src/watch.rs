//! Looks at the files of `conf` of `resolver` from time to time: what asks their name servers may open no file.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::Duration;

use mail::dns::{self, ConfFile};
use mail::files::Files;
use mail::settings::Mail;
use mail::settings::log::Level;
use tokio::time::Instant;

use crate::start::{Reason, Say};

/// How often to look. The originals do at each look-up, but name servers do not come and go that fast.
const EVERY: Duration = Duration::from_secs(1);

/// The files of one configuration.
#[derive(Debug)]
pub(crate) struct Watch {
    files: Vec<Watched>,
    next: Instant,
}

/// A file, and the name servers that are asked because of it.
#[derive(Debug)]
struct Watched {
    file: ConfFile,
    seen: Seen,
}

/// What was there when somebody last looked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seen {
    /// What the configuration has, and has complained about if need be.
    Configured,
    File(Stamp),
    /// Nothing that could be read, which has been said.
    Nothing,
}

/// What cannot stay the same when a file is written to, or another takes its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    place: (u64, u64),
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

/// Why a file cannot be read. Texts as in the originals' log.
#[derive(Debug, thiserror::Error)]
enum Unreadable {
    #[error("stat() \"{0}\" failed")]
    Stat(String, #[source] io::Error),
    #[error("open() \"{0}\" failed")]
    Open(String, #[source] io::Error),
}

impl Watch {
    /// Watches all files that `mail` names.
    pub(crate) fn new(mail: &Mail) -> Self {
        let mut files: Vec<Watched> = Vec::new();
        let resolvers = mail.servers.iter().filter_map(|server| server.resolver.as_ref());
        for file in resolvers.flat_map(|resolver| &resolver.conf) {
            if !files.iter().any(|known| known.file.path == file.path) {
                files.push(Watched { file: file.clone(), seen: Seen::Configured });
            }
        }
        Self { files, next: Instant::now() + EVERY }
    }

    /// When to look again; `None` if there is nothing to look at.
    pub(crate) fn due(&self) -> Option<Instant> {
        (!self.files.is_empty()).then_some(self.next)
    }

    /// Looks at every file, and returns those that have other name servers than before. What is wrong with a file is
    /// said once, and its name servers stay if it has no others.
    pub(crate) fn look(&mut self, say: Say<'_>) -> Vec<&ConfFile> {
        self.next = Instant::now() + EVERY;
        let changed = |watched: &mut Watched| watched.look(say);
        let changed: Vec<bool> = self.files.iter_mut().map(changed).collect();
        self.files().zip(changed).filter_map(|(file, changed)| changed.then_some(file)).collect()
    }

    /// Every file with the name servers that are asked because of it.
    pub(crate) fn files(&self) -> impl Iterator<Item = &ConfFile> {
        self.files.iter().map(|watched| &watched.file)
    }
}

impl Watched {
    /// Whether there are other name servers than before.
    fn look(&mut self, say: Say<'_>) -> bool {
        match self.read() {
            Ok(Some(contents)) => self.take(&contents, say),
            Ok(None) => false,
            Err(unreadable) => {
                let said = match self.seen {
                    Seen::Configured => self.file.servers.is_empty(),
                    Seen::File(_) => false,
                    Seen::Nothing => true,
                };
                self.seen = Seen::Nothing;
                if !said {
                    say(Level::Error, &Reason(&unreadable));
                }
                false
            }
        }
    }

    /// All of the file; `None` if it is what it was.
    fn read(&mut self) -> Result<Option<Vec<u8>>, Unreadable> {
        let path = &self.file.path;
        let found = fs::metadata(path).map_err(|source| Unreadable::Stat(path.clone(), source))?;
        let stamp = Stamp::of(&found);
        // To open a pipe would be to wait for whoever writes.
        if self.seen == Seen::File(stamp) || !found.is_file() {
            return Ok(None);
        }
        let contents = Files::on_disk().read(Path::new(path));
        let contents = contents.map_err(|source| Unreadable::Open(path.clone(), source))?;
        // What is written after the stamp was taken changes it, and is seen next time.
        let before = std::mem::replace(&mut self.seen, Seen::File(stamp));
        let same = before == Seen::Configured && dns::name_servers(path, &contents).0 == self.file.servers;
        Ok((!same).then(|| contents.to_vec()))
    }

    fn take(&mut self, contents: &[u8], say: Say<'_>) -> bool {
        let (servers, faults) = dns::name_servers(&self.file.path, contents);
        for fault in &faults {
            say(Level::Error, fault);
        }
        if servers == self.file.servers || servers.is_empty() && !faults.is_empty() {
            return false;
        }
        let (path, count) = (&self.file.path, servers.len());
        say(Level::Notice, &format_args!("\"{path}\" has changed, name servers in it: {count}"));
        self.file.servers = servers;
        true
    }
}

impl Stamp {
    fn of(found: &fs::Metadata) -> Self {
        Self {
            place: (found.dev(), found.ino()),
            size: found.size(),
            modified: (found.mtime(), found.mtime_nsec()),
            changed: (found.ctime(), found.ctime_nsec()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::path::PathBuf;

    use tempfile::TempDir;

    use super::*;

    /// A file that is watched.
    struct Stage {
        directory: TempDir,
        watch: Watch,
        said: RefCell<Vec<String>>,
    }

    impl Stage {
        /// The configuration has found what is `written`.
        fn new(written: Option<&str>) -> Self {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("file");
            if let Some(written) = written {
                fs::write(&path, written).unwrap();
            }
            let path = path.to_str().unwrap().to_owned();
            let (servers, _) = dns::name_servers(&path, written.unwrap_or_default().as_bytes());
            let watched = Watched { file: ConfFile { path, servers }, seen: Seen::Configured };
            let watch = Watch { files: vec![watched], next: Instant::now() };
            Self { directory, watch, said: RefCell::default() }
        }

        fn path(&self) -> PathBuf {
            self.directory.path().join("file")
        }

        /// Puts another file in its place.
        fn write(&self, contents: &str) {
            let new = self.directory.path().join("new");
            fs::write(&new, contents).unwrap();
            fs::rename(new, self.path()).unwrap();
        }

        /// The name servers of the file, if they are others than before.
        fn look(&mut self) -> Option<String> {
            let say = |level, what: &dyn std::fmt::Display| {
                let what = what.to_string().replace(self.directory.path().to_str().unwrap(), "");
                self.said.borrow_mut().push(format!("{level:?} {what}"));
            };
            let changed = self.watch.look(&say);
            let shown =
                |file: &&ConfFile| file.servers.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
            changed.first().map(shown)
        }

        /// What has been said since this was asked last.
        fn said(&self) -> Vec<String> {
            self.said.take()
        }
    }

    #[test]
    fn a_file_that_stays_as_it_is_is_not_spoken_of() {
        let one = "nameserver 192.0.2.1";
        for written in [Some(one), Some("nameserver dns"), Some(""), None] {
            let mut stage = Stage::new(written);
            for _ in 0..3 {
                assert_eq!(stage.look(), None);
            }
            assert_eq!(stage.said(), [""; 0], "{written:?}");
        }
        let mut stage = Stage::new(Some(one));
        stage.look();
        stage.write(one);
        assert_eq!(stage.look(), None, "it was only touched");
        assert_eq!(stage.said(), [""; 0]);
    }

    #[test]
    fn a_file_that_changes_is_read_again() {
        let mut stage = Stage::new(Some("nameserver 192.0.2.1"));
        stage.write("nameserver 192.0.2.2\nnameserver [::1]:54");
        assert_eq!(stage.look().as_deref(), Some("192.0.2.2:53 [::1]:54"));
        assert_eq!(stage.look(), None);
        fs::write(stage.path(), "search example").unwrap();
        assert_eq!(stage.look().as_deref(), Some(""), "a file without name servers means this machine");
        let said = [
            "Notice \"/file\" has changed, name servers in it: 2",
            "Notice \"/file\" has changed, name servers in it: 0",
        ];
        assert_eq!(stage.said(), said);
    }

    #[test]
    fn what_does_not_do_is_said_once_and_changes_nothing() {
        let mut stage = Stage::new(Some("nameserver 192.0.2.1"));
        stage.look();
        for (contents, said) in [
            ("", "Error zero file size \"/file\""),
            ("nameserver dns", "Error cannot parse IP address (dns) from \"/file\""),
            ("nameserver 192.0.2.1\nnameserver x", "Error cannot parse IP address (x) from \"/file\""),
        ] {
            stage.write(contents);
            assert_eq!((stage.look(), stage.look()), (None, None));
            assert_eq!(stage.said(), [said]);
        }
        fs::remove_file(stage.path()).unwrap();
        assert_eq!((stage.look(), stage.look()), (None, None));
        assert_eq!(stage.said(), ["Error stat() \"/file\" failed (2: No such file or directory)"]);
        stage.write("nameserver 192.0.2.1");
        assert_eq!(stage.look(), None, "these are asked all the time");
        stage.write("nameserver dns\nnameserver 192.0.2.3");
        assert_eq!(stage.look().as_deref(), Some("192.0.2.3:53"));
        assert_eq!(stage.said().len(), 2);
    }

    #[test]
    fn a_file_that_was_not_there_may_come() {
        let mut stage = Stage::new(None);
        stage.look();
        stage.write("nameserver 192.0.2.2");
        assert_eq!(stage.look().as_deref(), Some("192.0.2.2:53"));
    }

    #[test]
    fn a_directory_or_a_pipe_is_not_opened() {
        let mut stage = Stage::new(Some("nameserver 192.0.2.1"));
        fs::remove_file(stage.path()).unwrap();
        nix::unistd::mkfifo(&stage.path(), nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert_eq!(stage.look(), None);
        fs::remove_file(stage.path()).unwrap();
        fs::create_dir(stage.path()).unwrap();
        assert_eq!(stage.look(), None);
        assert_eq!(stage.said(), [""; 0]);
    }
}
