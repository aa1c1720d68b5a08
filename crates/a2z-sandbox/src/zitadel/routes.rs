//! Which path goes where. Paths are unescaped before they are split, as the gateway does: an id with a slash is lost.

use std::sync::Arc;

use axum::extract::{Request, State as Extract};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::Server;
use super::answer::{Code, Fail, reply};
use super::import::{Checked, check};
use super::people::text;
use super::state::{Token, time};
use super::users::DENIED;
use crate::body_of;
use crate::faults::Fault;

/// The code for a permission that the v1 interceptor misses.
const DENIED_V1: &str = "AUTH-5mWD2";

/// A request, taken apart.
struct Call {
    method: String,
    path: String,
    query: String,
    headers: HeaderMap,
    body: Vec<u8>,
    half: bool,
    stumble: bool,
}

impl Call {
    /// The body as JSON, an empty object where there is none.
    fn json(&self) -> Result<Value, Fail> {
        if self.body.is_empty() {
            return Ok(json!({}));
        }
        serde_json::from_slice(&self.body).map_err(|error| {
            let message = if error.is_eof() {
                "unexpected EOF".to_owned()
            } else {
                format!("proto: syntax error (line {}:{})", error.line(), error.column())
            };
            Fail::plain(Code::InvalidArgument, message)
        })
    }

    fn org(&self) -> Option<&str> {
        self.headers.get("x-zitadel-orgid")?.to_str().ok()
    }
}

/// Serves one request.
pub(super) async fn serve(Extract(server): Extract<Arc<Server>>, request: Request) -> Response {
    let fault = request.extensions().get::<Fault>().cloned();
    let (half, stumble) = (fault == Some(Fault::ImportTimeout), fault == Some(Fault::Stumble));
    let (method, uri, headers) = (request.method().to_string(), request.uri().clone(), request.headers().clone());
    let Some(body) = body_of(request).await else { return StatusCode::BAD_REQUEST.into_response() };
    let path = unescape(uri.path());
    let call = Call {
        method,
        path,
        query: uri.query().unwrap_or_default().to_owned(),
        headers,
        body: body.to_vec(),
        half,
        stumble,
    };
    let host = call.headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    if !["127.0.0.1", "localhost"].contains(&name) {
        let message = format!(
            "unable to set instance using origin &{{{host}  http}} (ExternalDomain is localhost): ID=QUERY-1kIjX Message=Instance not found. Make sure you got the domain right. Check out https://zitadel.com/docs/apis/introduction#domains"
        );
        return Fail::plain(Code::NotFound, message).gateway();
    }
    let connect = call.path.starts_with("/zitadel.");
    match server.route(&call).await {
        Ok(answer) => answer,
        Err(fail) if connect => fail.connect(),
        Err(fail) => fail.gateway(),
    }
}

fn unescape(path: &str) -> String {
    // Form decoding would turn a plus into a space, which a path means as it is.
    let pair = format!("p={}", path.replace('+', "%2B").replace('&', "%26"));
    url::form_urlencoded::parse(pair.as_bytes()).next().map(|(_, path)| path.into_owned()).unwrap_or_default()
}

impl Server {
    async fn route(self: &Arc<Self>, call: &Call) -> Result<Response, Fail> {
        let segments: Vec<&str> = call.path.trim_start_matches('/').split('/').collect();
        match (call.method.as_str(), segments.as_slice()) {
            ("GET", ["debug", "healthz"]) => return Ok("ok".into_response()),
            ("GET", ["debug", "ready"]) => return Ok(reply(StatusCode::OK, &"ok".into())),
            ("GET", [".well-known", "openid-configuration"]) => return Ok(reply(StatusCode::OK, &self.discovery())),
            ("POST", ["oauth", "v2", "token"]) => return Ok(self.token(&call.headers, &call.body)),
            _ => {}
        }
        let caller = &self.caller(&call.headers)?;
        let ok = |body: Value| Ok(reply(StatusCode::OK, &body));
        match (call.method.as_str(), segments.as_slice()) {
            ("POST", ["admin", "v1", "import"]) => ok(self.import_route(caller, call).await?),
            ("POST", ["v2", "sessions"]) => {
                Ok(reply(StatusCode::CREATED, &self.create_session(caller, &call.json()?).await?))
            }
            ("POST", ["v2", "organizations"]) => {
                self.allow(caller, "org.create", None, DENIED_V1)?;
                Ok(reply(StatusCode::CREATED, &self.create_org(caller, &call.json()?)?))
            }
            ("GET", ["v2", "users", id]) => ok(self.get_user(caller, id).await?),
            ("POST", ["zitadel.user.v2.UserService", "GetUserByID"]) => {
                ok(self.get_user(caller, text(&call.json()?, "userId")).await?)
            }
            ("POST", [service, method]) if service.starts_with("zitadel.") => {
                ok(self.connect(caller, service, method, call)?)
            }
            (_, ["v2", ..]) => ok(self.v2(caller, call, &segments[1..])?),
            _ => ok(self.v1(caller, call, &segments)?),
        }
    }

