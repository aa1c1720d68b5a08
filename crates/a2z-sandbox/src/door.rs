//! The listener of a sandbox: it counts who comes, follows the fault rules, and can cut any connection at any byte.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::connect_info::{ConnectInfo, Connected};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::{Instant, Sleep, sleep, sleep_until};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use super::faults::{Fault, Faults, RetryAfter};

/// The largest request that the sandbox reads, in bytes: far above what either vendor takes.
const LARGEST_BODY: usize = 256 << 20;

/// A request that came in, and what became of it.
#[derive(Clone, Debug)]
pub struct Seen {
    /// `GET`, `POST`, ….
    pub method: String,
    /// Path and query, as sent.
    pub path: String,
    /// What was answered; `None` where the connection was cut first.
    pub status: Option<u16>,
    /// The length of the request's body, in bytes, as it announced itself.
    pub bytes: usize,
    /// Whether it carried an `Authorization` header.
    pub authorization: bool,
    /// How many requests were being served when it came, itself included.
    pub in_flight: usize,
    /// The fault that hit it.
    pub fault: Option<Fault>,
}

/// What a fault needs to know of the vendor.
#[derive(Clone, Copy)]
pub(crate) struct Site {
    /// The answer to a token that has expired.
    pub(crate) token_expired: fn() -> Response,
    /// The answer to a rate limit; `Retry-After` is added to it.
    pub(crate) too_many: fn() -> Response,
    /// The answer to a request that it does not like.
    pub(crate) refused: fn() -> Response,
    /// The answer to a request that the vendor understood and does not allow, under this error code.
    pub(crate) forbidden: fn(&'static str) -> Response,
    /// The vendor's error for an internal failure, as text.
    pub(crate) internal_error: &'static str,
}

/// A running listener. Dropping it ends the server.
pub(crate) struct Door {
    pub(crate) control: Arc<Control>,
    task: JoinHandle<()>,
}

/// Whether every connection is reset.
enum Down {
    No,
    Until(Instant),
    ForGood,
}

/// The handle on a door, which the vendor's own code holds too.
pub(crate) struct Control {
    pub(crate) faults: Faults,
    site: Site,
    seen: Mutex<Vec<Seen>>,
    in_flight: AtomicUsize,
    down: Mutex<Down>,
    wires: Mutex<Vec<Wire>>,
}

impl Drop for Door {
    fn drop(&mut self) {
        self.control.cut_all();
        self.task.abort();
    }
}

impl Door {
    /// Opens the port on loopback, 0 for any, and serves the router behind the fault rules.
    pub(crate) async fn open(
        port: u16,
        faults: Faults,
        site: Site,
        make: impl FnOnce(Arc<Control>, SocketAddr) -> Router,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
        let address = listener.local_addr()?;
        let control = Arc::new(Control {
            faults,
            site,
            seen: Mutex::default(),
            in_flight: AtomicUsize::new(0),
            down: Mutex::new(Down::No),
            wires: Mutex::default(),
        });
        let router = make(Arc::clone(&control), address).layer(from_fn_with_state(Arc::clone(&control), pass));
        let doorway = Doorway { listener, control: Arc::clone(&control) };
        let task = tokio::spawn(async move {
            // Ends only when the task is aborted.
            let _ = axum::serve(doorway, router.into_make_service_with_connect_info::<Wire>()).await;
        });
        Ok(Self { control, task })
    }
}

impl Control {
    /// Every request so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        lock(&self.seen).clone()
    }

    /// Resets every connection, and every new one, until [`Self::up`], or for so long.
    pub(crate) fn down(&self, time: Option<Duration>) {
        *lock(&self.down) = time.map_or(Down::ForGood, |time| Down::Until(Instant::now() + time));
        self.cut_all();
    }

    /// Serves again.
    pub(crate) fn up(&self) {
        *lock(&self.down) = Down::No;
    }

    /// Whether connections are reset at this moment.
    pub(crate) fn is_down(&self) -> bool {
        match *lock(&self.down) {
            Down::No => false,
            Down::ForGood => true,
            Down::Until(until) => Instant::now() < until,
        }
    }

