//! The error log of the whole program: formats, filters, what never stands in it, and readers that do not read.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::Path;

use nix::sys::signal::Signal;
use nix::sys::stat::Mode;
use rig::{AuthServer, Backend, Client, Program, Proxy, auth_server, backend, tool};

const PASSWORD: &str = "v3ry-s3cret";

fn program() -> Program {
    Program::gatepost(env!("CARGO_BIN_EXE_gatepost"))
}

/// A proxy with one IMAP server that asks `auth`, and these directives in it.
fn proxy(auth: &AuthServer, directives: &str) -> Proxy {
    let server =
        format!("auth_http {}; server {{ listen @imap; protocol imap; {directives} }}", auth.address());
    Proxy::start(&program(), &server)
}

fn connect(proxy: &Proxy) -> Client {
    let mut client = Client::connect(proxy.at("imap"));
    client.expect("* OK IMAP4 ready\r\n");
    client
}

/// A client that is refused.
fn refused(proxy: &Proxy) {
    connect(proxy).exchange(format!("a LOGIN joe {PASSWORD}\r\n"), "a NO no way\r\n");
}

/// Does something that is told in a line, and may go on.
fn offend(client: &mut Client) {
    client.exchange("a AUTHENTICATE PLAIN !\r\n", "a BAD invalid command\r\n");
}

fn in_directory(directory: &Path, file: &str) -> String {
    directory.join(file).display().to_string()
}

#[test]
fn one_session_is_told_in_every_format_and_to_whom_it_may_concern() {
    let auth = AuthServer::always(auth_server::refuse("no way"));
    let logs = tempfile::tempdir().unwrap();
    let at = |file| in_directory(logs.path(), file);
    let directives = format!(
        "error_log {} info format=json; error_log {} info format=nginx; error_log {} info filter=login:=joe; \
         error_log {} info filter=login:=jim; error_log {} info 'filter=logline:~failed.*joe' filter=tag:=t1; \
         error_log_user_tag t1; error_log_user_tag t2;",
        at("json"),
        at("nginx"),
        at("joe"),
        at("jim"),
        at("tag"),
    );
    let proxy = proxy(&auth, &directives);
    refused(&proxy);
    proxy.stop();
    let read = |file| fs::read_to_string(at(file)).unwrap();
    let records: Vec<serde_json::Value> =
        read("json").lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(records[0]["message"], "client connected");
    assert_eq!(records[1]["message"], "client login failed: \"no way\"");
    assert_eq!(records[1]["mail"]["login"], "joe");
    assert_eq!(records[1]["mail"]["action"], "in http auth state");
    assert_eq!(records[1]["tags"], serde_json::json!(["mail", "t1", "t2"]));
    let nginx = read("nginx");
    assert!(nginx.contains(&format!(" connected to {}\n", proxy.at("imap"))), "{nginx}");
    assert!(nginx.contains(&format!(", server: {}, login: \"joe\"\n", proxy.at("imap"))), "{nginx}");
    assert_eq!((read("joe").lines().count(), read("jim").as_str(), read("tag").lines().count()), (1, "", 1));
}

#[test]
fn no_secret_stands_in_a_log_at_level_debug() {
    let upstream = Backend::start(backend::imap_login("p", "joe", PASSWORD));
    let auth = AuthServer::queue([
        auth_server::refuse("no"),
        auth_server::refuse("no"),
        auth_server::allow(upstream.address()),
    ]);
    let logs = tempfile::tempdir().unwrap();
    let (text, json) = (in_directory(logs.path(), "text"), in_directory(logs.path(), "json"));
    let directives =
        format!("imap_auth plain login; error_log {text} debug; error_log {json} debug_mail format=json;");
    let proxy = proxy(&auth, &directives);
    let encoded = "AGpvZQB2M3J5LXMzY3JldA==";
    connect(&proxy).exchange(format!("x AUTHENTICATE PLAIN {encoded}\r\n"), "x NO no\r\n");
    connect(&proxy)
        .exchange(format!("y LOGIN joe {{{}}}\r\n", PASSWORD.len()), "+ OK\r\n")
        .exchange(format!("{PASSWORD}\r\n"), "y NO no\r\n");
    let mut client = connect(&proxy);
    client.send(format!("p LOGIN joe {PASSWORD}\r\n"));
    client.until("\r\n");
    drop(client);
    proxy.stop();
    for file in [text, json] {
        let log = fs::read_to_string(&file).unwrap();
        assert!(log.contains("asking about a login, method plain"), "{log}");
        assert!(log.contains("login granted, upstream "), "{log}");
        for secret in [PASSWORD, encoded, "s3cret"] {
            assert!(!log.contains(secret), "{log}");
        }
    }
}

