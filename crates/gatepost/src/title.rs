//! What ps(1) shows of our processes: the words of the originals, and the room that they need.
//!
//! A title can be as long as the arguments with which its process was started. So the name that a process is started
//! by, which nobody else reads, is a title too, with spaces up to the longest one that may follow.

use std::ffi::{OsStr, OsString};

use mail::flavour::Flavour;
use system::title::Title;

use crate::help;

/// What a process does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// It lets another process serve.
    Master,
    /// All (`master_process off`).
    Single,
    /// It serves.
    Worker,
    /// It serves its last sessions.
    Leaving,
}

impl Role {
    /// Whether a process tells it: nginx changes nothing in one that does all.
    pub(crate) fn has_title(self, flavour: Flavour) -> bool {
        (flavour, self) != (Flavour::Nginx, Self::Single)
    }

    fn words(self) -> &'static str {
        match self {
            Self::Master => "master process",
            Self::Single => "single process",
            Self::Worker => "worker process",
            Self::Leaving => "worker process is shutting down",
        }
    }

    /// The longest title that a process of this role may have later.
    fn longest(self) -> Self {
        if self == Self::Worker { Self::Leaving } else { self }
    }
}

/// The title of this process.
#[derive(Debug)]
pub(crate) struct OwnTitle {
    flavour: Flavour,
    /// The command line, in a process that somebody has started.
    words: Vec<OsString>,
    /// `None` where the system shows none: then nothing is lost but the sight.
    title: Option<Title>,
}

impl OwnTitle {
    /// Of a process that is called `words`. To be made while files can be read; nobody may read the arguments of the
    /// process from then on.
    pub(crate) fn new(flavour: Flavour, words: Vec<OsString>) -> Self {
        Self { flavour, words, title: Title::of_this_process().ok() }
    }

    /// Of a process that has been given no room for one.
    pub(crate) const fn none(flavour: Flavour) -> Self {
        Self { flavour, words: Vec::new(), title: None }
    }

    /// Shows `role`, and with it the `number` of the configuration.
    pub(crate) fn show(&mut self, role: Role, number: u64) {
        if let Some(title) = self.title.as_mut().filter(|_| role.has_title(self.flavour)) {
            title.set(text(self.flavour, role, number, &self.words));
        }
    }
}

/// The name to start a process by, so that there is room for all titles that it may have; `words` as in [`OwnTitle`], or
/// as much of them as does not follow as arguments.
pub(crate) fn with_room(flavour: Flavour, role: Role, number: u64, words: &[OsString]) -> OsString {
    let mut name = text(flavour, role, number, words);
    let longest = text(flavour, role.longest(), u64::MAX, words);
    name.push(" ".repeat(longest.len() - name.len()));
    name
}

/// A title as the originals have it. Angie shows its version and counts configurations.
fn text(flavour: Flavour, role: Role, number: u64, words: &[OsString]) -> OsString {
    let what = format!("{}: {}", flavour.program(), role.words());
    let (before, after) = match (help::titled_version(flavour), role) {
        (None, Role::Single) => (String::new(), ""),
        (None, Role::Master) => (what + " ", ""),
        (None, Role::Worker | Role::Leaving) => (what, ""),
        (Some(_), Role::Worker | Role::Leaving) => (format!("{what} #{number}"), ""),
        (Some(version), Role::Master | Role::Single) => (format!("{what} v{version} #{number} ["), "]"),
    };
    let line = words.join(OsStr::new(" "));
    [before.as_ref(), &*line, after.as_ref()].join(OsStr::new(""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(flavour: Flavour, role: Role, number: u64) -> String {
        let words = ["/bin/x", "-c", "y"].map(OsString::from);
        let words = if matches!(role, Role::Worker | Role::Leaving) { &[] } else { words.as_slice() };
        text(flavour, role, number, words).into_string().unwrap()
    }

    #[test]
    fn titles_are_those_of_the_originals() {
        let nginx = |role| of(Flavour::Nginx, role, 7);
        assert_eq!(nginx(Role::Master), "nginx: master process /bin/x -c y");
        assert_eq!(nginx(Role::Worker), "nginx: worker process");
        assert_eq!(nginx(Role::Leaving), "nginx: worker process is shutting down");
        assert_eq!(nginx(Role::Single), "/bin/x -c y");
        for flavour in [Flavour::Angie, Flavour::Gatepost] {
            let (program, version) = (flavour.program(), help::titled_version(flavour).unwrap());
            for (role, expected) in [
                (Role::Master, format!("{program}: master process v{version} #7 [/bin/x -c y]")),
                (Role::Single, format!("{program}: single process v{version} #7 [/bin/x -c y]")),
                (Role::Worker, format!("{program}: worker process #7")),
                (Role::Leaving, format!("{program}: worker process is shutting down #7")),
            ] {
                assert_eq!(of(flavour, role, 7), expected);
            }
        }
    }

    #[test]
    fn a_name_has_room_for_every_title_that_may_follow() {
        let (name, argument) = (OsString::from("/bin/x"), OsString::from("-t"));
        for flavour in [Flavour::Nginx, Flavour::Angie, Flavour::Gatepost] {
            for role in [Role::Master, Role::Single] {
                let given = with_room(flavour, role, 1, std::slice::from_ref(&name));
                // The argument follows behind a NUL, and a last NUL stays.
                let room = given.len() + 1 + argument.len();
                assert!(text(flavour, role, u64::MAX, &[name.clone(), argument.clone()]).len() <= room);
            }
            let given = with_room(flavour, Role::Worker, 3, &[]);
            assert!(text(flavour, Role::Leaving, u64::MAX, &[]).len() <= given.len());
            assert_eq!(given.to_str().unwrap().trim_end(), text(flavour, Role::Worker, 3, &[]));
        }
    }
}
