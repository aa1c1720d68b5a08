//! The bodies of `POST /admin/v1/import` and `POST /v2/users/new`, the size that ZITADEL will measure, and what the
//! import answers. Pure: no I/O.
//!
//! ZITADEL drops unknown names and enum values in silence, so every name here is spelled as its API description has it.

use std::{collections::HashSet, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};

use super::failure::{Failure, Reason, cut};
use crate::{error::printable, mapping::draft::Draft};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct HumanUser<'a> {
    user_id: &'a str,
    user: NewUser<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<&'static str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct NewUser<'a> {
    user_name: &'a str,
    profile: Profile<'a>,
    email: Email<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    phone: Option<Phone<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hashed_password: Option<Value<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    otp_code: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    idps: Vec<Idp<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    recovery_codes: Vec<Hash<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Profile<'a> {
    first_name: &'a str,
    last_name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    nick_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    display_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    preferred_language: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Email<'a> {
    email: &'a str,
    is_email_verified: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Phone<'a> {
    phone: &'a str,
    is_phone_verified: bool,
}

#[derive(Serialize)]
struct Value<'a> {
    value: &'a str,
}

#[derive(Serialize)]
struct Hash<'a> {
    hash: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Idp<'a> {
    config_id: &'a str,
    external_user_id: &'a str,
    display_name: &'a str,
}

#[derive(Serialize)]
struct UserMetadata<'a> {
    id: &'a str,
    key: &'a str,
    value: String,
}

/// Appends one `DataHumanUser`.
pub fn human_user_json(draft: &Draft, out: &mut Vec<u8>) {
    write_user(draft, &draft.recovery_codes, out);
}

fn write_user(draft: &Draft, codes: &[SecretString], out: &mut Vec<u8>) {
    let profile = &draft.profile;
    let user = NewUser {
        user_name: &draft.user_name,
        profile: Profile {
            first_name: &profile.first_name,
            last_name: &profile.last_name,
            nick_name: profile.nick_name.as_deref(),
            display_name: profile.display_name.as_deref(),
            preferred_language: profile.preferred_language.as_deref(),
        },
        email: Email { email: &draft.email.address, is_email_verified: draft.email.verified },
        phone: draft.phone.as_ref().map(|phone| Phone { phone: &phone.number, is_phone_verified: phone.verified }),
        hashed_password: draft.password.as_ref().map(|password| Value { value: password.hash.expose_secret() }),
        otp_code: draft.totp_secret.as_ref().map(SecretString::expose_secret),
        // Inside the user, not in `userLinks`: links that come later leave the user INITIAL (zitadel#12101).
        idps: draft
            .links
            .iter()
            .map(|link| Idp {
                config_id: &link.idp_id,
                external_user_id: &link.external_user_id,
                display_name: &link.display_name,
            })
            .collect(),
        recovery_codes: codes.iter().map(|code| Hash { hash: code.expose_secret() }).collect(),
    };
    let state = draft.inactive.then_some("USER_STATE_INACTIVE");
    write(&HumanUser { user_id: &draft.user_id, user, state }, out);
}

/// Appends the user's `userMetadata` entries, separated by commas; nothing where there are none.
pub fn metadata_json(draft: &Draft, out: &mut Vec<u8>) {
    for (index, entry) in draft.metadata.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write(&UserMetadata { id: &draft.user_id, key: &entry.key, value: STANDARD.encode(&entry.value) }, out);
    }
}

/// Strings and booleans into memory: `serde_json` cannot fail at that.
fn write(value: &impl Serialize, out: &mut Vec<u8>) {
    let written = serde_json::to_writer(out, value);
    debug_assert!(written.is_ok());
}