    fn allow(&self, caller: &str, permission: &str, org: Option<&str>, denied: &'static str) -> Result<(), Fail> {
        self.state().require(caller, permission, org, denied)
    }

    async fn import_route(self: &Arc<Self>, caller: &str, call: &Call) -> Result<Value, Fail> {
        // The size is counted before anything else is looked at, the rest after the permission.
        let checked = check(&call.body, &self.options);
        if let Err(fail) = &checked
            && fail.code == Code::ResourceExhausted
        {
            return Err(fail.clone());
        }
        self.allow(caller, "iam.write", call.org(), DENIED_V1)?;
        match checked? {
            Checked::Run { orgs, timeout } => self.import(orgs, timeout, (call.half, call.stumble), caller).await,
            Checked::Crash => {
                self.control.down(None);
                Err(Fail::plain(Code::Internal, "the process is gone"))
            }
        }
    }

    fn v2(&self, caller: &str, call: &Call, segments: &[&str]) -> Result<Value, Fail> {
        match (call.method.as_str(), segments) {
            ("POST", ["users", "new"]) | ("PATCH", ["users", _]) if call.stumble => {
                Err(Fail::new(Code::AlreadyExists, "V3-DKcYh", "Errors.Internal"))
            }
            ("POST", ["users", "new"]) => self.create_user(caller, &call.body),
            ("POST", ["users"]) => self.search(caller, &call.json()?),
            ("PATCH", ["users", id]) => self.update_user(caller, Some(id), &call.body),
            ("DELETE", ["users", id]) => self.delete_user(caller, id),
            ("POST", ["users", id, "email", verb @ ("send" | "resend" | "verify")]) => {
                self.email_code(caller, id, verb, &call.json()?)
            }
            ("DELETE", ["users", id, "phone"]) => self.remove_phone(caller, id),
            ("POST", ["users", id, kind @ ("otp_sms" | "otp_email")]) => self.add_code(caller, id, *kind == "otp_sms"),
            ("DELETE", ["users", id, kind @ ("otp_sms" | "otp_email")]) => {
                self.remove_code(caller, id, *kind == "otp_sms")
            }
            ("POST", ["users", id, verb @ ("deactivate" | "reactivate" | "lock" | "unlock")]) => {
                self.set_state(caller, id, verb)
            }
            ("POST", ["users", id, "metadata"]) => self.put_metadata(caller, Some(id), &call.body),
            ("POST", ["users", id, "metadata", "search"]) => self.metadata(caller, id, &call.json()?),
            ("POST", ["users", id, "links"]) => self.link_user(caller, Some(id), &call.body),
            ("POST", ["users", id, "links", "_search"]) => self.links(caller, id, &call.json()?),
            ("DELETE", ["users", id, "links", idp, linked]) => self.unlink_user(caller, id, idp, linked),
            ("GET", ["users", id, "authentication_methods"]) => self.methods(caller, id),
            ("DELETE", ["sessions", id]) => self.state().delete_session(caller, id, &call.json()?),
            ("POST", ["organizations", "_search"]) => self.orgs(caller, &call.json()?),
            ("GET", ["settings", "login", "idps"]) => {
                self.allow(caller, "policy.read", Self::context(call).as_deref(), DENIED_V1)?;
                Ok(self.state().offered_idps(Self::context(call).as_deref()))
            }
            ("GET", ["settings", which @ ("login" | "domain")]) => {
                self.allow(caller, "policy.read", Self::context(call).as_deref(), DENIED_V1)?;
                Ok(self.state().setting(&format!("settings/{which}")))
            }
            ("GET", ["settings", "password", "complexity"]) => {
                self.allow(caller, "policy.read", Self::context(call).as_deref(), DENIED_V1)?;
                Ok(self.state().setting("settings/complexity"))
            }
            _ => Err(Fail::plain(Code::NotFound, "Not Found")),
        }
    }

    fn context(call: &Call) -> Option<String> {
        url::form_urlencoded::parse(call.query.as_bytes())
            .find(|(name, _)| name == "ctx.orgId")
            .map(|(_, org)| org.into_owned())
    }

