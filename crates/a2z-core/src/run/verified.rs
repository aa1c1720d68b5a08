//! The end of a run: its ledger is closed, and what the counts say decides how the process ends.

use std::path::Path;

use super::shared::Run;
use crate::{
    error::{Error, Kind, Result, count},
    import::visible::Counted,
    ledger::{
        runs::{self, Mark},
        states::Balance,
        users,
    },
    plan,
};

/// A run that is over, with its counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verified {
    /// The number of the run in the ledger.
    pub run: i64,
    /// Every row of the export, by its outcome.
    pub balance: Balance,
    /// Users that this run wrote.
    pub written: u64,
    /// Of those, users that a search found.
    pub found: u64,
    /// The others are not late: the projections have caught up, and the comparison reports them as missing.
    pub caught_up: bool,
}

impl Verified {
    /// Closes the ledger of the run: it is finished if everybody has an outcome and was found.
    pub(super) async fn of(run: Run<'_>, counted: Counted) -> Result<Self> {
        run.time("total_s", run.began.elapsed()).await?;
        if counted.written > 0 {
            let json = format!(r#"{{"written":{},"visible":{}}}"#, counted.written, counted.seen);
            run.note("verified", json).await?;
        }
        let (number, ledger) = (run.number, run.ledger());
        // A user that accounts became part of may have been refused, or found to be another's, at the import only.
        ledger.write(move |t| plan::people::conclude(t, number)).await?;
        let balance = ledger.read(|c| users::balance(c, number))?;
        let verified = Self {
            run: number,
            balance,
            written: counted.written,
            found: counted.seen,
            caught_up: counted.passed_over,
        };
        if verified.is_whole() {
            ledger.write(move |t| runs::mark(t, number, Mark::Finished)).await?;
        }
        Ok(verified)
    }

    /// Has everybody an outcome, and is nobody late who was written?
    fn is_whole(&self) -> bool {
        self.balance.balances() && self.balance.unknown == 0 && self.late() == 0
    }

    /// Users who were written, and whom ZITADEL's projections do not show yet.
    fn late(&self) -> u64 {
        if self.caught_up { 0 } else { self.written.saturating_sub(self.found) }
    }

    /// How the process ends. `needs_operator` counts the users that `report`, a file, has something to do for.
    ///
    /// # Errors
    /// Of kind `Internal` if the ledger does not balance; `GaveUp` if somebody is without an outcome, or cannot be found yet;
    /// `Incomplete` if somebody needs the operator.
    pub fn end(&self, needs_operator: u64, report: &Path) -> Result<()> {
        let Self { balance, .. } = self;
        if !balance.balances() {
            return Err(Error::internal(format!("the books do not balance: {balance:?}")));
        }
        if balance.unknown > 0 {
            return Err(Error::gave_up(format!("{} without an outcome", count(balance.unknown, "user")))
                .hint("run the same command again: it goes on with these"));
        }
        if self.late() > 0 {
            let missing = count(self.late(), "user");
            return Err(Error::gave_up(format!("{missing} cannot be found in ZITADEL yet"))
                .because("they are written; ZITADEL's projections have not caught up within `import.visible_deadline`")
                .hint("run the same command again to count them back"));
        }
        if needs_operator > 0 {
            let verb = if needs_operator == 1 { "needs" } else { "need" };
            let text = format!("finished; {} {verb} the operator", count(needs_operator, "user"));
            return Err(Error::new(Kind::Incomplete, text)
                .hint(format!("see `{}`: it says who, why, and what to do", report.display())));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verified(balance: Balance, written: u64, found: u64) -> Verified {
        Verified { run: 1, balance, written, found, caught_up: false }
    }

    fn exit_code(verified: &Verified, needs_operator: u64) -> u8 {
        let ended = verified.end(needs_operator, Path::new("report.html"));
        ended.map_or_else(|error| error.kind().exit_code(), |()| 0)
    }

    #[test]
    fn the_counts_decide_the_exit_code() {
        let whole = Balance { exported: 3, created: 2, rejected: 1, ..Balance::default() };
        assert_eq!(exit_code(&verified(whole, 2, 2), 0), 0);
        assert_eq!(exit_code(&verified(whole, 2, 2), 1), 3, "somebody needs the operator");
        assert_eq!(exit_code(&verified(whole, 2, 1), 0), 5, "somebody cannot be found yet");
        let lost = Balance { unknown: 1, rejected: 0, ..whole };
        assert_eq!(exit_code(&verified(lost, 2, 2), 0), 5, "somebody has no outcome");
        let wrong = Balance { rejected: 0, ..whole };
        assert_eq!(exit_code(&verified(wrong, 2, 2), 0), 1, "a row has no outcome at all");
    }

    #[test]
    fn what_must_be_run_again_comes_before_what_the_operator_must_do() {
        let lost = Balance { exported: 2, created: 1, unknown: 1, ..Balance::default() };
        let error = verified(lost, 1, 0).end(7, Path::new("report.html")).unwrap_err();
        assert_eq!(error.message(), "1 user without an outcome");
        let late = Balance { exported: 2, created: 2, ..Balance::default() };
        let error = verified(late, 2, 1).end(7, Path::new("report.html")).unwrap_err();
        assert_eq!(error.message(), "1 user cannot be found in ZITADEL yet");
    }

    #[test]
    fn only_a_whole_run_is_finished() {
        let whole = Balance { exported: 2, created: 1, skipped: 1, ..Balance::default() };
        assert!(verified(whole, 1, 1).is_whole());
        assert!(!verified(whole, 2, 1).is_whole());
        let missing = Verified { caught_up: true, ..verified(whole, 2, 1) };
        assert!(missing.is_whole(), "who is not found is not late");
        assert_eq!(exit_code(&missing, 1), 3, "the comparison reports the user");
        assert!(!verified(Balance { skipped: 0, unknown: 1, ..whole }, 1, 1).is_whole());
        assert!(!verified(Balance { skipped: 0, ..whole }, 1, 1).is_whole());
    }
}
