//! Second factors. ZITADEL takes one TOTP secret and ten recovery codes of a user; Auth0's TOTP is SHA-1, six digits and
//! thirty seconds, as ZITADEL's, so that an app goes on showing the right codes.

use super::{
    draft::Draft,
    finding::{Finding, FindingCode},
};
use crate::hashes::mfa::Factors;

/// `SystemDefaults.Multifactors.RecoveryCodes.MaxCount`: with more of them ZITADEL takes none at all.
const MOST_CODES: usize = 10;

/// Gives the draft the second factors that the MFA files hold of the user, as far as they can be moved. Recovery codes
/// go by the import endpoint alone; without it (`may_import`) they stay behind.
pub fn give(draft: &mut Draft, factors: Factors, may_import: bool, findings: &mut Vec<Finding>) {
    let Factors { mut totp, mut recovery_codes, mut others, unusable } = factors;
    if totp.len() > 1 {
        findings.push(Finding::about(FindingCode::SeveralTotp, format!("{} of them", totp.len())));
    }
    // The one that was named last: files are given oldest first, and rows are written as people enrol.
    draft.totp_secret = totp.pop();
    if !may_import && !recovery_codes.is_empty() {
        recovery_codes.clear();
        others.push("recovery-code".to_owned());
    }
    if recovery_codes.len() > MOST_CODES {
        findings.push(Finding::about(
            FindingCode::RecoveryCodesDropped,
            format!("{} of {}", recovery_codes.len() - MOST_CODES, recovery_codes.len()),
        ));
        recovery_codes.truncate(MOST_CODES);
    }
    draft.recovery_codes = recovery_codes;
    // The export's own list says that there is one, and not whether it moves.
    if let Some(at) = findings.iter().position(|finding| finding.code == FindingCode::FactorNotMoved) {
        let before = findings.remove(at).detail.unwrap_or_default();
        let moves = |kind: &str| kind == "google-authenticator" && draft.totp_secret.is_some();
        others.extend(before.split(", ").filter(|kind| !kind.is_empty() && !moves(kind)).map(str::to_owned));
    }
    let unusable = unusable.into_iter().map(|factor| factor.why).collect();
    for (code, mut what) in [(FindingCode::FactorUnusable, unusable), (FindingCode::FactorNotMoved, others)] {
        what.sort_unstable();
        what.dedup();
        if !what.is_empty() {
            findings.push(Finding::about(code, what.join(", ")));
        }
    }
}

#[cfg(test)]
mod tests {
    use secrecy::{ExposeSecret, SecretString};

    use super::*;
    use crate::{hashes::mfa::Unusable, mapping::facts::tests::draft};

    struct Case {
        factors: Factors,
        may_import: bool,
        totp: Option<&'static str>,
        codes: usize,
        findings: &'static [(FindingCode, &'static str)],
    }

    fn secrets(texts: &[&str]) -> Vec<SecretString> {
        texts.iter().map(|text| (*text).into()).collect()
    }

    fn texts(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn each_kind_of_user() {
        use FindingCode::{FactorNotMoved, FactorUnusable, RecoveryCodesDropped, SeveralTotp};
        let twelve: Vec<SecretString> = (0..12).map(|n| format!("code{n}").into()).collect();
        let cases = [
            Case { factors: Factors::default(), may_import: true, totp: None, codes: 0, findings: &[] },
            Case {
                factors: Factors { totp: secrets(&["A"]), recovery_codes: secrets(&["x"]), ..Factors::default() },
                may_import: true,
                totp: Some("A"),
                codes: 1,
                findings: &[],
            },
            Case {
                factors: Factors { totp: secrets(&["A", "B", "C"]), ..Factors::default() },
                may_import: true,
                totp: Some("C"),
                codes: 0,
                findings: &[(SeveralTotp, "3 of them")],
            },
            Case {
                factors: Factors { recovery_codes: twelve, ..Factors::default() },
                may_import: true,
                totp: None,
                codes: 10,
                findings: &[(RecoveryCodesDropped, "2 of 12")],
            },
            Case {
                factors: Factors {
                    totp: secrets(&["A"]),
                    recovery_codes: secrets(&["x"]),
                    others: texts(&["push", "phone", "push"]),
                    unusable: vec![Unusable { kind: "totp", why: "TOTP secret: not Base32".to_owned() }],
                },
                may_import: false,
                totp: Some("A"),
                codes: 0,
                findings: &[
                    (FactorUnusable, "TOTP secret: not Base32"),
                    (FactorNotMoved, "phone, push, recovery-code"),
                ],
            },
        ];
        for (number, case) in cases.into_iter().enumerate() {
            let (mut draft, mut findings) = (draft(), Vec::new());
            give(&mut draft, case.factors, case.may_import, &mut findings);
            assert_eq!(draft.totp_secret.as_ref().map(ExposeSecret::expose_secret), case.totp, "{number}");
            assert_eq!(draft.recovery_codes.len(), case.codes, "{number}");
            let expected: Vec<_> = case.findings.iter().map(|(code, what)| Finding::about(*code, *what)).collect();
            assert_eq!(findings, expected, "{number}");
        }
    }
}
