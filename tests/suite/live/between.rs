//! What stands between a2z and a real ZITADEL at times: a proxy that loses an answer, or asks for less or more than a2z
//! did. What ZITADEL makes of it is real.

use std::{
    net::Ipv4Addr,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{Request, State},
    http::Response,
};

use super::*;

/// What happens to an import request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trick {
    /// Nothing.
    Pass,
    /// ZITADEL carries it out to the end, and a2z never hears of it.
    Lose,
    /// ZITADEL is told to stop after so many milliseconds.
    Hurry(u64),
    /// Metadata of nobody is added until it is more than ZITADEL takes.
    Swell,
    /// Nobody answers: it is with ZITADEL for so many milliseconds, and then nobody wants it any more.
    Leave(u64),
}

/// The n-th import request (from 1), with so many users.
type Plan = Box<dyn Fn(usize, usize) -> Trick + Send + Sync>;

struct Inner {
    http: reqwest::Client,
    to: String,
    plan: Plan,
    imports: AtomicUsize,
    /// Users, trick, and ZITADEL's status and code.
    seen: Mutex<Vec<(usize, Trick, u16, i64)>>,
}

/// A proxy on loopback.
pub(super) struct Between {
    pub(super) url: String,
    inner: Arc<Inner>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Between {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Between {
    pub(super) async fn start(live: &Live, plan: impl Fn(usize, usize) -> Trick + Send + Sync + 'static) -> Self {
        let inner = Arc::new(Inner {
            http: live.http.clone(),
            to: live.url.clone(),
            plan: Box::new(plan),
            imports: AtomicUsize::new(0),
            seen: Mutex::default(),
        });
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().fallback(pass).with_state(Arc::clone(&inner));
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, inner, task }
    }

    /// How many import requests came.
    pub(super) fn imports(&self) -> usize {
        self.inner.imports.load(Ordering::SeqCst)
    }

    /// Of the import requests that ZITADEL answered: how many users, the trick, status and code.
    pub(super) fn seen(&self) -> Vec<(usize, Trick, u16, i64)> {
        self.inner.seen.lock().unwrap().clone()
    }
}

async fn pass(State(inner): State<Arc<Inner>>, request: Request) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let mut body = to_bytes(body, 64 << 20).await.unwrap();
    let (mut users, mut trick) = (0, Trick::Pass);
    if parts.uri.path() == "/admin/v1/import" {
        let at = inner.imports.fetch_add(1, Ordering::SeqCst) + 1;
        let mut wanted: Value = serde_json::from_slice(&body).unwrap();
        let count = |org: &Value| org["humanUsers"].as_array().map_or(0, Vec::len);
        users = wanted["dataOrgs"]["orgs"].as_array().unwrap().iter().map(count).sum();
        trick = (inner.plan)(at, users);
        match trick {
            Trick::Hurry(ms) => wanted["timeout"] = format!("{ms}ms").into(),
            Trick::Swell => swell(&mut wanted["dataOrgs"]["orgs"][0]),
            Trick::Pass | Trick::Lose | Trick::Leave(_) => {}
        }
        if matches!(trick, Trick::Hurry(_) | Trick::Swell) {
            body = wanted.to_string().into();
        }
    }
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    let mut forward = inner.http.request(parts.method, format!("{}{path}", inner.to)).body(body);
    for (name, value) in &parts.headers {
        if !["host", "content-length", "connection"].contains(&name.as_str()) {
            forward = forward.header(name, value);
        }
    }
    let answer = match trick {
        Trick::Leave(ms) => {
            let _ = tokio::time::timeout(std::time::Duration::from_millis(ms), forward.send()).await;
            return cut();
        }
        // Goes on although nobody waits for it any more: as behind a proxy that does not tell.
        Trick::Lose => tokio::spawn(forward.send()).await.unwrap(),
        _ => forward.send().await,
    };
    let Ok(answer) = answer else { return cut() };
    let (status, kind) = (answer.status(), answer.headers().get("content-type").cloned());
    let Ok(bytes) = answer.bytes().await else { return cut() };
    if users > 0 {
        let answer: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        let code = answer["code"].as_i64().unwrap_or_default();
        inner.seen.lock().unwrap().push((users, trick, status.as_u16(), code));
    }
    if trick == Trick::Lose {
        return cut();
    }
    let mut out = Response::builder().status(status);
    if let Some(kind) = kind {
        out = out.header("content-type", kind);
    }
    out.body(Body::from(bytes)).unwrap()
}

/// Metadata of a user who does not exist, more than 4 MiB of it.
fn swell(organization: &mut Value) {
    let more = (0..9).map(|n| json!({ "id": "a2z-nobody", "key": format!("k{n}"), "value": "A".repeat(660_000) }));
    match organization["userMetadata"].as_array_mut() {
        Some(entries) => entries.extend(more),
        None => organization["userMetadata"] = more.collect(),
    }
}

/// An answer whose connection breaks before its body is whole.
fn cut() -> Response<Body> {
    let body = Body::from_stream(tokio_util::io::ReaderStream::new(Broken));
    Response::builder().header("content-type", "application/json").body(body).unwrap()
}

/// Cannot be read.
struct Broken;

impl tokio::io::AsyncRead for Broken {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        _: &mut tokio::io::ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        Poll::Ready(Err(std::io::ErrorKind::BrokenPipe.into()))
    }
}
