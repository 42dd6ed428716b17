//! Servers that fail, lie, are late or silent.

use rig::dns::{PTR, Play};

use super::*;

const GOOD: &str = "192.0.2.1";

fn good() -> Reply {
    Reply::addr("mail.example", 60, GOOD)
}

fn bad() -> Reply {
    Reply::addr("mail.example", 60, "203.0.113.1")
}

fn only_ipv4(servers: &[&DnsServer], resend: Duration) -> Resolver {
    resolver(Settings { ipv6: false, ..settings(servers) }, resend)
}

async fn found(resolver: &Resolver) -> Result<Vec<String>, Failure> {
    resolved(resolver, "mail.example").await
}

#[tokio::test]
async fn questions_go_to_the_servers_in_turn() {
    let (first, second) = (DnsServer::start(), DnsServer::start());
    let resolver = only_ipv4(&[&first, &second], NEVER);
    for name in ["a.example", "b.example", "c.example", "d.example"] {
        for server in [&first, &second] {
            server.says(name, A, Reply::addr(name, 60, GOOD));
        }
        assert_eq!(resolved(&resolver, name).await, Ok(vec![GOOD.into()]));
    }
    let names = |server: &DnsServer| server.asked().into_iter().map(|asked| asked.name).collect::<Vec<_>>();
    assert_eq!(names(&first), ["a.example", "c.example"]);
    assert_eq!(names(&second), ["b.example", "d.example"]);
}

#[tokio::test]
async fn every_question_has_its_own_port_and_id() {
    let server = DnsServer::start();
    let resolver = only_ipv4(&[&server], NEVER);
    for number in 0..20 {
        let name = format!("{number}.example");
        server.says(&name, A, Reply::addr(&name, 60, GOOD));
        assert_eq!(resolved(&resolver, &name).await, Ok(vec![GOOD.into()]));
    }
    let asked = server.asked();
    let different = |what: fn(&rig::dns::Asked) -> u16| {
        asked.iter().map(what).collect::<std::collections::HashSet<_>>().len()
    };
    // Some may be equal by chance, but hardly two pairs of twenty.
    assert!(different(|asked| asked.id) >= 18);
    assert!(different(|asked| asked.from.port()) >= 18);
}

#[tokio::test]
async fn a_server_that_fails_is_followed_by_the_next_at_once() {
    for code in [1, 2, 4, 5, 9] {
        let (failing, sound) = (DnsServer::start(), DnsServer::start());
        failing.says("mail.example", A, Reply::error(code).without_question());
        sound.says("mail.example", A, good());
        assert_eq!(found(&only_ipv4(&[&failing, &sound], NEVER)).await, Ok(vec![GOOD.into()]), "{code}");
    }
}

#[tokio::test]
async fn when_all_servers_fail_the_failure_is_known_at_once() {
    let (first, second) = (DnsServer::start(), DnsServer::start());
    first.says("mail.example", A, Reply::error(2));
    second.says("mail.example", A, Reply::error(5));
    assert_eq!(found(&only_ipv4(&[&first, &second], NEVER)).await, Err(Failure::Refused));
    assert_eq!((first.asked().len(), second.asked().len()), (1, 1));
}

#[tokio::test]
async fn a_server_that_is_not_there_is_followed_by_the_next_at_once() {
    let sound = DnsServer::start();
    sound.says("mail.example", A, good());
    let servers = vec![nobody(), sound.addr()];
    let resolver = resolver(Settings { servers, ipv6: false, ..settings(&[]) }, NEVER);
    assert_eq!(found(&resolver).await, Ok(vec![GOOD.into()]));
}

#[tokio::test(start_paused = true)]
async fn servers_that_are_not_there_are_asked_again_and_again_until_time_is_up() {
    let servers = vec![nobody()];
    let zones = Zones::default();
    let settings = Settings { servers, timeout: Some(Duration::from_secs(30)), ipv6: false, ..settings(&[]) };
    let resolver =
        Resolver::new(Settings { status_zone: Some("z".into()), ..settings }, &zones, &ConfFiles::default());
    let start = Instant::now();
    assert_eq!(found(&resolver).await, Err(Failure::TimedOut));
    assert_eq!(start.elapsed().as_secs(), 30);
    let counted = zones.snapshot()["z"];
    assert!((6..=7).contains(&counted.sent.a), "every five seconds: {counted:?}");
    assert_eq!((counted.responses.timedout, counted.queries.name), (1, 1));
}

#[tokio::test]
async fn a_silent_server_is_followed_by_the_next_after_a_while() {
    let (silent, sound) = (DnsServer::start(), DnsServer::start());
    silent.on("mail.example", A, [Play::Silence]);
    sound.says("mail.example", A, good());
    assert_eq!(found(&only_ipv4(&[&silent, &sound], SOON)).await, Ok(vec![GOOD.into()]));
}

