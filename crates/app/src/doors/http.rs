//! HTTP on the loopback device: health, metrics, the status, and a person's acts.

use crate::doors::act::{self, ActError, Request};
use crate::doors::beat::Beat;
use crate::doors::guard::{Bounded, Stranger, check_names};
use crate::doors::ready::Readiness;
use crate::doors::token::Token;
use crate::doors::{metrics, page};
use crate::status::Desk;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, Request as HttpRequest, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Map, Value, json};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::Notify;

/// Largest body of a request in bytes; an act is a few short lines.
pub const BODY_BYTES_MAX: usize = 16 * 1024;
/// Connections served at once; further ones wait in the system's queue.
pub const CONNECTIONS_MAX: usize = 64;
/// How long one request may take on the wire: longer than an act may take in the engine.
pub const REQUEST_WAIT_MAX: Duration = Duration::from_secs(30);
/// How long requests under way may hold up the end.
pub const CLOSE_WAIT_MAX: Duration = Duration::from_secs(2);

const _: () = assert!(
    REQUEST_WAIT_MAX.as_secs() > 2 * act::ACT_WAIT_MAX.as_secs(),
    "a request outlasts the wait for the engine to take an act and to answer it"
);

/// Sent with every answer: nothing of ours is kept, framed, guessed at or loaded from elsewhere.
const HEADERS: [(HeaderName, &str); 6] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CACHE_CONTROL, "no-store"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// Says why HTTP is not served.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// Others than this machine could come in.
    #[error("failed to serve HTTP on {0}: it is not a loopback address; use 127.0.0.1")]
    NotLoopback(SocketAddr),
    /// The system would not.
    #[error("failed to serve HTTP")]
    Serve(#[source] io::Error),
}

/// What every request is served from.
#[derive(Debug)]
struct Door {
    desk: Desk,
    token: Token,
    beat: Beat,
    port: u16,
}

