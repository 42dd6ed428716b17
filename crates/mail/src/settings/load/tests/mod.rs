//! Texts of `mail {}` to settings, or to the exact fault.

mod limits;
mod peers;
mod tls;

use std::io;
use std::path::{Path, PathBuf};

use conf::{Disk, Names, Sources, Warnings};
use proto::sasl::Mechanisms;
use proto::{Limits, Mechanism, Starttls};

use super::*;
use crate::settings::ProtocolSettings;
use crate::settings::listen::{Keepalive, SocketOptions};
use crate::settings::log::{Destination, ErrorLog, Level};

/// A server that lacks nothing.
const SERVER: &str = "server { listen 127.0.0.1:143; auth_http 127.0.0.1; }";

fn around() -> Surroundings {
    Surroundings {
        directory: PathBuf::from("/etc/gatepost"),
        prefix: PathBuf::from("/var/lib/gatepost"),
        host_name: "Mail.Example.ORG".to_owned(),
        flavour: crate::flavour::Flavour::Gatepost,
    }
}

/// Files that directives name while they are read.
fn file(path: &Path) -> io::Result<Vec<u8>> {
    let text: &[u8] = match path.to_str() {
        Some("/etc/resolv.conf") => b"nameserver 192.0.2.53\nnameserver ::1\n",
        Some("bad.conf") => b"search example.org\nnameserver dns\n",
        Some("empty.conf" | "/etc/gatepost/empty") => b"",
        Some("/etc/gatepost/phrases") => b"one\n\n two \r\n",
        Some("/etc/gatepost/long") => &[b'x'; 512],
        _ => return Err(io::Error::from_raw_os_error(2)),
    };
    Ok(text.to_vec())
}

/// A world of two names, beside the addresses that the system reads in its own way.
fn names() -> Names {
    Names::asking(|name| match name {
        "both" => Ok(vec![[192, 0, 2, 7].into(), "2001:db8::7".parse().unwrap()]),
        "localhost" | "127.1" => Ok(vec![[127, 0, 0, 1].into()]),
        _ => Err(io::ErrorKind::NotFound.into()),
    })
}

fn disk() -> Disk<'static> {
    Disk { directory: Path::new("/etc/gatepost"), read: &file }
}

/// What came of reading `text` as the inside of `mail {}`: the settings or the fault, and the warnings.
fn read(text: &str) -> (Result<Mail, String>, Vec<String>) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x");
    std::fs::write(&path, text).unwrap();
    let block = conf::parse_file(&path, &mut Sources::new());
    let short = |text: String| text.replace(&path.display().to_string(), "x");
    let (vocabulary, warnings) = (vocabulary(Vocabulary::new()), Warnings::new());
    let mut mail = MailBlock::default();
    let result = mail
        .read(
            &block,
            &Reading { vocabulary: &vocabulary, warnings: &warnings, names: &names(), disk: disk() },
        )
        .and_then(|()| mail.resolve(&around()))
        .map_err(|fault| short(fault.to_string()));
    (result, warnings.into_vec().iter().map(|warning| short(warning.to_string())).collect())
}

fn settings(text: &str) -> Mail {
    read(text).0.unwrap_or_else(|fault| panic!("{text}: {fault}"))
}

fn fault(text: &str) -> String {
    read(text).0.err().unwrap_or_default()
}

/// The fault of `directives` in a server that has everything else.
fn fault_in_server(directives: &str) -> String {
    fault(&format!("server {{ listen 127.0.0.1:143; auth_http 127.0.0.1; {directives} }}"))
}

fn front(server: &Server) -> (&'static str, &proto::Settings) {
    match &server.protocol {
        ProtocolSettings::Imap(settings) => ("imap", settings),
        ProtocolSettings::Pop3(settings) => ("pop3", settings),
        ProtocolSettings::Smtp(settings) => ("smtp", settings),
    }
}

/// Endpoint, server, and what else the socket serves.
fn listens(text: &str) -> Vec<String> {
    let show = |listen: &crate::settings::Listen| {
        let exact: Vec<String> =
            listen.exact.iter().map(|(addr, door)| format!("{addr}>{}", door.server)).collect();
        format!("{}>{} [{}]", listen.endpoint, listen.door.server, exact.join(" "))
    };
    settings(text).listens.iter().map(show).collect()
}

