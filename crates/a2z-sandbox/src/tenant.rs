//! A made-up Auth0 tenant: users of every kind, with their ticket files.
//!
//! Rows are made on the fly, so that a million of them take no memory; the same options give the same bytes on every
//! machine.

mod made_up;
mod oddity;
mod random;
mod row;
mod secrets;
mod ticket;

#[cfg(test)]
mod tests;

use std::{
    io::{self, Write},
    sync::Arc,
};

use serde_json::{Value, json};

pub(crate) use self::{made_up::date, row::object};
pub use self::{
    oddity::{Axis, Oddity},
    row::Row,
    secrets::{IDP_SECRET, POOL},
};

/// How a tenant is made up.
#[derive(Debug, Clone, Copy)]
pub struct TenantOptions {
    /// Lines in the export, damaged ones and duplicates among them.
    pub users: u64,
    /// Another seed gives other users.
    pub seed: u64,
    /// The share of each oddity, from 0 to 1; scaled down where an axis has too many (`Axis`). Above 0, every oddity
    /// comes at least once where `users` is at least twice their number.
    pub oddity_rate: f64,
}

/// How a file is written.
#[derive(Debug, Clone, Copy, Default)]
pub struct FileStyle {
    /// Starts with a UTF-8 byte-order mark.
    pub byte_order_mark: bool,
    /// Lines end with CRLF.
    pub crlf: bool,
    /// A blank line after every seventh line.
    pub blank_lines: bool,
}

/// A role.
#[derive(Debug, Clone)]
pub struct Role {
    /// `rol_…`.
    pub id: String,
    /// Unique in the tenant.
    pub name: String,
    /// For people.
    pub description: String,
    /// Their `user_id`s.
    pub users: Vec<String>,
}

/// An organization.
#[derive(Debug, Clone)]
pub struct Organization {
    /// `org_…`.
    pub id: String,
    /// Unique in the tenant.
    pub name: String,
    /// For people.
    pub display_name: String,
    /// `user_id`s, each with the ids of the roles in this organization.
    pub members: Vec<(String, Vec<String>)>,
    /// Logo and colours; null for none.
    pub branding: Value,
    /// Names and texts; null for none.
    pub metadata: Value,
}

/// A made-up tenant.
#[derive(Debug, Clone)]
pub struct Tenant {
    source: Source,
    /// Objects as `GET /connections` gives them; `enabled_clients` left them on 2026-07-13.
    pub connections: Vec<Value>,
    /// The tenant's roles.
    pub roles: Vec<Role>,
    /// The tenant's organizations.
    pub organizations: Vec<Organization>,
    /// How the files are written.
    pub style: FileStyle,
}

#[derive(Debug, Clone)]
enum Source {
    MadeUp { options: TenantOptions, without: Vec<Oddity> },
    Rows(Arc<Vec<Row>>),
}

impl Tenant {
    /// A tenant by chance.
    #[must_use]
    pub fn made_up(options: TenantOptions) -> Self {
        Self::new(Source::MadeUp { options, without: Vec::new() })
    }

    /// The smallest tenant that has a user of every kind: on every second line a user with exactly one oddity, between
    /// them plain ones.
    #[must_use]
    pub fn one_of_each() -> Self {
        Self::made_up(TenantOptions {
            users: 2 * Oddity::ALL.len() as u64 + 1,
            seed: 7,
            oddity_rate: f64::MIN_POSITIVE,
        })
    }

    /// A tenant of these rows, with the usual connections and neither roles nor organizations.
    #[must_use]
    pub fn of(rows: Vec<Row>) -> Self {
        Self::new(Source::Rows(Arc::new(rows)))
    }

    /// The same tenant without these oddities.
    #[must_use]
    pub fn without(mut self, oddities: &[Oddity]) -> Self {
        if let Source::MadeUp { without, .. } = &mut self.source {
            without.extend_from_slice(oddities);
        }
        self.groups();
        self
    }

    /// The same tenant, its files written in another style.
    #[must_use]
    pub const fn styled(mut self, style: FileStyle) -> Self {
        self.style = style;
        self
    }

    fn new(source: Source) -> Self {
        let mut tenant = Self {
            source,
            connections: connections(),
            roles: Vec::new(),
            organizations: Vec::new(),
            style: FileStyle::default(),
        };
        tenant.groups();
        tenant
    }

