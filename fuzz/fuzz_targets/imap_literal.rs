//! IMAP LOGIN in every spelling of its arguments: whatever was meant is what the authority is asked about.
#![no_main]

use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use proto::sasl::Mechanisms;
use proto::{Dialogue, Limits, Salt, Settings, Starttls, Want, imap};

/// Appends `text` as a quoted string, a literal that waits, or one that does not.
fn spell(form: u8, text: &[u8], command: &mut Vec<u8>) {
    let quotable = !text.iter().any(|byte| matches!(byte, b'\r' | b'\n'));
    match form % 3 {
        0 if quotable => {
            command.push(b'"');
            for &byte in text {
                if matches!(byte, b'"' | b'\\') {
                    command.push(b'\\');
                }
                command.push(byte);
            }
            command.push(b'"');
        }
        1 => literal("", text, command),
        _ => literal("+", text, command),
    }
}

fn literal(plus: &str, text: &[u8], command: &mut Vec<u8>) {
    command.extend_from_slice(format!("{{{}{plus}}}\r\n", text.len()).as_bytes());
    command.extend_from_slice(text);
}

fuzz_target!(|bytes: &[u8]| {
    let Some((&[forms, split], texts)) = bytes.split_first_chunk::<2>() else { return };
    let (user, password) = texts.split_at(usize::from(split).min(texts.len()));
    let mut sent = b"a LOGIN ".to_vec();
    spell(forms, user, &mut sent);
    sent.push(b' ');
    spell(forms >> 4, password, &mut sent);
    sent.extend_from_slice(b"\r\nb NOOP\r\n");
    let settings = Settings {
        server_name: "mx.example".to_owned(),
        limits: Limits { line: 1 << 20, errors: 1, commands: 1 },
        capabilities: Vec::new(),
        mechanisms: Mechanisms::NONE,
        starttls: Starttls::Off,
    };
    let mut front = imap::Front::new(settings.into(), false, Salt { random: 1, time: 2 });
    let (mut input, mut output) = (BytesMut::from(&sent[..]), BytesMut::new());
    let want = front.step(&mut input, &mut output);
    if user.is_empty() {
        assert!(!matches!(want, Want::Answer(_)), "somebody without a name logs in");
        return;
    }
    let Want::Answer(login) = want else { panic!("not understood: {}", sent.escape_ascii()) };
    assert_eq!(login.credentials.user, user);
    assert_eq!(login.credentials.password.expose(), password);
    assert_eq!(&input[..], b"b NOOP\r\n");
});
