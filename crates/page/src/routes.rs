//! Which address gives what.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use rivulet_topology::{Ask, Info};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::Semaphore;

use crate::actions::Action;
use crate::feed::{Feed, now};
use crate::guard::{self, Way};
use crate::metrics::{self, Verified};
use crate::own::{Own, PATIENCE};
use crate::readiness::{self, Bounds};
use crate::sessions::{LoginError, Sessions};
use crate::shared::Shared;
use crate::{Door, Program, Settings, Visitor, document};

type Answer = Response<BoxBody<Bytes, std::convert::Infallible>>;

/// A request's body, and the time that it may take to come.
const BODY_BYTES_MAX: usize = 8 << 10;
const BODY: Duration = Duration::from_secs(10);
/// How long a picture waits for nodes that have not answered.
const PICTURE: Duration = Duration::from_millis(800);
/// The port follows: browsers send a cookie to all ports of a host, and there may be a page at each.
const COOKIE: &str = "rivulet_session_";
const TOKEN: &str = "x-rivulet-token";
const JSON: &str = "application/json";
const TEXT: &str = "text/plain; charset=utf-8";
const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Everything that answers are made of.
pub struct Site {
    pub feed: Arc<Feed>,
    program: Program,
    port: u16,
    door: Door,
    sessions: Sessions,
    verified: std::sync::Mutex<Option<Verified>>,
    /// Logins and actions, which take as long as the server takes: others are not to wait for them.
    acting: Arc<Semaphore>,
    metrics: Shared<String>,
    health: Shared<Result<(), Refusal>>,
    standing: Shared<Result<(Info, Bounds), Refusal>>,
    watching: Shared<Result<Info, Refusal>>,
}

/// Logins and actions at once.
const ACTING_MAX: usize = 4;

/// Why there is no answer: a status and a sentence.
#[derive(Clone, Debug)]
struct Refusal(StatusCode, String);

fn now_ms() -> u64 {
    now().ms
}

impl Site {
    pub fn new(settings: Settings) -> Site {
        let (feed, door) = (Feed::new(&settings), settings.door.clone());
        Site {
            feed,
            program: settings.program,
            port: settings.port,
            sessions: Sessions::new(door.clone()),
            door,
            verified: std::sync::Mutex::default(),
            acting: Arc::new(Semaphore::new(ACTING_MAX)),
            metrics: Shared::default(),
            health: Shared::default(),
            standing: Shared::default(),
            watching: Shared::default(),
        }
    }

    /// Answers a request.
    pub async fn answer(self: Arc<Self>, request: Request<Incoming>, way: Way) -> Answer {
        let is_head = request.method() == Method::HEAD;
        let mut answer = match self.route(request, way).await {
            Ok(answer) => answer,
            Err(Refusal(status, why)) => with_status(status, text(TEXT, format!("{why}\n"))),
        };
        guard::secure(answer.headers_mut());
        if is_head {
            *answer.body_mut() = full(Bytes::new());
        }
        answer
    }

    async fn route(self: Arc<Self>, request: Request<Incoming>, way: Way) -> Result<Answer, Refusal> {
        if way.is_to_loopback && !guard::is_local_host(host(request.headers())) {
            let why = "This page is bound to an address of this machine only, and is asked for by another name.";
            return Err(Refusal(StatusCode::MISDIRECTED_REQUEST, why.into()));
        }
        let path = request.uri().path().to_string();
        let method = match request.method() {
            &Method::HEAD => Method::GET,
            other => other.clone(),
        };
        match (method, path.as_str()) {
            (Method::GET, "/") => Ok(html()),
            (Method::GET, "/events") if request.method() == Method::HEAD => Ok(text("text/event-stream", "")),
            (Method::GET, "/events") => Ok(self.events()),
            (Method::GET, "/topology") => self.topology().await,
            (Method::GET, "/metrics") => self.metrics().await,
            (Method::GET, "/healthz") => self.health().await,
            (Method::GET, "/readyz") => self.ready(request.uri().query().unwrap_or_default()).await,
            (Method::GET, "/session") => Ok(self.session(request.headers())),
            (Method::GET, "/favicon.ico") => Ok(with_status(StatusCode::NO_CONTENT, text(TEXT, ""))),
            (Method::POST, "/login") => self.log_in(request, way).await,
            (Method::POST, "/logout") => self.log_out(request),
            (Method::POST, "/action") => self.act(request).await,
            (Method::GET | Method::POST, _) => {
                Err(Refusal(StatusCode::NOT_FOUND, format!("there is no {}", quoted(&path))))
            }
            _ => Err(Refusal(StatusCode::METHOD_NOT_ALLOWED, "only GET, HEAD and POST are known".into())),
        }
    }

