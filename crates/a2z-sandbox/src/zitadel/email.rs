//! Codes that verify an e-mail address.

use serde_json::{Value, json};

use super::Server;
use super::answer::{Code, Fail};
use super::people::text;
use super::state::UserState;
use super::users::{DENIED, changed};

/// Every code is this one.
pub(super) const CODE: &str = "482913";

impl Server {
    /// `POST /v2/users/{id}/email/send`, `resend` and `verify`. A code that is returned is not sent. `verify` writes its
    /// event even if the address is already verified.
    pub(super) fn email_code(&self, caller: &str, id: &str, verb: &str, request: &Value) -> Result<Value, Fail> {
        let mut state = self.state();
        let mut user = state.existing(id, "COMMAND-ieJ2e")?;
        if user.state == UserState::Initial {
            return Err(Fail::new(Code::FailedPrecondition, "COMMAND-uz0Uu", "Errors.User.NotInitialised"));
        }
        if verb == "verify" {
            if user.email_code.as_deref() != Some(text(request, "verificationCode")) {
                state.commit(user, vec![("user.human.email.verification.failed", None)], caller);
                return Err(Fail::new(Code::InvalidArgument, "COMMAND-eis9R", "Errors.User.Code.Invalid"));
            }
            (user.email_verified, user.email_code) = (true, None);
            let at = state.commit(user, vec![("user.human.email.verified", None)], caller);
            return Ok(changed(&state.existing(id, "")?, at));
        }
        state.require(caller, "user.write", Some(&user.organization_id), DENIED)?;
        if verb == "resend" && user.email_code.is_none() {
            return Err(Fail::new(Code::FailedPrecondition, "EMAIL-5w5ilin4yt", "Errors.User.Code.Empty"));
        }
        let returned = request["returnCode"].is_object();
        user.email_code = Some(CODE.to_owned());
        let event = ("user.human.email.code.added", Some(json!({"codeReturned": returned})));
        let at = state.commit(user, vec![event], caller);
        let mut answer = changed(&state.existing(id, "")?, at);
        if returned {
            answer["verificationCode"] = CODE.into();
        }
        Ok(answer)
    }
}
