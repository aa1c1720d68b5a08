//! The calls, against a server that plays Auth0.

use std::{io::Write as _, time::Duration};

use secrecy::SecretString;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use url::Url;

use super::{client::Client, connections, download, export, structure};
use crate::{
    config,
    error::Kind,
    event::Events,
    http::testing::{self, Request, Server, quick, reply},
};

fn client(url: &Url, credentials: config::Auth0Credentials) -> Client {
    let config =
        config::Auth0 { url: Some(url.clone()), credentials: Some(credentials), ..config::Config::default().auth0 };
    Client::new(&config, &quick(), Events::silent(), CancellationToken::new()).unwrap()
}

fn machine() -> config::Auth0Credentials {
    config::Auth0Credentials::Client { client_id: "id".into(), client_secret: SecretString::from("canary-secret") }
}

fn ready() -> config::Auth0Credentials {
    config::Auth0Credentials::Token(SecretString::from("canary-token"))
}

async fn server(answer: impl Fn(&Request, usize) -> Vec<u8> + Send + Sync + 'static) -> (Server, Client) {
    let server = Server::start(answer).await;
    let client = client(&server.url, ready());
    (server, client)
}

/// Auth0 with one finished job whose file is what `file` says of the n-th download.
async fn finished(file: impl Fn(usize) -> Vec<u8> + Send + Sync + 'static) -> (Server, Client) {
    let downloads = std::sync::atomic::AtomicUsize::new(0);
    server(move |request, n| {
        if request.path.starts_with("/file") {
            return file(downloads.fetch_add(1, std::sync::atomic::Ordering::SeqCst));
        }
        let host = request.header("host").unwrap_or_default();
        let location = format!("http://{host}/file?Signature=canary-link{n}");
        testing::json(
            200,
            &json!({ "id": "job_1", "type": "users_export", "status": "completed", "location": location }),
        )
    })
    .await
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn a_token_is_asked_for_once_and_tells_its_scopes() {
    let server = Server::start(|request, _| match request.path.as_str() {
        "/oauth/token" => testing::json(
            200,
            &json!({ "access_token": "canary-token", "expires_in": 86400, "scope": "read:users read:connections" }),
        ),
        _ => testing::json(200, &json!({ "start": 0, "limit": 1, "length": 1, "users": [], "total": 42 })),
    })
    .await;
    let client = client(&server.url, machine());
    assert_eq!(client.count_users(None).await.unwrap(), 42);
    assert_eq!(client.count_users(Some("a\"b")).await.unwrap(), 42);
    let scopes = client.scopes().await.unwrap().unwrap();
    assert!(scopes.contains("read:users") && scopes.len() == 2);
    let seen = server.seen();
    assert_eq!(seen.len(), 3);
    assert!(seen[0].body.contains("grant_type=client_credentials&client_id=id&client_secret=canary-secret"));
    assert!(seen[0].body.ends_with("%2Fapi%2Fv2%2F"), "{}", seen[0].body);
    assert_eq!(seen[1].header("authorization"), Some("Bearer canary-token"));
    assert!(!format!("{client:?}").contains("canary"));
}

#[tokio::test]
async fn what_the_token_endpoint_refuses() {
    let oauth = |status, error: &str| {
        let body = json!({ "error": error, "error_description": "words" });
        move |_: &Request, _: usize| testing::json(status, &body)
    };
    for (status, error, hint) in [
        (401, "access_denied", "AUTH0_CLIENT_SECRET"),
        (403, "access_denied", "authorize the application"),
        (403, "unauthorized_client", "Machine to Machine"),
    ] {
        let server = Server::start(oauth(status, error)).await;
        let text = client(&server.url, machine()).count_users(None).await.unwrap_err().into_error("x");
        assert_eq!(text.kind(), Kind::Check);
        assert!(text.render().contains(hint) && !text.render().contains("canary"), "{text:?}");
    }
}

#[tokio::test]
async fn lists_connections_by_checkpoint_to_the_end() {
    // Full, short, empty, and the last one.
    const PAGES: [std::ops::Range<u32>; 4] = [0..100, 100..103, 103..103, 103..104];
    let (server, client) = server(|_, n| {
        let page: Vec<Value> = PAGES[n]
            .clone()
            .map(|n| json!({ "id": format!("con_{n}"), "name": format!("c{n}"), "strategy": "auth0" }))
            .collect();
        let mut body = json!({ "connections": page });
        if n < 3 {
            body["next"] = format!("MjAyMy0w/{n}==").into();
        }
        testing::json(200, &body)
    })
    .await;
    let all = connections::list(&client).await.unwrap();
    assert_eq!((all.len(), all[103].id.as_str(), server.seen().len()), (104, "con_103", 4));
    let paths: Vec<String> = server.seen().into_iter().map(|request| request.path).collect();
    assert!(paths[0].contains("take=100&fields=id%2Cname%2Cstrategy%2Coptions"), "{paths:?}");
    assert!(paths[3].contains("from=MjAyMy0w%2F2%3D%3D"), "{paths:?}");
    assert!(paths.iter().all(|path| !path.contains("page=")), "{paths:?}");
}

#[tokio::test]
async fn roles_are_read_to_the_end_whatever_a_page_holds() {
    // 100 are asked for, and 30 given.
    let (server, client) = server(|request, _| {
        let url = Url::parse(&format!("http://x{}", request.path)).unwrap();
        let number = |name| url.query_pairs().find(|(key, _)| key == name).unwrap().1.parse::<u64>().unwrap();
        let limit = number("per_page").min(30);
        let start = number("page") * limit;
        let roles: Vec<Value> =
            (start..95.min(start + limit)).map(|n| json!({ "id": format!("rol_{n}"), "name": "r" })).collect();
        testing::json(200, &json!({ "roles": roles, "start": start, "limit": limit, "total": 95 }))
    })
    .await;
    let (mut all, mut next) = (Vec::new(), None::<String>);
    loop {
        let page = structure::roles(&client, next.as_deref()).await.unwrap();
        all.extend(page.items.into_iter().map(|role| role.id));
        next = page.next;
        if next.is_none() {
            break;
        }
    }
    assert_eq!(all, (0..95).map(|n| format!("rol_{n}")).collect::<Vec<_>>());
    assert_eq!(server.seen().len(), 4);
}

#[tokio::test]
async fn what_a_403_asks_for_is_told_by_its_code() {
    for (code, wanted) in [
        (Some("insufficient_scope"), "the missing scope"),
        (Some("operation_not_supported"), "no scope changes this"),
        (Some("feature_not_enabled"), "no scope changes this"),
        (Some("insufficient_entitlement"), "no scope changes this"),
        (None, "Auth0's own words"),
    ] {
        // The words say nothing of the kind, or the contrary.
        let mut body = json!({ "statusCode": 403, "error": "Forbidden", "message": "Insufficient scope, pay" });
        if let Some(code) = code {
            body["errorCode"] = code.into();
        }
        let (_server, client) = server(move |_, _| testing::json(403, &body)).await;
        let error = client.count_users(None).await.unwrap_err().into_error("could not count");
        assert!(error.hints()[0].contains(wanted), "{code:?}: {error:?}");
        assert!(error.render().contains("Insufficient scope, pay"), "{error:?}");
    }
}

#[tokio::test]
async fn polls_until_there_is_a_link() {
    let (server, client) = server(|request, n| {
        let body = match n {
            0 => json!({ "id": "job_1", "type": "users_export", "status": "pending", "connection": "db" }),
            1 => json!({ "id": "job_1", "status": "a new word", "time_left_seconds": 0 }),
            2 => json!({ "id": "job_1", "status": "completed" }),
            _ => json!({ "id": "job_1", "status": "completed", "location": "https://x.example/?Signature=canary" }),
        };
        assert_eq!(request.method, if n == 0 { "POST" } else { "GET" });
        testing::json(200, &body)
    })
    .await;
    let job = export::start(&client, Some("con_1")).await.unwrap();
    assert_eq!((job.id.as_str(), job.connection.as_deref()), ("job_1", Some("db")));
    let job = export::wait(&client, &job.id, Duration::from_mins(1)).await.unwrap();
    assert!(job.location().is_some() && !format!("{job:?}").contains("canary"));
    let seen = server.seen();
    assert_eq!((seen.len(), seen[3].path.as_str()), (4, "/api/v2/jobs/job_1"));
    let body: Value = serde_json::from_str(&seen[0].body).unwrap();
    assert_eq!((&body["format"], &body["connection_id"]), (&json!("json"), &json!("con_1")));
}

#[tokio::test]
async fn how_a_job_ends_badly() {
    let (_failing, client) = server(|request, _| match request.path.as_str() {
        "/api/v2/jobs/job_1" => testing::json(200, &json!({ "id": "job_1", "status": "failed" })),
        _ => testing::json(200, &json!({ "id": "job_1", "status": "failed", "status_details": "the reason\u{1b}" })),
    })
    .await;
    let error = export::wait(&client, "job_1", Duration::from_mins(1)).await.unwrap_err();
    assert_eq!(error.kind(), Kind::GaveUp);
    assert!(error.render().contains("the reason\\u{1b}"), "{error:?}");

    let (_gone, client) =
        server(|_, _| testing::json(404, &json!({ "statusCode": 404, "message": "Job not found." }))).await;
    let error = export::wait(&client, "job_1", Duration::from_mins(1)).await.unwrap_err();
    assert!(error.render().contains("24 hours"), "{error:?}");

    let (_slow, client) = server(|_, _| testing::json(200, &json!({ "id": "job_1", "status": "pending" }))).await;
    let error = export::wait(&client, "job_1", Duration::ZERO).await.unwrap_err();
    assert!(error.render().contains("`pending`"), "{error:?}");
}

#[tokio::test]
async fn a_cut_file_is_fetched_again_with_a_fresh_link_and_without_the_token() {
    let text = b"{\"user_id\":\"auth0|1\"}\n".repeat(1000);
    let whole = [gzip(&text[..5000]), gzip(&text[5000..])].concat();
    let file = whole.clone();
    let (server, client) = finished(move |n| match n {
        // Cut in a way that HTTP does not notice.
        0 => reply(200, "", &file[..file.len() - 9]),
        1 => reply(403, "", "<Error>expired</Error>"),
        2 => reply(302, "location: /file/moved\r\n", ""),
        _ => reply(200, "content-encoding: gzip\r\n", &file),
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join("export.ndjson.gz");
    let done = download::fetch(&client, &quick(), "job_1", &to, Duration::from_mins(1)).await.unwrap();
    assert_eq!(done.bytes, whole.len() as u64);
    assert_eq!(std::fs::read(&to).unwrap(), whole);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "no part file is left");
    let (files, calls): (Vec<_>, Vec<_>) = server.seen().into_iter().partition(|r| r.path.starts_with("/file"));
    assert!(files.iter().all(|request| request.header("authorization").is_none()));
    assert!(calls.iter().all(|request| request.header("authorization").is_some()));
    let mut links: Vec<&str> =
        files.iter().map(|request| request.path.as_str()).filter(|path| path.contains("canary")).collect();
    links.dedup();
    assert_eq!((links.len(), calls.len()), (3, 3), "a link for every attempt");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(std::fs::metadata(&to).unwrap().permissions().mode() & 0o777, 0o600);
    }
}

#[tokio::test]
async fn a_file_that_never_comes_whole_ends_and_shows_no_link() {
    for bad in [reply(200, "", ""), reply(200, "", "<html>"), reply(500, "", "x"), Vec::new()] {
        let (_server, client) = finished(move |_| bad.clone()).await;
        let folder = tempfile::tempdir().unwrap();
        let to = folder.path().join("export.ndjson.gz");
        let error = download::fetch(&client, &quick(), "job_1", &to, Duration::from_mins(1)).await.unwrap_err();
        assert_eq!(error.kind(), Kind::GaveUp);
        assert!(!error.render().contains("canary") && !error.render().contains("/file"), "{error:?}");
        assert!(!to.exists());
    }
}

#[tokio::test]
async fn a_link_that_is_not_https_is_not_followed() {
    let (_server, client) = server(|_, _| {
        let location = "http://files.example/x?Signature=canary";
        testing::json(200, &json!({ "id": "job_1", "status": "completed", "location": location }))
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join("export.ndjson.gz");
    let error = download::fetch(&client, &quick(), "job_1", &to, Duration::from_mins(1)).await.unwrap_err();
    assert!(error.render().contains("not https") && !error.render().contains("canary"), "{error:?}");
}

/// Answers that no vendor should give, with a name.
fn odd_answers() -> Vec<(&'static str, Vec<u8>)> {
    let ok = |body: &str| reply(200, "content-type: application/json\r\n", body);
    vec![
        ("HTML", reply(200, "content-type: text/html\r\n", "<html><script>alert(1)</script>")),
        ("nothing", reply(200, "", "")),
        ("204", reply(204, "", "")),
        ("an error under 200", ok(r#"{"statusCode":403,"error":"Forbidden","message":"\u001b[31mno"}"#)),
        ("an array", ok("[1,2]")),
        ("a text", ok("\"\\ud800\"")),
        ("a number out of range", ok(r#"{"id":"job_1","status":"completed","percentage_done":1e400,"total":-1}"#)),
        ("deep", ok(&"[".repeat(100_000))),
        ("deep objects", ok(&"{\"a\":".repeat(100_000))),
        (
            "an error with escapes",
            reply(400, "", r#"{"statusCode":400,"error":"x","message":"\u001b]0;x\u0007\u202e\nHint: curl evil"}"#),
        ),
        (
            "a huge error",
            reply(
                400,
                "",
                format!(r#"{{"error":"{0}","error_description":"{0}","errorCode":"{0}"}}"#, "x".repeat(1 << 20)),
            ),
        ),
        ("headers without end", reply(200, &"x-a: b\r\n".repeat(20_000), "{}")),
        ("a long header", reply(200, &format!("x-a: {}\r\n", "b".repeat(4 << 20)), "{}")),
        ("no HTTP", b"SSH-2.0-OpenSSH\r\n".to_vec()),
        ("a redirect elsewhere", reply(307, "location: http://127.0.0.1:1/?token=canary\r\n", "")),
        ("a body that is longer than it says", b"HTTP/1.1 200 X\r\ncontent-length: 1\r\n\r\n{}{}{}".to_vec()),
        ("a body that is shorter than it says", b"HTTP/1.1 200 X\r\ncontent-length: 100\r\n\r\n{}".to_vec()),
        ("two lengths", b"HTTP/1.1 200 X\r\ncontent-length: 2\r\ncontent-length: 4\r\n\r\n{}{}".to_vec()),
    ]
}

#[tokio::test]
async fn every_call_survives_every_odd_answer() {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in odd_answers() {
        let (_server, client) = server(move |_, _| bytes.clone()).await;
        let errors = [
            client.count_users(None).await.map(drop).map_err(|e| e.into_error("x")).err(),
            connections::list(&client).await.map(drop).map_err(|e| e.into_error("x")).err(),
            export::start(&client, None).await.map(drop).err(),
            export::read(&client, "job_1").await.map(drop).err(),
            export::is_of_use(&client, "job_1").await.map(drop).err(),
            download::fetch(&client, &quick(), "job_1", &folder.path().join("e"), Duration::ZERO).await.map(drop).err(),
        ];
        assert!(errors.iter().filter(|error| error.is_some()).count() >= 5, "{name}: {errors:?}");
        for text in errors.into_iter().flatten().map(|error| error.render()) {
            assert!(text.len() < 4_000, "{name}: {} bytes", text.len());
            assert!(
                !text.contains(|c: char| (c.is_control() && c != '\n') || crate::error::is_deceptive(c)),
                "{name}: {text}"
            );
            assert!(!text.contains("canary") && !text.contains("\nHint: curl"), "{name}: {text}");
        }
    }
}

#[tokio::test]
async fn a_token_for_ever_and_a_list_without_end() {
    let server = Server::start(|request, _| match request.path.as_str() {
        "/oauth/token" => testing::json(200, &json!({ "access_token": "canary-token", "expires_in": u64::MAX })),
        _ => testing::json(
            200,
            &json!({ "connections": [{ "id": "con_1", "name": "db", "strategy": "auth0" }], "next": "again" }),
        ),
    })
    .await;
    let client = client(&server.url, machine());
    let error = connections::list(&client).await.unwrap_err().into_error("could not list");
    assert!(error.render().contains("does not move on"), "{error:?}");
}

#[tokio::test]
async fn the_export_is_fetched_from_nowhere_else_with_the_token() {
    let folder = tempfile::tempdir().unwrap();
    // Links, and the kind of error where it is known at once.
    for (link, at_once) in [
        ("http://files.example.com/x?Signature=canary", true),
        ("http://10.0.0.1/x?Signature=canary", true),
        ("ftp://127.0.0.1/x?Signature=canary", true),
        ("file:///etc/passwd", true),
        ("data:text/plain,canary", true),
        ("/relative?Signature=canary", true),
        ("", true),
        ("SELF/loop?Signature=canary", false),
        ("SELF/to-http?Signature=canary", false),
        ("SELF/to-file?Signature=canary", false),
        ("SELF/html?Signature=canary", false),
    ] {
        let (server, client) = server(move |request, _| {
            let host = request.header("host").unwrap_or_default();
            match request.path.split('?').next().unwrap() {
                "/loop" => reply(302, "location: /loop?Signature=canary\r\n", ""),
                "/to-http" => reply(302, "location: http://files.example.com/?Signature=canary\r\n", ""),
                "/to-file" => reply(302, "location: file:///etc/passwd\r\n", ""),
                "/html" => reply(200, "", "<html>expired</html>"),
                _ => testing::json(200, &json!({
                    "id": "job_1", "status": "completed", "location": link.replace("SELF", &format!("http://{host}"))
                })),
            }
        })
        .await;
        let to = folder.path().join("export");
        let error = download::fetch(&client, &quick(), "job_1", &to, Duration::from_secs(5)).await.unwrap_err();
        assert_eq!(error.kind(), Kind::GaveUp, "{link}");
        assert!(!error.render().contains("canary") && !error.hints().is_empty(), "{link}: {error:?}");
        assert!(!to.exists(), "{link}");
        let seen = server.seen();
        let (api, files): (Vec<_>, Vec<_>) = seen.iter().partition(|request| request.path.starts_with("/api/"));
        assert_eq!(api.len() == 1, at_once, "{link}");
        for request in files {
            assert!(!request.headers.to_lowercase().contains("authorization"), "{link}: {}", request.headers);
            assert!(!request.headers.contains("canary-token"), "{link}");
        }
    }
}