    fn v1(&self, caller: &str, call: &Call, segments: &[&str]) -> Result<Value, Fail> {
        let allow = |permission| self.allow(caller, permission, call.org(), DENIED_V1);
        match (call.method.as_str(), segments) {
            ("GET", ["auth", "v1", "users", "me"]) => self.me(caller),
            ("POST", ["auth", "v1", "memberships", "me", "_search"]) => self.memberships(caller, &call.json()?),
            ("GET", ["admin", "v1", "instances", "me"]) => allow("iam.read").and_then(|()| self.instance()),
            ("GET", ["admin", "v1", "orgs", "default"]) => allow("iam.read").and_then(|()| self.default_org()),
            ("GET", ["admin", "v1", "policies", which @ ("domain" | "login")]) => {
                allow("iam.policy.read")?;
                Ok(self.state().setting(&format!("policy/{which}")))
            }
            ("GET", ["admin", "v1", "policies", "password", "complexity"]) => {
                allow("iam.policy.read")?;
                Ok(self.state().setting("policy/complexity"))
            }
            ("POST", ["admin", "v1", kind @ ("sms" | "email"), "_search"]) => {
                allow("iam.read").and_then(|()| self.providers(*kind == "sms", &call.json()?))
            }
            ("POST", ["admin", "v1", "events", "_search"]) => {
                allow("events.read").and_then(|()| self.events(&call.json()?))
            }
            ("POST", ["admin", "v1", "idps", "templates", "_search"]) => {
                allow("iam.idp.read").and_then(|()| self.idps(None, &call.json()?))
            }
            ("DELETE", ["admin", "v1", "idps", "templates", id]) => {
                allow("iam.idp.write")?;
                self.delete_idp(id, None, caller)
            }
            ("POST", ["admin", "v1", "idps", kind]) => {
                allow("iam.idp.write")?;
                self.create_idp(kind, None, &call.json()?)
            }
            ("DELETE", ["management", "v1", "idps", "templates", id]) => {
                allow("org.idp.write")?;
                let home = self.state().existing(caller, "")?.organization_id;
                self.delete_idp(id, Some(call.org().unwrap_or(&home)), caller)
            }
            (method, ["management", "v1", rest @ ..]) => {
                let home = self.state().existing(caller, "")?.organization_id;
                let org = call.org().unwrap_or(&home);
                if !self.state().orgs.contains_key(org) {
                    return Err(Fail::new(Code::PermissionDenied, "AUTH-Bs7Ds", "Organisation doesn't exist"));
                }
                match rest {
                    ["policies", "label"] => {
                        allow(if method == "GET" { "policy.read" } else { "policy.write" })?;
                        self.label(method, org, &call.json()?)
                    }
                    ["policies", "label", "_activate"] if method == "POST" => {
                        allow("policy.write")?;
                        Ok(json!({"details": {"resourceOwner": org}}))
                    }
                    ["users", _, "grants", id] if method == "GET" => {
                        allow("user.grant.read")?;
                        self.get_grant(id)
                    }
                    _ if method != "POST" => Err(Fail::plain(Code::NotFound, "Not Found")),
                    ["idps", "templates", "_search"] => {
                        allow("org.idp.read").and_then(|()| self.idps(Some(org), &call.json()?))
                    }
                    ["idps", kind] => {
                        allow("org.idp.write")?;
                        self.create_idp(kind, Some(org), &call.json()?)
                    }
                    ["projects", id, "roles", "_bulk"] => {
                        allow("project.role.write")?;
                        self.roles_bulk(id, org, &call.json()?)
                    }
                    _ => Err(Fail::plain(Code::NotFound, "Not Found")),
                }
            }
            _ => Err(Fail::plain(Code::NotFound, "Not Found")),
        }
    }