#[test]
fn an_empty_block_is_fine() {
    let mail = settings("");
    assert!(mail.servers.is_empty() && mail.listens.is_empty());
}

#[test]
fn what_is_not_said_has_its_default() {
    let mail = settings(SERVER);
    let server = &mail.servers[0];
    assert_eq!(server.core.server_name, "mail.example.org");
    assert_eq!(server.core.timeout, Duration::from_mins(1));
    assert_eq!(server.core.error_logs, []);
    let auth_http = server.auth_http.as_ref().unwrap();
    assert_eq!((auth_http.timeout, auth_http.headers.len()), (Duration::from_mins(1), 0));
    assert!(!auth_http.pass_client_cert);
    assert_eq!(server.auth_user_file, None);
    let proxy = &server.proxy;
    assert_eq!((proxy.buffer, proxy.timeout), (4096, Duration::from_hours(24)));
    assert!(!proxy.pass_error_message && !proxy.smtp_auth && proxy.xclient && !proxy.keepalive);
    assert_eq!(server.greeting_delay, Duration::ZERO);
    let (protocol, front) = front(server);
    assert_eq!((protocol, front.server_name.as_str()), ("imap", "mail.example.org"));
    assert_eq!(front.limits, Limits { line: 4096, errors: 5, commands: 1000 });
    assert_eq!(front.capabilities, ["IMAP4", "IMAP4rev1", "UIDPLUS"]);
    assert_eq!(front.mechanisms, Mechanisms::NONE.with(Mechanism::Plain));
    assert_eq!(front.starttls, Starttls::Off);
    assert_eq!(mail.listens[0].options, SocketOptions::default());
}

#[test]
fn protocols_differ_in_their_defaults() {
    let text = "auth_http h; server { listen 127.0.0.1:110; } server { listen 127.0.0.1:25; }";
    let mail = settings(text);
    let (protocol, pop3) = front(&mail.servers[0]);
    assert_eq!((protocol, pop3.limits.line), ("pop3", 4096));
    assert_eq!(pop3.capabilities, ["TOP", "USER", "UIDL"]);
    let both = Mechanisms::NONE.with(Mechanism::Plain).with(Mechanism::Login);
    assert_eq!(pop3.mechanisms, both);
    let (protocol, smtp) = front(&mail.servers[1]);
    assert_eq!((protocol, smtp.capabilities.len(), smtp.mechanisms), ("smtp", 0, both));
}

#[test]
fn what_is_said_is_so() {
    let mail = settings(
        "server_name mx.example.org; timeout 5s; max_errors 1; max_commands 7; resolver off; resolver_timeout 1s;
         auth_http http://[::1]:9000/auth https://auth.example.org; auth_http_timeout 500ms;
         auth_http_header X-Key 'a b'; auth_http_header X-Empty ''; auth_http_pass_client_cert on;
         auth_user_file users; proxy on; proxy_buffer 8k; proxy_timeout 1h; proxy_pass_error_message on;
         proxy_smtp_auth on; proxy_protocol off; xclient off; so_keepalive on; starttls off;
         smtp_client_buffer 1k; smtp_greeting_delay 2s; smtp_capabilities 'SIZE 10' DSN; smtp_capabilities X;
         smtp_auth none LOGIN; smtp_auth xoauth2; error_log log/a info; error_log stderr;
         server { protocol smtp; listen 127.0.0.1:2525; }",
    );
    let server = &mail.servers[0];
    assert_eq!(
        (server.core.server_name.as_str(), server.core.timeout),
        ("mx.example.org", Duration::from_secs(5))
    );
    let log = |destination, level| ErrorLog {
        at: server.core.error_logs[0].at.clone(),
        ..ErrorLog::new(destination, level, crate::flavour::Flavour::Gatepost)
    };
    let file = Destination::File("/var/lib/gatepost/log/a".into());
    assert_eq!(server.core.error_logs, [log(file, Level::Info), log(Destination::Stderr, Level::Error)]);
    let auth_http = server.auth_http.as_ref().unwrap();
    let urls: Vec<String> =
        auth_http.urls.iter().map(|url| format!("{} {}{}", url.tls, url.target, url.uri)).collect();
    assert_eq!(urls, ["false [::1]:9000/auth", "true auth.example.org:443/"]);
    assert_eq!((auth_http.timeout, auth_http.pass_client_cert), (Duration::from_millis(500), true));
    let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(auth_http.headers, [header("X-Key", "a b"), header("X-Empty", "")]);
    assert_eq!(server.auth_user_file, Some(PathBuf::from("/etc/gatepost/users")));
    let proxy = &server.proxy;
    assert_eq!((proxy.buffer, proxy.timeout), (8192, Duration::from_hours(1)));
    assert!(proxy.pass_error_message && proxy.smtp_auth && !proxy.xclient && proxy.keepalive);
    assert_eq!(server.greeting_delay, Duration::from_secs(2));
    let (protocol, front) = front(server);
    assert_eq!((protocol, front.limits), ("smtp", Limits { line: 1024, errors: 1, commands: 7 }));
    assert_eq!(front.capabilities, ["SIZE 10", "DSN", "X"]);
    let expected = [Mechanism::None, Mechanism::Login, Mechanism::Xoauth2].into_iter().collect();
    assert_eq!(front.mechanisms, expected);
}

