//! Names to addresses: what counts, and for how long.

use rig::dns::{CNAME, Play};

use super::*;

#[expect(clippy::unnecessary_wraps, reason = "it is compared with results")]
fn ok(addrs: &[&str]) -> Result<Vec<String>, Failure> {
    Ok(addrs.iter().map(ToString::to_string).collect())
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[tokio::test]
async fn a_name_has_the_addresses_of_both_families() {
    let server = DnsServer::start();
    server.says(
        "mail.example",
        A,
        Reply::addr("mail.example", 60, "192.0.2.1").and_addr("mail.example", 60, "192.0.2.2"),
    );
    server.says("mail.example", AAAA, Reply::addr("mail.example", 60, "2001:db8::1"));
    let resolver = patient(&[&server]);
    assert_eq!(resolved(&resolver, "Mail.Example.").await, ok(&["192.0.2.1", "192.0.2.2", "2001:db8::1"]));
    assert_eq!(resolved(&resolver, "mail.example").await, ok(&["192.0.2.1", "192.0.2.2", "2001:db8::1"]));
    assert_eq!(server.asked().len(), 2, "one question for each family");
}

#[tokio::test]
async fn a_family_that_is_off_is_not_asked_for() {
    let server = DnsServer::start();
    has(&server, "mail.example", 60, "192.0.2.1");
    let only_ipv4 = resolver(Settings { ipv6: false, ..settings(&[&server]) }, NEVER);
    let only_ipv6 = resolver(Settings { ipv4: false, ..settings(&[&server]) }, NEVER);
    assert_eq!(resolved(&only_ipv4, "mail.example").await, ok(&["192.0.2.1"]));
    assert_eq!(resolved(&only_ipv6, "mail.example").await, Err(Failure::NotFound));
    assert_eq!((server.count("mail.example", A), server.count("mail.example", AAAA)), (1, 1));
}

#[tokio::test]
async fn an_answer_counts_for_the_shortest_of_its_ttls_or_for_valid() {
    for (valid, counts) in [(None, 20), (Some(seconds(300)), 300), (Some(seconds(5)), 5)] {
        let server = DnsServer::start();
        server.says(
            "mail.example",
            A,
            Reply::cname("mail.example", 40, "a.example").and_addr("a.example", 20, "192.0.2.1"),
        );
        server.says("mail.example", AAAA, Reply::empty().and_soa(1, 1));
        let resolver = resolver(Settings { valid, ..settings(&[&server]) }, NEVER);
        assert_eq!(resolved(&resolver, "mail.example").await, ok(&["192.0.2.1"]));
        pass(seconds(counts - 1)).await;
        assert_eq!(resolved(&resolver, "mail.example").await, ok(&["192.0.2.1"]));
        assert_eq!(server.count("mail.example", A), 1);
        has(&server, "mail.example", 20, "192.0.2.2");
        pass(seconds(1)).await;
        assert_eq!(
            resolved(&resolver, "mail.example").await,
            ok(&["192.0.2.2"]),
            "an old answer is never used"
        );
    }
}

#[tokio::test]
async fn that_there_is_nothing_is_remembered_shortly() {
    for (reply, valid, counts) in [
        (Reply::error(3).and_soa(60, 10), None, 10),
        (Reply::empty().and_soa(10, 60), None, 10),
        (Reply::error(3).and_soa(9999, 9999), None, 30),
        (Reply::error(3).and_soa(60, 60), Some(seconds(5)), 5),
        (Reply::error(3).and_soa(60, 10), Some(seconds(3600)), 10),
        (Reply::error(3), None, 1),
        (Reply::error(2), None, 1),
    ] {
        let server = DnsServer::start();
        server.says("mail.example", A, reply.clone());
        let settings = Settings { valid, ipv6: false, ..settings(&[&server]) };
        let resolver = resolver(settings, NEVER);
        assert!(resolved(&resolver, "mail.example").await.is_err());
        pass(Duration::from_millis(counts * 1000 - 500)).await;
        assert!(resolved(&resolver, "mail.example").await.is_err());
        assert_eq!(server.count("mail.example", A), 1, "{reply:?}");
        server.says("mail.example", A, Reply::addr("mail.example", 60, "192.0.2.1"));
        pass(Duration::from_millis(500)).await;
        assert_eq!(resolved(&resolver, "mail.example").await, ok(&["192.0.2.1"]), "{reply:?}");
    }
}

#[tokio::test]
async fn addresses_of_one_family_are_used_while_the_other_is_in_trouble() {
    let server = DnsServer::start();
    server.says("mail.example", A, Reply::error(2));
    server.says("mail.example", AAAA, Reply::addr("mail.example", 60, "2001:db8::1"));
    let resolver = patient(&[&server]);
    assert_eq!(resolved(&resolver, "mail.example").await, ok(&["2001:db8::1"]));
    server.says("mail.example", A, Reply::addr("mail.example", 60, "192.0.2.1"));
    pass(seconds(1)).await;
    assert_eq!(resolved(&resolver, "mail.example").await, ok(&["192.0.2.1", "2001:db8::1"]));
    server.says("bad.example", A, Reply::error(5));
    server.says("bad.example", AAAA, Reply::error(3));
    assert_eq!(resolved(&resolver, "bad.example").await, Err(Failure::Refused), "what may pass says more");
}

#[tokio::test]
async fn aliases_are_followed_from_answer_to_answer() {
    let server = DnsServer::start();
    let settings = Settings { ipv6: false, ..settings(&[&server]) };
    server.says(
        "a.example",
        A,
        Reply::cname("a.example", 50, "b.example").and_cname("b.example", 40, "c.example"),
    );
    server.says(
        "c.example",
        A,
        Reply::cname("c.example", 60, "d.example").and_addr("d.example", 60, "192.0.2.4"),
    );
    let resolver = resolver(settings, NEVER);
    let known = resolver.addresses("a.example").await.unwrap();
    assert_eq!(known.answer.unwrap().addrs, ["192.0.2.4".parse::<IpAddr>().unwrap()]);
    let left = known.until.duration_since(Instant::now());
    assert!(left > seconds(30) && left <= seconds(40), "{left:?}");
    assert_eq!(server.asked().len(), 2);
}

#[tokio::test]
async fn aliases_that_lead_nowhere_come_to_an_end() {
    let server = DnsServer::start();
    let resolver = resolver(Settings { ipv6: false, ..settings(&[&server]) }, NEVER);
    server.says("ring.example", A, Reply::cname("ring.example", 60, "ring2.example"));
    server.says("ring2.example", A, Reply::cname("ring2.example", 60, "ring.example"));
    server.says("self.example", A, Reply::cname("self.example", 60, "self.example"));
    let chain = |from: usize| {
        (from..from + 60).fold(Reply::empty(), |reply, at| {
            reply.and_cname(&format!("{at}.example"), 60, &format!("{}.example", at + 1))
        })
    };
    server.says("0.example", A, chain(0));
    for name in ["ring.example", "self.example", "0.example"] {
        let before = server.asked().len();
        assert_eq!(resolved(&resolver, name).await, Err(Failure::NotFound), "{name}");
        assert!(server.asked().len() - before <= 8, "{name}");
    }
}

#[tokio::test]
async fn poison_in_an_answer_is_not_drunk() {
    let server = DnsServer::start();
    let reply = Reply::addr("mail.example", 60, "192.0.2.1")
        .and_addr("bank.example", 9999, "203.0.113.1")
        .and("mail.example", CNAME.wrapping_add(90), 60, b"what is this")
        .and_additional("bank.example", 9999, "203.0.113.2")
        .and_soa(60, 60);
    server.says("mail.example", A, reply);
    server.says("mail.example", AAAA, Reply::addr("mail.example", 60, "203.0.113.3"));
    has(&server, "bank.example", 60, "192.0.2.7");
    let resolver = patient(&[&server]);
    assert_eq!(resolved(&resolver, "mail.example").await, ok(&["192.0.2.1"]));
    assert_eq!(resolved(&resolver, "bank.example").await, ok(&["192.0.2.7"]));
}

#[tokio::test]
async fn names_that_dns_cannot_have_are_not_asked_for() {
    let server = DnsServer::start();
    let resolver = patient(&[&server]);
    for name in ["", "a b", "a\r\nb", "..", "käse.example", "a@b"] {
        assert_eq!(resolved(&resolver, name).await, Err(Failure::NotFound), "{name:?}");
    }
    assert_eq!(server.asked(), []);
}

#[tokio::test]
async fn addresses_stand_for_themselves_and_names_begin_with_another_one_each_time() {
    let server = DnsServer::start();
    let resolver = resolver(Settings { ipv6: false, ..settings(&[&server]) }, NEVER);
    let itself = resolver.resolve("2001:db8::1").await.unwrap();
    assert_eq!(itself.addrs, ["2001:db8::1".parse::<IpAddr>().unwrap()]);
    assert_eq!(server.asked(), []);
    server.says(
        "mail.example",
        A,
        Reply::addr("mail.example", 60, "192.0.2.1").and_addr("mail.example", 60, "192.0.2.2"),
    );
    let mut first = Vec::new();
    for _ in 0..4 {
        let found = resolver.resolve("mail.example").await.unwrap();
        assert!(found.addrs.len() == 2 && found.ttl <= seconds(60) && found.ttl > seconds(50));
        first.push(found.addrs[0].to_string());
    }
    assert_eq!(first[..2], first[2..]);
    assert_ne!(first[0], first[1]);
    pass(seconds(20)).await;
    assert!(resolver.resolve("mail.example").await.unwrap().ttl <= seconds(40), "what is left of it");
    server.says("gone.example", A, Reply::error(3));
    let error = resolver.resolve("gone.example").await.unwrap_err();
    assert_eq!((error.kind(), error.to_string()), (io::ErrorKind::NotFound, "Host not found".into()));
}

#[tokio::test]
async fn many_who_want_a_name_make_one_question_on_whatever_thread() {
    let server = DnsServer::start();
    has(&server, "mail.example", 60, "192.0.2.1");
    let resolver = patient(&[&server]);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(async {
                    let (a, b) = tokio::join!(
                        resolved(&resolver, "mail.example"),
                        resolved(&resolver, "MAIL.example")
                    );
                    assert_eq!((a, b), (ok(&["192.0.2.1"]), ok(&["192.0.2.1"])));
                });
            });
        }
    });
    assert_eq!(server.asked().len(), 2);
}

#[tokio::test]
async fn who_gives_up_does_not_take_the_answer_from_others() {
    let server = DnsServer::start();
    let (asked, mut first_asked) = tokio::sync::mpsc::unbounded_channel();
    let tell = Box::new(move || asked.send(()).unwrap());
    server.on("mail.example", A, [Play::Run(tell), Play::Say(Reply::addr("mail.example", 60, "192.0.2.1"))]);
    let resolver = resolver(Settings { ipv6: false, ..settings(&[&server]) }, NEVER);
    let gives_up = async {
        tokio::select! {
            _ = resolved(&resolver, "mail.example") => panic!("nobody answered"),
            _ = first_asked.recv() => {}
        }
    };
    let ((), patient) = tokio::join!(gives_up, resolved(&resolver, "mail.example"));
    assert_eq!(patient, ok(&["192.0.2.1"]));
    assert_eq!(server.asked().len(), 2);
}
