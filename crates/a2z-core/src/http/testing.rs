//! A server that does to a connection what a test wants. For unit tests of the clients.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};
use url::Url;

/// A request that arrived.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// Path and query.
    pub(crate) path: String,
    /// All headers, as they came, one a line.
    pub(crate) headers: String,
    pub(crate) body: String,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

/// A running server; it ends with the test's runtime.
pub(crate) struct Server {
    pub(crate) url: Url,
    seen: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    /// `answer` gives the raw bytes for the n-th request (from 0); none at all closes the connection.
    pub(crate) async fn start(answer: impl Fn(&Request, usize) -> Vec<u8> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (kept, answer) = (Arc::clone(&seen), Arc::new(answer));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (kept, answer) = (Arc::clone(&kept), Arc::clone(&answer));
                tokio::spawn(serve(stream, move |request: Request| {
                    let mut seen = kept.lock().unwrap();
                    let bytes = answer(&request, seen.len());
                    seen.push(request);
                    bytes
                }));
            }
        });
        Self { url, seen }
    }

    pub(crate) fn seen(&self) -> Vec<Request> {
        self.seen.lock().unwrap().clone()
    }
}

async fn serve(mut stream: TcpStream, answer: impl FnOnce(Request) -> Vec<u8>) {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    let head = loop {
        if let Some(end) = bytes.windows(4).position(|w| w == b"\r\n\r\n") {
            break end;
        }
        match stream.read(&mut buffer).await {
            Ok(n) if n > 0 => bytes.extend_from_slice(&buffer[..n]),
            _ => return,
        }
    };
    let text = String::from_utf8_lossy(&bytes[..head]).into_owned();
    let (first, headers) = text.split_once("\r\n").unwrap_or((&text, ""));
    let mut words = first.split(' ');
    let mut request = Request {
        method: words.next().unwrap_or_default().to_owned(),
        path: words.next().unwrap_or_default().to_owned(),
        headers: headers.to_owned(),
        body: String::new(),
    };
    let length = request.header("content-length").map_or(0, |value| value.parse().unwrap());
    while bytes.len() < head + 4 + length {
        match stream.read(&mut buffer).await {
            Ok(n) if n > 0 => bytes.extend_from_slice(&buffer[..n]),
            _ => return,
        }
    }
    request.body = String::from_utf8_lossy(&bytes[head + 4..]).into_owned();
    let _ = stream.write_all(&answer(request)).await;
    let _ = stream.shutdown().await;
}

/// A whole answer.
pub(crate) fn reply(status: u16, headers: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let head = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n{headers}\r\n", body.len());
    [head.as_bytes(), body].concat()
}

/// A whole JSON answer.
pub(crate) fn json(status: u16, body: &serde_json::Value) -> Vec<u8> {
    reply(status, "content-type: application/json\r\n", body.to_string())
}

/// Settings under which retries take no time.
pub(crate) fn quick() -> crate::config::Http {
    use std::time::Duration;
    crate::config::Http {
        max_attempts: 3,
        first_wait: Duration::from_millis(1),
        max_wait: Duration::from_millis(2),
        request_timeout: Duration::from_secs(5),
        ..crate::config::Config::default().http
    }
}
