//! The export job.

use std::{
    sync::{Arc, OnceLock},
    time::Instant,
};

use serde_json::{Map, Value, json};
use tempfile::TempPath;

use super::{
    Call, Shared, any_id, export,
    export::Selection,
    lock, now,
    reply::{Answer, Failure},
};

/// A job, as the tenant keeps it.
pub(super) struct Job {
    /// What the answer to its creation said.
    body: Map<String, Value>,
    begun: Instant,
    /// Questions so far.
    asked: u32,
    format: &'static str,
    /// The file, when it is ready; `None` in it when it could not be written.
    file: Arc<OnceLock<Option<TempPath>>>,
}

impl Shared {
    /// The file of a job, where it is ready.
    pub(super) fn job_file(&self, id: &str) -> Option<Arc<OnceLock<Option<TempPath>>>> {
        lock(&self.jobs).get(id).map(|job| Arc::clone(&job.file))
    }
}

fn invalid(message: &str) -> Failure {
    Failure::bad_request(format!("Payload validation error: '{message}'"), "invalid_body")
}

/// `POST /jobs/users-exports`.
pub(super) fn create(shared: &Arc<Shared>, call: &Call) -> Answer {
    if call.unreadable {
        return Err(invalid("Invalid JSON in the request body"));
    }
    let empty = json!({});
    let Some(body) = call.body.as_ref().unwrap_or(&empty).as_object() else {
        return Err(invalid("Expected type object"));
    };
    if let Some(key) = body.keys().find(|key| !["connection_id", "format", "limit", "fields"].contains(&key.as_str())) {
        return Err(invalid(&format!("Additional properties not allowed: {key}")));
    }
    let connection = connection(shared, body.get("connection_id"))?;
    let format = match body.get("format").map(Value::as_str) {
        // Recorded: without `format` the answer is a CSV.
        None | Some(Some("csv")) => "csv",
        Some(Some("json")) => "json",
        Some(_) => return Err(invalid("No enum match for: on property format")),
    };
    let limit = match body.get("limit") {
        None => None,
        // A form has no numbers.
        Some(limit) => match limit.as_u64().or_else(|| limit.as_str().and_then(|text| text.parse().ok())) {
            Some(limit) if limit >= 1 => Some(limit),
            _ => return Err(invalid("Value is less than minimum 1 on property limit")),
        },
    };
    let fields = fields(body.get("fields"))?;
    if format == "csv" && fields.len() > 30 {
        return Err(invalid("CSV exports are limited to 30 fields"));
    }
    let id = format!("job_{}", any_id());
    let mut answer = Map::new();
    answer.insert("type".to_owned(), "users_export".into());
    answer.insert("status".to_owned(), "pending".into());
    if let Some((connection_id, name)) = &connection {
        answer.insert("connection_id".to_owned(), connection_id.clone().into());
        answer.insert("connection".to_owned(), name.clone().into());
    }
    answer.insert("format".to_owned(), format.into());
    if let Some(limit) = limit {
        answer.insert("limit".to_owned(), limit.into());
    }
    if let Some(fields) = body.get("fields") {
        answer.insert("fields".to_owned(), fields.clone());
    }
    answer.insert("created_at".to_owned(), super::super::tenant::date(now(), 325).into());
    answer.insert("id".to_owned(), id.clone().into());

    let file = Arc::new(OnceLock::new());
    let job = Job { body: answer.clone(), begun: Instant::now(), asked: 0, format, file: Arc::clone(&file) };
    lock(&shared.jobs).insert(id, job);
    let selection = Selection { connection: connection.map(|(_, name)| name), limit, fields, csv: format == "csv" };
    let shared = Arc::clone(shared);
    tokio::task::spawn_blocking(move || {
        let made = export::write(&shared.options.tenant, &selection, shared.options.download.members);
        file.get_or_init(|| made.ok());
    });
    Ok(Some(Value::Object(answer).to_string()))
}

fn connection(shared: &Shared, id: Option<&Value>) -> Result<Option<(String, String)>, Failure> {
    let Some(id) = id else { return Ok(None) };
    let good = |id: &&str| {
        let tail = id.strip_prefix("con_").unwrap_or_default();
        tail.len() == 16 && tail.bytes().all(|byte| byte.is_ascii_alphanumeric())
    };
    let Some(id) = id.as_str().filter(good) else {
        let message = "Object didn't pass validation for format connection-id: on property connection_id";
        return Err(invalid(message));
    };
    let found = shared.options.tenant.connections.iter().find(|connection| connection["id"] == id);
    let Some(name) = found.and_then(|connection| connection["name"].as_str()) else {
        return Err(Failure::bad_request("The connection does not exist.", "inexistent_connection"));
    };
    Ok(Some((id.to_owned(), name.to_owned())))
}

