//! Tests of the control socket, over a real one.

use super::*;
use crate::doors::act::Mode;
use crate::doors::testing::{Folder, Office, status};
use headgate_core::event::{Act, AutomationMode};
use headgate_core::time::Time;
use headgate_core::units::Power;
use tokio::sync::oneshot;

/// A daemon on a folder of its own.
struct Daemon {
    office: Office,
    data: Folder,
    stop: oneshot::Sender<()>,
    serving: tokio::task::JoinHandle<()>,
}

impl Daemon {
    fn start() -> Self {
        let data = Folder::new("control");
        let office = Office::new();
        let listener = ControlListener::open(data.path()).unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let shutdown = async move {
            let _ = stopped.await;
        };
        let serving = tokio::spawn(serve(listener, office.desk.clone(), shutdown));
        Self { office, data, stop, serving }
    }

    async fn ask(&self, request: Request) -> Result<Reply, ClientError> {
        let data = self.data.path().to_owned();
        tokio::task::spawn_blocking(move || ask(&data, &request)).await.unwrap()
    }

    /// Sends bytes as they are and returns what comes back.
    async fn send(&self, bytes: &[u8]) -> String {
        let mut stream = UnixStream::connect(self.data.path().join(SOCKET_FILE)).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut reply = String::new();
        stream.read_to_string(&mut reply).await.unwrap();
        reply
    }

    /// Sends one line; what comes back is all there is, and nothing was done.
    async fn check_refused(&self, line: &str) -> String {
        let reply = self.send(format!("{line}\n").as_bytes()).await;
        assert!(self.office.notes.taken().is_empty(), "a refused request does nothing");
        reply
    }
}

/// This process's own user as the daemon should name it.
fn me() -> String {
    sender(crate::doors::nursery::own_uid().unwrap())
}

#[tokio::test]
async fn the_socket_is_its_owners_alone() {
    let daemon = Daemon::start();
    let about = fs::metadata(daemon.data.path().join(SOCKET_FILE)).unwrap();
    assert_eq!(about.permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::read_dir(daemon.data.path()).unwrap().count(), 1, "no draft stays behind");
}

#[tokio::test]
async fn a_status_arrives_as_it_was() {
    let daemon = Daemon::start();
    let reply = daemon.ask(Request::Status {}).await.unwrap();
    assert_eq!(reply, Reply::Status(Arc::new(status())));
}

#[tokio::test]
async fn each_act_reaches_the_engine() {
    let daemon = Daemon::start();
    let hold = Request::Hold {
        reason: " breaker work ".to_owned(),
        power_w: Some(1_000_000),
        until: Some("2024-08-21T01:00:00+01:00".to_owned()),
        actor: Some("ann".to_owned()),
    };
    assert_eq!(daemon.ask(hold).await.unwrap(), Reply::Done { seq: 101 });
    let release = Request::Release { reason: None, actor: None };
    assert_eq!(daemon.ask(release).await.unwrap(), Reply::Done { seq: 102 });
    let stop = Request::Stop { reason: Some("smoke".to_owned()), actor: None };
    assert_eq!(daemon.ask(stop).await.unwrap(), Reply::Done { seq: 103 });
    let mode = Request::Mode { mode: Mode::Shadow, reason: None, actor: None };
    assert_eq!(daemon.ask(mode).await.unwrap(), Reply::Done { seq: 104 });

    let taken = daemon.office.notes.taken();
    let got: Vec<_> = taken.into_iter().map(|a| (a.actor, a.reason, a.act)).collect();
    let until = Some(Time::from_seconds(1_724_198_400));
    let hold = Act::Hold { power: Some(Power(1_000_000)), until };
    let expect = [
        (format!("{}, for ann", me()), "breaker work".to_owned(), hold),
        (me(), String::new(), Act::Release),
        (me(), "smoke".to_owned(), Act::Stop),
        (me(), String::new(), Act::Mode(AutomationMode::Shadow)),
    ];
    assert_eq!(got, expect);
}

#[tokio::test]
async fn a_name_given_never_stands_alone() {
    let daemon = Daemon::start();
    let reply = daemon.send(b"{\"do\":\"stop\",\"actor\":\"uid 0 (root)\"}\n").await;
    assert_eq!(reply, "{\"ok\":true,\"seq\":101}\n");
    assert_eq!(daemon.office.notes.taken()[0].actor, format!("{}, for uid 0 (root)", me()));
}

