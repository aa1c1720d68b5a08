//! The ledger: what this migration knows, in one SQLite file (0600, WAL, `synchronous = FULL`).
//!
//! [`View::read`] and [`Ledger::write`] are the only ways in. What only looks (`status`, the reports) has a [`View`],
//! which cannot write.
//!
//! No secret is ever stored: a hash appears only as a salted digest ([`crate::mapping::fingerprint`]).

pub mod codes;
pub mod differences;
pub mod grants;
pub mod idps;
pub mod instance;
pub mod joined;
mod life;
pub mod lines;
pub mod links;
pub mod lists;
pub mod organizations;
pub mod outcomes;
pub mod repairs;
pub mod roles;
pub mod runs;
mod schema;
mod sql;
pub mod states;
mod store;
pub mod structure;
pub mod surveyed;
#[cfg(test)]
pub(crate) mod testing;
pub mod users;

pub use self::{
    sql::{Fault, Result, Snapshot, Transaction},
    store::{Ledger, View, Written},
};

#[cfg(test)]
mod tests {
    use super::{
        states::{Action, Outcome, Progress},
        *,
    };
    use crate::error::{Error, Kind};
    use crate::ledger::{
        lines,
        users::{self, PlannedUser, Settled, Wanted, put_users, settle},
    };

    fn planned(user_id: &str, line: u64, profile: u8) -> PlannedUser {
        let wanted =
            Wanted { name_key: format!("{user_id}@x"), password: Some([7; 16]), ..testing::wanted(user_id, profile) };
        PlannedUser { connection: Some("db".into()), ..testing::planned_user(user_id, line, Ok(wanted)) }
    }

