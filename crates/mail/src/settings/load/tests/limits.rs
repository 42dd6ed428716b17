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