/// The bytes of protobuf that this user takes in a request, metadata included: what counts against the 4 MiB.
#[must_use]
pub fn protobuf_size(draft: &Draft) -> usize {
    let text = |text: &str| field(1, text.len());
    let optional = |text: &Option<String>| text.as_deref().map_or(0, |text| field(1, text.len()));
    let flag = |on: bool| if on { 2 } else { 0 };
    let profile = &draft.profile;

    let mut user = text(&draft.user_name);
    user += field(
        1,
        text(&profile.first_name)
            + text(&profile.last_name)
            + optional(&profile.nick_name)
            + optional(&profile.display_name)
            + optional(&profile.preferred_language),
    );
    user += field(1, text(&draft.email.address) + flag(draft.email.verified));
    if let Some(phone) = &draft.phone {
        user += field(1, text(&phone.number) + flag(phone.verified));
    }
    if let Some(password) = &draft.password {
        user += field(1, text(password.hash.expose_secret()));
    }
    if let Some(secret) = &draft.totp_secret {
        user += text(secret.expose_secret());
    }
    for link in &draft.links {
        user += field(1, text(&link.idp_id) + text(&link.external_user_id) + text(&link.display_name));
    }
    for code in &draft.recovery_codes {
        user += field(1, text(code.expose_secret()));
    }
    field(1, text(&draft.user_id) + field(1, user) + flag(draft.inactive)) + metadata_size(draft)
}

/// The part of [`protobuf_size`] that is metadata.
#[must_use]
pub fn metadata_size(draft: &Draft) -> usize {
    let id = field(1, draft.user_id.len());
    draft.metadata.iter().map(|entry| field(2, id + field(1, entry.key.len()) + field(1, entry.value.len()))).sum()
}

/// A length-delimited field: tag, length, content.
fn field(tag: usize, length: usize) -> usize {
    let bits = usize::BITS - length.leading_zeros();
    let varint = usize::try_from(bits.div_ceil(7).max(1)).unwrap_or(10);
    tag + varint + length
}

/// The part of a request that is about one organization.
struct OrganizationBody {
    id: String,
    users: Vec<u8>,
    metadata: Vec<u8>,
    /// Which of the pushed users these are.
    places: Vec<usize>,
}

impl OrganizationBody {
    fn is_empty(&self) -> bool {
        self.users.is_empty() && self.metadata.is_empty()
    }
}

/// An import request that is being filled. Debug shows sizes only.
pub struct ImportBody {
    organizations: Vec<OrganizationBody>,
    current: usize,
    user_count: usize,
    protobuf: usize,
}

impl ImportBody {
    /// An empty request for this organization, which must exist.
    pub fn new(organization_id: impl Into<String>) -> Self {
        let mut body = Self { organizations: Vec::new(), current: 0, user_count: 0, protobuf: 0 };
        body.organization(&organization_id.into());
        body
    }

    /// What is pushed from here on belongs to this organization, which must exist.
    pub fn organization(&mut self, id: &str) {
        if let Some(known) = self.organizations.iter().position(|organization| organization.id == id) {
            self.current = known;
            return;
        }
        // The messages around the users, generously.
        self.protobuf += id.len() + 64;
        self.current = self.organizations.len();
        self.organizations.push(OrganizationBody {
            id: id.to_owned(),
            users: Vec::new(),
            metadata: Vec::new(),
            places: Vec::new(),
        });
    }

    /// Adds a user with the metadata.
    pub fn push(&mut self, draft: &Draft) {
        let organization = &mut self.organizations[self.current];
        comma(&mut organization.users);
        human_user_json(draft, &mut organization.users);
        organization.places.push(self.user_count);
        self.user_count += 1;
        self.protobuf += protobuf_size(draft);
        self.metadata_of(draft);
    }

    /// Adds a user with the metadata and without recovery codes: where another request may have brought those, they would
    /// be there twice.
    pub fn push_without_codes(&mut self, draft: &Draft) {
        let organization = &mut self.organizations[self.current];
        comma(&mut organization.users);
        write_user(draft, &[], &mut organization.users);
        organization.places.push(self.user_count);
        self.user_count += 1;
        self.protobuf += protobuf_size(draft);
        self.metadata_of(draft);
    }

    /// Adds second factors of a user who exists. ZITADEL refuses the user for the address, which is none, before or after it
    /// notices that the id exists, and gives the factors all the same: so nobody is ever created by this.
    pub fn push_factors(&mut self, draft: &Draft, totp: bool, codes: bool) {
        let nothing = "-";
        let recovery_codes = draft.recovery_codes.iter().filter(|_| codes);
        let secret = draft.totp_secret.as_ref().filter(|_| totp);
        let user = NewUser {
            user_name: nothing,
            profile: Profile {
                first_name: nothing,
                last_name: nothing,
                nick_name: None,
                display_name: None,
                preferred_language: None,
            },
            email: Email { email: nothing, is_email_verified: false },
            phone: None,
            hashed_password: None,
            otp_code: secret.map(SecretString::expose_secret),
            idps: Vec::new(),
            recovery_codes: recovery_codes.map(|code| Hash { hash: code.expose_secret() }).collect(),
        };
        let organization = &mut self.organizations[self.current];
        comma(&mut organization.users);
        write(&HumanUser { user_id: &draft.user_id, user, state: None }, &mut organization.users);
        organization.places.push(self.user_count);
        self.user_count += 1;
        self.protobuf += protobuf_size(draft);
    }

