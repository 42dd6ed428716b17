//! What an SMTP client may say before it is logged in.

use crate::line::{self, Arguments, Command, Malformed};

/// The most arguments of a line, SASL responses included.
pub(super) const MOST_ARGUMENTS: usize = 11;

/// The verbs that are known before login; everything else breaks the grammar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    Auth,
    Ehlo,
    Expn,
    Helo,
    Help,
    Mail,
    Noop,
    Quit,
    Rcpt,
    Rset,
    Starttls,
    Vrfy,
    /// Of Postfix; known only where the client is trusted.
    Xclient,
}

impl Verb {
    const ALL: [(&str, Self); 13] = [
        ("AUTH", Self::Auth),
        ("EHLO", Self::Ehlo),
        ("EXPN", Self::Expn),
        ("HELO", Self::Helo),
        ("HELP", Self::Help),
        ("MAIL", Self::Mail),
        ("NOOP", Self::Noop),
        ("QUIT", Self::Quit),
        ("RCPT", Self::Rcpt),
        ("RSET", Self::Rset),
        ("STARTTLS", Self::Starttls),
        ("VRFY", Self::Vrfy),
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
/// No argument is looked into: addresses and parameters of MAIL and RCPT are the upstream's business.
pub(super) fn parse(content: &[u8], trusted: bool) -> Result<Command<'_, Verb>, Malformed> {
    let (word, text) = line::verb(content);
    let verb = Verb::of(word).filter(|&verb| verb != Verb::Xclient || trusted).ok_or(Malformed)?;
    let arguments = Arguments::split(text, MOST_ARGUMENTS)?;
    Ok(Command { verb, arguments, raw: line::trim_end(content) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_falls_into_verb_and_arguments_and_is_kept_raw() {
        for (content, verb, arguments, raw) in [
            ("NOOP", Verb::Noop, &[][..], "NOOP"),
            ("sTaRtTlS x  y ", Verb::Starttls, &["x", "y"], "sTaRtTlS x  y"),
            (
                "mail from:<a@x>   SIZE=10  ",
                Verb::Mail,
                &["from:<a@x>", "SIZE=10"],
                "mail from:<a@x>   SIZE=10",
            ),
            ("EHLO [192.0.2.1]", Verb::Ehlo, &["[192.0.2.1]"], "EHLO [192.0.2.1]"),
        ] {
            let command = parse(content.as_bytes(), false).expect(content);
            assert_eq!(command.verb, verb, "{content}");
            let expected: Vec<&[u8]> = arguments.iter().map(|argument| argument.as_bytes()).collect();
            assert_eq!(command.arguments.as_slice(), expected, "{content}");
            assert_eq!(command.raw, raw.as_bytes(), "{content}");
        }
    }

    #[test]
    fn eleven_arguments_are_the_most() {
        assert!(parse(format!("NOOP{} ", " x".repeat(11)).as_bytes(), false).is_ok());
        assert!(parse(format!("NOOP{}", " x".repeat(12)).as_bytes(), false).is_err());
    }

    #[test]
    fn what_is_no_command_is_malformed() {
        let lines = [
            "",
            " NOOP",
            "NO\0P",
            "EHLO\tx",
            "DATA",
            "BDAT 1",
            "TURN",
            "ETRN x",
            "XCLIENT ADDR=1.2.3.4",
            "SEND FROM:<a>",
            "AUTH=LOGIN",
            "STARTTLSX",
            "POST / HTTP/1.1",
            "Host: x",
            "\u{410}UTH",
        ];
        for content in lines {
            assert_eq!(parse(content.as_bytes(), false).map(|_| ()), Err(Malformed), "{content:?}");
        }
    }
}
