//! The commands on users, as import and users API share them.

use serde_json::{Value, json};

use super::answer::{Code, Fail};
use super::rules::{self, Address, Hash};
use super::schema::bytes_of;
use super::state::{Link, State, User, UserState};

/// The text of a decoded request's field, empty where it is absent.
pub(super) fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value[name].as_str().unwrap_or_default()
}

/// A list of a decoded request.
pub(super) fn list<'v>(value: &'v Value, name: &str) -> &'v [Value] {
    value[name].as_array().map_or(&[], Vec::as_slice)
}

/// PostgreSQL's `jsonb` has no NUL.
pub(super) fn no_nul(value: &Value) -> Result<(), Fail> {
    let found = match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(items) => return items.iter().try_for_each(no_nul),
        Value::Object(fields) => return fields.values().try_for_each(no_nul),
        _ => false,
    };
    if found {
        return Err(Fail::plain(
            Code::Internal,
            "unknown database error: ERROR: unsupported Unicode escape sequence (SQLSTATE 22P05)",
        ));
    }
    Ok(())
}

pub(super) fn checked_email(email: &str) -> Result<(), Fail> {
    match rules::address(email) {
        Address::Good => Ok(()),
        Address::Malformed(_) => Err(Fail::new(Code::InvalidArgument, "EMAIL-599BI", "Errors.User.Email.Invalid")),
        Address::Named => Err(Fail::new(Code::InvalidArgument, "EMAIL-599GV", "Errors.User.Email.Invalid")),
    }
}

pub(super) fn checked_phone(phone: &str) -> Result<String, Fail> {
    rules::phone(phone).ok_or_else(|| Fail::new(Code::InvalidArgument, "PHONE-so0wa", "Errors.User.Phone.Invalid"))
}

pub(super) fn checked_hash(hash: &str) -> Result<(), Fail> {
    match rules::hash(hash) {
        Hash::Good => Ok(()),
        Hash::Cost => Err(Fail::new(Code::InvalidArgument, "CRYPT-5uV9n", "Errors.User.Password.Invalid")),
        Hash::Unknown | Hash::Crash => {
            Err(Fail::new(Code::InvalidArgument, "CRYPT-r8Qm2", "Errors.User.Password.Invalid"))
        }
    }
}

/// A plain password, against the default complexity policy.
fn checked_password(password: &str) -> Result<(), Fail> {
    let has = |test: fn(char) -> bool| password.chars().any(test);
    let id = match () {
        () if password.chars().count() < 8 => "COMMA-HuJf6",
        () if !has(char::is_lowercase) => "COMMA-co3Xw",
        () if !has(char::is_uppercase) => "COMMA-VoaRj",
        () if !has(char::is_numeric) => "COMMA-ZBv4H",
        () if !has(|c| !c.is_alphanumeric()) => "COMMA-ZDLwA",
        () => return Ok(()),
    };
    Err(Fail::new(Code::InvalidArgument, id, "Errors.User.PasswordComplexityPolicy"))
}

/// A hash for a plain password, cheap: the sandbox proves nothing about cost.
fn hash_of(password: &str) -> Option<String> {
    bcrypt::hash(password, 4).ok()
}

impl State {
    /// Refuses a user name that another user of the instance has, whatever its case, or that belongs to another
    /// organisation's domain.
    pub(super) fn free_name(&self, name: &str, id: &str, org: &str) -> Result<(), Fail> {
        if let Some((_, domain)) = name.rsplit_once('@')
            && self.orgs.values().any(|other| other.id != org && other.domain.eq_ignore_ascii_case(domain))
        {
            return Err(Fail::new(Code::InvalidArgument, "COMMAND-SFd21", "Errors.User.DomainNotAllowedAsUsername"));
        }
        match self.names.get(&name.to_lowercase()) {
            Some(holder) if holder != id => {
                Err(Fail::new(Code::AlreadyExists, "V3-DKcYh", "Errors.User.AlreadyExists"))
            }
            _ => Ok(()),
        }
    }

