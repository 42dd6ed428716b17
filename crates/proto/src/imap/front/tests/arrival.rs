//! How bytes arrive changes nothing, whatever the bytes: many made-up inputs, whole and byte by byte.

use super::*;

/// Pieces that commands are made of, and some that they are not.
const PIECES: [&str; 32] = [
    "a",
    "b.1",
    " ",
    "  ",
    "\r\n",
    "\r\n",
    "\r\n",
    "\n",
    "\r",
    "\"",
    "\"",
    "\\",
    "{1}",
    "{2}\r\n",
    "{3+}\r\n",
    "{0}\r\n",
    "{99",
    "+}\r\n",
    "\0",
    "\u{e9}",
    "LOGIN",
    "LOGIN ",
    "a NOOP",
    "c LOGIN u p\r\n",
    "ID (",
    ")",
    "AUTHENTICATE ",
    "PLAIN",
    "AHUAcA==",
    "=",
    "*",
    "d LOGOUT\r\n",
];

/// Numbers without any pattern that matters (xorshift); the same in each run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap() % end
    }

    fn text(&mut self) -> String {
        (0..=self.below(24)).map(|_| PIECES[self.below(PIECES.len())]).collect()
    }
}

/// All that comes of `input`, every login being refused with leave to try again.
fn outcome<'a>(chunks: impl Iterator<Item = &'a [u8]>) -> (Vec<Want<Login>>, BytesMut) {
    let mut settings = settings();
    settings.limits = Limits { line: 48, errors: 6, commands: 8 };
    settings.capabilities.push("ID".into());
    let mut front = Front::new(settings.into(), false, SALT);
    let (mut input, mut output, mut wants) = (BytesMut::new(), BytesMut::new(), Vec::new());
    for chunk in chunks {
        input.extend_from_slice(chunk);
        loop {
            match front.step(&mut input, &mut output) {
                Want::Input => break,
                Want::Close => {
                    wants.push(Want::Close);
                    return (wants, output);
                }
                want => {
                    if matches!(want, Want::Answer(_)) {
                        front.answer(refused("no", true));
                    }
                    wants.push(want);
                }
            }
        }
        assert!(input.len() < 48, "more input is wanted than the limit allows");
    }
    (wants, output)
}

#[test]
fn any_input_means_the_same_in_one_piece_and_byte_by_byte() {
    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    let (mut logins, mut ends) = (0, 0);
    for _ in 0..20_000 {
        let text = numbers.text();
        let whole = outcome([text.as_bytes()].into_iter());
        let bytes = outcome(text.as_bytes().chunks(1));
        assert_eq!(whole, bytes, "{text:?}");
        logins += whole.0.iter().filter(|want| matches!(want, Want::Answer(_))).count();
        ends += usize::from(whole.0.last() == Some(&Want::Close));
    }
    assert!(logins > 500 && ends > 500, "the inputs try little: {logins} logins, {ends} ends");
}
