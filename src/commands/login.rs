//! `a2z verify --login USER`: can this person sign in with the password that counted at Auth0? The canary before the doors
//! open: the password against the hash, on this machine; then against ZITADEL.

use std::io::{IsTerminal as _, Read as _};

use secrecy::{ExposeSecret as _, SecretString};

use super::{Context, begin, print};
use crate::{
    auth0::rows::{RowKind, Rows},
    config::{self, Source},
    error::{Error, Kind, Result, printable},
    ledger::{
        Ledger, runs,
        users::{self, Place},
    },
    mapping::{Roads, collision::name_key, providers::Providers, rules::Rules},
    plan::{File, Reading, prepare::Preparer},
    verify::login::{Local, check, failed},
    zitadel::{
        client::{Client, SessionUser},
        failure::{Failure, Reason},
        lookup::FoundBy,
        search::{FoundUser, UserState},
    },
};

/// The longest password that is read from standard input, in bytes.
const LONGEST: u64 = 64 << 10;

/// Asks for the password of `user` (an id, or what a person types at the login page) and tries it.
///
/// # Errors
/// Says which step failed; of kind `Incomplete` where the password does not open the door.
pub(super) async fn login(
    context: &Context,
    user: &str,
    ledger: &Ledger,
    client: &Client,
    organization: &str,
) -> Result<()> {
    let (found, place) = context.unless_stopped(find(context, user, ledger, client, organization)).await?;
    print(&format!("user        {}\n", printable(&found.user_id)))?;
    let stored = match &place {
        Some(place) => stored(context, ledger, place)?,
        None => Err("this ledger does not know the user".to_owned()),
    };
    let password = context.unless_stopped(ask(context)).await?;
    if password.expose_secret().len() > 72 {
        context.events.warn(
            "long-password",
            format!(
                "the password has more than 72 bytes: bcrypt reads 72 of them, and ZITADEL answers with an error ({}) if it hashes the password again",
                Reason::RehashFailed.id()
            ),
        );
    }
    let local = match stored {
        Ok(hash) => tokio::task::block_in_place(|| check(&hash, &password)),
        Err(why) => Local::LeftOut(why),
    };
    match &local {
        Local::Matches(kind) => print(&format!("hash        fits the password ({kind})\n"))?,
        Local::LeftOut(why) => print(&format!("hash        not checked: {why}\n"))?,
        Local::Wrong(kind) => {
            return Err(Error::new(Kind::Incomplete, format!("the password does not fit the hash from Auth0 ({kind})"))
                .because("so it was not tried at ZITADEL, where a wrong one counts as a failed attempt")
                .hint("type it again; if the user changed it since, ask for a fresh hash file, or leave out `--passwords` to ask ZITADEL alone"));
        }
    }
    sign_in(context, client, &found, &password, &local).await
}

async fn sign_in(
    context: &Context,
    client: &Client,
    found: &FoundUser,
    password: &SecretString,
    local: &Local,
) -> Result<()> {
    context.events.notice(
        "signing in at ZITADEL: a success makes it hash the password anew, a failure counts as one of the user's attempts",
    );
    // As a person would: by name. Without one, by id.
    let who = match found.login_names.first().map_or(found.user_name.as_str(), String::as_str) {
        "" => SessionUser::UserId(&found.user_id),
        name => SessionUser::LoginName(name),
    };
    let session = client.create_session(who, password).await.map_err(|failure| failed(failure, local))?;
    if let Err(failure) = client.delete_session(&session).await {
        context.events.warn(
            "session-left",
            format!("the session of the trial could not be ended: {}", failure.into_error("no answer").message()),
        );
    }
    // ZITADEL checks the password of such a user, and its login refuses the person all the same.
    if found.state == UserState::Initial {
        return Err(Error::new(Kind::Incomplete, "the password is right, and the user cannot sign in all the same")
            .because("the user is not initialised (state INITIAL), which Login V2 refuses")
            .hint("`POST /v2/users/{id}/lock` and then `/unlock` makes the user active"));
    }
    print("sign-in     ZITADEL takes the password; the session is ended again\n")
}

