//! One made-up user: a pure function of the seed, the place and the oddities.

use std::borrow::Cow;

use jiff::Timestamp;
use serde_json::json as value;

use super::{
    oddity::{Axis, Oddity},
    random::{Random, mix},
    row::{Row, json, object},
    ticket::{HashForm, hash_row, mfa_rows},
};

/// The connection of plain users.
pub(super) const DATABASE: &str = "Username-Password-Authentication";
/// A second database, the other half of collisions.
pub(super) const SECOND_DATABASE: &str = "customers-legacy";
pub(super) const USERNAMES: &str = "usernames";
pub(super) const CUSTOM_DATABASE: &str = "custom-lazy";

const GIVEN: &[&str] = &["Ada", "Björn", "Chiara", "Dmitri", "Élodie", "Fatima", "Grace", "Hiroshi", "Ines", "José"];
const FAMILY: &[&str] =
    &["Almeida", "Becker", "Çelik", "Dubois", "Eriksson", "Fischer", "García", "Hopper", "Ivanova", "O'Neill"];

/// 2019-01-01 in Unix seconds: nobody here is older.
const FIRST_DAY: i64 = 1_546_300_800;
const DAY: i64 = 86_400;

/// What is known of the user while it is made.
struct Draft {
    index: u64,
    random: Random,
    hex: String,
    drawn: Vec<Oddity>,
    /// Drawn and possible for this user.
    labels: Vec<Oddity>,
    user_id: String,
    /// The database identity, primary or linked, with its connection; `None` for everybody else.
    database: Option<(String, &'static str)>,
    connection: &'static str,
    identities: Vec<String>,
    email: Option<String>,
    username: Option<String>,
    phone: Option<(String, bool)>,
}

/// The row at `index`. `before` is the row before it, which pairs need.
pub(super) fn make(seed: u64, index: u64, drawn: Vec<Oddity>, before: Option<&Row>) -> Row {
    let mut random = Random::new(seed, index);
    let created = FIRST_DAY + i64::try_from(random.below(5 * 365)).unwrap_or_default() * DAY;
    let mut draft = Draft {
        index,
        hex: format!("{created:08x}{:016x}", mix(seed ^ index)),
        random,
        drawn,
        labels: Vec::new(),
        user_id: String::new(),
        database: None,
        connection: DATABASE,
        identities: Vec::new(),
        email: None,
        username: None,
        phone: None,
    };
    if let Some(row) = draft.line(before) {
        return row;
    }
    let given = draft.random.pick(GIVEN);
    let family = draft.random.pick(FAMILY);
    draft.email = Some(format!("{}.{}{index}@example.com", ascii(given), ascii(family)));
    draft.account(before);
    draft.odd_email();
    draft.finish(given, family, created)
}

/// Lower case, and ASCII letters only.
fn ascii(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphabetic).map(|letter| letter.to_ascii_lowercase()).collect()
}

/// `2023-01-25T17:48:14.784Z`: milliseconds and `Z`, as Auth0 writes every date.
pub(crate) fn date(seconds: i64, milliseconds: u64) -> String {
    let seconds = Timestamp::from_second(seconds).unwrap_or_default();
    format!("{}.{:03}Z", seconds.strftime("%Y-%m-%dT%H:%M:%S"), milliseconds % 1000)
}

fn identity(connection: &str, user_id_json: &str, provider: &str, social: bool, profile: Option<&str>) -> String {
    let (connection, provider) = (json(connection), json(provider));
    let mut fields = vec![
        ("connection", connection.as_str()),
        ("user_id", user_id_json),
        ("provider", provider.as_str()),
        ("isSocial", if social { "true" } else { "false" }),
    ];
    if let Some(profile) = profile {
        fields.insert(0, ("profileData", profile));
    }
    object(fields)
}

impl Draft {
    /// Takes the oddity of an axis, where one was drawn.
    fn drawn(&self, axis: Axis) -> Option<Oddity> {
        self.drawn.iter().copied().find(|oddity| oddity.axis() == axis)
    }

