use std::sync::{
    Mutex,
    atomic::{AtomicU32, Ordering},
};

use super::*;
use crate::{
    event::{Event, Listen},
    http::{
        settings::Http,
        testing::{Server, quick, reply},
        token::Token,
    },
};

fn client(server: &Server) -> Client {
    Client::new("Test", &server.url, &quick(), None, Events::silent(), CancellationToken::new()).unwrap()
}

fn call(server: &Server, idempotent: bool) -> Call {
    Call {
        what: "try".into(),
        method: reqwest::Method::POST,
        url: server.url.clone(),
        body: Body::Json(bytes::Bytes::from_static(b"{}")),
        headers: vec![("x-zitadel-orgid", "7".into())],
        idempotent,
        timeout: None,
    }
}

async fn send(client: &Client, call: &Call) -> Result<Answer, Fault> {
    client.send(call, &Auth::None, &|_| false).await
}

#[tokio::test]
async fn a_lost_answer_is_sent_again_only_when_that_is_safe() {
    let server = Server::start(|_, _| Vec::new()).await;
    let client = client(&server);
    assert!(matches!(send(&client, &call(&server, false)).await, Err(Fault::Lost { .. })));
    assert_eq!(server.seen().len(), 1);
    assert!(matches!(send(&client, &call(&server, true)).await, Err(Fault::Lost { .. })));
    assert_eq!(server.seen().len(), 4);
}

#[tokio::test]
async fn a_cut_body_is_a_lost_answer() {
    let server = Server::start(|_, n| {
        let mut whole = reply(200, "", "0123456789");
        if n == 0 {
            whole.truncate(whole.len() - 3);
        }
        whole
    })
    .await;
    let client = client(&server);
    let Err(Fault::Lost { reason }) = send(&client, &call(&server, false)).await else { panic!() };
    assert!(reason.starts_with("cut in the middle"), "{reason}");
    let answer = send(&client, &call(&server, true)).await.unwrap();
    assert_eq!((answer.status, &answer.body[..], answer.attempts), (200, &b"0123456789"[..], 1));
}

#[tokio::test]
async fn a_slow_answer_is_a_lost_answer() {
    let server = Server::start(|_, _| {
        std::thread::sleep(Duration::from_millis(300));
        reply(200, "", "")
    })
    .await;
    let call = Call { timeout: Some(Duration::from_millis(30)), ..call(&server, false) };
    let Err(Fault::Lost { reason }) = send(&client(&server), &call).await else { panic!() };
    assert_eq!(reason, "no answer within 30ms");
}

#[tokio::test]
async fn says_what_it_repeats() {
    #[derive(Clone, Default)]
    struct Ear(Arc<Mutex<Vec<Event>>>);
    impl Listen for Ear {
        fn on(&self, event: &Event) {
            self.0.lock().unwrap().push(event.clone());
        }
    }
    let ear = Ear::default();
    let server = Server::start(|_, n| reply(if n == 0 { 429 } else { 201 }, "retry-after: 3600\r\n", "{}")).await;
    let cancel = CancellationToken::new();
    let client = Client::new("Test", &server.url, &quick(), None, Events::new(ear.clone()), cancel).unwrap();
    let answer = send(&client, &call(&server, true)).await.unwrap();
    assert_eq!((answer.status, answer.attempts), (201, 2));
    let event = Event::Retry { vendor: "Test", what: "try".into(), attempt: 1, wait_ms: 2, reason: "HTTP 429".into() };
    assert_eq!(*ear.0.lock().unwrap(), [event]);
}

#[tokio::test]
async fn nobody_listens() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url: Url = format!("http://127.0.0.1:{port}/secret?token=canary").parse().unwrap();
    let client = Client::new("Test", &url, &quick(), None, Events::silent(), CancellationToken::new()).unwrap();
    let call = Call {
        what: "try".into(),
        method: reqwest::Method::GET,
        url,
        body: Body::Empty,
        headers: Vec::new(),
        idempotent: false,
        timeout: None,
    };
    let fault = send(&client, &call).await.unwrap_err();
    assert!(matches!(fault, Fault::NotSent { .. }));
    let text = fault.to_string();
    assert!(text.contains(&format!("127.0.0.1:{port}")) && !text.contains("canary"), "{text}");
}

#[tokio::test]
async fn an_answer_that_is_too_large() {
    let server = Server::start(|_, _| reply(200, "", vec![b'x'; 2000])).await;
    let client = client(&server).with_max_answer(1000);
    assert!(matches!(send(&client, &call(&server, true)).await, Err(Fault::TooLarge { limit: 1000 })));
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn no_redirect_takes_the_token_elsewhere() {
    let server = Server::start(|_, _| reply(302, "location: /elsewhere\r\n", "")).await;
    assert_eq!(send(&client(&server), &call(&server, true)).await.unwrap().status, 302);
    assert_eq!(server.seen().len(), 1);
}

fn tokens() -> (Auth, Arc<AtomicU32>) {
    let fetched = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&fetched);
    let cache = TokenCache::new(move || {
        let n = counter.fetch_add(1, Ordering::SeqCst);
        Box::pin(async move { Ok(Token { secret: format!("canary{n}").into(), expires_in: None, scope: None }) })
    });
    (Auth::Bearer(cache), fetched)
}