#[tokio::test(start_paused = true)]
async fn silence_ends_with_the_time_of_a_lookup() {
    let silent = DnsServer::start();
    silent.on("mail.example", A, [Play::Silence]);
    silent.on("1.2.0.192.in-addr.arpa", PTR, [Play::Silence]);
    let resolver = only_ipv4(&[&silent], RESEND);
    let start = Instant::now();
    assert_eq!(found(&resolver).await, Err(Failure::TimedOut));
    let reverse = resolver.reverse("192.0.2.1".parse().unwrap()).await;
    assert_eq!(reverse, Err(Nameless::Unresolved(Failure::TimedOut)));
    assert_eq!(start.elapsed().as_secs(), 2 * PATIENCE.as_secs());
}

#[tokio::test]
async fn an_answer_that_comes_late_is_still_an_answer() {
    let (late, silent) = (DnsServer::start(), DnsServer::start());
    late.on("mail.example", A, [Play::Hold(good()), Play::Silence]);
    silent.on("mail.example", A, [Play::Run(Box::new(late.release()))]);
    assert_eq!(found(&only_ipv4(&[&late, &silent], SOON)).await, Ok(vec![GOOD.into()]));
}

#[tokio::test]
async fn answers_that_are_not_the_servers_to_this_question_are_passed_over() {
    for lie in [
        Play::SayToOtherId(bad()),
        Play::SayFromElsewhere(bad()),
        Play::SayOf("other.example", bad()),
        Play::SayBytes(vec![]),
        Play::SayBytes(vec![0x81]),
        Play::SayBytes(vec![0xff; 300]),
    ] {
        let server = DnsServer::start();
        server.on("mail.example", A, [lie, Play::Say(good())]);
        assert_eq!(found(&only_ipv4(&[&server], SOON)).await, Ok(vec![GOOD.into()]));
        assert!(server.count("mail.example", A) >= 2, "the lie was heard and not believed");
    }
}

#[tokio::test]
async fn what_does_not_fit_is_fetched_over_tcp_from_the_same_server_up_to_a_limit() {
    let (cut, other) = (DnsServer::start(), DnsServer::start());
    let many = (1..=200)
        .fold(Reply::empty(), |reply, last| reply.and_addr("mail.example", 60, &format!("192.0.2.{last}")));
    cut.on("mail.example", A, [Play::Say(bad().truncated()), Play::Say(many)]);
    let found = found(&only_ipv4(&[&cut, &other], NEVER)).await.unwrap();
    assert_eq!(found.len(), lookup::MOST_RECORDS);
    assert_eq!(cut.asked().iter().map(|asked| asked.tcp).collect::<Vec<_>>(), [false, true]);
}

#[tokio::test]
async fn reverse_lookups_go_on_over_tcp_as_well() {
    let server = DnsServer::start();
    let name = "1.2.0.192.in-addr.arpa";
    let reply =
        Reply::ptr(name, 60, "first.example").and(name, PTR, 60, &rig::dns::wire_name(b"second.example"));
    server.on(name, PTR, [Play::Say(Reply::empty().truncated()), Play::Say(reply)]);
    let host = patient(&[&server]).reverse("192.0.2.1".parse().unwrap()).await;
    assert_eq!(host.unwrap().as_str(), "first.example");
}

#[tokio::test]
async fn a_server_without_its_tcp_is_followed_by_the_next() {
    let (cut, sound) = (DnsServer::start(), DnsServer::start());
    cut.on("mail.example", A, [Play::Say(bad().truncated()), Play::Silence]);
    sound.says("mail.example", A, good());
    assert_eq!(found(&only_ipv4(&[&cut, &sound], NEVER)).await, Ok(vec![GOOD.into()]));
}

#[tokio::test]
async fn truncation_over_tcp_or_a_failure_there_is_no_answer_either() {
    for answer in [Play::Say(bad().truncated()), Play::SayToOtherId(bad()), Play::SayBytes(vec![1])] {
        let (cut, sound) = (DnsServer::start(), DnsServer::start());
        cut.on("mail.example", A, [Play::Say(Reply::empty().truncated()), answer]);
        sound.says("mail.example", A, good());
        assert_eq!(found(&only_ipv4(&[&cut, &sound], NEVER)).await, Ok(vec![GOOD.into()]));
    }
    let failing = DnsServer::start();
    failing.on("mail.example", A, [Play::Say(Reply::empty().truncated()), Play::Say(Reply::error(2))]);
    assert_eq!(found(&only_ipv4(&[&failing], NEVER)).await, Err(Failure::ServerFailure));
}
