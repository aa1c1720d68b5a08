//! Reads an export row by row, in every shape that Auth0's job, the dashboard and people's scripts give it. A row that
//! cannot be read is a row too: it is in the ledger with its line and a reason.

mod shape;
mod user;

pub use shape::Shape;

use crate::{
    auth0::user::ExportedUser,
    error::Result,
    input::settings::Source,
    input::{self, Options, Record, RecordKind, Records},
};

/// The rows of one export.
#[derive(Debug)]
pub struct Rows {
    records: Records,
    buf: Vec<u8>,
    max_line: usize,
}

/// One row.
#[derive(Debug, Clone)]
pub struct Row {
    /// The line on which it starts, from 1.
    pub line: u64,
    /// The bytes that were kept of it to read it, about what it takes in memory.
    pub bytes: usize,
    /// What it is.
    pub kind: RowKind,
}

/// What a row is.
#[derive(Debug, Clone)]
pub enum RowKind {
    /// A user.
    User(Box<ExportedUser>),
    /// Something that cannot be read as a user.
    Malformed {
        /// What is wrong and where; it quotes nothing of the row.
        reason: String,
        /// The user's id, where it can be made out.
        user_id: Option<String>,
    },
}

impl Rows {
    /// Opens an export.
    ///
    /// # Errors
    /// As [`Records::open`].
    pub fn open(source: &Source, options: &Options) -> Result<Self> {
        Ok(Self::over(Records::open(source, options)?, options))
    }

    /// The rows of records that are open.
    #[must_use]
    pub fn over(records: Records, options: &Options) -> Self {
        Self { records, buf: Vec::new(), max_line: options.max_line }
    }

    /// The next row; `None` at the end.
    ///
    /// # Errors
    /// The file is cut off, damaged, or cannot be read on. A malformed row is none.
    #[expect(clippy::should_implement_trait, reason = "an iterator of results invites to skip the error at the end")]
    pub fn next(&mut self) -> Result<Option<Row>> {
        let (line, read) = loop {
            let Some(Record { line, kind }) = self.records.next(&mut self.buf)? else { return Ok(None) };
            let read = match kind {
                RecordKind::Whole => user::read(&self.buf, line),
                RecordKind::TooLong { bytes } => Err(input::too_long(bytes, self.max_line)),
            };
            if read.is_ok() || !self.records.divide(&self.buf) {
                break (line, read);
            }
        };
        let kind = match read {
            Ok(user) => RowKind::User(Box::new(user)),
            Err(reason) => RowKind::Malformed { reason, user_id: user::salvage_id(&self.buf) },
        };
        Ok(Some(Row { line, bytes: self.buf.len(), kind }))
    }

    /// The records below, for the bytes read and the digest.
    #[must_use]
    pub fn records(&self) -> &Records {
        &self.records
    }
}

/// Looks which fields the export has, and reads no further than that needs. Standard input is used up by it: keep it
/// in a file first ([`input::keep`]).
///
/// # Errors
/// As [`Records::open`] and [`Rows::next`].
pub fn survey(source: &Source, options: &Options) -> Result<Shape> {
    let mut records = Records::open(source, options)?;
    let (mut buf, mut shape) = (Vec::new(), Shape::default());
    while let Some(record) = records.next(&mut buf)? {
        if record.kind == RecordKind::Whole {
            if records.divide(&buf) {
                continue;
            }
            user::note_fields(&buf, &mut shape);
        }
        shape.rows += 1;
        if shape.has_identities && shape.has_email_verified {
            break;
        }
    }
    Ok(shape)
}

#[cfg(test)]
mod tests;
