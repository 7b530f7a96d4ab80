//! Where the client sees this service: the root of every URL in an answer, also behind a proxy.

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, Uri, header, request::Parts},
};

use super::{DicomwebState, error::Problem};

/// The absolute URL of the service without a slash at its end: `https://pacs.example/dicom-web`.
///
/// Taken from the configuration where it is set, else from `Forwarded` (RFC 7239), `X-Forwarded-Proto`,
/// `X-Forwarded-Host`, `X-Forwarded-Port` and `X-Forwarded-Prefix`, else from `Host`. What no host name may hold is not
/// believed. Holds only characters that are plain in JSON, XML and header fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseUrl {
    url: String,
    /// Where the path begins in `url`, when the part before it is not certain.
    path_from: Option<usize>,
}

impl BaseUrl {
    /// The URL.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.url
    }

    /// The start of references to be followed by who made the request: the URL, or its path alone when the request names
    /// a host without a port and no proxy says where it stands. Some clients leave the port out of `Host` wherever they
    /// are connected to; a reference that begins with the path leads them back the way they came.
    #[must_use]
    pub fn for_references(&self) -> &str {
        self.path_from
            .and_then(|from| self.url.get(from..))
            .unwrap_or(&self.url)
    }

    fn of_configuration(url: &str) -> Self {
        Self {
            url: url.trim_end_matches('/').to_owned(),
            path_from: None,
        }
    }

    fn of_request(headers: &HeaderMap, uri: &Uri, scheme: &str, base_path: &str) -> Self {
        let forwarded = text(headers, "forwarded").unwrap_or_default();
        let scheme = directive(forwarded, "proto")
            .or_else(|| first(text(headers, "x-forwarded-proto")))
            .filter(|scheme| matches!(*scheme, "http" | "https"))
            .unwrap_or(scheme);
        let host = directive(forwarded, "host")
            .filter(|host| is_authority(host))
            .map(str::to_owned)
            .or_else(|| forwarded_host(headers))
            .or_else(|| {
                text(headers, header::HOST.as_str())
                    .filter(|host| is_authority(host))
                    .map(str::to_owned)
            })
            .or_else(|| {
                uri.authority()
                    .map(|authority| authority.as_str().to_owned())
                    .filter(|host| is_authority(host))
            })
            .unwrap_or_else(|| "localhost".to_owned());
        let prefix = first(text(headers, "x-forwarded-prefix"))
            .map(|prefix| prefix.trim_end_matches('/'))
            .filter(|prefix| is_path(prefix))
            .unwrap_or_default();
        let is_forwarded = [
            "forwarded",
            "x-forwarded-host",
            "x-forwarded-proto",
            "x-forwarded-prefix",
        ]
        .iter()
        .any(|name| headers.contains_key(*name));
        let has_port = host.rsplit_once(':').is_some_and(|(_, port)| !port.ends_with(']'));
        Self {
            path_from: (!is_forwarded && !has_port).then(|| scheme.len() + "://".len() + host.len()),
            url: format!("{scheme}://{host}{prefix}{base_path}"),
        }
    }
}

impl FromRequestParts<DicomwebState> for BaseUrl {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &DicomwebState) -> Result<Self, Problem> {
        Ok(match &state.config.public_url {
            Some(url) => Self::of_configuration(url),
            None => Self::of_request(
                &parts.headers,
                &parts.uri,
                state.config.scheme,
                state.config.base_path(),
            ),
        })
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// The first of a list: what the outermost proxy saw.
fn first(list: Option<&str>) -> Option<&str> {
    list.and_then(|list| list.split(',').next())
        .map(str::trim)
        .filter(|value| !value.is_empty())
}

fn directive<'a>(forwarded: &'a str, name: &str) -> Option<&'a str> {
    first(Some(forwarded))?.split(';').find_map(|pair| {
        let (key, value) = pair.split_once('=')?;
        key.trim()
            .eq_ignore_ascii_case(name)
            .then(|| value.trim().trim_matches('"'))
    })
}

fn forwarded_host(headers: &HeaderMap) -> Option<String> {
    let host = first(text(headers, "x-forwarded-host")).filter(|host| is_authority(host))?;
    let port = first(text(headers, "x-forwarded-port"))
        .filter(|port| !port.is_empty() && port.len() <= 5 && port.bytes().all(|byte| byte.is_ascii_digit()));
    let has_port = host
        .rsplit_once(':')
        .is_some_and(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()));
    match port {
        Some(port) if !has_port && port != "80" && port != "443" => Some(format!("{host}:{port}")),
        _ => Some(host.to_owned()),
    }
}

fn is_authority(host: &str) -> bool {
    !host.is_empty()
        && host.len() <= 255
        && host
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b':' | b'[' | b']'))
}

fn is_path(path: &str) -> bool {
    path.starts_with('/')
        && !path.starts_with("//")
        && path.len() <= 255
        && path
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b'~' | b'/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(fields: &[(&'static str, &str)], expected: &str) {
        let headers = fields
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect();
        let url = BaseUrl::of_request(&headers, &"/dicom-web/studies".parse().unwrap(), "http", "/dicom-web");
        assert_eq!(url.as_str(), expected);
    }

    #[test]
    fn follows_host_and_proxies() {
        check(&[("host", "127.0.0.1:8080")], "http://127.0.0.1:8080/dicom-web");
        check(
            &[
                ("host", "inner"),
                ("x-forwarded-host", "pacs.example, mid"),
                ("x-forwarded-proto", "https"),
            ],
            "https://pacs.example/dicom-web",
        );
        check(
            &[
                ("host", "inner"),
                ("forwarded", "for=1.2.3.4;proto=https;host=\"pacs.example:8443\", for=x"),
            ],
            "https://pacs.example:8443/dicom-web",
        );
        check(
            &[
                ("host", "h"),
                ("x-forwarded-host", "pacs"),
                ("x-forwarded-port", "8042"),
                ("x-forwarded-prefix", "/film/"),
            ],
            "http://pacs:8042/film/dicom-web",
        );
        check(&[("host", "[::1]:8080")], "http://[::1]:8080/dicom-web");
    }

    #[test]
    fn references_begin_with_the_path_where_the_port_is_not_certain() {
        let references = |fields: &[(&'static str, &str)]| {
            let headers = fields
                .iter()
                .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
                .collect();
            let url = BaseUrl::of_request(&headers, &"/dicom-web/studies".parse().unwrap(), "http", "/dicom-web");
            url.for_references().to_owned()
        };
        assert_eq!(references(&[("host", "h:8080")]), "http://h:8080/dicom-web");
        assert_eq!(references(&[("host", "h")]), "/dicom-web");
        assert_eq!(references(&[("host", "[::1]")]), "/dicom-web");
        assert_eq!(
            references(&[("host", "h"), ("x-forwarded-proto", "https")]),
            "https://h/dicom-web"
        );
        assert_eq!(
            BaseUrl::of_configuration("https://p/d/").for_references(),
            "https://p/d"
        );
    }

    #[test]
    fn does_not_believe_what_is_no_host() {
        check(
            &[("host", "good"), ("x-forwarded-host", "evil\"<script>")],
            "http://good/dicom-web",
        );
        check(
            &[("host", "good"), ("x-forwarded-prefix", "//evil.example")],
            "http://good/dicom-web",
        );
        check(
            &[("host", "good"), ("x-forwarded-proto", "javascript")],
            "http://good/dicom-web",
        );
        check(&[], "http://localhost/dicom-web");
    }
}
