//! `ssl_conf_command`: the few commands of OpenSSL's SSL_CONF_cmd(3) that mean something here.
//!
//! They come after everything else and change what was chosen.

use rustls::SupportedCipherSuite;
use rustls::crypto::SupportedKxGroup;

use super::ciphers;
use super::environment::Environment;
use super::groups;
use super::mistake::{Mistake, Remark, Why};
use super::pairs::Pair;
use super::protocols::{Protocols, Version};
use super::settings::{ConfCommand, ServerSettings, Source};

/// The commands that exist.
const COMMANDS: &str =
    "Ciphersuites, Groups, Curves, MinProtocol, MaxProtocol, Options, Certificate, PrivateKey";

/// What commands can change.
pub(super) struct Choices {
    pub(super) protocols: Protocols,
    pub(super) tls13: Vec<SupportedCipherSuite>,
    pub(super) groups: Vec<&'static dyn SupportedKxGroup>,
    pub(super) prefer_server_ciphers: bool,
    pub(super) tickets: bool,
    pub(super) pairs: Vec<Pair>,
}

impl Choices {
    /// Applies the commands of `settings` in their order.
    pub(super) fn apply(
        &mut self,
        settings: &ServerSettings,
        environment: &Environment<'_>,
        remarks: &mut Vec<Remark>,
    ) -> Result<(), Mistake> {
        let (mut certificates, mut keys) = (Vec::new(), Vec::new());
        for command in &settings.conf_commands {
            match command.name.to_ascii_lowercase().as_str() {
                "certificate" => certificates.push(command),
                "privatekey" => keys.push(command),
                name => self.apply_one(name, &command.value, remarks).map_err(|why| failed(command, why))?,
            }
        }
        if certificates.len() != keys.len() {
            return Err(Mistake::Commands(Why::Unpaired));
        }
        for (certificate, key) in certificates.into_iter().zip(keys) {
            self.add_pair(&certificate.value, &key.value, settings, environment)?;
        }
        if self.tls13.is_empty() {
            self.protocols.without(Version::Tls13);
        }
        if self.protocols.is_empty() { Err(Mistake::Commands(Why::NoProtocol)) } else { Ok(()) }
    }

    fn apply_one(&mut self, name: &str, value: &str, remarks: &mut Vec<Remark>) -> Result<(), Why> {
        match name {
            "ciphersuites" => self.tls13 = ciphers::tls13(value)?,
            "groups" | "curves" => self.groups = groups::groups(value, remarks)?,
            "minprotocol" => {
                if let Some(version) = bound(value)? {
                    self.protocols.at_least(version);
                }
            }
            "maxprotocol" => {
                if let Some(version) = bound(value)? {
                    self.protocols.at_most(version);
                }
            }
            "options" => value.split(',').try_for_each(|option| self.set_option(option.trim()))?,
            _ => return Err(Why::UnknownCommand(COMMANDS)),
        }
        Ok(())
    }

    /// One word of `Options`: with `-` in front it is switched off.
    fn set_option(&mut self, option: &str) -> Result<(), Why> {
        let on = !option.starts_with('-');
        match option.trim_start_matches(['+', '-']).to_ascii_lowercase().as_str() {
            "sessionticket" => self.tickets = on,
            "serverpreference" => self.prefer_server_ciphers = on,
            _ => return Err(Why::BadValue),
        }
        Ok(())
    }

    /// As in OpenSSL, a certificate takes the place of the one whose key is of the same type.
    fn add_pair(
        &mut self,
        certificate: &str,
        key: &str,
        settings: &ServerSettings,
        environment: &Environment<'_>,
    ) -> Result<(), Mistake> {
        let source = |path: &str| Source::File(path.into());
        let phrases = settings.passphrases.as_deref();
        let pair = Pair::load(&source(certificate), &source(key), phrases, &[], environment)?;
        match self.pairs.iter_mut().find(|other| other.kind() == pair.kind()) {
            Some(other) => *other = pair,
            None => self.pairs.push(pair),
        }
        Ok(())
    }
}

/// A version of `MinProtocol` or `MaxProtocol`; `None` is no bound.
fn bound(value: &str) -> Result<Option<Version>, Why> {
    match value {
        "None" => Ok(None),
        _ => Version::ALL.into_iter().find(|version| version.name() == value).map(Some).ok_or(Why::BadValue),
    }
}

fn failed(command: &ConfCommand, why: Why) -> Mistake {
    Mistake::Command { name: command.name.clone(), value: command.value.clone(), why }
}

#[cfg(test)]
mod tests {
    use proto::Protocol;

    use super::*;
    use crate::tls::testing::{Ca, Files};

