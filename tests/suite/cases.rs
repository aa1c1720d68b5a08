//! One user of every kind, with the ZITADEL user that is sent for it, whole. The table of the handbook is made from the same
//! file. `A2Z_TEST_BLESS=1` writes it again.

use std::{collections::BTreeSet, fmt::Write as _, fs, path::PathBuf};

use a2z::{
    auth0::rows::{RowKind, Rows},
    config::{Config, Environment, Overrides, Source, UnmatchedIdps, load},
    event::Events,
    hashes::{HashIndex, LoadOptions, mfa::MfaIndex},
    input::Options,
    join::{self, Shape},
    mapping::{
        self, Mapped, Roads,
        draft::{Link, Route},
        links::links,
        providers::{Found, Match, Providers, Target},
    },
};
use secrecy::ExposeSecret;
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Cases {
    pub(crate) kind: Vec<Kind>,
}

/// A row of the table.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Kind {
    pub(crate) auth0: String,
    zitadel: String,
    #[serde(default)]
    codes: Vec<String>,
    #[serde(default)]
    pub(crate) case: Vec<Case>,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Case {
    #[serde(default)]
    pub(crate) config: String,
    pub(crate) user: String,
    #[serde(default)]
    pub(crate) hashes: Vec<String>,
    /// What the plan matched: `connection strategy idp-id`, or `connection strategy -` for none; then perhaps
    /// `no-creation`, `same-client`, `options-unknown`.
    #[serde(default)]
    pub(crate) providers: Vec<String>,
    #[serde(default)]
    pub(crate) mfa: Vec<String>,
    pub(crate) becomes: String,
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

pub(crate) fn cases() -> Cases {
    toml::from_str(&fs::read_to_string(root().join("tests/cases/kinds.toml")).unwrap()).unwrap()
}

impl Case {
    /// What is sent, as JSON: absent is not sent.
    fn run(&self) -> Value {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            fs::write(folder.path().join(name), text).unwrap();
            folder.path().join(name)
        };
        let file = write("a2z.toml", &self.config);
        let overrides = Overrides { config: Some(file), ..Overrides::default() };
        let Config { mapping, join, idps, .. } = load(&overrides, &Environment::default()).unwrap().config;
        let hashes = Source::File(write("hashes.ndjson", &self.hashes.join("\n")));
        let loading = LoadOptions { max_line: 1 << 20, verifiers: mapping.verifiers, ..LoadOptions::default() };
        let hashes = if self.hashes.is_empty() {
            HashIndex::empty()
        } else {
            HashIndex::load(&[hashes], &loading, &Events::silent()).unwrap()
        };
        let users = Source::File(write("users.ndjson", &self.user));
        let row = Rows::open(&users, &Options::new(1 << 20, "--users")).unwrap().next().unwrap().unwrap();
        let RowKind::User(user) = row.kind else { return json!({ "blocked": "malformed-row" }) };
        let mut joined = join::join(*user, &hashes, &join, &Shape::default());
        let matches = self.providers.iter().map(|line| matched(line)).collect();
        let providers = Providers { matches, block_unmatched: idps.unmatched == UnmatchedIdps::Block };
        joined.links = links(&joined.user, &providers, &mut joined.findings);
        let user_id = joined.user.user_id.clone();
        let mut mapped = mapping::map(joined, &mapping, Roads::Both { users_api_from_metadata_keys: 4 });
        let mfa = Source::File(write("mfa.ndjson", &self.mfa.join("\n")));
        if let (false, Ok(draft)) = (self.mfa.is_empty(), &mut mapped.draft) {
            let mfa = MfaIndex::load(&[mfa], &loading, &Events::silent()).unwrap();
            mapping::factors::give(draft, mfa.find(&user_id).unwrap(), true, &mut mapped.findings);
        }
        shown(mapped)
    }
}

fn matched(line: &str) -> (String, Match) {
    let words: Vec<&str> = line.split(' ').collect();
    let target = (words[2] != "-").then(|| Target {
        idp_id: words[2].to_owned(),
        name: "P".into(),
        found: Found::Configured,
        creation_allowed: !words.contains(&"no-creation"),
        linking_allowed: true,
        of_organization: false,
        same_client: words.contains(&"same-client"),
    });
    let strategy = words[1].to_owned();
    let options_unknown = words.contains(&"options-unknown");
    let (why_not, ambiguous, id_attribute) = (None, false, None);
    (words[0].to_owned(), Match { strategy, target, why_not, ambiguous, id_attribute, options_unknown })
}

