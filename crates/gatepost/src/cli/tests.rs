//! Command lines by table; the lines of the nginx column were checked against nginx 1.22.

use super::*;

fn parse_line(flavour: Flavour, line: &str) -> Result<Invocation, UsageError> {
    parse(flavour, line.split_whitespace().map(OsString::from))
}

fn options(line: &str) -> Options {
    match parse_line(Flavour::Gatepost, line) {
        Ok(Invocation::Run(options)) => options,
        other => panic!("{line}: {other:?}"),
    }
}

fn error(line: &str) -> String {
    parse_line(Flavour::Gatepost, line).expect_err(line).to_string()
}

#[test]
fn no_options_mean_serving() {
    assert_eq!(options(""), Options::default());
    assert_eq!(options("").task(), Task::Serve);
}

#[test]
fn options_may_be_bundled() {
    for line in ["-t -q", "-tq", "-qt"] {
        assert_eq!(options(line), Options { test: true, quiet: true, ..Options::default() }, "{line}");
    }
    let both = Options { test: true, dump: true, ..Options::default() };
    assert_eq!(options("-T"), both);
    assert_eq!(options("-tT"), both);
}

#[test]
fn a_value_is_attached_or_the_next_word_whatever_it_looks_like() {
    for line in ["-c x.conf", "-cx.conf"] {
        assert_eq!(options(line).configuration, Some("x.conf".into()), "{line}");
    }
    let bundled = options("-tqcx.conf -p /srv -estderr -g daemon");
    assert!(bundled.test && bundled.quiet);
    assert_eq!(bundled.configuration, Some("x.conf".into()));
    assert_eq!(bundled.prefix, Some("/srv".into()));
    assert_eq!(bundled.error_log, Some("stderr".into()));
    assert_eq!(bundled.directives, Some("daemon".into()));
    assert_eq!(options("-c -t").configuration, Some("-t".into()));
    assert!(!options("-c -t").test);
    assert_eq!(options("-ctq").configuration, Some("tq".into()));
}

#[test]
fn the_last_of_a_value_counts() {
    assert_eq!(options("-c a -c b").configuration, Some("b".into()));
}

#[test]
fn values_may_be_of_any_bytes() {
    let word = OsString::from_vec(b"-c/\xff".to_vec());
    let Ok(Invocation::Run(options)) = parse(Flavour::Gatepost, [word]) else { panic!("not taken") };
    assert_eq!(options.configuration, Some(OsString::from_vec(b"/\xff".to_vec()).into()));
}

#[test]
fn signals_have_four_words() {
    for (word, signal) in [
        ("stop", Signal::Stop),
        ("quit", Signal::Quit),
        ("reopen", Signal::Reopen),
        ("reload", Signal::Reload),
    ] {
        assert_eq!(options(&format!("-s {word}")).task(), Task::Signal(signal));
        assert_eq!(options(&format!("-s{word}")).task(), Task::Signal(signal));
    }
}

#[test]
fn what_is_shown_ends_it_unless_a_test_is_asked_for() {
    for line in ["-v", "-V", "-m", "--build-env", "-v -s stop", "-vM"] {
        assert_eq!(options(line).task(), Task::Exit, "{line}");
    }
    for line in ["-t", "-T", "-vt", "-V -t", "-mt", "--build-env -T", "-t -s stop", "-tM"] {
        assert_eq!(options(line).task(), Task::Test, "{line}");
    }
    assert_eq!(options("-M").task(), Task::ListModules);
    assert_eq!(options("-V").show, Show { version: true, build: true, ..Show::default() });
    assert_eq!(options("-v").show, Show { version: true, ..Show::default() });
    assert_eq!(options("-m").show, Show { modules: true, ..Show::default() });
    assert_eq!(options("--build-env").show, Show { environment: true, ..Show::default() });
}

#[test]
fn help_is_given_at_once_and_later_words_are_not_looked_at() {
    for line in ["-h", "-?", "-th", "-h -x", "-hx", "--help", "--h", "--hello", "--?", "-t --help x"] {
        for flavour in [Flavour::Gatepost, Flavour::Angie, Flavour::Nginx] {
            assert_eq!(parse_line(flavour, line), Ok(Invocation::Help), "{line}");
        }
    }
}

