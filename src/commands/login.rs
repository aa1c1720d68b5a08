//! `a2z verify --login USER`: can this person sign in with the password that counted at Auth0? The canary before the doors
//! open: the password against the hash, on this machine; then against ZITADEL.

use std::io::{IsTerminal as _, Read as _};

use secrecy::{ExposeSecret as _, SecretString};

use super::{Context, print};
use crate::{
    config::Source,
    error::{Error, Result, printable},
    run::compare::Readable,
    verify::login::Local,
};

/// The longest password that is read from standard input, in bytes.
const LONGEST: u64 = 64 << 10;

/// Asks for the password of `user` (an id, or what a person types at the login page) and tries it.
///
/// # Errors
/// The step that failed; of kind `Incomplete` if the password does not open the door.
pub(super) async fn login(context: &Context, user: &str, readable: &Readable<'_>) -> Result<()> {
    let person = readable.person(user).await?;
    print(&format!("user        {}\n", printable(person.id())))?;
    let stored = person.stored()?;
    let password = context.work.unless_stopped(ask(context)).await?;
    let local = person.check(stored, &password)?;
    match &local {
        Local::LeftOut(why) => print(&format!("hash        not checked: {why}\n"))?,
        Local::Matches(kind) | Local::Wrong(kind) => print(&format!("hash        fits the password ({kind})\n"))?,
    }
    person.sign_in(&password, &local).await?;
    print("sign-in     ZITADEL takes the password; the session is ended again\n")
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
    } else if context.work.config.input.passwords.contains(&Source::Stdin) {
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
