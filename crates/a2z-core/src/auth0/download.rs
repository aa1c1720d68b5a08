//! The export's file: a fresh link for every attempt, a client that knows no token, and a file that is whole or not there.

use std::{
    fs::{self, File, OpenOptions},
    io::{Read, Write as _},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use flate2::read::MultiGzDecoder;
use secrecy::ExposeSecret as _;
use sha2::{Digest as _, Sha256};
use url::Url;

use super::{client::Client, export};
use crate::{
    error::{Error, Result},
    event::{Event, Running, Stage},
    http::client::{build, innermost, is_secure},
    http::settings::Http,
    state::{cannot, private_file},
    text::hex,
};

/// How often the file is fetched before the run gives up.
const ATTEMPTS: u32 = 6;
/// Redirects that are followed.
const REDIRECTS: usize = 5;
/// The longest silence.
const SILENCE: Duration = Duration::from_mins(1);
/// The least that must come in a time: a file that comes slower does not end.
const TRICKLE: (Duration, u64) = (Duration::from_mins(5), 64 << 10);

/// A file that is here whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Downloaded {
    /// Its size.
    pub bytes: u64,
    /// SHA-256, hex.
    pub sha256: String,
}

/// Why an attempt failed.
enum Missed {
    /// Another attempt may fare better.
    Again(String),
    /// It will not.
    For(Error),
}

/// Fetches the file of a completed job to `to`, as often as it takes.
///
/// # Errors
/// When the job is forgotten, the disk is full, or every attempt fails.
pub async fn fetch(client: &Client, http: &Http, job_id: &str, to: &Path, deadline: Duration) -> Result<Downloaded> {
    // Plain http only from a tenant that is itself asked so: the sandbox on this machine.
    let local = client.base().scheme() == "http";
    let plain = downloader(http, local)?;
    let part = part(to);
    let stage = client.events().start(Stage::Download, None);
    for attempt in 1.. {
        // The link lives 60 s: every attempt asks for its own.
        let job = export::wait(client, job_id, deadline).await?;
        let missed = match client.unless_stopped(attempt_once(&plain, local, &job, &part, &stage)).await? {
            Ok(downloaded) => {
                fs::rename(&part, to).map_err(|error| cannot(to, "write", &error))?;
                stage.finish(downloaded.bytes);
                return Ok(downloaded);
            }
            Err(Missed::For(error)) => return Err(error),
            Err(Missed::Again(reason)) => reason,
        };
        if attempt >= ATTEMPTS {
            return Err(Error::gave_up(format!(
                "could not download the export of job `{job_id}` in {ATTEMPTS} attempts"
            ))
            .because(missed)
            .hint("run the same command again to go on; the file is kept at Auth0 for 24 hours"));
        }
        let wait = http.first_wait * 2_u32.pow(attempt.min(5) - 1);
        client.events().emit(&Event::Retry {
            vendor: "Auth0",
            what: "download the export".into(),
            attempt,
            wait_ms: u64::try_from(wait.as_millis()).unwrap_or(u64::MAX),
            reason: missed,
        });
        client.unless_stopped(tokio::time::sleep(wait)).await?;
    }
    Err(Error::internal("the download loop ended"))
}

/// A client without any header of ours: the bearer token must not reach the download host. Content-Encoding is not
/// undone: what is stored is what was sent.
fn downloader(http: &Http, local: bool) -> Result<reqwest::Client> {
    let redirects = || {
        reqwest::redirect::Policy::custom(move |attempt| {
            if attempt.previous().len() > REDIRECTS || !may_follow(attempt.url(), local) {
                attempt.stop()
            } else {
                attempt.follow()
            }
        })
    };
    build(http, |builder| {
        builder
            .redirect(redirects())
            .referer(false)
            .no_gzip()
            .connect_timeout(http.connect_timeout)
            .read_timeout(SILENCE)
    })
}

/// Https, or this machine from this machine.
fn may_follow(url: &Url, local: bool) -> bool {
    url.scheme() == "https" || (local && is_secure(url))
}