    fn choices() -> Choices {
        Choices {
            protocols: Protocols::new("ssl_protocols", &Version::DEFAULT, &mut Vec::new())
                .expect("protocols"),
            tls13: ciphers::tls13_default(),
            groups: groups::default(),
            prefer_server_ciphers: false,
            tickets: true,
            pairs: Vec::new(),
        }
    }

    fn applied(commands: &[(&str, &str)], files: &Files) -> Result<Choices, String> {
        let mut settings = ServerSettings::new(Protocol::Imap);
        let command =
            |(name, value): &(&str, &str)| ConfCommand { name: (*name).into(), value: (*value).into() };
        settings.conf_commands = commands.iter().map(command).collect();
        let mut choices = choices();
        files
            .with(|environment| choices.apply(&settings, environment, &mut Vec::new()))
            .map(|()| choices)
            .map_err(|mistake| mistake.to_string())
    }

    #[test]
    fn commands_change_what_was_chosen() {
        let commands = [
            ("Ciphersuites", "TLS_AES_128_GCM_SHA256"),
            ("groups", "P-256"),
            ("MinProtocol", "TLSv1.3"),
            ("Options", "-SessionTicket,ServerPreference"),
        ];
        let choices = applied(&commands, &Files::default()).expect("choices");
        assert_eq!((choices.tls13.len(), choices.groups.len()), (1, 1));
        assert!(!choices.protocols.contains(Version::Tls12) && choices.protocols.contains(Version::Tls13));
        assert!(choices.prefer_server_ciphers && !choices.tickets);
    }

    #[test]
    fn bounds_of_versions_are_bounds() {
        let spoken = |commands: &[(&str, &str)]| {
            applied(commands, &Files::default()).map(|choices| {
                (choices.protocols.contains(Version::Tls12), choices.protocols.contains(Version::Tls13))
            })
        };
        assert_eq!(spoken(&[("MinProtocol", "None"), ("MaxProtocol", "None")]), Ok((true, true)));
        assert_eq!(spoken(&[("MinProtocol", "TLSv1"), ("MaxProtocol", "TLSv1.2")]), Ok((true, false)));
        assert_eq!(spoken(&[("Ciphersuites", "")]), Ok((true, false)));
        let none = Err("SSL_CONF_finish() failed (SSL: no protocols available)".into());
        assert_eq!(spoken(&[("MaxProtocol", "TLSv1.1")]), none);
        assert_eq!(spoken(&[("MinProtocol", "TLSv1.3"), ("Ciphersuites", "")]), none);
    }

    #[test]
    fn what_is_not_to_be_had_is_refused_by_name() {
        let cases = [
            (("Foo", "x"), format!("unsupported command, there are {COMMANDS}")),
            (("CipherString", "HIGH"), format!("unsupported command, there are {COMMANDS}")),
            (("MinProtocol", "TLSv2"), "bad value".into()),
            (("Options", "KTLS"), "bad value".into()),
            (("Options", ""), "bad value".into()),
            (("Curves", "secp521r1"), "no usable group, there are X25519MLKEM768, X25519, P-256, P-384, SecP256r1MLKEM768, MLKEM768, MLKEM1024".into()),
            (
                ("Ciphersuites", "TLS_AES_128_CCM_SHA256"),
                "no cipher match, there are TLS_AES_256_GCM_SHA384, TLS_CHACHA20_POLY1305_SHA256, TLS_AES_128_GCM_SHA256".into(),
            ),
        ];
        for ((name, value), why) in cases {
            let expected = format!("SSL_CONF_cmd(\"{name}\", \"{value}\") failed (SSL: {why})");
            assert_eq!(applied(&[(name, value)], &Files::default()).err(), Some(expected));
        }
    }

    #[test]
    fn a_pair_takes_the_place_of_one_with_the_same_type_of_key() {
        let (ca, mut files) = (Ca::new("ca"), Files::default());
        for (name, leaf) in
            [("a", ca.leaf("a.example")), ("b", ca.leaf("b.example")), ("r", ca.rsa_leaf("r.example"))]
        {
            files.add(&format!("{name}.crt"), leaf.pem());
            files.add(&format!("{name}.key"), leaf.key_pem());
        }
        let command = |name: &'static str, file: &str| (name, format!("/files/{file}"));
        let commands = ["a", "r", "b"].map(|name| {
            [command("Certificate", &format!("{name}.crt")), command("PrivateKey", &format!("{name}.key"))]
        });
        let commands: Vec<_> =
            commands.as_flattened().iter().map(|(name, value)| (*name, &**value)).collect();
        let names =
            applied(&commands, &files).expect("choices").pairs.into_iter().map(|pair| pair.names.concat());
        assert_eq!(names.collect::<Vec<_>>(), ["b.example", "r.example"]);
        assert_eq!(
            applied(&commands[..1], &files).err(),
            Some("SSL_CONF_finish() failed (SSL: Certificate and PrivateKey go together)".into())
        );
    }
}
