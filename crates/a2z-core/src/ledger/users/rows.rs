//! The row of a planned user: written, and compared with what ZITADEL has from this ledger.

use rusqlite::{ToSql, params};

use crate::{
    ledger::{
        life::{self, COLUMNS, Columns},
        sql::{Result, Transaction},
        states::{Owner, route_number},
        users::planned::{Digest, PlannedUser},
    },
    mapping::finding::{Blocked, BlockedCode, FindingCode},
    user::state::{Event, Row, State, Why},
};

/// Writes a planned user, whatever the ledger knew before; `false` if the same run has a row of the user already.
///
/// # Errors
/// If SQLite fails.
pub(super) fn put_user(transaction: &Transaction<'_>, run: i64, user: &PlannedUser) -> Result<bool> {
    // Most users are new, and one statement does.
    let first = Columns::first(State::first(user.asks(None)));
    if write(transaction, run, user, &first, true)? {
        return Ok(true);
    }
    let known = known(transaction, user)?;
    if known.run == run {
        return Ok(false);
    }
    let (_, next) = known.columns.after(&user.user_id, Event::Plan(user.asks(Some(&known))))?;
    write(transaction, run, user, &next, false)
}

/// Writes a row with its state: as a new user, which is `false` if the ledger knows the user, or over an older row.
fn write(transaction: &Transaction<'_>, run: i64, user: &PlannedUser, state: &Columns, new: bool) -> Result<bool> {
    const INSERT: &str =
        "INSERT INTO users (user_id, connection, run, file, line, row, name_key, verified, last_login, route,
             want_profile, want_password, action, progress, outcome, owner, code, detail, findings, email_key,
             has_metadata, want_factors, row_profile, number, want_facts, blocked)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21,
             ?22, ?11, ?23, ?24, ?25)
         ON CONFLICT (user_id) DO NOTHING";
    const UPDATE: &str =
        "UPDATE users SET connection = ?2, run = ?3, file = ?4, line = ?5, row = ?6, name_key = ?7, verified = ?8,
           last_login = ?9, route = ?10, want_profile = ?11, want_password = ?12, action = ?13, progress = ?14,
           outcome = ?15, owner = ?16, code = ?17, detail = ?18, findings = ?19, email_key = ?20,
           has_metadata = ?21, want_factors = ?22, row_profile = ?11, number = ?23, want_facts = ?24,
           blocked = ?25, visible = 0, keeps = 0, adjusted = 0,
           -- A name that ZITADEL has from us stays; one that was only planned is planned again.
           name_suffix = CASE WHEN ?16 = ?26 THEN name_suffix ELSE NULL END
         WHERE user_id = ?1";
    let (wanted, blocked) = (user.plan.as_ref().ok(), user.plan.as_ref().err());
    let findings = (!user.findings.is_empty()).then(|| serde_json::to_string(&user.findings).unwrap_or_default());
    let mut values: Vec<&dyn ToSql> = Vec::with_capacity(26);
    let (name_key, route) = (wanted.map(|w| &w.name_key), wanted.map(|w| route_number(w.route)));
    let (profile, password) = (wanted.map(|w| w.profile), wanted.and_then(|w| w.password));
    let (code, detail) = (blocked.map(|b| b.code.code()), blocked.and_then(|b| b.detail.as_deref()));
    let (factors, facts) = (wanted.and_then(|w| w.factors), wanted.and_then(|w| w.facts.as_deref()));
    values.extend([&user.user_id as &dyn ToSql, &user.connection, &run, &user.file, &user.line, &user.row, &name_key]);
    values.extend([&user.verified as &dyn ToSql, &user.last_login, &route, &profile, &password]);
    values.extend([&state.action as &dyn ToSql, &state.progress, &state.outcome, &state.owner]);
    values.extend([&code as &dyn ToSql, &detail, &findings, &user.email_key, &user.has_metadata, &factors]);
    let inactive = user.findings.iter().any(|finding| finding.code == FindingCode::Blocked);
    values.extend([&user.number as &dyn ToSql, &facts, &inactive]);
    if !new {
        values.push(&Owner::Ours);
    }
    let changed = transaction.prepare(if new { INSERT } else { UPDATE })?.execute(values.as_slice())?;
    Ok(changed > 0)
}

/// What the ledger knows of a user before a plan pass.
struct Known {
    run: i64,
    columns: Columns,
    profile: Option<Digest>,
    password: Option<Digest>,
    factors: Option<Digest>,
}

fn known(transaction: &Transaction<'_>, user: &PlannedUser) -> Result<Known> {
    let sql = format!("SELECT {COLUMNS}, run, have_profile, have_password, have_factors FROM users WHERE user_id = ?1");
    transaction.one(&sql, [&user.user_id], |row| {
        Ok(Known {
            run: row.get(5)?,
            columns: Columns::read(row)?,
            profile: row.get(6)?,
            password: row.get(7)?,
            factors: row.get(8)?,
        })
    })
}

impl PlannedUser {
    /// What the row asks for, if ZITADEL has what is `known` from this ledger.
    fn asks(&self, known: Option<&Known>) -> Row {
        match (&self.plan, known) {
            (Err(blocked), _) if is_skip(blocked) => Row::Out(Why::Skipped),
            (Err(_), _) => Row::Out(Why::Blocked),
            (Ok(_), None) => Row::Differs,
            (Ok(wanted), Some(known)) => compare(
                known.profile == Some(wanted.profile),
                (wanted.password, known.password),
                (wanted.factors, known.factors),
            ),
        }
    }
}

/// The rule for "unchanged". A password or second factors that the row does not have leave those in ZITADEL as they are.
fn compare(
    same_profile: bool,
    password: (Option<Digest>, Option<Digest>),
    factors: (Option<Digest>, Option<Digest>),
) -> Row {
    let is_same = |(want, have): (Option<Digest>, Option<Digest>)| want.is_none() || want == have;
    if same_profile && is_same(password) && is_same(factors) { Row::Same } else { Row::Differs }
}

/// A later step of the plan wants this profile of a planned user: the state follows.
///
/// # Errors
/// If SQLite fails.
pub(in crate::ledger) fn adjust_profile(transaction: &Transaction<'_>, user_id: &str, profile: Digest) -> Result<()> {
    let row = transaction
        .prepare(
            "SELECT have_profile IS ?2, want_password, have_password, want_factors, have_factors FROM users
             WHERE user_id = ?1",
        )?
        .query_row(params![user_id, profile], |row| {
            Ok(compare(row.get(0)?, (row.get(1)?, row.get(2)?), (row.get(3)?, row.get(4)?)))
        })?;
    transaction.prepare("UPDATE users SET want_profile = ?2 WHERE user_id = ?1")?.execute(params![user_id, profile])?;
    life::take(transaction, user_id, Event::Adjust(row)).map(drop)
}

/// Left out on purpose: nobody has anything to mend.
fn is_skip(blocked: &Blocked) -> bool {
    blocked.code == BlockedCode::Filtered
}
