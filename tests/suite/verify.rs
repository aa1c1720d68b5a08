//! `a2z verify`: silent where all is as written, exact where it is not, and the canary before the doors open.

use a2z::sandbox::{
    tenant::{Row, Tenant, TenantOptions},
    zitadel::{UserState, UserState::Initial},
};
use serde_json::{Value, json};

use crate::harness::{Run, World};

/// Users without oddities; all of them can be moved.
fn plain(users: u64, seed: u64) -> Tenant {
    Tenant::made_up(TenantOptions { users, seed, oddity_rate: 0.0 })
}

impl World {
    fn verify<const N: usize>(&self, args: [&str; N]) -> Run {
        self.a2z(["verify"]).args(args)
    }

    /// `a2z verify` without anything of Auth0.
    fn verify_all(&self) -> Run {
        self.verify(["--metadata", "all"])
            .without_env("AUTH0_DOMAIN")
            .without_env("AUTH0_CLIENT_ID")
            .without_env("AUTH0_CLIENT_SECRET")
    }

    /// Who differs, by the outcomes: id and finding.
    fn differing(&self) -> Vec<(String, String, String)> {
        let mut found = Vec::new();
        for line in self.outcomes() {
            for finding in line["findings"].as_array().unwrap() {
                if matches!(finding["code"].as_str(), Some("differs-in-zitadel" | "missing-in-zitadel")) {
                    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
                    found.push((text(&line["user_id"]), text(&finding["code"]), text(&finding["detail"])));
                }
            }
        }
        found.sort();
        found
    }
}

fn verified(world: &World) -> [u64; 4] {
    let report = world.report();
    ["looked_at", "same", "different", "missing"].map(|key| report["verified"][key].as_u64().unwrap())
}

fn moved_by_import(rows: &[Row]) -> Vec<&Row> {
    rows.iter().filter(|row| row.password.is_some() && row.field("email_verified") == Some("true")).collect()
}

trait Field {
    fn field(&self, name: &str) -> Option<&str>;
}

