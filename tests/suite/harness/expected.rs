//! The mapping table of the design, computed here once more from the tenant's own rows: it shares no code with a2z.

use std::{
    collections::{BTreeMap, HashMap},
    fmt::Debug,
};

use a2z::sandbox::{
    tenant::{Row, Tenant},
    zitadel::{User, UserState},
};
use jiff::Timestamp;
use serde_json::Value;

/// What is to become of every row of a tenant, in its order.
pub(crate) struct Expected {
    pub(crate) fates: Vec<Fate>,
}

/// What is to become of a row.
#[derive(Debug)]
pub(crate) enum Fate {
    /// A user in ZITADEL.
    Moved(Box<Person>),
    /// With this code.
    Rejected(&'static str),
    /// With this code.
    Skipped(&'static str),
}

/// A user as ZITADEL is to hold it.
#[derive(Debug, Clone)]
pub(crate) struct Person {
    pub(crate) id: String,
    pub(crate) user_name: String,
    first_name: String,
    last_name: String,
    display_name: String,
    nick_name: String,
    email: String,
    email_verified: bool,
    phone: Option<(String, bool)>,
    language: String,
    pub(crate) inactive: bool,
    pub(crate) hash: Option<String>,
    metadata: BTreeMap<String, Vec<u8>>,
    /// Clear, where it is known and the hash moved.
    pub(crate) password: Option<&'static str>,
    last_login: Option<Timestamp>,
}

impl Person {
    #[track_caller]
    pub(crate) fn assert_is(&self, user: &User, organization: &str) {
        let id = &self.id;
        same(id, "organization", &user.organization_id.as_str(), &organization);
        same(id, "user name", &user.user_name, &self.user_name);
        same(id, "first name", &user.first_name, &self.first_name);
        same(id, "last name", &user.last_name, &self.last_name);
        same(id, "display name", &user.display_name, &self.display_name);
        same(id, "nick name", &user.nick_name, &self.nick_name);
        same(id, "e-mail", &(&user.email, user.email_verified), &(&self.email, self.email_verified));
        let phone = user.phone.clone().map(|phone| (phone, user.phone_verified));
        same(id, "phone", &phone, &self.phone);
        same(id, "language", &user.language, &self.language);
        let state = if self.inactive { UserState::Inactive } else { UserState::Active };
        same(id, "state", &user.state, &state);
        same(id, "hash", &user.hash, &self.hash);
        same(id, "change required", &user.change_required, &false);
        same(id, "links", &user.links, &Vec::new());
        let text = |metadata: &BTreeMap<String, Vec<u8>>| {
            let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
            metadata.iter().map(|(key, value)| (key.clone(), text(value))).collect::<BTreeMap<_, _>>()
        };
        same(id, "metadata", &text(&user.metadata), &text(&self.metadata));
    }
}

#[track_caller]
fn same<T: PartialEq + Debug>(id: &str, what: &str, found: &T, expected: &T) {
    assert!(found == expected, "`{id}`, {what}: found {found:?}, expected {expected:?}");
}

/// A row of the hash file: the hash, its date, and the id as it is written.
type HashRow = (Option<String>, Option<Timestamp>, String);

/// Rows of the hash file by connection and id.
struct Hashes(HashMap<(String, String), HashRow>);

impl Hashes {
    fn of(tenant: &Tenant) -> Self {
        let mut hashes = HashMap::new();
        for line in tenant.rows().flat_map(|row| row.hashes) {
            let row: Value = serde_json::from_str(&line).unwrap();
            let id = row["alt_id"].as_str().or(row["_id"]["$oid"].as_str()).or(row["_id"].as_str()).unwrap();
            let hash = row["passwordHash"].as_str().map(str::to_owned);
            let set = time(&row["password_set_date"]);
            hashes.insert((row["connection"].as_str().unwrap().to_owned(), bare(id)), (hash, set, id.to_owned()));
        }
        Self(hashes)
    }
}

/// An id of a database without the provider, however often it stands before it.
fn bare(id: &str) -> String {
    id.trim_start_matches("auth0|").to_owned()
}

fn time(value: &Value) -> Option<Timestamp> {
    value["$date"].as_str().or(value.as_str())?.parse().ok()
}

impl Expected {
    /// With both roads open, and the defaults of the configuration.
    pub(crate) fn of(tenant: &Tenant) -> Self {
        Self::with(tenant, true)
    }

    pub(crate) fn with(tenant: &Tenant, may_import: bool) -> Self {
        let hashes = Hashes::of(tenant);
        let mut seen: HashMap<String, String> = HashMap::new();
        let mut fates: Vec<Fate> = tenant
            .rows()
            .map(|row| {
                if row.damaged.is_some() {
                    return Fate::Rejected("malformed-row");
                }
                match seen.get(&row.user_id) {
                    Some(connection) if *connection == row.connection => return Fate::Skipped("duplicate-user-id"),
                    Some(_) => return Fate::Rejected("duplicate-user-id"),
                    None => seen.insert(row.user_id.clone(), row.connection.clone()),
                };
                person(&row, &hashes, may_import).map_or_else(Fate::Rejected, |person| Fate::Moved(Box::new(person)))
            })
            .collect();
        block_collisions(&mut fates);
        Self { fates }
    }

    /// Those who are to be in the store.
    pub(crate) fn users(&self) -> HashMap<&str, &Person> {
        self.people().map(|person| (person.id.as_str(), person)).collect()
    }

    pub(crate) fn people(&self) -> impl Iterator<Item = &Person> {
        self.fates.iter().filter_map(|fate| match fate {
            Fate::Moved(person) => Some(person.as_ref()),
            _ => None,
        })
    }

    pub(crate) fn moved(&self) -> u64 {
        self.people().count() as u64
    }
}

/// Of those who would share a user name, whatever its case, one is moved.
fn block_collisions(fates: &mut [Fate]) {
    let mut claims: HashMap<String, Vec<usize>> = HashMap::new();
    for (at, fate) in fates.iter().enumerate() {
        if let Fate::Moved(person) = fate {
            claims.entry(person.user_name.to_lowercase()).or_default().push(at);
        }
    }
    for group in claims.into_values().filter(|group| group.len() > 1) {
        let rank = |at: &usize| match &fates[*at] {
            // The best has the smallest rank.
            Fate::Moved(one) => {
                let login = one.last_login.map_or(i64::MAX, |at| -at.as_millisecond());
                (!one.email_verified, one.hash.is_none(), login, one.id.clone())
            }
            _ => unreachable!(),
        };
        let best = *group.iter().min_by_key(|at| rank(at)).unwrap();
        for at in group.into_iter().filter(|at| *at != best) {
            fates[at] = Fate::Rejected("duplicate-user-name");
        }
    }
}

fn person(row: &Row, hashes: &Hashes, may_import: bool) -> Result<Person, &'static str> {
    let user: Value = serde_json::from_str(&row.line()).unwrap();
    let text = |key: &str| user[key].as_str().map(str::trim).filter(|text| !text.is_empty());
    if row.user_id.chars().count() > 200 {
        return Err("bad-user-id");
    }
    // Without one of its own, the verified one of a linked identity.
    let linked = || user["identities"].as_array()?.iter().find_map(verified_email);
    let own = text("email");
    let email = own.or_else(linked).ok_or("no-email")?;
    if email.contains("..") {
        return Err("bad-email");
    }
    let email_verified = own.is_none() || user["email_verified"] == true;
    let local = email.rsplit_once('@').unwrap().0;

    let name = |key: &str| text(key).and_then(|name| cut(&clean(name)));
    let full = name("name").filter(|name| name.to_lowercase() != email.to_lowercase());
    let words =
        full.as_deref().map(|full| full.split_once(' ').map_or((full, None), |(first, rest)| (first, Some(rest))));
    let last_resort = || name("nickname").unwrap_or_else(|| local.to_owned());
    let first_name = name("given_name").or(words.map(|words| words.0.to_owned())).unwrap_or_else(last_resort);
    let last_name =
        name("family_name").or(words.and_then(|words| words.1.map(str::to_owned))).unwrap_or_else(last_resort);

    let phone = text("phone_number").filter(|number| is_e164(number));
    let phone = phone.map(|number| (number.to_owned(), user["phone_verified"] == true));
    let language = text("locale")
        .filter(|locale| !locale.contains(' '))
        .map_or_else(|| "und".to_owned(), |locale| locale.split(['-', '_']).next().unwrap_or_default().to_lowercase());
    let metadata: BTreeMap<_, _> = ["user_metadata", "app_metadata"]
        .into_iter()
        .filter_map(|key| Some((format!("auth0.{key}"), row.value_at(key)?.into_owned().into_bytes())))
        // An empty object says nothing, and ZITADEL takes at most 500,000 bytes.
        .filter(|(_, value)| value != b"{}" && value.len() <= 500_000)
        .collect();
    let hash = hash(row, &user, hashes);
    let by_import = may_import && email_verified && hash.is_some() && phone.as_ref().is_none_or(|phone| phone.1);
    if !by_import && !email.rsplit_once('@').unwrap().1.is_ascii() {
        return Err("bad-email");
    }
    Ok(Person {
        id: row.user_id.clone(),
        user_name: text("username").unwrap_or(email).to_owned(),
        display_name: full.clone().unwrap_or_else(|| format!("{first_name} {last_name}")),
        first_name,
        last_name,
        nick_name: name("nickname").unwrap_or_default(),
        email: email.to_owned(),
        email_verified,
        phone,
        language,
        inactive: user["blocked"] == true,
        password: row.password.filter(|_| hash.is_some()),
        hash,
        metadata,
        last_login: time(&user["last_login"]),
    })
}

fn verified_email(identity: &Value) -> Option<&str> {
    let profile = &identity["profileData"];
    profile["email"].as_str().filter(|_| profile["email_verified"] == true)
}

/// The hash of the user's database account, if ZITADEL takes it and it is not older than the last reset.
fn hash(row: &Row, user: &Value, hashes: &Hashes) -> Option<String> {
    let identities: Vec<&Value> =
        user["identities"].as_array()?.iter().filter(|one| one["provider"] == "auth0").collect();
    let has_email = user["email"].as_str().is_some_and(|email| !email.is_empty());
    let (hash, set, _) = identities.iter().find_map(|one| {
        let id = one["user_id"].as_str()?;
        let found = hashes.0.get(&(one["connection"].as_str()?.to_owned(), bare(id)))?;
        // A row with a prefix that the user has not must have the user's e-mail.
        (has_email || id.starts_with("auth0|") || !found.2.starts_with("auth0|")).then_some(found)
    })?;
    let hash = hash.as_ref().filter(|hash| is_usable(hash))?;
    // `last_password_reset` is of the primary identity.
    let primary = row.user_id.starts_with("auth0|");
    let stale = match (time(&user["last_password_reset"]), set) {
        (Some(reset), Some(set)) => primary && reset.as_second() > set.as_second() + 1,
        _ => false,
    };
    (!stale).then(|| hash.clone())
}

/// bcrypt, cost 10 to 16, whole.
fn is_usable(hash: &str) -> bool {
    let alphabet = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == '/';
    let Some((kind, rest)) = hash.strip_prefix('$').and_then(|rest| rest.split_once('$')) else { return false };
    let Some((cost, rest)) = rest.split_once('$') else { return false };
    ["2a", "2b", "2y"].contains(&kind)
        && cost.parse::<u8>().is_ok_and(|cost| (10..=16).contains(&cost))
        && rest.len() == 53
        && rest.chars().all(alphabet)
}

fn is_e164(number: &str) -> bool {
    let digits = number.strip_prefix('+').unwrap_or_default();
    (8..=15).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit()) && !digits.starts_with('0')
}

fn clean(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect::<String>().trim().to_owned()
}

fn cut(text: &str) -> Option<String> {
    let text: String = text.chars().take(200).collect();
    (!text.is_empty()).then_some(text)
}