    /// Lines in the export.
    #[must_use]
    pub fn len(&self) -> u64 {
        match &self.source {
            Source::MadeUp { options, .. } => options.users,
            Source::Rows(rows) => rows.len() as u64,
        }
    }

    /// Nobody.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Every row, made on the fly.
    pub fn rows(&self) -> impl Iterator<Item = Row> + Send + '_ {
        (0..self.len()).filter_map(|index| self.row(index))
    }

    /// The row at a place, from 0.
    #[must_use]
    pub fn row(&self, index: u64) -> Option<Row> {
        match &self.source {
            Source::Rows(rows) => rows.get(usize::try_from(index).ok()?).cloned(),
            Source::MadeUp { options, .. } => (index < options.users).then(|| {
                let oddities = self.oddities(index);
                let before = oddities
                    .iter()
                    .any(|oddity| oddity.is_pair())
                    .then(|| made_up::make(options.seed, index - 1, Vec::new(), None));
                made_up::make(options.seed, index, oddities, before.as_ref())
            }),
        }
    }

    /// The first user with this id; walks through the tenant.
    #[must_use]
    pub fn user(&self, user_id: &str) -> Option<Row> {
        self.rows().find(|row| row.is_user() && row.user_id == user_id)
    }

    /// Users that Auth0 counts: rows without damaged and duplicate ones.
    #[must_use]
    pub fn users(&self) -> u64 {
        let count = match &self.source {
            Source::Rows(rows) => rows.iter().filter(|row| row.is_user()).count(),
            Source::MadeUp { options, .. } => (0..options.users)
                .filter(|index| !self.oddities(*index).iter().any(|oddity| oddity.axis() == Axis::Line))
                .count(),
        };
        count as u64
    }

    /// What is drawn for a place. The row before a pair is always a plain one.
    fn oddities(&self, index: u64) -> Vec<Oddity> {
        let has_pair = |index| self.own_oddities(index).iter().any(|oddity| oddity.is_pair());
        if index.is_multiple_of(2) && index + 1 < self.len() && has_pair(index + 1) {
            return Vec::new();
        }
        self.own_oddities(index)
    }

    fn own_oddities(&self, index: u64) -> Vec<Oddity> {
        let Source::MadeUp { options, without } = &self.source else { return Vec::new() };
        if options.oddity_rate <= 0.0 {
            return Vec::new();
        }
        let forced = usize::try_from(index / 2).ok().and_then(|at| Oddity::ALL.get(at));
        let mut oddities = match forced {
            Some(oddity) if index % 2 == 1 => vec![*oddity],
            _ => {
                // Another stream than the one that makes the user.
                let mut random = random::Random::new(options.seed ^ 0x0dd1_7e50, index);
                oddity::draw(&mut random, options.oddity_rate.min(1.0), index % 2 == 1)
            }
        };
        oddities.retain(|oddity| !without.contains(oddity));
        oddities
    }

    /// Writes the export as NDJSON: whole user objects.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn write_export(&self, out: &mut impl Write) -> io::Result<()> {
        write_lines(out, self.style, self.rows().map(|row| row.line()))
    }

    /// Writes the hash file as NDJSON.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn write_hashes(&self, out: &mut impl Write) -> io::Result<()> {
        write_lines(out, self.style, self.rows().flat_map(|row| row.hashes))
    }

    /// Writes the MFA file as NDJSON.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn write_mfa(&self, out: &mut impl Write) -> io::Result<()> {
        write_lines(out, self.style, self.rows().flat_map(|row| row.mfa))
    }

    /// Roles and organizations for the first users of a made-up tenant.
    fn groups(&mut self) {
        if !matches!(self.source, Source::MadeUp { .. }) {
            return;
        }
        let ids: Vec<_> = (0..self.len().min(240))
            .filter_map(|index| self.row(index))
            .filter(Row::is_user)
            .map(|row| row.user_id)
            .collect();
        let every = |nth: usize| ids.iter().step_by(nth).cloned().collect::<Vec<_>>();
        let role = |id: &str, name: &str, users: Vec<String>| Role {
            id: id.to_owned(),
            name: name.to_owned(),
            description: format!("The role {name}"),
            users,
        };
        self.roles = vec![
            role("rol_0000000000Admin1", "admin", every(40)),
            role("rol_00000000Customer", "customer", every(2)),
            role("rol_000000000Nobody1", "nobody", Vec::new()),
        ];
        let members =
            |nth: usize, role: &str| every(nth).into_iter().map(|user| (user, vec![role.to_owned()])).collect();
        let organization = |id: &str, name: &str, display_name: &str, members| Organization {
            id: id.to_owned(),
            name: name.to_owned(),
            display_name: display_name.to_owned(),
            members,
            branding: json!({"logo_url": format!("https://example.com/{name}.png"),
                "colors": {"primary": "#1a6b5c", "page_background": "#f5f5f0"}}),
            metadata: json!({"plan": "gold"}),
        };
        self.organizations = vec![
            organization("org_0000000000000Acme", "acme", "Acme Ltd", members(3, "rol_00000000Customer")),
            organization("org_00000000000Initech", "initech", "Initech", members(10, "rol_0000000000Admin1")),
        ];
    }
}

