//! One user of every kind: the cases of `tests/cases/kinds.toml`, by the same tenant, into the sandbox and into a real
//! ZITADEL. What each of them holds afterwards, and what a2z says of each user, is compared field by field: with the
//! case, and the two with one another.

use a2z::sandbox::zitadel::{User, UserState, Zitadel};
use serde_json::value::RawValue;

use super::*;
use crate::cases::{Case, cases};

/// Cases that one run can show.
struct Round {
    config: String,
    providers: Vec<String>,
    cases: Vec<Case>,
}

/// Every case, its ids and names changed so that nobody else in an instance has them.
fn rounds(seed: u64) -> Vec<Round> {
    let mut rounds: Vec<Round> = Vec::new();
    // A stock instance has no such verifier, and a2z believes what it is told.
    let all = cases().kind.into_iter().flat_map(|kind| kind.case).filter(|case| !case.config.contains("verifiers"));
    for (number, case) in all.enumerate() {
        let case = unmistakable(&case, &format!("{:08}{number:02}", seed / 100 % 100_000_000));
        // Two cases of one kind differ in what their own providers are: each has a run of its own.
        let alone = !case.providers.is_empty();
        match rounds.iter_mut().find(|round| !alone && round.providers.is_empty() && round.config == case.config) {
            Some(round) => round.cases.push(case),
            None => {
                rounds.push(Round {
                    config: case.config.clone(),
                    providers: case.providers.clone(),
                    cases: vec![case],
                });
            }
        }
    }
    rounds
}

/// The case with another id and other domains, `tag` in them. In the text, for bytes are compared.
fn unmistakable(case: &Case, tag: &str) -> Case {
    let user: Value = serde_json::from_str(&case.user).unwrap();
    let own = user["user_id"].as_str().and_then(|id| id.split_once('|')).map(|(_, own)| own.to_owned());
    let name = user["username"].as_str().map(str::to_owned);
    let change = |text: &String| {
        let mut text = text.replace("@example.com", &format!("@c{tag}.example.com"));
        text = text.replace("@corp.example", &format!("@c{tag}.corp.example"));
        // The placeholder that is made from an id.
        text = text.replace("sms-10@", &format!("sms-{tag}@"));
        if let Some(own) = own.as_ref().filter(|own| !own.contains('@')) {
            // As long as before, where the length may matter.
            let kept = if own.len() > 20 { &own[..own.len() - tag.len()] } else { "" };
            for (before, after) in [("\"", "\""), ("\" ", " \""), ("|", "\""), (":", ",")] {
                if before != ":" || own.len() > 20 {
                    text = text.replace(&format!("{before}{own}{after}"), &format!("{before}{kept}{tag}{after}"));
                }
            }
        }
        // A link leaves out the connection that Auth0 puts before some ids.
        if let Some((_, tail)) = own.as_ref().and_then(|own| own.rsplit_once('|')) {
            text = text.replace(&format!("\"{tail}\""), &format!("\"{tag}\""));
        }
        match &name {
            Some(name) => text.replace(&format!("\"{name}\""), &format!("\"{name}{tag}\"")),
            None => text,
        }
    };
    let all = |lines: &[String]| lines.iter().map(change).collect();
    Case {
        config: case.config.clone(),
        user: change(&case.user),
        hashes: all(&case.hashes),
        providers: case.providers.clone(),
        mfa: all(&case.mfa),
        becomes: change(&case.becomes),
    }
}

fn row(case: &Case) -> Row {
    let user: Value = serde_json::from_str(&case.user).unwrap();
    let mut row = Row::from_user(&user);
    // Value by value as it stands there.
    let raw: BTreeMap<String, Box<RawValue>> = serde_json::from_str(&case.user).unwrap();
    row.fields = raw.into_iter().map(|(name, value)| (name.into(), value.get().to_owned())).collect();
    if user["user_id"].is_null() {
        row.damaged = Some(case.user.clone());
    }
    (row.hashes, row.mfa) = (case.hashes.clone(), case.mfa.clone());
    row
}

