//! Finds a user by what a person types at the login page, in the way in which Login V2 looks (`searchUsers` of its source):
//! by login name; if nobody has it, by e-mail or phone number. Letter case plays no part, but in a phone number.

use serde_json::{Value, json};

use super::{client::Client, failure::Failure, search::FoundUser};

/// A longer text is not looked for among the phone numbers, in UTF-16 units.
const LONGEST_PHONE: usize = 20;
/// How many users are asked for; the login page takes one only.
const MOST: usize = 11;

/// By what a user was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FoundBy {
    /// A login name.
    LoginName,
    /// The e-mail or the phone number.
    Contact,
    /// The user name alone, which the login page does not look for.
    UserName,
}

impl Client {
    /// The users that the login page finds by `typed`, at most 11: of one organization, or of the whole instance. If it
    /// finds nobody, those with this user name, whose login names carry a domain.
    ///
    /// # Errors
    /// As [`Failure`] says.
    pub async fn users_by_typed_name(
        &self,
        typed: &str,
        organization_id: Option<&str>,
    ) -> Result<(Vec<FoundUser>, FoundBy), Failure> {
        let ignoring_case = "TEXT_QUERY_METHOD_EQUALS_IGNORE_CASE";
        let login_name = json!({ "loginNameQuery": { "loginName": typed, "method": ignoring_case } });
        let mut contacts = vec![json!({ "emailQuery": { "emailAddress": typed, "method": ignoring_case } })];
        if typed.encode_utf16().count() <= LONGEST_PHONE {
            contacts.push(json!({ "phoneQuery": { "number": typed, "method": "TEXT_QUERY_METHOD_EQUALS" } }));
        }
        let contact = json!({ "orQuery": { "queries": contacts } });
        let user_name = json!({ "userNameQuery": { "userName": typed, "method": ignoring_case } });
        let ways = [(login_name, FoundBy::LoginName), (contact, FoundBy::Contact), (user_name, FoundBy::UserName)];
        for (query, by) in ways {
            let found = self.users_like(query, organization_id).await?;
            if !found.is_empty() {
                return Ok((found, by));
            }
        }
        Ok((Vec::new(), FoundBy::LoginName))
    }

    async fn users_like(&self, query: Value, organization_id: Option<&str>) -> Result<Vec<FoundUser>, Failure> {
        let organization = organization_id.map(|id| json!({ "organizationIdQuery": { "organizationId": id } }));
        let queries: Vec<Value> = std::iter::once(query).chain(organization).collect();
        self.search_enough("look a user up", &queries.into(), MOST).await
    }
}
