//! Options that only show something, and words that are no options.

use std::os::unix::fs::symlink;
use std::process::Command;

use rig::tool;

use super::run;

const VERSION: &str = concat!("gatepost/", env!("CARGO_PKG_VERSION"));

#[test]
fn the_version_goes_to_standard_error() {
    let ran = run(&["-v"]).succeeded();
    assert_eq!((ran.text().as_str(), ran.stderr), ("", format!("gatepost version: {VERSION}\n")));
    let ran = run(&["-V"]).succeeded();
    assert!(ran.stderr.starts_with(&format!("gatepost version: {VERSION}\n")), "{}", ran.stderr);
    assert!(ran.stderr.contains("\nconfigure arguments: --prefix=/etc/gatepost/ "), "{}", ran.stderr);
}

#[test]
fn help_wins_over_what_follows() {
    for words in [&["-h"][..], &["-?", "-x"], &["--help"], &["-th", "nonsense"]] {
        let ran = run(words).succeeded();
        assert!(ran.stderr.contains("\nUsage: gatepost [-?hvVtTqmM] [-s signal] [-p prefix]\n"), "{words:?}");
    }
}

#[test]
fn the_name_of_an_original_makes_the_words_its_own() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    for (name, version) in [("nginx", "nginx version: nginx/1."), ("angie", "Angie version: Angie/1.")] {
        let link = directory.path().join(name);
        symlink(env!("CARGO_BIN_EXE_gatepost"), &link).expect("the directory is writable");
        let ran = tool::run(Command::new(&link).arg("-v"), &[]).succeeded();
        assert!(ran.stderr.starts_with(version), "{}", ran.stderr);
        let ran = tool::run(Command::new(&link).arg("nonsense"), &[]).failed();
        assert!(ran.stderr.starts_with(&format!("{name}: invalid option: \"nonsense\"\n")), "{}", ran.stderr);
        assert_eq!(ran.stderr.lines().count() == 1, name == "nginx", "{}", ran.stderr);
    }
}

#[test]
fn words_that_are_no_options_end_with_1() {
    let table: &[(&[&str], &str)] = &[
        (&["nonsense"], "invalid option: \"nonsense\""),
        (&["-x"], "invalid option: \"x\""),
        (&["-tx"], "invalid option: \"x\""),
        (&["--nonsense"], "invalid option: \"--nonsense\""),
        (&["-"], "incomplete option: \"-\""),
        (&["-s"], "option \"-s\" requires parameter"),
        (&["-s", "restart"], "invalid option: \"-s restart\""),
        (&["-c"], "option \"-c\" requires file name"),
        (&["-e"], "option \"-e\" requires file name"),
        (&["-p"], "option \"-p\" requires directory name"),
        (&["-g"], "option \"-g\" requires parameter"),
        (&["--log-level=loud"], "invalid log level: \"loud\""),
    ];
    for (words, expected) in table {
        let ran = run(words);
        assert_eq!(ran.status.code(), Some(1), "{words:?}");
        assert_eq!(ran.stderr.lines().next(), Some(format!("gatepost: {expected}").as_str()), "{words:?}");
    }
}
