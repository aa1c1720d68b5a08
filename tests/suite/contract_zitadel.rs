//! Every exchange recorded with a running ZITADEL, replayed in order against a fresh sandbox: status, codes, error
//! ids, shape, and every value that does not differ from run to run.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use a2z::sandbox::zitadel::{Options, Zitadel};
use reqwest::header::{CONTENT_TYPE, HOST, WWW_AUTHENTICATE};
use serde_json::{Value, json};

/// Exchanges that the sandbox does not answer like the real one, with the reason.
const OUT_OF_SCOPE: &[(&str, &str)] = &[];

/// Exchanges of which only the shape is compared, with the reason.
const SHAPE_ONLY: &[(&str, &str)] = &[
    ("users-count-org", "recorded on an instance with 65,004 users"),
    ("import-too-large", "the body was not kept: ours has another size"),
    ("events-from-sequence", "recorded on another instance, whose first users are others"),
];

/// Recorded names of the caller, and ours.
const NAMES: &[(&str, &str)] = &[("judge", "sandbox-owner"), ("Judge machine user (IAM_OWNER)", "Sandbox owner")];

/// The organisations of the two recorded instances.
const ORGS: &[&str] = &["400913786954910758", "400914539077504038"];

struct Replay {
    zitadel: Zitadel,
    client: reqwest::Client,
    /// Recorded ids, and ours.
    ids: BTreeMap<String, String>,
    /// Secrets that were redacted in the recording, by the field's name.
    secrets: BTreeMap<String, String>,
}

fn is_id(text: &str) -> bool {
    text.len() >= 15 && text.bytes().all(|b| b.is_ascii_digit())
}

impl Replay {
    /// A recorded text with our ids and names in it.
    fn ours(&self, text: &str) -> String {
        let mut text = text.replace("http://localhost:8080", self.zitadel.url.as_str().trim_end_matches('/'));
        for (theirs, ours) in &self.ids {
            text = text.replace(theirs, ours);
        }
        NAMES.iter().find(|(theirs, _)| *theirs == text).map_or(text, |(_, ours)| (*ours).to_owned())
    }

    fn body(&self, name: &str, request: &Value) -> Option<Vec<u8>> {
        let human = |i: usize, name: &str| {
            json!({"userId": format!("auth0|{name}{i}"), "user": {
                "userName": format!("{name}{i}@contract.example"),
                "profile": {"firstName": "Ada", "lastName": "Lovelace"},
                "email": {"email": format!("{name}{i}@contract.example"), "isEmailVerified": true},
                "hashedPassword": {"value": "$2b$10$IujF70OJHfvrHq6AfpJhiubEMsTlmjxtN6sVsI0DHEfBIXDhywTou"},
            }})
        };
        let import = |users: usize, name: &str, timeout: &str| {
            let users: Vec<_> = (0..users).map(|i| human(i, name)).collect();
            json!({"dataOrgs": {"orgs": [{"orgId": self.zitadel.organization_id, "humanUsers": users}]}, "timeout": timeout})
        };
        let made = match name {
            "import-timeout" => import(300, "timeout", "50ms"),
            "import-too-large" => import(30_000, "large", "60s"),
            "users-by-username-200" => {
                let name = |i| json!({"userNameQuery": {"userName": format!("nobody{i}"), "method": "TEXT_QUERY_METHOD_EQUALS_IGNORE_CASE"}});
                json!({"queries": [{"orQuery": {"queries": (0..200).map(name).collect::<Vec<_>>()}}]})
            }
            _ if request["raw_body"].is_string() => return Some(request["raw_body"].as_str()?.as_bytes().to_vec()),
            _ if request["form"].is_object() => {
                let bad = name.ends_with("-bad");
                let mut form = url::form_urlencoded::Serializer::new(String::new());
                for (field, value) in request["form"].as_object()? {
                    let value = match (field.as_str(), value.as_str()?) {
                        ("client_secret", _) if !bad => self.secrets.get("clientSecret")?,
                        (_, value) => value,
                    };
                    form.append_pair(field, value);
                }
                return Some(form.finish().into_bytes());
            }
            _ => {
                assert!(request.get("body_bytes").is_none(), "{name}: the recording has no body, make one here");
                return request.get("body").map(|body| self.ours(&body.to_string()).into_bytes());
            }
        };
        Some(made.to_string().into_bytes())
    }

    /// Sends one exchange, and lists what differs.
    async fn exchange(&mut self, recorded: &Value) -> Vec<String> {
        let (name, request, wanted) = (recorded["name"].as_str().unwrap(), &recorded["request"], &recorded["response"]);
        let url = self.ours(&format!("http://localhost:8080{}", request["path"].as_str().unwrap()));
        let method = request["method"].as_str().unwrap().parse().unwrap();
        let mut call = self.client.request(method, url);
        for (header, value) in request["headers"].as_object().unwrap() {
            let value = match (header.to_lowercase().as_str(), value.as_str().unwrap()) {
                ("authorization", _) if name == "bad-token" => "Bearer nonsense".to_owned(),
                ("authorization", _) if name.ends_with("no-permission") || name.ends_with("no-role") => {
                    format!("Bearer {}", self.secrets["token"])
                }
                ("authorization", _) => format!("Bearer {}", self.zitadel.token),
                ("host", value) => {
                    call = call.header(HOST, value);
                    continue;
                }
                (_, value) => self.ours(value),
            };
            call = call.header(header, value);
        }
        if let Some(body) = self.body(name, request) {
            call = call.body(body);
        }
        let answer = call.send().await.unwrap();
        let mut differences = Vec::new();
        if u64::from(answer.status().as_u16()) != wanted["status"] {
            differences.push(format!("status {} instead of {}", answer.status().as_u16(), wanted["status"]));
        }
        for header in [CONTENT_TYPE, WWW_AUTHENTICATE] {
            let got = answer.headers().get(&header).and_then(|value| value.to_str().ok());
            if got != wanted["headers"][header.as_str()].as_str() {
                differences.push(format!("header {header}: {got:?}"));
            }
        }
        let text = answer.text().await.unwrap();
        let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
        let values = !SHAPE_ONLY.iter().any(|(listed, _)| *listed == name);
        self.compare("", values, &wanted["body"], &body, &mut differences);
        differences
    }

