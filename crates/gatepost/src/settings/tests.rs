//! Whole files to settings, or to the exact fault.

use std::fs;
use std::net::SocketAddr;
use std::time::Duration;

use mail::address::{ClientAddr, written};
use mail::settings::log::{ErrorLog, Level};
use tempfile::TempDir;

use super::process::Account;
use super::*;

/// The example of the nginx and Angie documentation of the mail core module.
const EXAMPLE: &str = r#"
worker_processes auto;

error_log /var/log/nginx/error.log info;

events {
    worker_connections  1024;
}

mail {
    server_name       mail.example.com;
    auth_http         localhost:9000/cgi-bin/nginxauth.cgi;

    imap_capabilities IMAP4rev1 UIDPLUS IDLE LITERAL+ QUOTA;

    pop3_auth         plain apop cram-md5;
    pop3_capabilities LAST TOP USER PIPELINING UIDL;

    smtp_auth         login plain cram-md5;
    smtp_capabilities "SIZE 10485760" ENHANCEDSTATUSCODES 8BITMIME DSN;
    xclient           off;

    server {
        listen   25;
        protocol smtp;
    }
    server {
        listen   110;
        protocol pop3;
        proxy_pass_error_message on;
    }
    server {
        listen   143;
        protocol imap;
    }
    server {
        listen   587;
        protocol smtp;
    }
}
"#;

/// The least that is a configuration.
const LEAST: &str = "events { }";

/// A configuration on disk and how it is asked for.
struct Case {
    dir: TempDir,
    directives: Option<&'static str>,
    flavour: Flavour,
    superuser: bool,
}

impl Case {
    fn new(text: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("main.conf"), text).unwrap();
        Self { dir, directives: None, flavour: Flavour::Gatepost, superuser: false }
    }

    fn with(self, file: &str, text: &str) -> Self {
        fs::write(self.dir.path().join(file), text).unwrap();
        self
    }

    fn directives(self, text: &'static str) -> Self {
        Self { directives: Some(text), ..self }
    }

    fn flavour(self, flavour: Flavour) -> Self {
        Self { flavour, ..self }
    }

    fn superuser(self) -> Self {
        Self { superuser: true, ..self }
    }

    fn load(&self) -> Loaded {
        let request = Request {
            flavour: self.flavour,
            file: &self.dir.path().join("main.conf"),
            prefix: Path::new("/prefix/"),
            directives: self.directives.map(OsStr::new),
            error_log: Destination::Stderr,
            machine: Machine {
                host_name: "machine".to_owned(),
                superuser: self.superuser,
                open_files: 1024,
                processors: 3,
            },
        };
        load(&request, written::names())
    }

    fn settings(&self) -> Configuration {
        self.load().outcome.unwrap_or_else(|rejected| panic!("{}", rejected.fault))
    }

    fn fault(&self) -> String {
        self.load().outcome.err().map(|rejected| self.short(&rejected.fault)).unwrap_or_default()
    }

    fn phase(&self) -> Option<Phase> {
        self.load().outcome.err().map(|rejected| rejected.phase)
    }

    fn warnings(&self) -> Vec<String> {
        self.load().warnings.iter().map(|warning| self.short(warning)).collect()
    }

    fn short(&self, message: &impl ToString) -> String {
        message.to_string().replace(&format!("{}/", self.dir.path().display()), "")
    }
}

fn fault(text: &str) -> String {
    Case::new(text).fault()
}