#[test]
fn a_server_replaces_what_mail_says_wherever_it_stands() {
    let mail = settings(
        "server { listen 127.0.0.1:143; imap_capabilities A; imap_auth external; auth_http_header X 1;
                  error_log stderr emerg; timeout 1s; server_name ''; }
         server { listen 127.0.0.2:143; }
         auth_http h; imap_capabilities B C; imap_auth cram-md5; auth_http_header Y 2; auth_http_header Z 3;
         error_log /log debug; timeout 2s; server_name outer;",
    );
    let seen = |server: &Server| {
        let (_, front) = front(server);
        let auth_http = server.auth_http.as_ref().unwrap();
        let headers: Vec<&str> = auth_http.headers.iter().map(|(name, _)| name.as_str()).collect();
        format!(
            "{:?} {} {:?} {:?} {} {}",
            front.capabilities,
            headers.join(","),
            server.core.error_logs[0].destination,
            server.core.timeout,
            server.core.server_name,
            front.mechanisms.listed().collect::<Vec<_>>().join(",")
        )
    };
    assert_eq!(seen(&mail.servers[0]), "[b\"A\"] X Stderr 1s mail.example.org EXTERNAL");
    assert_eq!(seen(&mail.servers[1]), "[b\"B\", b\"C\"] Y,Z File(\"/log\") 2s outer CRAM-MD5");
}

#[test]
fn the_last_auth_http_and_the_last_protocol_win() {
    let mail =
        settings("server { listen 127.0.0.1:1; protocol imap; protocol pop3; auth_http a; auth_http b; }");
    assert_eq!(front(&mail.servers[0]).0, "pop3");
    assert_eq!(mail.servers[0].auth_http.as_ref().unwrap().urls[0].host, "b");
}

#[test]
fn a_users_file_will_do_instead_of_an_auth_server() {
    let mail = settings("server { listen 127.0.0.1:143; auth_user_file /users; }");
    assert!(mail.servers[0].auth_http.is_none());
    assert_eq!(mail.servers[0].auth_user_file, Some(PathBuf::from("/users")));
}

#[test]
fn a_tiny_proxy_buffer_still_holds_a_line() {
    let mail = settings(&format!("proxy_buffer 0; {SERVER}"));
    assert_eq!(mail.servers[0].proxy.buffer, 512);
}

#[test]
fn the_first_well_known_port_tells_the_protocol() {
    for (inside, expected) in [
        ("listen 127.0.0.1:143;", "imap"),
        ("listen 127.0.0.1:993;", "imap"),
        ("listen 127.0.0.1:110;", "pop3"),
        ("listen 127.0.0.1:995;", "pop3"),
        ("listen 127.0.0.1:25;", "smtp"),
        ("listen 127.0.0.1:465;", "smtp"),
        ("listen 127.0.0.1:587;", "smtp"),
        ("listen 143; listen 110;", "imap"),
        ("listen 1430; listen 110;", "pop3"),
        ("listen 143; protocol smtp;", "smtp"),
        ("protocol smtp; listen 143;", "smtp"),
        ("listen 110-143;", "pop3"),
    ] {
        let mail = settings(&format!("auth_http h; server {{ {inside} }}"));
        assert_eq!(front(&mail.servers[0]).0, expected, "{inside}");
    }
}