    /// Refuses an external identity that somebody holds, whatever its case.
    pub(super) fn free_link(&self, link: &Link) -> Result<(), Fail> {
        if self.links.contains_key(&(link.idp_id.clone(), link.user_id.to_lowercase())) {
            return Err(Fail::new(Code::AlreadyExists, "V3-DKcYh", "Errors.User.ExternalIDP.AlreadyExists"));
        }
        Ok(())
    }

    /// Starts from what is left of a deleted user of the same id.
    pub(super) fn fresh(&self, id: &str, org: &str) -> User {
        let past = self.users.get(id);
        User {
            id: id.to_owned(),
            organization_id: org.to_owned(),
            sequence: past.map_or(0, |past| past.sequence),
            created_count: past.map_or(0, |past| past.created_count),
            gender: "GENDER_UNSPECIFIED".to_owned(),
            ..User::default()
        }
    }

    /// Takes the names and links of a user who is about to be written.
    pub(super) fn claim(&mut self, user: &User) {
        self.names.insert(user.user_name.to_lowercase(), user.id.clone());
        for link in &user.links {
            self.links.insert((link.idp_id.clone(), link.user_id.to_lowercase()), user.id.clone());
        }
    }

    /// One human of an import.
    pub(super) fn import_human(&mut self, org: &str, data: &Value, editor: &str) -> Result<String, Fail> {
        let id = text(data, "userId");
        if self.users.get(id).is_some_and(User::exists) {
            return Err(Fail::new(Code::FailedPrecondition, "COMMAND-ziuna", "Errors.User.AlreadyExisting"));
        }
        let id = if id.is_empty() { self.id() } else { id.to_owned() };
        let from = &data["user"];
        let mut user = self.fresh(&id, org);
        text(from, "userName").trim().clone_into(&mut user.user_name);
        take_profile(&mut user, &from["profile"], ["firstName", "lastName"]);
        text(&from["email"], "email").clone_into(&mut user.email);
        checked_email(&user.email)?;
        if from["phone"].is_object() {
            user.phone = Some(checked_phone(text(&from["phone"], "phone"))?);
            user.phone_verified = from["phone"]["isPhoneVerified"] == true;
        }
        self.free_domain(&user)?;
        let (password, hash) = (text(from, "password"), text(&from["hashedPassword"], "value"));
        if !hash.is_empty() {
            checked_hash(hash)?;
            user.hash = Some(hash.to_owned());
        } else if !password.is_empty() {
            checked_password(password)?;
            user.hash = hash_of(password);
            user.change_required = from["passwordChangeRequired"] == true;
        }
        for idp in list(from, "idps") {
            let link = link_of(idp, ["configId", "externalUserId", "displayName"]);
            let Some(idp) = self.idps.iter().find(|idp| idp.id == link.idp_id) else {
                return Err(Fail::new(Code::FailedPrecondition, "COMMAND-39nfs", "Errors.IDPConfig.NotExisting"));
            };
            if idp.options["isCreationAllowed"] != true && idp.options["isAutoCreation"] != true {
                return Err(Fail::new(
                    Code::FailedPrecondition,
                    "COMMAND-SJI3g",
                    "Errors.ExternalIDP.CreationNotAllowed",
                ));
            }
            self.free_link(&link)?;
            user.links.push(link);
        }
        no_nul(from)?;
        self.free_name(&user.user_name, &id, org)?;
        self.claim(&user);

        let passwordless = from["requestPasswordlessRegistration"] == true;
        let verified = from["email"]["isEmailVerified"] == true;
        let mut events = vec![("user.human.added", Some(added(&user, true)))];
        events.extend(user.links.iter().map(|link| ("user.human.externalidp.added", Some(linked(link)))));
        // The rule of domain.Human.IsInitialState: with it the verified flag is lost.
        if user.links.is_empty() && (!verified || (user.hash.is_none() && !passwordless)) {
            user.state = UserState::Initial;
            events.push(("user.human.initialization.code.added", None));
        } else if verified {
            user.email_verified = true;
            events.push(("user.human.email.verified", None));
        } else {
            events.push(("user.human.email.code.added", None));
        }
        match (&user.phone, user.phone_verified) {
            (Some(_), true) => events.push(("user.human.phone.verified", None)),
            (Some(_), false) => events.push(("user.human.phone.code.added", None)),
            (None, _) => {}
        }
        match text(data, "state") {
            "USER_STATE_INACTIVE" => {
                user.state = UserState::Inactive;
                events.push(("user.deactivated", None));
            }
            "USER_STATE_LOCKED" => {
                user.state = UserState::Locked;
                events.push(("user.locked", None));
            }
            _ => {}
        }
        if passwordless {
            events.push(("user.human.passwordless.initialization.code.added", None));
        }
        self.commit(user, events, editor);
        Ok(id)
    }