#[test]
fn the_example_of_the_originals_documentation_is_understood() {
    let case = Case::new(EXAMPLE);
    let Configuration { process, mail } = case.settings();
    assert_eq!(case.warnings(), [""; 0]);
    assert_eq!((process.threads, process.connections, process.daemon), (3, 1024, true));
    let file = Destination::File("/var/log/nginx/error.log".into());
    let at = process.error_logs[0].at.clone();
    assert_eq!(process.error_logs, [ErrorLog { at, ..ErrorLog::new(file, Level::Info, Flavour::default()) }]);
    let listens: Vec<String> = mail.listens.iter().map(|listen| listen.endpoint.to_string()).collect();
    assert_eq!(listens, ["0.0.0.0:25", "0.0.0.0:110", "0.0.0.0:143", "0.0.0.0:587"]);
    let protocols: Vec<&str> = mail.servers.iter().map(|server| server.protocol.protocol().name()).collect();
    assert_eq!(protocols, ["smtp", "pop3", "imap", "smtp"]);
    let pop3 = &mail.servers[1];
    assert!(pop3.proxy.pass_error_message && !pop3.proxy.xclient);
    assert_eq!(pop3.protocol.fronts().capabilities, ["LAST", "TOP", "USER", "PIPELINING", "UIDL"]);
    assert_eq!(pop3.core.server_name, "mail.example.com");
    let auth_http = pop3.auth_http.as_ref().unwrap();
    assert_eq!(auth_http.urls[0].target.to_string(), "localhost:9000");
    assert_eq!(auth_http.urls[0].uri, "/cgi-bin/nginxauth.cgi");
}

#[test]
fn a_typo_in_the_example_names_file_and_line() {
    let typo = |right: &str, wrong: &str| fault(&EXAMPLE.replacen(right, wrong, 1));
    assert_eq!(
        typo("imap_capabilities", "imap_capabilitys"),
        "unknown directive \"imap_capabilitys\" in main.conf:14"
    );
    assert_eq!(
        typo("listen   25;", "listen   25"),
        "invalid parameter \"protocol\" in main.conf:25",
        "the missing semicolon makes one statement of two lines"
    );
    assert_eq!(typo("protocol imap;", "protocol imapd;"), "unknown protocol \"imapd\" in main.conf:34");
}

#[test]
fn what_is_said_about_the_worker_is_so() {
    let case = Case::new(
        "worker_processes 2; worker_cpu_affinity 0101 10; worker_priority -5; working_directory /tmp;
         sandbox on; env A=B; env C; events { }",
    );
    let process = case.settings().process;
    assert_eq!(case.warnings(), [""; 0]);
    assert_eq!(process.affinity, Some(Affinity::Masks(vec![vec![0, 2], vec![1]])));
    assert_eq!((process.priority, process.sandbox), (Some(-5), Sandbox::On));
    assert_eq!(process.directory, Some("/tmp".into()));
    let names: Vec<_> = process.environment.iter().map(|variable| variable.name.as_os_str()).collect();
    assert_eq!(names, ["A", "C"]);
    let long = "1".repeat(1025);
    assert_eq!(
        fault(&format!("worker_cpu_affinity {long};")),
        "\"worker_cpu_affinity\" supports up to 1024 CPUs only in main.conf:1"
    );
    assert_eq!(
        Case::new("worker_cpu_affinity 01 10; events { }").warnings(),
        [
            "the number of \"worker_processes\" is not equal to the number of \"worker_cpu_affinity\" masks, using last \
          mask for remaining worker processes"
        ]
    );
}

#[test]
fn what_is_not_said_has_its_default() {
    let process = Case::new(LEAST).settings().process;
    assert!(process.daemon);
    assert_eq!(process.pid, Some("/run/gatepost.pid".into()));
    assert_eq!((process.threads, process.connections), (1, 512));
    assert_eq!((process.rlimit_nofile, process.rlimit_core, process.shutdown_timeout), (None, None, None));
    assert_eq!(process.account, None);
    assert_eq!(process.error_logs, [ErrorLog::new(Destination::Stderr, Level::Error, Flavour::default())]);
}

#[test]
fn a_syslog_server_alone_is_not_the_log_of_the_process() {
    let logs = |directives: &str| {
        let case = Case::new(&format!("{directives} events {{}}"));
        case.settings().process.error_logs.into_iter().map(|log| log.level).collect::<Vec<_>>()
    };
    assert_eq!(logs("error_log syslog:server=127.0.0.1 info;"), [Level::Info, Level::Error]);
    assert_eq!(
        logs("error_log syslog:server=127.0.0.1 info; error_log stderr warn;"),
        [Level::Info, Level::Warn]
    );
}

#[test]
fn tags_of_the_log_have_no_place_in_the_main_context() {
    let case = Case::new("error_log_user_tag x; events {}");
    assert!(
        case.fault().starts_with("\"error_log_user_tag\" directive is not allowed here in "),
        "{}",
        case.fault()
    );
}