    fn events(&self) -> Answer {
        let mut answer = Response::new(self.feed.events().boxed());
        let headers = answer.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
        // A proxy that buffers would keep events back.
        headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
        answer
    }

    async fn topology(&self) -> Result<Answer, Refusal> {
        let picture = self.feed.topology(PICTURE).await;
        Ok(text(JSON, serde_json::to_string(&picture).map_err(internal)?))
    }

    async fn metrics(self: Arc<Self>) -> Result<Answer, Refusal> {
        Ok(text(METRICS, self.metrics.get(now_ms, || self.clone().metrics_page()).await))
    }

    async fn metrics_page(self: Arc<Self>) -> String {
        let page = match self.program {
            Program::Server => self.server_metrics().await,
            Program::Sentinel => ask(self.door.clone(), |own| metrics::gather_of_sentinel(own, now().unix_ms)).await,
        };
        // A scraper is told that the server does not answer, not that there is no page.
        page.unwrap_or_else(|Refusal(_, why)| metrics::of_silence(&why))
    }

    async fn server_metrics(&self) -> Result<String, Refusal> {
        let picture = self.feed.topology(PICTURE).await;
        let link = picture.own().and_then(|own| picture.link_of(&own.id)).cloned();
        let verified = self.verified.lock().ok().and_then(|verified| verified.clone());
        ask(self.door.clone(), move |own| metrics::gather(own, link, verified, now().unix_ms)).await
    }

    async fn health(&self) -> Result<Answer, Refusal> {
        // A server that loads or has no master says so instead of PONG: it lives.
        let ping = || ask(self.door.clone(), |own| own.ask(&[b"PING"], PATIENCE).map(|_| ()));
        self.health.get(now_ms, ping).await?;
        Ok(text(TEXT, "ok\n"))
    }

