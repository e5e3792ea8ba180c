//! The web server of such a machine: a request, perhaps a challenge, the request again.

use crate::digest::Challenge;
use crate::family::Ask;
use crate::secret::Credentials;
use crate::{Framing, http};
use http::{HttpError, Response};

/// A server with digest authentication.
#[derive(Debug)]
pub(super) struct Web {
    credentials: Credentials,
    pub challenge: Option<Challenge>,
    /// The last request answered a challenge of this talk.
    answered: bool,
}

/// What a reply was.
#[derive(Debug)]
pub(super) enum Heard {
    /// A challenge: say the same again.
    Again,
    /// What was asked for.
    Body(Vec<u8>),
    /// Neither, in these words.
    Refused(String),
}

impl Web {
    pub(super) fn new(credentials: Credentials, challenge: Option<Challenge>) -> Self {
        Self { credentials, challenge, answered: false }
    }

    pub(super) fn get(&mut self, path: &str) -> Ask {
        self.request("GET", path, None)
    }

    pub(super) fn post(&mut self, path: &str, body: &str) -> Ask {
        self.request("POST", path, Some(body))
    }

    fn request(&mut self, method: &str, path: &str, body: Option<&str>) -> Ask {
        let credentials = &self.credentials;
        let line = self.challenge.as_mut().map(|c| c.answer(credentials, method, path));
        let bytes =
            http::request(method, path, line.as_deref().as_slice(), body.map(str::as_bytes));
        Ask::new(Framing::Http, bytes)
    }

    pub(super) fn hear(&mut self, reply: &[u8]) -> Heard {
        let reply = match Response::read(reply) {
            Ok(reply) => reply,
            Err(e) => return Heard::Refused(e.to_string()),
        };
        match reply.status {
            200..=299 => {
                self.answered = false;
                Heard::Body(reply.body)
            }
            401 if self.answered => {
                self.challenge = None;
                Heard::Refused("it does not take this name and password".into())
            }
            401 => {
                self.challenge = reply.all("www-authenticate").find_map(Challenge::read);
                self.answered = true;
                match self.challenge {
                    Some(_) => Heard::Again,
                    None => Heard::Refused(HttpError::to_string(&reply.refusal())),
                }
            }
            _ => Heard::Refused(reply.refusal().to_string()),
        }
    }
}
