//! Who calls, and what they may: tokens, roles, the token endpoint.

use std::collections::HashMap;

use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Server;
use super::answer::{Code, Fail, reply};
use super::pages::{Family, page};
use super::state::{Member, State, Token, User, time};

/// The scope without which a token is of no use with ZITADEL's own APIs.
const API_SCOPE: &str = "urn:zitadel:iam:org:project:id:zitadel:aud";

/// Whether a permission is one to read.
fn reads(permission: &str) -> bool {
    permission.rsplit_once('.').is_some_and(|(_, verb)| verb == "read")
}

/// What a role allows, from the defaults of ZITADEL, as far as the sandbox asks.
fn allows(role: &str, permission: &str) -> bool {
    let iam = permission.starts_with("iam.") || permission == "events.read";
    match role {
        "IAM_OWNER" => true,
        "IAM_OWNER_VIEWER" => reads(permission),
        "IAM_ORG_MANAGER" => !iam && permission != "session.write",
        "ORG_OWNER" => !iam && permission != "org.create" && permission != "session.write",
        "IAM_USER_MANAGER" | "ORG_USER_MANAGER" => {
            [
                "org.read",
                "user.read",
                "user.write",
                "user.delete",
                "user.grant.read",
                "user.grant.write",
                "project.read",
            ]
            .contains(&permission)
                || ["project.role.read", "session.read", "session.delete"].contains(&permission)
                || (role == "ORG_USER_MANAGER" && permission == "policy.read")
        }
        "IAM_LOGIN_CLIENT" => {
            ![
                "iam.write",
                "iam.idp.write",
                "events.read",
                "org.create",
                "org.write",
                "org.delete",
                "org.idp.write",
                "user.delete",
            ]
            .contains(&permission)
                && !["project.write", "project.create", "project.role.write", "project.grant.write"]
                    .contains(&permission)
        }
        "ORG_OWNER_VIEWER" => !iam && reads(permission) && permission != "session.read",
        _ => false,
    }
}

impl State {
    /// Gives a user roles; the same user twice in one place is refused.
    pub(super) fn add_member(&mut self, user_id: &str, org: Option<&str>, roles: Vec<String>) -> Result<(), Fail> {
        if !self.users.get(user_id).is_some_and(User::exists) {
            return Err(Fail::new(Code::NotFound, "COMMAND-GoXOn", "Errors.User.NotFound"));
        }
        if self.members.iter().any(|member| member.user_id == user_id && member.org.as_deref() == org) {
            return Err(Fail::new(Code::AlreadyExists, "V3-DKcYh", "Errors.Org.Member.RolesNotChanged"));
        }
        let created = self.touch();
        self.members.push(Member { user_id: user_id.to_owned(), org: org.map(str::to_owned), roles, created });
        Ok(())
    }

    /// The roles of a user in an organisation and in the instance.
    fn roles(&self, user_id: &str, org: &str) -> Vec<&str> {
        let here =
            |member: &&Member| member.user_id == user_id && member.org.as_deref().is_none_or(|place| place == org);
        self.members.iter().filter(here).flat_map(|member| member.roles.iter().map(String::as_str)).collect()
    }

    /// Refuses a caller who may not. Without an organisation it is the caller's own.
    pub(super) fn require(
        &self,
        caller: &str,
        permission: &str,
        org: Option<&str>,
        denied: &'static str,
    ) -> Result<(), Fail> {
        let home = self.users.get(caller).map_or("", |user| user.organization_id.as_str());
        let mut roles = self.roles(caller, org.unwrap_or(home));
        if roles.is_empty() {
            roles = self
                .members
                .iter()
                .filter(|m| m.user_id == caller)
                .flat_map(|m| m.roles.iter().map(String::as_str))
                .collect();
            if roles.is_empty() {
                return Err(Fail::new(Code::NotFound, "AUTHZ-cdgFk", "membership not found"));
            }
            roles.clear();
        }
        if roles.iter().any(|role| allows(role, permission)) {
            return Ok(());
        }
        Err(Fail::new(Code::PermissionDenied, denied, "No matching permissions found"))
    }
}

#[derive(Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    iat: Option<i64>,
    exp: Option<i64>,
}

impl Server {
    /// The user that the token belongs to.
    pub(super) fn caller(&self, headers: &HeaderMap) -> Result<String, Fail> {
        let Some(value) = headers.get(header::AUTHORIZATION) else {
            return Err(Fail::plain(Code::Unauthenticated, "auth header missing"));
        };
        let Some(token) = value.to_str().ok().and_then(|value| value.strip_prefix("Bearer ")) else {
            return Err(Fail::new(Code::Unauthenticated, "AUTH-toLo1", "invalid auth header"));
        };
        let mut state = self.state();
        let now = state.now();
        let token = state.tokens.get(token).filter(|token| token.expires.is_none_or(|until| now < until));
        match token.and_then(|token| state.users.get(&token.user_id)).filter(|user| user.exists()) {
            Some(user) => Ok(user.id.clone()),
            None => Err(invalid_token()),
        }
    }