/// `(name, title)` of the fields.
fn fields(fields: Option<&Value>) -> Result<Vec<(String, String)>, Failure> {
    let Some(fields) = fields else { return Ok(Vec::new()) };
    let Some(fields) = fields.as_array() else { return Err(invalid("Expected type array on property fields")) };
    let text = |field: &Map<String, Value>, key: &str| match field.get(key) {
        None => Ok(None),
        Some(Value::String(text)) if text.chars().count() <= 100 => Ok(Some(text.clone())),
        Some(_) => Err(invalid(&format!("Expected a string of at most 100 characters on property {key}"))),
    };
    let mut named = Vec::new();
    for field in fields {
        let Some(field) = field.as_object() else { return Err(invalid("Expected type object on property fields")) };
        if let Some(key) = field.keys().find(|key| !["name", "export_as"].contains(&key.as_str())) {
            return Err(invalid(&format!("Additional properties not allowed: {key} on property fields")));
        }
        let Some(name) = text(field, "name")? else {
            return Err(invalid("Missing required property: name on property fields"));
        };
        let title = text(field, "export_as")?.unwrap_or_else(|| name.clone());
        named.push((name, title));
    }
    Ok(named)
}

/// The path's id is one.
fn checked(id: &str) -> Result<(), Failure> {
    let tail = id.strip_prefix("job_").unwrap_or_default();
    if tail.len() == 16 && tail.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Ok(());
    }
    Err(Failure::bad_request(
        "Path validation error: 'String does not match pattern ^job_[A-Za-z0-9]{16}$ on property id (Job ID)'",
        "invalid_uri",
    ))
}

/// `GET /jobs/{id}`: each question moves the job on.
pub(super) fn get(shared: &Shared, id: &str) -> Answer {
    checked(id)?;
    let options = shared.options.job;
    let mut jobs = lock(&shared.jobs);
    jobs.retain(|_, job| job.begun.elapsed() <= options.lifetime);
    let Some(job) = jobs.get_mut(id) else { return Err(Failure::not_found("Job not found.", None)) };
    job.asked += 1;
    let mut body = job.body.clone();
    let running = options.pending + options.processing;
    if job.asked <= options.pending {
        return Ok(Some(Value::Object(body).to_string()));
    }
    if job.asked <= running || job.file.get().is_none() {
        let step = job.asked - options.pending;
        body.insert("status".to_owned(), "processing".into());
        body.insert("percentage_done".to_owned(), (100 * step / (options.processing + 1)).min(99).into());
        if step % 2 == 1 {
            body.insert("time_left_seconds".to_owned(), options.time_left_seconds.into());
        }
        return Ok(Some(Value::Object(body).to_string()));
    }
    if options.fails || matches!(job.file.get(), Some(None)) {
        body.insert("status".to_owned(), "failed".into());
        body.insert("status_details".to_owned(), "Internal error while exporting users".into());
        return Ok(Some(Value::Object(body).to_string()));
    }
    body.insert("status".to_owned(), "completed".into());
    body.insert("percentage_done".to_owned(), 100.into());
    body.insert("time_left_seconds".to_owned(), 0.into());
    if job.asked > running + options.without_location {
        body.insert("location".to_owned(), shared.link(id, job.format).into());
    }
    Ok(Some(Value::Object(body).to_string()))
}

/// `GET /jobs/{id}/errors`: 204 where there are none.
pub(super) fn errors(shared: &Shared, id: &str) -> Answer {
    checked(id)?;
    let jobs = lock(&shared.jobs);
    let Some(job) = jobs.get(id) else { return Err(Failure::not_found("The job does not exist", None)) };
    let running = shared.options.job.pending + shared.options.job.processing;
    if !shared.options.job.fails || job.asked <= running {
        return Ok(None);
    }
    let mut body = job.body.clone();
    body.insert("status".to_owned(), "failed".into());
    body.insert("status_details".to_owned(), "Internal error while exporting users".into());
    Ok(Some(Value::Object(body).to_string()))
}
