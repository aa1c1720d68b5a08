//! From credentials to bearer tokens.

use std::time::Duration;

use jiff::Timestamp;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use reqwest::Method;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use url::Url;

use super::failure::{Failure, cut};
use crate::{
    error::{Error, Kind, Result, printable},
    http::{
        Body, Call,
        client::{Auth, Client},
        token::{Token, TokenCache},
    },
    zitadel::settings::ZitadelCredentials,
};

/// Without the audience scope the APIs answer 401 to the token.
const SCOPE: &str = "openid urn:zitadel:iam:org:project:id:zitadel:aud";
/// How long an assertion is valid. ZITADEL takes none that is older than an hour.
const ASSERTION: Duration = Duration::from_mins(30);
/// How far our clock may be ahead of ZITADEL's, which refuses what is issued in its future.
const SKEW: Duration = Duration::from_mins(1);

/// The key of a service account, as the console's file has it.
#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct KeyFile {
    key_id: String,
    key: SecretString,
    user_id: String,
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    sub: &'a str,
    aud: &'a str,
    iat: i64,
    exp: i64,
}

#[derive(Deserialize)]
struct Issued {
    access_token: SecretString,
    #[serde(default)]
    expires_in: Option<u64>,
}

#[derive(Deserialize)]
struct Refusal {
    error: String,
    #[serde(default)]
    error_description: String,
}

/// The tokens for `credentials` at the instance `base`.
///
/// # Errors
/// Of kind `Usage` where the key is none.
pub(super) fn tokens(http: &Client, base: &Url, credentials: &ZitadelCredentials) -> Result<TokenCache> {
    let endpoint = base.join("oauth/v2/token").map_err(|_| Error::usage("`zitadel.url` is no address"))?;
    match credentials {
        ZitadelCredentials::Token(token) => Ok(TokenCache::fixed(trimmed(token))),
        ZitadelCredentials::KeyJson(json) => {
            let (key, encoding) = read_key(json)?;
            // The issuer, exactly: scheme, host, the port where it is not the scheme's, and no slash.
            let audience = base.origin().ascii_serialization();
            let http = http.clone();
            Ok(TokenCache::new(move || {
                let assertion = assertion(&key, &encoding, &audience);
                let (http, endpoint) = (http.clone(), endpoint.clone());
                Box::pin(async move {
                    let form = vec![
                        ("grant_type", SecretString::from("urn:ietf:params:oauth:grant-type:jwt-bearer")),
                        ("scope", SecretString::from(SCOPE)),
                        ("assertion", assertion?),
                    ];
                    ask(&http, endpoint, form).await
                })
            }))
        }
        ZitadelCredentials::Client { client_id, client_secret } => {
            let (id, secret) = (SecretString::from(client_id.trim()), trimmed(client_secret));
            let http = http.clone();
            Ok(TokenCache::new(move || {
                let form = vec![
                    ("grant_type", SecretString::from("client_credentials")),
                    ("client_id", id.clone()),
                    ("client_secret", secret.clone()),
                    ("scope", SecretString::from(SCOPE)),
                ];
                let (http, endpoint) = (http.clone(), endpoint.clone());
                Box::pin(async move { ask(&http, endpoint, form).await })
            }))
        }
    }
}

/// Files end with a line break more often than not.
fn trimmed(secret: &SecretString) -> SecretString {
    secret.expose_secret().trim().into()
}

fn read_key(json: &SecretString) -> Result<(KeyFile, EncodingKey)> {
    let hint = "make a key of type JSON for the service account in ZITADEL's console, and give that file unchanged";
    // The parser's and the decoder's errors may quote the key.
    let key: KeyFile = serde_json::from_str(json.expose_secret()).map_err(|_| {
        Error::usage("the ZITADEL key is not the JSON of a service account's key")
            .because("`keyId`, `key` and `userId` are expected")
            .hint(hint)
    })?;
    let encoding = EncodingKey::from_rsa_pem(key.key.expose_secret().as_bytes())
        .map_err(|_| Error::usage("`key` in the ZITADEL key is no RSA private key (PEM)").hint(hint))?;
    Ok((key, encoding))
}

fn assertion(key: &KeyFile, encoding: &EncodingKey, audience: &str) -> Result<SecretString> {
    let issued = Timestamp::now() - SKEW;
    let claims = Claims {
        iss: &key.user_id,
        sub: &key.user_id,
        aud: audience,
        iat: issued.as_second(),
        exp: (issued + ASSERTION).as_second(),
    };
    let header = Header { kid: Some(key.key_id.clone()), ..Header::new(Algorithm::RS256) };
    jsonwebtoken::encode(&header, &claims, encoding)
        .map(SecretString::from)
        .map_err(|_| Error::usage("the ZITADEL key could not sign (is it an RSA key?)"))
}