    /// Takes an oddity of an axis for this user.
    fn take(&mut self, axis: Axis, possible: impl Fn(Oddity) -> bool) -> Option<Oddity> {
        let oddity = self.drawn(axis).filter(|oddity| possible(*oddity))?;
        self.labels.push(oddity);
        Some(oddity)
    }

    fn line(&mut self, before: Option<&Row>) -> Option<Row> {
        let oddity = self.take(Axis::Line, |oddity| !oddity.is_pair() || before.is_some())?;
        let damaged = match oddity {
            Oddity::CutLine => format!("{{\"user_id\":\"auth0|{}\",\"email\":\"cut{}@exam", self.hex, self.index),
            Oddity::NotAnObject => format!("[\"auth0|{}\"]", self.hex),
            Oddity::NoUserId => format!("{{\"email\":\"nobody{}@example.com\",\"email_verified\":true}}", self.index),
            _ => {
                let before = before?;
                let labels = self.labels.clone();
                return Some(Row { index: self.index, labels, hashes: Vec::new(), mfa: Vec::new(), ..before.clone() });
            }
        };
        let labels = self.labels.clone();
        Some(Row { index: self.index, labels, damaged: Some(damaged), ..Row::default() })
    }

    /// A primary identity in a database.
    fn database(&mut self, connection: &'static str, local: String) {
        self.user_id = format!("auth0|{local}");
        self.identities.push(identity(connection, &json(&local), "auth0", false, None));
        self.connection = connection;
        self.database = Some((local, connection));
    }

    /// A primary identity at another provider; `raw` is its id as JSON.
    fn foreign(&mut self, provider: &str, connection: &'static str, local: &str, raw: &str, social: bool) {
        self.user_id = format!("{provider}|{local}");
        self.identities.push(identity(connection, raw, provider, social, None));
        self.connection = connection;
    }

    fn google_id(&mut self) -> String {
        // 21 digits, as Google gives them: more than a double can hold.
        format!("1{:020}", u128::from(self.random.next()))
    }

