//! What is said to upstreams, whose word about clients is believed, and who resolves names.

use std::net::SocketAddr;

use proto::proxy_protocol::Version;

use super::*;
use crate::dns;
use crate::settings::UpstreamTls;

#[test]
fn what_is_said_about_upstreams_is_so() {
    let proxy = |directives: &str| settings(&format!("{directives} {SERVER}")).servers[0].proxy.clone();
    let silent = proxy("");
    assert_eq!((silent.protocol, silent.ssl), (None, UpstreamTls::Off));
    assert!(!silent.imap_id && !silent.pop3_xclient);
    let all = proxy("proxy_protocol v2; proxy_imap_id on; proxy_pop3_xclient on; proxy_ssl starttls;");
    assert_eq!((all.protocol, all.ssl), (Some(Version::V2), UpstreamTls::Starttls));
    assert!(all.imap_id && all.pop3_xclient);
    for (value, expected) in [("off", None), ("ON", Some(Version::V1)), ("v1", Some(Version::V1))] {
        assert_eq!(proxy(&format!("proxy_protocol {value};")).protocol, expected, "{value}");
    }
    assert_eq!(proxy("proxy_ssl on;").ssl, UpstreamTls::Implicit);
}

#[test]
fn trusted_proxies_are_addresses_networks_names_and_unix_sockets() {
    let trusted = |text: &str| {
        let (mail, warnings) = read(&format!("auth_http h; {text}"));
        let real_ip = &mail.unwrap().servers[0].real_ip.0;
        let networks =
            real_ip.networks.iter().map(|network| format!("{}/{}", network.address, network.prefix));
        let unix = real_ip.unix.then(|| "unix:".to_owned());
        (networks.chain(unix).collect::<Vec<_>>().join(" "), warnings)
    };
    let inside = |directives: &str| trusted(&format!("server {{ listen 127.0.0.1:143; {directives} }}"));
    for (directives, expected) in [
        ("", ""),
        ("set_real_ip_from 192.0.2.1; set_real_ip_from ::1;", "192.0.2.1/32 ::1/128"),
        ("set_real_ip_from unix:; set_real_ip_from 10.0.0.0/8;", "10.0.0.0/8 unix:"),
        ("set_real_ip_from 2001:db8::/32; set_real_ip_from ::/0;", "2001:db8::/32 ::/0"),
        ("set_real_ip_from both;", "192.0.2.7/32 2001:db8::7/128"),
    ] {
        assert_eq!(inside(directives), (expected.to_owned(), vec![]), "{directives}");
    }
    let (networks, warnings) = inside("set_real_ip_from 10.1.2.3/8; set_real_ip_from 2001:db8::1/32;");
    assert_eq!(networks, "10.0.0.0/8 2001:db8::/32");
    let warning = |network: &str| format!("low address bits of {network} are meaningless in x:1");
    assert_eq!(warnings, [warning("10.1.2.3/8"), warning("2001:db8::1/32")]);
    let server = "server { listen 127.0.0.1:143; set_real_ip_from ::1; }";
    assert_eq!(trusted(&format!("set_real_ip_from unix:; {server}")).0, "::1/128");
    assert_eq!(trusted("set_real_ip_from unix:; server { listen 127.0.0.1:143; }").0, "unix:");
}

#[test]
fn a_resolver_has_servers_and_rules() {
    let resolver = |words: &str| {
        let (mail, warnings) = read(&format!("resolver {words}; {SERVER}"));
        (mail.unwrap().servers[0].resolver.as_deref().cloned(), warnings)
    };
    let socket = |text: &str| text.parse::<SocketAddr>().unwrap();
    let silent = dns::Settings {
        servers: vec![socket("192.0.2.1:53")],
        conf: Vec::new(),
        valid: None,
        ipv4: true,
        ipv6: true,
        timeout: Some(Duration::from_secs(30)),
        status_zone: None,
    };
    assert_eq!(resolver("off"), (None, vec![]));
    assert_eq!(resolver("off and 'more words' valid=x").0, None);
    assert_eq!(resolver("192.0.2.1"), (Some(silent.clone()), vec![]));
    assert_eq!(resolver("192.0.2.1 valid=0; resolver_timeout 0").0.unwrap(), {
        dns::Settings { timeout: None, ..silent.clone() }
    });
    let all = "valid=1m [2001:db8::1]:5353 both ipv6=off status_zone=z conf both:54";
    let expected = dns::Settings {
        servers: vec![
            socket("[2001:db8::1]:5353"),
            socket("192.0.2.7:53"),
            socket("[2001:db8::7]:53"),
            socket("192.0.2.7:54"),
            socket("[2001:db8::7]:54"),
        ],
        conf: vec![dns::ConfFile {
            path: "/etc/resolv.conf".to_owned(),
            servers: vec![socket("192.0.2.53:53"), socket("[::1]:53")],
        }],
        valid: Some(Duration::from_mins(1)),
        ipv4: true,
        ipv6: false,
        timeout: Some(Duration::from_millis(1500)),
        status_zone: Some("z".to_owned()),
    };
    assert_eq!(resolver(&format!("{all}; resolver_timeout 1500ms")), (Some(expected), vec![]));
}

