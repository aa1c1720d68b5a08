//! Can this person sign in with the password that counted at Auth0? The canary before the doors open: the password against
//! the hash, on this machine; then against ZITADEL.

use std::path::PathBuf;

use secrecy::{ExposeSecret as _, SecretString};

use super::{compare::Readable, export::shape, tickets::load_hashes};
use crate::{
    auth0::rows::{RowKind, Rows},
    config::{Mapping, Source},
    error::{Error, Kind, Result, printable},
    hashes::mfa::MfaIndex,
    ledger::{
        runs,
        users::{self, Place},
    },
    mapping::{Roads, collision::name_key, providers::Providers, rules::Rules},
    plan::{File, Reading, prepare::Preparer},
    verify::login::{Local, check, failed},
    zitadel::{
        failure::{Failure, Reason},
        lookup::FoundBy,
        search::{FoundUser, UserState},
        users::SessionUser,
    },
};

/// The person whose password is tried.
#[derive(Debug)]
pub struct Person<'a> {
    readable: &'a Readable<'a>,
    found: FoundUser,
    place: Option<Place>,
}

/// The hash of a person's password, or why there is none to hold the password against.
#[derive(Debug)]
pub struct Stored(Result<SecretString, String>);

impl Person<'_> {
    /// The id in ZITADEL.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.found.user_id
    }

    /// The hash that the join finds for the person.
    ///
    /// # Errors
    /// When the export or a hash file cannot be read.
    pub fn stored(&self) -> Result<Stored> {
        let Some(place) = &self.place else { return Ok(Stored(Err("this ledger does not know the user".to_owned()))) };
        hash_of(self.readable, place).map(Stored)
    }

    /// Holds the password against the hash, on this machine.
    ///
    /// # Errors
    /// Of kind `Incomplete` if it does not fit.
    pub fn check(&self, stored: Stored, password: &SecretString) -> Result<Local> {
        if password.expose_secret().len() > 72 {
            self.readable.work.events.warn(
                "long-password",
                format!(
                    "the password has more than 72 bytes: bcrypt reads 72 of them, and ZITADEL answers with an error ({}) if it hashes the password again",
                    Reason::RehashFailed.id()
                ),
            );
        }
        let local = match stored.0 {
            Ok(hash) => tokio::task::block_in_place(|| check(&hash, password)),
            Err(why) => Local::LeftOut(why),
        };
        let Local::Wrong(kind) = local else { return Ok(local) };
        Err(Error::new(Kind::Incomplete, format!("the password does not fit the hash from Auth0 ({kind})"))
            .because("so it was not tried at ZITADEL, where a wrong one counts as a failed attempt")
            .hint("type it again; if the user changed it since, ask for a fresh hash file, or leave out `--passwords` to ask ZITADEL alone"))
    }

    /// Signs in at ZITADEL, and ends the session. `local` is what the hash said.
    ///
    /// # Errors
    /// When ZITADEL does not take the password, or (of kind `Incomplete`) the user cannot sign in all the same.
    pub async fn sign_in(&self, password: &SecretString, local: &Local) -> Result<()> {
        let Self { readable: Readable { work, client, .. }, found, .. } = self;
        work.events.notice(
            "signing in at ZITADEL: a success makes it hash the password again, a failure counts as one of the user's attempts",
        );
        // As a person would: by name. Without one, by id.
        let who = match found.login_names.first().map_or(found.user_name.as_str(), String::as_str) {
            "" => SessionUser::UserId(&found.user_id),
            name => SessionUser::LoginName(name),
        };
        let session = client.create_session(who, password).await.map_err(|failure| failed(failure, local))?;
        if let Err(failure) = client.delete_session(&session).await {
            work.events.warn(
                "session-left",
                format!("the session of the trial could not be ended: {}", failure.into_error("no answer").message()),
            );
        }
        // ZITADEL checks the password of such a user, and its login refuses the person all the same.
        if found.state == UserState::Initial {
            return Err(Error::new(
                Kind::Incomplete,
                "the password is right, and the user cannot sign in all the same",
            )
            .because("the user is not initialised (state INITIAL), which Login V2 refuses")
            .hint("`POST /v2/users/{id}/lock` and then `/unlock` makes the user active"));
        }
        Ok(())
    }
}

impl Readable<'_> {
    /// Finds a person by the id, or by what the person types at the login page.
    ///
    /// # Errors
    /// When nobody or more than one is found, or ZITADEL cannot be asked.
    pub async fn person(&self, typed: &str) -> Result<Person<'_>> {
        let (found, place) = self.work.unless_stopped(find(self, typed)).await?;
        Ok(Person { readable: self, found, place })
    }
}