    fn account(&mut self, before: Option<&Row>) {
        let hex = self.hex.clone();
        let alt = format!("customer-{}", self.index);
        let Some(kind) = self.take(Axis::Account, |oddity| !oddity.is_pair() || before.is_some()) else {
            // `alt_id` belongs to users who came with an id of their own.
            let local = if self.drawn(Axis::Hash) == Some(Oddity::HashAltId) { alt } else { hex };
            return self.database(DATABASE, local);
        };
        match kind {
            Oddity::GoogleSocial => {
                let id = self.google_id();
                self.foreign("google-oauth2", "google-oauth2", &id, &json(&id), true);
            }
            Oddity::NumericId => {
                let id = self.google_id();
                self.foreign("google-oauth2", "google-oauth2", &id, &id, true);
            }
            Oddity::GithubSocial => {
                let id = (1_000_000 + self.index).to_string();
                self.foreign("github", "github", &id, &json(&id), true);
            }
            Oddity::MicrosoftSocial => {
                let id = format!("{:016x}", mix(self.index));
                self.foreign("windowslive", "windowslive", &id, &json(&id), true);
            }
            Oddity::AppleSocial => {
                let id = format!("{:06}.{hex}.{:04}", self.index % 1_000_000, self.index % 2400);
                self.foreign("apple", "apple", &id, &json(&id), true);
            }
            Oddity::SamlEnterprise => {
                let id = format!("acme-saml|user{}|acme.example", self.index);
                self.foreign("samlp", "acme-saml", &id, &json(&id), false);
            }
            Oddity::OidcEnterprise => {
                let id = format!("acme-oidc|https://id.acme.example/users/{}", self.index);
                self.foreign("oidc", "acme-oidc", &id, &json(&id), false);
            }
            Oddity::LinkedDatabasePrimary => {
                self.database(DATABASE, hex);
                let id = self.google_id();
                let profile = value!({"email": format!("linked{}@gmail.example", self.index), "email_verified": true,
                                      "name": "Linked Account"});
                let profile = profile.to_string();
                self.identities.push(identity("google-oauth2", &json(&id), "google-oauth2", true, Some(&profile)));
            }
            Oddity::LinkedSocialPrimary => {
                let id = self.google_id();
                self.foreign("google-oauth2", "google-oauth2", &id, &json(&id), true);
                let profile = value!({"email": self.email, "email_verified": true}).to_string();
                self.identities.push(identity(DATABASE, &json(&hex), "auth0", false, Some(&profile)));
                self.database = Some((hex, DATABASE));
            }
            Oddity::DoublePrefix => self.database(DATABASE, format!("auth0|{hex}")),
            Oddity::UsernameConnection => {
                self.username = Some(format!("user{}", self.index));
                self.database(USERNAMES, hex);
            }
            Oddity::CustomDatabase => {
                self.database(CUSTOM_DATABASE, self.index.to_string());
                // Auth0 never held a hash of these.
                self.database = None;
            }
            Oddity::SmsUser => {
                self.email = None;
                self.phone = Some((format!("+4915{:08}", self.index % 100_000_000), true));
                self.foreign("sms", "sms", &hex, &json(&hex), false);
            }
            Oddity::PasswordlessEmail => self.foreign("email", "email", &hex, &json(&hex), false),
            Oddity::LongUserId => self.database(DATABASE, format!("{hex}-{}", "long-".repeat(40))),
            Oddity::SharedEmail => {
                self.email = before.and_then(|row| row.email.clone());
                self.database(SECOND_DATABASE, hex);
            }
            Oddity::SharedEmailMixedCase => {
                // A custom database keeps the case; Auth0 itself lowers it.
                self.email = before.and_then(|row| row.email.as_deref().map(mixed_case));
                self.database(CUSTOM_DATABASE, self.index.to_string());
                self.database = None;
            }
            _ => {
                let same = before.map(|row| row.user_id.trim_start_matches("auth0|").to_owned());
                self.database(SECOND_DATABASE, same.unwrap_or(hex));
            }
        }
    }

    fn odd_email(&mut self) {
        let decided = [Oddity::SharedEmail, Oddity::SharedEmailMixedCase, Oddity::SmsUser, Oddity::PasswordlessEmail];
        if self.labels.iter().any(|label| decided.contains(label)) {
            return;
        }
        let hashed = self.database.is_some() && self.drawn(Axis::Hash) != Some(Oddity::NoHash);
        let index = self.index;
        match self.take(Axis::Email, |oddity| oddity != Oddity::UpperCaseEmail || hashed) {
            Some(Oddity::EmptyEmail) => self.email = Some(String::new()),
            Some(Oddity::NoEmail) => self.email = None,
            Some(Oddity::IdnEmail) => self.email = Some(format!("user{index}@bücher.example")),
            Some(Oddity::LocalhostEmail) => self.email = Some(format!("user{index}@localhost")),
            Some(Oddity::QuotedEmail) => self.email = Some(format!("\"user {index}\"@example.com")),
            Some(Oddity::TwoDotsEmail) => self.email = Some(format!("user..{index}@example.com")),
            _ => {}
        }
    }