#[test]
fn a_wildcard_serves_the_addresses_of_its_port() {
    assert_eq!(
        listens(
            "auth_http h;
             server { listen 127.0.0.1:143; listen 127.0.0.3:143 bind; listen 127.0.0.4:143 backlog=5; }
             server { listen 143; }
             server { listen 127.0.0.2:143; listen 127.0.0.2:144; listen [::1]:143; listen unix:/s; }"
        ),
        [
            "127.0.0.3:143>0 []",
            "127.0.0.4:143>0 []",
            "0.0.0.0:143>1 [127.0.0.1:143>0 127.0.0.2:143>2]",
            "127.0.0.2:144>2 []",
            "[::1]:143>2 []",
            "unix:/s>2 []",
        ]
    );
    assert_eq!(
        listens("auth_http h; server { listen [::1]:143; listen [::]:143; }"),
        ["[::]:143>0 [[::1]:143>0]"]
    );
}

#[test]
fn sockets_whose_port_the_system_chooses_are_never_shared() {
    let text = "auth_http h; server { protocol imap; listen 127.0.0.1; listen *; }";
    assert_eq!(listens(text), ["127.0.0.1:0>0 []", "0.0.0.0:0>0 []"]);
    let warnings = read(text).1;
    let warning = |address| {
        format!("no port in \"{address}\" of the \"listen\" directive, the system will choose one in x:1")
    };
    assert_eq!(warnings, [warning("127.0.0.1"), warning("*")]);
}

#[test]
fn names_have_all_their_addresses() {
    let listens = listens("auth_http h; server { listen both:143; }");
    assert_eq!(listens, ["192.0.2.7:143>0 []", "[2001:db8::7]:143>0 []"]);
}

#[test]
fn the_parameters_before_a_greeting_belong_to_the_address() {
    let mail = settings(
        "auth_http h;
         server { listen 143; listen 993 ssl; listen 127.0.0.1:993; listen 127.0.0.2:143 proxy_protocol ssl; }",
    );
    let shown = |door: &crate::settings::Door| format!("ssl {} proxy {}", door.ssl, door.proxy_protocol);
    let doors: Vec<_> = mail
        .listens
        .iter()
        .map(|listen| (shown(&listen.door), listen.exact.iter().map(|(_, door)| shown(door)).collect()))
        .collect();
    let plain = || "ssl false proxy false".to_owned();
    assert_eq!(
        doors,
        [
            (plain(), vec!["ssl true proxy true".to_owned()]),
            ("ssl true proxy false".to_owned(), vec![plain()]),
        ]
    );
}

#[test]
fn parameters_of_listen_are_options_of_the_socket() {
    let options = |parameters: &str| {
        settings(&format!("auth_http h; server {{ listen 127.0.0.1:143 {parameters}; }}")).listens[0]
            .options
            .clone()
    };
    assert_eq!(options("bind"), SocketOptions::default());
    let expected = SocketOptions {
        backlog: Some(9),
        rcvbuf: Some(8192),
        sndbuf: Some(1024),
        ipv6only: Some(false),
        keepalive: Some(Keepalive::On {
            idle: Some(Duration::from_mins(30)),
            interval: None,
            count: Some(10),
        }),
        reuseport: true,
        multipath: true,
    };
    let all = "backlog=5 backlog=9 rcvbuf=8k sndbuf=1k ipv6only=off so_keepalive=30m::10 reuseport multipath";
    assert_eq!(options(all), expected);
}

#[test]
fn several_blocks_count_as_one() {
    let (vocabulary, warnings) = (vocabulary(Vocabulary::new()), Warnings::new());
    let reading = Reading { vocabulary: &vocabulary, warnings: &warnings, names: &names(), disk: disk() };
    let dir = tempfile::tempdir().unwrap();
    let mut mail = MailBlock::default();
    for (name, text) in [("a", "timeout 9s; server { listen 127.0.0.1:143; }"), ("b", "auth_http h;")] {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        mail.read(&conf::parse_file(&path, &mut Sources::new()), &reading).unwrap();
    }
    let settings = mail.resolve(&around()).unwrap();
    assert_eq!(settings.servers[0].core.timeout, Duration::from_secs(9));
    let path = dir.path().join("c");
    std::fs::write(&path, "timeout 8s;").unwrap();
    let fault = mail.read(&conf::parse_file(&path, &mut Sources::new()), &reading).unwrap_err();
    assert_eq!(fault.to_string(), format!("\"timeout\" directive is duplicate in {}:1", path.display()));
}