    fn state(ledger: &Ledger, user_id: &str) -> (Action, Progress, Option<Outcome>) {
        let sql = "SELECT action, progress, outcome FROM users WHERE user_id = ?1";
        ledger.read(|c| c.one(sql, [user_id], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))).unwrap()
    }

    fn open() -> (tempfile::TempDir, Ledger) {
        let dir = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(&dir.path().join("ledger.sqlite")).unwrap();
        (dir, ledger)
    }

    #[test]
    fn a_second_pass_knows_what_changed() {
        let (_dir, ledger) = open();
        let users = vec![planned("a", 1, 1), planned("b", 2, 1), planned("c", 3, 1), planned("a", 4, 9)];
        ledger.write_blocking(move |t| put_users(t, 1, &users)).unwrap();
        assert_eq!(state(&ledger, "a"), (Action::Create, Progress::Pending, None));
        let settled: Vec<_> = ["a", "b"]
            .map(|id| Settled { have: Some(([1; 16], Some([7; 16]))), ..Settled::new(id, Outcome::Created) })
            .into();
        ledger.write_blocking(move |t| settle(t, &settled)).unwrap();
        ledger.write_blocking(|t| users::lost(t, &["c".into(), "a".into()])).unwrap();
        assert_eq!(state(&ledger, "a").1, Progress::Done, "a settled user is not put in doubt again");

        let users = vec![planned("a", 1, 1), planned("b", 2, 2), planned("c", 3, 1), planned("d", 4, 1)];
        ledger.write_blocking(move |t| put_users(t, 2, &users)).unwrap();
        assert_eq!(state(&ledger, "a"), (Action::Unchanged, Progress::Done, Some(Outcome::Unchanged)));
        assert_eq!(state(&ledger, "b"), (Action::Update, Progress::Pending, None));
        assert_eq!(state(&ledger, "c"), (Action::Create, Progress::Unknown, Some(Outcome::Unknown)));
        assert_eq!(state(&ledger, "d"), (Action::Create, Progress::Pending, None));
        let balance = ledger.read(|c| users::balance(c, 2)).unwrap();
        assert_eq!((balance.unchanged, balance.unknown), (1, 3));
    }

    #[test]
    fn a_repeated_id_is_in_the_books_once_as_a_user_and_once_as_a_line() {
        let (_dir, ledger) = open();
        let mut other = planned("a", 3, 1);
        other.connection = Some("other-db".into());
        let users = vec![planned("a", 1, 1), planned("a", 2, 1), other];
        ledger.write_blocking(move |t| put_users(t, 1, &users)).unwrap();
        let lines = ledger.read(|c| lines::count_lines(c, 1)).unwrap();
        assert_eq!(
            lines,
            [
                (Outcome::Skipped, "duplicate-user-id".to_owned(), 1),
                (Outcome::Rejected, "duplicate-user-id".to_owned(), 1)
            ]
        );
        assert_eq!(ledger.read(|c| users::balance(c, 1)).unwrap().exported, 3);
    }

    #[test]
    fn a_failed_write_undoes_only_itself() {
        let (_dir, ledger) = open();
        ledger.write_blocking(|t| runs::set_meta(t, "kept", "1")).unwrap();
        let failed = ledger.write_blocking(|t| {
            runs::set_meta(t, "lost", "1")?;
            t.execute("INSERT INTO nowhere VALUES (1)", [])
        });
        assert_eq!(failed.unwrap_err().kind(), Kind::Internal);
        assert_eq!(ledger.read(|c| runs::meta(c, "kept")).unwrap().as_deref(), Some("1"));
        assert_eq!(ledger.read(|c| runs::meta(c, "lost")).unwrap(), None);
    }

    #[test]
    fn an_error_of_the_caller_comes_through_and_undoes_the_write() {
        let (_dir, ledger) = open();
        let failed = ledger.write_blocking(|t| {
            runs::set_meta(t, "lost", "1")?;
            Err::<(), _>(Error::usage("of the caller").into())
        });
        assert_eq!(failed.unwrap_err().message(), "of the caller");
        let failed = ledger.read(|c| match runs::meta(c, "lost")? {
            None => Err::<(), _>(Error::usage("nothing is kept").into()),
            Some(_) => Ok(()),
        });
        assert_eq!(failed.unwrap_err().message(), "nothing is kept");
    }

    #[test]
    fn a_read_is_of_one_moment_and_reads_may_overlap() {
        let (_dir, ledger) = open();
        ledger.write_blocking(|t| runs::set_meta(t, "moment", "first")).unwrap();
        let read = |c: &Snapshot<'_>| runs::meta(c, "moment");
        let (before, meanwhile, after) = ledger
            .read(|c| {
                let before = read(c)?;
                ledger.write_blocking(|t| runs::set_meta(t, "moment", "second"))?;
                Ok((before, ledger.read(read)?, read(c)?))
            })
            .unwrap();
        let [first, second] = ["first", "second"].map(|moment| Some(moment.to_owned()));
        assert_eq!((before, meanwhile, after), (first.clone(), second.clone(), first));
        assert_eq!(ledger.read(read).unwrap(), second);
    }

    #[test]
    fn what_only_looks_cannot_write() {
        let (dir, ledger) = open();
        ledger.write_blocking(|t| runs::set_meta(t, "a", "1")).unwrap();
        let view = View::of(&dir.path().join("ledger.sqlite"));
        let written = view.read(|c| c.one("DELETE FROM meta RETURNING key", [], |row| row.get::<_, String>(0)));
        assert_eq!(written.unwrap_err().kind(), Kind::Usage);
        assert_eq!(view.read(|c| runs::meta(c, "a")).unwrap().as_deref(), Some("1"));
    }

    #[test]
    fn one_file_is_left_when_the_last_handle_goes() {
        let (dir, ledger) = open();
        let other = ledger.clone();
        ledger.write_blocking(|t| runs::set_meta(t, "a", "1")).unwrap();
        ledger.read(|c| runs::meta(c, "a")).unwrap();
        drop(ledger);
        other.read(|c| runs::meta(c, "a")).unwrap();
        drop(other);
        let left: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["ledger.sqlite"]);
    }

    #[cfg(unix)]
    #[test]
    fn all_its_files_are_private() {
        use std::os::unix::fs::PermissionsExt;
        let (dir, ledger) = open();
        ledger.write_blocking(|t| runs::set_meta(t, "a", "1")).unwrap();
        for entry in std::fs::read_dir(dir.path()).unwrap() {
            let entry = entry.unwrap();
            assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o077, 0, "{}", entry.path().display());
        }
    }
}