#[test]
fn the_start_up_log_has_a_level() {
    assert_eq!(options("--log-level=info").level, Some(Level::Info));
    assert_eq!(options("--log-level=emerg").level, Some(Level::Emerg));
    assert_eq!(options("--log-level=debug_mail").level, Some(Level::Debug));
}

#[test]
fn the_first_mistake_ends_it() {
    for (line, expected) in [
        ("x", "invalid option: \"x\""),
        ("t -x", "invalid option: \"t\""),
        ("-x", "invalid option: \"x\""),
        ("-tx", "invalid option: \"x\""),
        ("-v -x -h", "invalid option: \"x\""),
        ("-t-v", "invalid option: \"-\""),
        ("-\u{e9}t", "invalid option: \"\u{e9}\""),
        ("--x", "invalid option: \"--x\""),
        ("--test", "invalid option: \"--test\""),
        ("--log-level", "invalid option: \"--log-level\""),
        ("--build-envy", "invalid option: \"--build-envy\""),
        ("-", "incomplete option: \"-\""),
        ("--", "incomplete option: \"--\""),
        ("-s", "option \"-s\" requires parameter"),
        ("-s foo", "invalid option: \"-s foo\""),
        ("-sfoo", "invalid option: \"-s foo\""),
        ("-s -t", "invalid option: \"-s -t\""),
        ("-c", "option \"-c\" requires file name"),
        ("-e", "option \"-e\" requires file name"),
        ("-p", "option \"-p\" requires directory name"),
        ("-g", "option \"-g\" requires parameter"),
        ("-tqg", "option \"-g\" requires parameter"),
        ("--log-level=foo", "invalid log level: \"foo\""),
        ("--log-level=", "invalid log level: \"\""),
        ("--log-level=Info", "invalid log level: \"Info\""),
        ("--log-level=debug_x", "invalid log level: \"debug_x\""),
        ("-t demo", "invalid option: \"demo\""),
        ("demo -t", "invalid option: \"-t\""),
    ] {
        assert_eq!(error(line), expected, "{line}");
    }
}

#[test]
fn help_follows_a_bad_option_but_not_a_missing_value_and_never_in_nginx() {
    for (line, helps) in [
        ("x", true),
        ("-x", true),
        ("--x", true),
        ("-", true),
        ("-s foo", true),
        ("--log-level=foo", true),
        ("-s", false),
        ("-c", false),
    ] {
        let error = parse_line(Flavour::Angie, line).unwrap_err();
        assert_eq!(error.shows_help(Flavour::Angie), helps, "{line}");
        assert_eq!(error.shows_help(Flavour::Gatepost), helps, "{line}");
        assert!(!error.shows_help(Flavour::Nginx), "{line}");
    }
}

#[test]
fn demo_is_a_word_of_our_own() {
    assert_eq!(parse_line(Flavour::Gatepost, "demo"), Ok(Invocation::Demo));
    for flavour in [Flavour::Angie, Flavour::Nginx] {
        assert_eq!(parse_line(flavour, "demo"), Err(UsageError::Invalid("demo".to_owned())));
    }
}

#[test]
fn names_are_relative_to_the_prefix() {
    let flavour = Flavour::Gatepost;
    let of = |line: &str| {
        let options = options(line);
        let log = match options.error_log(flavour) {
            Destination::File(file) => file.display().to_string(),
            Destination::Stderr => "stderr".to_owned(),
            Destination::Syslog(server) => panic!("{server:?}"),
        };
        (options.configuration(flavour).display().to_string(), log)
    };
    for (line, configuration, log) in [
        ("", "/etc/gatepost/gatepost.conf", "/var/log/gatepost/error.log"),
        ("-c x.conf", "/etc/gatepost/x.conf", "/var/log/gatepost/error.log"),
        ("-c /x.conf -e stderr", "/x.conf", "stderr"),
        ("-p /srv/mail", "/srv/mail/gatepost.conf", "/var/log/gatepost/error.log"),
        ("-p /srv/mail/ -c x.conf -e x.log", "/srv/mail/x.conf", "/srv/mail/x.log"),
        ("-p . -c x.conf -e /x.log", "./x.conf", "/x.log"),
    ] {
        assert_eq!(of(line), (configuration.to_owned(), log.to_owned()), "{line}");
    }
    let nginx = Options::default().configuration(Flavour::Nginx);
    assert_eq!(nginx, Path::new("/etc/nginx/nginx.conf"));
}