    /// `name`, `given_name`, `family_name`, `nickname`.
    fn names(&mut self, given: &str, family: &str) -> [Option<String>; 4] {
        let full = format!("{given} {family}");
        let local = self.email.as_deref().and_then(|email| email.split('@').next()).unwrap_or(given).to_owned();
        let all = |text: String| [Some(text.clone()), Some(text.clone()), Some(text.clone()), Some(text)];
        if self.labels.contains(&Oddity::SmsUser) {
            // As Auth0 fills it in: the phone number is the name.
            return [self.phone.as_ref().map(|phone| phone.0.clone()), None, None, None];
        }
        match self.take(Axis::Name, |_| true) {
            Some(Oddity::NameIsEmail) => [self.email.clone(), None, None, Some(local)],
            Some(Oddity::NameMissing) => [None, None, None, None],
            Some(Oddity::OneName) => [Some(given.to_owned()), None, None, Some(local)],
            Some(Oddity::LongName) => all("Wolfeschlegelsteinhausen".repeat(13)),
            Some(Oddity::WhitespaceName) => all(" \t ".to_owned()),
            Some(Oddity::RightToLeftName) => all("\u{202e}שָׁלוֹם בן־דוד".to_owned()),
            Some(Oddity::TerminalEscape) => all("\u{1b}[2J\u{1b}]0;owned\u{7}Mallory".to_owned()),
            Some(Oddity::NulName) => all("Null\u{0}Byte".to_owned()),
            Some(Oddity::EmojiName) => all("👩\u{200d}🚀 Ace".to_owned()),
            _ => [Some(full), Some(given.to_owned()), Some(family.to_owned()), Some(local)],
        }
    }