/// The connections of a round, with their strategies: those of the identities, and those that its providers stand for.
fn connections(round: &Round, tenant: &Tenant) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for row in tenant.rows() {
        let identities: Value = field(&row, "identities").map_or(Value::Null, |raw| serde_json::from_str(raw).unwrap());
        for identity in identities.as_array().into_iter().flatten() {
            // Identities that cannot be read are a kind, too.
            if let (Some(name), Some(strategy)) = (identity["connection"].as_str(), identity["provider"].as_str()) {
                all.insert(name.to_owned(), strategy.to_owned());
            }
        }
    }
    for line in &round.providers {
        let mut words = line.split(' ').map(str::to_owned);
        let (name, strategy) = (words.next().unwrap(), words.next().unwrap());
        all.entry(name).or_insert(strategy);
    }
    all
}

fn tenant(round: &Round) -> Tenant {
    let mut tenant = Tenant::of(round.cases.iter().map(row).collect());
    let mut made: Vec<Value> = Vec::new();
    for (name, strategy) in connections(round, &tenant) {
        let known = tenant.connections.iter().find(|connection| connection["strategy"] == strategy.as_str());
        let mut connection = known.or(tenant.connections.get(4)).unwrap().clone();
        connection["id"] = format!("con_{name}").into();
        (connection["name"], connection["strategy"]) = (name.into(), strategy.into());
        made.push(connection);
    }
    tenant.connections = made;
    tenant
}

/// Makes the providers of a round; by the name that the case has for each.
async fn providers(place: &Live, round: &Round, tenant: &Tenant) -> BTreeMap<String, String> {
    let mut made = BTreeMap::new();
    for line in &round.providers {
        let words: Vec<&str> = line.split(' ').collect();
        let [connection, strategy, id] = words[..3] else { panic!("{line}") };
        if id == "-" {
            continue;
        }
        let kind = match strategy {
            "samlp" => "saml",
            "waad" => "azure",
            _ => "google",
        };
        let options = json!({ "isLinkingAllowed": true, "isCreationAllowed": !words.contains(&"no-creation") });
        let mut provider = json!({ "clientId": "other", "clientSecret": "x", "providerOptions": options });
        let at_auth0 = tenant.connections.iter().find(|known| known["name"] == connection).unwrap();
        if words.contains(&"same-client") {
            provider["clientId"] = at_auth0["options"]["client_id"].clone();
        }
        if kind == "saml" {
            use base64::{Engine as _, engine::general_purpose::STANDARD};
            let xml = at_auth0["options"]["metadataXml"].as_str().unwrap();
            provider = json!({ "metadataXml": STANDARD.encode(xml), "providerOptions": options });
        }
        made.insert(id.to_owned(), place.add_provider(kind, provider).await);
    }
    made
}

/// The tenant, whose application may not read the options of connections.
async fn without_options(tenant: Tenant) -> Auth0 {
    let mut options = Options { tenant, ..Options::default() };
    options.scopes.retain(|scope| scope != "read:connections_options");
    options.job = JobOptions { pending: 0, processing: 1, without_location: 0, ..JobOptions::default() };
    Auth0::start(options).await.unwrap()
}

/// What a2z said of each user, and the providers.
async fn moved(place: &Live, round: &Round) -> (Vec<Value>, BTreeMap<String, String>) {
    let tenant = tenant(round);
    let made = providers(place, round, &tenant).await;
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mut config = round.config.clone();
    if !made.is_empty() {
        let matched = round.providers.iter().map(|line| line.split(' ').collect::<Vec<_>>());
        let lines = matched.map(|words| format!("{:?} = {:?}\n", words[0], made[words[2]])).collect::<Vec<_>>();
        config = format!("{config}\n[idps]\n{}", lines.concat());
    }
    std::fs::write(folder.join("a2z.toml"), config).unwrap();
    let mut args = vec!["cutover", "--yes", "--progress", "plain"];
    for (name, flag, any) in [
        ("passwords.ndjson", "--passwords", round.cases.iter().any(|case| !case.hashes.is_empty())),
        ("mfa.ndjson", "--mfa", round.cases.iter().any(|case| !case.mfa.is_empty())),
    ] {
        let mut file = std::fs::File::create(folder.join(name)).unwrap();
        match flag {
            "--mfa" => tenant.write_mfa(&mut file).unwrap(),
            _ => tenant.write_hashes(&mut file).unwrap(),
        }
        if any {
            args.extend([flag, name]);
        }
    }
    let told = !round.providers.iter().any(|provider| provider.contains("options-unknown"));
    let auth0 = if told { at_auth0(tenant).await } else { without_options(tenant).await };
    let ran = run(place, &auth0, folder, &args).await;
    assert!(matches!(ran.code, 0 | 3), "{}\n{}", round.config, ran.stderr);
    let mut lines = outcomes(folder);
    lines.sort_by_key(|line| line["line"].as_u64());
    (lines, made)
}

