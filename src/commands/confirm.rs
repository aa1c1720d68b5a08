//! The question before the first write.

use std::io::{BufRead as _, IsTerminal as _, Write as _};

use super::Context;
use crate::error::{Error, Result};

/// Asks on the terminal; `yes` answers beforehand.
///
/// # Errors
/// When there is nobody to ask, the answer is no, or the run is stopped.
pub(super) async fn confirm(context: &Context, question: &str) -> Result<()> {
    if ask(context, question).await? {
        return Ok(());
    }
    Err(Error::usage("not confirmed; nothing was written")
        .hint("the plan is kept: run the same command again to go on"))
}

/// Asks, and goes on without if the answer is no.
///
/// # Errors
/// When there is nobody to ask, or the run is stopped.
pub(super) async fn confirmed(context: &Context, question: &str) -> Result<bool> {
    ask(context, question).await
}

/// [`confirm`] for what deletes.
///
/// # Errors
/// As [`confirm`].
pub(super) async fn confirm_deletion(context: &Context, question: &str) -> Result<()> {
    if ask(context, question).await? { Ok(()) } else { Err(Error::usage("not confirmed; nothing was deleted")) }
}

async fn ask(context: &Context, question: &str) -> Result<bool> {
    if context.yes {
        return Ok(true);
    }
    let mut stderr = std::io::stderr();
    let Some(terminal) = terminal().filter(|_| stderr.is_terminal()) else {
        return Err(Error::usage("there is no terminal to ask for a confirmation")
            .hint("read the plan above, and run the same command again with `--yes`"));
    };
    let _ = write!(stderr, "\n{question} Only `yes` is taken as a yes: ").and_then(|()| stderr.flush());
    // On a thread of its own: the operator may answer with Ctrl-C.
    let answer = tokio::task::spawn_blocking(|| {
        let mut answer = String::new();
        std::io::BufReader::new(terminal).read_line(&mut answer).map(|_| answer)
    });
    let answer = context.work.unless_stopped(async { Ok(answer.await) }).await?;
    Ok(matches!(answer, Ok(Ok(answer)) if answer.trim() == "yes"))
}

/// Where the operator answers: the terminal itself where standard input is a file (`gpg -d … | a2z cutover --passwords -`).
fn terminal() -> Option<Box<dyn std::io::Read + Send>> {
    let stdin = std::io::stdin();
    if stdin.is_terminal() {
        return Some(Box::new(stdin));
    }
    if cfg!(unix) { std::fs::File::open("/dev/tty").ok().map(|tty| Box::new(tty) as _) } else { None }
}
