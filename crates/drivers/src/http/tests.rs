use super::*;

fn check(reply: &str) -> String {
    match Response::done(reply.as_bytes()) {
        Ok(r) => format!("{} {}", r.status, String::from_utf8_lossy(&r.body)),
        Err(e) => e.to_string(),
    }
}

#[test]
fn bodies_are_put_together_and_refusals_named() {
    insta::assert_snapshot!(check("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"), @"200 {}");
    let chunked =
        "HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\n\r\n3\r\nab\n\r\n2\r\ncd\r\n0\r\n\r\n";
    assert_eq!(check(chunked), "200 ab\ncd");
    insta::assert_snapshot!(
        check("HTTP/1.1 401 Unauthorized\r\n\r\n"),
        @r#"failed to be answered: the web server says 401 "Unauthorized""#
    );
    insta::assert_snapshot!(
        check("{\"STATUS\":[{\"STATUS\":\"E\",\"Code\":14}]}"),
        @r#"failed to read a reply: no HTTP came but "{\"STATUS\":[{\"STATUS\":\"E\",\"Code\":14}]}"; is this the web server's port?"#
    );
    insta::assert_snapshot!(
        check("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
        @"failed to read the body of a reply: its chunks are broken"
    );
}

#[test]
fn a_header_is_found_whatever_its_case() {
    let reply =
        b"HTTP/1.1 401 No\r\nWWW-Authenticate: Basic x\r\nwww-authenticate:Digest y\r\n\r\n";
    let reply = Response::read(reply).unwrap();
    assert_eq!(reply.all("Www-Authenticate").collect::<Vec<_>>(), ["Basic x", "Digest y"]);
}

#[test]
fn a_request_says_its_length_and_closes() {
    let bytes = request("POST", "/a", &["Authorization: t"], Some(b"{}"));
    insta::assert_snapshot!(String::from_utf8(bytes).unwrap().replace('\r', ""), @"
    POST /a HTTP/1.1
    Host: miner
    Connection: close
    Authorization: t
    Content-Type: application/json
    Content-Length: 2

    {}
    ");
}