#[test]
fn servers_must_be_complete() {
    for (text, expected) in [
        ("server {\n}", "no \"listen\" is defined for server in x:1"),
        ("auth_http h;\nserver {\nlisten 127.0.0.1:1;\n}", "unknown mail protocol for server in x:2"),
        ("server { listen 127.0.0.1:143; }", "no \"auth_http\" is defined for server in x:1"),
        ("server { listen unix:/s; auth_http h; }", "unknown mail protocol for server in x:1"),
        // What is missing in a later server is found before what is checked later.
        (
            "server { listen 127.0.0.1:143; }\nserver { listen 127.0.0.1:1; auth_http h; }",
            "unknown mail protocol for server in x:2",
        ),
        ("server {} server x {}", "no \"listen\" is defined for server in x:1"),
        ("server x {}", "invalid number of arguments in \"server\" directive in x:1"),
        ("server;", "directive \"server\" has no opening \"{\" in x:1"),
    ] {
        assert_eq!(fault(text), expected, "{text}");
    }
}

#[test]
fn directives_stand_in_their_contexts() {
    for (text, expected) in [
        ("listen 143;", "\"listen\" directive is not allowed here in x:1"),
        ("protocol imap;", "\"protocol\" directive is not allowed here in x:1"),
        ("server { server { } }", "\"server\" directive is not allowed here in x:1"),
        ("server { root /; }", "\"root\" directive is not allowed here in x:1"),
        ("proxy_pass x;", "\"proxy_pass\" directive is not allowed here in x:1"),
        ("ssl on;", "unknown directive \"ssl\" in x:1"),
        ("imap_ssl on;", "unknown directive \"imap_ssl\" in x:1"),
        ("auth x;", "unknown directive \"auth\" in x:1"),
    ] {
        assert_eq!(fault(text), expected, "{text}");
    }
}

#[test]
fn listen_is_refused_in_the_words_of_the_originals() {
    let address =
        |words: &str, address: &str| format!("{words} in \"{address}\" of the \"listen\" directive in x:1");
    for (arguments, expected) in [
        ("0", address("invalid port", "0")),
        ("::1", address("invalid port", "::1")),
        ("9145-9143", address("invalid port range", "9145-9143")),
        ("''", address("no host", "")),
        ("[::1:143", address("invalid host", "[::1:143")),
        ("[::zz]:1", address("invalid IPv6 address", "[::zz]:1")),
        ("unix:", address("no path in the unix domain socket", "unix:")),
        ("127.0.0.1:143", "duplicate \"127.0.0.1:143\" address and port pair in x:1".to_owned()),
        ("127.1:143", "duplicate \"127.0.0.1:143\" address and port pair in x:1".to_owned()),
        ("1 backlog=0", "invalid backlog \"backlog=0\" in x:1".to_owned()),
        ("1 backlog=-1", "invalid backlog \"backlog=-1\" in x:1".to_owned()),
        ("1 backlog=4294967296", "invalid backlog \"backlog=4294967296\" in x:1".to_owned()),
        ("1 rcvbuf=x", "invalid rcvbuf \"rcvbuf=x\" in x:1".to_owned()),
        ("1 sndbuf=1g", "invalid sndbuf \"sndbuf=1g\" in x:1".to_owned()),
        ("1 ipv6only=ox", "invalid ipv6only flags \"ox\" in x:1".to_owned()),
        ("1 ipv6only=yes", "invalid parameter \"ipv6only=yes\" in x:1".to_owned()),
        ("1 ipv6only=ON", "invalid parameter \"ipv6only=ON\" in x:1".to_owned()),
        ("1 so_keepalive=::", "invalid so_keepalive value: \"::\" in x:1".to_owned()),
        ("1 deferred", "invalid parameter \"deferred\" in x:1".to_owned()),
        ("1 default_server", "invalid parameter \"default_server\" in x:1".to_owned()),
        ("1 ssl=on", "invalid parameter \"ssl=on\" in x:1".to_owned()),
        ("1 bind=1", "invalid parameter \"bind=1\" in x:1".to_owned()),
        ("1 Bind", "invalid parameter \"Bind\" in x:1".to_owned()),
    ] {
        assert_eq!(fault_in_server(&format!("listen {arguments};")), expected, "{arguments}");
    }
    let twice = "auth_http h; server { listen unix:/s; protocol imap; } server { listen UNIX:/s; }";
    assert_eq!(fault(twice), "duplicate \"UNIX:/s\" address and port pair in x:1");
    let zero = "auth_http h; server { listen 127.0.0.1; listen 127.0.0.1; }";
    assert_eq!(fault(zero), "duplicate \"127.0.0.1:0\" address and port pair in x:1");
    assert_eq!(fault_in_server("listen;"), "invalid number of arguments in \"listen\" directive in x:1");
}