#[test]
fn what_is_said_is_so() {
    let case = Case::new(
        "daemon off; pid run/x.pid; worker_processes 2; worker_rlimit_nofile 9000; worker_rlimit_core 1g;
         worker_shutdown_timeout 1m; error_log logs/a warn; error_log stderr;
         master_process off; env TZ; env A=B; load_module modules/x.so; load_module y.so; lock_file x;
         timer_resolution 100ms; debug_points stop; pcre_jit on; thread_pool default threads=32;
         ssl_object_cache_inheritable off; google_perftools_profiles x; quic_bpf off;
         events { worker_connections 2000; use epoll; multi_accept on; accept_mutex off; accept_mutex_delay 1s;
                  debug_connection 127.0.0.1; debug_connection ::1; epoll_events 1; worker_aio_requests 1; }",
    );
    let process = case.settings().process;
    assert_eq!(case.warnings(), [] as [&str; 0]);
    assert!(process.debugged.contain(ClientAddr::Tcp("127.0.0.1:1".parse().unwrap())));
    assert!(!process.daemon);
    assert_eq!(process.pid, Some("/prefix/run/x.pid".into()));
    assert_eq!((process.threads, process.connections), (2, 2000));
    assert_eq!((process.rlimit_nofile, process.rlimit_core), (Some(9000), Some(1 << 30)));
    assert_eq!(process.shutdown_timeout, Some(Duration::from_mins(1)));
    let file = Destination::File("/prefix/logs/a".into());
    let expected = [(file, Level::Warn), (Destination::Stderr, Level::Error)];
    let seen = process.error_logs.into_iter().map(|log| (log.destination, log.level));
    assert_eq!(seen.collect::<Vec<_>>(), expected);
}

#[test]
fn clients_to_debug_are_addresses_networks_names_and_unix_sockets() {
    let debugged = |directives: &str| {
        let case = Case::new(&format!("events {{ {directives} }}"));
        (case.settings().process.debugged, case.warnings())
    };
    let tcp = |text: &str| ClientAddr::Tcp(SocketAddr::new(text.parse().unwrap(), 1));
    let (peers, warnings) =
        debugged("debug_connection 10.0.0.0/8; debug_connection ::1; debug_connection localhost;");
    assert_eq!(warnings, [] as [&str; 0]);
    for (client, expected) in [("10.1.2.3", true), ("11.1.2.3", false), ("::1", true), ("127.0.0.1", true)] {
        assert_eq!(peers.contain(tcp(client)), expected, "{client}");
    }
    assert!(!peers.contain(ClientAddr::Unix));
    assert!(debugged("debug_connection unix:;").0.contain(ClientAddr::Unix));
    assert!(debugged("").0.are_none());
    let warnings = debugged("debug_connection 10.1.2.3/8;").1;
    assert!(warnings[0].contains("low address bits of 10.1.2.3/8 are meaningless in "), "{warnings:?}");
    let fault = Case::new("events { debug_connection 10.0.0.0/33; }").fault();
    assert!(fault.starts_with("host not found in debug_connection \"10.0.0.0/33\" in "), "{fault}");
}

#[test]
fn a_pid_file_may_be_off() {
    for pid in ["off", "''"] {
        assert_eq!(Case::new(&format!("pid {pid}; {LEAST}")).settings().process.pid, None);
    }
    let nginx = Case::new(LEAST).flavour(Flavour::Nginx).settings();
    assert_eq!(nginx.process.pid, Some("/run/nginx.pid".into()));
}

#[test]
fn zero_seconds_of_shutdown_are_no_limit() {
    let text = format!("worker_shutdown_timeout 0; {LEAST}");
    assert_eq!(Case::new(&text).settings().process.shutdown_timeout, None);
}

#[test]
fn more_threads_than_anyone_can_mean_are_fewer() {
    let threads = |n: &str| Case::new(&format!("worker_processes {n}; {LEAST}")).settings().process.threads;
    assert_eq!((threads("0"), threads("1024"), threads("9223372036854775807")), (0, 1024, 1024));
}