#[test]
fn sessions_of_chosen_clients_are_told_at_level_debug_by_where_they_connect_from() {
    let auth = AuthServer::always(auth_server::refuse("no way"));
    let directory = tempfile::tempdir().unwrap();
    let (unix, own) = (directory.path().join("socket"), in_directory(directory.path(), "own"));
    let configuration = format!(
        "user root; daemon off; events {{ debug_connection 192.0.2.1; debug_connection unix:; }}
         mail {{ auth_http {}; set_real_ip_from 127.0.0.0/8;
                 server {{ listen @imap proxy_protocol; protocol imap; }}
                 server {{ listen unix:{}; protocol imap; error_log {own} error; error_log {own}.2 crit; }} }}",
        auth.address(),
        unix.display(),
    );
    let proxy = Proxy::start_whole(&program(), &configuration);
    // What it is said to be comes too late to be told more of.
    let mut other = Client::connect(proxy.at("imap"));
    other.send("PROXY TCP4 192.0.2.1 192.0.2.2 1 143\r\n").expect("* OK IMAP4 ready\r\n");
    other.exchange(format!("a LOGIN joe {PASSWORD}\r\n"), "a NO no way\r\n");
    let mut debugged = Client::connect_unix(&unix);
    debugged.expect("* OK IMAP4 ready\r\n");
    debugged.exchange(format!("a LOGIN joe {PASSWORD}\r\n"), "a NO no way\r\n");
    let main = proxy.whole_log();
    assert!(main.contains("client login failed") && !main.contains("[debug]"), "{main}");
    for log in [own.clone(), format!("{own}.2")] {
        let text = fs::read_to_string(&log).unwrap();
        assert!(text.contains("[debug]") && text.contains("asking about a login, method plain"), "{text}");
        assert!(text.contains("[info]") && !text.contains(PASSWORD), "{text}");
    }
}

#[test]
fn a_log_that_nobody_reads_stalls_no_session_and_says_what_was_lost() {
    // Far more than the queue, the lines being written, and the pipe hold.
    const OFFENCES: usize = 10_000;
    let auth = AuthServer::always(auth_server::refuse("no way"));
    let directory = tempfile::tempdir().unwrap();
    let fifo = directory.path().join("fifo");
    nix::unistd::mkfifo(&fifo, Mode::S_IRUSR | Mode::S_IWUSR).unwrap();
    // Opened for both, so that opening waits for nobody.
    let reader = File::options().read(true).write(true).open(&fifo).unwrap();
    let proxy = proxy(
        &auth,
        &format!(
            "imap_auth plain; max_commands 100000; max_errors 100000; error_log {} debug;",
            fifo.display()
        ),
    );
    let mut client = connect(&proxy);
    (0..OFFENCES).for_each(|_| offend(&mut client));
    drop(client);
    let mut lines = BufReader::new(reader).lines().map(Result::unwrap);
    let dropped = lines.find_map(|line| line.strip_suffix(" log messages dropped").map(str::to_owned));
    let count = dropped.as_ref().and_then(|line| line.rsplit(' ').next()).map(str::parse::<usize>);
    assert!(matches!(count, Some(Ok(1..))), "{dropped:?}");
    // It goes on after that.
    refused(&proxy);
    assert!(lines.any(|line| line.contains("client login failed")));
}

