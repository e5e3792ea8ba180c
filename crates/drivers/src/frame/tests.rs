use super::*;
use proptest::prelude::*;

/// Feeds a reply in pieces of one size, then ends the stream.
fn fed(framing: Framing, sent: &[u8], piece: usize) -> Result<Vec<u8>, Failure> {
    let mut framer = Framer::new(framing);
    let mut came = Vec::new();
    for piece in sent.chunks(piece) {
        came.extend_from_slice(piece);
        if let Some(range) = framer.whole(&came)? {
            return Ok(came[range].to_vec());
        }
    }
    Ok(came[framer.ended(&came)?].to_vec())
}

fn check(framing: Framing, sent: &[u8]) -> Result<String, Failure> {
    let by_byte = fed(framing, sent, 1);
    assert_eq!(fed(framing, sent, sent.len().max(1)), by_byte);
    assert_eq!(framed(framing, sent.to_vec()), by_byte);
    by_byte.map(|b| String::from_utf8_lossy(&b).into_owned())
}

#[test]
fn a_length_goes_before_its_reply_lowest_byte_first() {
    let reply = |length: u32, body: &str| [&length.to_le_bytes()[..], body.as_bytes()].concat();
    assert_eq!(check(Framing::LengthLe, &reply(2, "{}")), Ok("{}".into()));
    assert_eq!(check(Framing::LengthLe, &reply(0, "")), Ok(String::new()));
    assert_eq!(check(Framing::LengthLe, &reply(3, "{}")), Err(Failure::Reset));
    assert_eq!(check(Framing::LengthLe, b"\x02\x00"), Err(Failure::Reset));
    // Four gigabytes are promised; nothing is set aside for them.
    assert_eq!(check(Framing::LengthLe, &reply(u32::MAX, "{}")), Err(Failure::TooLong));
    // A v2 machine on the v3 port begins with `{"ST`, which is a length of a gigabyte.
    assert_eq!(check(Framing::LengthLe, br#"{"STATUS":"E"}"#), Err(Failure::TooLong));
}

#[test]
fn a_nul_or_the_end_of_the_stream_ends_a_reply() {
    assert_eq!(check(Framing::NulOrEof, b"{}\0"), Ok("{}".into()));
    assert_eq!(check(Framing::NulOrEof, b"{}"), Ok("{}".into()));
    assert_eq!(check(Framing::NulOrEof, b""), Err(Failure::Reset));
}

#[test]
fn http_ends_by_length_by_its_last_chunk_or_with_the_stream() {
    for whole in [
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
        "HTTP/1.1 200 OK\r\ncontent-length:2\r\n\r\n{}",
        "HTTP/1.1 200 OK\nContent-Length: 2\n\n{}",
        "HTTP/1.1 204 No Content\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1;x=y\r\n}\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nA: b\r\n\r\n",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
        "HTTP/1.0 200 OK\r\n\r\n{}",
        // Its reader says what it is.
        "{\"STATUS\":[]}",
    ] {
        assert_eq!(check(Framing::Http, whole.as_bytes()), Ok(whole.into()), "{whole:?}");
    }
    for broken in [
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n{}",
        "HTTP/1.1 200 OK\r\nContent-Le",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{}",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n",
        "",
    ] {
        assert_eq!(check(Framing::Http, broken.as_bytes()), Err(Failure::Reset), "{broken:?}");
    }
    let more = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}and more";
    let without = &more[..more.len() - "and more".len()];
    assert_eq!(fed(Framing::Http, more, 7).unwrap(), without);
}

#[test]
fn nothing_grows_without_end() {
    let long = REPLY_BYTES_MAX + 64;
    let flood = vec![b'x'; long];
    assert_eq!(fed(Framing::NulOrEof, &flood, 4096), Err(Failure::TooLong));
    assert_eq!(fed(Framing::Http, &flood, 4096), Err(Failure::TooLong));
    let head = [b"HTTP/1.1 200 OK\r\n".as_slice(), &flood].concat();
    assert_eq!(fed(Framing::Http, &head, 4096), Err(Failure::TooLong));
    for head in ["\r\n", "Content-Length: 99999999999999999999\r\n\r\n"] {
        let sent = [b"HTTP/1.1 200 OK\r\n", head.as_bytes(), &flood].concat();
        assert_eq!(fed(Framing::Http, &sent, 4096), Err(Failure::TooLong), "{head}");
    }
    let chunk =
        format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{REPLY_BYTES_MAX:x}\r\n");
    let sent = [chunk.as_bytes(), &flood].concat();
    assert_eq!(fed(Framing::Http, &sent, 4096), Err(Failure::TooLong));
}

const REPLIES: [&[u8]; 4] = [
    b"HTTP/1.1 200 OK\r\nContent-Length: 11\r\nX: y\r\n\r\nhello world",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n",
    b"\x0b\x00\x00\x00hello world",
    b"hello world\0",
];

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

    /// Cut anywhere, a stream is the same stream; mangled, it is refused or read, never more.
    #[test]
    fn pieces_make_no_difference_and_mangling_no_harm(
        which in 0..REPLIES.len(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        cut in any::<prop::sample::Index>(),
        piece in 1..9usize,
    ) {
        let mut sent = REPLIES[which].to_vec();
        for (at, byte) in edits {
            let at = at.index(sent.len());
            sent[at] = byte;
        }
        sent.truncate(cut.index(sent.len() + 1));
        for framing in [Framing::NulOrEof, Framing::Http, Framing::LengthLe] {
            let by_piece = fed(framing, &sent, piece);
            prop_assert_eq!(&by_piece, &fed(framing, &sent, 1));
            if let Ok(reply) = by_piece {
                prop_assert!(reply.len() <= sent.len());
                let _ = crate::http::Response::read(&reply);
            }
        }
    }
}
