//! Codes by SMS and by e-mail as second factors, and the providers that would send them.

use serde_json::{Value, json};

use super::Server;
use super::answer::{Code, Fail};
use super::pages::{Family, page};
use super::state::{User, time};
use super::users::{DENIED, changed};

/// Whether the instance has a provider of a kind, as the list of an administrator shows it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Provider {
    /// None is configured.
    #[default]
    None,
    /// One is configured and switched off.
    Inactive,
    /// One is configured and sends.
    Active,
}

impl Server {
    /// `POST /v2/users/{id}/otp_sms` and `otp_email`: no code from the user is asked for. Whose address or number was
    /// never verified is refused.
    pub(super) fn add_code(&self, caller: &str, id: &str, by_sms: bool) -> Result<Value, Fail> {
        let mut state = self.state();
        let mut user = state.existing(id, "COMMAND-4g3xq").map_err(|_| missing())?;
        if caller != id {
            state.require(caller, "user.credential.write", Some(&user.organization_id), DENIED)?;
        }
        let (there, verified, kind, ids) = if by_sms {
            let verified = user.phone.is_some() && user.phone_verified;
            (&mut user.otp_sms, verified, "user.human.mfa.otp.sms.added", ["COMMAND-Ad3g2", "COMMAND-Q54j2"])
        } else {
            let verified = user.email_verified;
            (&mut user.otp_email, verified, "user.human.mfa.otp.email.added", ["COMMAND-MKL2s", "COMMAND-KLJ2d"])
        };
        if *there {
            return Err(Fail::new(Code::AlreadyExists, ids[0], "Errors.User.MFA.OTP.AlreadyReady"));
        }
        if !verified {
            return Err(Fail::new(Code::FailedPrecondition, ids[1], "Errors.User.MFA.OTP.NotReady"));
        }
        *there = true;
        let at = state.commit(user, vec![(kind, None)], caller);
        Ok(changed(&state.existing(id, "")?, at))
    }

    /// `DELETE /v2/users/{id}/otp_sms` and `otp_email`.
    pub(super) fn remove_code(&self, caller: &str, id: &str, by_sms: bool) -> Result<Value, Fail> {
        let mut state = self.state();
        let mut user = state.existing(id, "COMMAND-4g3xq").map_err(|_| missing())?;
        if caller != id {
            state.require(caller, "user.write", Some(&user.organization_id), DENIED)?;
        }
        let (there, kind, gone) = if by_sms {
            (&mut user.otp_sms, "user.human.mfa.otp.sms.removed", "COMMAND-Sr3h3")
        } else {
            (&mut user.otp_email, "user.human.mfa.otp.email.removed", "COMMAND-b312D")
        };
        if !std::mem::take(there) {
            return Err(Fail::new(Code::NotFound, gone, "Errors.User.MFA.OTP.NotExisting"));
        }
        let at = state.commit(user, vec![(kind, None)], caller);
        Ok(changed(&state.existing(id, "")?, at))
    }

    /// `POST /admin/v1/sms/_search` and `email/_search`.
    pub(super) fn providers(&self, by_sms: bool, request: &Value) -> Result<Value, Fail> {
        let mut state = self.state();
        let now = time(state.now());
        let (provider, prefix) =
            if by_sms { (state.sms_provider, "SMS_PROVIDER_CONFIG") } else { (state.mail_provider, "EMAIL_PROVIDER") };
        let word = match provider {
            Provider::None => None,
            Provider::Inactive => Some("INACTIVE"),
            Provider::Active => Some("ACTIVE"),
        };
        let row = |word| {
            json!({"id": "400913786954845222", "state": format!("{prefix}_{word}"), "description": "sandbox",
                   "http": {"endpoint": "https://sender.example/"}})
        };
        let page = page(&self.options, Family::V1, &request["query"], word.map(row).into_iter().collect())?;
        Ok(page.details(json!({"details": {"viewTimestamp": now}})))
    }
}

fn missing() -> Fail {
    Fail::new(Code::NotFound, "COMMAND-4g3xq", "Errors.NotFound")
}

impl User {
    /// The events of a change that nobody asked for by a request.
    pub(super) fn codes_changed(&self, before: (bool, bool)) -> Vec<&'static str> {
        let kinds = [
            (before.0, self.otp_sms, "user.human.mfa.otp.sms.added", "user.human.mfa.otp.sms.removed"),
            (before.1, self.otp_email, "user.human.mfa.otp.email.added", "user.human.mfa.otp.email.removed"),
        ];
        let changed = kinds.into_iter().filter(|(before, now, ..)| before != now);
        changed.map(|(_, now, added, removed)| if now { added } else { removed }).collect()
    }
}
