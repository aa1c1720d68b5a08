//! The calls, against a server that plays Auth0.

use std::{io::Write as _, time::Duration};

use secrecy::SecretString;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use url::Url;

use super::{client::Client, connections, download, export};
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
async fn lists_connections_over_pages() {
    let (server, client) = server(|_, n| {
        let numbers = if n == 0 { 0..100 } else { 100..101 };
        let page: Vec<Value> = numbers
            .map(|n| json!({ "id": format!("con_{n}"), "name": format!("c{n}"), "strategy": "auth0" }))
            .collect();
        testing::json(200, &json!({ "start": n * 100, "limit": 100, "total": 101, "connections": page }))
    })
    .await;
    let all = connections::list(&client).await.unwrap();
    assert_eq!((all.len(), all[100].id.as_str(), server.seen().len()), (101, "con_100", 2));
    assert!(server.seen()[1].path.contains("page=1&per_page=100"));
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
