//! People change every field in ZITADEL after a cutover; then Auth0 changes something else. A second cutover writes only what
//! Auth0 changed.

use super::*;

/// The profile that a user has, as ZITADEL's API shows it.
fn profile(user: &Value) -> Value {
    let human = &user["human"];
    json!([
        user["username"],
        user["state"],
        human["profile"]["givenName"],
        human["profile"]["familyName"],
        human["profile"]["displayName"],
        human["profile"]["nickName"],
        human["profile"]["preferredLanguage"],
        human["email"]["email"],
        human["email"]["isVerified"],
        human["phone"]["phone"],
        human["phone"]["isVerified"],
    ])
}

fn set(row: &mut Row, key: &'static str, raw: String) {
    row.fields.retain(|(name, _)| name != key);
    if key == "email" {
        row.email = serde_json::from_str(&raw).unwrap();
    }
    row.fields.push((key.into(), raw));
}

/// Everything that people can change of themselves, and an administrator of them.
async fn edit(place: &Live, id: &str, tag: &str) {
    let user = "zitadel.user.v2.UserService";
    let human = json!({
        "profile": { "givenName": "Augusta", "familyName": "King", "displayName": "Countess", "nickName": "c", "preferredLanguage": "fr" },
        "email": { "email": format!("new.{tag}@example.net"), "isVerified": true },
        "phone": { "phone": "+41791112233", "isVerified": true },
    });
    let change = json!({ "userId": id, "username": format!("new.{tag}"), "human": human });
    let (status, answer) = place.post(&format!("/{user}/UpdateUser"), change).await;
    assert_eq!(status, 200, "{answer}");
    let value = "eyJ0aGVtZSI6ImxpZ2h0In0="; // {"theme":"light"}
    let entry = json!({ "userId": id, "metadata": [{ "key": "auth0.user_metadata", "value": value }] });
    let (status, answer) = place.post(&format!("/{user}/SetUserMetadata"), entry).await;
    assert_eq!(status, 200, "{answer}");
}

/// Users with a value in every field.
fn rows() -> Vec<Row> {
    let mut rows: Vec<Row> = unmistakable(TenantOptions { users: 4, seed: seed(), oddity_rate: 0.0 }).rows().collect();
    for row in &mut rows {
        let fields = [
            ("email_verified", "true"),
            ("user_metadata", r#"{"theme":"dark"}"#),
            ("app_metadata", r#"{"plan":1}"#),
            ("phone_number", r#""+41791112244""#),
            ("phone_verified", "true"),
            ("given_name", r#""Grace""#),
            ("family_name", r#""Hopper""#),
            ("name", r#""Grace H.""#),
            ("nickname", r#""nick""#),
            ("locale", r#""en""#),
        ];
        for (key, raw) in fields {
            set(row, key, raw.to_owned());
        }
    }
    rows
}

#[tokio::test(flavor = "multi_thread")]
async fn what_people_changed_in_a_real_zitadel_stays() {
    let mut rows = rows();
    let ids: Vec<String> = rows.iter().map(|row| row.user_id.clone()).collect();
    in_own_organization("a2z edits", ids.clone(), async |place: std::sync::Arc<Live>| {
        let folder = tempfile::tempdir().unwrap();
        let auth0 = at_auth0(Tenant::of(rows.clone())).await;
        write_hashes(folder.path(), &rows);
        let first = a2z(&place, &auth0, folder.path(), &[]).await;
        assert_eq!(first.code, 0, "{}", first.stderr);
        for id in &ids[..2] {
            edit(&place, id, &format!("{}{}", seed(), id.rsplit('|').next().unwrap_or_default())).await;
        }
        let before = place.users(&ids).await;
        for row in &mut rows {
            set(row, "app_metadata", r#"{"plan":2}"#.into());
        }
        // Both changed, and only Auth0.
        set(&mut rows[1], "given_name", r#""Ada""#.into());
        set(&mut rows[2], "given_name", r#""Ada""#.into());
        set(&mut rows[2], "phone_number", r#""+41791112255""#.into());
        let lines: Vec<String> = rows.iter().map(Row::line).collect();
        std::fs::write(folder.path().join("users.ndjson"), lines.join("\n")).unwrap();
        let second = a2z(&place, &auth0, folder.path(), &["--users", "users.ndjson"]).await;
        assert_eq!(second.code, 3, "{}", second.stderr);
        let plan = "~ 4 to update, 2 keep a value of ZITADEL";
        assert!(second.stdout.contains(plan), "{}", second.stdout);
        holds(&place, &rows, &before).await;
        says(folder.path(), &ids);
        assert_eq!(run(&place, &auth0, folder.path(), &["verify"]).await.code, 0);
    })
    .await;
}

fn write_hashes(folder: &Path, rows: &[Row]) {
    let hashes: Vec<String> = rows.iter().flat_map(|row| row.hashes.clone()).collect();
    std::fs::write(folder.join("passwords.ndjson"), hashes.join("\n")).unwrap();
}

/// What ZITADEL holds after the second cutover.
async fn holds(place: &Live, rows: &[Row], before: &BTreeMap<String, Value>) {
    let ids: Vec<String> = rows.iter().map(|row| row.user_id.clone()).collect();
    let after = place.users(&ids).await;
    for id in [&ids[0], &ids[1], &ids[3]] {
        assert_eq!(profile(&after[id]), profile(&before[id]), "{id}");
    }
    let human = &after[&ids[2]]["human"];
    assert_eq!(human["profile"]["givenName"], "Ada");
    assert_eq!(human["phone"], json!({ "phone": "+41791112255", "isVerified": true }));
    for (at, (id, row)) in ids.iter().zip(rows).enumerate() {
        let metadata = place.metadata(id).await;
        assert_eq!(metadata["auth0.app_metadata"], r#"{"plan":2}"#, "{id}");
        let theme = if at < 2 { r#"{"theme":"light"}"# } else { r#"{"theme":"dark"}"# };
        assert_eq!(metadata["auth0.user_metadata"], theme, "{id}");
        assert_eq!(place.messages(id).await, 0, "{id}");
        if let Some(password) = row.password {
            assert!(place.signs_in(id, password).await, "{id}");
        }
    }
}

/// What the report tells.
fn says(folder: &Path, ids: &[String]) {
    let outcomes = outcomes(folder);
    let found = |id: &str, code: &str| {
        let outcome = outcomes.iter().find(|line| line["user_id"] == id).unwrap();
        let mut findings = outcome["findings"].as_array().unwrap().iter();
        findings.find(|finding| finding["code"] == code).map(|finding| finding["detail"].as_str().unwrap().to_owned())
    };
    let all = "username, givenName, familyName, displayName, nickName, preferredLanguage, email, phone, \
               metadata auth0.user_metadata";
    assert_eq!(found(&ids[0], "field-kept").as_deref(), Some(all));
    assert_eq!(found(&ids[1], "field-conflict").as_deref(), Some("givenName"));
    assert_eq!(found(&ids[2], "field-kept"), None);
    assert_eq!(found(&ids[3], "field-kept"), None);
}
