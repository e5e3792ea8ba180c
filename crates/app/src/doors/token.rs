//! The secret that allows writing over HTTP: a file only its owner can read.

use crate::doors::nursery::{Nursery, own_uid};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Name of the token file in the data folder.
pub const TOKEN_FILE: &str = "token";
/// Random bytes of a token.
const SECRET_BYTES: usize = 32;
/// Hex digits of a token.
const SECRET_DIGITS: usize = 2 * SECRET_BYTES;
/// Permission bits that anyone but the owner could use.
const OTHERS: u32 = 0o077;

/// Says why there is no token.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The file cannot be made.
    #[error("failed to make token file `{}`", path.display())]
    Make {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The file cannot be read.
    #[error("failed to read token file `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Somebody else may have read it, so it is no secret.
    #[error(
        "failed to trust token file `{}`: {why}; remove it, and the next start makes a new one",
        path.display()
    )]
    Unsafe {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
}

/// A token; it is never shown, and comparing takes the same time wherever the difference is.
#[derive(Clone)]
pub struct Token(blake3::Hash);

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(..)")
    }
}

impl Token {
    /// Reads the token of a data folder, which exists, and makes one where there is none.
    ///
    /// # Errors
    /// When the file can be neither read nor made, or others can read it.
    pub fn open(data: &Path) -> Result<Self, TokenError> {
        let path = data.join(TOKEN_FILE);
        match read(&path) {
            Err(TokenError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                make(data, &path)
                    .map_err(|source| TokenError::Make { path: path.clone(), source })?;
                read(&path)
            }
            other => other,
        }
    }

    /// Says whether a text is this token.
    #[must_use]
    pub fn matches(&self, given: &[u8]) -> bool {
        // The comparison of two hashes is constant in time, and hashing hides the length.
        self.0 == blake3::hash(given)
    }
}

fn read(path: &Path) -> Result<Token, TokenError> {
    let failed = |source| TokenError::Read { path: path.to_owned(), source };
    let unsafe_file = |why: String| TokenError::Unsafe { path: path.to_owned(), why };
    if fs::symlink_metadata(path).map_err(failed)?.is_symlink() {
        return Err(unsafe_file("it is a link to somewhere else".to_owned()));
    }
    let file = File::open(path).map_err(failed)?;
    let about = file.metadata().map_err(failed)?;
    if !about.is_file() {
        return Err(unsafe_file("it is not a plain file".to_owned()));
    }
    if about.mode() & OTHERS != 0 {
        let mode = about.mode() & 0o777;
        return Err(unsafe_file(format!("its mode is {mode:04o}, so others can use it")));
    }
    if about.uid() != own_uid().map_err(failed)? {
        return Err(unsafe_file("it belongs to another user".to_owned()));
    }
    let mut text = String::new();
    // One byte more than there may be, so that a longer file is noticed and not read whole.
    let limit = u64::try_from(SECRET_DIGITS + 2).expect("a token's length fits 64 bits");
    file.take(limit).read_to_string(&mut text).map_err(failed)?;
    let secret = text.strip_suffix('\n').unwrap_or(&text);
    if secret.len() != SECRET_DIGITS || !secret.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(unsafe_file(format!("it does not hold {SECRET_DIGITS} hex digits")));
    }
    Ok(Token(blake3::hash(secret.as_bytes())))
}

/// Makes the file under another name and links it into place: it is there whole or not at all,
/// and one that somebody else made meanwhile stays.
fn make(data: &Path, path: &Path) -> io::Result<()> {
    let mut random = [0_u8; SECRET_BYTES];
    File::open("/dev/urandom")?.read_exact(&mut random)?;
    let secret: String = random.iter().map(|b| format!("{b:02x}")).collect();

    let nursery = Nursery::make(data, TOKEN_FILE)?;
    let draft = nursery.path().join(TOKEN_FILE);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
    writeln!(file, "{secret}")?;
    file.sync_all()?;
    match fs::hard_link(&draft, path) {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doors::testing::Folder;
    use std::os::unix::fs::PermissionsExt;

    fn secret(data: &Folder) -> String {
        fs::read_to_string(data.path().join(TOKEN_FILE)).unwrap().trim_end().to_owned()
    }

    /// Puts a file of this text and mode where the token is read, and shows what is said of it.
    fn check(text: &str, mode: u32) -> String {
        let data = Folder::new("token");
        let path = data.path().join(TOKEN_FILE);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        match Token::open(data.path()) {
            Ok(_) => "taken".to_owned(),
            Err(e) => e.to_string().replace(&data.path().display().to_string(), "DATA"),
        }
    }

    #[test]
    fn a_token_is_made_once_and_only_its_owner_can_read_it() {
        let data = Folder::new("token");
        let made = Token::open(data.path()).unwrap();
        let mode = fs::metadata(data.path().join(TOKEN_FILE)).unwrap().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(made.matches(secret(&data).as_bytes()));
        assert!(Token::open(data.path()).unwrap().matches(secret(&data).as_bytes()));
        assert_eq!(fs::read_dir(data.path()).unwrap().count(), 1, "no draft stays behind");
    }

    #[test]
    fn two_folders_have_two_tokens() {
        let (one, two) = (Folder::new("token"), Folder::new("token"));
        let token = Token::open(one.path()).unwrap();
        Token::open(two.path()).unwrap();
        assert_ne!(secret(&one), secret(&two));
        assert!(!token.matches(secret(&two).as_bytes()));
    }

    #[test]
    fn only_the_whole_token_matches() {
        let data = Folder::new("token");
        let token = Token::open(data.path()).unwrap();
        let secret = secret(&data);
        assert!(!token.matches(b""));
        assert!(!token.matches(&secret.as_bytes()[..63]));
        assert!(!token.matches(format!("{secret}0").as_bytes()));
        assert!(!format!("{token:?}").contains(&secret));
    }

    #[test]
    fn a_file_that_is_no_secret_is_refused() {
        let good = "5f".repeat(32);
        assert_eq!(check(&good, 0o600), "taken");
        assert_eq!(check(&format!("{good}\n"), 0o400), "taken");
        insta::assert_snapshot!(check(&good, 0o640), @"failed to trust token file `DATA/token`: its mode is 0640, so others can use it; remove it, and the next start makes a new one");
        insta::assert_snapshot!(check(&good, 0o604), @"failed to trust token file `DATA/token`: its mode is 0604, so others can use it; remove it, and the next start makes a new one");
        insta::assert_snapshot!(check("", 0o600), @"failed to trust token file `DATA/token`: it does not hold 64 hex digits; remove it, and the next start makes a new one");
        insta::assert_snapshot!(check(&good.replace('5', "x"), 0o600), @"failed to trust token file `DATA/token`: it does not hold 64 hex digits; remove it, and the next start makes a new one");
        insta::assert_snapshot!(check(&format!("{good}\n\n"), 0o600), @"failed to trust token file `DATA/token`: it does not hold 64 hex digits; remove it, and the next start makes a new one");
    }

    #[test]
    fn a_link_is_refused() {
        let data = Folder::new("token");
        Token::open(data.path()).unwrap();
        let path = data.path().join(TOKEN_FILE);
        fs::rename(&path, data.path().join("elsewhere")).unwrap();
        std::os::unix::fs::symlink(data.path().join("elsewhere"), &path).unwrap();
        assert!(matches!(Token::open(data.path()), Err(TokenError::Unsafe { .. })));
    }
}
