//! Codes by SMS and by e-mail as second factors: can they move?

use crate::{mapping::codes::Abilities, run::facts::Facts, zitadel::client::Client as Zitadel};

/// Looks at what ZITADEL and the account can do. `mail_provider` says that an active one is known to be there, `survey` that
/// Auth0 is asked.
pub(super) async fn check(facts: &mut Facts, client: &Zitadel, mail_provider: bool, survey: bool) {
    // What cannot be read counts as absent: a code that nobody sends locks the user out.
    let sms = client.sms_provider_configured().await;
    let sms_provider = sms.as_ref().is_ok_and(|configured| *configured);
    let permitted = facts.may_give_factors;
    facts.codes = Some(Abilities { sms_provider, mail_provider, permitted });
    if !survey {
        facts.warn(
            "mfa-codes",
            "without `mfa.survey` only users of whom an earlier survey told get codes by SMS or e-mail as second factors",
        );
    }
    if !permitted {
        facts.warn(
            "mfa-codes",
            "the account may not give users a second factor (it is not IAM_OWNER, IAM_ORG_MANAGER, nor ORG_OWNER of the organization): codes by SMS and e-mail stay behind",
        );
    }
    for (there, kind) in [(sms_provider, "SMS"), (mail_provider, "e-mail")] {
        if !there {
            facts.warn(
                "mfa-codes",
                format!(
                    "ZITADEL has no active {kind} provider, or this account may not see it: codes by {kind} stay behind"
                ),
            );
        }
    }
    if permitted && (sms_provider || mail_provider) {
        let by = match (sms_provider, mail_provider) {
            (true, true) => "SMS and by e-mail",
            (true, false) => "SMS",
            _ => "e-mail",
        };
        facts.ok("mfa-codes", format!("codes by {by} can be second factors"));
    }
    if let Err(failure) = sms
        && !failure.is_refusal()
    {
        facts.unread("mfa-codes", failure, "could not ask for the SMS provider");
    }
}