#[test]
fn mistakes_are_worded_as_the_originals_word_them() {
    for (text, expected) in [
        ("worker_processes -1;", "\"worker_processes\" directive invalid value"),
        ("worker_rlimit_nofile 1k;", "\"worker_rlimit_nofile\" directive invalid number"),
        ("user;", "invalid number of arguments in \"user\" directive"),
        ("user a b c;", "invalid number of arguments in \"user\" directive"),
        ("debug_points x;", "invalid value \"x\""),
        ("daemon yes;", "invalid value \"yes\" in \"daemon\" directive, it must be \"on\" or \"off\""),
        ("daemon on; daemon on;", "\"daemon\" directive is duplicate"),
        ("pid a; pid b;", "\"pid\" directive is duplicate"),
        ("pcre_jit on; pcre_jit on;", "\"pcre_jit\" directive is duplicate"),
        ("events { } events { }", "\"events\" directive is duplicate"),
        ("events;", "directive \"events\" has no opening \"{\""),
        ("events { worker_connections x; }", "invalid number \"x\""),
        ("events { use kqueue; }", "invalid event type \"kqueue\""),
        ("events { daemon on; }", "\"daemon\" directive is not allowed here"),
        ("worker_connections 1;", "\"worker_connections\" directive is not allowed here"),
        ("listen 143;", "\"listen\" directive is not allowed here"),
        ("server { }", "\"server\" directive is not allowed here"),
        ("mail { mail { } }", "\"mail\" directive is not allowed here"),
        ("mail { events { } }", "\"events\" directive is not allowed here"),
        ("nonsense;", "unknown directive \"nonsense\""),
        ("worker_cpu_affinity auto 1 1;", "invalid number of arguments in \"worker_cpu_affinity\" directive"),
        ("worker_cpu_affinity 01 2;", "invalid character \"2\" in \"worker_cpu_affinity\""),
        ("worker_priority x;", "\"worker_priority\" directive invalid number"),
        ("worker_priority --5;", "\"worker_priority\" directive invalid number"),
        ("sandbox maybe;", "invalid value \"maybe\""),
        (
            "ssl_engine x;",
            "\"ssl_engine\" directive is not supported: engines belong to OpenSSL, which is not used here",
        ),
        ("error_log syslog:tag=x;", "no syslog server specified"),
    ] {
        let case = Case::new(text);
        assert_eq!(case.fault(), format!("{expected} in main.conf:1"), "{text}");
        assert_eq!(case.phase(), Some(Phase::Syntax), "{text}");
    }
}

#[test]
fn what_shows_only_at_the_end_is_found_in_the_second_phase() {
    for (text, expected) in [
        ("", "no \"events\" section in configuration"),
        ("mail { server { listen 127.0.0.1:1; } }", "no \"events\" section in configuration"),
        ("events { worker_connections 0; }", "0 worker_connections are not enough for 0 listening sockets"),
        (
            "mail { server {\nlisten 127.0.0.1:1;\n} }\nevents { }",
            "unknown mail protocol for server in main.conf:1",
        ),
    ] {
        let case = Case::new(text);
        assert_eq!((case.fault(), case.phase()), (expected.to_owned(), Some(Phase::Meaning)), "{text}");
    }
}

#[test]
fn nginx_counts_the_sockets_of_mail_and_angie_does_not() {
    let text = "events { worker_connections 1; }
                mail { auth_http h; server { listen 127.0.0.1:143; listen 127.0.0.2:143; } }";
    let nginx = Case::new(text).flavour(Flavour::Nginx);
    assert_eq!(nginx.fault(), "1 worker_connections are not enough for 2 listening sockets");
    assert_eq!(Case::new(text).flavour(Flavour::Angie).fault(), "");
}

#[test]
fn more_connections_than_files_are_warned_of() {
    let warnings = |text: &str| Case::new(text).warnings();
    assert_eq!(
        warnings("events { worker_connections 1025; }"),
        ["1025 worker_connections exceed open file resource limit: 1024"]
    );
    assert_eq!(
        warnings("worker_rlimit_nofile 1100; events { worker_connections 1200; }"),
        ["1200 worker_connections exceed open file resource limit: 1100"]
    );
    assert_eq!(warnings("worker_rlimit_nofile 1100; events { worker_connections 1100; }"), [""; 0]);
}