/// The user, as ZITADEL has it now and as the ledger knows it: by id, else as ZITADEL's login page looks for what is typed.
async fn find(
    context: &Context,
    user: &str,
    ledger: &Ledger,
    client: &Client,
    organization: &str,
) -> Result<(FoundUser, Option<Place>)> {
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
        context.events.notice(format!(
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
fn stored(context: &Context, ledger: &Ledger, place: &Place) -> Result<Result<SecretString, String>> {
    let config = &context.config;
    if config.input.passwords.is_empty() {
        return Ok(Err("no hash file is given (`--passwords FILE`)".into()));
    }
    let exports = ledger.read(|c| runs::exports(c, place.run))?;
    let path = exports.into_iter().find(|export| export.file == place.place.0).and_then(|export| export.path);
    let Some(path) = path.map(std::path::PathBuf::from).filter(|path| path.is_file()) else {
        return Ok(Err("the export file of the run is no longer there".into()));
    };
    let files = [File { file: place.place.0, source: Source::File(path) }];
    let shape = begin::shape(context, ledger, place.run, &files)?;
    let preparer = Preparer {
        hashes: begin::load_hashes(context)?,
        mfa: crate::hashes::mfa::MfaIndex::default(),
        join: config.join.clone(),
        // The operator's rules have no say in the password, and neither have links.
        mapping: config::Mapping { rules: Rules::default(), ..config.mapping.clone() },
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

/// The password: typed without being shown, or one line of standard input.
async fn ask(context: &Context) -> Result<SecretString> {
    let stdin = std::io::stdin();
    let password = if stdin.is_terminal() {
        let terminal = console::Term::stderr();
        let _ = terminal.write_str("password    ");
        let typed = tokio::task::spawn_blocking(move || terminal.read_secure_line().map(SecretString::from));
        let shown_again = ShowAgain;
        let typed = typed.await;
        std::mem::forget(shown_again);
        typed
            .map_err(|error| Error::internal("the prompt stopped unexpectedly").caused_by(&error))?
            .map_err(|error| Error::usage("cannot read the password from the terminal").caused_by(&error))?
    } else if context.config.input.passwords.contains(&Source::Stdin) {
        return Err(Error::usage("standard input cannot bring both the hashes and the password")
            .hint("give the hash file by name"));
    } else {
        let read = tokio::task::spawn_blocking(|| {
            let mut line = Vec::new();
            std::io::stdin().lock().take(LONGEST + 1).read_to_end(&mut line).map(|_| line)
        });
        let bytes = read
            .await
            .map_err(|error| Error::internal("reading the password stopped unexpectedly").caused_by(&error))?
            .map_err(|error| Error::usage("cannot read the password from standard input").caused_by(&error))?;
        one_line(bytes)?
    };
    if password.expose_secret().is_empty() {
        return Err(Error::usage("no password was given")
            .hint("type it at the prompt, or give it as one line on standard input; never as an argument"));
    }
    Ok(password)
}

/// The only line, without its end.
fn one_line(bytes: Vec<u8>) -> Result<SecretString> {
    if bytes.len() as u64 > LONGEST {
        return Err(Error::usage("standard input is too long for a password"));
    }
    let text = String::from_utf8(bytes).map_err(|_| Error::usage("the password on standard input is not UTF-8"))?;
    let line = text.strip_suffix('\n').unwrap_or(&text);
    let line = line.strip_suffix('\r').unwrap_or(line);
    if line.contains('\n') {
        return Err(Error::usage("standard input has more than one line; a password is one"));
    }
    Ok(SecretString::from(line))
}

/// Shows again what is typed, where the prompt is left by Ctrl-C: the thread that hid it never gets to.
struct ShowAgain;

impl Drop for ShowAgain {
    fn drop(&mut self) {
        if cfg!(unix) {
            let _ = std::process::Command::new("stty").arg("echo").status();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_one_line_as_it_is() {
        for (given, expected) in [("pass\n", "pass"), ("pass\r\n", "pass"), (" pass ", " pass "), ("", "")] {
            assert_eq!(one_line(given.into()).unwrap().expose_secret(), expected);
        }
        for bad in [b"a\nb\n".to_vec(), vec![0xff], vec![b'a'; 70_000]] {
            assert!(one_line(bad).is_err());
        }
    }
}
