//! Reads lists of ZITADEL to their end, whatever the most is that it gives in one answer.
//!
//! Every list has a largest page: 1,000, unless the instance's operator set another number (`SystemDefaults.MaxQueryLimit`;
//! on all lists since v4.19.5, advisory A10018). Who asks for more is refused, and who does not say how many gets 100. So
//! every request says how many, halves that when it is refused, and an answer that is shorter than what was asked for says
//! nothing about what is not in it, unless its total does. The events have a bound of their own (1,000, in silence).

use std::{collections::HashMap, hash::Hash, sync::atomic::Ordering};

use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use super::{
    client::{Client, LARGEST_PAGE, Request, page, parse},
    failure::{Failure, Reason},
};
use crate::http::Answer;

/// A list with more entries never ends.
const MOST_ENTRIES: usize = 2_000_000;
/// How many pages in a row may bring nothing: ZITADEL leaves out what the account may not see only after it has counted it.
const FRUITLESS: u32 = 200;
/// A list whose order is not fixed may show an entry on two pages, and another one on none; it is read so often.
const READINGS: u8 = 2;

/// A list, and how it is read.
#[derive(Debug, Clone, Copy)]
pub(super) struct List {
    /// The field of the answer that has the entries.
    field: &'static str,
    /// The most entries in one page.
    page: u64,
    /// How many entries are enough.
    enough: usize,
}

impl List {
    /// A list whose entries are in this field of the answer.
    pub(super) fn of(field: &'static str) -> Self {
        Self { field, page: LARGEST_PAGE, enough: usize::MAX }
    }

    /// Of which so many will do.
    pub(super) fn enough(self, enough: usize) -> Self {
        Self { page: self.page.min(enough as u64), enough, ..self }
    }
}

/// What an answer says about its whole list: under `details` or `pagination`.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Counted {
    /// 64-bit numbers travel as text. Left out where it is 0, also behind the end.
    total_result: Option<String>,
}

struct Page<T> {
    entries: Vec<T>,
    total: Option<u64>,
}

impl<T: DeserializeOwned> Page<T> {
    fn read(answer: &Answer, field: &str) -> Result<Self, Failure> {
        let mut body: Map<String, Value> = parse(answer)?;
        let odd = || Failure::Gibberish { what: format!("a list of another shape under status {}", answer.status) };
        let mut take = |name: &str| body.remove(name).unwrap_or_default();
        let entries = match take(field) {
            Value::Null => Vec::new(),
            entries => serde_json::from_value(entries).map_err(|_| odd())?,
        };
        let mut total = None;
        for place in ["details", "pagination"] {
            if let counted @ Value::Object(_) = take(place) {
                let counted: Counted = serde_json::from_value(counted).map_err(|_| odd())?;
                total = counted.total_result.and_then(|total| total.parse().ok()).or(total);
            }
        }
        Ok(Self { entries, total })
    }
}

impl Client {
    /// How many entries to ask for, who wants `most`.
    pub(super) fn page_limit(&self, most: u64) -> u64 {
        most.min(self.largest_page().load(Ordering::Relaxed)).max(1)
    }

    /// ZITADEL does not give so many: half of it from now on, for every list.
    pub(super) fn halve(&self, limit: u64) {
        self.largest_page().fetch_min((limit / 2).max(1), Ordering::Relaxed);
    }

    /// Asks for at most `most` entries of a list, and for fewer where ZITADEL refuses to give so many. With the answer comes
    /// how many it was asked for.
    pub(super) async fn ask_for<'a>(
        &'a self,
        most: u64,
        request: impl Fn(u64) -> Request<'a>,
    ) -> Result<(Answer, u64), Failure> {
        loop {
            let limit = self.page_limit(most);
            match request(limit).send().await {
                Err(failure) if failure.reason() == Reason::LimitExceeded && limit > 1 => self.halve(limit),
                answer => return answer.map(|answer| (answer, limit)),
            }
        }
    }

    /// Every entry of a list, once each by its key. `request` puts a page (`query` or `pagination`) into a request.
    pub(super) async fn whole<'a, T: DeserializeOwned, K: Eq + Hash>(
        &'a self,
        list: List,
        request: impl Fn(Value) -> Request<'a>,
        key: impl Fn(&T) -> K,
    ) -> Result<Vec<T>, Failure> {
        let (mut seen, mut all) = (HashMap::new(), Vec::new());
        for reading in 0..READINGS {
            let (mut offset, mut pages, mut fruitless, mut total) = (0, 0, 0, None::<u64>);
            loop {
                let (answer, limit) = self.ask_for(list.page, |limit| request(page(offset, limit))).await?;
                let read = Page::<T>::read(&answer, list.field)?;
                let (received, mut fresh) = (read.entries.len() as u64, false);
                total = total.max(read.total);
                pages += 1;
                for entry in read.entries {
                    let before = seen.insert(key(&entry), reading);
                    fresh |= before != Some(reading);
                    if before.is_none() {
                        all.push(entry);
                    }
                }
                if all.len() >= list.enough {
                    return Ok(all);
                }
                fruitless = if fresh { 0 } else { fruitless + 1 };
                // What is left out because nobody may see it has a place all the same.
                offset += if fresh { received } else { limit };
                if total.map_or(!fresh, |total| offset >= total) {
                    break;
                }
                if fruitless > FRUITLESS || all.len() > MOST_ENTRIES {
                    return Err(Failure::Gibberish { what: "a list that does not end".into() });
                }
            }
            if pages == 1 || total.is_some_and(|total| all.len() as u64 >= total) {
                break;
            }
        }
        Ok(all)
    }
}

#[cfg(test)]
mod tests;