async fn ask(http: &Client, endpoint: Url, form: Vec<(&'static str, SecretString)>) -> Result<Token> {
    let what = "could not get a token from ZITADEL";
    let call = Call {
        what: "get a token".into(),
        method: Method::POST,
        url: endpoint,
        body: Body::Form(form),
        headers: Vec::new(),
        // Another token does no harm.
        idempotent: true,
        timeout: None,
    };
    let answer =
        http.send(&call, &Auth::None, &|_| false).await.map_err(|fault| Failure::from_fault(fault).into_error(what))?;
    if answer.is_success() {
        let issued: Issued = serde_json::from_slice(&answer.body)
            .map_err(|_| Failure::Gibberish { what: "no token in a token answer".into() }.into_error(what))?;
        return Ok(Token {
            secret: issued.access_token,
            expires_in: issued.expires_in.map(Duration::from_secs),
            scope: None,
        });
    }
    // OAuth's own shape of an error; everything else is a failure like any other.
    let Ok(refusal) = serde_json::from_slice::<Refusal>(&answer.body) else {
        return Err(Failure::from_answer(&answer).into_error(what));
    };
    let reason = cut(&printable(&format!("{}: {}", refusal.error, refusal.error_description)));
    Err(Error::new(Kind::Check, what).because(format!("HTTP {}, {reason}", answer.status)).hint(
        "check that the key or client belongs to this instance, is not expired, and that this machine's clock is right",
    ))
}

#[cfg(test)]
mod tests {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
    use serde_json::json;
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::{
        event::Events,
        http::testing::{self, Server, quick},
    };

    /// Made for this test: `openssl genrsa -traditional 2048`.
    const KEY: &str = include_str!("testdata/test-rsa.pem");

    fn cache(server: &Server, credentials: &ZitadelCredentials) -> Result<TokenCache> {
        let http = Client::new("ZITADEL", &server.url, &quick(), None, Events::silent(), CancellationToken::new())?;
        tokens(&http, &server.url, credentials)
    }

    fn part(jwt: &str, index: usize) -> serde_json::Value {
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(jwt.split('.').nth(index).unwrap()).unwrap()).unwrap()
    }

    #[tokio::test]
    async fn signs_an_assertion() {
        let answer = json!({ "access_token": "canary", "token_type": "Bearer", "expires_in": 43199 });
        let server = Server::start(move |_, _| testing::json(200, &answer)).await;
        let key = json!({ "type": "serviceaccount", "keyId": "k1", "key": KEY, "userId": "u1" }).to_string();
        let token = cache(&server, &ZitadelCredentials::KeyJson(key.into())).unwrap().get().await.unwrap();
        assert_eq!(token.secret.expose_secret(), "canary");
        assert_eq!(token.expires_in, Some(Duration::from_secs(43199)));
        let request = &server.seen()[0];
        assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", "/oauth/v2/token"));
        let form: std::collections::HashMap<_, _> =
            url::form_urlencoded::parse(request.body.as_bytes()).into_owned().collect();
        assert_eq!(form["grant_type"], "urn:ietf:params:oauth:grant-type:jwt-bearer");
        assert_eq!(form["scope"], SCOPE);
        let jwt = &form["assertion"];
        assert_eq!((&part(jwt, 0)["kid"], &part(jwt, 0)["alg"]), (&json!("k1"), &json!("RS256")));
        let claims = part(jwt, 1);
        assert_eq!((&claims["iss"], &claims["sub"]), (&json!("u1"), &json!("u1")));
        assert_eq!(claims["aud"], server.url.as_str().trim_end_matches('/'));
        assert!(claims["iat"].as_i64().unwrap() <= Timestamp::now().as_second());
    }

    #[tokio::test]
    async fn client_credentials_and_a_refusal() {
        let server = Server::start(|_, _| {
            testing::json(400, &json!({ "error": "invalid_request", "error_description": "Errors.X" }))
        })
        .await;
        let credentials = ZitadelCredentials::Client { client_id: "id".into(), client_secret: "canary+/=\n".into() };
        let error = cache(&server, &credentials).unwrap().get().await.unwrap_err();
        assert_eq!(error.kind(), Kind::Check);
        assert!(error.render().contains("HTTP 400, invalid_request: Errors.X"), "{error:?}");
        assert!(!error.render().contains("canary"));
        assert!(server.seen()[0].body.contains("client_id=id&client_secret=canary%2B%2F%3D&scope=openid+urn"));
    }

    #[tokio::test]
    async fn a_broken_key_is_not_quoted() {
        let server = Server::start(|_, _| Vec::new()).await;
        for key in ["canary", r#"{"keyId":"canary"}"#, r#"{"keyId":"k","userId":"u","key":"canary"}"#, r#"{"key":7}"#] {
            let error = cache(&server, &ZitadelCredentials::KeyJson(key.into())).unwrap_err();
            assert_eq!(error.kind(), Kind::Usage);
            assert!(!error.render().contains("canary"), "{error:?}");
        }
        let token = cache(&server, &ZitadelCredentials::Token(" pat\n".into())).unwrap().get().await.unwrap();
        assert_eq!(token.secret.expose_secret(), "pat");
    }
}
