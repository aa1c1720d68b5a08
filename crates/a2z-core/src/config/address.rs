//! The vendors' addresses: whatever an operator copies from a browser or a dashboard becomes `https://HOST/`.

use url::{Host, Url};

/// `tenant.eu.auth0.com`, `https://login.example.com/some/path` -> `https://HOST[:PORT]/`.
pub(super) fn normalise(text: &str, example: &str) -> Result<Url, String> {
    let text = text.trim();
    // A password in the address must not be shown, so neither is the address.
    if text.contains('@') {
        return Err(format!("expected a host such as \"{example}\", without user name or password"));
    }
    let wanted = || format!("expected a host such as \"{example}\", got \"{text}\"");
    let url = if text.contains("://") { Url::parse(text) } else { Url::parse(&format!("https://{text}")) };
    let mut url = url.map_err(|_| wanted())?;
    let loopback = is_loopback(&url);
    match url.scheme() {
        "https" => {}
        "http" if loopback => {}
        "http" => {
            let host = url.host_str().unwrap_or_default();
            return Err(format!("plain http would send tokens and hashes in the clear; use \"https://{host}\""));
        }
        _ => return Err(wanted()),
    }
    let dotted = url.host_str().is_some_and(|host| host.trim_end_matches('.').contains('.'));
    if !dotted && !loopback {
        return Err(wanted());
    }
    url.set_path("/");
    url.set_query(None);
    url.set_fragment(None);
    Ok(url)
}

/// Does the address stay on this machine?
fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ok(text: &str) -> String {
        normalise(text, "tenant.eu.auth0.com").unwrap().to_string()
    }

    #[test]
    fn what_people_paste() {
        for text in [
            "tenant.eu.auth0.com",
            " tenant.eu.auth0.com/ ",
            "https://tenant.eu.auth0.com",
            "https://TENANT.eu.auth0.com/api/v2/?a=b#c",
        ] {
            assert_eq!(ok(text), "https://tenant.eu.auth0.com/", "{text}");
        }
        assert_eq!(ok("login.example.com:8443"), "https://login.example.com:8443/");
        assert_eq!(ok("http://127.0.0.1:4010/x"), "http://127.0.0.1:4010/");
        assert_eq!(ok("http://localhost:8080"), "http://localhost:8080/");
        assert_eq!(ok("http://[::1]:8080"), "http://[::1]:8080/");
    }

    #[test]
    fn what_is_refused() {
        for text in ["", "tenant", "https://", "ftp://a.example.com", "http://a b.example.com", "http://10.0.0.1"] {
            assert!(normalise(text, "tenant.eu.auth0.com").is_err(), "{text}");
        }
        let error = normalise("http://tenant.eu.auth0.com", "x").unwrap_err();
        assert!(error.contains("plain http") && error.contains("https://tenant.eu.auth0.com"), "{error}");
        let error = normalise("https://me:hunter2@a.example.com", "x").unwrap_err();
        assert!(!error.contains("hunter2"), "{error}");
    }
}
