//! The cookie of a session (RFC 6265bis), and what tells a page of ours from another.

use axum::http::{HeaderMap, HeaderValue, header};

/// The prefix has browsers refuse it from anywhere but this host over TLS.
const SECURE_NAME: &str = "__Host-filmroom";
const NAME: &str = "filmroom";

const fn name(is_secure: bool) -> &'static str {
    if is_secure { SECURE_NAME } else { NAME }
}

const fn attributes(is_secure: bool) -> &'static str {
    if is_secure {
        "Path=/; HttpOnly; SameSite=Strict; Secure"
    } else {
        "Path=/; HttpOnly; SameSite=Strict"
    }
}

pub(crate) fn set(key: &str, is_secure: bool) -> Option<HeaderValue> {
    format!("{}={key}; {}", name(is_secure), attributes(is_secure))
        .parse()
        .ok()
}

pub(crate) fn clear(is_secure: bool) -> HeaderValue {
    if is_secure {
        HeaderValue::from_static("__Host-filmroom=; Path=/; HttpOnly; SameSite=Strict; Secure; Max-Age=0")
    } else {
        HeaderValue::from_static("filmroom=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0")
    }
}

pub(crate) fn read(headers: &HeaderMap, is_secure: bool) -> Option<String> {
    let pairs = headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok());
    let mut pairs = pairs.flat_map(|value| value.split(';')).map(str::trim);
    let found = pairs.find_map(|pair| pair.strip_prefix(name(is_secure))?.strip_prefix('='))?;
    Some(found.to_owned())
}

/// True when a page of this host sent the request: browsers say so in `Sec-Fetch-Site`, older ones in `Origin`.
#[must_use]
pub fn is_own_page(headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(site) = text("sec-fetch-site") {
        return site == "same-origin";
    }
    let origin = text("origin").and_then(|origin| origin.split_once("://"));
    origin.is_some_and(|(_, host)| text("host") == Some(host))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(all: &[(&'static str, &str)]) -> HeaderMap {
        let pairs = all
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
        pairs.collect()
    }

    #[test]
    fn the_key_comes_back() {
        let set = set("k_1-Z", true).unwrap();
        assert!(set.to_str().unwrap().starts_with("__Host-filmroom=k_1-Z; "));
        let sent = headers(&[("cookie", "a=b; __Host-filmroom=k_1-Z; filmroom=other")]);
        assert_eq!(read(&sent, true).as_deref(), Some("k_1-Z"));
        assert_eq!(read(&sent, false).as_deref(), Some("other"));
        assert_eq!(read(&headers(&[("cookie", "filmroomish=1")]), false), None);
    }

    #[test]
    fn pages_of_elsewhere_are_told_apart() {
        let host = ("host", "pacs.example:8443");
        assert!(is_own_page(&headers(&[host, ("sec-fetch-site", "same-origin")])));
        assert!(!is_own_page(&headers(&[host, ("sec-fetch-site", "same-site")])));
        assert!(!is_own_page(&headers(&[
            host,
            ("sec-fetch-site", "cross-site"),
            ("origin", "https://pacs.example:8443")
        ])));
        assert!(is_own_page(&headers(&[host, ("origin", "https://pacs.example:8443")])));
        assert!(!is_own_page(&headers(&[host, ("origin", "https://evil.example")])));
        assert!(!is_own_page(&headers(&[host, ("origin", "null")])));
        assert!(!is_own_page(&headers(&[host])));
    }
}
