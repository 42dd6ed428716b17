//! Limits of connections and penalties for guessing.

use super::*;

fn fault_in_mail(directives: &str) -> String {
    fault(&format!("{directives} {SERVER}"))
}

#[test]
fn limits_are_those_of_the_server_or_of_mail() {
    let mail = settings(
        "limit_conn addr 10; limit_conn domain 65535;
         limit_conn_zone $binary_remote_addr zone=addr:1m;
         server { listen 127.0.0.1:143; auth_http h; limit_conn_dry_run on; limit_conn_log_level warn; }
         server { listen 127.0.0.2:143; auth_http h; limit_conn user 2; }
         limit_conn_zone $remote_user$auth_http_Realm zone=user:32k;
         limit_conn_zone $auth_http_domain zone=domain:64k;",
    );
    let limits = |server: usize| {
        let each = mail.servers[server].limits.limits.iter();
        each.map(|limit| format!("{} {} {} {}", limit.zone.name, limit.zone.key, limit.zone.size, limit.most))
            .collect::<Vec<_>>()
    };
    assert_eq!(limits(0), ["addr $binary_remote_addr 1048576 10", "domain $auth_http_domain 65536 65535"]);
    assert_eq!(limits(1), ["user $remote_user$auth_http_Realm 32768 2"]);
    let [first, second] = [&mail.servers[0].limits, &mail.servers[1].limits];
    assert_eq!((first.dry_run, first.level), (true, Level::Warn));
    assert_eq!((second.dry_run, second.level), (false, Level::Error));
    assert_eq!(first.headers().collect::<Vec<_>>(), ["domain"]);
    assert_eq!(second.headers().collect::<Vec<_>>(), ["realm"]);
}

#[test]
fn mistakes_in_limits_are_told_in_the_originals_words() {
    let zone = "limit_conn_zone $remote_addr zone=z:32k;";
    for (directives, expected) in [
        ("limit_conn_zone $remote_addr zone=z:31k;".to_owned(), "zone \"z\" is too small in x:1"),
        ("limit_conn_zone $remote_addr zone=z;".to_owned(), "invalid zone size \"zone=z\" in x:1"),
        ("limit_conn_zone $remote_addr zone=:1m;".to_owned(), "invalid zone size \"zone=:1m\" in x:1"),
        ("limit_conn_zone $remote_addr zone=z:1g;".to_owned(), "invalid zone size \"zone=z:1g\" in x:1"),
        ("limit_conn_zone $remote_addr size=1m;".to_owned(), "invalid parameter \"size=1m\" in x:1"),
        ("limit_conn_zone $uri zone=z:1m;".to_owned(), "unknown \"uri\" variable in x:1"),
        (
            format!("{zone} limit_conn_zone $remote_user zone=z:1m;"),
            "limit_conn_zone \"z\" is already bound to key \"$remote_addr\" in x:1",
        ),
        (format!("{zone} limit_conn z 0;"), "invalid number of connections \"0\" in x:1"),
        (format!("{zone} limit_conn z many;"), "invalid number of connections \"many\" in x:1"),
        (format!("{zone} limit_conn z 65536;"), "connection limit must be less 65536 in x:1"),
        (format!("{zone} limit_conn z 1; limit_conn z 2;"), "\"limit_conn\" directive is duplicate in x:1"),
        (format!("{zone} limit_conn y 1;"), "unknown limit_conn_zone \"y\" in x:1"),
        (format!("{zone} limit_conn z;"), "invalid number of arguments in \"limit_conn\" directive in x:1"),
        ("limit_conn_log_level debug;".to_owned(), "invalid value \"debug\" in x:1"),
    ] {
        assert_eq!(fault_in_mail(&directives), expected);
    }
    let in_server = fault_in_server("limit_conn_zone $remote_addr zone=z:1m;");
    assert_eq!(in_server, "\"limit_conn_zone\" directive is not allowed here in x:1");
}

#[test]
fn pop3_announces_response_codes_where_there_may_be_one_and_nowhere_else() {
    let capabilities = |directives: &str| {
        let text = format!(
            "limit_conn_zone $remote_addr zone=z:1m; auth_http h;
             server {{ listen 127.0.0.1:110; {directives} }}"
        );
        let mail = settings(&text);
        let (_, pop3) = front(&mail.servers[0]);
        pop3.capabilities.iter().map(|text| String::from_utf8_lossy(text).into_owned()).collect::<Vec<_>>()
    };
    assert_eq!(capabilities(""), ["TOP", "USER", "UIDL"]);
    assert_eq!(capabilities("limit_conn z 1;"), ["TOP", "USER", "UIDL", "RESP-CODES"]);
    assert_eq!(capabilities("limit_conn z 1; pop3_capabilities A resp-codes;"), ["A", "resp-codes"]);
}

#[test]
fn penalties_are_off_unless_they_are_on_and_then_share_a_zone() {
    let penalty = |text: &str| {
        let mail = settings(&format!("auth_http h; {text}"));
        mail.servers[0].penalty.as_ref().map(|it| {
            let exempt: Vec<_> = it
                .exempt
                .networks
                .iter()
                .map(|network| format!("{}/{}", network.address, network.prefix))
                .collect();
            format!("{} {} [{}]", it.zone, it.size, exempt.join(" "))
        })
    };
    let server = |directives: &str| format!("server {{ listen 127.0.0.1:143; {directives} }}");
    assert_eq!(penalty(&server("auth_penalty_exempt 10.0.0.0/8;")), None);
    assert_eq!(penalty(&server("auth_penalty on;")).as_deref(), Some("auth_penalty 1048576 []"));
    let exempt = "auth_penalty on zone=p:64k; auth_penalty_exempt 10.0.0.0/8 ::1; auth_penalty_exempt both;";
    let expected = "p 65536 [10.0.0.0/8 ::1/128 192.0.2.7/32 2001:db8::7/128]";
    assert_eq!(penalty(&format!("{exempt} {}", server(""))).as_deref(), Some(expected));
    assert_eq!(penalty(&format!("{exempt} {}", server("auth_penalty off;"))), None);
}

#[test]
fn mistakes_in_penalties_are_told() {
    for (directives, expected) in [
        (
            "auth_penalty yes;",
            "invalid value \"yes\" in \"auth_penalty\" directive, it must be \"on\" or \"off\" in x:1",
        ),
        ("auth_penalty on size=1m;", "invalid parameter \"size=1m\" in x:1"),
        ("auth_penalty on zone=p:1k;", "zone \"p\" is too small in x:1"),
        ("auth_penalty on; auth_penalty off;", "\"auth_penalty\" directive is duplicate in x:1"),
        ("auth_penalty_exempt nobody;", "host not found in auth_penalty_exempt \"nobody\" in x:1"),
        ("auth_penalty_exempt 10.0.0.0/33;", "host not found in auth_penalty_exempt \"10.0.0.0/33\" in x:1"),
    ] {
        assert_eq!(fault_in_mail(directives), expected);
    }
    let server = |port: u16, zone: &str| {
        format!("server {{ listen 127.0.0.1:{port}; auth_http h; auth_penalty on zone=p:{zone}; }}")
    };
    assert_eq!(fault(&[server(143, "1m"), server(110, "1m")].concat()), "");
    assert_eq!(
        fault(&[server(143, "1m"), server(110, "64k")].concat()),
        "the size 65536 of shared memory zone \"p\" conflicts with already declared size 1048576 in x:1"
    );
}
