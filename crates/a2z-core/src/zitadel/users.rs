//! Writing users, and proving that they can sign in.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use reqwest::Method;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    client::{Client, Rest},
    failure::{Failure, Reason},
    import::ImportAnswer,
};
use crate::mapping::{codes::Kind, draft::Metadata};

/// How much longer than ZITADEL's own limit an import's answer is waited for: giving up first would stop it half done.
const IMPORT_GRACE: Duration = Duration::from_secs(30);

/// Who signs in.
#[derive(Debug, Clone, Copy)]
pub enum SessionUser<'a> {
    /// By login name, as a person would.
    LoginName(&'a str),
    /// By id.
    UserId(&'a str),
}

/// A session that was made to prove a password.
#[derive(Debug, Clone)]
pub struct Session {
    /// Its id.
    pub id: String,
    /// Its token.
    pub token: SecretString,
}

impl Client {
    /// Imports a batch. Never sent twice by itself. `timeout` is ZITADEL's own limit, as in the body.
    ///
    /// # Errors
    /// As [`Failure`] says.
    pub async fn import(&self, body: Bytes, timeout: Duration) -> Result<ImportAnswer, Failure> {
        let request = self.post_bytes("import users", "admin/v1/import", body).timeout(timeout + IMPORT_GRACE);
        ImportAnswer::parse(&request.send().await?.body)
    }

    /// Creates one user and returns the id. Never sent twice by itself.
    ///
    /// # Errors
    /// As [`Failure`] says: [`Reason::UserExists`] if the id is taken, [`Reason::Taken`] if the user name or a link is.
    pub async fn create_user(&self, body: Bytes) -> Result<String, Failure> {
        #[derive(Deserialize)]
        struct Wire {
            id: String,
        }
        self.post_bytes("create a user", "v2/users/new", body).read::<Wire>().await.map(|wire| wire.id)
    }

    /// Changes a user; `patch` is the body of `PATCH /v2/users/{id}`.
    ///
    /// # Errors
    /// As [`Failure`] says.
    pub async fn update_user(&self, id: &str, patch: Bytes) -> Result<(), Failure> {
        let patch: Value =
            serde_json::from_slice(&patch).map_err(|_| Failure::Other(crate::error::Error::internal("a bad patch")))?;
        let rest = Rest { method: Method::PATCH, path: "", procedure: "UpdateUser" };
        self.of_user("update a user", id, &rest, patch).idempotent().done().await
    }

    /// Removes metadata; a key that is not there is no error where all of them are gone.
    ///
    /// # Errors
    /// As [`Failure`] says.
    pub async fn remove_metadata(&self, id: &str, keys: &[String]) -> Result<(), Failure> {
        // By Connect always: over REST the keys would stand in the query.
        let body = json!({ "userId": id, "keys": keys });
        let sent = self.post("remove a user's metadata", "zitadel.user.v2.UserService/DeleteUserMetadata", &body);
        match sent.idempotent().done().await {
            // An attempt whose answer was lost removed it.
            Err(failure) if failure.reason() == Reason::MetadataNotFound => Ok(()),
            result => result,
        }
    }

    /// Writes metadata. Values are not empty: ZITADEL refuses those.
    ///
    /// # Errors
    /// As [`Failure`] says.
    pub async fn set_metadata(&self, id: &str, entries: &[Metadata]) -> Result<(), Failure> {
        let entry = |entry: &Metadata| json!({ "key": entry.key, "value": STANDARD.encode(&entry.value) });
        let body = json!({ "metadata": entries.iter().map(entry).collect::<Vec<_>>() });
        let rest = Rest { method: Method::POST, path: "/metadata", procedure: "SetUserMetadata" };
        self.of_user("write a user's metadata", id, &rest, body).idempotent().done().await
    }

    /// Takes a user's phone number away, unless that is done.
    ///
    /// # Errors
    /// As [`Failure`] says.
    pub async fn remove_phone(&self, id: &str) -> Result<(), Failure> {
        let rest = Rest { method: Method::DELETE, path: "/phone", procedure: "RemovePhone" };
        self.switch("remove a user's phone", id, &rest, Reason::PhoneNotFound).await
    }

    /// Gives a user codes by SMS or e-mail as a second factor. Never sent twice by itself, so that a factor which is there
    /// already is known to be another's. Nothing is sent to the user.
    ///
    /// # Errors
    /// As [`Failure`] says: [`Reason::CodeExists`], [`Reason::ContactUnverified`].
    pub async fn add_code(&self, id: &str, kind: Kind) -> Result<(), Failure> {
        let rest = match kind {
            Kind::Sms => Rest { method: Method::POST, path: "/otp_sms", procedure: "AddOTPSMS" },
            Kind::Email => Rest { method: Method::POST, path: "/otp_email", procedure: "AddOTPEmail" },
        };
        self.of_user("give a user a second factor", id, &rest, json!({})).done().await
    }

    /// Deactivates a user, unless that is done.
    ///
    /// # Errors
    /// As [`Failure`] says. An INITIAL user cannot be deactivated.
    pub async fn deactivate(&self, id: &str) -> Result<(), Failure> {
        let rest = Rest { method: Method::POST, path: "/deactivate", procedure: "DeactivateUser" };
        self.switch("deactivate a user", id, &rest, Reason::AlreadyInactive).await
    }

    /// Activates a user again, unless that is done.
    ///
    /// # Errors
    /// As [`Failure`] says.
    pub async fn reactivate(&self, id: &str) -> Result<(), Failure> {
        let rest = Rest { method: Method::POST, path: "/reactivate", procedure: "ReactivateUser" };
        self.switch("reactivate a user", id, &rest, Reason::AlreadyActive).await
    }

    async fn switch(&self, what: &str, id: &str, rest: &Rest<'_>, already: Reason) -> Result<(), Failure> {
        match self.of_user(what, id, rest, json!({})).idempotent().done().await {
            Err(failure) if failure.reason() == already => Ok(()),
            result => result,
        }
    }

    /// Deletes a user. False where there was none (any more).
    ///
    /// # Errors
    /// As [`Failure`] says.
    pub async fn delete_user(&self, id: &str) -> Result<bool, Failure> {
        let rest = Rest { method: Method::DELETE, path: "", procedure: "DeleteUser" };
        match self.of_user("delete a user", id, &rest, json!({})).idempotent().done().await {
            Ok(()) => Ok(true),
            // An id of ZITADEL's own says that it was the user who was not found, not the path.
            Err(Failure::Refused { status: 404, id: Some(_), .. }) => Ok(false),
            Err(failure) => Err(failure),
        }
    }

    /// Signs a user in. It costs a password check, and ZITADEL re-hashes an old hash when it succeeds.
    ///
    /// # Errors
    /// As [`Failure`] says: [`Reason::PasswordWrong`], [`Reason::PasswordMissing`], [`Reason::NotActive`].
    pub async fn create_session(&self, user: SessionUser<'_>, password: &SecretString) -> Result<Session, Failure> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Wire {
            session_id: String,
            session_token: SecretString,
        }
        let user = match user {
            SessionUser::LoginName(name) => json!({ "loginName": name }),
            SessionUser::UserId(id) => json!({ "userId": id }),
        };
        let body = json!({ "checks": { "user": user, "password": { "password": password.expose_secret() } } });
        let wire: Wire = self.post("check a password", "v2/sessions", &body).read().await?;
        Ok(Session { id: wire.session_id, token: wire.session_token })
    }

    /// Ends a session.
    ///
    /// # Errors
    /// As [`Failure`] says.
    pub async fn delete_session(&self, session: &Session) -> Result<(), Failure> {
        self.delete("end a session", &format!("v2/sessions/{}", session.id)).idempotent().done().await
    }
}
