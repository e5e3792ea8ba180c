//! Tests of the HTTP door, over a real socket and with requests written byte for byte.

use super::*;
use crate::doors::testing::{Folder, Office, status};
use crate::doors::token::TOKEN_FILE;
use crate::status::Status;
use headgate_core::event::Act;
use headgate_core::units::Power;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;

/// A site with its HTTP door open.
struct Site {
    office: Office,
    beat: Beat,
    port: u16,
    secret: String,
    stop: oneshot::Sender<()>,
    serving: tokio::task::JoinHandle<Result<(), HttpError>>,
}

/// An answer: status code, head, body.
struct Answer {
    code: u16,
    head: String,
    body: String,
}

impl Site {
    async fn open() -> Self {
        let data = Folder::new("http");
        let token = Token::open(data.path()).unwrap();
        let secret = std::fs::read_to_string(data.path().join(TOKEN_FILE)).unwrap();
        let office = Office::new();
        let beat = Beat::new();
        beat.touch();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (stop, stopped) = oneshot::channel::<()>();
        let shutdown = async move {
            let _ = stopped.await;
        };
        let serving =
            tokio::spawn(serve_http(listener, office.desk.clone(), token, beat.clone(), shutdown));
        Self { office, beat, port, secret: secret.trim_end().to_owned(), stop, serving }
    }

    /// Sends a request as it is written here; `PORT` and `TOKEN` stand for ours.
    async fn send(&self, head: &str, body: &str) -> Answer {
        let head = head.replace("PORT", &self.port.to_string()).replace("TOKEN", &self.secret);
        let length = body.len();
        let request = format!(
            "{}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}",
            head.replace('\n', "\r\n")
        );
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let code = head.split(' ').nth(1).unwrap().parse().unwrap();
        Answer { code, head: head.to_ascii_lowercase(), body: body.to_owned() }
    }

    async fn get(&self, path: &str) -> Answer {
        self.send(&format!("GET {path} HTTP/1.1\nHost: localhost:PORT"), "").await
    }

    /// Posts as the owner of the token file does.
    async fn post(&self, verb: &str, body: &str) -> Answer {
        let head = format!(
            "POST /api/v1/{verb} HTTP/1.1\nHost: 127.0.0.1:PORT\nOrigin: http://127.0.0.1:PORT\n\
             Authorization: Bearer TOKEN\nContent-Type: application/json"
        );
        self.send(&head, body).await
    }

    /// Posts a stop with these header lines; returns the code, the sentence, and whether
    /// anything was done.
    async fn check_stop(&self, lines: &str) -> String {
        let before = self.office.notes.taken().len();
        let answer = self.send(&format!("POST /api/v1/stop HTTP/1.1\n{lines}"), "").await;
        let done = self.office.notes.taken().len() > before;
        format!("{} {}{}", answer.code, answer.detail(), if done { "done" } else { "" })
    }
}

impl Answer {
    /// The sentence of an answer that has to be a problem document; empty for others.
    fn detail(&self) -> String {
        if self.code < 400 {
            return String::new();
        }
        assert!(self.head.contains("content-type: application/problem+json"), "{}", self.head);
        let problem: Value = serde_json::from_str(&self.body).unwrap();
        assert_eq!(problem["status"], self.code);
        problem["detail"].as_str().unwrap().to_owned()
    }
}

const OURS: &str = "Host: localhost:PORT\nAuthorization: Bearer TOKEN";

#[tokio::test]
async fn only_who_holds_the_token_may_act() {
    let site = Site::open().await;
    insta::assert_snapshot!(site.check_stop(OURS).await, @"200 done");
    insta::assert_snapshot!(site.check_stop("Host: localhost:PORT").await, @"401 this needs the data folder's token: `Authorization: Bearer TOKEN`");
    insta::assert_snapshot!(site.check_stop("Host: localhost:PORT\nAuthorization: Bearer 00").await, @"401 the token is not the data folder's");
    insta::assert_snapshot!(site.check_stop("Host: localhost:PORT\nAuthorization: Basic TOKEN").await, @"401 this needs the data folder's token: `Authorization: Bearer TOKEN`");
    insta::assert_snapshot!(site.check_stop("Host: localhost:PORT\nAuthorization: Bearer TOKEN0").await, @"401 the token is not the data folder's");
    insta::assert_snapshot!(site.check_stop("Host: localhost:PORT\nAuthorization: Bearer").await, @"401 this needs the data folder's token: `Authorization: Bearer TOKEN`");
    for verb in ["hold", "release", "mode"] {
        let head = format!("POST /api/v1/{verb} HTTP/1.1\nHost: localhost:PORT");
        let answer = site.send(&head, "").await;
        assert_eq!(answer.code, 401, "{verb}");
        assert!(answer.head.contains("www-authenticate: bearer"), "{verb}");
    }
    assert_eq!(site.office.notes.taken().len(), 1);
}

