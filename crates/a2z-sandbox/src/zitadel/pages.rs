//! How many rows of a list an answer has: what the vendor's advisory A10018 says, and its source (`filter/v2/converter.go`).

use serde_json::Value;

use super::Options;
use super::answer::{Code, Fail};
use super::users::number;

/// The largest page, unless the operator sets another one (`SystemDefaults.MaxQueryLimit`).
pub(super) const LARGEST: usize = 1000;
/// The page of who asks for none (`SystemDefaults.DefaultQueryLimit`).
pub(super) const DEFAULT: usize = 100;

/// The three families of lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    /// Admin, Auth and Management: who asks for no limit gets the largest page.
    V1,
    /// Users, links and organisations of version 2: limited since v4.19.5.
    V2,
    /// Everything with `pagination`: limited ever since.
    Filter,
}

/// What an answer has of a list.
pub(super) struct Page<T> {
    pub(super) rows: Vec<T>,
    /// As the database counts: nothing, too, behind the end of the list.
    pub(super) total: usize,
    pub(super) limit: usize,
}

/// The page that a request's `query` or `pagination` asks for.
pub(super) fn page<T>(options: &Options, family: Family, query: &Value, rows: Vec<T>) -> Result<Page<T>, Fail> {
    let (most, asked) = (options.largest_page, number(query, "limit"));
    let limited = options.enforce_limits || family == Family::Filter;
    if limited && most > 0 && asked > most {
        return Err(Fail::new(Code::InvalidArgument, "QUERY-4M0fs", "Errors.Query.LimitExceeded"));
    }
    let limit = match (asked, family) {
        (0, _) if !limited => usize::MAX,
        (0, Family::V1) if most > 0 => most,
        (0, Family::V1) => usize::MAX,
        (0, _) => options.default_page,
        (asked, _) => asked,
    };
    let total = rows.len();
    let shown = limit.min(options.quiet_cap.unwrap_or(usize::MAX));
    let rows: Vec<T> = rows.into_iter().skip(number(query, "offset")).take(shown).collect();
    Ok(Page { total: if rows.is_empty() { 0 } else { total }, rows, limit })
}

impl Page<Value> {
    /// The answer of an endpoint with `details`: `base` with the total, and the rows as `result`.
    pub(super) fn details(self, mut base: Value) -> Value {
        if !self.rows.is_empty() {
            base["details"]["totalResult"] = self.total.to_string().into();
            base["result"] = self.rows.into();
        }
        base
    }

    /// The answer of an endpoint with `pagination`: the rows under this name.
    pub(super) fn pagination(self, name: &str) -> Value {
        let mut body = serde_json::json!({"pagination": {"appliedLimit": self.limit.to_string()}});
        if !self.rows.is_empty() {
            body["pagination"]["totalResult"] = self.total.to_string().into();
            body[name] = self.rows.into();
        }
        body
    }
}
