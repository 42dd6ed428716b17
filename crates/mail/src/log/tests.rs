//! Records through whole logs: formats, limits, filters.

use std::io::Write;
use std::sync::{Mutex, PoisonError};

use serde_json::Value;

use super::*;
use crate::address::{ClientAddr, Endpoint};
use crate::flavour::Flavour;
use crate::settings::Peers;
use crate::settings::log::Destination;
use crate::settings::peers::Written;

/// A log that is kept in memory.
#[derive(Clone, Default)]
pub(crate) struct Memory(Arc<Mutex<Vec<u8>>>);

impl Memory {
    pub(crate) fn log(&self, level: Level) -> Log {
        Log::new(vec![Output::all(self.sink(), level)])
    }

    pub(crate) fn log_as(&self, settings: &ErrorLog) -> Log {
        let bucket = Bucket::new(settings.rate, settings.level, Instant::now());
        Log::new(vec![Output::new(self.sink(), settings, Arc::new(bucket))])
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.bytes()).unwrap()
    }

    fn sink(&self) -> Arc<Sink> {
        Arc::new(Sink::new(self.clone()))
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

fn settings(level: Level, flavour: Flavour) -> ErrorLog {
    ErrorLog::new(Destination::Stderr, level, flavour)
}

fn json() -> ErrorLog {
    ErrorLog { format: Format::Json, ..settings(Level::Debug, Flavour::Angie) }
}

/// Writes a record of a session with this login to a log with these settings.
fn tell(settings: &ErrorLog, message: &str, login: &[u8], tags: &[&str]) -> Vec<u8> {
    let memory = Memory::default();
    let server = Endpoint::Tcp("127.0.0.1:143".parse().unwrap());
    let upstream = Endpoint::Tcp("[::1]:1143".parse().unwrap());
    let client = ClientAddr::Tcp("127.0.0.1:42876".parse().unwrap());
    let fields = [
        Field::Client(client),
        Field::Server(&server),
        Field::Starttls,
        Field::Login(login),
        Field::Upstream(&upstream),
    ];
    let context = Context { subsystem: Some("mail"), action: "in auth state", fields: &fields };
    let record =
        Record { connection: Some(7), errno: Some(110), context, ..Record::new(Level::Info, &message) };
    let tags = tags.iter().map(|tag| Box::from(*tag)).collect();
    memory.log_as(settings).tagged(tags).record(&record);
    memory.bytes()
}

fn tell_json(message: &str, login: &[u8], tags: &[&str]) -> Value {
    let line = tell(&json(), message, login, tags);
    assert!(line.len() <= LONGEST && line.ends_with(b"}\n"));
    serde_json::from_slice(&line).unwrap()
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
fn a_line_is_cut_at_2048_bytes_between_characters_and_still_ends() {
    let cut_from = |message: &str| {
        let memory = Memory::default();
        memory.log(Level::Info).line(Level::Info, None, message);
        memory.text()
    };
    let line = cut_from(&"x".repeat(5000));
    assert_eq!(line.len(), 2048);
    assert!(line.ends_with("x\n"));
    for lead in ["", "1", "12", "123"] {
        let line = cut_from(&(lead.to_owned() + &"☃".repeat(2000)));
        assert!((2045..=2048).contains(&line.len()) && line.ends_with("☃\n"));
    }
}

#[test]
fn a_system_error_is_kept_behind_a_message_that_is_too_long() {
    let memory = Memory::default();
    memory.log(Level::Info).failure(Level::Info, "x".repeat(5000), Some(110));
    let text = memory.text();
    assert!(text.ends_with("x... (110: Connection timed out)\n"), "{text}");
    assert!(text.len() <= LONGEST);
}

#[test]
fn context_is_shown_as_each_original_shows_it() {
    let shown = |settings: &ErrorLog| {
        let line = String::from_utf8(tell(settings, "m", b"j\"oe", &[])).unwrap();
        line.split_once(": *7 ").unwrap().1.trim_end().to_owned()
    };
    let angie = r#"m (110: Connection timed out) while in auth state, client: "127.0.0.1:42876", server: "127.0.0.1:143", starttls: "true", login: "j\x22oe", upstream: "::1:1143""#;
    let nginx = r#"m (110: Connection timed out) while in auth state, client: 127.0.0.1 using starttls, server: 127.0.0.1:143, login: "j\x22oe", upstream: ::1:1143"#;
    assert_eq!(shown(&settings(Level::Info, Flavour::Gatepost)), angie);
    assert_eq!(shown(&settings(Level::Info, Flavour::Angie)), angie);
    assert_eq!(shown(&settings(Level::Info, Flavour::Nginx)), nginx);
    let format = Format::Nginx;
    assert_eq!(shown(&ErrorLog { format, ..settings(Level::Info, Flavour::Gatepost) }), nginx);
}

#[test]
fn accept_and_syslog_failures_are_shown_as_each_original_shows_them() {
    let endpoint = Endpoint::Tcp("[::]:143".parse().unwrap());
    let cases = [
        (
            Field::ListenAddr(&endpoint),
            "accepting new connection",
            " while accepting new connection, listen_addr: \"[::]:143\"",
            " while accepting new connection on [::]:143",
        ),
        (
            Field::SyslogServer(&endpoint),
            "logging to syslog",
            " while logging to syslog, syslog_server: \"[::]:143\"",
            " while logging to syslog, server: [::]:143",
        ),
    ];
    for (field, action, angie, nginx) in cases {
        let context = Context { subsystem: None, action, fields: &[field] };
        let record = Record { context, ..Record::new(Level::Alert, &"m") };
        for (flavour, expected) in [(Flavour::Angie, angie), (Flavour::Nginx, nginx)] {
            let memory = Memory::default();
            memory.log_as(&settings(Level::Info, flavour)).record(&record);
            assert!(memory.text().ends_with(&format!(": m{expected}\n")), "{}", memory.text());
        }
        let memory = Memory::default();
        memory.log_as(&json()).record(&record);
        let line: Value = serde_json::from_slice(&memory.bytes()).unwrap();
        assert_eq!(line["context"]["action"], action);
        assert_eq!(line["context"][field.name()], "[::]:143");
        assert_eq!(line.get("tags"), None);
    }
}

#[test]
fn json_is_angies_to_the_byte() {
    let line = String::from_utf8(tell(&json(), "client timed out", b"joe", &["t1", "t\"2"])).unwrap();
    let (pid, tid) = (std::process::id(), nix::unistd::gettid());
    let (head, rest) = line.split_once(r#","level""#).unwrap();
    assert_eq!(
        rest,
        format!(r#":"info","pid":{pid},"tid":{tid},"connection":7,"message":"client timed out","#)
            + r#""error":{"code":110,"message":"Connection timed out"},"mail":{"action":"in auth state","#
            + r#""client":"127.0.0.1:42876","server":"127.0.0.1:143","starttls":"true","login":"joe","#
            + r#""upstream":"::1:1143"},"tags":["mail","t1","t\"2"]}"#
            + "\n"
    );
    let time = head.strip_prefix("{\"time\":\"").unwrap().strip_suffix("Z\"").unwrap();
    let (seconds, fraction) = time.split_once('.').unwrap_or((time, "001"));
    assert_eq!((seconds.len(), fraction.len()), ("2026-11-20T06:18:36".len(), 3));
}

#[test]
fn json_of_the_process_has_neither_context_nor_tags() {
    let memory = Memory::default();
    memory.log_as(&json()).tagged(["t".into()].into()).line(Level::Notice, None, "exit");
    let line = memory.text();
    assert!(line.contains(r#""level":"notice""#), "{line}");
    assert!(line.ends_with(",\"message\":\"exit\"}\n"), "{line}");
}

#[test]
fn json_escapes_what_json_must_and_keeps_the_rest() {
    let told = tell_json("a\"b\\c\n\r\t\u{8}\u{c}\u{1}\u{1f}\u{7f}ä☃", b"j\"\\\xff\x00\xc3\xa4", &[]);
    assert_eq!(told["message"], "a\"b\\c\n\r\t\u{8}\u{c}\u{1}\u{1f}\u{7f}ä☃");
    assert_eq!(told["mail"]["login"], "j\"\\\\xFF\0ä");
    let raw = String::from_utf8(tell(&json(), "\u{8}\u{c}\u{1}\u{1f}\n", b"", &[])).unwrap();
    assert!(raw.contains(r#""message":"\b\f\u0001\u001F\n""#), "{raw}");
    // Terminals take U+009B for the beginning of a command.
    let raw = String::from_utf8(tell(&json(), "m", "\u{9b}2J\u{7f}".as_bytes(), &[])).unwrap();
    assert!(raw.contains(r#""login":"\u009B2J\u007F""#), "{raw}");
}

#[test]
fn json_that_is_too_long_is_cut_stays_json_and_says_so() {
    for length in (1500..2300).chain([5000, 100_000]) {
        let told = tell_json(&"\"".repeat(length / 2), b"joe", &["tag"]);
        let whole = told.get("truncated").is_none();
        assert_eq!(told.get("tags").is_some(), whole);
        assert!(!whole || told["mail"]["upstream"] == "::1:1143");
        assert_eq!(told.get("truncated").is_some_and(|truncated| truncated == true), !whole);
    }
    let told = tell_json("m", &b"\xffx".repeat(3000), &["tag"]);
    assert_eq!(told["truncated"], true);
    assert!(told["mail"]["login"].as_str().unwrap().starts_with("\\xFFx\\xFFx"));
}

/// Whether a record passes these filters.
fn passes(filters: &[&str], format: Format) -> bool {
    let written: Vec<String> = filters.iter().map(|filter| format!("'filter={filter}'")).collect();
    let text = format!("error_log x info {};", written.join(" "));
    let filters = crate::settings::log::tests::parse(&text).unwrap().filters;
    let settings = ErrorLog { format, filters, ..settings(Level::Info, Flavour::Angie) };
    !tell(&settings, "client timed out", b"joe", &["t1"]).is_empty()
}

#[test]
fn filters_let_through_what_matches_all_of_them() {
    for (filters, expected) in [
        (&["message:timed"][..], true),
        (&["message:Timed"], false),
        (&["message:=client timed out"], true),
        (&["message:=client timed"], false),
        (&["message:~^client .* out$"], true),
        (&["message:~^timed"], false),
        (&["message:~(?i)TIMED"], true),
        (&["logline:while in auth state, client: \"127"], true),
        (&["logline:~^client timed out \\(110: "], true),
        (&["logline:*7"], false),
        (&["tag:mail"], true),
        (&["tag:=t1"], true),
        (&["tag:=t"], false),
        (&["tag:http"], false),
        (&["tag:=t1", "tag:=mail"], true),
        (&["client:=127.0.0.1:42876"], true),
        (&["client:127.0.0.1"], true),
        (&["client:127.0.0.2"], false),
        (&["server:143", "login:=joe", "starttls:true", "upstream:1143"], true),
        (&["login:=joe", "login:~^j"], true),
        (&["login:=joe", "login:=jim"], false),
        (&["resolver:x"], false),
        (&["mail:joe"], false),
        (&["context:joe"], false),
    ] {
        for format in [Format::Angie, Format::Json] {
            assert_eq!(passes(filters, format), expected, "{filters:?} {format:?}");
        }
    }
    assert!(passes(&["logline:client: 127.0.0.1 using starttls"], Format::Nginx));
}

#[test]
fn what_a_filter_looks_at_has_to_be_there() {
    for filter in ["login:~", "login:~.*", "tag:~.*", "listen_addr:~.*"] {
        let parsed =
            crate::settings::log::tests::parse(&format!("error_log x info 'filter={filter}';")).unwrap();
        let memory = Memory::default();
        memory.log_as(&parsed).line(Level::Alert, None, "message of the process");
        assert_eq!(memory.text(), "", "{filter}");
    }
}

#[test]
fn what_is_left_out_is_said_once_without_context() {
    let memory = Memory::default();
    let log = memory.log_as(&ErrorLog { rate: 3, ..settings(Level::Info, Flavour::Angie) });
    for n in 0..50 {
        log.line(Level::Info, Some(n), format_args!("message {n}"));
    }
    let text = memory.text();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 4, "{text}");
    assert!(lines[2].ends_with(": *2 message 2"), "{text}");
    assert!(
        lines[3].contains(" [info] ") && lines[3].ends_with(": *3 too many log messages, limiting"),
        "{text}"
    );
}

#[test]
fn clients_to_debug_are_told_of_at_level_debug_in_every_output_without_limit() {
    let (error, limited) = (Memory::default(), Memory::default());
    let mut outputs = error.log(Level::Error).outputs;
    let rate = ErrorLog { rate: 1, ..settings(Level::Info, Flavour::Angie) };
    outputs.extend(limited.log_as(&rate).outputs);
    let peers = Arc::new(Peers::from_iter([Written::Unix]));
    let log = ServerLog::new(Arc::new(Log::new(outputs)), &peers);
    let other = ClientAddr::Tcp("127.0.0.1:1".parse().unwrap());
    for _ in 0..100 {
        log.of(other).line(Level::Debug, None, "other");
        log.of(ClientAddr::Unix).line(Level::Debug, None, "debugged");
        log.usual().line(Level::Debug, None, "usual");
    }
    for memory in [error, limited] {
        let text = memory.text();
        assert_eq!((text.lines().count(), text.matches("] ").count()), (100, 100), "{text}");
        assert!(
            text.lines().all(|line| line.contains(" [debug] ") && line.ends_with(": debugged")),
            "{text}"
        );
    }
}