#[test]
fn no_line_is_lost_while_files_are_reopened() {
    const OFFENCES: usize = 300;
    let auth = AuthServer::always(auth_server::refuse("no way"));
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("log");
    let proxy = proxy(
        &auth,
        &format!(
            "imap_auth plain; max_commands 1000; max_errors 1000; error_log {} info rate=0;",
            log.display()
        ),
    );
    let mut client = connect(&proxy);
    for n in 0..OFFENCES {
        if n % 100 == 50 {
            fs::rename(&log, directory.path().join(format!("old.{n}"))).unwrap();
            proxy.process().signal(Signal::SIGUSR1);
            rig::eventually("a new log", || log.exists());
        }
        offend(&mut client);
    }
    drop(client);
    proxy.wait_for_log("reopening logs");
    proxy.stop();
    let files = ["log", "old.50", "old.150", "old.250"].map(|file| directory.path().join(file));
    let all = files.map(|file| fs::read_to_string(file).unwrap()).concat();
    assert_eq!(
        all.matches(" client sent invalid base64 encoding in AUTH PLAIN command while ").count(),
        OFFENCES
    );
    assert!(all.lines().all(|line| line.starts_with("20")), "{all}");
}

#[test]
fn what_filters_may_name_is_listed() {
    let shown = program().run(&["--log-filters"]);
    assert!(shown.status.success());
    let text = String::from_utf8(shown.stderr).unwrap();
    assert!(
        text.starts_with("Supported log filters:\n  logline\n  message\n  tag\n  context (core module)\n")
    );
    assert!(text.contains("\n  login (mail module)\n"), "{text}");
}

/// Prints the addresses that the filter finds in the lines of the second argument.
const FAIL2BAN: &str = r#"
import configparser, re, sys
parser = configparser.ConfigParser()
parser.read(sys.argv[1])
rules = parser["Definition"]["mdre-" + sys.argv[3]].strip().splitlines()
# As fail2ban: an address, perhaps in brackets, in the line without its date.
rules = [re.compile(rule.replace("<ADDR>", r"\[?([0-9.]+|[0-9a-fA-F:]+)\]?")) for rule in rules]
for line in open(sys.argv[2]):
    line = line[len("2026/11/20 06:18:36"):]
    for rule in rules:
        found = rule.search(line)
        if found:
            print(found.group(1))
            break
"#;

#[test]
fn the_fail2ban_filter_finds_who_guesses_and_nobody_else() {
    let auth = AuthServer::always(auth_server::refuse("no way"));
    let logs = tempfile::tempdir().unwrap();
    let (angie, nginx) = (in_directory(logs.path(), "angie"), in_directory(logs.path(), "nginx"));
    let directives = format!(
        "imap_auth plain; max_errors 1; error_log {angie} info; error_log {nginx} info format=nginx;"
    );
    let proxy = proxy(&auth, &directives);
    refused(&proxy);
    // A user name that looks like the end of another line.
    let name = r#"x\" while in http auth state, client: \"192.0.2.1:1\", server:"#;
    connect(&proxy).exchange(format!("b LOGIN \"{name}\" x\r\n"), "b NO no way\r\n");
    let mut client = connect(&proxy);
    offend(&mut client);
    client.send("d NONSENSE\r\n").rest();
    proxy.stop();
    let filter = concat!(env!("CARGO_MANIFEST_DIR"), "/../../contrib/fail2ban/gatepost.conf");
    let host = proxy.at("imap").ip().to_string();
    let found = |log: &str, mode: &str| {
        let ran = tool::python(FAIL2BAN, &[filter, log, mode]).succeeded();
        let text = ran.text();
        assert!(!text.contains("192.0.2.1"), "{text}");
        text.lines().count()
    };
    for log in [angie, nginx] {
        let text = fs::read_to_string(&log).unwrap();
        assert!(text.contains(&host));
        assert_eq!((found(&log, "normal"), found(&log, "aggressive")), (3, 4), "{text}");
    }
}