    async fn ready(&self, query: &str) -> Result<Answer, Refusal> {
        let checked = match self.program {
            Program::Server => self.check_server(query).await?,
            Program::Sentinel => self.check_sentinel(query).await?,
        };
        match checked {
            Ok(()) => Ok(text(TEXT, "ready\n")),
            Err(why) => Err(Refusal(StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {why}"))),
        }
    }

    async fn check_sentinel(&self, query: &str) -> Result<Result<(), String>, Refusal> {
        if !query.is_empty() {
            let why = "a Sentinel has no data that could be behind: there are no parameters";
            return Err(Refusal(StatusCode::BAD_REQUEST, why.into()));
        }
        let info = self.watching.get(now_ms, || ask(self.door.clone(), watching)).await?;
        Ok(readiness::check_sentinel(&info))
    }

    async fn check_server(&self, query: &str) -> Result<Result<(), String>, Refusal> {
        // A wrong question is told before the server is asked.
        Bounds::default().with_query(query).map_err(|why| Refusal(StatusCode::BAD_REQUEST, why))?;
        let (info, configured) = self.standing.get(now_ms, || ask(self.door.clone(), standing)).await?;
        let bounds = configured.with_query(query).map_err(|why| Refusal(StatusCode::BAD_REQUEST, why))?;
        let picture = match info.text("role") {
            Some("slave") if bounds != Bounds::default() => Some(self.feed.topology(PICTURE).await),
            _ => None,
        };
        let link = picture.as_ref().and_then(|picture| picture.link_of(&picture.own()?.id));
        Ok(readiness::check(&info, link, bounds))
    }

    fn session(&self, headers: &HeaderMap) -> Answer {
        let who = self.cookie(headers).and_then(|cookie| self.sessions.who(&cookie, now().ms));
        text(
            JSON,
            json!({ "user": who.as_ref().map(|w| &w.user), "token": who.as_ref().map(|w| &w.token) }).to_string(),
        )
    }

    /// The name of the session's cookie: with the port by which the browser knows this page, which may be another than its own.
    fn cookie_name(&self, headers: &HeaderMap) -> String {
        let port = host(headers).and_then(|host| host.rsplit_once(':')?.1.parse::<u16>().ok());
        format!("{COOKIE}{}", port.unwrap_or(self.port))
    }

    /// The session's cookie.
    fn cookie(&self, headers: &HeaderMap) -> Option<String> {
        let name = self.cookie_name(headers);
        let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
        let mut pairs = cookies.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
        pairs.find(|(found, _)| *found == name).map(|(_, value)| value.to_string())
    }

    async fn log_in(self: Arc<Self>, request: Request<Incoming>, way: Way) -> Result<Answer, Refusal> {
        check_origin(request.headers())?;
        let name = self.cookie_name(request.headers());
        let is_from_here = way.is_from_loopback && guard::is_local_host(host(request.headers()));
        let body = body(request).await?;
        let login: Login =
            serde_json::from_slice(&body).map_err(|e| Refusal(StatusCode::BAD_REQUEST, e.to_string()))?;
        // Who hangs up leaves the place only when what was begun has ended.
        let place = self.acting.clone().acquire_owned().await.map_err(internal)?;
        let site = self.clone();
        let asked = tokio::task::spawn_blocking(move || {
            let _place = place;
            site.sessions.log_in(&login.user, &login.password, way.peer, is_from_here, now().ms)
        });
        let (cookie, who) = asked.await.map_err(internal)?.map_err(|error| match error {
            LoginError::Refused(why) => Refusal(StatusCode::FORBIDDEN, why),
            LoginError::NoPassword(why) => Refusal(StatusCode::FORBIDDEN, why),
            LoginError::TooSoon => Refusal(StatusCode::TOO_MANY_REQUESTS, "another attempt was just made".into()),
            LoginError::TooMany => Refusal(StatusCode::TOO_MANY_REQUESTS, "too many people are logged in".into()),
            LoginError::Failed(why) => Refusal(StatusCode::SERVICE_UNAVAILABLE, why),
        })?;
        let mut answer = text(JSON, serde_json::to_string(&who).map_err(internal)?);
        let cookie = format!("{name}={cookie}; HttpOnly; SameSite=Strict; Path=/");
        answer.headers_mut().insert(header::SET_COOKIE, HeaderValue::from_str(&cookie).map_err(internal)?);
        Ok(answer)
    }

    fn log_out(&self, request: Request<Incoming>) -> Result<Answer, Refusal> {
        check_origin(request.headers())?;
        if let Some(cookie) = self.cookie(request.headers()) {
            self.sessions.log_out(&cookie);
        }
        let mut answer = text(JSON, "{}");
        let name = self.cookie_name(request.headers());
        let gone = format!("{name}=; HttpOnly; SameSite=Strict; Path=/; Max-Age=0");
        answer.headers_mut().insert(header::SET_COOKIE, HeaderValue::from_str(&gone).map_err(internal)?);
        Ok(answer)
    }

    async fn act(self: Arc<Self>, request: Request<Incoming>) -> Result<Answer, Refusal> {
        check_origin(request.headers())?;
        let token = request.headers().get(TOKEN).and_then(|token| token.to_str().ok()).unwrap_or_default().to_string();
        let cookie = self.cookie(request.headers()).unwrap_or_default();
        let line = self.sessions.line(&cookie, &token, now().ms);
        let line = line.ok_or_else(|| Refusal(StatusCode::UNAUTHORIZED, "log in first".into()))?;
        let action = Action::parse(&body(request).await?).map_err(|why| Refusal(StatusCode::BAD_REQUEST, why))?;
        let place = self.acting.clone().acquire_owned().await.map_err(internal)?;
        let site = self.clone();
        let done = tokio::task::spawn_blocking(move || {
            let _place = place;
            let done = action.run(&line);
            if let (Action::Verify, Ok(reply), Ok(mut verified)) = (&action, &done, site.verified.lock()) {
                *verified = Some(Verified::of(reply, now().unix_ms));
            }
            done
        });
        match done.await.map_err(internal)? {
            Ok(reply) => Ok(text(JSON, reply.to_string())),
            Err(why) => Ok(with_status(StatusCode::CONFLICT, text(JSON, json!({ "error": why }).to_string()))),
        }
    }
}

/// Runs what asks the server and waits, beside the thread that serves everybody.
async fn ask<T: Send + 'static>(
    door: Door,
    work: impl FnOnce(&mut Own) -> Result<T, String> + Send + 'static,
) -> Result<T, Refusal> {
    let asked = tokio::task::spawn_blocking(move || {
        let mut own = door(Visitor::Page).and_then(Own::new).map_err(|error| error.to_string())?;
        work(&mut own)
    });
    let answered = asked.await.map_err(internal)?;
    answered.map_err(|why| Refusal(StatusCode::SERVICE_UNAVAILABLE, why))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Login {
    user: String,
    password: String,
}

/// INFO, and the bounds that are configured.
fn standing(own: &mut Own) -> Result<(Info, Bounds), String> {
    let info = own.text(&["INFO"]).map_err(|error| error.to_string())?;
    let configured = own.ask(&[b"CONFIG", b"GET", b"http-ready-*"], crate::own::PATIENCE)?;
    let count = |name: &str| configured.field(name).and_then(|value| value.text().parse().ok()).unwrap_or(0);
    let bounds = Bounds {
        lag_bytes_max: count("http-ready-max-lag-bytes"),
        lag_seconds_max: count("http-ready-max-lag-seconds"),
    };
    Ok((Info::parse(&info), bounds))
}

/// What a Sentinel says of itself and of the replacement of its masters.
fn watching(own: &mut Own) -> Result<Info, String> {
    let info = own.text(&["INFO", "sentinel", "failover"]).map_err(|error| error.to_string())?;
    Ok(Info::parse(&info))
}

fn check_origin(headers: &HeaderMap) -> Result<(), Refusal> {
    // Only a script sends JSON, and one of another site has to ask before, which is not granted.
    let is_json = headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(JSON.as_bytes()));
    match guard::is_same_origin(headers) && is_json {
        true => Ok(()),
        false => Err(Refusal(StatusCode::FORBIDDEN, "only the page itself may do this".into())),
    }
}

async fn body(request: Request<Incoming>) -> Result<Bytes, Refusal> {
    let whole = tokio::time::timeout(BODY, Limited::new(request.into_body(), BODY_BYTES_MAX).collect()).await;
    match whole {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) => Err(Refusal(StatusCode::PAYLOAD_TOO_LARGE, error.to_string())),
        Err(_) => Err(Refusal(StatusCode::REQUEST_TIMEOUT, "the body did not come in time".into())),
    }
}

fn host(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::HOST).and_then(|host| host.to_str().ok())
}

fn html() -> Answer {
    let mut answer = Response::new(full(document::html()));
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    answer
}

fn text(kind: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(full(body.into()));
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    answer
}

fn full(body: Bytes) -> BoxBody<Bytes, std::convert::Infallible> {
    Full::new(body).boxed()
}

fn with_status(status: StatusCode, mut answer: Answer) -> Answer {
    *answer.status_mut() = status;
    answer
}

/// A path as it may be shown.
fn quoted(path: &str) -> String {
    path.chars().take(100).filter(|c| c.is_ascii_graphic()).collect()
}

fn internal(error: impl std::fmt::Display) -> Refusal {
    Refusal(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
}
