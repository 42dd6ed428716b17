//! The benchmark at work beside the original: that it measures something, not what.
//!
//! gatepost is measured, too, if it is named by `GATEPOST_BIN` or was built beside the benchmark.

use std::process::Command;

use serde_json::Value;

/// Success, standard output, standard error.
fn bench(arguments: &[&str]) -> (bool, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gatepost-bench"));
    if let Some(gatepost) = std::env::var_os("GATEPOST_BIN") {
        command.arg("--gatepost").arg(gatepost);
    }
    let output = command.args(arguments).output().expect("the benchmark starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.success(), text(&output.stdout), text(&output.stderr))
}

fn figure(document: &Value, workload: &str, metric: &str, peer: &str) -> f64 {
    let workload = entry(&document["workloads"], "name", workload);
    let median = &entry(&workload["metrics"], "metric", metric)["peers"][peer]["median"];
    median.as_f64().expect("a median is a number")
}

/// Who accepted the configuration; nginx does all of them.
fn able<'a>(document: &'a Value, workload: &str) -> Vec<&'a str> {
    let not_yet = &entry(&document["workloads"], "name", workload)["not_yet"];
    let peers = document["peers"].as_array().expect("a list");
    let names = peers.iter().map(|peer| peer["name"].as_str().expect("peers have names"));
    names.filter(|name| *name == "nginx" || not_yet[*name].is_null()).collect()
}

fn entry<'a>(list: &'a Value, key: &str, name: &str) -> &'a Value {
    let list = list.as_array().expect("a list");
    list.iter().find(|entry| entry[key] == name).expect("everything asked for is in the results")
}

#[test]
fn every_workload_measures_something() {
    let (success, output, errors) = bench(&["--quick", "--json", "--bare"]);
    assert!(success, "{output}{errors}");
    let document: Value = serde_json::from_str(&output).unwrap();
    let rows = [
        ("imap-login", "cpu"),
        ("imap-login-tls", "cpu"),
        ("handshake-p256", "p50"),
        ("handshake-rsa", "p99"),
        ("pop3-login", "cpu"),
        ("smtp-message", "p50"),
        ("smtp-latency", "p99"),
        ("noop", "cpu"),
        ("noop-tls", "cpu"),
        ("download", "cpu_per_gigabyte"),
        ("download-tls", "cpu_per_gigabyte"),
        ("download-64k", "cpu_per_gigabyte"),
        ("idle", "session_memory"),
        ("idle-tls", "session_memory"),
        ("greeted", "base_memory"),
        ("auth-wait", "base_memory"),
        ("growth", "cpu_holding_1/1"),
        ("threads", "throughput_2"),
        ("threads-tls", "scaling"),
    ];
    for (workload, metric) in rows {
        for peer in able(&document, workload) {
            assert!(figure(&document, workload, metric, peer) > 0.0, "{workload} {metric}: {output}");
        }
    }
    assert_eq!(document["workloads"].as_array().unwrap().len(), rows.len());
    for workload in ["imap-login", "pop3-login", "smtp-message", "noop", "download", "idle", "auth-wait"] {
        assert!(able(&document, workload).contains(&"bare"), "{workload}: {output}");
    }
}

#[test]
fn a_peer_that_refuses_its_configuration_cannot_do_it_yet_and_one_that_serves_nobody_has_failed() {
    let directory = tempfile::tempdir().unwrap();
    let script = |name: &str, text: &str| {
        let file = directory.path().join(name);
        std::fs::write(&file, format!("#!/bin/sh\n{text}\n")).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&file, mode).unwrap();
        format!("{name}={}", file.display())
    };
    let modest = script("modest", r#"echo "modest: [emerg] no mail today in $4:1" >&2; exit 1"#);
    let broken = script("broken", "kill -SEGV $$");
    let arguments = ["--quick", "--json", "--peer", &modest, "--peer", &broken, "noop"];
    let (success, output, errors) = bench(&arguments);
    assert!(!success, "{output}{errors}");
    let document: Value = serde_json::from_str(&output).unwrap();
    let noop = &document["workloads"][0];
    assert_eq!(noop["not_yet"]["modest"], "no mail today", "{output}");
    assert!(noop["failed"]["broken"].as_str().unwrap().contains("signal: 11"), "{output}");
    assert!(figure(&document, "noop", "cpu", "nginx") > 0.0, "{output}");
}
