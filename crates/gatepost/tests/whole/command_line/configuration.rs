//! `-t` and `-T`, and starts that fail.

use std::fs;
use std::path::Path;

use rig::port;

use super::{Prefix, run};

fn mail(server: &str) -> String {
    format!("events {{}}\nmail {{\n    auth_http localhost:9000/auth;\n    server {{ {server} }}\n}}\n")
}

#[test]
fn a_good_configuration_is_called_so() {
    let prefix = Prefix::new(&mail(&format!("listen {}; protocol imap;", port::free())));
    let ran = prefix.run(&["-t"]).succeeded();
    let expected = "gatepost: the configuration file conf syntax is ok\n\
         gatepost: configuration file conf test is successful\n";
    assert_eq!((prefix.short(&ran.stderr).as_str(), ran.text().as_str()), (expected, ""));
    assert_eq!(prefix.read("pid"), "", "as with the originals the pid file is made");
    assert!(prefix.path("pid").exists() && prefix.path("error.log").exists());
    assert_eq!(prefix.run(&["-t", "-q"]).succeeded().stderr, "");
    assert_eq!(prefix.run(&["-qt"]).succeeded().stderr, "");
}

#[test]
fn a_typo_is_told_with_file_and_line_and_ends_with_1() {
    let prefix = Prefix::new(&mail("listen 143; protcol imap;"));
    let ran = prefix.run(&["-t"]);
    assert_eq!(ran.status.code(), Some(1));
    let expected = "gatepost: [emerg] unknown directive \"protcol\" in conf:5\n\
         gatepost: configuration file conf test failed\n";
    assert_eq!(prefix.short(&ran.stderr), expected);
    assert!(prefix.read("start.log").contains("[emerg] "), "{}", prefix.read("start.log"));
    let started = prefix.run(&[]);
    assert_eq!(started.status.code(), Some(1));
    assert_eq!(prefix.short(&started.stderr), expected.lines().next().unwrap().to_owned() + "\n");
}

#[test]
fn a_typo_in_an_included_file_is_told_with_that_file() {
    let prefix = Prefix::new(&mail("include server.inc;"));
    prefix.write("server.inc", "listen 143;\nprotocol imap4;\n");
    let ran = prefix.run(&["-t"]).failed();
    assert!(prefix.short(&ran.stderr).contains("in server.inc:2\n"), "{}", ran.stderr);
}

#[test]
fn a_missing_configuration_is_told() {
    let prefix = Prefix::new("");
    fs::remove_file(prefix.path("conf")).unwrap();
    let ran = prefix.run(&["-t"]);
    assert_eq!(ran.status.code(), Some(1));
    let told = prefix.short(&ran.stderr);
    assert!(
        told.starts_with("gatepost: [emerg] open() \"conf\" failed (2: No such file or directory)\n"),
        "{told}"
    );
}

#[test]
fn the_dump_holds_every_file_once_and_nothing_else() {
    let prefix = Prefix::new(&mail(&format!("listen {}; include a.inc; include a.inc;", port::free())));
    prefix.write("a.inc", "# nothing here\nprotocol imap;");
    let ran = prefix.run(&["-T", "-q"]).succeeded();
    let expected = format!(
        "# configuration file conf:\n{}\n# configuration file a.inc:\n{}\n",
        prefix.read("conf"),
        prefix.read("a.inc")
    );
    assert_eq!(prefix.short(&ran.text()), expected);
}

#[test]
fn directives_of_the_command_line_come_first() {
    let prefix = Prefix::new(&mail(&format!("listen {}; protocol imap;", port::free())));
    prefix.run(&["-t", "-g", "worker_processes 2; worker_rlimit_nofile 100;"]).succeeded();
    let ran = prefix.run(&["-t", "-g", "pid other;"]).failed();
    assert!(prefix.short(&ran.stderr).contains("\"pid\" directive is duplicate in conf:1"), "{}", ran.stderr);
    let ran = prefix.run(&["-t", "-g", "nonsense on;"]).failed();
    assert!(ran.stderr.contains("unknown directive \"nonsense\" in command line"), "{}", ran.stderr);
}

#[test]
fn an_address_in_use_is_no_mistake_of_the_configuration() {
    let taken = std::net::TcpListener::bind((port::host(), 0)).unwrap();
    let prefix = Prefix::new(&mail(&format!("listen {}; protocol imap;", taken.local_addr().unwrap())));
    prefix.run(&["-t"]).succeeded();
}

#[test]
fn what_a_start_needs_is_tried() {
    let address = port::free();
    let prefix = Prefix::new(&mail("listen 192.0.2.1:143;"));
    let ran = prefix.run(&["-t"]).failed();
    assert!(
        ran.stderr.contains("[emerg] bind() to 192.0.2.1:143 failed (99: Cannot assign requested address)"),
        "{}",
        ran.stderr
    );
    let prefix = Prefix::new(&mail(&format!("listen {address}; protocol imap; auth_user_file missing;")));
    let ran = prefix.run(&["-t"]).failed();
    assert!(
        prefix
            .short(&ran.stderr)
            .contains("cannot read users file \"missing\" (2: No such file or directory)\n"),
        "{}",
        ran.stderr
    );
    let prefix = Prefix::new(&mail(&format!("listen {address}; protocol imap; error_log none/x info;")));
    let ran = prefix.run(&["-t"]).failed();
    assert!(prefix.short(&ran.stderr).contains("open() \"none/x\" failed (2: "), "{}", ran.stderr);
}

#[test]
fn a_unix_socket_is_tried_and_taken_away_again() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("imap");
    let prefix = Prefix::new(&mail(&format!("listen unix:{}; protocol imap;", path.display())));
    prefix.run(&["-t"]).succeeded();
    assert!(!path.exists());
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    prefix.run(&["-t"]).succeeded();
    assert!(path.exists(), "a socket that was there is another's");
}

#[test]
fn what_will_never_work_is_refused_by_name_and_reason() {
    let server = format!("listen {}; protocol imap; ssl_certificate x; ssl_stapling on;", port::free());
    let ran = Prefix::new(&mail(&server)).run(&["-t"]).failed();
    let expected = "\"ssl_stapling\" directive is not allowed here in ";
    assert!(ran.stderr.contains(expected) && ran.stderr.contains("conf:5"), "{}", ran.stderr);
    let ran = Prefix::new("ssl_engine pkcs11; events {}").run(&["-t"]).failed();
    let expected = "\"ssl_engine\" directive is not supported: engines belong to OpenSSL";
    assert!(ran.stderr.contains(expected) && ran.stderr.contains("conf:2"), "{}", ran.stderr);
}

#[test]
fn every_example_of_the_documentation_is_good() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/examples");
    let mut seen = 0;
    for entry in fs::read_dir(examples).expect("there are examples") {
        let file = entry.unwrap().path();
        if file.extension().is_some_and(|extension| extension == "conf") {
            let prefix = tempfile::tempdir().unwrap();
            let (prefix, file) = (prefix.path().to_str().unwrap(), file.to_str().unwrap());
            let ran = run(&["-t", "-p", prefix, "-e", "start.log", "-c", file]).succeeded();
            let expected = format!(
                "gatepost: the configuration file {file} syntax is ok\n\
                 gatepost: configuration file {file} test is successful\n"
            );
            assert!(ran.stderr.ends_with(&expected), "{}", ran.stderr);
            let warnings = ran.stderr.trim_end_matches(&expected);
            let foreign = warnings.lines().all(|line| line.contains("[warn] \"http\" block"));
            assert!(foreign, "{warnings}");
            seen += 1;
        }
    }
    assert!(seen >= 4, "{seen}");
}
