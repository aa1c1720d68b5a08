//! The question before the first write.

use std::io::{BufRead as _, IsTerminal as _, Write as _};

use crate::error::{Error, Result};

/// Asks on the terminal; `yes` answers beforehand.
///
/// # Errors
/// When there is nobody to ask, or the answer is no.
pub(super) fn confirm(question: &str, yes: bool) -> Result<()> {
    if yes {
        return Ok(());
    }
    let stdin = std::io::stdin();
    let mut stderr = std::io::stderr();
    if !(stdin.is_terminal() && stderr.is_terminal()) {
        return Err(Error::usage("there is no terminal to ask for a confirmation")
            .hint("read the plan above, and run the same command again with `--yes`"));
    }
    let _ = write!(stderr, "\n{question} Only `yes` is taken as a yes: ").and_then(|()| stderr.flush());
    let mut answer = String::new();
    let read = stdin.lock().read_line(&mut answer);
    if read.is_ok() && answer.trim() == "yes" {
        return Ok(());
    }
    Err(Error::usage("not confirmed; nothing was written").hint("the plan is kept: run the same command again to go on"))
}