#[test]
fn a_file_of_name_servers_that_does_not_do_is_only_warned_of() {
    let expected = [
        ("conf=bad.conf", "cannot parse IP address (dns) from \"bad.conf\""),
        ("conf=empty.conf", "zero file size \"empty.conf\""),
        ("conf=/none", "open() \"/none\" failed (2: No such file or directory)"),
    ];
    for (words, warning) in expected {
        let (mail, warnings) = read(&format!("resolver {words}; {SERVER}"));
        assert_eq!(warnings, [format!("{warning} in x:1")]);
        let resolver = mail.unwrap().servers[0].resolver.clone().unwrap();
        let file = dns::ConfFile { path: words.replacen("conf=", "", 1), servers: Vec::new() };
        assert_eq!((&resolver.servers, &resolver.conf), (&Vec::new(), &vec![file]), "it may become better");
    }
}

#[test]
fn servers_that_inherit_a_resolver_share_it() {
    let mail = settings(
        "auth_http h; resolver 192.0.2.1; resolver_timeout 5s;
         server { listen 127.0.0.1:143; }
         server { listen 127.0.0.2:143; resolver_timeout 5s; }
         server { listen 127.0.0.3:143; resolver_timeout 6s; }
         server { listen 127.0.0.4:143; resolver 192.0.2.1; }
         server { listen 127.0.0.5:143; resolver off; }",
    );
    let resolvers: Vec<_> = mail.servers.iter().map(|server| server.resolver.clone()).collect();
    let shares =
        |at: usize| resolvers[at].as_ref().is_some_and(|r| Arc::ptr_eq(r, resolvers[0].as_ref().unwrap()));
    assert_eq!([shares(1), shares(2), shares(3), shares(4)], [true, false, false, false]);
    assert_eq!(resolvers[2].as_ref().unwrap().timeout, Some(Duration::from_secs(6)));
    assert_eq!(resolvers[3], resolvers[0]);
    assert_eq!(resolvers[4], None);
}

#[test]
fn peers_are_refused_in_the_words_of_the_originals() {
    for (directive, expected) in [
        ("resolver 192.0.2.1; resolver off", "\"resolver\" directive is duplicate"),
        ("resolver ::1", "invalid port in resolver \"::1\""),
        ("resolver 192.0.2.1:0", "invalid port in resolver \"192.0.2.1:0\""),
        ("resolver 192.0.2.1:53-54", "invalid port in resolver \"192.0.2.1:53-54\""),
        ("resolver [::g]", "invalid IPv6 address in resolver \"[::g]\""),
        ("resolver ''", "no host in resolver \"\""),
        ("resolver unix:/s", "invalid host in resolver \"unix:/s\""),
        ("resolver 192.0.2.1/x", "invalid host in resolver \"192.0.2.1/x\""),
        ("resolver 192.0.2.1 off", "host not found in resolver \"off\""),
        ("resolver 192.0.2.1 Valid=1", "host not found in resolver \"Valid=1\""),
        ("resolver 192.0.2.1 valid=1ms", "invalid parameter: valid=1ms"),
        ("resolver 192.0.2.1 valid=", "invalid parameter: valid="),
        ("resolver 192.0.2.1 ipv4=ON", "invalid parameter: ipv4=ON"),
        ("resolver 192.0.2.1 ipv6=no", "invalid parameter: ipv6=no"),
        ("resolver 192.0.2.1 status_zone=", "invalid parameter: status_zone="),
        ("resolver conf=", "invalid parameter: conf="),
        ("resolver 192.0.2.1 ipv4=off ipv6=off", "\"ipv4\" and \"ipv6\" cannot both be \"off\""),
        ("resolver valid=1s ipv6=off", "no name servers defined"),
        ("resolver_timeout 1M", "\"resolver_timeout\" directive invalid value"),
        ("resolver_timeout 1; resolver_timeout 1", "\"resolver_timeout\" directive is duplicate"),
        ("set_real_ip_from 1.2.3.4/33", "host not found in set_real_ip_from \"1.2.3.4/33\""),
        ("set_real_ip_from [::1]", "host not found in set_real_ip_from \"[::1]\""),
        ("set_real_ip_from unix:/a", "host not found in set_real_ip_from \"unix:/a\""),
        ("set_real_ip_from UNIX:", "host not found in set_real_ip_from \"UNIX:\""),
        ("set_real_ip_from all", "host not found in set_real_ip_from \"all\""),
        ("set_real_ip_from 10.0.0.0/", "host not found in set_real_ip_from \"10.0.0.0/\""),
        ("set_real_ip_from a b", "invalid number of arguments in \"set_real_ip_from\" directive"),
        ("proxy_protocol v3", "invalid value \"v3\""),
        ("proxy_protocol on; proxy_protocol on", "\"proxy_protocol\" directive is duplicate"),
        (
            "proxy_imap_id 1",
            "invalid value \"1\" in \"proxy_imap_id\" directive, it must be \"on\" or \"off\"",
        ),
        ("proxy_ssl yes", "invalid value \"yes\""),
        ("proxy_ssl on; proxy_ssl off", "\"proxy_ssl\" directive is duplicate"),
    ] {
        assert_eq!(fault_in_server(&format!("{directive};")), format!("{expected} in x:1"), "{directive}");
    }
}
