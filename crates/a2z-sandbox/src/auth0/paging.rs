//! Pages by offset and by checkpoint, with the rules of Auth0's description.

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::Value;

use super::reply::Failure;

/// The query, and how large a page may be.
pub(super) struct Query {
    /// Decoded, in order.
    pub(super) pairs: Vec<(String, String)>,
    /// The most entries on a page, whatever is asked for.
    pub(super) largest_page: usize,
}

/// How a list goes on by checkpoint.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Checkpoint {
    /// It cannot.
    None,
    /// A full page carries `next`, the last short one does not (recorded: users of a role).
    FullPages,
    /// Every page with somebody on it carries `next`; an empty one follows (recorded: members of an organization).
    UntilEmpty,
}

/// Offset pages reach so far into most lists.
const REACH: usize = 1000;

impl Query {
    pub(super) fn get(&self, key: &str) -> Option<&str> {
        self.pairs.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    pub(super) fn all<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a str> {
        self.pairs.iter().filter(move |(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    pub(super) fn flag(&self, key: &str) -> Result<Option<bool>, Failure> {
        match self.get(key) {
            None => Ok(None),
            Some("true") => Ok(Some(true)),
            Some("false") => Ok(Some(false)),
            Some(_) => Err(invalid(&format!("Expected type boolean but found type string on property {key}"))),
        }
    }

    pub(super) fn number(&self, key: &str, least: usize, most: usize) -> Result<Option<usize>, Failure> {
        let Some(text) = self.get(key) else { return Ok(None) };
        match text.parse() {
            Ok(number) if (least..=most).contains(&number) => Ok(Some(number)),
            Ok(_) => Err(invalid(&format!("Value is out of range [{least}, {most}] on property {key}"))),
            Err(_) => Err(invalid(&format!("Expected type integer but found type string on property {key}"))),
        }
    }

    /// The fields that are wanted of an object: named ones, or all but the named ones.
    pub(super) fn wants(&self) -> Result<impl Fn(&str) -> bool, Failure> {
        let named: Option<Vec<String>> =
            self.get("fields").map(|fields| fields.split(',').map(|field| field.trim().to_owned()).collect());
        let include = self.flag("include_fields")?.unwrap_or(true);
        Ok(move |field: &str| named.as_ref().is_none_or(|named| named.iter().any(|name| name == field) == include))
    }

    /// `(start, limit)` of an offset page.
    pub(super) fn offset(&self, least: usize) -> Result<(usize, usize), Failure> {
        let limit = self.number("per_page", least, 100)?.unwrap_or(50).min(self.largest_page);
        let page = self.number("page", 0, 1_000_000)?.unwrap_or(0);
        Ok((page * limit, limit))
    }
}

fn invalid(message: &str) -> Failure {
    Failure::bad_request(format!("Query validation error: '{message}'"), "invalid_query_string")
}

/// An offset page of users may not reach beyond the first thousand.
pub(super) fn within_reach(start: usize, limit: usize) -> Result<(), Failure> {
    if start + limit > REACH {
        let message = "You can only page through the first 1000 records. See \
                       https://auth0.com/docs/users/search/v3/view-search-results-by-page#limitation";
        return Err(Failure::bad_request(message, "invalid_paging"));
    }
    Ok(())
}

/// A page of a list: the bare array, with totals, or by checkpoint, as the query asks.
pub(super) fn page(
    key: &str,
    items: &[Value],
    query: &Query,
    checkpoint: Checkpoint,
    capped: bool,
) -> Result<String, Failure> {
    let take = query.number("take", 1, 100)?;
    if checkpoint != Checkpoint::None && (take.is_some() || query.get("from").is_some()) {
        let take = take.unwrap_or(50).min(query.largest_page);
        let start = query.get("from").map_or(Ok(0), cursor)?.min(items.len());
        let shown = &items[start..items.len().min(start + take)];
        let mut body = serde_json::json!({key: shown});
        let more = match checkpoint {
            Checkpoint::UntilEmpty => !shown.is_empty(),
            _ => shown.len() == take,
        };
        if more {
            let at = start + shown.len();
            body["next"] = BASE64_STANDARD.encode(format!("2023-03-14 13:36:13.829000UTC,{at}")).into();
        }
        return Ok(body.to_string());
    }
    let (start, limit) = query.offset(1)?;
    if capped && start + limit > REACH {
        let page = start / limit;
        let message = format!(
            "Requesting page {page} exceeds the allowed maximum of {REACH} records. To fetch results beyond {REACH}, use \
             the checkpoint pagination method"
        );
        return Err(Failure::bad_request(message, "invalid_paging"));
    }
    let from = start.min(items.len());
    let shown = &items[from..items.len().min(from + limit)];
    if query.flag("include_totals")? == Some(true) {
        return Ok(serde_json::json!({key: shown, "start": start, "limit": limit, "total": items.len()}).to_string());
    }
    Ok(Value::from(shown).to_string())
}

fn cursor(from: &str) -> Result<usize, Failure> {
    let bad = || Failure::bad_request("Invalid checkpoint", "invalid_query_string");
    let bytes = BASE64_STANDARD.decode(from).map_err(|_| bad())?;
    let text = String::from_utf8(bytes).map_err(|_| bad())?;
    text.rsplit_once(',').and_then(|(_, at)| at.parse().ok()).ok_or_else(bad)
}