    /// `POST /oauth/v2/token`.
    pub(super) fn token(&self, headers: &HeaderMap, body: &[u8]) -> Response {
        let form: HashMap<String, String> = url::form_urlencoded::parse(body).into_owned().collect();
        let field = |name: &str| form.get(name).map_or("", String::as_str);
        let user_id = match field("grant_type") {
            "client_credentials" => self.client_credentials(headers, field("client_id"), field("client_secret")),
            "urn:ietf:params:oauth:grant-type:jwt-bearer" => self.jwt_profile(field("assertion")),
            "" => Err(("invalid_request", "grant_type missing")),
            _ => Err(("unsupported_grant_type", "grant_type not supported")),
        };
        let user_id = match user_id {
            Ok(user_id) => user_id,
            Err((error, description)) => {
                return reply(StatusCode::BAD_REQUEST, &json!({"error": error, "error_description": description}));
            }
        };
        let ttl = self.options.token_ttl;
        let scopes: Vec<_> = field("scope").split(' ').collect();
        let mut state = self.state();
        let access_token = format!("sandbox-token-{}", state.id());
        if scopes.contains(&API_SCOPE) {
            let expires = state.now().checked_add(ttl).ok();
            state.tokens.insert(access_token.clone(), Token { user_id: user_id.clone(), expires });
        }
        let mut answer = json!({
            "access_token": access_token,
            "token_type": "Bearer",
            "expires_in": ttl.as_secs().saturating_sub(1),
        });
        if scopes.contains(&"openid") {
            let claims = json!({"iss": state.issuer, "sub": user_id, "iat": time(state.now())});
            answer["id_token"] = format!("e30.{}.", URL_SAFE_NO_PAD.encode(claims.to_string())).into();
        }
        reply(StatusCode::OK, &answer)
    }

    fn client_credentials(
        &self,
        headers: &HeaderMap,
        id: &str,
        secret: &str,
    ) -> Result<String, (&'static str, &'static str)> {
        let decode = |part: &str| {
            url::form_urlencoded::parse(format!("v={part}").as_bytes()).next().map(|(_, v)| v.into_owned())
        };
        let basic = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Basic "));
        let (id, secret) = match basic {
            Some(basic) => STANDARD
                .decode(basic)
                .ok()
                .and_then(|pair| String::from_utf8(pair).ok())
                .and_then(|pair| pair.split_once(':').and_then(|(id, secret)| Some((decode(id)?, decode(secret)?))))
                .ok_or(("invalid_client", "invalid basic auth header"))?,
            None => (id.to_owned(), secret.to_owned()),
        };
        let state = self.state();
        let user = state
            .names
            .get(&id.to_lowercase())
            .and_then(|id| state.users.get(id))
            .filter(|user| user.machine && user.exists());
        match user {
            None => Err(("invalid_client", "client not found")),
            Some(user) if user.secret.as_deref() == Some(&secret) => Ok(user.id.clone()),
            Some(_) => Err(("invalid_request", "Errors.User.Machine.Secret.Invalid")),
        }
    }

    fn jwt_profile(&self, assertion: &str) -> Result<String, (&'static str, &'static str)> {
        let invalid = ("invalid_grant", "invalid assertion");
        let head = jsonwebtoken::decode_header(assertion).map_err(|_| invalid)?;
        let mut state = self.state();
        let (owner, public) = head.kid.and_then(|kid| state.keys.get(&kid).cloned()).ok_or(invalid)?;
        let key = DecodingKey::from_rsa_pem(&public).map_err(|_| invalid)?;
        let mut rules = Validation::new(Algorithm::RS256);
        rules.set_audience(&[state.issuer.as_str()]);
        rules.set_required_spec_claims(&["aud", "exp"]);
        rules.leeway = 1;
        let claims = jsonwebtoken::decode::<Claims>(assertion, &key, &rules).map_err(|_| invalid)?.claims;
        let now = state.now().as_second();
        // Not from the future, and at most one hour old, with a second to spare.
        let fresh = claims.iat.is_some_and(|iat| (now - 3601..=now + 1).contains(&iat)) && claims.exp.is_some();
        if claims.iss == claims.sub && claims.sub == owner && fresh { Ok(owner) } else { Err(invalid) }
    }

    /// `GET /auth/v1/users/me`.
    pub(super) fn me(&self, caller: &str) -> Result<Value, Fail> {
        let user = self.state().existing(caller, "QUERY-Dfbg2")?;
        let mut body = json!({
            "id": user.id,
            "details": super::state::details(user.seen_sequence, user.created, user.changed, &user.organization_id),
            "state": user.state.name(),
            "userName": user.user_name,
            "loginNames": [user.user_name],
            "preferredLoginName": user.user_name,
        });
        if user.machine {
            body["machine"] = json!({"name": user.display_name});
        } else {
            body["human"] = json!({"profile": {"firstName": user.first_name, "lastName": user.last_name}});
        }
        Ok(json!({"user": body}))
    }

    /// `POST /auth/v1/memberships/me/_search`.
    pub(super) fn memberships(&self, caller: &str, request: &Value) -> Result<Value, Fail> {
        let mut state = self.state();
        let now = time(state.now());
        let name = state.users.get(caller).map_or("", |user| user.display_name.as_str());
        let mut result = Vec::new();
        for member in state.members.iter().filter(|member| member.user_id == caller) {
            let owner = member.org.as_deref().unwrap_or(&state.instance);
            let place =
                member.org.as_ref().and_then(|org| state.orgs.get(org)).map_or("ZITADEL", |org| org.name.as_str());
            let mut entry = json!({
                "userId": caller,
                "details": super::state::details(5, member.created, member.created, owner),
                "roles": member.roles,
                "displayName": if member.org.is_some() { place } else { name },
            });
            if let Some(org) = &member.org {
                entry["orgId"] = org.as_str().into();
            } else {
                entry["iam"] = true.into();
                entry["displayName"] = "ZITADEL".into();
            }
            result.push(entry);
        }
        let page = page(&self.options, Family::V1, &request["query"], result)?;
        Ok(page.details(json!({"details": {"viewTimestamp": now}})))
    }
}

/// The answer to a token that is unknown, or has expired.
pub(super) fn invalid_token() -> Fail {
    Fail::new(Code::Unauthenticated, "AUTH-7fs1e", "Errors.Token.Invalid")
}
