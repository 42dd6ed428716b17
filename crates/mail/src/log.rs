//! The error log: outputs with levels, and lines in the originals' format.
//!
//! Opening files is the binary's business; here they are written to.

use std::cell::RefCell;
use std::fmt;
use std::io::Write;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use jiff::tz::TimeZone;

use crate::settings::log::Level;

/// Longest line, line end included (as the originals).
const LONGEST: usize = 2048;

/// A set of outputs, each with the least severe level that it takes.
#[derive(Clone, Default)]
pub struct Log {
    outputs: Vec<(Level, Arc<Sink>)>,
}

impl Log {
    /// A log that writes to each of `outputs` what is at least as severe as its level.
    pub fn new(outputs: Vec<(Level, Arc<Sink>)>) -> Self {
        Self { outputs }
    }

    /// Whether any output takes messages of `level`: what nobody reads need not be formatted.
    pub fn takes(&self, level: Level) -> bool {
        self.outputs.iter().any(|(least, _)| level <= *least)
    }

    /// Writes one line; `connection` is its number in `*N`, `message` comes escaped.
    pub fn line(&self, level: Level, connection: Option<u64>, message: impl fmt::Display) {
        if !self.takes(level) {
            return;
        }
        let line = Line::render(level, connection, message);
        for (_, sink) in self.outputs.iter().filter(|(least, _)| level <= *least) {
            sink.write(&line);
        }
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.outputs.iter().map(|(level, _)| level)).finish()
    }
}

/// Something that takes whole lines and can be replaced while it is in use.
pub struct Sink(Mutex<Box<dyn Write + Send>>);

impl Sink {
    /// Writes to `output`.
    pub fn new(output: impl Write + Send + 'static) -> Self {
        Self(Mutex::new(Box::new(output)))
    }

    /// Writes to `output` from now on (USR1: log files are reopened by name).
    pub fn replace(&self, output: impl Write + Send + 'static) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Box::new(output);
    }

    /// Writes a line in one call. A log that cannot be written must not stop the mail, so errors end here.
    fn write(&self, line: &[u8]) {
        let _ = self.0.lock().unwrap_or_else(PoisonError::into_inner).write_all(line);
    }
}

/// Lines being rendered.
struct Line;

impl Line {
    /// `YYYY/MM/DD HH:MM:SS [LEVEL] PID#TID: *CONN MESSAGE` LF, cut to [`LONGEST`].
    fn render(level: Level, connection: Option<u64>, message: impl fmt::Display) -> Vec<u8> {
        let mut line = Vec::with_capacity(256);
        let pid = std::process::id();
        let tid = nix::unistd::gettid();
        // Writing to a vector cannot fail.
        let _ = Clock::now(|time| write!(line, "{time} [{}] {pid}#{tid}: ", level.name()));
        if let Some(connection) = connection {
            let _ = write!(line, "*{connection} ");
        }
        let _ = write!(line, "{message}");
        line.truncate(LONGEST - 1);
        line.push(b'\n');
        line
    }
}

/// The machine's time zone, read once: a worker that may open no file could not look at it again.
static ZONE: LazyLock<TimeZone> = LazyLock::new(TimeZone::system);

/// Reads what log lines need of the machine, while files can be read.
pub fn settle() {
    LazyLock::force(&ZONE);
}

/// The text of the current second: formatting a local time costs more than the rest of a line.
struct Clock {
    second: i64,
    text: String,
}

impl Clock {
    fn now<R>(with: impl FnOnce(&str) -> R) -> R {
        thread_local! {
            static CLOCK: RefCell<Clock> = const { RefCell::new(Clock { second: i64::MIN, text: String::new() }) };
        }
        CLOCK.with_borrow_mut(|clock| {
            let now = jiff::Timestamp::now();
            if now.as_second() != clock.second {
                clock.second = now.as_second();
                let local = now.to_zoned(ZONE.clone());
                clock.text = local.strftime("%Y/%m/%d %H:%M:%S").to_string();
            }
            with(&clock.text)
        })
    }
}

/// Bytes of a peer, made fit for a log line.
///
/// Control characters, quotes, backslashes and what is not UTF-8 become `\xHH`; everything else stays readable.
/// (The originals write all of it raw: a client can forge lines there.)
pub struct Escaped<'a>(pub &'a [u8]);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            for c in chunk.valid().chars() {
                if c.is_control() || matches!(c, '"' | '\\') {
                    let mut utf8 = [0; 4];
                    hex(c.encode_utf8(&mut utf8).as_bytes(), f)?;
                } else {
                    fmt::Write::write_char(f, c)?;
                }
            }
            hex(chunk.invalid(), f)?;
        }
        Ok(())
    }
}

fn hex(bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "\\x{byte:02X}"))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A log that is kept in memory.
    #[derive(Clone, Default)]
    pub(crate) struct Memory(Arc<Mutex<Vec<u8>>>);

    impl Memory {
        pub(crate) fn log(&self, level: Level) -> Log {
            Log::new(vec![(level, Arc::new(Sink::new(self.clone())))])
        }

        pub(crate) fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    impl Write for Memory {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_line_has_time_level_process_connection_and_message() {
        let memory = Memory::default();
        memory.log(Level::Info).line(Level::Info, Some(7), "client connected");
        let text = memory.text();
        let (time, rest) = text.split_at("2026/11/20 06:18:36".len());
        assert_eq!(time.chars().filter(char::is_ascii_digit).count(), 14, "{text}");
        let pid = std::process::id();
        assert!(rest.starts_with(&format!(" [info] {pid}#")), "{text}");
        assert!(rest.ends_with(": *7 client connected\n"), "{text}");
    }

    #[test]
    fn a_log_takes_its_level_and_everything_more_severe() {
        let memory = Memory::default();
        let log = memory.log(Level::Warn);
        log.line(Level::Notice, None, "quiet");
        log.line(Level::Warn, None, "heard");
        log.line(Level::Emerg, None, "loud");
        assert!(log.takes(Level::Error) && !log.takes(Level::Info));
        assert_eq!(memory.text().lines().count(), 2);
    }

    #[test]
    fn a_line_is_cut_at_2048_bytes_and_still_ends() {
        let memory = Memory::default();
        memory.log(Level::Info).line(Level::Info, None, "x".repeat(5000));
        assert_eq!(memory.text().len(), 2048);
        assert!(memory.text().ends_with("x\n"));
    }

    #[test]
    fn what_a_peer_sends_cannot_forge_a_line() {
        let shown = |bytes: &[u8]| Escaped(bytes).to_string();
        assert_eq!(shown(b"u\r\nx\0"), r"u\x0D\x0Ax\x00");
        assert_eq!(shown(b"a\"b\\c"), r"a\x22b\x5Cc");
        assert_eq!(shown("käse ☃".as_bytes()), "käse ☃");
        assert_eq!(shown(b"\xff\xc3\x28\x7f"), r"\xFF\xC3(\x7F");
        assert_eq!(shown("\u{9b}".as_bytes()), r"\xC2\x9B");
    }
}
