//! Texts of `error_log` to settings, or to the exact fault.

use std::path::{Path, PathBuf};

use conf::{Disk, Names, Reading, Sources, Vocabulary, Warnings, apply, bind};

use super::*;

/// What came of one `error_log` or of the fault in it, when called as `flavour`.
fn parse_as(flavour: Flavour, text: &str) -> Result<ErrorLog, String> {
    let block = conf::parse_text(text.as_bytes(), &PathBuf::new(), &mut Sources::new());
    let (vocabulary, warnings) = (Vocabulary::new().and(LOG), Warnings::new());
    let names = Names::asking(|name| match name {
        "syslog" => Ok(vec![[192, 0, 2, 7].into(), [192, 0, 2, 8].into()]),
        _ => Err(std::io::ErrorKind::NotFound.into()),
    });
    let disk = Disk { directory: Path::new("/"), read: &|_| Err(std::io::ErrorKind::NotFound.into()) };
    let reading = Reading { vocabulary: &vocabulary, warnings: &warnings, names: &names, disk };
    let around = Surroundings {
        directory: PathBuf::new(),
        prefix: PathBuf::from("/prefix"),
        host_name: "Mail.Example".to_owned(),
        flavour,
    };
    let mut written = LogBlock::default();
    let logs = apply(&block, &mut [&mut bind(LOG, &mut written)], &reading)
        .and_then(|()| written.resolve(&LogBlock::default(), &around));
    logs.map(|logs| logs.into_iter().next().unwrap()).map_err(|fault| fault.to_string())
}

pub(crate) fn parse(text: &str) -> Result<ErrorLog, String> {
    parse_as(Flavour::Gatepost, text)
}

/// The syslog server of `syslog:PARAMETERS`.
fn syslog(parameters: &str) -> Result<SyslogServer, String> {
    parse(&format!("error_log syslog:{parameters};")).map(|log| match log.destination {
        Destination::Syslog(server) => server,
        other => panic!("{other:?}"),
    })
}

#[test]
fn parameters_stand_in_any_order_and_have_the_flavours_defaults() {
    let log = parse("error_log x;").unwrap();
    assert_eq!((log.level, log.format, log.rate), (Level::Error, Format::Angie, 1000));
    assert_eq!(log.destination, Destination::File("/prefix/x".into()));
    let log = parse_as(Flavour::Nginx, "error_log x;").unwrap();
    assert_eq!((log.format, log.rate), (Format::Nginx, 0));
    let log =
        parse("error_log x rate=5 format=json info filter=tag:a rate=7m/s 'filter=login:~^a';").unwrap();
    assert_eq!((log.level, log.format, log.rate, log.filters.len()), (Level::Info, Format::Json, 7, 2));
    let log = parse_as(Flavour::Nginx, "error_log x format=default rate=0;").unwrap();
    assert_eq!((log.format, log.rate), (Format::Nginx, 0));
    assert_eq!(parse("error_log x format=nginx;").unwrap().format, Format::Nginx);
    assert_eq!(parse("error_log stderr;").unwrap().destination, Destination::Stderr);
}