/// A user in the words of the cases. `made`: what their providers are called there.
fn shown(user: &User, made: &BTreeMap<String, String>) -> Value {
    let text = |text: &str| Value::from(text);
    let name_of = |id: &String| made.iter().find(|(_, made)| *made == id).map_or(id.clone(), |(name, _)| name.clone());
    let links: BTreeSet<_> =
        user.links.iter().map(|link| (name_of(&link.idp_id), link.user_id.clone(), link.user_name.clone())).collect();
    let metadata: BTreeMap<_, _> =
        user.metadata.iter().map(|(key, value)| (key.clone(), String::from_utf8(value.clone()).unwrap())).collect();
    json!({
        "userId": user.id, "userName": user.user_name, "firstName": user.first_name, "lastName": user.last_name,
        "displayName": user.display_name, "nickName": user.nick_name, "language": user.language,
        "email": user.email, "verified": user.email_verified,
        "phone": user.phone, "phoneVerified": user.phone_verified,
        "hash": user.hash, "changeRequired": user.change_required,
        "totp": user.totp.as_deref().map(text), "recoveryCodes": user.recovery_codes,
        "state": user.state.name(), "links": links, "metadata": metadata, "created": user.created_count,
    })
}

/// The same of what a case says that is sent.
fn wanted(becomes: &Value) -> Value {
    let or = |key: &str, default: Value| becomes.get(key).cloned().unwrap_or(default);
    let full = format!("{} {}", becomes["firstName"].as_str().unwrap(), becomes["lastName"].as_str().unwrap());
    let state = if becomes["inactive"] == true { UserState::Inactive } else { UserState::Active };
    let metadata: BTreeMap<String, String> =
        serde_json::from_value::<Vec<(String, String)>>(or("metadata", json!([]))).unwrap().into_iter().collect();
    let links: BTreeSet<(String, String, String)> = serde_json::from_value(or("links", json!([]))).unwrap();
    json!({
        "userId": becomes["userId"], "userName": becomes["userName"],
        "firstName": becomes["firstName"], "lastName": becomes["lastName"],
        "displayName": or("displayName", full.into()), "nickName": or("nickName", "".into()),
        "language": or("language", "und".into()), "email": becomes["email"], "verified": becomes["verified"],
        "phone": becomes.get("phone"), "phoneVerified": or("phoneVerified", false.into()),
        "hash": becomes.get("hash"), "changeRequired": or("changeRequired", false.into()),
        "totp": becomes.get("totp"), "recoveryCodes": or("recoveryCodes", json!([])),
        "state": state.name(), "links": links, "metadata": metadata, "created": 1,
    })
}

/// Where two objects differ, a line for each field.
fn differences(what: &str, found: &Value, expected: &Value) -> Vec<String> {
    if found == expected {
        return Vec::new();
    }
    let (Some(left), Some(right)) = (found.as_object(), expected.as_object()) else {
        return vec![format!("{what}: {found} and not {expected}")];
    };
    let keys: BTreeSet<&String> = left.keys().chain(right.keys()).collect();
    let differ = keys.into_iter().filter(|key| left.get(*key) != right.get(*key));
    differ.map(|key| format!("{what}, {key}: {:?} and not {:?}", left.get(key), right.get(key))).collect()
}

/// Codes of the outcome and the findings, as a case names them.
fn codes(line: &Value) -> (Value, BTreeSet<String>) {
    let findings = line["findings"].as_array().into_iter().flatten();
    (line["code"].clone(), findings.map(|finding| finding["code"].as_str().unwrap().to_owned()).collect())
}

/// What a2z says, with the names of the cases for what has other ids in each instance.
fn said(line: &Value, place: &Live, made: &BTreeMap<String, String>) -> Value {
    let mut text = line.to_string().replace(&place.organization_id, "ORGANIZATION");
    for (name, id) in made {
        text = text.replace(id, name);
    }
    serde_json::from_str(&text).unwrap()
}

impl Live {
    /// Does the instance have providers that belong to no organization? Users of every organization may be linked to them.
    pub(super) async fn has_providers(&self) -> bool {
        let (status, answer) = self.post("/admin/v1/idps/templates/_search", json!({})).await;
        assert_eq!(status, 200, "{answer}");
        answer["result"].as_array().is_some_and(|providers| !providers.is_empty())
    }
}