impl Field for Row {
    fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

#[test]
fn a_cutover_ends_with_a_clean_comparison() {
    let world = World::of(Tenant::one_of_each()).start();
    let ran = world.cutover().run().code(3);
    let moved = world.balance("created");
    assert!(ran.stderr.contains("verify: started") && ran.stdout.contains("all as written"), "{}", ran.stdout);
    assert_eq!(verified(&world), [moved, moved, 0, 0]);
    assert!(world.report()["timing"]["verify_s"].is_number());
    assert!(world.report()["verified"]["metadata_checked"].as_u64().unwrap() > 0);
    assert_eq!(world.differing(), []);
    let ran = world.verify_all().run().code(0);
    assert!(ran.stdout.contains("looked at") && ran.stdout.contains("the same"), "{}", ran.stdout);
    assert_eq!(verified(&world), [moved, moved, 0, 0]);
}

#[test]
fn each_kind_of_difference_is_found_and_nothing_else() {
    let mut rows: Vec<Row> = plain(200, 31).rows().collect();
    for row in &mut rows {
        row.fields.retain(|(name, _)| name != "locale");
        row.fields.push(("locale".into(), r#""fr-CH""#.to_owned()));
    }
    let world = World::of(Tenant::of(rows.clone())).start();
    world.cutover().run().code(0);
    let with_both = |row: &&&Row| row.field("user_metadata").is_some() && row.field("app_metadata").is_some();
    let with_metadata: Vec<&Row> = moved_by_import(&rows).into_iter().filter(|row| with_both(&row)).take(2).collect();
    let plain: Vec<String> = moved_by_import(&rows)
        .into_iter()
        .filter(|row| !with_metadata.iter().any(|other| other.index == row.index))
        .map(|row| row.user_id.clone())
        .take(14)
        .collect();
    let service = |procedure: &str, mut body: Value, at: usize| {
        body["userId"] = plain[at].clone().into();
        world.user_service(procedure, &body);
    };
    let human = |human: Value, at: usize| service("UpdateUser", json!({ "human": human }), at);
    human(json!({"email": {"email": "other@example.com", "isVerified": true}}), 0);
    world.zitadel.tamper(&plain[1], |user| user.email_verified = false);
    human(json!({"phone": {"phone": "+41791112233", "isVerified": true}}), 2);
    human(json!({"profile": {"givenName": "Other", "familyName": "Person"}}), 3);
    service("DeactivateUser", json!({}), 4);
    service("LockUser", json!({}), 5);
    world.zitadel.tamper(&plain[6], |user| user.state = Initial);
    service("UpdateUser", json!({"username": "somebody-else", "human": {}}), 7);
    world.zitadel.tamper(&plain[8], |user| user.hash = None);
    world.zitadel.tamper(&plain[9], |user| user.organization_id = "another".into());
    service("DeleteUser", json!({}), 10);
    human(json!({"profile": {"preferredLanguage": "zu"}}), 11);
    world.set_metadata(&with_metadata[0].user_id, "auth0.user_metadata", "e30=");
    let gone = json!({"userId": with_metadata[1].user_id, "keys": ["auth0.app_metadata"]});
    world.user_service("DeleteUserMetadata", &gone);
    // What others add is theirs.
    world.set_metadata(&plain[12], "their.own", "e30=");

    let ran = world.verify_all().run().code(3);
    let differs = |id: &str, detail: &str| (id.to_owned(), "differs-in-zitadel".to_owned(), detail.to_owned());
    let mut expected = vec![
        differs(&plain[0], "email: has another one"),
        differs(&plain[1], "email-verified: is not verified"),
        differs(&plain[3], "name: first name, last name"),
        differs(&plain[4], "state: is inactive"),
        differs(&plain[5], "state: is locked"),
        differs(&plain[6], "state: is not initialised, and cannot sign in"),
        differs(&plain[7], "user-name: has another one"),
        differs(&plain[8], "password: has none"),
        differs(&plain[9], "organization: is in organization another"),
        (plain[10].clone(), "missing-in-zitadel".to_owned(), String::new()),
        differs(&plain[11], "language: has another one"),
        differs(&with_metadata[0].user_id, "metadata: `auth0.user_metadata` has another value"),
        differs(&with_metadata[1].user_id, "metadata: `auth0.app_metadata` is missing"),
    ];
    let had_phone = rows.iter().any(|row| row.user_id == plain[2] && row.field("phone_number").is_some());
    let phone = if had_phone { "phone: has another one" } else { "phone: has one that was not moved" };
    expected.push(differs(&plain[2], phone));
    expected.sort();
    assert_eq!(world.differing(), expected);
    assert_eq!(verified(&world), [200, 186, 13, 1]);
    assert!(ran.stdout.contains("and 4 more"), "{}", ran.stdout);
    assert!(ran.error().contains("14 users differ in ZITADEL"), "{}", ran.error());
    // Neither what should be there nor what is there is shown.
    for secret in ["other@example.com", "somebody-else", "+41791112233"] {
        assert!(!ran.stdout.contains(secret) && !ran.stderr.contains(secret), "{secret}");
    }
    let html = std::fs::read_to_string(world.state().join("report.html")).unwrap();
    assert!(html.contains("missing-in-zitadel") && html.contains("state: is locked"));

    // Without a look at metadata, what was known to differ is not forgotten.
    world.verify(["--metadata", "none"]).run().code(3);
    assert_eq!(world.differing(), expected);

    // A cutover looks again at those who differed, also where it writes nobody.
    world.zitadel.tamper(&plain[6], |user| user.state = UserState::Active);
    world.cutover().run().code(3);
    expected.retain(|(id, ..)| *id != plain[6]);
    let found = world.differing();
    let still = |id: &String| found.iter().any(|(found, ..)| found == id);
    assert!(still(&plain[4]) && still(&plain[10]) && !still(&plain[6]), "{found:?}");
}

#[test]
fn clean_after_a_delta_whatever_was_left_to_others() {
    let mut rows: Vec<Row> = plain(60, 11).rows().collect();
    let mut set = |at: usize, key: &'static str, raw: &str| {
        rows[at].fields.retain(|(name, _)| name != key);
        rows[at].fields.push((key.into(), raw.to_owned()));
    };
    set(3, "nickname", r#""Nick""#);
    set(5, "phone_number", r#""+41790000012""#);
    set(6, "phone_number", r#""""#);
    set(7, "blocked", "true");
    let mut world = World::of(Tenant::of(rows.clone())).start();
    world.cutover().run().code(0);
    // The users' own doing, before the delta.
    let of = |at: usize| rows[at].user_id.clone();
    world.user_service(
        "UpdateUser",
        &json!({"userId": of(6), "human": {"phone": {"phone": "+41795555555", "isVerified": true}}}),
    );
    world.deactivate(&of(8));
    let mut set = |at: usize, key: &'static str, raw: &str| {
        rows[at].fields.retain(|(name, _)| name != key);
        rows[at].fields.push((key.into(), raw.to_owned()));
    };
    for at in [3, 5, 6, 7, 8, 9] {
        set(at, "given_name", r#""Changed""#);
    }
    set(3, "nickname", r#""""#);
    set(5, "phone_number", r#""""#);
    set(7, "blocked", "false");
    set(9, "blocked", "true");
    world.becomes(Tenant::of(rows.clone()));
    world.cutover().run().code(0);
    assert_eq!(world.balance("updated"), 6);
    assert_eq!(verified(&world), [6, 6, 0, 0]);
    world.verify_all().run().code(0);
    assert_eq!(verified(&world), [60, 60, 0, 0]);
}

#[test]
fn lag_is_waited_out() {
    let world = World::of(plain(120, 5)).zitadel(|options| options.lag = std::time::Duration::from_secs(2)).start();
    world.cutover().run().code(0);
    assert_eq!(verified(&world), [120, 120, 0, 0]);
    // A change that the searches do not show yet is seen all the same.
    let id = world.tenant().row(7).unwrap().user_id;
    world.deactivate(&id);
    world.verify([]).run().code(3);
    assert_eq!(world.differing(), [(id, "differs-in-zitadel".to_owned(), "state: is inactive".to_owned())]);
}

#[test]
fn a_cutover_that_was_killed_while_comparing_compares_again() {
    let world = World::of(plain(50, 6)).start();
    world.cutover().run().code(0);
    // The writes are complete and the run is not: as after a kill.
    let ledger = rusqlite::Connection::open(world.state().join("ledger.sqlite")).unwrap();
    ledger.execute("UPDATE runs SET finished_at = NULL", []).unwrap();
    drop(ledger);
    let writes = world.writes().len();
    let ran = world.cutover().run().code(0);
    assert!(
        ran.stderr.contains("continuing run 1") && ran.stderr.contains("verify: started, 50 users"),
        "{}",
        ran.stderr
    );
    assert_eq!(world.writes().len(), writes);
    assert_eq!(verified(&world), [50, 50, 0, 0]);
}

#[test]
fn who_may_not_see_users_is_not_told_that_they_are_gone() {
    let world = World::of(plain(20, 8)).start();
    // Without a ledger there is nothing to compare, and no folder is made.
    let ran = world.verify([]).run().code(2);
    assert!(ran.error().contains("no ledger") && !world.state().exists(), "{}", ran.error());
    world.cutover().run().code(0);
    let nobody = world.zitadel.add_token(&[]);
    let ran = world.verify([]).env("ZITADEL_TOKEN", &nobody).run().code(4);
    assert!(ran.error().contains("may not read the users"), "{}", ran.error());
    // To read is enough.
    let viewer = world.zitadel.add_token(&["IAM_OWNER_VIEWER"]);
    let before = world.writes().len();
    world.verify_all().env("ZITADEL_TOKEN", &viewer).run().code(0);
    assert_eq!((verified(&world), world.writes().len()), ([20, 20, 0, 0], before));
    // The ledger is of one instance and organization.
    let ran = world.verify([]).env("ZITADEL_ORG_ID", "999").run().code(2);
    assert!(ran.error().contains("belongs to another ZITADEL organization"), "{}", ran.error());
    let ran = world.verify([]).without_env("ZITADEL_TOKEN").run().code(2);
    assert!(ran.error().contains("credentials"), "{}", ran.error());
}

#[test]
fn status_tells_what_was_compared() {
    let world = World::of(plain(30, 8)).start();
    world.cutover().run().code(0);
    let ran = world.a2z(["status"]).run().code(0);
    assert!(ran.stdout.contains("not running") && ran.stdout.contains("30 the same"), "{}", ran.stdout);
    world.deactivate(&world.tenant().row(3).unwrap().user_id);
    world.verify([]).run().code(3);
    let ran = world.a2z(["status"]).run().code(0);
    assert!(ran.stdout.contains("29 the same, 1 different, 0 missing"), "{}", ran.stdout);
}

/// `a2z verify --login` with the ticket's hashes, the password on standard input.
fn login(world: &World, user: &str, password: &str) -> Run {
    world
        .a2z(["verify", "--login", user, "--passwords", "passwords.ndjson", "-vvv"])
        .stdin(format!("{password}\n").into_bytes())
}

#[test]
fn the_canary_signs_in_or_says_which_step_failed() {
    let mut rows: Vec<Row> = plain(40, 12).rows().collect();
    let with_password = |row: &&Row| row.password.is_some_and(|password| password.len() <= 72);
    let ids: Vec<usize> = rows.iter().enumerate().filter(|(_, row)| with_password(row)).map(|(at, _)| at).collect();
    let [good, blocked, without, changed] = [ids[0], ids[1], ids[2], ids[3]];
    rows[blocked].fields.retain(|(name, _)| name != "blocked");
    rows[blocked].fields.push(("blocked".into(), "true".to_owned()));
    let hashless = std::mem::take(&mut rows[without].hashes);
    assert!(!hashless.is_empty());
    let world = World::of(Tenant::of(rows.clone())).start();
    world.cutover().run().code(0);
    let password = |at: usize| rows[at].password.unwrap();
    let id = |at: usize| rows[at].user_id.as_str();

    // By id, by user name, by e-mail.
    let email = rows[good].email.clone().unwrap();
    let upper = email.to_uppercase();
    let mut said = Vec::new();
    for user in [id(good), upper.as_str(), email.as_str()] {
        let ran = login(&world, user, password(good)).run().code(0);
        assert!(ran.stdout.contains("hash        fits the password (bcrypt 10)"), "{}", ran.stdout);
        assert!(ran.stdout.contains("ZITADEL takes the password") && ran.stdout.contains(id(good)), "{}", ran.stdout);
        assert!(ran.stderr.contains("hash the password again"), "{}", ran.stderr);
        said.push(ran);
    }
    let sessions = |world: &World, method: &str| {
        let seen = world.zitadel.requests();
        seen.iter().filter(|seen| seen.method == method && seen.path.starts_with("/v2/sessions")).count()
    };
    assert_eq!((sessions(&world, "POST"), sessions(&world, "DELETE")), (3, 3));

    // A wrong one is stopped here: at ZITADEL it would count.
    let ran = login(&world, id(good), "not the password").run().code(3);
    assert!(ran.error().contains("does not fit the hash from Auth0"), "{}", ran.error());
    assert_eq!(sessions(&world, "POST"), 3);
    said.push(ran);
    // Without a hash file ZITADEL alone is asked, and says so by an id.
    let alone = world.a2z(["verify", "--login", id(good)]).stdin(b"not the password".to_vec());
    let ran = alone.run().code(3);
    assert!(ran.stdout.contains("no hash file") && ran.error().contains("COMMAND-3M0fs"), "{}", ran.error());
    said.push(ran);
    // Changed in ZITADEL since.
    let other = rows[good].hashes[0].clone();
    let other: Value = serde_json::from_str(&other).unwrap();
    let other = other["passwordHash"].as_str().unwrap().to_owned();
    if password(changed) != password(good) {
        world.zitadel.tamper(id(changed), |user| user.hash = Some(other));
        let ran = login(&world, id(changed), password(changed)).run().code(3);
        assert!(ran.error().contains("fits the hash from Auth0, and ZITADEL calls it wrong"), "{}", ran.error());
        said.push(ran);
    }
    let ran = login(&world, id(blocked), password(blocked)).run().code(3);
    assert!(ran.error().contains("inactive or locked") && ran.error().contains("SESSION-Gj4ko"), "{}", ran.error());
    said.push(ran);
    let ran = login(&world, id(without), password(without)).run().code(3);
    assert!(
        ran.stdout.contains("the hash files have none") && ran.error().contains("COMMAND-3nJ4t"),
        "{}",
        ran.error()
    );
    said.push(ran);
    // Whom the ledger knows by a name that the login page does not find.
    let name = store_name(&world, id(good));
    world.zitadel.tamper(id(good), |user| (user.user_name, user.email) = ("renamed".into(), "new@example.com".into()));
    let ran = login(&world, &name, password(good)).run().code(3);
    assert!(ran.error().contains("login finds nobody by") && ran.error().contains(id(good)), "{}", ran.error());
    login(&world, "RENAMED", password(good)).run().code(0);
    let ran = login(&world, "nobody@example.com", "x").run().code(2);
    assert!(ran.error().contains("nobody has the id"), "{}", ran.error());
    let ran = login(&world, id(good), "").run().code(2);
    assert!(ran.error().contains("no password was given"), "{}", ran.error());
    for ran in &said {
        for row in [good, blocked, without, changed] {
            assert!(!ran.stdout.contains(password(row)) && !ran.stderr.contains(password(row)), "{}", ran.stderr);
        }
        assert!(!ran.stderr.contains("not the password") && !ran.stderr.contains("$2b$"), "{}", ran.stderr);
    }
}

fn store_name(world: &World, id: &str) -> String {
    world.store()[id].user_name.clone()
}

/// As ZITADEL's login page looks: by login name, and only if nobody has it by e-mail or phone number.
#[test]
fn the_canary_is_found_as_the_login_page_finds_people() {
    let rows: Vec<Row> = plain(60, 12).rows().collect();
    let fits = |row: &&Row| row.password.is_some_and(|password| password.len() <= 72);
    let people: Vec<&Row> = rows.iter().filter(fits).take(4).collect();
    let world = World::of(Tenant::of(rows.clone())).start();
    world.cutover().run().code(0);
    let [one, two, three, four] = [0, 1, 2, 3].map(|at| people[at].user_id.as_str());
    let password = |at: usize| people[at].password.unwrap();
    let found = |name: &str, at: usize| {
        let ran = login(&world, name, password(at)).run().code(0);
        assert!(ran.stdout.contains(&format!("user        {}\n", people[at].user_id)), "{name}: {}", ran.stdout);
    };
    world.zitadel.tamper(one, |user| {
        (user.user_name, user.email) = ("Shared@Example.com".into(), "one@example.com".into());
        user.phone = Some("+41791112233".into());
    });
    world.zitadel.tamper(two, |user| (user.user_name, user.email) = ("two".into(), "shared@example.com".into()));
    found("shared@example.com", 0);
    found("ONE@example.com", 0);
    found("+41791112233", 0);
    found("Two", 1);
    let ran = login(&world, "079 111 22 33", password(0)).run().code(2);
    assert!(ran.error().contains("nobody has"), "{}", ran.error());
    // Two users, one address: the page refuses it, and says so.
    for (id, name) in [(three, "three"), (four, "four")] {
        let email = if id == three { "Twice@example.com" } else { "twice@example.com" };
        world.zitadel.tamper(id, |user| (user.user_name, user.email) = (name.into(), email.into()));
    }
    let ran = login(&world, "twice@example.com", password(2)).run().code(3);
    for words in ["several users are found by", "Multiple users found", three, four, "signs in as `three`"] {
        assert!(ran.error().contains(words), "`{words}`: {}", ran.error());
    }
    found("three", 2);
    // One address, one as a phone number: two hits as well.
    world.zitadel.tamper(three, |user| user.phone = Some("+41790000000".into()));
    world.zitadel.tamper(four, |user| user.phone = Some("+41790000000".into()));
    login(&world, "+41790000000", password(2)).run().code(3);
}