fn part(to: &Path) -> PathBuf {
    let mut name = to.as_os_str().to_owned();
    name.push(".part");
    PathBuf::from(name)
}

async fn attempt_once(
    client: &reqwest::Client,
    local: bool,
    job: &export::Job,
    part: &Path,
    stage: &Running,
) -> Result<Downloaded, Missed> {
    let link = job.location().ok_or_else(|| Missed::Again("the job has no link yet".into()))?;
    let url = Url::parse(link.expose_secret()).map_err(|_| {
        Missed::For(Error::gave_up("Auth0's download link is no URL").hint("run the same command again"))
    })?;
    if !may_follow(&url, local) {
        return Err(Missed::For(
            Error::gave_up("Auth0's download link is not https").hint("nothing was sent there; ask Auth0's support"),
        ));
    }
    let again = |error: reqwest::Error| Missed::Again(innermost(&error));
    let mut response = client.get(url).send().await.map_err(again)?;
    let status = response.status().as_u16();
    if status != 200 {
        return Err(Missed::Again(format!("HTTP {status}")));
    }
    let total = response.content_length();
    let disk = |error: std::io::Error| Missed::For(cannot(part, "write", &error));
    let mut file = private_file(OpenOptions::new().create(true).write(true).truncate(true), part).map_err(disk)?;
    let (mut bytes, mut digest) = (0_u64, Sha256::new());
    let mut since = (Instant::now(), 0);
    while let Some(chunk) = response.chunk().await.map_err(again)? {
        if since.0.elapsed() > TRICKLE.0 {
            if bytes - since.1 < TRICKLE.1 {
                return Err(Missed::Again(format!("less than {} bytes in {:?}", TRICKLE.1, TRICKLE.0)));
            }
            since = (Instant::now(), bytes);
        }
        file.write_all(&chunk).map_err(disk)?;
        digest.update(&chunk);
        bytes += chunk.len() as u64;
        stage.advanced(bytes, total);
    }
    if total.is_some_and(|total| total != bytes) {
        return Err(Missed::Again(format!("{bytes} bytes came of {}", total.unwrap_or_default())));
    }
    file.sync_all().map_err(disk)?;
    drop(file);
    let path = part.to_owned();
    let whole = tokio::task::spawn_blocking(move || check_whole(&path)).await;
    whole.map_err(|_| Missed::For(Error::internal("the check of the export ended early")))??;
    Ok(Downloaded { bytes, sha256: hex(&digest.finalize()) })
}

/// Every row of an export begins with its `user_id`, or has it soon after.
fn is_export(file: File) -> std::io::Result<Result<(), Missed>> {
    const START: u64 = 1 << 20;
    let mut start = Vec::new();
    file.take(START).read_to_end(&mut start)?;
    let key = br#""user_id""#;
    let found = start.windows(key.len()).any(|part| part == key);
    Ok(if found { Ok(()) } else { Err(Missed::Again("what came is JSON and no export".into())) })
}

/// A truncated file is an error and fetched again, never "the end": a gzip file is read to its last checksum.
fn check_whole(path: &Path) -> Result<(), Missed> {
    let read = |error: std::io::Error| Missed::For(cannot(path, "read", &error));
    let mut magic = [0; 2];
    let mut file = File::open(path).map_err(read)?;
    let start = file.read(&mut magic).map_err(read)?;
    match (start, magic) {
        (2, [0x1f, 0x8b]) => {}
        (0, _) => return Err(Missed::Again("an empty file".into())),
        // Some proxies unpack on the way, and some say what went wrong under status 200.
        (_, [b'{' | b'[' | b'\n' | b'\r' | b' ' | 0xef, _]) => return is_export(file).map_err(read)?,
        _ => return Err(Missed::Again("what came is neither gzip nor JSON".into())),
    }
    let file = File::open(path).map_err(read)?;
    let mut decoder = MultiGzDecoder::new(std::io::BufReader::with_capacity(1 << 18, file));
    let mut buffer = vec![0; 1 << 18];
    loop {
        match decoder.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            Err(error) => return Err(Missed::Again(format!("the file is damaged or cut off: {error}"))),
        }
    }
}
