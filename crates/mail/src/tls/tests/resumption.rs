//! Sessions that are resumed, and those that must not be.

use rustls::HandshakeKind;
use rustls::client::{ClientSessionMemoryCache, Resumption, Tls12Resumption};
use rustls::pki_types::PrivatePkcs8KeyDer;

use super::*;
use crate::tls::sessions::CacheMode;
use crate::tls::testing::{Ends, client, name, new_key};
use crate::tls::{Rejection, Verified, VerifyClient, VerifyError};

/// The ways in which a session can be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Id12,
    Ticket12,
    Ticket13,
    /// TLS 1.3 without tickets of our making: they are names of cached sessions.
    Cached13,
}

const WAYS: [Way; 4] = [Way::Id12, Way::Ticket12, Way::Ticket13, Way::Cached13];

impl Way {
    fn version(self) -> &'static SupportedProtocolVersion {
        if matches!(self, Self::Id12 | Self::Ticket12) { VERSIONS[0] } else { VERSIONS[1] }
    }

    fn set_up(self, settings: &mut ServerSettings) {
        settings.session_tickets = matches!(self, Self::Ticket12 | Self::Ticket13);
        settings.session_cache = match self {
            Self::Id12 | Self::Cached13 => vec![CacheMode::Shared { zone: "z".into(), size: 1 << 20 }],
            Self::Ticket12 | Self::Ticket13 => vec![CacheMode::Off],
        };
    }

    /// A client that remembers one session, and has the certificate of `leaf` if there is one.
    fn client(self, scene: &Scene, leaf: Option<&Leaf>) -> Arc<ClientConfig> {
        let builder = scene.client_builder(&[self.version()]);
        let mut client = match leaf {
            Some(leaf) => {
                let key = PrivatePkcs8KeyDer::from(leaf.key.serialize_der()).into();
                builder.with_client_auth_cert(vec![leaf.der.clone()], key).expect("a certificate")
            }
            None => builder.with_no_client_auth(),
        };
        let way = if self == Self::Id12 {
            Tls12Resumption::SessionIdOnly
        } else {
            Tls12Resumption::SessionIdOrTickets
        };
        let store = Arc::new(ClientSessionMemoryCache::new(8));
        client.resumption = Resumption::store(store).tls12_resumption(way);
        Arc::new(client)
    }
}

/// Whether the handshake of `client` with `server` resumes a session.
fn resumes(client: &Arc<ClientConfig>, server: &ServerTls) -> bool {
    let ends = Ends::meet(client, &server.config, name("mail.example")).expect("a handshake");
    ends.server.handshake_kind() == Some(HandshakeKind::Resumed)
}

#[test]
fn sessions_are_resumed_in_every_way() {
    for way in WAYS {
        let mut scene = Scene::new();
        way.set_up(&mut scene.settings);
        let (client, server) = (way.client(&scene, None), scene.build());
        let kinds: Vec<_> = (0..3).map(|_| resumes(&client, &server)).collect();
        assert_eq!(kinds, [false, true, true], "{way:?}");
    }
}

#[test]
fn sessions_survive_a_reload() {
    for way in WAYS {
        let mut scene = Scene::new();
        way.set_up(&mut scene.settings);
        let client = way.client(&scene, None);
        assert!(!resumes(&client, &scene.build()), "{way:?}");
        assert!(resumes(&client, &scene.build()), "{way:?}");
    }
}

#[test]
fn sessions_do_not_survive_their_timeout() {
    for way in WAYS {
        let mut scene = Scene::new();
        way.set_up(&mut scene.settings);
        let (client, server) = (way.client(&scene, None), scene.build());
        assert!(!resumes(&client, &server), "{way:?}");
        scene.files.clock.advance(301);
        assert!(!resumes(&client, &server), "{way:?}");
    }
}

#[test]
fn nothing_is_resumed_where_nothing_is_kept() {
    for mode in [CacheMode::Off, CacheMode::None] {
        for way in [Way::Id12, Way::Cached13] {
            let mut scene = Scene::new();
            scene.settings.session_tickets = false;
            scene.settings.session_cache = vec![mode.clone()];
            let (client, server) = (way.client(&scene, None), scene.build());
            assert!(!resumes(&client, &server) && !resumes(&client, &server), "{mode:?} {way:?}");
        }
    }
}

#[test]
fn sessions_stay_with_their_certificates() {
    for way in WAYS {
        let mut scene = Scene::new();
        way.set_up(&mut scene.settings);
        let client = way.client(&scene, None);
        assert!(!resumes(&client, &scene.build()), "{way:?}");
        let another = scene.ca.leaf("mail.example");
        (scene.settings.certificates, scene.settings.keys) = Default::default();
        scene.add(&another);
        assert!(!resumes(&client, &scene.build()), "{way:?}");
    }
}

/// CVE-2025-23419: a session of a server that asks for nothing is no way around one that does.
#[test]
fn sessions_stay_with_what_is_wanted_of_clients() {
    for way in WAYS {
        let mut scene = Scene::new();
        way.set_up(&mut scene.settings);
        let first = scene.files.add("first.pem", Ca::new("first").pem());
        let second = scene.files.add("second.pem", Ca::new("second").pem());
        scene.settings.client_certificate = Some(first.clone());
        scene.settings.verify_client = VerifyClient::Optional;
        let changes: [fn(&mut ServerSettings); 4] = [
            |settings| settings.verify_client = VerifyClient::Off,
            |settings| settings.verify_client = VerifyClient::On,
            |settings| settings.verify_depth = 2,
            |settings| settings.trusted_certificate.clone_from(&settings.client_certificate),
        ];
        for change in changes {
            let client = way.client(&scene, None);
            assert!(!resumes(&client, &scene.build()), "{way:?}");
            let before = scene.settings.clone();
            change(&mut scene.settings);
            assert!(!resumes(&client, &scene.build()), "{way:?}");
            scene.settings = before;
        }
        let client = way.client(&scene, None);
        assert!(!resumes(&client, &scene.build()), "{way:?}");
        scene.settings.client_certificate = Some(second);
        assert!(!resumes(&client, &scene.build()), "{way:?}");
    }
}

#[test]
fn a_client_s_certificate_is_judged_again_when_its_session_is_resumed() {
    for way in WAYS {
        let mut scene = Scene::new();
        way.set_up(&mut scene.settings);
        scene.settings.session_timeout = std::time::Duration::from_hours(72);
        let authority = Ca::new("client ca");
        scene.settings.verify_client = VerifyClient::On;
        scene.settings.client_certificate = Some(scene.files.add("clients.pem", authority.pem()));
        let mut params = client("good");
        params.not_after = rcgen::date_time_ymd(2030, 1, 2);
        let leaf = authority.sign(&params, new_key());
        let (client, server) = (way.client(&scene, Some(&leaf)), scene.build());
        let judge = || {
            let ends = Ends::meet(&client, &server.config, name("mail.example")).expect("a handshake");
            let resumed = ends.server.handshake_kind() == Some(HandshakeKind::Resumed);
            let certificate = server.judge(ends.server.peer_certificates()).expect("asked for");
            (resumed, certificate.result, certificate.rejection())
        };
        scene.files.clock.advance(23 * 60 * 60);
        assert_eq!(judge(), (false, Verified::Success, None), "{way:?}");
        assert_eq!(judge(), (true, Verified::Success, None), "{way:?}");
        scene.files.clock.advance(2 * 60 * 60);
        let expired = VerifyError::Expired;
        assert_eq!(judge(), (true, Verified::Failed(expired), Some(Rejection::Bad(expired))), "{way:?}");
    }
}
