//! The arithmetic of the v2 API's writes: md5crypt twice over the password, and AES-256 in ECB
//! with what came of it. It keeps nobody out who listens; it is what the machines want.

use crate::secret::Secret;
use aes::Aes256;
use aes::cipher::{BlockCipherDecrypt, BlockCipherEncrypt, KeyInit};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

/// Longest salt; md5crypt has eight characters.
const SALT_BYTES_MAX: usize = 8;
/// Longest time stamp of a token; real ones have four digits.
const STAMP_BYTES_MAX: usize = 16;
/// Bytes of one block.
const BLOCK: usize = 16;

/// What a token is made of: the key that encrypts, and the sign that goes into each write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pass {
    /// Encrypts and decrypts.
    pub key: Secret,
    /// Goes into each write as its token.
    pub sign: Secret,
}

/// Makes a pass of a password and of what a machine gave: a salt, another, and a stamp. `None`
/// when the machine gave something else.
#[must_use]
pub fn pass(password: &Secret, salt: &str, newsalt: &str, stamp: &str) -> Option<Pass> {
    if stamp.len() > STAMP_BYTES_MAX {
        return None;
    }
    let key = hashed(password.reveal(), salt)?;
    let sign = hashed(&format!("{key}{stamp}"), newsalt)?;
    Some(Pass { key: Secret::new(key), sign: Secret::new(sign) })
}

/// The last field of an md5crypt.
fn hashed(text: &str, salt: &str) -> Option<String> {
    let plain = salt.bytes().all(|b| b.is_ascii_graphic() && b != b'$');
    if salt.is_empty() || salt.len() > SALT_BYTES_MAX || !plain {
        return None;
    }
    let whole = String::from_utf8(md5crypt::md5crypt(text.as_bytes(), salt.as_bytes())).ok()?;
    whole.rsplit('$').next().map(str::to_owned)
}

fn cipher(key: &Secret) -> Aes256 {
    Aes256::new(&Sha256::digest(key.reveal().as_bytes()))
}

/// Encrypts a write: zeros to the end of its last block, then base64.
#[must_use]
pub fn encrypt(key: &Secret, text: &str) -> String {
    let cipher = cipher(key);
    let mut bytes = text.as_bytes().to_vec();
    bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
    for block in bytes.chunks_exact_mut(BLOCK) {
        if let Ok(block) = block.try_into() {
            cipher.encrypt_block(block);
        }
    }
    STANDARD.encode(bytes)
}

/// Decrypts a reply; `None` when it is not one of this key.
#[must_use]
pub fn decrypt(key: &Secret, text: &str) -> Option<Vec<u8>> {
    // Some firmwares break the line as the encoder of their language does.
    let text: String = text.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    let mut bytes = STANDARD.decode(text).ok()?;
    if bytes.is_empty() || !bytes.len().is_multiple_of(BLOCK) {
        return None;
    }
    let cipher = cipher(key);
    for block in bytes.chunks_exact_mut(BLOCK) {
        if let Ok(block) = block.try_into() {
            cipher.decrypt_block(block);
        }
    }
    let end = bytes.iter().rposition(|b| *b != 0)?;
    bytes.truncate(end + 1);
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vector of the vendor's own arithmetic, computed with another implementation.
    #[test]
    fn a_pass_and_a_write_are_as_the_machines_want_them() {
        let pass = pass(&Secret::new("admin"), "BQ5hoXV9", "jbzkfQls", "5626").unwrap();
        assert_eq!(pass.key.reveal(), "RxmaDUO33TS7O26yeMHZ81");
        assert_eq!(pass.sign.reveal(), "w.BNbkCV6n1aNWgiBWLzT/");
        let text =
            r#"{"cmd": "power_off", "respbefore": "true", "token": "w.BNbkCV6n1aNWgiBWLzT/"}"#;
        let sent = "YJracrWpLn2XvqWuNiNqyg70K64pfivIJhwE32DXNCeyv4iYIDyJ6mJuwbGpytIy\
                    tGFk3qcQXxIEGYONPJL4PpGxjzTpYw1ob9fHFP6+QL8=";
        assert_eq!(encrypt(&pass.key, text), sent);
        assert_eq!(decrypt(&pass.key, sent).unwrap(), text.as_bytes());
    }

    #[test]
    fn what_is_no_salt_and_no_cipher_is_refused() {
        let made = |salt: &str, stamp: &str| pass(&Secret::new("a"), salt, "jbzkfQls", stamp);
        for salt in ["", "123456789", "a$b", "a b", "é"] {
            assert_eq!(made(salt, "1"), None, "{salt}");
        }
        assert_eq!(made("BQ5hoXV9", "12345678901234567"), None);
        let key = Secret::new("k");
        for text in ["", "AAAA", "no base64!", "AAAAAAAAAAAAAAAAAAAAAAA="] {
            assert_eq!(decrypt(&key, text), None, "{text}");
        }
        assert_eq!(format!("{:?}", made("BQ5hoXV9", "1").unwrap()), "Pass { key: ***, sign: *** }");
    }
}