fn shown(mapped: Mapped) -> Value {
    let findings: Vec<&str> = mapped.findings.iter().map(|finding| finding.code.code()).collect();
    let mut out = match mapped.draft {
        Err(blocked) => json!({ "blocked": blocked.code.code(), "detail": blocked.detail }),
        Ok(draft) => {
            let metadata: Vec<_> = draft
                .metadata
                .iter()
                .map(|entry| json!([entry.key, String::from_utf8(entry.value.clone()).unwrap()]))
                .collect();
            let link = |link: &Link| json!([link.idp_id, link.external_user_id, link.display_name]);
            let links: Vec<_> = draft.links.iter().map(link).collect();
            let codes: Vec<_> = draft.recovery_codes.iter().map(ExposeSecret::expose_secret).collect();
            json!({
                "route": if draft.route(4) == Route::Import { "import" } else { "users-api" },
                "userId": draft.user_id,
                "userName": draft.user_name,
                "firstName": draft.profile.first_name,
                "lastName": draft.profile.last_name,
                "displayName": draft.profile.display_name,
                "nickName": draft.profile.nick_name,
                "language": draft.profile.preferred_language,
                "email": draft.email.address,
                "verified": draft.email.verified,
                "phone": draft.phone.as_ref().map(|phone| &phone.number),
                "phoneVerified": draft.phone.as_ref().map(|phone| phone.verified),
                "hash": draft.password.as_ref().map(|password| password.hash.expose_secret()),
                "totp": draft.totp_secret.as_ref().map(ExposeSecret::expose_secret),
                "recoveryCodes": (!codes.is_empty()).then_some(codes),
                "changeRequired": draft.password.as_ref().filter(|password| password.change_required).map(|_| true),
                "inactive": draft.inactive.then_some(true),
                "links": (!links.is_empty()).then_some(links),
                "metadata": (!metadata.is_empty()).then_some(metadata),
            })
        }
    };
    let fields = out.as_object_mut().unwrap();
    if !findings.is_empty() {
        fields.insert("findings".into(), json!(findings));
    }
    fields.retain(|_, value| !value.is_null());
    out
}

#[test]
fn each_kind_of_user_becomes_what_the_table_says() {
    let mut wrong = String::new();
    let mut seen = 0;
    for kind in cases().kind {
        for case in &kind.case {
            seen += 1;
            let expected: Value = serde_json::from_str(&case.becomes).unwrap();
            let found = case.run();
            if found != expected {
                writeln!(wrong, "\n{}\n  expected {expected}\n  found    {found}", kind.auth0).unwrap();
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    assert!(seen > 25, "{seen} cases");
}

/// The codes of a row: its own, then those of its cases, in the order in which they come.
fn codes(kind: &Kind) -> Vec<String> {
    let mut codes = kind.codes.clone();
    for case in &kind.case {
        let expected: Value = serde_json::from_str(&case.becomes).unwrap();
        let of_case = expected["blocked"].as_str().into_iter().chain(
            // What every database user without a hash has is not what its row is about.
            expected["findings"].as_array().into_iter().flatten().filter_map(Value::as_str),
        );
        for code in of_case.filter(|code| *code != "no-hash" || kind.auth0.contains("no hash")) {
            if !codes.iter().any(|known| known == code) {
                codes.push(code.to_owned());
            }
        }
    }
    codes
}

#[test]
fn the_handbooks_table_is_made_from_the_cases() {
    let path = root().join("docs/src/users.md");
    let readme = fs::read_to_string(&path).unwrap();
    let mut table = String::from("| Auth0 user | In ZITADEL | Code |\n|---|---|---|\n");
    for kind in cases().kind {
        let codes: Vec<String> = codes(&kind).iter().map(|code| format!("`{code}`")).collect();
        writeln!(table, "| {} | {} | {} |", kind.auth0, kind.zitadel, codes.join(", ")).unwrap();
    }
    let table = table.replace("|  |\n", "| |\n");
    let (before, rest) = readme.split_once("<!-- kinds -->\n").unwrap();
    let (old, after) = rest.split_once("<!-- end of kinds -->").unwrap();
    if std::env::var_os("A2Z_TEST_BLESS").is_some() {
        fs::write(&path, format!("{before}<!-- kinds -->\n{table}<!-- end of kinds -->{after}")).unwrap();
        return;
    }
    assert_eq!(old, table, "A2Z_TEST_BLESS=1 cargo test --test suite cases:: writes the table anew");
}

/// Every code that the mapping can give has a case, or stands in a row of its own; those that need an export as a whole do not.
#[test]
fn no_code_is_without_a_row() {
    use a2z::mapping::finding::{BlockedCode, FindingCode};
    let known: BTreeSet<String> = cases().kind.iter().flat_map(codes).collect();
    let all = BlockedCode::ALL.iter().map(|code| code.code()).chain(FindingCode::ALL.iter().map(|code| code.code()));
    let without: BTreeSet<&str> = all.filter(|code| !known.contains(*code)).collect();
    let elsewhere: BTreeSet<&str> = [
        "bad-user-id",
        "bad-user-name",
        "differs-in-zitadel",
        "email-verified-unknown",
        "ghost-user",
        "gone-from-zitadel",
        "in-zitadel-already",
        "incomplete",
        "joined-by-email",
        "language-dropped",
        "missing-in-zitadel",
        "name-cleaned",
        "owner-unknown",
        "name-cut",
        "refused-by-zitadel",
        "rolled-back",
        "verified-by-hash-row",
    ]
    .into();
    let missing: Vec<_> = without.difference(&elsewhere).collect();
    assert!(missing.is_empty(), "add a case to tests/cases/kinds.toml for {missing:?}");
}