#[test]
fn other_servers_are_skipped_with_a_warning_each() {
    let case = Case::new(
        "events { }
         http { include mime; server { listen 80; location ~ ^/x$ { root /; } } }
         stream { }
         http { map $a ${b} { default 1; } }",
    )
    .with("mime", "types { text/html html; }");
    assert_eq!(case.fault(), "");
    let skipped = |name, line| {
        format!("\"{name}\" block is not supported by a mail proxy and is skipped in main.conf:{line}")
    };
    assert_eq!(case.warnings(), [skipped("http", 2), skipped("stream", 3), skipped("http", 4)]);
    let names = case.load().sources.files().len();
    assert_eq!(names, 2, "what is skipped is still part of the configuration");
    assert_eq!(fault("http { server { ; } }"), "unexpected \";\" in main.conf:1");
}

#[test]
fn directives_of_the_command_line_come_first() {
    let case = Case::new("daemon on;\nevents { }").directives("daemon off; pid off;");
    assert_eq!(case.fault(), "\"daemon\" directive is duplicate in main.conf:1");
    let case = Case::new(LEAST).directives("daemon off; error_log stderr info;");
    let process = case.settings().process;
    assert!(!process.daemon);
    assert_eq!(process.error_logs[0].level, Level::Info);
    for (text, expected) in [
        ("daemon off", "unexpected end of parameter, expecting \";\" in command line"),
        ("events { }", "block directives are not supported in -g option in command line"),
        ("nonsense;", "unknown directive \"nonsense\" in command line"),
        ("events;", "directive \"events\" has no opening \"{\" in command line"),
    ] {
        assert_eq!(Case::new("").directives(text).fault(), expected, "{text}");
    }
}

#[test]
fn several_mail_blocks_count_as_one() {
    let case = Case::new(
        "events { }
         mail { auth_http h; include servers; }
         mail { timeout 5s; server { listen 127.0.0.1:110; } }",
    )
    .with("servers", "server { listen 127.0.0.1:143; }");
    let mail = case.settings().mail;
    let timeouts: Vec<Duration> = mail.servers.iter().map(|server| server.core.timeout).collect();
    assert_eq!(timeouts, [Duration::from_secs(5); 2]);
}

#[test]
fn a_user_is_looked_up_if_it_can_be_become() {
    let root = Case::new(&format!("user root; {LEAST}")).superuser().settings().process.account;
    let expected = Account { name: "root".to_owned(), uid: 0.into(), gid: 0.into() };
    assert_eq!(root, Some(expected));
    let fault = |text: &str| Case::new(text).superuser().fault();
    assert_eq!(fault("user no-such-user-;"), "getpwnam(\"no-such-user-\") failed in main.conf:1");
    assert_eq!(fault("user root no-such-group-;"), "getgrnam(\"no-such-group-\") failed in main.conf:1");
    assert_eq!(fault("user root; user root;"), "\"user\" directive is duplicate in main.conf:1");
}

#[test]
fn a_user_that_cannot_be_become_is_ignored_with_a_warning() {
    let case = Case::new(&format!("user no-such-user-;\n{LEAST}"));
    assert_eq!(case.settings().process.account, None);
    assert_eq!(
        case.warnings(),
        ["the \"user\" directive makes sense only if the master process runs with super-user privileges, \
          ignored in main.conf:1"]
    );
}

#[test]
fn warnings_are_kept_although_the_configuration_is_rejected() {
    let case = Case::new("http { }\nnonsense;");
    assert_eq!(case.fault(), "unknown directive \"nonsense\" in main.conf:2");
    assert_eq!(case.warnings().len(), 1);
}

#[test]
fn this_machine_has_a_name_processors_and_files() {
    let machine = Machine::this();
    assert!(!machine.host_name.is_empty() && machine.processors > 0 && machine.open_files > 0);
    assert_eq!(machine.superuser, nix::unistd::geteuid().is_root());
}
