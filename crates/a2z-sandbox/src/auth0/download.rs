//! The download's host: signed links as `CloudFront` makes them, which take no bearer token.

use std::{io, sync::atomic::Ordering, time::Duration};

use axum::{
    body::Body,
    http::{Method, Response as HttpResponse, StatusCode, header},
    response::{IntoResponse, Response},
};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio_util::io::ReaderStream;

use super::{Call, Shared, now};

/// Bytes that are sent at once.
const PIECE: usize = 64 * 1024;

impl Shared {
    /// A fresh link to the file of a job.
    pub(super) fn link(&self, job: &str, format: &str) -> String {
        let lifetime = i64::try_from(self.options.download.lifetime.as_secs()).unwrap_or(i64::MAX);
        let path = format!("/{job}/made-up.{format}.gz");
        let expires = now().saturating_add(lifetime);
        let signature = self.signature(&path, expires);
        format!("{}{path}?Expires={expires}&Key-Pair-Id=APKASANDBOX&Signature={signature}", self.download_url())
    }

    /// `CloudFront`'s alphabet: Base64 with `-`, `_` and `~` for `+`, `=` and `/`.
    fn signature(&self, path: &str, expires: i64) -> String {
        let digest = Sha256::digest(format!("{}{path}{expires}", self.client_secret));
        // Half of it in hexadecimal is enough, and the special letters must come through untouched.
        let (head, _) = digest.split_at(16);
        let number = head.iter().fold(0_u128, |number, byte| (number << 8) | u128::from(*byte));
        format!("{number:032x}~-__")
    }
}

fn refused(status: StatusCode, code: &str, message: &str) -> Response {
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code><Message>{message}</Message></Error>"
    );
    (status, [(header::CONTENT_TYPE, "application/xml")], body).into_response()
}

pub(super) async fn answer(shared: &Shared, call: &Call) -> Response {
    let options = shared.options.download;
    if call.headers.contains_key(header::AUTHORIZATION) {
        let message = "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature query \
                       string parameter or the Authorization header should be specified";
        return refused(StatusCode::BAD_REQUEST, "InvalidArgument", message);
    }
    let (path, moved) = match call.path.split('?').next().unwrap_or_default().strip_prefix("/moved") {
        Some(path) => (path, true),
        None => (call.path.split('?').next().unwrap_or_default(), false),
    };
    let expires = call.query.get("Expires").and_then(|text| text.parse::<i64>().ok());
    let signed = expires.map(|expires| shared.signature(path, expires));
    let (Some(expires), true) = (expires, signed.as_deref() == call.query.get("Signature")) else {
        return refused(StatusCode::FORBIDDEN, "AccessDenied", "Access denied");
    };
    if now() >= expires {
        return refused(StatusCode::FORBIDDEN, "AccessDenied", "Request has expired");
    }
    let file = path.split('/').nth(1).and_then(|job| shared.job_file(job));
    let Some(path) = file.as_ref().and_then(|file| file.get()?.as_deref()).filter(|_| call.method == Method::GET)
    else {
        return refused(StatusCode::NOT_FOUND, "NoSuchKey", "The specified key does not exist.");
    };
    if options.redirect && !moved {
        let location = format!("{}/moved{}", shared.download_url(), call.path);
        return (StatusCode::FOUND, [(header::LOCATION, location)]).into_response();
    }
    let opened = async {
        let file = tokio::fs::File::open(path).await?;
        let length = file.metadata().await?.len();
        Ok::<_, io::Error>((file, length))
    };
    let Ok((file, length)) = opened.await else {
        return refused(StatusCode::INTERNAL_SERVER_ERROR, "InternalError", "We encountered an internal error.");
    };
    let begun = shared.begun.fetch_add(1, Ordering::Relaxed);
    let dropped = begun < options.dropped;
    // A truncated file says of itself that it is whole; one that breaks off does not.
    let truncated = !dropped && begun < options.dropped.saturating_add(options.truncated);
    let sent = if dropped || truncated { length / 2 } else { length };
    let announced = if truncated { sent } else { length };
    let (reader, writer) = duplex(PIECE);
    tokio::spawn(async move {
        // Fails when the client goes away: nobody is there to hear it.
        let _ = send(file, writer, sent, options.pause).await;
    });
    let mut response = HttpResponse::builder()
        .header(header::CONTENT_TYPE, "application/octet-stream")
        .header(header::CONTENT_LENGTH, announced);
    if options.content_encoding {
        response = response.header(header::CONTENT_ENCODING, "gzip");
    }
    response.body(Body::from_stream(ReaderStream::new(reader))).unwrap_or_default()
}

async fn send(
    mut file: tokio::fs::File,
    mut to: DuplexStream,
    mut left: u64,
    pause: Option<Duration>,
) -> io::Result<()> {
    let mut piece = vec![0; PIECE];
    while left > 0 {
        if let Some(pause) = pause {
            tokio::time::sleep(pause).await;
        }
        let most = usize::try_from(left).unwrap_or(PIECE).min(PIECE);
        let read = file.read(&mut piece[..most]).await?;
        if read == 0 {
            break;
        }
        to.write_all(&piece[..read]).await?;
        left -= read as u64;
    }
    to.shutdown().await
}