    fn free_domain(&self, user: &User) -> Result<(), Fail> {
        match self.free_name(&user.user_name, &user.id, &user.organization_id) {
            Err(fail) if fail.id == "COMMAND-SFd21" => Err(fail),
            _ => Ok(()),
        }
    }

    /// The TOTP secret of an import: given to whoever has the id, also when the user itself was refused.
    pub(super) fn import_totp(&mut self, id: &str, secret: &str, editor: &str) -> Result<(), Fail> {
        let mut user = self.existing(id, "COMMAND-uXHNj")?;
        if user.totp.is_some() {
            return Err(Fail::new(Code::AlreadyExists, "COMMAND-do9se", "Errors.User.MFA.OTP.AlreadyReady"));
        }
        user.totp = Some(secret.to_owned());
        self.commit(user, vec![("user.human.mfa.otp.added", None), ("user.human.mfa.otp.verified", None)], editor);
        Ok(())
    }

    /// The recovery codes of an import.
    pub(super) fn import_codes(&mut self, id: &str, codes: &[Value], editor: &str) -> Result<(), Fail> {
        let mut user = self.existing(id, "COMMAND-uXHNj")?;
        if user.recovery_codes.len() + codes.len() > 10 {
            return Err(Fail::new(
                Code::InvalidArgument,
                "COMMAND-53cjw",
                "Errors.User.MFA.RecoveryCodes.MaxCountExceeded",
            ));
        }
        for code in codes {
            let hash = text(code, "hash");
            if hash.is_empty() {
                user.recovery_codes.extend(hash_of(text(code, "raw")));
            } else {
                checked_hash(hash)?;
                user.recovery_codes.push(hash.to_owned());
            }
        }
        self.commit(user, vec![("user.human.mfa.recoverycode.added", None)], editor);
        Ok(())
    }

    /// A user who exists.
    pub(super) fn existing(&self, id: &str, missing: &'static str) -> Result<User, Fail> {
        let found = self.users.get(id).filter(|user| user.exists()).cloned();
        found.ok_or_else(|| Fail::new(Code::NotFound, missing, "Errors.User.NotFound"))
    }

    /// Sets metadata: an upsert, without an event where nothing changes.
    pub(super) fn set_metadata(
        &mut self,
        id: &str,
        entries: &[Value],
        missing: &'static str,
        editor: &str,
    ) -> Result<(), Fail> {
        let mut user = self.existing(id, missing)?;
        let mut events = Vec::new();
        for entry in entries {
            no_nul(entry)?;
            let (key, value) = (text(entry, "key"), bytes_of(text(entry, "value")).unwrap_or_default());
            if user.metadata.get(key) != Some(&value) {
                events.push(("user.metadata.set", Some(json!({"key": key, "value": text(entry, "value")}))));
                user.metadata.insert(key.to_owned(), value);
            }
        }
        if !events.is_empty() {
            self.commit(user, events, editor);
        }
        Ok(())
    }

    /// Adds a link to a user who exists.
    pub(super) fn add_link(
        &mut self,
        id: &str,
        link: Link,
        missing: &'static str,
        no_idp: &'static str,
        editor: &str,
    ) -> Result<User, Fail> {
        let mut user = self.existing(id, missing)?;
        if !self.has_idp(&link.idp_id, &user.organization_id) {
            return Err(Fail::new(Code::FailedPrecondition, no_idp, "Errors.IDPConfig.NotExisting"));
        }
        self.free_link(&link)?;
        let payload = linked(&link);
        user.links.push(link);
        self.claim(&user);
        self.commit(user, vec![("user.human.externalidp.added", Some(payload))], editor);
        self.existing(id, missing)
    }