    fn metadata(&mut self) -> (Option<String>, Option<String>) {
        let plain = self.index.is_multiple_of(3).then(|| format!(r#"{{"plan":"pro","seat":{}}}"#, self.index));
        match self.take(Axis::Metadata, |_| true) {
            Some(Oddity::BigInteger) => (Some(r#"{"account":9007199254740993123456789,"e":1.10}"#.to_owned()), plain),
            Some(Oddity::UnicodeMetadata) => {
                (Some(r#"{"ключ":"zn\u00e4če \ud83d\ude00","a\u0000b":""}"#.to_owned()), plain)
            }
            Some(Oddity::NestedMetadata) => {
                (Some(r#"{"a":[{"b":{"c":[[],[{"d":null}]]}},1e3,-0.0],"z":{"y":false}}"#.to_owned()), plain)
            }
            Some(Oddity::EmptyMetadata) => (Some("{}".to_owned()), Some("{}".to_owned())),
            Some(Oddity::SixKeys) => {
                (Some(r#"{"one":1,"two":"2","three":[3],"four":{"4":4},"five":null,"six":true}"#.to_owned()), plain)
            }
            Some(Oddity::HugeMetadata) => (Some(format!(r#"{{"blob":"{}"}}"#, "0123456789".repeat(50_010))), plain),
            _ => (plain, self.index.is_multiple_of(5).then(|| r#"{"roles":["customer"]}"#.to_owned())),
        }
    }

    fn phone(&mut self) {
        if self.phone.is_some() {
            return;
        }
        let digits = self.index % 10_000_000;
        self.phone = match self.take(Axis::Phone, |_| true) {
            Some(Oddity::VerifiedPhone) => Some((format!("+4179{digits:07}"), true)),
            Some(Oddity::UnverifiedPhone) => Some((format!("+4176{digits:07}"), false)),
            Some(Oddity::BadPhone) => Some((format!("0{digits:07} ext. 5"), true)),
            _ => None,
        };
    }

    fn locale(&mut self) -> Option<&'static str> {
        match self.take(Axis::Locale, |_| true)? {
            Oddity::LocaleUnderscore => Some("en_US"),
            Oddity::LocaleHyphen => Some("pt-BR"),
            Oddity::LocalePlain => Some("de"),
            _ => Some("Klingon (formal)"),
        }
    }

    fn finish(mut self, given: &str, family: &str, created: i64) -> Row {
        let milliseconds = self.random.below(1000);
        let signed_in = created + DAY * i64::try_from(1 + self.random.below(365)).unwrap_or(1);
        let reset = (self.random.below(10) < 3).then_some(created + DAY / 2);
        let wants_verified = self.email.as_deref().is_some_and(|email| !email.is_empty());
        let verified = wants_verified && self.take(Axis::Verification, |_| true).is_none();
        let blocked = self.take(Axis::State, |_| true).is_some();
        self.phone();
        let locale = self.locale();
        let [name, given_name, family_name, nickname] = self.names(given, family);
        let (user_metadata, app_metadata) = self.metadata();
        let (mut row, reset) = self.secrets(verified, created, reset);
        let as_objects = self.take(Axis::Dates, |_| true).is_some();
        let when = |seconds: i64| {
            let text = json(&date(seconds, milliseconds));
            if as_objects { format!("{{\"$date\":{text}}}") } else { text }
        };
        let text = |value: Option<String>| value.map(|value| json(value.as_str()));
        let (phone, phone_verified) = self.phone.clone().unzip();
        let factors = self.labels.contains(&Oddity::LegacyMultifactor);
        // In the order in which the recorded tenant gives them: by name, `app_metadata` last.
        let fields = [
            ("blocked", blocked.then(|| "true".to_owned())),
            ("created_at", Some(when(created))),
            ("email", text(self.email.clone())),
            ("email_verified", self.email.as_ref().map(|_| verified.to_string())),
            ("family_name", text(family_name)),
            ("given_name", text(given_name)),
            ("identities", Some(format!("[{}]", self.identities.join(",")))),
            ("last_login", Some(when(signed_in))),
            ("last_password_reset", reset.map(when)),
            ("locale", locale.map(json)),
            ("logins_count", Some((1 + self.index % 97).to_string())),
            ("multifactor", factors.then(|| r#"["google-authenticator"]"#.to_owned())),
            ("name", text(name)),
            ("nickname", text(nickname)),
            ("phone_number", text(phone)),
            ("phone_verified", phone_verified.map(|verified| verified.to_string())),
            ("picture", Some(json(&format!("https://s.gravatar.com/avatar/{}?s=480", self.hex)))),
            ("updated_at", Some(when(signed_in))),
            ("user_id", Some(json(&self.user_id))),
            ("user_metadata", user_metadata),
            ("username", text(self.username.clone())),
            ("app_metadata", app_metadata),
        ];
        row.fields = fields.into_iter().filter_map(|(key, raw)| raw.map(|raw| (Cow::Borrowed(key), raw))).collect();
        row.index = self.index;
        row.user_id = self.user_id;
        self.connection.clone_into(&mut row.connection);
        row.email = self.email;
        row.labels = self.labels;
        row
    }

    /// The ticket-file rows, the password that they give, and when the password was reset last.
    fn secrets(&mut self, verified: bool, created: i64, reset: Option<i64>) -> (Row, Option<i64>) {
        let mut row = Row::default();
        let Some((local, connection)) = self.database.clone() else { return (row, None) };
        let own_id = local != self.hex;
        let form = self.take(Axis::Hash, |oddity| match oddity {
            Oddity::HashAltId => own_id,
            Oddity::HashStringId | Oddity::HashPrefixedId => !own_id,
            _ => true,
        });
        let set = reset.unwrap_or(created);
        let reset = if form == Some(Oddity::StaleHash) { Some(set + 30 * DAY) } else { reset };
        let email = match &self.email {
            Some(email) if self.drawn(Axis::Email) == Some(Oddity::UpperCaseEmail) => Some(email.to_uppercase()),
            email => email.clone(),
        };
        let account =
            HashForm { hex: &self.hex, local: &local, connection, email: email.as_deref(), verified, set, form };
        (row.hashes, row.password) = hash_row(&mut self.random, &account);
        if form == Some(Oddity::HashWithoutUser) {
            let hex = format!("5fffffff{:016x}", mix(self.index ^ 0xdead));
            let stranger = HashForm { hex: &hex, local: &hex, email: Some("gone@example.com"), form: None, ..account };
            row.hashes.extend(hash_row(&mut self.random, &stranger).0);
        }
        if let Some(factor) = self.take(Axis::Factor, |_| true) {
            (row.mfa, row.authentication_methods) = mfa_rows(&mut self.random, factor, &self.user_id, created);
        }
        (row, reset)
    }
}

/// Every second letter in upper case.
fn mixed_case(email: &str) -> String {
    email
        .chars()
        .enumerate()
        .map(|(at, letter)| if at % 2 == 0 { letter.to_ascii_uppercase() } else { letter })
        .collect()
}