#[tokio::test]
async fn what_cannot_be_read_is_refused_in_one_sentence() {
    let daemon = Daemon::start();
    insta::assert_snapshot!(daemon.check_refused("stop").await, @r#"{"ok":false,"error":"failed to read the request: expected value at line 1 column 1"}"#);
    insta::assert_snapshot!(daemon.check_refused("{\"do\":\"stop\"").await, @r#"{"ok":false,"error":"failed to read the request: EOF while parsing an object at line 2 column 0"}"#);
    insta::assert_snapshot!(daemon.check_refused("{\"do\":\"raise\"}").await, @r#"{"ok":false,"error":"failed to read the request: unknown variant `raise`, expected one of `status`, `hold`, `release`, `stop`, `curtail`, `preview`, `resume`, `mode` at line 1 column 13"}"#);
    insta::assert_snapshot!(daemon.check_refused("{\"do\":\"hold\"}").await, @r#"{"ok":false,"error":"failed to read the request: missing field `reason`"}"#);
    insta::assert_snapshot!(daemon.check_refused("{\"do\":\"stop\",\"when\":1}").await, @r#"{"ok":false,"error":"failed to read the request: unknown field `when`, expected `reason` or `actor`"}"#);
    insta::assert_snapshot!(daemon.check_refused("{\"do\":\"status\",\"x\":1}").await, @r#"{"ok":false,"error":"failed to read the request: unknown field `x`, there are no fields"}"#);
    insta::assert_snapshot!(daemon.check_refused("{\"do\":\"mode\",\"mode\":\"advise\"}").await, @r#"{"ok":false,"error":"failed to read the request: unknown variant `advise`, expected one of `auto`, `shadow`, `hold`, `off`"}"#);
    insta::assert_snapshot!(daemon.send(b"{\"do\":\"stop\"}").await, @r#"{"ok":false,"error":"the request has no end; finish it with a line break"}"#);
    assert!(daemon.office.notes.taken().is_empty());
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_in_one_sentence() {
    let daemon = Daemon::start();
    let hold = |rest: &str| format!("{{\"do\":\"hold\",\"reason\":\"x\",{rest}}}");
    insta::assert_snapshot!(daemon.check_refused("{\"do\":\"hold\",\"reason\":\" \"}").await, @r#"{"ok":false,"error":"`reason` is empty; say why to hold"}"#);
    insta::assert_snapshot!(daemon.check_refused(&hold("\"power_w\":-1")).await, @r#"{"ok":false,"error":"`power_w` is -1; give watts from 0 to 1000000000000"}"#);
    insta::assert_snapshot!(daemon.check_refused(&hold("\"power_w\":1.5")).await, @r#"{"ok":false,"error":"failed to read the request: invalid type: floating point `1.5`, expected i64"}"#);
    insta::assert_snapshot!(daemon.check_refused(&hold("\"until\":\"noon\"")).await, @r#"{"ok":false,"error":"`until` is no RFC 3339 time; give one like 2030-01-31T18:00:00Z"}"#);
    insta::assert_snapshot!(daemon.check_refused(&hold("\"until\":\"2024-08-20T23:55:23Z\"")).await, @r#"{"ok":false,"error":"`until` is past: it is 2024-08-20T23:55:23Z where the site lives; give a later time"}"#);
    insta::assert_snapshot!(daemon.check_refused(&hold("\"until\":\"9999-01-01T00:00:00Z\"")).await, @r#"{"ok":false,"error":"`until` is too far off; give a time before 2043-01-25T23:56:49.213693951Z"}"#);
    let long = format!("{{\"do\":\"stop\",\"reason\":\"{}\"}}", "a".repeat(401));
    insta::assert_snapshot!(daemon.check_refused(&long).await, @r#"{"ok":false,"error":"`reason` has 401 characters; give at most 400"}"#);
    insta::assert_snapshot!(daemon.check_refused("{\"do\":\"stop\",\"actor\":\"a\\nb\"}").await, @r#"{"ok":false,"error":"`actor` holds a line break or another control character; leave it out"}"#);
    insta::assert_snapshot!(daemon.check_refused("{\"do\":\"stop\",\"reason\":\"refuse me\"}").await, @r#"{"ok":false,"error":"the engine refused: mode is off"}"#);
}

#[tokio::test]
async fn a_line_without_end_is_cut_off() {
    let daemon = Daemon::start();
    let reply = daemon.send(&vec![b' '; REQUEST_BYTES_MAX + 1]).await;
    insta::assert_snapshot!(reply, @r#"{"ok":false,"error":"the request is longer than 8192 bytes; shorten it"}"#);
    let mut fits = b"{\"do\":\"stop\"}".to_vec();
    fits.resize(REQUEST_BYTES_MAX - 1, b' ');
    fits.push(b'\n');
    assert_eq!(daemon.send(&fits).await, "{\"ok\":true,\"seq\":101}\n");
}

#[tokio::test]
async fn a_client_does_not_send_what_no_daemon_takes() {
    let daemon = Daemon::start();
    let stop = Request::Stop { reason: Some("a".repeat(REQUEST_BYTES_MAX)), actor: None };
    assert!(matches!(daemon.ask(stop).await, Err(ClientError::TooLong)));
}

#[tokio::test]
async fn silent_clients_do_not_keep_others_out() {
    let daemon = Daemon::start();
    let path = daemon.data.path().join(SOCKET_FILE);
    let mut idle = Vec::new();
    for _ in 0..CONNECTIONS_MAX - 1 {
        idle.push(UnixStream::connect(&path).await.unwrap());
    }
    assert!(matches!(daemon.ask(Request::Status {}).await, Ok(Reply::Status(_))));
    idle.push(UnixStream::connect(&path).await.unwrap());
    drop(idle);
    assert!(matches!(daemon.ask(Request::Status {}).await, Ok(Reply::Status(_))));
}

#[tokio::test]
async fn a_folder_without_a_daemon_says_so() {
    let data = Folder::new("control");
    let say = |data: &Path| {
        let e = ask(data, &Request::Status {}).unwrap_err();
        assert!(e.is_unreachable());
        e.to_string()
    };
    let expect = format!("no headgate runs on {}", data.path().display());
    assert_eq!(say(data.path()), expect);
    assert_eq!(say(&data.path().join("not/there")), format!("{expect}/not/there"));
    // The socket of a daemon that was killed is still there, and nobody behind it.
    drop(std::os::unix::net::UnixListener::bind(data.path().join(SOCKET_FILE)).unwrap());
    assert!(data.path().join(SOCKET_FILE).exists());
    assert_eq!(say(data.path()), expect);
}

#[tokio::test]
async fn a_dead_daemons_socket_is_replaced_and_a_live_ones_is_not() {
    let data = Folder::new("control");
    drop(std::os::unix::net::UnixListener::bind(data.path().join(SOCKET_FILE)).unwrap());
    let first = ControlListener::open(data.path()).unwrap();
    let second = ControlListener::open(data.path()).unwrap_err();
    assert!(matches!(second, ControlError::Alive { .. }), "{second}");
    drop(first);
    assert!(!data.path().join(SOCKET_FILE).exists());
    ControlListener::open(data.path()).unwrap();
}

#[tokio::test]
async fn a_folder_may_lie_deep() {
    let data = Folder::new("control");
    let deep = data.path().join("a".repeat(100)).join("b".repeat(100));
    fs::create_dir_all(&deep).unwrap();
    let office = Office::new();
    let listener = ControlListener::open(&deep).unwrap();
    let serving = tokio::spawn(serve(listener, office.desk.clone(), std::future::pending()));
    let asked = deep.clone();
    let reply =
        tokio::task::spawn_blocking(move || ask(&asked, &Request::Status {})).await.unwrap();
    assert!(matches!(reply, Ok(Reply::Status(_))));
    assert!(matches!(ControlListener::open(&deep), Err(ControlError::Alive { .. })));
    serving.abort();
}

#[tokio::test]
async fn the_socket_goes_with_the_daemon() {
    let daemon = Daemon::start();
    daemon.stop.send(()).unwrap();
    daemon.serving.await.unwrap();
    assert!(!daemon.data.path().join(SOCKET_FILE).exists());
}

#[tokio::test]
async fn an_engine_that_is_gone_is_said() {
    let daemon = Daemon::start();
    let (acts, gone) = tokio::sync::mpsc::channel(1);
    drop(gone);
    let desk = Desk { acts, ..daemon.office.desk.clone() };
    let stop = Request::Stop { reason: None, actor: None };
    let reply = answer(&stop, &desk, "uid 7").await;
    let error = "the site is shutting down and takes no act".to_owned();
    assert_eq!(reply, Reply::Refused { error });
}

#[test]
fn a_user_is_named_by_number_and_name() {
    let users = "root:x:0:0:root:/root:/bin/sh\n\nbroken\nann:x:1000:1000::/srv/ann:/bin/sh\n";
    assert_eq!(user_name(users, 1000), Some("ann"));
    assert_eq!(user_name(users, 100), None);
}
