//! The body of `POST /v2/users/new`: one user with metadata, links and TOTP in one transaction.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use secrecy::ExposeSecret as _;
use serde_json::{Map, Value, json};

use crate::mapping::draft::Draft;

/// One user for the users API. An inactive one must be deactivated afterwards, and recovery codes have no place here.
#[must_use]
pub fn new_user_json(draft: &Draft, organization_id: &str) -> Bytes {
    let profile = &draft.profile;
    let mut names = Map::new();
    names.insert("givenName".into(), profile.first_name.as_str().into());
    names.insert("familyName".into(), profile.last_name.as_str().into());
    let optional = [
        ("nickName", &profile.nick_name),
        ("displayName", &profile.display_name),
        ("preferredLanguage", &profile.preferred_language),
    ];
    for (name, value) in optional {
        if let Some(value) = value {
            names.insert(name.into(), value.as_str().into());
        }
    }

    let mut human = Map::new();
    human.insert("profile".into(), Value::Object(names));
    // Always explicit: without `isVerified` ZITADEL sends a verification mail; `false` sends none.
    human.insert("email".into(), json!({ "email": draft.email.address, "isVerified": draft.email.verified }));
    if let Some(phone) = &draft.phone {
        // For phones `false` would send an SMS; a returned code that nobody uses does not.
        let phone = if phone.verified {
            json!({ "phone": phone.number, "isVerified": true })
        } else {
            json!({ "phone": phone.number, "returnCode": {} })
        };
        human.insert("phone".into(), phone);
    }
    if let Some(password) = &draft.password {
        let hash = password.hash.expose_secret();
        let password = if password.change_required {
            json!({ "hash": hash, "changeRequired": true })
        } else {
            json!({ "hash": hash })
        };
        human.insert("hashedPassword".into(), password);
    }
    if !draft.links.is_empty() {
        let link = |link: &crate::mapping::draft::Link| json!({ "idpId": link.idp_id, "userId": link.external_user_id, "userName": link.display_name });
        human.insert("idpLinks".into(), draft.links.iter().map(link).collect());
    }
    if let Some(secret) = &draft.totp_secret {
        human.insert("totpSecret".into(), secret.expose_secret().into());
    }

    let mut body = json!({
        "organizationId": organization_id,
        "userId": draft.user_id,
        "username": draft.user_name,
        "human": human,
    });
    if !draft.metadata.is_empty() {
        let entries = draft.metadata.iter();
        body["metadata"] = entries.map(|e| json!({ "key": e.key, "value": STANDARD.encode(&e.value) })).collect();
    }
    body.to_string().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{mapping::draft::Phone, zitadel::import::tests::full};

    #[test]
    fn says_verified_or_not_and_never_sends_anything() {
        let mut draft = full();
        draft.email.verified = false;
        draft.phone = Some(Phone { number: "+41791234567".into(), verified: false });
        if let Some(password) = &mut draft.password {
            password.change_required = true;
        }
        let body: Value = serde_json::from_slice(&new_user_json(&draft, "org")).unwrap();
        assert_eq!(
            body,
            json!({
                "organizationId": "org",
                "userId": "auth0|1",
                "username": "ada",
                "human": {
                    "profile": {
                        "givenName": "Ada", "familyName": "Lovelace", "nickName": "a\"da", "displayName": "Ada L",
                        "preferredLanguage": "en"
                    },
                    "email": { "email": "ada@example.com", "isVerified": false },
                    "phone": { "phone": "+41791234567", "returnCode": {} },
                    "hashedPassword": { "hash": "$2b$10$hash", "changeRequired": true },
                    "idpLinks": [{ "idpId": "idp", "userId": "123", "userName": "Ada" }],
                    "totpSecret": "JBSWY3DPEHPK3PXP"
                },
                "metadata": [{ "key": "auth0.app_metadata", "value": "eyJhIjoxfQ==" }, { "key": "k", "value": "AP8=" }]
            })
        );
    }

    #[test]
    fn leaves_out_what_is_not_there() {
        let mut draft = full();
        (draft.phone, draft.password, draft.totp_secret) = (None, None, None);
        draft.links.clear();
        draft.metadata.clear();
        draft.profile.nick_name = None;
        let body: Value = serde_json::from_slice(&new_user_json(&draft, "org")).unwrap();
        assert_eq!(body["human"].as_object().map(Map::len), Some(2));
        assert!(body.get("metadata").is_none() && body["human"]["profile"].get("nickName").is_none());
    }
}