    fn connect(&self, caller: &str, service: &str, method: &str, call: &Call) -> Result<Value, Fail> {
        let request = call.json()?;
        let user = text(&request, "userId");
        let org = Some(text(&request, "organizationId")).filter(|org| !org.is_empty());
        let service = service.strip_prefix("zitadel.").unwrap_or(service);
        match (service, method) {
            ("user.v2.UserService", "CreateUser") => self.create_user(caller, &call.body),
            ("user.v2.UserService", "UpdateUser") => self.update_user(caller, None, &call.body),
            ("user.v2.UserService", "ListUsers") => self.search(caller, &request),
            ("user.v2.UserService", "DeleteUser") => self.delete_user(caller, user),
            ("user.v2.UserService", "RemovePhone") => self.remove_phone(caller, user),
            ("user.v2.UserService", "AddOTPSMS") => self.add_code(caller, user, true),
            ("user.v2.UserService", "AddOTPEmail") => self.add_code(caller, user, false),
            ("user.v2.UserService", "RemoveOTPSMS") => self.remove_code(caller, user, true),
            ("user.v2.UserService", "RemoveOTPEmail") => self.remove_code(caller, user, false),
            ("user.v2.UserService", "DeactivateUser") => self.set_state(caller, user, "deactivate"),
            ("user.v2.UserService", "ReactivateUser") => self.set_state(caller, user, "reactivate"),
            ("user.v2.UserService", "LockUser") => self.set_state(caller, user, "lock"),
            ("user.v2.UserService", "UnlockUser") => self.set_state(caller, user, "unlock"),
            ("user.v2.UserService", "SetUserMetadata") => self.put_metadata(caller, None, &call.body),
            ("user.v2.UserService", "DeleteUserMetadata") => self.remove_metadata(caller, user, &request),
            ("user.v2.UserService", "ListUserMetadata") => self.metadata(caller, user, &request),
            ("user.v2.UserService", "AddIDPLink") => self.link_user(caller, None, &call.body),
            ("user.v2.UserService", "ListIDPLinks") => self.links(caller, user, &request),
            ("user.v2.UserService", "RemoveIDPLink") => {
                self.unlink_user(caller, user, text(&request, "idpId"), text(&request, "linkedUserId"))
            }
            ("user.v2.UserService", "ListAuthenticationMethodTypes") => self.methods(caller, user),
            ("user.v2.UserService", "AddPersonalAccessToken" | "AddSecret") => {
                self.credential(caller, user, method, &request)
            }
            ("instance.v2.InstanceService", "GetInstance") => {
                self.allow(caller, "iam.read", None, DENIED)?;
                self.instance()
            }
            ("org.v2.OrganizationService", _) => {
                let permission = if method == "DeleteOrganization" { "org.delete" } else { "org.write" };
                self.allow(caller, permission, org, DENIED)?;
                self.org_service(method, &request)
            }
            ("project.v2.ProjectService", _) => {
                let reads = method.starts_with("List") || method.starts_with("Get");
                let permission = if reads { "project.read" } else { "project.write" };
                let owner = self.state().projects.get(text(&request, "projectId")).map(|project| project.org.clone());
                self.allow(caller, permission, org.or(owner.as_deref()), DENIED)?;
                self.project_service(method, &request)
            }
            ("authorization.v2.AuthorizationService", _) => {
                let permission = if method.starts_with("List") { "user.grant.read" } else { "user.grant.write" };
                let grants = self.state().grants.clone();
                let owner =
                    grants.iter().find(|grant| grant.id == text(&request, "id")).map(|grant| grant.org.as_str());
                self.allow(caller, permission, org.or(owner), DENIED)?;
                self.authorization_service(caller, method, &request)
            }
            _ => Err(Fail::plain(Code::NotFound, "Not Found")),
        }
    }

    fn credential(&self, caller: &str, user: &str, method: &str, request: &Value) -> Result<Value, Fail> {
        let mut state = self.state();
        let mut account = state.existing(user, "COMMAND-Dsf3s")?;
        state.require(caller, "user.write", Some(&account.organization_id), DENIED)?;
        if !account.machine {
            return Err(Fail::new(Code::FailedPrecondition, "COMMAND-F3g4s", "Errors.User.Machine.NotFound"));
        }
        let (id, at) = (state.id(), time(state.now()));
        if method == "AddSecret" {
            let secret = format!("sandbox-secret-{id}");
            account.secret = Some(secret.clone());
            state.commit(account, vec![("user.machine.secret.set", None)], caller);
            return Ok(json!({"creationDate": at, "clientSecret": secret}));
        }
        let token = format!("sandbox-pat-{id}");
        let expires = request["expirationDate"].as_str().and_then(|at| at.parse().ok());
        state.tokens.insert(token.clone(), Token { user_id: user.to_owned(), expires });
        state.commit(account, vec![("user.pat.added", None)], caller);
        Ok(json!({"creationDate": at, "tokenId": id, "token": token}))
    }

    fn discovery(&self) -> Value {
        let issuer = self.state().issuer.clone();
        let mut discovery: Value = serde_json::from_str(include_str!("discovery.json")).unwrap_or_default();
        let at = |path: &str| Value::from(format!("{issuer}{path}"));
        for (name, path) in [
            ("issuer", ""),
            ("authorization_endpoint", "/oauth/v2/authorize"),
            ("token_endpoint", "/oauth/v2/token"),
            ("introspection_endpoint", "/oauth/v2/introspect"),
            ("userinfo_endpoint", "/oidc/v1/userinfo"),
            ("revocation_endpoint", "/oauth/v2/revoke"),
            ("end_session_endpoint", "/oidc/v1/end_session"),
            ("device_authorization_endpoint", "/oauth/v2/device_authorization"),
            ("jwks_uri", "/oauth/v2/keys"),
        ] {
            discovery[name] = at(path);
        }
        discovery
    }
}