/// Serves HTTP on a loopback listener until `shutdown` ends.
///
/// # Errors
/// When the listener is open to other machines, or the system refuses.
pub async fn serve_http(
    listener: TcpListener,
    desk: Desk,
    token: Token,
    beat: Beat,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(), HttpError> {
    let address = listener.local_addr().map_err(HttpError::Serve)?;
    if !address.ip().is_loopback() {
        return Err(HttpError::NotLoopback(address));
    }
    let door = Arc::new(Door { desk, token, beat, port: address.port() });
    let listener = Bounded::new(listener, CONNECTIONS_MAX, REQUEST_WAIT_MAX);
    let closing = Arc::new(Notify::new());
    let told = Arc::clone(&closing);
    let serving = axum::serve(listener, routes(door)).with_graceful_shutdown(async move {
        shutdown.await;
        told.notify_one();
    });
    let out_of_patience = async {
        closing.notified().await;
        tokio::time::sleep(CLOSE_WAIT_MAX).await;
    };
    tokio::select! {
        served = serving.into_future() => served.map_err(HttpError::Serve),
        () = out_of_patience => Ok(()),
    }
}

fn routes(door: Arc<Door>) -> Router {
    let acts = Router::new()
        .route("/api/v1/hold", post(hold))
        .route("/api/v1/release", post(release))
        .route("/api/v1/stop", post(stop))
        .route("/api/v1/mode", post(mode))
        .route_layer(from_fn_with_state(Arc::clone(&door), need_token));
    Router::new()
        .route("/", get(show_page))
        .route("/live", get(async || Json(json!({ "live": true }))))
        .route("/ready", get(show_ready))
        .route("/metrics", get(show_metrics))
        .route("/api/v1/status", get(show_status))
        .merge(acts)
        .fallback(async || problem(StatusCode::NOT_FOUND, "there is nothing at this address"))
        .method_not_allowed_fallback(async || {
            problem(StatusCode::METHOD_NOT_ALLOWED, "this address takes another method")
        })
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(from_fn_with_state(Arc::clone(&door), guard))
        .with_state(door)
}

/// Turns strangers away before anything else, and puts our headers on every answer.
async fn guard(State(door): State<Arc<Door>>, request: HttpRequest, next: Next) -> Response {
    let mut response = match check_names(request.uri(), request.headers(), door.port) {
        Ok(()) => next.run(request).await,
        Err(Stranger::NoHost) => {
            problem(StatusCode::BAD_REQUEST, "the request names no host, or more than one")
        }
        Err(Stranger::Host) => problem(
            StatusCode::FORBIDDEN,
            &format!("the host is not this door; call it 127.0.0.1:{}", door.port),
        ),
        Err(Stranger::Origin) => {
            problem(StatusCode::FORBIDDEN, "a page of another origin may not ask here")
        }
    };
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Lets only those act who can read the token file.
async fn need_token(State(door): State<Arc<Door>>, request: HttpRequest, next: Next) -> Response {
    let why = match bearer(request.headers()) {
        None => "this needs the data folder's token: `Authorization: Bearer TOKEN`",
        Some(token) if !door.token.matches(token) => "the token is not the data folder's",
        Some(_) => return next.run(request).await,
    };
    let mut response = problem(StatusCode::UNAUTHORIZED, why);
    let scheme = HeaderValue::from_static("Bearer");
    response.headers_mut().insert(header::WWW_AUTHENTICATE, scheme);
    response
}

fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    const SCHEME: &[u8] = b"bearer ";
    let given = headers.get(header::AUTHORIZATION)?.as_bytes();
    let (scheme, token) = given.split_at_checked(SCHEME.len())?;
    scheme.eq_ignore_ascii_case(SCHEME).then_some(token.trim_ascii())
}

type Body = Result<Bytes, BytesRejection>;

async fn hold(State(door): State<Arc<Door>>, headers: HeaderMap, body: Body) -> Response {
    perform(&door, "hold", &headers, body).await
}

async fn release(State(door): State<Arc<Door>>, headers: HeaderMap, body: Body) -> Response {
    perform(&door, "release", &headers, body).await
}

async fn stop(State(door): State<Arc<Door>>, headers: HeaderMap, body: Body) -> Response {
    perform(&door, "stop", &headers, body).await
}

async fn mode(State(door): State<Arc<Door>>, headers: HeaderMap, body: Body) -> Response {
    perform(&door, "mode", &headers, body).await
}

async fn perform(door: &Door, verb: &str, headers: &HeaderMap, body: Body) -> Response {
    let request = match read_request(verb, headers, body) {
        Ok(request) => request,
        Err(refusal) => return *refusal,
    };
    match act::perform(&door.desk, &request, "token holder over HTTP").await {
        Ok(seq) => Json(json!({ "ok": true, "seq": seq })).into_response(),
        Err(e) => problem(status_of(&e), &e.to_string()),
    }
}

/// Reads a body into the request that the control socket would take; an empty one asks for
/// nothing in particular.
fn read_request(verb: &str, headers: &HeaderMap, body: Body) -> Result<Request, Box<Response>> {
    let refuse = |status, why: &str| Err(Box::new(problem(status, why)));
    let body = match body {
        Ok(body) => body,
        Err(e) if e.status() == StatusCode::PAYLOAD_TOO_LARGE => {
            let why = format!("the body is longer than {BODY_BYTES_MAX} bytes; shorten it");
            return refuse(StatusCode::PAYLOAD_TOO_LARGE, &why);
        }
        Err(e) => return refuse(e.status(), "the body did not arrive whole"),
    };
    let fields = if body.is_empty() {
        Ok(Map::new())
    } else if is_json(headers) {
        serde_json::from_slice::<Map<String, Value>>(&body)
    } else {
        let why = "the body is not declared as JSON; send `Content-Type: application/json`";
        return refuse(StatusCode::UNSUPPORTED_MEDIA_TYPE, why);
    };
    let request = fields.and_then(|mut fields| {
        // The address says what to do. Should the body say so too, it must not win.
        match fields.insert("do".to_owned(), Value::from(verb)) {
            Some(_) => Err(serde::de::Error::custom("unknown field `do`")),
            None => serde_json::from_value(Value::Object(fields)),
        }
    });
    request.or_else(|e: serde_json::Error| {
        refuse(StatusCode::BAD_REQUEST, &format!("failed to read the body: {e}"))
    })
}

fn is_json(headers: &HeaderMap) -> bool {
    let given = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or("");
    let kind = given.split(';').next().unwrap_or("");
    kind.trim().eq_ignore_ascii_case("application/json")
}

fn status_of(error: &ActError) -> StatusCode {
    match error {
        ActError::Bad(_) => StatusCode::BAD_REQUEST,
        ActError::Refused(_) => StatusCode::CONFLICT,
        ActError::Busy | ActError::Closed => StatusCode::SERVICE_UNAVAILABLE,
        ActError::Unanswered => StatusCode::GATEWAY_TIMEOUT,
    }
}

/// An error as RFC 9457 has it.
fn problem(status: StatusCode, detail: &str) -> Response {
    let title = status.canonical_reason().unwrap_or("Error");
    let body = json!({
        "type": "about:blank",
        "title": title,
        "status": status.as_u16(),
        "detail": detail,
    });
    let kind = [(header::CONTENT_TYPE, "application/problem+json")];
    (status, kind, body.to_string()).into_response()
}

async fn show_status(State(door): State<Arc<Door>>) -> Response {
    let status = Arc::clone(&door.desk.status.borrow());
    Json(status).into_response()
}

async fn show_ready(State(door): State<Arc<Door>>) -> Response {
    let readiness = door.readiness();
    let code = if readiness.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (code, Json(readiness)).into_response()
}

async fn show_metrics(State(door): State<Arc<Door>>) -> Response {
    let status = Arc::clone(&door.desk.status.borrow());
    let text = metrics::render(&status, &door.beat);
    ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response()
}

async fn show_page(State(door): State<Arc<Door>>) -> Response {
    let status = Arc::clone(&door.desk.status.borrow());
    let text = page::render(&status, &door.readiness());
    ([(header::CONTENT_TYPE, "text/html; charset=utf-8")], text).into_response()
}

impl Door {
    fn readiness(&self) -> Readiness {
        Readiness::of(&self.desk.status.borrow(), &self.beat)
    }
}

#[cfg(test)]
mod tests;