#[test]
fn values_are_refused_in_the_words_of_the_originals() {
    for (directive, expected) in [
        ("protocol IMAP", "unknown protocol \"IMAP\""),
        ("timeout 1M", "\"timeout\" directive invalid value"),
        ("max_errors -1", "\"max_errors\" directive invalid number"),
        ("imap_client_buffer 1g", "\"imap_client_buffer\" directive invalid value"),
        ("imap_auth none", "invalid value \"none\""),
        ("imap_auth apop", "invalid value \"apop\""),
        ("pop3_auth login", "invalid value \"login\""),
        ("smtp_auth apop", "invalid value \"apop\""),
        ("auth_http https://auth:0", "invalid port in auth_http \"auth:0\""),
        ("auth_http HTTP://auth/", "invalid port in auth_http \"HTTP://auth/\""),
        ("auth_http http://", "no host in auth_http \"\""),
        ("auth_http a 'b c'", "invalid host in auth_http \"b c\""),
        ("auth_http_header 'a b' c", "invalid header \"a b\" in \"auth_http_header\" directive"),
        ("auth_http_header '' c", "invalid header \"\" in \"auth_http_header\" directive"),
        ("auth_http_header a 'x\\r\\ny'", "invalid header \"x\r\ny\" in \"auth_http_header\" directive"),
        ("auth_http_header a", "invalid number of arguments in \"auth_http_header\" directive"),
        ("proxy maybe", "invalid value \"maybe\" in \"proxy\" directive, it must be \"on\" or \"off\""),
        ("so_keepalive 1", "invalid value \"1\" in \"so_keepalive\" directive, it must be \"on\" or \"off\""),
        ("error_log x loud", "invalid log level \"loud\""),
        ("error_log x INFO", "invalid log level \"INFO\""),
        ("error_log x info loud", "invalid parameter \"loud\""),
        ("error_log x info warn", "duplicate log level \"warn\""),
        ("error_log x info debug_mail", "invalid log level \"debug_mail\""),
        ("error_log x debug_mail info", "duplicate log level \"info\""),
        ("timeout 1; timeout x", "\"timeout\" directive is duplicate"),
        ("auth_user_file a; auth_user_file b", "\"auth_user_file\" directive is duplicate"),
        ("proxy on; proxy on", "\"proxy\" directive is duplicate"),
        ("resolver off; resolver off", "\"resolver\" directive is duplicate"),
    ] {
        assert_eq!(fault_in_server(&format!("{directive};")), format!("{expected} in x:1"), "{directive}");
    }
}

#[test]
fn levels_of_logs_are_words_or_parts_of_debug() {
    let level =
        |words: &str| settings(&format!("error_log x {words}; {SERVER}")).servers[0].core.error_logs[0].level;
    for (words, expected) in [
        ("", Level::Error),
        ("emerg", Level::Emerg),
        ("debug", Level::Debug),
        ("debug_http", Level::Info),
        ("debug_http debug_mail debug_core", Level::Debug),
    ] {
        assert_eq!(level(words), expected, "{words}");
    }
    assert_eq!(settings(&format!("error_log off; {SERVER}")).servers[0].core.error_logs[0].destination, {
        Destination::File("/var/lib/gatepost/off".into())
    });
}

#[test]
fn every_directive_says_what_it_is() {
    for chapter in chapters() {
        for entry in chapter.entries() {
            assert!(!entry.doc.text.is_empty() && !entry.doc.syntax.is_empty(), "{}", entry.name);
            assert!(entry.doc.text.ends_with('.'), "{}", entry.name);
        }
    }
}