#[tokio::test]
async fn a_foreign_page_may_not_act_even_with_the_token() {
    let site = Site::open().await;
    insta::assert_snapshot!(site.check_stop(&format!("{OURS}\nOrigin: http://[::1]:PORT")).await, @"200 done");
    insta::assert_snapshot!(site.check_stop(&format!("{OURS}\nOrigin: http://example.com")).await, @"403 a page of another origin may not ask here");
    insta::assert_snapshot!(site.check_stop(&format!("{OURS}\nOrigin: null")).await, @"403 a page of another origin may not ask here");
    insta::assert_snapshot!(site.check_stop(&format!("{OURS}\nOrigin: http://localhost:1")).await, @"403 a page of another origin may not ask here");
}

#[tokio::test]
async fn a_foreign_name_may_neither_act_nor_look() {
    let site = Site::open().await;
    let foreign = "Host: example.com:PORT\nAuthorization: Bearer TOKEN";
    let said = site.check_stop(foreign).await.replace(&site.port.to_string(), "PORT");
    insta::assert_snapshot!(said, @"403 the host is not this door; call it 127.0.0.1:PORT");
    insta::assert_snapshot!(site.check_stop("Authorization: Bearer TOKEN").await, @"400 the request names no host, or more than one");
    for path in ["/", "/live", "/ready", "/metrics", "/api/v1/status", "/nothing"] {
        let head = format!("GET {path} HTTP/1.1\nHost: example.com:PORT");
        let answer = site.send(&head, "").await;
        assert_eq!(answer.code, 403, "{path}");
        let head = format!("GET {path} HTTP/1.1\nHost: localhost:PORT\nOrigin: http://a.com");
        assert_eq!(site.send(&head, "").await.code, 403, "{path}");
    }
}

