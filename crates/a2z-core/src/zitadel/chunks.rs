//! Searches for users by id in chunks, whatever the most is that ZITADEL gives in one answer.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::{
    client::Client,
    failure::{Failure, Reason},
    search::{SearchAnswer, read_search},
};

impl Client {
    /// Searches for users by id: for as many at a time as ZITADEL gives in one answer, and for fewer where an answer is
    /// shorter than it says itself. `more` are further conditions. Ids of users that ZITADEL counts and does not show come
    /// second.
    pub(super) async fn search_chunks(
        &self,
        what: &str,
        ids: &[String],
        more: &[Value],
    ) -> Result<(SearchAnswer, Vec<String>), Failure> {
        let mut all: Option<SearchAnswer> = None;
        let (mut todo, mut seen, mut hidden) = (vec![ids], HashSet::new(), Vec::new());
        while let Some(ids) = todo.pop() {
            let most = usize::try_from(self.page_limit(ids.len() as u64)).unwrap_or(usize::MAX);
            if ids.len() > most {
                let (first, rest) = ids.split_at(most);
                todo.extend([rest, first]);
                continue;
            }
            let mut queries = vec![json!({ "inUserIdsQuery": { "userIds": ids } })];
            queries.extend(more.iter().cloned());
            let body = json!({ "query": { "limit": ids.len().max(1) }, "queries": queries });
            let answer = match self.post(what, "v2/users", &body).idempotent().send().await {
                Err(failure) if failure.reason() == Reason::LimitExceeded && ids.len() > 1 => {
                    self.halve(ids.len() as u64);
                    todo.push(ids);
                    continue;
                }
                answer => read_search(&answer?)?,
            };
            let received = answer.users.len();
            if received < ids.len() && received as u64 != answer.total {
                match ids {
                    [one] => hidden.push(one.clone()),
                    several => {
                        let (first, rest) = several.split_at(several.len() / 2);
                        todo.extend([rest, first]);
                        continue;
                    }
                }
            }
            // The clocks of the first answer are those of all: what is read later is newer.
            let users = &mut all.get_or_insert_with(|| SearchAnswer { users: Vec::new(), ..answer.clone() }).users;
            users.extend(answer.users.into_iter().filter(|user| seen.insert(user.user_id.clone())));
        }
        let mut all = all.unwrap_or_default();
        all.total = all.users.len() as u64;
        Ok((all, hidden))
    }
}
