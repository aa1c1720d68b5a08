//! The tenant's roles and organizations, and who has them, page by page.
//!
//! Roles page by offset, everything else by checkpoint: offset pages end at 1,000 entries. A page says with `next` that
//! another follows, which may be empty (members of an organization always end so).

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::{
    client::{Client, Failure},
    paging::{self, Offset, Totals},
};

/// The largest page that Auth0 gives.
const PAGE: u64 = 100;

/// One page of a list.
#[derive(Debug)]
pub struct Page<T> {
    /// What stands on it.
    pub items: Vec<T>,
    /// What to ask for the next one with; none: this was the last.
    pub next: Option<String>,
}

/// A role of the tenant.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Role {
    /// `rol_…`.
    pub id: String,
    /// What applications know it by.
    #[serde(default)]
    pub name: String,
}

/// An organization of the tenant.
#[derive(Debug, Deserialize)]
pub struct Organization {
    /// `org_…`.
    pub id: String,
    /// Unique in the tenant, lower case.
    #[serde(default)]
    pub name: String,
    /// For people.
    #[serde(default)]
    pub display_name: Option<String>,
    /// `{"logo_url":…,"colors":{"primary":…,"page_background":…}}`.
    #[serde(default)]
    pub branding: Option<Box<RawValue>>,
    /// Names and texts.
    #[serde(default)]
    pub metadata: Option<Box<RawValue>>,
}

/// A member of an organization.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Member {
    /// Auth0's `user_id`.
    pub user_id: String,
    /// The roles in this organization.
    #[serde(default, deserialize_with = "or_default")]
    pub roles: Vec<Role>,
}

#[derive(Deserialize)]
struct User {
    user_id: String,
}

/// `null` as if it were absent.
fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(deserializer: D) -> Result<T, D::Error> {
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// The roles; `page` is none for the first page.
///
/// # Errors
/// See [`Failure`].
pub async fn roles(client: &Client, page: Option<&str>) -> Result<Page<Role>, Failure> {
    #[derive(Deserialize)]
    struct Wire {
        roles: Vec<Role>,
        start: Option<u64>,
        limit: Option<u64>,
        total: Option<u64>,
    }
    let offset = page.and_then(|page| Offset::from_cursor(page, PAGE)).unwrap_or(Offset::first(PAGE));
    if offset.is_absurd() {
        return Err(Failure::Gibberish("the list of roles does not end".into()));
    }
    let (page, size) = offset.query();
    let query = [("page", page.as_str()), ("per_page", &size), ("include_totals", "true")];
    let Wire { roles, start, limit, total } = client.get("list the roles", "roles", &query).await?;
    let next = offset.next(Totals { start, limit, total }, roles.len() as u64);
    Ok(Page { items: roles, next: next.map(Offset::to_cursor) })
}

/// The ids of the users who have a role.
///
/// # Errors
/// See [`Failure`]; 404 where the role is gone.
pub async fn role_users(client: &Client, role_id: &str, from: Option<&str>) -> Result<Page<String>, Failure> {
    #[derive(Deserialize)]
    struct Wire {
        users: Vec<User>,
        #[serde(default)]
        next: Option<String>,
    }
    let path = format!("roles/{}/users", segment(role_id));
    let wire: Wire = checkpoint(client, "list the users of a role", &path, from, &[]).await?;
    let next = paging::checkpoint(wire.next, from, wire.users.len())?;
    Ok(Page { items: wire.users.into_iter().map(|user| user.user_id).collect(), next })
}

/// The organizations.
///
/// # Errors
/// See [`Failure`].
pub async fn organizations(client: &Client, from: Option<&str>) -> Result<Page<Organization>, Failure> {
    #[derive(Deserialize)]
    struct Wire {
        organizations: Vec<Organization>,
        #[serde(default)]
        next: Option<String>,
    }
    let wire: Wire = checkpoint(client, "list the organizations", "organizations", from, &[]).await?;
    let next = paging::checkpoint(wire.next, from, wire.organizations.len())?;
    Ok(Page { items: wire.organizations, next })
}

/// The members of an organization with their roles in it, which come inline: a call a member is saved.
///
/// # Errors
/// See [`Failure`]; 404 where the organization is gone.
pub async fn members(client: &Client, organization_id: &str, from: Option<&str>) -> Result<Page<Member>, Failure> {
    #[derive(Deserialize)]
    struct Wire {
        members: Vec<Member>,
        #[serde(default)]
        next: Option<String>,
    }
    let path = format!("organizations/{}/members", segment(organization_id));
    let fields = [("fields", "user_id,roles"), ("include_fields", "true")];
    let wire: Wire = checkpoint(client, "list the members of an organization", &path, from, &fields).await?;
    let next = paging::checkpoint(wire.next, from, wire.members.len())?;
    Ok(Page { items: wire.members, next })
}

async fn checkpoint<T: serde::de::DeserializeOwned>(
    client: &Client,
    what: &str,
    path: &str,
    from: Option<&str>,
    more: &[(&str, &str)],
) -> Result<T, Failure> {
    let take = PAGE.to_string();
    let mut query = vec![("take", take.as_str())];
    query.extend(from.map(|from| ("from", from)));
    query.extend_from_slice(more);
    client.get(what, path, &query).await
}

/// An id as a part of a path.
fn segment(id: &str) -> String {
    url::form_urlencoded::byte_serialize(id.as_bytes()).collect()
}