#[tokio::test]
async fn each_act_reaches_the_engine() {
    let site = Site::open().await;
    let hold = r#"{"reason":"breaker work","power_w":5000,"actor":"ann"}"#;
    let answer = site.post("hold", hold).await;
    assert_eq!((answer.code, answer.body.as_str()), (200, r#"{"ok":true,"seq":101}"#));
    assert_eq!(site.post("release", "").await.body, r#"{"ok":true,"seq":102}"#);
    assert_eq!(site.post("stop", "{}").await.body, r#"{"ok":true,"seq":103}"#);
    assert_eq!(site.post("mode", r#"{"mode":"off"}"#).await.body, r#"{"ok":true,"seq":104}"#);
    let taken = site.office.notes.taken();
    assert_eq!(taken[0].act, Act::Hold { power: Some(Power(5000)), until: None });
    assert_eq!(taken[0].actor, "token holder over HTTP, for ann");
    assert_eq!(taken[1].act, Act::Release);
    assert_eq!((taken[2].act, taken[2].actor.as_str()), (Act::Stop, "token holder over HTTP"));
}

#[tokio::test]
async fn a_body_that_cannot_be_used_is_a_problem_document() {
    let site = Site::open().await;
    let say = async |verb: &str, body: &str| {
        let answer = site.post(verb, body).await;
        format!("{} {}", answer.code, answer.detail())
    };
    insta::assert_snapshot!(say("hold", "").await, @"400 failed to read the body: missing field `reason`");
    insta::assert_snapshot!(say("hold", "[1]").await, @"400 failed to read the body: invalid type: sequence, expected a map at line 1 column 0");
    insta::assert_snapshot!(say("hold", "{").await, @"400 failed to read the body: EOF while parsing an object at line 1 column 1");
    insta::assert_snapshot!(say("hold", r#"{"reason":""}"#).await, @"400 `reason` is empty; say why to hold");
    insta::assert_snapshot!(say("hold", r#"{"reason":"x","power_w":-5}"#).await, @"400 `power_w` is -5; give watts from 0 to 1000000000000");
    insta::assert_snapshot!(say("hold", r#"{"reason":"x","do":"release"}"#).await, @"400 failed to read the body: unknown field `do`");
    insta::assert_snapshot!(say("mode", r#"{"mode":"advise"}"#).await, @"400 failed to read the body: unknown variant `advise`, expected one of `auto`, `shadow`, `hold`, `off`");
    insta::assert_snapshot!(say("stop", r#"{"reason":"refuse me"}"#).await, @"409 the engine refused: mode is off");
    insta::assert_snapshot!(say("stop", &" ".repeat(BODY_BYTES_MAX + 1)).await, @"413 the body is longer than 16384 bytes; shorten it");
    let head = format!("POST /api/v1/stop HTTP/1.1\n{OURS}\nContent-Type: text/plain");
    insta::assert_snapshot!(site.send(&head, "{}").await.detail(), @"the body is not declared as JSON; send `Content-Type: application/json`");
    assert!(site.office.notes.taken().is_empty());
}

#[tokio::test]
async fn a_wrong_address_or_method_is_a_problem_document() {
    let site = Site::open().await;
    let get = site.get("/api/v1/stop").await;
    assert_eq!((get.code, get.detail().as_str()), (405, "this address takes another method"));
    let nothing = site.get("/api/v2").await;
    assert_eq!(
        (nothing.code, nothing.detail().as_str()),
        (404, "there is nothing at this address")
    );
}

#[tokio::test]
async fn a_status_arrives_as_it_was() {
    let site = Site::open().await;
    let answer = site.get("/api/v1/status").await;
    assert_eq!(answer.code, 200);
    assert_eq!(serde_json::from_str::<Status>(&answer.body).unwrap(), status());
}

#[tokio::test]
async fn ready_says_what_is_missing() {
    let site = Site::open().await;
    let answer = site.get("/ready").await;
    assert_eq!((answer.code, answer.body.as_str()), (200, r#"{"ready":true,"reasons":[]}"#));
    site.office.board.send_modify(|s| Arc::make_mut(s).price = None);
    let answer = site.get("/ready").await;
    let body = r#"{"ready":false,"reasons":["no price is known yet"]}"#;
    assert_eq!((answer.code, answer.body.as_str()), (503, body));
    assert_eq!(site.get("/live").await.body, r#"{"live":true}"#);
}

#[tokio::test]
async fn metrics_are_text_and_tell_of_the_engines_turns() {
    let site = Site::open().await;
    site.beat.touch();
    let answer = site.get("/metrics").await;
    assert!(answer.head.contains("content-type: text/plain; version=0.0.4"), "{}", answer.head);
    assert!(answer.body.contains("\nheadgate_engine_turns_total 2\n"), "{}", answer.body);
}

#[tokio::test]
async fn the_page_may_load_nothing_and_reloads_itself() {
    let site = Site::open().await;
    let answer = site.get("/").await;
    assert!(answer.head.contains("content-type: text/html"));
    assert!(answer.body.contains(r#"<meta http-equiv="refresh" content="5">"#));
    assert!(answer.body.contains("The control room is not built yet"));
    for answer in [answer, site.get("/nothing").await, site.send("GET / HTTP/1.1", "").await] {
        for (name, value) in HEADERS {
            let line = format!("{name}: {}", value.to_ascii_lowercase());
            assert!(answer.head.contains(&line), "{line} in {}", answer.head);
        }
    }
}

#[tokio::test]
async fn a_listener_for_everybody_is_refused() {
    // It is bound, and nobody is told of it or sent there.
    let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
    let data = Folder::new("http");
    let token = Token::open(data.path()).unwrap();
    let desk = Office::new().desk;
    let refused = serve_http(listener, desk, token, Beat::new(), std::future::pending()).await;
    assert!(matches!(refused, Err(HttpError::NotLoopback(_))));
}

#[tokio::test]
async fn the_door_shuts_on_the_idle_and_the_slow() {
    let site = Site::open().await;
    let _idle = TcpStream::connect(("127.0.0.1", site.port)).await.unwrap();
    let mut slow = TcpStream::connect(("127.0.0.1", site.port)).await.unwrap();
    slow.write_all(b"GET /live HTTP/1.1\r\nHo").await.unwrap();
    assert_eq!(site.get("/live").await.code, 200);
    site.stop.send(()).unwrap();
    site.serving.await.unwrap().unwrap();
}
