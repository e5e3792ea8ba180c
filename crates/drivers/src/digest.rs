//! HTTP digest authentication as miners' web servers ask for it: MD5, with or without `qop`.
//! The password goes into a hash and never onto the wire.

use crate::secret::Credentials;
use std::fmt::Write as _;

/// Longest value of a challenge that is taken in.
const VALUE_BYTES_MAX: usize = 256;

/// What a server asked for, and how often it was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Challenge {
    realm: String,
    nonce: String,
    opaque: Option<String>,
    qop: bool,
    count: u32,
}

impl Challenge {
    /// Reads a `WWW-Authenticate` value; `None` when it asks for something else than MD5.
    #[must_use]
    pub fn read(value: &str) -> Option<Self> {
        let (scheme, rest) = value.trim_ascii_start().split_at_checked("digest ".len())?;
        if !scheme.eq_ignore_ascii_case("digest ") {
            return None;
        }
        let fields = fields(rest);
        let find = |name: &str| {
            fields.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.clone())
        };
        if find("algorithm").is_some_and(|a| !a.eq_ignore_ascii_case("md5")) {
            return None;
        }
        let qop = match find("qop") {
            None => false,
            Some(all) => {
                all.split(',').any(|q| q.trim().eq_ignore_ascii_case("auth")).then_some(true)?
            }
        };
        let (realm, nonce, opaque) = (find("realm")?, find("nonce")?, find("opaque"));
        let plain = |text: &String| {
            let fit = |b| (b' '..=b'~').contains(&b) && b != b'"' && b != b'\\';
            text.len() <= VALUE_BYTES_MAX && text.bytes().all(fit)
        };
        let all_plain =
            [Some(&realm), Some(&nonce), opaque.as_ref()].into_iter().flatten().all(plain);
        all_plain.then_some(Self { realm, nonce, opaque, qop, count: 0 })
    }

    /// The line of a request that answers it.
    pub fn answer(&mut self, credentials: &Credentials, method: &str, path: &str) -> String {
        self.count += 1;
        let Self { realm, nonce, opaque, qop, count } = self;
        let (name, password) = (credentials.username.reveal(), credentials.password.reveal());
        let user = hash(&format!("{name}:{realm}:{password}"));
        let what = hash(&format!("{method}:{path}"));
        // Nobody who does not know the password can choose or guess it.
        let own = hash(&format!("{user}:{nonce}:{count}"));
        let own = &own[..16];
        let response = if *qop {
            hash(&format!("{user}:{nonce}:{count:08x}:{own}:auth:{what}"))
        } else {
            hash(&format!("{user}:{nonce}:{what}"))
        };
        let name: String =
            name.chars().filter(|c| !c.is_control() && !"\"\\".contains(*c)).collect();
        let mut line = format!(
            "Authorization: Digest username=\"{name}\", realm=\"{realm}\", nonce=\"{nonce}\", \
             uri=\"{path}\", response=\"{response}\""
        );
        if *qop {
            let _ = write!(line, ", qop=auth, nc={count:08x}, cnonce=\"{own}\"");
        }
        if let Some(opaque) = opaque {
            let _ = write!(line, ", opaque=\"{opaque}\"");
        }
        line
    }
}

fn hash(text: &str) -> String {
    format!("{:x}", md5::compute(text))
}

/// Splits `a=b, c="d, e"` at the commas outside of quotes.
fn fields(text: &str) -> Vec<(String, String)> {
    let mut all = Vec::new();
    let mut quoted = false;
    let parts = text.split(|c: char| {
        quoted ^= c == '"';
        c == ',' && !quoted
    });
    for part in parts {
        if let Some((name, value)) = part.split_once('=') {
            let value = value.trim();
            let inner = value.strip_prefix('"').and_then(|v| v.strip_suffix('"'));
            all.push((name.trim().to_owned(), inner.unwrap_or(value).to_owned()));
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 2617 has another client's nonce, so its parts are checked by hand.
    #[test]
    fn an_answer_is_what_the_server_works_out_too() {
        let value = r#"Digest realm="antMiner Configuration", nonce="7f3a", qop="auth""#;
        let mut challenge = Challenge::read(value).unwrap();
        let root = Credentials::new("root", "root");
        let line = challenge.answer(&root, "GET", "/cgi-bin/stats.cgi");
        let own = line.split("cnonce=\"").nth(1).unwrap().split('"').next().unwrap();
        let user = hash("root:antMiner Configuration:root");
        let what = hash("GET:/cgi-bin/stats.cgi");
        let response = hash(&format!("{user}:7f3a:00000001:{own}:auth:{what}"));
        assert!(line.contains(&format!("response=\"{response}\"")), "{line}");
        assert!(line.contains("nc=00000001"), "{line}");
        assert!(challenge.answer(&root, "GET", "/").contains("nc=00000002"));
        // The one of RFC 2069, which has no `qop` and no nonce of the client's.
        let mut old = Challenge::read(
            "Digest realm=\"testrealm@host.com\", nonce=\"dcd98b7102dd2f0e8b11d0f600bfb0c093\", \
             opaque=\"5ccc069c403ebaf9f0171e9517f40e41\"",
        )
        .unwrap();
        let line =
            old.answer(&Credentials::new("Mufasa", "CircleOfLife"), "GET", "/dir/index.html");
        assert!(line.contains(r#"response="1949323746fe6a43ef61f9606e7febea""#), "{line}");
        assert!(line.ends_with(r#"opaque="5ccc069c403ebaf9f0171e9517f40e41""#), "{line}");
    }

    #[test]
    fn what_cannot_be_answered_is_no_challenge() {
        for value in [
            "Basic realm=\"x\"",
            "Digest",
            "Digest nonce=\"1\"",
            "Digest realm=\"x\", nonce=\"1\", algorithm=SHA-256",
            "Digest realm=\"x\", nonce=\"1\", qop=\"auth-int\"",
            "Digest realm=\"a\u{7f}\", nonce=\"1\"",
            "Digest realm=\"x\", nonce=\"1\r\nX: y\"",
        ] {
            assert_eq!(Challenge::read(value), None, "{value}");
        }
        assert!(Challenge::read("digest realm=\"a, b\",nonce=x,qop=\"auth,auth-int\"").is_some());
    }
}