    /// Adds the metadata alone: completes a user who was created by a request whose answer was lost.
    pub fn push_metadata_only(&mut self, draft: &Draft) {
        self.protobuf += metadata_size(draft);
        self.metadata_of(draft);
    }

    fn metadata_of(&mut self, draft: &Draft) {
        if !draft.metadata.is_empty() {
            let metadata = &mut self.organizations[self.current].metadata;
            comma(metadata);
            metadata_json(draft, metadata);
        }
    }

    /// How many users it creates.
    #[must_use]
    pub fn user_count(&self) -> usize {
        self.user_count
    }

    /// Of each organization of the request, which of the pushed users are its own: a refusal names `Orgs[i]` and, in it,
    /// `HumanUsers[j]`.
    #[must_use]
    pub fn places(&self) -> Vec<Vec<usize>> {
        let sent = self.organizations.iter().filter(|organization| !organization.is_empty());
        sent.map(|organization| organization.places.clone()).collect()
    }

    /// Does it do nothing?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.organizations.iter().all(OrganizationBody::is_empty)
    }

    /// Its size as ZITADEL will measure it, or slightly more.
    #[must_use]
    pub fn protobuf_size(&self) -> usize {
        self.protobuf
    }

    /// The JSON. `timeout` is ZITADEL's own limit; it is mandatory, and a request without it ends as HTTP 500.
    #[must_use]
    pub fn finish(self, timeout: Duration) -> Bytes {
        let content = |o: &OrganizationBody| o.id.len() + o.users.len() + o.metadata.len() + 64;
        let size: usize = self.organizations.iter().map(content).sum();
        let mut out = Vec::with_capacity(size + 64);
        out.extend_from_slice(br#"{"dataOrgs":{"orgs":["#);
        for (index, organization) in self.organizations.iter().filter(|o| !o.is_empty()).enumerate() {
            if index > 0 {
                out.push(b',');
            }
            out.extend_from_slice(br#"{"orgId":"#);
            write(&organization.id, &mut out);
            for (name, items) in [("humanUsers", &organization.users), ("userMetadata", &organization.metadata)] {
                if !items.is_empty() {
                    out.extend_from_slice(b",\"");
                    out.extend_from_slice(name.as_bytes());
                    out.extend_from_slice(b"\":[");
                    out.extend_from_slice(items);
                    out.push(b']');
                }
            }
            out.push(b'}');
        }
        out.extend_from_slice(br#"]},"timeout":"#);
        write(&go_duration(timeout), &mut out);
        out.push(b'}');
        out.into()
    }
}

impl std::fmt::Debug for ImportBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ImportBody({} users, {} bytes of protobuf)", self.user_count, self.protobuf)
    }
}

fn comma(out: &mut Vec<u8>) {
    if !out.is_empty() {
        out.push(b',');
    }
}

fn go_duration(duration: Duration) -> String {
    if duration.subsec_nanos() == 0 {
        format!("{}s", duration.as_secs())
    } else {
        format!("{}ms", duration.as_millis())
    }
}

/// What an import did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImportAnswer {
    /// `humanUserIds`: the users that this request created.
    pub created: HashSet<String>,
    /// User id and key of the metadata that this request wrote.
    pub metadata: HashSet<(String, String)>,
    /// What it refused, one entity each. One bad user may cause several.
    pub errors: Vec<EntityError>,
}

/// One entity that was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntityError {
    /// `human_user`, `human_user_otp`, `human_user_recovery_codes`, `user_metadata`, …
    pub kind: String,
    /// The user id, or `<user id>_<key>` for metadata.
    pub id: String,
    /// The error id, if the message has one. Decisions ask [`EntityError::reason`].
    pub error_id: Option<String>,
    /// `Errors.User.AlreadyExisting`, where the message has one; else the message, cut and printable.
    pub message_key: String,
}

