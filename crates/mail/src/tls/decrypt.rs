//! Private keys under pass phrases: PKCS#8 (PBES2, RFC 8018) and OpenSSL's traditional PEM.
//!
//! Costs are set by whoever made the key file, so this runs where configurations are read and nowhere else.

use cbc::Decryptor;
use cbc::cipher::block_padding::Pkcs7;
use cbc::cipher::{BlockCipherDecrypt, BlockModeDecrypt, InnerIvInit, KeyInit};
use md5::{Digest, Md5};
use pkcs8::EncryptedPrivateKeyInfoRef;
use zeroize::Zeroizing;

use super::mistake::Why;
use super::pem::Section;

/// Opens an `ENCRYPTED PRIVATE KEY`; the result is a PKCS#8 key, or rubbish under a wrong phrase.
pub(super) fn pkcs8(der: &[u8], phrase: &[u8]) -> Result<Zeroizing<Vec<u8>>, Why> {
    use pkcs8::pkcs5::Error;
    let key = EncryptedPrivateKeyInfoRef::try_from(der).map_err(|_| Why::Malformed("encrypted key"))?;
    let key = match key.encryption_algorithm.decrypt(phrase, key.encrypted_data.as_bytes()) {
        Ok(key) => key,
        Err(Error::NoPbes1CryptSupport) => return Err(Why::Encryption("PBES1".into())),
        Err(Error::UnsupportedAlgorithm { oid }) => return Err(Why::Encryption(oid.to_string())),
        Err(_) => return Err(Why::WrongPhrase),
    };
    Ok(Zeroizing::new(key))
}

/// Whether `section` is a key in traditional PEM that is encrypted.
pub(super) fn is_traditional(section: &Section<'_>) -> bool {
    section.header("Proc-Type").is_some_and(|value| value.ends_with("ENCRYPTED"))
}

/// Opens a key in traditional PEM; the result is as for [`pkcs8()`].
pub(super) fn traditional(section: &Section<'_>, phrase: &[u8]) -> Result<Zeroizing<Vec<u8>>, Why> {
    let info = section.header("DEK-Info").ok_or(Why::BadPem)?;
    let (cipher, iv) = info.split_once(',').ok_or(Why::BadPem)?;
    let iv = unhex(iv.trim()).ok_or(Why::BadPem)?;
    let salt = iv.get(..SALT).ok_or(Why::BadPem)?;
    let key = |length| derive(phrase, salt, length);
    let opened = match cipher {
        "DES-EDE3-CBC" => cbc_decrypt::<des::TdesEde3>(&key(24), &iv, &section.der),
        "AES-128-CBC" => cbc_decrypt::<aes::Aes128>(&key(16), &iv, &section.der),
        "AES-192-CBC" => cbc_decrypt::<aes::Aes192>(&key(24), &iv, &section.der),
        "AES-256-CBC" => cbc_decrypt::<aes::Aes256>(&key(32), &iv, &section.der),
        other => return Err(Why::Encryption(other.to_owned())),
    };
    opened.ok_or(Why::WrongPhrase)
}

/// How much of the initialisation vector is the salt of the key derivation, bytes.
const SALT: usize = 8;

/// OpenSSL's EVP_BytesToKey with MD5 and one round: each digest is over the one before, the phrase and the salt.
fn derive(phrase: &[u8], salt: &[u8], length: usize) -> Zeroizing<Vec<u8>> {
    // Room for all of it: a vector that grows leaves a copy behind.
    let mut key = Zeroizing::new(Vec::with_capacity(length + Md5::output_size()));
    while key.len() < length {
        let last = &key[key.len().saturating_sub(Md5::output_size())..];
        let digest = Md5::new().chain_update(last).chain_update(phrase).chain_update(salt).finalize();
        key.extend_from_slice(&digest);
    }
    key.truncate(length);
    key
}

/// `None`: a key, vector or text of the wrong length, or padding that a right key would not leave.
fn cbc_decrypt<C: BlockCipherDecrypt + KeyInit>(
    key: &[u8],
    iv: &[u8],
    text: &[u8],
) -> Option<Zeroizing<Vec<u8>>> {
    let cipher = C::new_from_slice(key).ok()?;
    let mut text = Zeroizing::new(text.to_vec());
    let length =
        Decryptor::inner_iv_slice_init(cipher, iv).ok()?.decrypt_padded::<Pkcs7>(&mut text).ok()?.len();
    text.truncate(length);
    Some(text)
}

/// Pairs of hexadecimal digits.
fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |digit: u8| char::from(digit).to_digit(16);
    let byte = |pair: &[u8]| match pair {
        [high, low] => u8::try_from(digit(*high)? << 4 | digit(*low)?).ok(),
        _ => None,
    };
    text.as_bytes().chunks(2).map(byte).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hexadecimal_digits_come_in_pairs() {
        assert_eq!(unhex("00fFa1"), Some(vec![0, 255, 0xa1]));
        assert_eq!(unhex(""), Some(vec![]));
        assert_eq!(unhex("0"), None);
        assert_eq!(unhex("0g"), None);
    }

    #[test]
    fn what_is_no_key_at_all_is_refused_without_a_phrase() {
        assert_eq!(pkcs8(&[0x30, 0], b"x").err(), Some(Why::Malformed("encrypted key")));
        for headers in
            ["", "DEK-Info: AES-128-CBC\n", "DEK-Info: AES-128-CBC,00\n", "DEK-Info: AES-128-CBC,zz\n"]
        {
            let text = format!(
                "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n{headers}\nAAEC\n-----END RSA PRIVATE KEY-----"
            );
            let section =
                super::super::pem::sections(text.as_bytes()).next().expect("one").expect("readable");
            assert!(is_traditional(&section));
            assert_eq!(traditional(&section, b"x").err(), Some(Why::BadPem), "{headers}");
        }
    }
}
