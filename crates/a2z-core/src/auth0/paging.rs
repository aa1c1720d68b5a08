//! How lists go on. A page may hold less than was asked for: by offset the answer's own `start`, `limit` and `total` count, by
//! checkpoint only `next`.

use super::client::Failure;

/// A list that goes on for longer than this never ends.
pub(super) const MOST_PAGES: u64 = 10_000;

/// A page by offset: its number, and how many entries it is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Offset {
    page: u64,
    size: u64,
}

/// What the answer says of its page; all of it may be missing.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Totals {
    pub(super) start: Option<u64>,
    pub(super) limit: Option<u64>,
    pub(super) total: Option<u64>,
}

impl Offset {
    /// The first page, of at most `size` entries.
    pub(super) fn first(size: u64) -> Self {
        Self { page: 0, size }
    }

    /// So far down that no list reaches: this one does not end.
    pub(super) fn is_absurd(self) -> bool {
        self.page > MOST_PAGES
    }

    /// Page and size as the query has them.
    pub(super) fn query(self) -> (String, String) {
        (self.page.to_string(), self.size.to_string())
    }

    /// As one word, for the ledger.
    pub(super) fn to_cursor(self) -> String {
        format!("{}/{}", self.page, self.size)
    }

    /// Back from [`Self::to_cursor`]; a number alone is of an older ledger and means pages of `size`.
    pub(super) fn from_cursor(cursor: &str, size: u64) -> Option<Self> {
        let (page, size) = match cursor.split_once('/') {
            Some((page, size)) => (page.parse().ok()?, size.parse().ok()?),
            None => (cursor.parse().ok()?, size),
        };
        (size > 0).then_some(Self { page, size })
    }

    /// The page after this one, which brought `length` entries; none where it was the last. The server may have given
    /// pages of another size than was asked for, and the next ones are asked for in that size: two pages may overlap then,
    /// but nothing is passed over.
    pub(super) fn next(self, told: Totals, length: u64) -> Option<Self> {
        let size = told.limit.filter(|limit| (1..=self.size).contains(limit)).unwrap_or(self.size);
        let start = told.start.unwrap_or(self.page.saturating_mul(size));
        // Without a total only a page without anybody on it is surely the last.
        let more = told.total.map_or(length > 0, |total| start.saturating_add(size) < total);
        if !more {
            return None;
        }
        let page = start.saturating_add(size) / size;
        // Not twice the same page.
        Some(Self { page: if size == self.size { page.max(self.page + 1) } else { page }, size })
    }
}

/// The checkpoint of the next page after one that was asked for with `from` and brought `length` entries; none after the last.
///
/// # Errors
/// `Gibberish` where the list does not move on although there is somebody on the page: it would never end.
pub(super) fn checkpoint(next: Option<String>, from: Option<&str>, length: usize) -> Result<Option<String>, Failure> {
    match next.filter(|next| !next.is_empty()) {
        Some(next) if from == Some(next.as_str()) => {
            if length == 0 {
                return Ok(None);
            }
            Err(Failure::Gibberish(
                "a list that does not move on: its `next` is the checkpoint that was asked for".into(),
            ))
        }
        next => Ok(next),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A list of `total` entries, of which the server gives at most `largest` on a page: what is read, in order.
    fn read(total: u64, largest: u64, tell: impl Fn(Totals) -> Totals) -> Vec<u64> {
        let (mut all, mut offset) = (Vec::new(), Some(Offset::first(100)));
        for _ in 0..1000 {
            let Some(now) = offset else { return all };
            let limit = now.size.min(largest);
            let start = now.page * limit;
            let page: Vec<u64> = (start..total.min(start + limit)).collect();
            let told = tell(Totals { start: Some(start), limit: Some(limit), total: Some(total) });
            offset = now.next(told, page.len() as u64);
            all.extend(page);
        }
        panic!("it does not end");
    }

    #[test]
    fn whatever_a_page_holds_the_list_is_read_to_its_end() {
        for (total, largest) in [(0, 100), (1, 100), (100, 100), (101, 100), (250, 50), (251, 7), (1000, 99)] {
            let whole: Vec<u64> = (0..total).collect();
            assert_eq!(read(total, largest, |told| told), whole, "{total} {largest}");
            if largest == 100 {
                assert_eq!(read(total, largest, |told| Totals { start: None, limit: None, ..told }), whole);
                assert_eq!(read(total, largest, |_| Totals::default()), whole, "without a word");
            }
        }
    }

    #[test]
    fn a_size_that_changes_on_the_way_passes_nobody_over() {
        let told = |start, limit| Totals { start: Some(start), limit: Some(limit), total: Some(1000) };
        let third = Offset { page: 3, size: 100 };
        // Page 3 of pages of 25 begins at 75.
        assert_eq!(third.next(told(75, 25), 25), Some(Offset { page: 4, size: 25 }));
        assert_eq!(third.next(told(300, 100), 40), Some(Offset { page: 4, size: 100 }), "a short page is no last one");
        assert_eq!(third.next(told(900, 100), 100), None);
        // Nonsense.
        assert_eq!(third.next(told(300, 0), 100), Some(Offset { page: 4, size: 100 }));
        assert_eq!(third.next(told(0, 100), 100), Some(Offset { page: 4, size: 100 }));
    }

    #[test]
    fn cursors_are_read_back() {
        let offset = Offset { page: 3, size: 25 };
        assert_eq!(Offset::from_cursor(&offset.to_cursor(), 100), Some(offset));
        assert_eq!(Offset::from_cursor("3", 100), Some(Offset { page: 3, size: 100 }));
        assert_eq!(Offset::from_cursor("3/0", 100), None);
        assert_eq!(Offset::from_cursor("x", 100), None);
    }

    #[test]
    fn a_checkpoint_that_stands_still_is_no_end() {
        let next = |next: Option<&str>, from, length| checkpoint(next.map(str::to_owned), from, length);
        assert_eq!(next(Some("b"), Some("a"), 0).unwrap().as_deref(), Some("b"));
        assert_eq!(next(Some(""), None, 5).unwrap(), None);
        assert_eq!(next(None, Some("a"), 5).unwrap(), None);
        assert_eq!(next(Some("a"), Some("a"), 0).unwrap(), None);
        assert!(next(Some("a"), Some("a"), 5).is_err());
    }
}
