//! CRAM-MD5 (RFC 2195) and what Dovecot stores for it: HMAC-MD5 (RFC 2104) stopped after its key.

use md5::block_api::compress;
use md5::{Digest, Md5};
use proto::Secret;
use subtle::ConstantTimeEq;

use super::Broken;

const BLOCK: usize = 64;
const START: [u32; 4] = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476];

/// The two MD5 states that HMAC-MD5 has once it has swallowed its key: outer, then inner, little-endian.
///
/// Worth as much as the password to whoever wants to log in by CRAM-MD5.
#[derive(Debug)]
pub(crate) struct Contexts(Secret);

impl Contexts {
    /// How long they are, bytes.
    pub(crate) const LEN: usize = 32;

    /// Takes them as the file stores them.
    pub(crate) fn new(bytes: Secret) -> Result<Self, Broken> {
        if bytes.expose().len() == Self::LEN { Ok(Self(bytes)) } else { Err(Broken::Length) }
    }

    /// Makes them from a password.
    pub(crate) fn of(password: &[u8]) -> Self {
        let mut key = [0; BLOCK];
        if password.len() > BLOCK {
            key[..16].copy_from_slice(&Md5::digest(password));
        } else {
            key[..password.len()].copy_from_slice(password);
        }
        let mut bytes = Vec::with_capacity(Self::LEN);
        for pad in [0x5c, 0x36] {
            let mut state = START;
            compress(&mut state, &[key.map(|byte| byte ^ pad)]);
            bytes.extend(state.iter().flat_map(|word| word.to_le_bytes()));
        }
        Self(Secret::new(bytes))
    }

    /// Whether `password` leads to these.
    pub(crate) fn fit(&self, password: &[u8]) -> bool {
        self.0.expose().ct_eq(Self::of(password).0.expose()).into()
    }

    /// The answer to `challenge`.
    pub(crate) fn answer(&self, challenge: &[u8]) -> [u8; 16] {
        let (outer, inner) = self.0.expose().split_at(16);
        finish(outer, &finish(inner, challenge))
    }
}

/// MD5's end (RFC 1321, sections 3.1 to 3.5) over `data`, from the state behind one block of key.
fn finish(state: &[u8], data: &[u8]) -> [u8; 16] {
    let bits = ((BLOCK + data.len()) as u64).wrapping_mul(8);
    let mut padded = data.to_vec();
    padded.push(0x80);
    padded.resize((padded.len() + 8).next_multiple_of(BLOCK) - 8, 0);
    padded.extend_from_slice(&bits.to_le_bytes());

    let mut words = START;
    for (word, bytes) in words.iter_mut().zip(state.as_chunks().0) {
        *word = u32::from_le_bytes(*bytes);
    }
    compress(&mut words, padded.as_chunks().0);

    let mut digest = [0; 16];
    for (bytes, word) in digest.as_chunks_mut().0.iter_mut().zip(words) {
        *bytes = word.to_le_bytes();
    }
    digest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_rfc_2195_is_answered_as_there() {
        let challenge = b"<1896.697170952@postoffice.reston.mci.net>";
        let answer = Contexts::of(b"tanstaaftanstaaf").answer(challenge);
        assert_eq!(format!("{:032x}", u128::from_be_bytes(answer)), "b913a602c7eda7a495b4e6e7334d3890");
    }

    #[test]
    fn a_key_longer_than_a_block_is_hashed_first() {
        // RFC 2202, section 2, test case 6.
        let answer =
            Contexts::of(&[0xaa; 80]).answer(b"Test Using Larger Than Block-Size Key - Hash Key First");
        assert_eq!(format!("{:032x}", u128::from_be_bytes(answer)), "6b1ab7fe4bd7bf8f0b62e6ce61b9d0cd");
    }

    #[test]
    fn padding_is_right_for_every_length_around_a_block() {
        use hmac::{KeyInit, Mac};
        for len in 0..=130 {
            let data = vec![b'x'; len];
            let mut mac = hmac::Hmac::<Md5>::new_from_slice(b"key").unwrap();
            mac.update(&data);
            assert_eq!(Contexts::of(b"key").answer(&data)[..], mac.finalize().into_bytes()[..], "{len}");
        }
    }
}