#[test]
fn faults_have_the_originals_words() {
    for (arguments, expected) in [
        ("x loud", "invalid log level \"loud\""),
        ("x info loud", "invalid parameter \"loud\""),
        ("x info warn", "duplicate log level \"warn\""),
        ("x rate=", "invalid rate \"rate=\""),
        ("x rate=x", "invalid rate \"rate=x\""),
        ("x rate=-1", "invalid rate \"rate=-1\""),
        ("x rate=5r/s", "invalid rate \"rate=5r/s\""),
        ("x format=xml", "unknown log format \"xml\""),
        ("x format=", "unknown log format \"\""),
        ("x format=json format=default", "duplicate format= parameter (\"default\")"),
        ("x filter=", "missing filter type in \"\""),
        ("x filter=login", "missing filter type in \"login\""),
        ("x filter=:joe", "missing filter type in \":joe\""),
        ("x filter=login:", "empty filter pattern \"login:\""),
        ("x filter=sourcefile:a.c", "\"error_log\" directive source file filtering requires debug build"),
        ("x 'filter=login:~a('", "regular expression \"a(\" cannot be used: unclosed group"),
        ("memory:1m", "gatepost was built without debug support"),
        ("memory:x debug", "gatepost was built without debug support"),
        ("syslog:", "unknown syslog parameter \"\""),
        ("syslog:server=127.0.0.1,", "unknown syslog parameter \"\""),
        ("syslog:tag=a", "no syslog server specified"),
        ("syslog:nohostname=on", "unknown syslog parameter \"nohostname=on\""),
        ("syslog:servers=a", "unknown syslog parameter \"servers=a\""),
        ("syslog:server=127.0.0.1,server=127.0.0.2", "duplicate syslog \"server\""),
        ("syslog:server=127.0.0.1:x", "invalid port in syslog server \"127.0.0.1:x\""),
        ("syslog:server=[::z]:1", "invalid IPv6 address in syslog server \"[::z]:1\""),
        ("syslog:server=", "no host in syslog server \"\""),
        ("syslog:server=unix:", "no path in the unix domain socket in syslog server \"unix:\""),
        ("syslog:server=host.invalid", "host not found in syslog server \"host.invalid\""),
        ("syslog:facility=local8", "unknown syslog facility \"local8\""),
        ("syslog:facility=mail,facility=mail", "duplicate syslog \"facility\""),
        ("syslog:severity=loud", "unknown syslog severity \"loud\""),
        ("syslog:severity=info,severity=info", "duplicate syslog \"severity\""),
        ("syslog:tag=a-b", "syslog \"tag\" only allows alphanumeric characters and underscore"),
        ("syslog:tag=123456789012345678901234567890123", "syslog tag length exceeds 32"),
        ("syslog:tag=a,tag=b", "duplicate syslog \"tag\""),
    ] {
        let fault = parse(&format!("error_log {arguments};")).unwrap_err();
        assert_eq!(fault, format!("{expected} in command line"), "{arguments}");
    }
    let memory = |flavour| parse_as(flavour, "error_log memory:1m;").unwrap_err();
    assert_eq!(memory(Flavour::Angie), "Angie was built without debug support in command line");
    assert_eq!(memory(Flavour::Nginx), "nginx was built without debug support in command line");
}

#[test]
fn a_filter_on_a_field_that_does_not_exist_names_its_own_place() {
    assert_eq!(
        parse("error_log x filter=user:joe;").unwrap_err(),
        "error_log directive at command line has filter with unknown property \"user\""
    );
    for (name, _) in crate::log::NAMES {
        assert!(parse(&format!("error_log x filter={name}:joe;")).is_ok(), "{name}");
    }
}

#[test]
fn syslog_servers_have_defaults_for_all_but_the_address() {
    let server = syslog("server=127.0.0.1").unwrap();
    assert_eq!(server.endpoint.to_string(), "127.0.0.1:514");
    assert_eq!((server.facility, server.tag.as_str()), (23, "gatepost"));
    assert_eq!(server.host.as_deref(), Some("mail.example"));
    let server = syslog("tag=My_tag1,server=[::1]:5140,facility=mail,nohostname,severity=debug").unwrap();
    assert_eq!(server.endpoint.to_string(), "[::1]:5140");
    assert_eq!((server.facility, server.tag.as_str(), server.host), (2, "My_tag1", None));
    assert_eq!(syslog("server=syslog").unwrap().endpoint.to_string(), "192.0.2.7:514");
    let server = syslog("server=unix:/dev/log,facility=local0").unwrap();
    assert_eq!((server.endpoint.to_string().as_str(), server.facility), ("unix:/dev/log", 16));
    for (flavour, tag) in [(Flavour::Angie, "Angie"), (Flavour::Nginx, "nginx")] {
        let log = parse_as(flavour, "error_log syslog:server=127.0.0.1;").unwrap();
        assert!(matches!(log.destination, Destination::Syslog(server) if server.tag == tag));
    }
}
