//! What must not be shown: passwords, and what could be used like one.

use std::fmt;

/// A text that no log, error or screen shows.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Box<str>);

impl Secret {
    /// Keeps a text from being shown.
    #[must_use]
    pub fn new(text: impl Into<Box<str>>) -> Self {
        Self(text.into())
    }

    /// The text itself, for the wire alone.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Another's words with the text taken out of them.
    #[must_use]
    pub fn hide_in(&self, words: &str) -> String {
        if self.0.is_empty() { words.to_owned() } else { words.replace(&*self.0, "***") }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// A name and a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The account.
    pub username: Secret,
    /// Its password.
    pub password: Secret,
}

impl Credentials {
    /// A name and a password.
    #[must_use]
    pub fn new(username: &str, password: &str) -> Self {
        Self { username: Secret::new(username), password: Secret::new(password) }
    }

    /// The same, with a name where none is given.
    #[must_use]
    pub fn or_name(mut self, name: &str) -> Self {
        if self.username.reveal().is_empty() {
            self.username = Secret::new(name);
        }
        self
    }
}
