//! What a POP3 client may say before it is logged in.

use crate::line::{self, Arguments, Command, Malformed};

/// The most arguments of a line, SASL responses included.
pub(super) const MOST_ARGUMENTS: usize = 3;

/// The most attributes of XCLIENT.
const MOST_ATTRIBUTES: usize = 11;

/// The verbs that are known before login; everything else breaks the grammar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    Apop,
    Auth,
    Capa,
    Noop,
    Pass,
    Quit,
    Stls,
    User,
    /// Of Dovecot; known only where the client is trusted.
    Xclient,
}

impl Verb {
    const ALL: [(&str, Self); 9] = [
        ("APOP", Self::Apop),
        ("AUTH", Self::Auth),
        ("CAPA", Self::Capa),
        ("NOOP", Self::Noop),
        ("PASS", Self::Pass),
        ("QUIT", Self::Quit),
        ("STLS", Self::Stls),
        ("USER", Self::User),
        ("XCLIENT", Self::Xclient),
    ];

    /// The verb that `word` is, in any letter case.
    pub(super) fn of(word: &[u8]) -> Option<Self> {
        line::known(word, &Self::ALL)
    }
}

/// ```text
/// command = verb [ 1*SP [ argument *( 1*SP argument ) *SP ] ]
/// ```
///
/// What follows USER and PASS is one argument, inner and trailing spaces included: passwords may have them.
pub(super) fn parse(content: &[u8], trusted: bool) -> Result<Command<'_, Verb>, Malformed> {
    let (word, text) = line::verb(content);
    let verb = Verb::of(word).filter(|&verb| verb != Verb::Xclient || trusted).ok_or(Malformed)?;
    let arguments = match verb {
        Verb::User | Verb::Pass => Arguments::whole(line::trim_start(text)),
        Verb::Xclient => Arguments::split(text, MOST_ATTRIBUTES)?,
        _ => Arguments::split(text, MOST_ARGUMENTS)?,
    };
    Ok(Command { verb, arguments, raw: content })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_falls_into_verb_and_arguments() {
        for (content, verb, arguments) in [
            ("NOOP", Verb::Noop, &[][..]),
            ("nOoP   ", Verb::Noop, &[]),
            ("APOP  u   d ", Verb::Apop, &["u", "d"]),
            ("NOOP 1 2 3", Verb::Noop, &["1", "2", "3"]),
            ("USER", Verb::User, &[]),
            ("USER   ", Verb::User, &[]),
            ("USER   a b  c ", Verb::User, &["a b  c "]),
            ("USER u\tv", Verb::User, &["u\tv"]),
            ("PASS a b c d", Verb::Pass, &["a b c d"]),
            ("PASS  p w  ", Verb::Pass, &["p w  "]),
        ] {
            let command = parse(content.as_bytes(), false).expect(content);
            assert_eq!(command.verb, verb, "{content}");
            let expected: Vec<&[u8]> = arguments.iter().map(|argument| argument.as_bytes()).collect();
            assert_eq!(command.arguments.as_slice(), expected, "{content}");
        }
    }

    #[test]
    fn what_is_no_command_is_malformed() {
        let lines = [
            "",
            " ",
            " NOOP",
            "NOOPS",
            "TOP",
            "STAT",
            "LIST",
            "RETR 1",
            "RSET",
            "UIDL",
            "LANG",
            "UTF8",
            "NO\0P",
            "NOOP\t",
            "USER\tu",
            "GET / HTTP/1.0",
            "XCLIENT ADDR=192.0.2.1",
            "NOOP 1 2 3 4",
            "APOP u x y z",
            "\0\0\0",
        ];
        for content in lines {
            assert_eq!(parse(content.as_bytes(), false).map(|_| ()), Err(Malformed), "{content:?}");
        }
    }
}