    fn compare(&mut self, at: &str, values: bool, wanted: &Value, got: &Value, differences: &mut Vec<String>) {
        let key = at.rsplit('.').next().unwrap_or_default();
        match (wanted, got) {
            (Value::Object(theirs), Value::Object(ours)) => {
                for name in theirs.keys().filter(|name| !ours.contains_key(*name)) {
                    differences.push(format!("{at}.{name} is missing"));
                }
                for name in ours.keys().filter(|name| !theirs.contains_key(*name)) {
                    differences.push(format!("{at}.{name} is too much"));
                }
                for (name, theirs) in theirs {
                    if let Some(ours) = ours.get(name) {
                        self.compare(&format!("{at}.{name}"), values, theirs, ours, differences);
                    }
                }
            }
            (Value::Array(theirs), Value::Array(ours)) => {
                if theirs.len() != ours.len() {
                    differences.push(format!("{at} has {} entries instead of {}", ours.len(), theirs.len()));
                }
                for (i, (theirs, ours)) in theirs.iter().zip(ours).enumerate() {
                    self.compare(&format!("{at}[{i}]"), values, theirs, ours, differences);
                }
            }
            (Value::String(theirs), Value::String(ours)) => {
                let differs = match theirs.as_str() {
                    "<redacted>" => {
                        self.secrets.insert(key.to_owned(), ours.clone());
                        ours.is_empty()
                    }
                    theirs if theirs.ends_with('Z') && theirs.parse::<jiff::Timestamp>().is_ok() => {
                        ours.parse::<jiff::Timestamp>().is_err()
                    }
                    // The order of the event store beside the users depends on how an instance was set up.
                    theirs if key == "sequence" && !self.is_user(at) => {
                        theirs.parse::<u64>().is_ok() != ours.parse::<u64>().is_ok()
                    }
                    theirs if is_id(theirs) && !self.ids.contains_key(theirs) => {
                        self.ids.insert(theirs.to_owned(), ours.clone());
                        !is_id(ours)
                    }
                    theirs => values && self.ours(theirs) != *ours,
                };
                if differs {
                    differences.push(format!("{at} is {ours:?} instead of {theirs:?}"));
                }
            }
            (theirs, ours) if std::mem::discriminant(theirs) != std::mem::discriminant(ours) => {
                differences.push(format!("{at} is {ours} instead of {theirs}"));
            }
            (theirs, ours) if values && theirs != ours => {
                differences.push(format!("{at} is {ours} instead of {theirs}"));
            }
            _ => {}
        }
    }

    /// Whether the sequence at this place is a user's.
    fn is_user(&self, at: &str) -> bool {
        self.secrets.get("").is_none_or(|kind| kind == "users") && !at.is_empty()
    }
}

#[tokio::test]
async fn the_sandbox_answers_as_zitadel_did() {
    let options = Options { import_users_per_second: Some(2000.0), enforce_limits: false, ..Options::default() };
    let zitadel = Zitadel::start(options).await.unwrap();
    let ids = ORGS.iter().map(|&org| (org.to_owned(), zitadel.organization_id.clone())).collect();
    let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_mins(1)).build().unwrap();
    let mut replay = Replay { zitadel, client, ids, secrets: BTreeMap::new() };

    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/contract/zitadel");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "json"));
    files.sort();
    let (mut agree, mut failures) = (0, Vec::new());
    for file in &files {
        let recorded: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
        let name = recorded["name"].as_str().unwrap();
        // Only the sequences of users are the same in every instance.
        let path = recorded["request"]["path"].as_str().unwrap();
        let kind = if path.contains("users") || path.contains("UserService") || path.contains("events") {
            "users"
        } else {
            "other"
        };
        let kind = if path.starts_with("/auth/") { "other" } else { kind };
        replay.secrets.insert(String::new(), kind.to_owned());
        let differences = replay.exchange(&recorded).await;
        let listed = OUT_OF_SCOPE.iter().any(|(listed, _)| *listed == name);
        match (differences.is_empty(), listed) {
            (true, false) => agree += 1,
            (true, true) => failures.push(format!("{name} agrees: take it off the list")),
            (false, true) => {}
            (false, false) => failures.push(format!("{name}:\n    {}", differences.join("\n    "))),
        }
    }
    println!("{agree} of {} exchanges agree; {} only in shape", files.len(), SHAPE_ONLY.len());
    for (name, reason) in OUT_OF_SCOPE.iter().chain(SHAPE_ONLY) {
        println!("  {name}: {reason}");
    }
    assert!(files.len() >= 140, "the recordings are gone");
    assert!(failures.is_empty(), "{} differ:\n{}", failures.len(), failures.join("\n"));

    // Nothing of it all would have sent a mail, but for the users that the import makes INITIAL.
    let mails = replay.zitadel.mails();
    assert!(!mails.is_empty());
    assert_eq!(replay.zitadel.store()["auth0|v2"].metadata["k"], b"v");
}
