//! The few texts in which the originals differ, chosen by the name that the program was called by.

use std::path::Path;

/// Whose texts to use: program name, default file names, context of log lines, upgrade variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Flavour {
    /// Our own name; everything else as Angie has it.
    #[default]
    Gatepost,
    /// As Angie.
    Angie,
    /// As nginx.
    Nginx,
}

impl Flavour {
    /// The flavour for a program called as `argv0`, such as `/usr/sbin/nginx`.
    pub fn from_program(argv0: &Path) -> Self {
        match argv0.file_name().and_then(|name| name.to_str()) {
            Some("nginx") => Self::Nginx,
            Some("angie") => Self::Angie,
            _ => Self::Gatepost,
        }
    }

    /// The program's name in messages and default file names.
    pub const fn program(self) -> &'static str {
        match self {
            Self::Gatepost => "gatepost",
            Self::Angie => "angie",
            Self::Nginx => "nginx",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_the_program_chooses_the_flavour() {
        let flavour = |argv0: &str| Flavour::from_program(Path::new(argv0));
        assert_eq!(flavour("/usr/sbin/nginx"), Flavour::Nginx);
        assert_eq!(flavour("angie"), Flavour::Angie);
        assert_eq!(flavour("./target/debug/gatepost"), Flavour::Gatepost);
        assert_eq!(flavour("nginx-debug"), Flavour::Gatepost);
    }
}
