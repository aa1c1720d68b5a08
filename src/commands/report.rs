//! `a2z report`: makes the reports of the latest run again.

use super::{Context, print};
use crate::{
    error::{Error, Result},
    ledger::{View, runs},
    state::StateDir,
    summary,
};

/// Writes the reports again, and prints the balance.
///
/// # Errors
/// When there is no ledger, or a report cannot be written.
pub fn report(context: &Context) -> Result<()> {
    let state = StateDir::look(&context.work.config.state)?;
    let ledger = View::of(&state.ledger());
    let run = ledger.read(runs::latest)?.ok_or_else(|| {
        Error::usage(format!("the ledger in `{}` has no run yet", state.path().display())).hint("run `a2z plan` first")
    })?;
    let reported = summary::write(&state, &ledger, run.run)?;
    if run.importing_at.is_none() {
        print(&format!(
            "Run {} is a plan: nothing was written, and whom it would send counts as unknown.\n\n",
            run.run
        ))?;
    }
    print(&reported.text(context.color, state.path()))
}
