//! Tells CSV, whatever its header and its delimiter, so that it can be refused with a word on what is wanted.

use super::record::usage;
use crate::error::Error;

/// A column that stands alone in a list of one column.
const COLUMNS: [&str; 8] =
    ["email", "user_id", "id", "_id", "passwordHash", "password_hash", "otp_secret", "recovery_code"];
/// The longest name of a column, in bytes.
const LONGEST_NAME: usize = 200;

/// The error for it; `flag` says what kind of file is wanted.
pub(super) fn refused(label: &str, flag: &str) -> Error {
    let error = usage(label, "it is CSV; JSON is needed, an object a line");
    match flag {
        "--passwords" => error.hint(
            "give the file as Auth0's support sends it, decrypted and not converted: each line is an object with `_id` and `passwordHash`",
        ),
        "--mfa" => error.hint(
            "give the file as Auth0's support sends it, decrypted and not converted: each line is an object with `user_id` and `otp_secret` or `recovery_code`",
        ),
        _ => error.hint("export users as JSON (`\"format\":\"json\"`): CSV cannot carry identities and metadata"),
    }
}

/// Is it CSV? `start` is the beginning of a text whose first line begins with no bracket.
pub(super) fn looks_like_it(start: &[u8]) -> bool {
    let text = String::from_utf8_lossy(start);
    if text.starts_with("sep=") {
        return true; // what Excel writes first
    }
    [',', ';', '\t', '|'].into_iter().any(|delimiter| {
        let (first, rest) = record(&text, delimiter);
        if first.len() < 2 {
            return false;
        }
        let (second, _) = record(rest, delimiter);
        let is_table = second.len() == first.len() && !rest.trim_start().starts_with(['{', '[']);
        is_table || first.iter().all(|cell| is_name(cell))
    }) || is_one_column(&text)
}

/// A header of one column that is known, and something else than objects below.
fn is_one_column(text: &str) -> bool {
    let mut lines = text.lines().map(|line| line.trim().trim_matches('"'));
    let is_known = lines.next().is_some_and(|name| COLUMNS.iter().any(|known| super::scalar::alike(known, name)));
    is_known && lines.find(|line| !line.is_empty()).is_none_or(|line| !line.starts_with(['{', '[']))
}

fn is_name(cell: &str) -> bool {
    !cell.is_empty() && cell.len() <= LONGEST_NAME && !cell.contains(['{', '}', '"', '\n'])
}

/// The cells of the first record, and the text behind it.
fn record(text: &str, delimiter: char) -> (Vec<String>, &str) {
    let (mut cells, mut cell, mut quoted) = (Vec::new(), String::new(), false);
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' if quoted && chars.peek().is_some_and(|(_, next)| *next == '"') => {
                chars.next();
                cell.push('\'');
            }
            '"' if quoted || cell.trim().is_empty() => quoted = !quoted,
            c if quoted => cell.push(c),
            '\n' => {
                cells.push(cell.trim().to_owned());
                return (cells, text.get(at + 1..).unwrap_or_default());
            }
            c if c == delimiter => cells.push(std::mem::take(&mut cell).trim().to_owned()),
            c => cell.push(c),
        }
    }
    cells.push(cell.trim().to_owned());
    (cells, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn csv_is_told_whatever_its_header() {
        for csv in [
            "user_id,email\n",
            "\"Id\",\"identities[0].connection\",\"app_metadata.plan:tier\"\r\n\"'auth0|1\",\"'DB\",\"'{a: 1}\"\r\n",
            "user_id;{custom};email\nauth0|1;x;a@example.com\n",
            "_id\tpasswordHash\n1\t$2b$10$x\n",
            "auth0|1,a@example.com,2026-01-01T00:00:00Z\nauth0|2,b@example.com,2026-01-01T00:00:00Z\n",
            "sep=;\nId;Email\n",
            "email|hash:bcrypt\na@example.com|$2b$\n",
            "\"name, whole\",\"e-mail: \"\"work\"\"\"\n\"A, B\",\"a@example.com\"\n",
            "passwordHash\n$2b$10$x\n",
            "user id,notes\n1,\"two\nlines\"\n",
        ] {
            assert!(looks_like_it(csv.as_bytes()), "{csv}");
        }
        for other in
            ["hello\n", "\"a\", oops: {\n", "hello\n{\"a\":1}\n", "a, {\"b\n{\"a\":1}\n", "email\n{\"a\":1}\n", ""]
        {
            assert!(!looks_like_it(other.as_bytes()), "{other}");
        }
    }
}
