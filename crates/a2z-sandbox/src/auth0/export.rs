//! The file of an export job.

use std::io::{self, BufWriter, Write};

use flate2::{Compression, write::GzEncoder};
use tempfile::{NamedTempFile, TempPath};

use super::super::tenant::{FileStyle, Row, Tenant, write_lines};

/// What an export asks for.
pub(super) struct Selection {
    /// The connection's name; `None` for the whole tenant.
    pub(super) connection: Option<String>,
    pub(super) limit: Option<u64>,
    /// `(name, title)`; empty for Auth0's own choice.
    pub(super) fields: Vec<(String, String)>,
    pub(super) csv: bool,
}

/// What Auth0 exports where nobody asks for fields.
const USUAL: &[(&str, &str)] = &[
    ("user_id", "user_id"),
    ("email", "email"),
    ("email_verified", "email_verified"),
    ("name", "name"),
    ("given_name", "given_name"),
    ("family_name", "family_name"),
    ("nickname", "nickname"),
    ("picture", "picture"),
    ("created_at", "created_at"),
    ("updated_at", "updated_at"),
    ("identities[0].connection", "identities[0].connection"),
];

/// Writes the file, of so many gzip members, with one row in memory at a time.
pub(super) fn write(tenant: &Tenant, selection: &Selection, members: u32) -> io::Result<TempPath> {
    let mut file = NamedTempFile::new()?;
    let members = u64::from(members.max(1));
    let lines = tenant.len().div_ceil(members).max(1);
    let mut left = selection.limit.unwrap_or(u64::MAX);
    for member in 0..members {
        let mut out = BufWriter::new(GzEncoder::new(file.as_file_mut(), Compression::fast()));
        // The mark and a CSV's titles come once.
        let style = FileStyle { byte_order_mark: tenant.style.byte_order_mark && member == 0, ..tenant.style };
        let titles = (selection.csv && member == 0).then(|| {
            let titles: Vec<String> = fields(selection).map(|(_, title)| format!("\"'{title}\"")).collect();
            titles.join(",")
        });
        let rows = (member * lines..tenant.len().min((member + 1) * lines))
            .filter_map(|index| tenant.row(index))
            .filter(|row| selection.connection.as_ref().is_none_or(|name| *name == row.connection))
            .take(usize::try_from(left).unwrap_or(usize::MAX))
            .map(|row| {
                left -= 1;
                if selection.csv { csv(&row, selection) } else { row.line_of(fields(selection)) }
            });
        write_lines(&mut out, style, titles.into_iter().chain(rows))?;
        out.into_inner().map_err(io::IntoInnerError::into_error)?.finish()?.flush()?;
    }
    Ok(file.into_temp_path())
}

fn fields(selection: &Selection) -> impl Iterator<Item = (&str, &str)> {
    let usual = if selection.fields.is_empty() { USUAL } else { &[] };
    usual.iter().copied().chain(selection.fields.iter().map(|(name, title)| (name.as_str(), title.as_str())))
}

/// "`\"` doubled, each string prefixed with `'`, wrapped in `\"`; not for ISO dates."
fn csv(row: &Row, selection: &Selection) -> String {
    let cells: Vec<String> = fields(selection)
        .map(|(name, _)| match row.value_at(name) {
            None => String::new(),
            Some(raw) => match serde_json::from_str::<String>(&raw) {
                Ok(text) if name.ends_with("_at") || name.starts_with("last_") => text,
                Ok(text) => format!("\"'{}\"", text.replace('"', "\"\"")),
                // CSV carries no objects.
                Err(_) if raw.starts_with(['{', '[']) => String::new(),
                Err(_) => raw.into_owned(),
            },
        })
        .collect();
    cells.join(",")
}
