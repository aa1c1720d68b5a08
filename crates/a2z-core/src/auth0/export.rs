//! Auth0's bulk users-export job: start, poll, and what its end means.

use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::{Value, json};

use super::client::{Client, Failure, shown};
use crate::{
    error::{Error, Kind, Result},
    event::Event,
};

/// What the mapping reads; Auth0 allows 30 fields for CSV, and no limit is known for JSON.
pub const FIELDS: &[&str] = &[
    "user_id",
    "email",
    "email_verified",
    "phone_number",
    "phone_verified",
    "username",
    "name",
    "given_name",
    "family_name",
    "nickname",
    "picture",
    "locale",
    "identities",
    "created_at",
    "updated_at",
    "last_login",
    "last_password_reset",
    "logins_count",
    "blocked",
    "user_metadata",
    "app_metadata",
    "multifactor",
];

/// The first wait between two polls, where the job says nothing.
const FIRST_POLL: Duration = Duration::from_millis(500);
/// The longest.
const LONGEST_POLL: Duration = Duration::from_secs(15);

/// A job, as Auth0 tells it.
#[derive(Debug, Clone, Deserialize)]
pub struct Job {
    /// `job_…`.
    pub id: String,
    /// `pending`, `processing`, `completed`, `failed`; others count as still running.
    pub status: String,
    /// The connection, where the job is for one.
    #[serde(default)]
    pub connection: Option<String>,
    /// Per cent.
    #[serde(default)]
    pub percentage_done: Option<u64>,
    /// An estimate.
    #[serde(default)]
    pub time_left_seconds: Option<u64>,
    /// A signed link, valid for 60 s. Never shown.
    #[serde(default)]
    location: Option<secrecy::SecretString>,
    /// Words about a failure.
    #[serde(default)]
    pub status_details: Option<String>,
}

impl Job {
    /// The signed link.
    #[must_use]
    pub fn location(&self) -> Option<&secrecy::SecretString> {
        self.location.as_ref()
    }
}

/// The body that starts a job. `format` is always said: without it Auth0 makes CSV, which cannot carry metadata.
#[must_use]
pub fn request(connection_id: Option<&str>) -> Value {
    let fields: Vec<Value> = FIELDS.iter().map(|name| json!({ "name": name })).collect();
    match connection_id {
        Some(id) => json!({ "connection_id": id, "format": "json", "fields": fields }),
        None => json!({ "format": "json", "fields": fields }),
    }
}

/// Starts a job; without a connection it exports the whole tenant. A job whose answer is lost is started again: the first
/// one then ends by itself after 24 h.
///
/// # Errors
/// When Auth0 refuses.
pub async fn start(client: &Client, connection_id: Option<&str>) -> Result<Job> {
    client
        .post("start the export", "jobs/users-exports", &request(connection_id))
        .await
        .map_err(|failure: Failure| failure.into_error("could not start the users-export job"))
}

/// The job as it is now. Each call brings a fresh link.
///
/// # Errors
/// When Auth0 refuses, or no longer knows the job.
pub async fn read(client: &Client, job_id: &str) -> Result<Job> {
    let job = client.get("read the job", &format!("jobs/{}", escape(job_id)), &[]).await;
    job.map_err(|failure: Failure| match failure.status() {
        Some(404) => Error::new(Kind::Check, format!("Auth0 does not know the job `{job_id}` (any more)"))
            .because("a job and its file are deleted after 24 hours")
            .hint("run again without `--job`: a new export is started"),
        Some(400) => Error::usage(format!("`{job_id}` is no job id"))
            .hint("job ids look like `job_` and 16 letters or digits; a2z prints them when it starts one"),
        _ => failure.into_error(&format!("could not read the job `{job_id}`")),
    })
}

/// Is there still something to be had from this job? Auth0 deletes a job and its file after 24 hours.
///
/// # Errors
/// When Auth0 cannot be asked.
pub async fn is_of_use(client: &Client, job_id: &str) -> Result<bool> {
    match client.get::<Job>("read the job", &format!("jobs/{}", escape(job_id)), &[]).await {
        Ok(job) => Ok(job.status != "failed"),
        Err(failure) if failure.status() == Some(404) => Ok(false),
        Err(failure) => Err(failure.into_error(&format!("could not read the job `{job_id}`"))),
    }
}

/// Polls until the job is complete and has a link.
///
/// # Errors
/// When the job fails, is forgotten, or takes longer than `deadline`.
pub async fn wait(client: &Client, job_id: &str, deadline: Duration) -> Result<Job> {
    let began = Instant::now();
    let mut pause = FIRST_POLL;
    loop {
        let job = read(client, job_id).await?;
        client.events().emit(&Event::ExportJob {
            job_id: shown(&job.id),
            connection: job.connection.as_deref().map(shown),
            status: shown(&job.status),
            percentage_done: job.percentage_done,
            time_left_seconds: job.time_left_seconds,
        });
        match job.status.as_str() {
            // For an instant a job may be complete without its link.
            "completed" if job.location.is_some() => return Ok(job),
            "failed" => return Err(failed(client, &job).await),
            _ => {}
        }
        if began.elapsed() >= deadline {
            return Err(Error::gave_up(format!("the export job `{job_id}` is not done after {deadline:?}"))
                .because(format!("its status is `{}`", shown(&job.status)))
                .hint("run the same command again to go on waiting, or raise `auth0.job_deadline`"));
        }
        let hinted = job.time_left_seconds.map_or(pause, Duration::from_secs);
        client.unless_stopped(tokio::time::sleep(hinted.clamp(FIRST_POLL, LONGEST_POLL))).await?;
        pause = (pause * 3 / 2).min(LONGEST_POLL);
    }
}

async fn failed(client: &Client, job: &Job) -> Error {
    let error = Error::gave_up(format!("the export job `{}` failed", shown(&job.id)))
        .hint("run again to start another job; if that fails too, ask Auth0's support");
    let details = match &job.status_details {
        Some(details) => Some(details.clone()),
        // For a job that failed as a whole, an object like the job itself.
        None => client
            .get::<Value>("read the job's errors", &format!("jobs/{}/errors", escape(&job.id)), &[])
            .await
            .ok()
            .and_then(|value| value.get("status_details").and_then(Value::as_str).map(str::to_owned)),
    };
    match details {
        Some(details) => error.because(shown(&details)),
        None => error,
    }
}

/// A job id in a path: it comes from the operator.
fn escape(id: &str) -> String {
    url::form_urlencoded::byte_serialize(id.as_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_request_stays_within_auth0s_limits() {
        let body = request(Some("con_0123456789abcdef"));
        assert!(FIELDS.len() <= 30);
        assert_eq!(body["format"], "json");
        assert_eq!(body["fields"][0], json!({ "name": "user_id" }));
        assert!(request(None).get("connection_id").is_none());
    }

    #[test]
    fn the_link_is_never_shown() {
        let job: Job = serde_json::from_value(
            json!({ "id": "job_1", "status": "completed", "location": "https://x/?Signature=CANARY" }),
        )
        .unwrap();
        assert!(!format!("{job:?}").contains("CANARY"));
    }
}
