//! Lines of the files that Auth0's support sends: password hashes and MFA secrets.

use serde_json::{Value, json as value};

use super::{
    made_up::date,
    oddity::Oddity,
    random::{Random, mix},
    row::{json, object},
    secrets::{BAD_COST, MALFORMED, POOL, UNSUPPORTED},
};

/// The name that the tenant has in the ticket files.
pub(super) const TENANT: &str = "made-up";

/// What a hash row says of a database account.
#[derive(Clone, Copy)]
pub(super) struct HashForm<'a> {
    /// 24 hexadecimal digits, as `MongoDB` makes them.
    pub(super) hex: &'a str,
    /// The id in its connection: `hex`, unless the user came with an id of their own.
    pub(super) local: &'a str,
    pub(super) connection: &'a str,
    pub(super) email: Option<&'a str>,
    pub(super) verified: bool,
    /// Unix seconds.
    pub(super) set: i64,
    pub(super) form: Option<Oddity>,
}

/// The line, and the password that it lets in.
pub(super) fn hash_row(random: &mut Random, of: &HashForm<'_>) -> (Vec<String>, Option<&'static str>) {
    let pooled = random.pick(&POOL.iter().collect::<Vec<_>>());
    let (hash, password) = match of.form {
        Some(Oddity::NoHash) => return (Vec::new(), None),
        Some(Oddity::UnsupportedAlgorithm) => (Some(random.pick(UNSUPPORTED)), None),
        Some(Oddity::BadCost) => (Some(random.pick(BAD_COST)), None),
        Some(Oddity::MalformedHash) => (Some(MALFORMED), None),
        Some(Oddity::BareDollarTwo) => (Some("$2"), None),
        Some(Oddity::RowWithoutHash) => (None, None),
        _ => (Some(pooled.1), Some(pooled.0)),
    };
    let string_id = of.form == Some(Oddity::HashStringId);
    let id = match of.form {
        Some(Oddity::HashStringId) => json(of.hex),
        Some(Oddity::HashPrefixedId) => value!({"$oid": format!("auth0|{}", of.hex)}).to_string(),
        _ => value!({"$oid": of.hex}).to_string(),
    };
    let set = json(&date(of.set, 0));
    let verified = of.verified.to_string();
    let email = of.email.filter(|email| !email.is_empty()).map(json);
    let mut fields: Vec<(&str, String)> = vec![("_id", id)];
    if let Some(email) = email {
        if of.form == Some(Oddity::HashIdentifiers) {
            let identifiers = format!(r#"[{{"type":"email","value":{email},"verified":{verified}}}]"#);
            fields.push(("identifiers", identifiers));
        } else {
            fields.push((if string_id { "emailVerified" } else { "email_verified" }, verified));
            fields.push(("email", email));
        }
    }
    if let Some(hash) = hash {
        fields.push(("passwordHash", json(hash)));
    }
    fields.push(("password_set_date", if string_id { set } else { format!("{{\"$date\":{set}}}") }));
    fields.push(("tenant", json(TENANT)));
    fields.push(("connection", json(of.connection)));
    fields.push(("_tmp_is_unique", "true".to_owned()));
    if of.local != of.hex {
        // "If the user has an alt_id": it then is the user's id, and `_id` is not.
        fields.push(("alt_id", json(of.local)));
    }
    (vec![object(fields.iter().map(|(key, raw)| (*key, raw.as_str())))], password)
}

/// The lines of a user's factors, and the same factors as the Management API knows them.
pub(super) fn mfa_rows(random: &mut Random, factor: Oddity, user_id: &str, created: i64) -> (Vec<String>, Vec<Value>) {
    if factor == Oddity::LegacyMultifactor {
        return (Vec::new(), Vec::new());
    }
    let secret = base32(random, 32);
    let user = json(user_id);
    let line = |kind: &str, key: &str, secret: &str| {
        let (tenant, kind, secret) = (json(TENANT), json(kind), json(secret));
        let mut fields = vec![("user_id", user.as_str()), ("tenant", tenant.as_str())];
        if factor != Oddity::FactorWithoutType {
            fields.push(("type", kind.as_str()));
        }
        fields.push((key, secret.as_str()));
        object(fields)
    };
    let method = |kind: &str, number: u64| {
        value!({"id": format!("{kind}|dev_{:016x}", mix(number)), "type": kind, "confirmed": true,
                "created_at": date(created, 0)})
    };
    let mut lines = vec![line("otp", "otp_secret", &secret)];
    let mut methods = vec![method("totp", random.next())];
    if factor == Oddity::TotpAndRecovery {
        let code = random.pick(&POOL.iter().collect::<Vec<_>>()).1;
        lines.push(line("recovery-code", "recovery_code", code));
        methods.push(method("recovery-code", random.next()));
    }
    (lines, methods)
}

/// Letters of Base32, without padding.
fn base32(random: &mut Random, length: usize) -> String {
    const LETTERS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    (0..length).map(|_| char::from(LETTERS[(random.next() & 31) as usize])).collect()
}