#[derive(Deserialize)]
struct WireAnswer {
    #[serde(default)]
    errors: Option<Vec<WireError>>,
    success: WireSuccess,
}

#[derive(Deserialize)]
struct WireError {
    #[serde(default)]
    r#type: String,
    #[serde(default)]
    id: String,
    #[serde(default)]
    message: String,
}

#[derive(Deserialize)]
struct WireSuccess {
    #[serde(default)]
    orgs: Option<Vec<WireOrg>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireOrg {
    #[serde(default)]
    human_user_ids: Option<Vec<String>>,
    #[serde(default)]
    user_metadata: Option<Vec<WireMetadata>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireMetadata {
    #[serde(default)]
    user_id: String,
    #[serde(default)]
    key: String,
}

impl ImportAnswer {
    /// Reads the body of a 200.
    ///
    /// # Errors
    /// [`Failure::Gibberish`] where it is no import answer, [`Failure::Refused`] where the organization is missing.
    pub fn parse(body: &[u8]) -> Result<Self, Failure> {
        // The error of serde_json may quote the body; what kind of body it was is enough.
        let wire: WireAnswer = serde_json::from_slice(body)
            .map_err(|_| Failure::Gibberish { what: "a body that is no answer to an import".into() })?;
        let mut answer = Self::default();
        for org in wire.success.orgs.into_iter().flatten() {
            answer.created.extend(org.human_user_ids.into_iter().flatten());
            let metadata = org.user_metadata.into_iter().flatten();
            answer.metadata.extend(metadata.map(|entry| (entry.user_id, entry.key)));
        }
        for error in wire.errors.into_iter().flatten() {
            let error = EntityError::parse(error);
            match (error.kind.as_str(), error.reason()) {
                ("org", Reason::OrganizationExists) => {}
                // The organization does not exist (or any other error about it): all users were skipped.
                ("org", _) if answer.created.is_empty() && answer.metadata.is_empty() => {
                    return Err(Failure::Refused {
                        status: 200,
                        code: None,
                        id: error.error_id,
                        index: None,
                        message: format!("the organization `{}`: {}", cut(&printable(&error.id)), error.message_key),
                    });
                }
                _ => answer.errors.push(error),
            }
        }
        Ok(answer)
    }
}

impl EntityError {
    fn parse(wire: WireError) -> Self {
        let parts = wire.message.strip_prefix("ID=").and_then(|rest| rest.split_once(" Message="));
        let (error_id, key) = match parts {
            Some((id, key)) => (Some(cut(&printable(id))), key),
            None => (None, wire.message.as_str()),
        };
        Self { kind: wire.r#type, id: wire.id, error_id, message_key: cut(&printable(key)) }
    }

    /// What ZITADEL means by the error id.
    #[must_use]
    pub fn reason(&self) -> Reason {
        Reason::of(self.error_id.as_deref())
    }

    /// Is the error about this user itself, or the second factors?
    #[must_use]
    pub fn is_about(&self, user_id: &str) -> bool {
        self.kind != "user_metadata" && self.id == user_id
    }

    /// Did ZITADEL decide so, for a cause in the user? Its own troubles (a database that is away or slow for a moment) come
    /// as errors of single users under HTTP 200, too: in the database's words, as `Errors.Internal` under any id (that of
    /// a name that is taken, too), or, where a policy could not be read, as if there were none. The user may be stored.
    #[must_use]
    pub fn is_decided(&self) -> bool {
        let key = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_');
        self.error_id.is_some()
            && self.reason() != Reason::PolicyUnread
            && self.message_key.starts_with("Errors.")
            && self.message_key.chars().all(key)
            && self.message_key != "Errors.Internal"
    }

    /// Is the error about this metadata entry of this user?
    #[must_use]
    pub fn is_about_metadata(&self, user_id: &str, key: &str) -> bool {
        let rest = self.id.strip_prefix(user_id).and_then(|rest| rest.strip_prefix('_'));
        self.kind == "user_metadata" && rest == Some(key)
    }
}

#[cfg(test)]
pub(super) mod tests;
