//! Roles and organizations in words: for the plan, and for the end of a run.

use crate::{
    error::{count, thousands},
    ledger::structure::Counts,
};

/// What the plan came to, a line each; none where there are neither roles nor organizations.
#[must_use]
pub fn plan_lines(counts: &Counts) -> Vec<String> {
    let mut lines = Vec::new();
    if counts.roles > 0 {
        lines.push(format!(
            "{}, {} to create in ZITADEL",
            count(counts.roles, "role"),
            thousands(counts.roles_to_create)
        ));
    }
    let grants = [
        (counts.grants_to_give, "to give"),
        (counts.grants_to_change, "to change"),
        (counts.grants_to_take, "to take away"),
        (counts.grants_unchanged, "unchanged"),
    ];
    let grants: Vec<String> =
        grants.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{} {what}", thousands(*n))).collect();
    if !grants.is_empty() {
        lines.push(format!("role grants: {}", grants.join(", ")));
    }
    if counts.organizations > 0 {
        lines.push(format!(
            "{}, {} to create in ZITADEL",
            count(counts.organizations, "organization"),
            thousands(counts.organizations_to_create)
        ));
        lines.push(format!(
            "users by membership: {} of one organization, {} of several, {} of none",
            thousands(counts.members_of_one),
            thousands(counts.members_of_several),
            thousands(counts.members_of_none)
        ));
    }
    if counts.strangers > 0 {
        lines.push(format!("{} with a role or a membership not in the export", count(counts.strangers, "user")));
    }
    lines
}

/// What is in ZITADEL at the end, in one line; empty where nothing is.
#[must_use]
pub fn summary_line(counts: &Counts) -> String {
    let parts =
        [(counts.roles_ours, "role"), (counts.organizations_ours, "organization"), (counts.grants_ours, "role grant")];
    let mut parts: Vec<String> = parts.iter().filter(|(n, _)| *n > 0).map(|(n, what)| count(*n, what)).collect();
    if counts.grants_left > 0 {
        parts.push(format!("{} not as planned", count(counts.grants_left, "role grant")));
    }
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_there_is_told() {
        assert!(plan_lines(&Counts::default()).is_empty());
        assert_eq!(summary_line(&Counts::default()), "");
        let counts = Counts {
            roles: 3,
            roles_to_create: 2,
            organizations: 1,
            members_of_one: 1200,
            grants_to_give: 5,
            grants_to_take: 1,
            strangers: 1,
            roles_ours: 3,
            grants_ours: 1,
            grants_left: 2,
            ..Counts::default()
        };
        assert_eq!(
            plan_lines(&counts),
            [
                "3 roles, 2 to create in ZITADEL",
                "role grants: 5 to give, 1 to take away",
                "1 organization, 0 to create in ZITADEL",
                "users by membership: 1,200 of one organization, 0 of several, 0 of none",
                "1 user with a role or a membership not in the export",
            ]
        );
        assert_eq!(summary_line(&counts), "3 roles, 1 role grant, 2 role grants not as planned");
    }
}