    fn cut_all(&self) {
        for wire in lock(&self.wires).drain(..) {
            wire.0.cut.cancel();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One connection, as the fault rules see it.
#[derive(Clone, Default)]
pub(crate) struct Wire(Arc<WireState>);

impl std::fmt::Debug for Wire {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Wire")
    }
}

#[derive(Default)]
struct WireState {
    cut: CancellationToken,
    /// How many bytes may still be written, `None` for any number.
    budget: Mutex<Option<usize>>,
    /// The pause before each piece of the answer.
    pause: Mutex<Option<Duration>>,
    closed: AtomicBool,
}

impl Connected<IncomingStream<'_, Doorway>> for Wire {
    fn connect_info(stream: IncomingStream<'_, Doorway>) -> Self {
        stream.remote_addr().clone()
    }
}

struct Doorway {
    listener: TcpListener,
    control: Arc<Control>,
}

impl Listener for Doorway {
    type Io = Line;
    type Addr = Wire;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            match self.listener.accept().await {
                Ok((stream, _)) if self.control.is_down() => drop(stream),
                Ok((stream, _)) => {
                    // Small answers must not wait for Nagle's algorithm; without it they still come.
                    let _ = stream.set_nodelay(true);
                    let wire = Wire::default();
                    let mut wires = lock(&self.control.wires);
                    wires.retain(|wire| !wire.0.closed.load(Ordering::Relaxed));
                    wires.push(wire.clone());
                    drop(wires);
                    let cut = Box::pin(wire.0.cut.clone().cancelled_owned());
                    return (Line { stream, wire: wire.clone(), cut, wait: None }, wire);
                }
                // Out of file descriptors, most likely: wait for some to be closed.
                Err(_) => sleep(Duration::from_millis(20)).await,
            }
        }
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        Ok(Wire::default())
    }
}

/// A TCP stream that can be cut from outside.
struct Line {
    stream: TcpStream,
    wire: Wire,
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
    wait: Option<Pin<Box<Sleep>>>,
}

impl Drop for Line {
    fn drop(&mut self) {
        self.wire.0.closed.store(true, Ordering::Relaxed);
    }
}

impl Line {
    fn poll_cut(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        match self.cut.as_mut().poll(cx) {
            Poll::Ready(()) => Err(io::ErrorKind::ConnectionReset.into()),
            Poll::Pending => Ok(()),
        }
    }
}

impl AsyncRead for Line {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.poll_cut(cx)?;
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Line {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        /// The size of a piece of a slow answer, in bytes.
        const PIECE: usize = 64;
        self.poll_cut(cx)?;
        let mut most = bytes.len();
        let pause = *lock(&self.wire.0.pause);
        if let Some(pause) = pause {
            let wait = self.wait.get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + pause)));
            ready!(wait.as_mut().poll(cx));
            self.wait = None;
            most = most.min(PIECE);
        }
        let budget = *lock(&self.wire.0.budget);
        if let Some(budget) = budget {
            if budget == 0 {
                self.wire.0.cut.cancel();
                return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
            }
            most = most.min(budget);
        }
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, &bytes[..most]))?;
        if let Some(budget) = lock(&self.wire.0.budget).as_mut() {
            *budget = budget.saturating_sub(written);
        }
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// Takes itself off the count, also when the client goes away and the request is dropped.
struct InFlight(Arc<Control>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The way of every request: counted, hit by a fault or not, served, noted.
async fn pass(
    State(control): State<Arc<Control>>,
    ConnectInfo(wire): ConnectInfo<Wire>,
    mut request: Request,
    next: Next,
) -> Response {
    let in_flight = control.in_flight.fetch_add(1, Ordering::Relaxed) + 1;
    let _count = InFlight(Arc::clone(&control));
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str()).to_owned();
    let method = request.method().to_string();
    let fault = control.faults.next(&method, &path);
    let number = {
        let mut seen = lock(&control.seen);
        seen.push(Seen {
            method,
            path,
            status: None,
            bytes: length(request.headers()),
            authorization: request.headers().contains_key(header::AUTHORIZATION),
            in_flight,
            fault: fault.clone(),
        });
        seen.len() - 1
    };
    let answer = match before(&control, &wire, fault.as_ref(), &mut request).await {
        Some(answer) => answer,
        None => after(&control, &wire, fault.as_ref(), next.run(request).await).await,
    };
    if !wire.0.cut.is_cancelled()
        && let Some(seen) = lock(&control.seen).get_mut(number)
    {
        seen.status = Some(answer.status().as_u16());
    }
    answer
}

