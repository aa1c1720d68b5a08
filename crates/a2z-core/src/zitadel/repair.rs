//! Requests that make ZITADEL write again what it stores and does not show: something is taken away, and written once more.
//!
//! A command reads the event store, not the projections. So a removal answers 200 only for what is stored, shown or not, and
//! 404 for what somebody removed: it is a probe as well. None of these is sent twice by itself, or the second attempt's 404
//! would say nothing.

use reqwest::Method;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::json;

use super::{
    client::{Client, Rest},
    failure::{Failure, Reason},
};
use crate::mapping::codes::Kind;

impl Client {
    /// Takes one metadata key away. False if it is not stored.
    ///
    /// # Errors
    /// As [`Failure`] says.
    pub async fn take_metadata(&self, id: &str, key: &str) -> Result<bool, Failure> {
        let body = json!({ "userId": id, "keys": [key] });
        let sent = self.post("repair a user's metadata", "zitadel.user.v2.UserService/DeleteUserMetadata", &body);
        taken(sent.done().await, Reason::MetadataNotFound)
    }

    /// Takes a link away. False if it is not stored. The external id must be exact, its case too.
    ///
    /// # Errors
    /// As [`Failure`] says.
    pub async fn take_link(&self, id: &str, idp_id: &str, external_id: &str) -> Result<bool, Failure> {
        let body = json!({ "userId": id, "idpId": idp_id, "linkedUserId": external_id });
        let sent = self.post("repair a user's link", "zitadel.user.v2.UserService/RemoveIDPLink", &body);
        taken(sent.done().await, Reason::LinkNotFound)
    }

    /// Takes codes by SMS or e-mail away as a second factor. False if they are not stored.
    ///
    /// # Errors
    /// As [`Failure`] says.
    pub async fn take_code(&self, id: &str, kind: Kind) -> Result<bool, Failure> {
        let rest = match kind {
            Kind::Sms => Rest { method: Method::DELETE, path: "/otp_sms", procedure: "RemoveOTPSMS" },
            Kind::Email => Rest { method: Method::DELETE, path: "/otp_email", procedure: "RemoveOTPEmail" },
        };
        taken(self.of_user("repair a user's second factor", id, &rest, json!({})).done().await, Reason::CodeNotFound)
    }

    /// Verifies the address that ZITADEL stores for a user, with a code that it returns and sends to nobody.
    ///
    /// # Errors
    /// As [`Failure`] says.
    pub async fn verify_email(&self, id: &str) -> Result<(), Failure> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Wire {
            verification_code: SecretString,
        }
        let rest = Rest { method: Method::POST, path: "/email/send", procedure: "SendEmailCode" };
        let code: Wire = self.of_user("repair a user's e-mail", id, &rest, json!({ "returnCode": {} })).read().await?;
        let rest = Rest { method: Method::POST, path: "/email/verify", procedure: "VerifyEmail" };
        let body = json!({ "verificationCode": code.verification_code.expose_secret() });
        self.of_user("repair a user's e-mail", id, &rest, body).done().await
    }
}

fn taken(sent: Result<(), Failure>, not_there: Reason) -> Result<bool, Failure> {
    match sent {
        Ok(()) => Ok(true),
        Err(failure) if failure.reason() == not_there => Ok(false),
        Err(failure) => Err(failure),
    }
}