    /// Of the instance, or of this organization (`ExistsIDPOnOrgOrInstance`). The import asks for neither.
    pub(super) fn has_idp(&self, id: &str, org: &str) -> bool {
        self.idps.iter().any(|idp| idp.id == id && idp.org.as_deref().is_none_or(|of| of == org))
    }

    /// Deletes a user, a ghost too.
    pub(super) fn delete(&mut self, id: &str, editor: &str) -> Result<User, Fail> {
        let mut user = self.existing(id, "COMMAND-bd4ir1mblj")?;
        if !user.ghost {
            self.names.remove(&user.user_name.to_lowercase());
            for link in &user.links {
                self.links.remove(&(link.idp_id.clone(), link.user_id.to_lowercase()));
            }
        }
        self.project();
        self.delete_grants(id, editor);
        self.members.retain(|member| member.user_id != id);
        user.state = UserState::Deleted;
        self.commit(user, vec![("user.removed", None)], editor);
        Ok(self.users.get(id).cloned().unwrap_or_default())
    }
}

/// The names of a profile, with the default for the display name; `names` are those of the two parts.
pub(super) fn take_profile(user: &mut User, profile: &Value, names: [&str; 2]) {
    text(profile, names[0]).clone_into(&mut user.first_name);
    text(profile, names[1]).clone_into(&mut user.last_name);
    text(profile, "nickName").clone_into(&mut user.nick_name);
    user.display_name = match text(profile, "displayName") {
        "" => format!("{} {}", user.first_name, user.last_name),
        name => name.to_owned(),
    };
    user.language = rules::language(text(profile, "preferredLanguage"));
    if let Some(gender) = profile["gender"].as_str() {
        gender.clone_into(&mut user.gender);
    }
}

/// A link of a request, whose field names differ from route to route.
pub(super) fn link_of(value: &Value, names: [&str; 3]) -> Link {
    Link {
        idp_id: text(value, names[0]).to_owned(),
        user_id: text(value, names[1]).to_owned(),
        user_name: text(value, names[2]).to_owned(),
    }
}

pub(super) fn linked(link: &Link) -> Value {
    json!({"idpConfigId": link.idp_id, "userId": link.user_id, "displayName": link.user_name})
}

/// The payload of `user.human.added`. An import without a gender writes -1.
pub(super) fn added(user: &User, import: bool) -> Value {
    let mut payload = json!({
        "displayName": user.display_name,
        "email": user.email,
        "firstName": user.first_name,
        "lastName": user.last_name,
        "preferredLanguage": user.language,
        "userName": user.user_name,
    });
    let gender = match user.gender.as_str() {
        "GENDER_FEMALE" => 1,
        "GENDER_MALE" => 2,
        "GENDER_DIVERSE" => 3,
        _ if import => -1,
        _ => 0,
    };
    let optional = [
        ("gender", (gender != 0).then(|| gender.into())),
        ("nickName", (!user.nick_name.is_empty()).then(|| user.nick_name.as_str().into())),
        ("phone", user.phone.as_deref().map(Value::from)),
        ("encodedHash", user.hash.as_deref().map(Value::from)),
        ("changeRequired", user.change_required.then_some(true.into())),
    ];
    for (name, value) in optional {
        if let Some(value) = value {
            payload[name] = value;
        }
    }
    payload
}

/// The hash of a v2 request's `password` or `hashedPassword` beside it, and whether it is to be changed.
pub(super) fn take_password(user: &mut User, holder: &Value) -> Result<bool, Fail> {
    let hashed = &holder["hashedPassword"];
    if hashed.is_object() {
        checked_hash(text(hashed, "hash"))?;
        user.hash = Some(text(hashed, "hash").to_owned());
        user.change_required = hashed["changeRequired"] == true;
    } else if holder["password"].is_object() {
        checked_password(text(&holder["password"], "password"))?;
        user.hash = hash_of(text(&holder["password"], "password"));
        user.change_required = holder["password"]["changeRequired"] == true;
    } else {
        return Ok(false);
    }
    Ok(true)
}
