//! `/oauth/token`, and who may do what.

use axum::response::Response;
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::{CLIENT_ID, Call, Shared, any, lock, now, reply, reply::Failure};

/// What a token is good for.
#[derive(Debug, Clone)]
pub(super) struct Grant {
    /// Unix seconds.
    expires: i64,
    /// Asked for without an audience: no JSON Web Token, and no use here.
    opaque: bool,
}

impl Shared {
    pub(super) fn issue(&self, opaque: bool) -> String {
        let expires = now().saturating_add(i64::try_from(self.options.expires_in).unwrap_or(i64::MAX));
        let part = |value: Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
        let signature = format!("{:016x}{:016x}", any(), any());
        let token = if opaque {
            signature
        } else {
            // Signed by nobody: no client can check it, and the tenant looks it up.
            let head = part(json!({"alg": "RS256", "typ": "JWT", "kid": "sandbox"}));
            let body = part(json!({"iss": format!("{}/", self.url()), "sub": format!("{CLIENT_ID}@clients"),
                "aud": self.audience(), "iat": now(), "exp": expires, "scope": self.options.scopes.join(" "),
                "gty": "client-credentials", "azp": CLIENT_ID}));
            format!("{head}.{body}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
        };
        lock(&self.tokens).insert(token.clone(), Grant { expires, opaque });
        token
    }

    pub(super) fn expire(&self) {
        lock(&self.tokens).values_mut().for_each(|grant| grant.expires = 0);
    }

    /// The bearer's right to call something that needs any of these scopes.
    pub(super) fn authorize(&self, call: &Call, any_of: &[&str]) -> Result<(), Failure> {
        let header = call.header(&axum::http::header::AUTHORIZATION);
        let Some(token) = header.and_then(|header| header.strip_prefix("Bearer ")) else {
            return Err(Failure::no_authentication());
        };
        let grant = lock(&self.tokens).get(token).cloned();
        match grant {
            Some(grant) if grant.expires <= now() => Err(Failure::expired_token()),
            Some(grant) if !grant.opaque => {
                let granted = self.options.scopes.iter().any(|scope| any_of.contains(&scope.as_str()));
                if granted { Ok(()) } else { Err(Failure::scope(any_of)) }
            }
            _ => Err(Failure::unauthorized("Invalid token")),
        }
    }
}

/// `POST /oauth/token`, as a form or as JSON.
pub(super) fn answer(shared: &Shared, body: Option<&Value>) -> Response {
    let text = |key: &str| body.and_then(|body| body.get(key)).and_then(Value::as_str);
    let refused = |status: u16, error: &str, description: &str| {
        reply::json(status, json!({"error": error, "error_description": description}).to_string())
    };
    let Some(grant_type) = text("grant_type") else {
        return refused(400, "invalid_request", "Missing required parameter: grant_type");
    };
    if text("client_id") != Some(CLIENT_ID) || text("client_secret") != Some(shared.client_secret.as_str()) {
        return refused(401, "access_denied", "Unauthorized");
    }
    if grant_type != "client_credentials" {
        let mut body = json!({"error": "unauthorized_client"});
        body["error_description"] = format!("Grant type '{grant_type}' not allowed for the client.").into();
        body["error_uri"] = "https://auth0.com/docs/clients/client-grant-types".into();
        return reply::json(403, body.to_string());
    }
    let Some(audience) = text("audience").filter(|audience| !audience.is_empty()) else {
        // The opaque token trap: no audience, and still 200.
        let token = shared.issue(true);
        let body = json!({"access_token": token, "expires_in": shared.options.expires_in, "token_type": "Bearer"});
        return reply::json(200, body.to_string());
    };
    if audience != shared.audience() {
        return refused(403, "access_denied", &format!("Service not found: {audience}"));
    }
    if !shared.options.granted {
        let description = format!(
            "Client is not authorized to access \"{audience}\". You need to create a \"client-grant\" associated to \
             this API. See: https://auth0.com/docs/api/v2#!/Client_Grants/post_client_grants"
        );
        return refused(403, "access_denied", &description);
    }
    let body = json!({"access_token": shared.issue(false), "scope": shared.options.scopes.join(" "),
        "expires_in": shared.options.expires_in, "token_type": "Bearer"});
    reply::json(200, body.to_string())
}