/// The faults that keep a request from being carried out, or that the vendor's code must see.
async fn before(control: &Control, wire: &Wire, fault: Option<&Fault>, request: &mut Request) -> Option<Response> {
    match fault? {
        Fault::DropRequest => wire.0.cut.cancel(),
        Fault::Stop(time) => control.down(Some(*time)),
        Fault::Delay(time) => {
            sleep(*time).await;
            return None;
        }
        Fault::TooMany(retry) => return Some(retry.on((control.site.too_many)())),
        Fault::Unavailable(retry) => {
            return Some(retry.on((StatusCode::SERVICE_UNAVAILABLE, "upstream connect error").into_response()));
        }
        Fault::Refused => return Some((control.site.refused)()),
        Fault::Forbidden(code) => return Some((control.site.forbidden)(code)),
        Fault::BadGateway => return Some(html(StatusCode::BAD_GATEWAY)),
        Fault::Status(status) => {
            return Some(StatusCode::from_u16(*status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR).into_response());
        }
        Fault::Broken => {
            let json = [(header::CONTENT_TYPE, "application/json")];
            return Some((StatusCode::INTERNAL_SERVER_ERROR, json, control.site.internal_error).into_response());
        }
        Fault::ErrorUnderOk => {
            return Some(([(header::CONTENT_TYPE, "application/json")], control.site.internal_error).into_response());
        }
        Fault::TokenExpired => return Some((control.site.token_expired)()),
        fault @ (Fault::ImportTimeout | Fault::Stumble) => {
            request.extensions_mut().insert(fault.clone());
            return None;
        }
        Fault::LoseAnswer
        | Fault::DoneAndTooMany(_)
        | Fault::CutAnswer
        | Fault::SlowAnswer(_)
        | Fault::HtmlBody
        | Fault::EmptyBody
        | Fault::HugeBody(_) => return None,
    }
    // The connection is cut: nobody reads this.
    Some(StatusCode::BAD_GATEWAY.into_response())
}

/// The faults that spoil the answer to a request that was carried out.
async fn after(control: &Control, wire: &Wire, fault: Option<&Fault>, answer: Response) -> Response {
    let status = answer.status();
    match fault {
        Some(Fault::LoseAnswer) => wire.0.cut.cancel(),
        Some(Fault::DoneAndTooMany(retry)) => return retry.on((control.site.too_many)()),
        Some(Fault::SlowAnswer(pause)) => *lock(&wire.0.pause) = Some(*pause),
        Some(Fault::HtmlBody) => return html(status),
        Some(Fault::EmptyBody) => return status.into_response(),
        Some(Fault::HugeBody(size)) => {
            let mut body = vec![b'x'; (*size).max(2)];
            body[0] = b'"';
            let last = body.len() - 1;
            body[last] = b'"';
            return (status, [(header::CONTENT_TYPE, "application/json")], body).into_response();
        }
        Some(Fault::CutAnswer) => {
            let (mut parts, body) = answer.into_parts();
            let body = to_bytes(body, LARGEST_BODY).await.unwrap_or_default();
            // A fixed date makes the length of the head known: status line, headers, empty line.
            parts.headers.insert(header::DATE, HeaderValue::from_static("Thu, 01 Jan 2026 00:00:00 GMT"));
            parts.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
            let reason = parts.status.canonical_reason().unwrap_or_default().len();
            let head: usize = parts.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
            *lock(&wire.0.budget) = Some("HTTP/1.1 200 \r\n\r\n".len() + reason + head + body.len() / 2);
            return Response::from_parts(parts, Body::from(body));
        }
        _ => {}
    }
    answer
}

fn html(status: StatusCode) -> Response {
    let page =
        "<!DOCTYPE html><html><head><title>502 Bad Gateway</title></head><body><h1>Bad Gateway</h1></body></html>";
    (status, [(header::CONTENT_TYPE, "text/html; charset=utf-8")], page).into_response()
}

fn length(headers: &HeaderMap) -> usize {
    headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok()).unwrap_or(0)
}

impl RetryAfter {
    fn on(self, mut answer: Response) -> Response {
        let value = match self {
            Self::No => return answer,
            Self::Seconds(seconds) => seconds.to_string(),
            Self::Text(text) => text.to_owned(),
            Self::Date(seconds) => {
                let at = jiff::Timestamp::now() + Duration::from_secs(seconds);
                at.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
            }
        };
        if let Ok(value) = HeaderValue::from_str(&value) {
            answer.headers_mut().insert(header::RETRY_AFTER, value);
        }
        answer
    }
}

/// The whole body of a request; `None` where the client went away in the middle.
pub(crate) async fn body_of(request: Request) -> Option<Bytes> {
    to_bytes(request.into_body(), LARGEST_BODY).await.ok()
}
