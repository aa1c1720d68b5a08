//! `a2z purge`: removes what a2z made in the state folder, and nothing else.

use std::{fmt::Write as _, fs, io, path::Path};

use super::{Context, confirm::confirm_deletion, print};
use crate::{
    cli,
    error::{Error, Result, count, printable},
    ledger::{
        View, runs,
        users::{self, Which},
    },
    state::{
        StateDir, cannot,
        contents::{Found, LOCK, What, look},
    },
};

/// Removes the export files, spool files, reports, ledger and lock; with `--exports-only` the export files only.
///
/// # Errors
/// When it is not confirmed, another run holds the lock, or a file cannot be removed.
pub async fn purge(context: &Context, args: &cli::Purge) -> Result<()> {
    let folder = &context.work.config.state;
    let found = look(folder)?;
    let chosen = |file: &&Found| match file.what {
        What::Export => true,
        What::Other | What::Lock => !args.exports_only,
        What::NotOurs => false,
    };
    if !found.iter().any(|file| chosen(&file)) {
        return print(&format!("Nothing to remove in `{}`.\n", folder.display()));
    }
    // Nobody may be at work here, and nobody begins meanwhile.
    let state = StateDir::open(folder)?;
    // First: a reader of the ledger makes files beside it.
    warn(context, &state, args.exports_only);
    let found = look(state.path())?;
    let doomed: Vec<&Found> = found.iter().filter(chosen).collect();
    let unknown: Vec<&Found> = found.iter().filter(|file| file.what == What::NotOurs).collect();
    let mut text = format!("In `{}`, to remove:\n", printable(&state.path().display().to_string()));
    for file in &doomed {
        let _ = writeln!(text, "{:>12}  {}", size(file.bytes), name(&file.path));
    }
    let _ = writeln!(text, "{:>12}  in all", size(doomed.iter().map(|file| file.bytes).sum()));
    for file in &unknown {
        let _ = writeln!(text, "{:>12}  {}: not a2z's, stays", "", name(&file.path));
    }
    print(&text)?;
    confirm_deletion(context, &format!("Remove {} for good?", count(doomed.len() as u64, "file"))).await?;
    for file in doomed.iter().filter(|file| file.what != What::Lock) {
        remove(&file.path)?;
    }
    if args.exports_only {
        return print("Removed; ledger and reports stay.\n");
    }
    let path = state.path().to_owned();
    // An open file cannot be removed everywhere.
    drop(state);
    remove(&path.join(LOCK))?;
    let gone = unknown.is_empty() && fs::remove_dir(&path).is_ok();
    print(if gone { "Removed, and the folder with it.\n" } else { "Removed; the folder stays, for it is not empty.\n" })
}

/// Says what is lost with the ledger, or with the export.
fn warn(context: &Context, state: &StateDir, exports_only: bool) {
    if !state.ledger().is_file() {
        return;
    }
    let read = View::of(&state.ledger()).read(|c| {
        let created = users::count_candidates(c, Which::Created)? + users::count_candidates(c, Which::InDoubt)?;
        Ok((runs::is_unfinished(c)?, created))
    });
    let Ok((unfinished, created)) = read else {
        context.work.events.warn("purge-unread", "the ledger cannot be read: what is lost with it is not known");
        return;
    };
    if unfinished {
        let lost = if exports_only { "it will take a new export to go on" } else { "it cannot be gone on with" };
        context.work.events.warn("purge-unfinished", format!("the run is not finished: {lost}"));
    }
    if created > 0 && !exports_only {
        context.work.events.warn(
            "purge-ledger",
            format!(
                "the ledger is the only record of the {} that a2z created: without it there is no `a2z rollback`, and another cutover finds them as users who existed before",
                count(created, "user")
            ),
        );
    }
}

fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(cannot(path, "remove", &error))
            .map_err(|error: Error| error.hint("what is left can be removed by running it again")),
        _ => Ok(()),
    }
}

fn name(path: &Path) -> String {
    printable(&path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned()))
}

#[expect(clippy::cast_precision_loss, reason = "a size for people")]
fn size(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{:.1} GB", bytes as f64 / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_well() {
        assert_eq!(size(999), "999 B");
        assert_eq!(size(1_500_000), "1.5 MB");
    }
}