#[tokio::test]
async fn a_refused_token_is_renewed_once() {
    let server = Server::start(|request, _| {
        let known = request.header("authorization") == Some("Bearer canary1");
        reply(if known { 200 } else { 401 }, "", "")
    })
    .await;
    let (auth, fetched) = tokens();
    let answer = client(&server).send(&call(&server, false), &auth, &|_| false).await.unwrap();
    assert_eq!((answer.status, fetched.load(Ordering::SeqCst), server.seen().len()), (200, 2, 2));
    assert_eq!(server.seen()[0].header("x-zitadel-orgid"), Some("7"));
    assert_eq!(server.seen()[0].header("user-agent"), Some(concat!("a2z/", env!("CARGO_PKG_VERSION"))));

    let never = Server::start(|_, _| reply(401, "", "")).await;
    let (auth, fetched) = tokens();
    let answer = client(&never).send(&call(&never, false), &auth, &|_| false).await.unwrap();
    assert_eq!((answer.status, fetched.load(Ordering::SeqCst), never.seen().len()), (401, 2, 2));

    let fixed = Auth::Bearer(TokenCache::fixed("canary".into()));
    assert_eq!(client(&never).send(&call(&never, false), &fixed, &|_| false).await.unwrap().status, 401);
    assert_eq!(never.seen().len(), 3);
}

#[tokio::test]
async fn a_token_with_a_line_break_is_the_operators_error() {
    let server = Server::start(|_, _| reply(200, "", "")).await;
    let auth = Auth::Bearer(TokenCache::fixed("canary\n".into()));
    let Err(Fault::Token(error)) = client(&server).send(&call(&server, false), &auth, &|_| false).await else {
        panic!()
    };
    assert!(!error.render().contains("canary"), "{error:?}");
    assert_eq!(server.seen().len(), 0);
}

#[tokio::test]
async fn a_form() {
    let server = Server::start(|_, _| reply(200, "", "")).await;
    let form = vec![("grant_type", SecretString::from("client_credentials")), ("scope", SecretString::from("a b&c"))];
    let call = Call { body: Body::Form(form), ..call(&server, false) };
    assert!(!format!("{call:?}").contains("a b&c"));
    client(&server).send(&call, &Auth::None, &|_| false).await.unwrap();
    let request = &server.seen()[0];
    assert_eq!(request.body, "grant_type=client_credentials&scope=a+b%26c");
    assert_eq!(request.header("content-type"), Some("application/x-www-form-urlencoded"));
}

#[test]
fn plain_http_only_to_this_machine() {
    let ok = |url: &str| require_secure(&url.parse().unwrap()).is_ok();
    for url in
        ["https://a.example", "http://localhost:8080", "http://127.0.0.9/", "http://[::1]:1/", "http://x.localhost"]
    {
        assert!(ok(url), "{url}");
    }
    for url in [
        "http://a.example",
        "http://127.0.0.1.example",
        "http://10.0.0.1",
        "http://localhost.example",
        "ftp://localhost",
    ] {
        assert!(!ok(url), "{url}");
    }
}

#[test]
fn a_ca_file_without_certificates() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let config = Http { ca_file: Some(file.path().into()), ..quick() };
    assert!(build(&config, |builder| builder).unwrap_err().render().contains("holds no certificate"));
}

/// Sends a head and then `piece` for ever, as fast as it is read or with a pause.
async fn endless(head: &'static str, piece: Vec<u8>, pause: Duration) -> Url {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let piece = piece.clone();
            tokio::spawn(async move {
                let mut buffer = [0; 4096];
                let _ = stream.read(&mut buffer).await;
                let _ = stream.write_all(head.as_bytes()).await;
                while stream.write_all(&piece).await.is_ok() {
                    tokio::time::sleep(pause).await;
                }
            });
        }
    });
    url
}

#[tokio::test]
async fn answers_without_end_are_left() {
    let body = "HTTP/1.1 200 X\r\ncontent-type: application/json\r\n\r\n[";
    let zeros = {
        use std::io::Write as _;
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        gzip.write_all(&vec![b' '; 64 << 20]).unwrap();
        gzip.finish().unwrap()
    };
    let packed = "HTTP/1.1 200 X\r\ncontent-encoding: gzip\r\n\r\n";
    let cases = [
        // Two gigabytes and more.
        ("a body", body, vec![b'x'; 1 << 20], Duration::ZERO, true),
        ("a gzip bomb", packed, zeros, Duration::ZERO, true),
        ("a trickle", body, b"1,".to_vec(), Duration::from_millis(5), false),
        ("headers", "HTTP/1.1 200 X\r\n", b"x-a: b\r\n".to_vec(), Duration::ZERO, false),
        ("one header", "HTTP/1.1 200 X\r\nx-a: ", vec![b'x'; 1 << 20], Duration::ZERO, false),
        ("a status line", "HTTP/1.1 200 ", vec![b'x'; 1 << 20], Duration::ZERO, false),
        (
            "chunk sizes",
            "HTTP/1.1 200 X\r\ntransfer-encoding: chunked\r\n\r\n",
            vec![b'1'; 1 << 16],
            Duration::ZERO,
            false,
        ),
        ("early answers", "", b"HTTP/1.1 103 X\r\n\r\n".to_vec(), Duration::ZERO, false),
    ];
    for (name, head, piece, pause, too_large) in cases {
        let url = endless(head, piece, pause).await;
        let client = Client::new("Test", &url, &quick(), None, Events::silent(), CancellationToken::new())
            .unwrap()
            .with_max_answer(8 << 20);
        let call = Call {
            what: "try".into(),
            method: reqwest::Method::GET,
            url,
            body: Body::Empty,
            headers: Vec::new(),
            idempotent: false,
            timeout: Some(Duration::from_secs(if too_large { 60 } else { 2 })),
        };
        match send(&client, &call).await {
            Err(Fault::TooLarge { .. }) => assert!(too_large, "{name}"),
            Err(Fault::Lost { .. } | Fault::NotSent { .. }) => assert!(!too_large, "{name}"),
            other => panic!("{name}: {other:?}"),
        }
    }
}