/// The user, as ZITADEL has it now and as the ledger knows it: by id, else as ZITADEL's login page looks for what is typed.
async fn find(readable: &Readable<'_>, user: &str) -> Result<(FoundUser, Option<Place>)> {
    let Readable { work, folder, client, organization_id: organization, .. } = readable;
    let ledger = &folder.ledger;
    let ask = |id: &str, name: &str| ledger.read(|c| users::find_user(c, id, name));
    let unread = |failure: Failure| failure.into_error("could not read the user from ZITADEL");
    if let Some(place) = ask(user, "")? {
        let found = client.user(&place.user_id).await.map_err(unread)?;
        let found = found.ok_or_else(|| {
            let id = printable(&place.user_id);
            Error::new(Kind::Incomplete, format!("the user `{id}` is not in ZITADEL")).hint("run `a2z verify`")
        })?;
        return Ok((found, Some(place)));
    }
    // An application may name the organization or not: here first, then everywhere.
    let (mut found, mut by) = client.users_by_typed_name(user, Some(organization)).await.map_err(unread)?;
    if found.is_empty() {
        (found, by) = client.users_by_typed_name(user, None).await.map_err(unread)?;
    }
    let Some(one) = found.pop() else {
        return Err(match ask("", &name_key(user))? {
            Some(place) => {
                Error::new(Kind::Incomplete, format!("ZITADEL's login finds nobody by `{}`", printable(user)))
                    .because(format!("the ledger knows the user `{}` by this name", printable(&place.user_id)))
                    .hint("run `a2z verify`; `--login` with the id tries the password all the same")
            }
            None => Error::usage(format!("nobody has the id, user name, e-mail or phone number `{}`", printable(user)))
                .because("neither the ledger nor ZITADEL has such a user, as far as the account may see"),
        });
    };
    if !found.is_empty() {
        return Err(several(user, found.iter().chain([&one])));
    }
    if by == FoundBy::UserName {
        let names: Vec<String> = one.login_names.iter().map(|name| format!("`{}`", printable(name))).collect();
        work.events.notice(format!(
            "this is a user name, by which ZITADEL's login page finds nobody; it finds the user by {}",
            names.join(", ")
        ));
    }
    let place = ask(&one.user_id, "")?;
    Ok((one, place))
}

/// The login page refuses a name that finds more than one.
fn several<'a>(typed: &str, users: impl Iterator<Item = &'a FoundUser>) -> Error {
    let of = |user: &FoundUser| {
        let name =
            user.login_names.first().map_or_else(String::new, |name| format!(" (signs in as `{}`)", printable(name)));
        format!("`{}`{name}", printable(&user.user_id))
    };
    let users: Vec<String> = users.take(10).map(of).collect();
    Error::new(Kind::Incomplete, format!("several users are found by `{}`", printable(typed)))
        .because("ZITADEL's login page answers \"Multiple users found\", and nobody signs in by it")
        .hint(format!("these are found: {}", users.join(", ")))
}

/// The hash that the join finds for the user; else why there is none to check with.
fn hash_of(readable: &Readable<'_>, place: &Place) -> Result<Result<SecretString, String>> {
    let (work, ledger) = (readable.work, &readable.folder.ledger);
    let config = &work.config;
    if config.input.passwords.is_empty() {
        return Ok(Err("no hash file is given (`--passwords FILE`)".into()));
    }
    let exports = ledger.read(|c| runs::exports(c, place.run))?;
    let path = exports.into_iter().find(|export| export.file == place.place.0).and_then(|export| export.path);
    let Some(path) = path.map(PathBuf::from).filter(|path| path.is_file()) else {
        return Ok(Err("the export file of the run is no longer there".into()));
    };
    let files = [File { file: place.place.0, source: Source::File(path) }];
    let shape = shape(work, ledger, place.run, &files)?;
    let preparer = Preparer {
        hashes: load_hashes(work, Some(config.state.clone()))?,
        mfa: MfaIndex::default(),
        join: config.join.clone(),
        // The operator's rules have no say in the password, and neither have links.
        mapping: Mapping { rules: Rules::default(), ..config.mapping.clone() },
        providers: Providers::default(),
        roads: Roads::UsersApiOnly,
        shape,
        key: [0; 16],
        // Memberships become metadata, which plays no part in a sign-in.
        memberships: None,
        with_facts: false,
    };
    let [file] = &files;
    let options = Reading { max_line: config.input.max_line }.options();
    let draft = tokio::task::block_in_place(|| {
        let mut rows = Rows::open(&file.source, &options)?;
        let mut number = 0;
        while let Some(row) = rows.next()? {
            number += 1;
            match row.kind {
                RowKind::User(user) if number == place.place.1 && user.user_id == place.user_id => {
                    return Ok(preparer.prepare(*user).draft.ok());
                }
                _ if number >= place.place.1 => break,
                _ => {}
            }
        }
        Ok::<_, Error>(None)
    })?;
    Ok(match draft {
        None => Err("the export file has changed since the run".into()),
        Some((draft, _)) => {
            draft.password.map(|password| password.hash).ok_or_else(|| "the hash files have none for this user".into())
        }
    })
}