/// Somebody of another vendor, for whom there is to be no provider.
fn needs_none(case: &Case) -> bool {
    let user: Value = serde_json::from_str(&case.user).unwrap();
    // An identity that cannot be read has none.
    let foreign = |identity: &Value| {
        identity["provider"].as_str().is_some_and(|provider| !["auth0", "email", "sms"].contains(&provider))
    };
    let any = user["identities"].as_array().into_iter().flatten().any(foreign);
    any && case.providers.iter().all(|line| line.contains(" -"))
}

async fn compare(live: &Live, round: &Round) -> Vec<String> {
    let sandbox = Zitadel::start(a2z::sandbox::zitadel::Options::default()).await.unwrap();
    let near = Live {
        http: live.http.clone(),
        url: sandbox.url.as_str().trim_end_matches('/').to_owned(),
        token: sandbox.token.clone(),
        organization_id: sandbox.organization_id.clone(),
    };
    let (near_lines, near_made) = moved(&near, round).await;
    let (lines, made) = moved(live, round).await;
    let (store, secrets) = (sandbox.store(), live.secrets().await);
    let mut wrong = Vec::new();
    assert_eq!((lines.len(), near_lines.len()), (round.cases.len(), round.cases.len()));
    for (case, (line, near_line)) in round.cases.iter().zip(lines.iter().zip(&near_lines)) {
        let becomes: Value = serde_json::from_str(&case.becomes).unwrap();
        let user: Value = serde_json::from_str(&case.user).unwrap();
        let id = user["user_id"].as_str().unwrap_or_default();
        let what = |where_| format!("`{id}` of {:?} {:?}, {where_}", round.config, round.providers);
        let (said, near_said) = (said(line, live, &made), said(near_line, &near, &near_made));
        wrong.extend(differences(&what("outcome here and in the sandbox"), &said, &near_said));
        let findings = becomes["findings"].as_array().into_iter().flatten();
        let findings = findings.map(|code| code.as_str().unwrap().to_owned()).collect::<BTreeSet<_>>();
        if codes(line) != (becomes["blocked"].clone(), findings.clone()) {
            wrong.push(format!("{}: {line} and not {} {findings:?}", what("codes"), becomes["blocked"]));
        }
        let mut here = live.stored(id).await;
        if let Some(user) = here.as_mut().filter(|user| user.totp.is_some()) {
            user.totp = secrets.get(id).cloned();
        }
        let here = here.map_or(Value::Null, |user| shown(&user, &made));
        let near = store.get(id).map_or(Value::Null, |user| shown(user, &near_made));
        let wanted = if becomes["blocked"].is_null() { wanted(&becomes) } else { Value::Null };
        wrong.extend(differences(&what("ZITADEL"), &here, &wanted));
        wrong.extend(differences(&what("the sandbox"), &near, &wanted));
        let messages = live.messages(id).await;
        if messages > 0 {
            wrong.push(format!("{}: {messages} messages", what("ZITADEL")));
        }
    }
    wrong.extend(sandbox.mails().iter().map(|mail| format!("the sandbox sent {mail:?}")));
    wrong
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_every_kind_is_in_zitadel_what_it_is_in_the_sandbox() {
    let seed = seed();
    let (mut wrong, mut seen) = (Vec::new(), 0);
    for (number, mut round) in rounds(seed).into_iter().enumerate() {
        if let Some(live) = Live::of_environment()
            && live.has_providers().await
        {
            let before = round.cases.len();
            round.cases.retain(|case| !needs_none(case));
            if before > round.cases.len() {
                eprintln!("round {number}: a case is left out, for the instance has providers of its own");
            }
        }
        if round.cases.is_empty() {
            continue;
        }
        let ids = round.cases.iter().filter_map(|case| {
            let user: Value = serde_json::from_str(&case.user).unwrap();
            user["user_id"].as_str().map(str::to_owned)
        });
        in_own_organization(&format!("a2z live kinds {seed} {number}"), ids.collect(), async |live| {
            seen += round.cases.len();
            wrong.extend(compare(&live, &round).await);
        })
        .await;
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    assert!(Live::of_environment().is_none() || seen > 33, "{seen} cases");
}
