//! `rollback.ndjson`: who stays, and why.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use serde_json::json;

use crate::{
    error::{Result, printable},
    rollback::Left,
    state::whole::Whole,
};

/// How many of those who are left alone are named on the screen.
const SHOWN: usize = 10;

/// A `rollback.ndjson` under way.
pub(super) struct Listing {
    file: Whole,
    by_code: BTreeMap<&'static str, u64>,
    first: Vec<String>,
}

/// A `rollback.ndjson` that is written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listed {
    /// Where it is.
    pub path: PathBuf,
    /// How many stay, by the code of the reason.
    pub by_code: BTreeMap<&'static str, u64>,
    /// Some who stay, a line each.
    pub first: Vec<String>,
}

impl Listing {
    pub(super) fn create(folder: &Path) -> Result<Self> {
        let file = Whole::create(&folder.join("rollback.ndjson"))?;
        Ok(Self { file, by_code: BTreeMap::new(), first: Vec::new() })
    }

    pub(super) fn push(&mut self, left: &Left) -> Result<()> {
        let code = left.reason.code();
        let line = json!({
            "user_id": left.user_id,
            "connection": left.connection,
            "code": code,
            "detail": left.reason.detail(),
        });
        self.file.write(format!("{line}\n").as_bytes())?;
        *self.by_code.entry(code).or_default() += 1;
        if self.first.len() < SHOWN {
            let detail = left.reason.detail().map_or_else(String::new, |detail| format!("  {detail}"));
            self.first.push(printable(&format!("{code:<22}{}{detail}", left.user_id)));
        }
        Ok(())
    }

    pub(super) fn finish(self) -> Result<Listed> {
        let path = self.file.path().to_owned();
        self.file.finish()?;
        Ok(Listed { path, by_code: self.by_code, first: self.first })
    }
}