/// Writes lines in a style.
pub(crate) fn write_lines(
    out: &mut impl Write,
    style: FileStyle,
    lines: impl Iterator<Item = String>,
) -> io::Result<()> {
    let end = if style.crlf { "\r\n" } else { "\n" };
    if style.byte_order_mark {
        out.write_all("\u{feff}".as_bytes())?;
    }
    for (at, line) in lines.enumerate() {
        out.write_all(line.as_bytes())?;
        out.write_all(end.as_bytes())?;
        if style.blank_lines && at % 7 == 6 {
            out.write_all(end.as_bytes())?;
        }
    }
    Ok(())
}

fn connections() -> Vec<Value> {
    let database = |id: &str, name: &str, username: bool, custom: bool| {
        json!({
            "id": id, "name": name, "strategy": "auth0", "is_domain_connection": false, "realms": [name],
            "options": {
                "mfa": {"active": true, "return_enroll_settings": true},
                "import_mode": false, "configuration": {}, "customScripts": {}, "passwordPolicy": "good",
                "password_history": {"size": 5, "enable": false}, "strategy_version": 2,
                "requires_username": username, "brute_force_protection": true,
                "password_dictionary": {"enable": false, "dictionary": []},
                "password_no_personal_info": {"enable": false},
                "password_complexity_options": {"min_length": 8},
                "validation": {"username": {"max": 15, "min": 1}},
                "enabledDatabaseCustomization": custom,
            },
        })
    };
    let foreign = |id: &str, name: &str, strategy: &str| {
        let mut options = json!({
            "client_id": format!("sandbox-{name}"), "client_secret": IDP_SECRET, "scope": ["email", "profile"],
        });
        match strategy {
            "oidc" => {
                options["issuer"] = "https://id.acme.example".into();
                options["scope"] = "openid profile email".into();
            }
            "samlp" => {
                let metadata = r#"<EntityDescriptor xmlns="urn:oasis:names:tc:SAML:2.0:metadata" entityID="urn:acme"><IDPSSODescriptor protocolSupportEnumeration="urn:oasis:names:tc:SAML:2.0:protocol"><SingleSignOnService Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect" Location="https://acme.example/sso"/></IDPSSODescriptor></EntityDescriptor>"#;
                options = json!({"signInEndpoint": "https://acme.example/sso", "metadataXml": metadata});
            }
            // The key is not told.
            "apple" => options = json!({"client_id": "sandbox-apple", "team_id": "TEAM000001", "kid": "KEY0000001"}),
            "sms" | "email" => options = json!({}),
            _ => {}
        }
        json!({
            "id": id, "name": name, "strategy": strategy, "is_domain_connection": false, "realms": [name],
            "options": options,
        })
    };
    vec![
        database("con_00000000Database", made_up::DATABASE, false, false),
        database("con_0000000000Legacy", made_up::SECOND_DATABASE, false, false),
        database("con_0000000Usernames", made_up::USERNAMES, true, false),
        database("con_0000000000Custom", made_up::CUSTOM_DATABASE, false, true),
        foreign("con_0000000000Google", "google-oauth2", "google-oauth2"),
        foreign("con_0000000000Github", "github", "github"),
        foreign("con_0000000Microsoft", "windowslive", "windowslive"),
        foreign("con_00000000000Apple", "apple", "apple"),
        foreign("con_000000000000Saml", "acme-saml", "samlp"),
        foreign("con_000000000000Oidc", "acme-oidc", "oidc"),
        foreign("con_0000000000000Sms", "sms", "sms"),
        foreign("con_00000000000Email", "email", "email"),
    ]
}
