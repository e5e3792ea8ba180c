//! As much of a miner's web server as its clients need: a request's parts, a reply, the check of
//! a digest; and where a request of any protocol ends.

use headgate_drivers::Framing;

/// Whether all of a request has come. A cgminer reads once: what came is the request.
pub(crate) fn is_whole(framing: Framing, came: &[u8]) -> bool {
    match framing {
        Framing::NulOrEof => true,
        Framing::LengthLe => came.first_chunk().is_some_and(|length: &[u8; 4]| {
            came.len() - length.len() >= u32::from_le_bytes(*length) as usize
        }),
        Framing::Http => Web::read(came).is_some(),
    }
}

/// A request.
#[derive(Clone, Copy)]
pub(super) struct Web<'a> {
    pub method: &'a str,
    pub path: &'a str,
    head: &'a str,
    pub body: &'a [u8],
}

impl<'a> Web<'a> {
    /// Reads a request; `None` when it is none, or not whole.
    pub(super) fn read(bytes: &'a [u8]) -> Option<Self> {
        let end = bytes.windows(4).position(|w| w == b"\r\n\r\n")?;
        let head = std::str::from_utf8(&bytes[..end]).ok()?;
        let mut words = head.lines().next()?.split(' ');
        let (method, path) = (words.next()?, words.next()?);
        let web = Self { method, path, head, body: &[] };
        let length = web.header("content-length").map_or(Some(0), |l| l.parse().ok())?;
        let from = end + 4;
        let body = bytes.get(from..from.checked_add(length)?)?;
        Some(Self { body, ..web })
    }

    pub(super) fn header(&self, name: &str) -> Option<&'a str> {
        let mut lines = self.head.lines().skip(1).filter_map(|l| l.split_once(':'));
        lines.find(|(n, _)| n.trim().eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }

    /// Whether it carries the answer to a challenge, worked out from the server's own password.
    pub(super) fn answers(&self, realm: &str, nonce: &str, (user, password): (&str, &str)) -> bool {
        let line = self.header("authorization").and_then(|v| v.strip_prefix("Digest "));
        let Some(line) = line else { return false };
        let field = |name: &str| {
            let mut fields = line.split(',').filter_map(|f| f.split_once('='));
            let found = fields.find(|(n, _)| n.trim() == name);
            found.map_or("", |(_, value)| value.trim().trim_matches('"'))
        };
        let hash = |text: String| format!("{:x}", md5::compute(text));
        let who = hash(format!("{user}:{realm}:{password}"));
        let what = hash(format!("{}:{}", self.method, self.path));
        let (count, own, qop) = (field("nc"), field("cnonce"), field("qop"));
        field("nonce") == nonce
            && field("username") == user
            && field("uri") == self.path
            && field("response") == hash(format!("{who}:{nonce}:{count}:{own}:{qop}:{what}"))
    }
}

/// A reply; each further line of its head ends in CR LF.
pub(super) fn reply(status: &str, kind: &str, lines: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\n{lines}Content-Length: {length}\r\n\
         Connection: close\r\n\r\n{body}"
    )
    .into_bytes()
}

/// A reply in JSON.
pub(super) fn json(status: &str, body: &serde_json::Value) -> Vec<u8> {
    reply(status, "application/json", "", &body.to_string())
}

/// A page of HTML.
pub(super) fn page(status: &str, lines: &str) -> Vec<u8> {
    let body = format!("<html><head><title>{status}</title></head><body>{status}</body></html>\n");
    reply(status, "text/html", lines, &body)
}
