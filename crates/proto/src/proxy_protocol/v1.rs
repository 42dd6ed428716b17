//! Version 1: `PROXY TCP4 192.0.2.1 192.0.2.2 4711 143` CRLF.

use memchr::memmem;

use super::{Addresses, Fault, Header, LONGEST, Parsed, Party, Tlvs, Version};

/// Reads a header of version 1, of which there are at most [`LONGEST`] bytes.
pub(super) fn parse(input: &[u8]) -> Parsed {
    let mut rest = Rest(input);
    match rest.header() {
        Ok(addresses) => Parsed::Done {
            length: input.len() - rest.0.len(),
            header: Header { version: Version::V1, addresses, tlvs: Tlvs::default() },
        },
        Err(Stop::Partial) if input.len() < LONGEST => Parsed::Incomplete,
        Err(Stop::Partial | Stop::Broken) => Parsed::Fault(Fault::ended(input)),
    }
}

/// Why reading ended before the end of the line.
enum Stop {
    /// More input may help.
    Partial,
    /// Nothing can help.
    Broken,
}

/// Input that is still to be read.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn header(&mut self) -> Result<Option<Addresses>, Stop> {
        self.literal(b"PROXY ")?;
        if self.0.first() == Some(&b'U') {
            self.literal(b"UNKNOWN")?;
            return self.line_end().map(|()| None);
        }
        self.family()?;
        self.addresses().map(Some)
    }

    /// The word is not compared with the form of the addresses (as the originals).
    fn family(&mut self) -> Result<(), Stop> {
        self.literal(b"TCP")?;
        self.byte(|byte| matches!(byte, b'4' | b'6'))?;
        self.literal(b" ")
    }

    fn addresses(&mut self) -> Result<Addresses, Stop> {
        let source = self.address()?;
        let destination = self.address()?;
        let source_port = self.port(b" ")?;
        let destination_port = self.port(b"\r\n")?;
        Ok(Addresses {
            source: party(source, source_port),
            destination: party(destination, destination_port),
        })
    }

    fn address(&mut self) -> Result<&'a [u8], Stop> {
        let text = self.run(|byte| byte.is_ascii_hexdigit() || matches!(byte, b'.' | b':'));
        self.literal(b" ").map(|()| text)
    }

    /// Decimal digits, as many as one likes, up to 65535.
    fn port(&mut self, end: &[u8]) -> Result<u16, Stop> {
        let digits = self.run(|byte| byte.is_ascii_digit());
        self.literal(end)?;
        std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok()).ok_or(Stop::Broken)
    }

    /// Passes over all that precedes the next CRLF, and over that.
    fn line_end(&mut self) -> Result<(), Stop> {
        let at = memmem::find(self.0, b"\r\n").ok_or(Stop::Partial)?;
        self.0 = &self.0[at + 2..];
        Ok(())
    }

    fn literal(&mut self, text: &[u8]) -> Result<(), Stop> {
        text.iter().try_for_each(|expected| self.byte(|byte| byte == *expected))
    }

    fn byte(&mut self, fits: impl Fn(u8) -> bool) -> Result<(), Stop> {
        let (first, rest) = self.0.split_first().ok_or(Stop::Partial)?;
        if !fits(*first) {
            return Err(Stop::Broken);
        }
        self.0 = rest;
        Ok(())
    }

    fn run(&mut self, fits: impl Fn(u8) -> bool) -> &'a [u8] {
        let length = self.0.iter().take_while(|byte| fits(**byte)).count();
        let (run, rest) = self.0.split_at(length);
        self.0 = rest;
        run
    }
}

fn party(address: &[u8], port: u16) -> Party {
    let text = String::from_utf8_lossy(address).into_owned();
    let ip = text.parse().ok();
    Party { text, ip, port }
}
