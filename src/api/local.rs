//! Who is answered where nobody is asked who they are.

use std::net::{IpAddr, SocketAddr};

use axum::{
    extract::{ConnectInfo, Request},
    http::{HeaderMap, Method, StatusCode, header},
    middleware::Next,
    response::Response,
};

use super::problem::problem;
use filmroom_access::KnownBy;
use filmroom_admission::Caller;

/// Lets requests of this machine through: those that came from a loopback address, were meant for one, and were not passed
/// on by a proxy for somebody else. A browser here may show pages of anywhere: those are not answered at all.
/// Who is asked is answered from everywhere, as the routes decide.
pub(super) async fn only(request: Request, next: Next) -> Response {
    let caller = request.extensions().get::<Caller>();
    let is_asked = caller.is_some_and(|caller| match &caller.0 {
        Ok(Some(principal)) => principal.known_by != KnownBy::Nothing,
        Ok(None) | Err(_) => true,
    });
    if is_asked {
        return next.run(request).await;
    }
    let from = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|info| info.0);
    // HTTP/2 names the host in the URI.
    if request
        .uri()
        .authority()
        .is_some_and(|authority| !is_loopback_host(authority.as_str()))
    {
        return problem(StatusCode::FORBIDDEN, "the host is none of this machine's own names");
    }
    match refuse(from, request.method(), request.headers()) {
        None => next.run(request).await,
        Some(why) => problem(StatusCode::FORBIDDEN, why),
    }
}

fn refuse(from: Option<SocketAddr>, method: &Method, headers: &HeaderMap) -> Option<&'static str> {
    let is_local = from.is_some_and(|from| from.ip().to_canonical().is_loopback());
    let passed_on = [
        header::FORWARDED.as_str(),
        "x-forwarded-for",
        "x-forwarded-host",
        "x-real-ip",
    ]
    .iter()
    .any(|name| headers.contains_key(*name));
    if !is_local || passed_on {
        return Some("nobody is authenticated here: only programs on the archive's own machine are answered");
    }
    // A name of elsewhere that was made to point here belongs to a page of elsewhere.
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let hosts = headers.get_all(header::HOST).iter();
    let mut foreign = hosts.filter(|host| !host.to_str().is_ok_and(is_loopback_host));
    if foreign.next().is_some() {
        return Some("the host is none of this machine's own names: use 127.0.0.1, [::1] or localhost");
    }
    let origin = headers
        .get(header::ORIGIN)
        .map(|origin| origin.to_str().unwrap_or_default());
    let is_own = |origin: &str| host.is_some_and(|host| origin.strip_prefix("http://") == Some(host));
    if origin.is_some_and(|origin| !is_own(origin)) {
        return Some("pages of other origins are not answered");
    }
    // What a browser asks for without an Origin (a link, a picture, a script) it says here (Fetch Metadata).
    let site = headers.get("sec-fetch-site").map(|site| site.as_bytes());
    if site.is_some_and(|site| !matches!(site, b"same-origin" | b"none")) {
        return Some("pages of other sites are not answered");
    }
    // Old browsers say neither for a form; nothing here is changed by one. Other methods than these no form has.
    let kind = headers.get(header::CONTENT_TYPE).map(|kind| kind.as_bytes());
    let by_form = kind.is_some_and(|kind| {
        [&b"application/x-www-form-urlencoded"[..], b"multipart/", b"text/plain"]
            .iter()
            .any(|form| kind.to_ascii_lowercase().starts_with(form))
    });
    (*method == Method::POST && by_form).then_some("a form cannot change anything here: send JSON")
}

fn is_loopback_host(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let address = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    name.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(from: &str, method: Method, headers: &[(&'static str, &'static str)], answered: bool) {
        let headers = headers
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect();
        assert_eq!(refuse(from.parse().ok(), &method, &headers).is_none(), answered);
    }

    #[test]
    fn answers_this_machine_alone() {
        let own = ("host", "127.0.0.1:8080");
        check("127.0.0.1:5000", Method::PUT, &[own], true);
        check("[::1]:5000", Method::PUT, &[("host", "[::1]:8080")], true);
        check("[::ffff:127.0.0.1]:5000", Method::GET, &[("host", "localhost")], true);
        check("10.0.0.9:5000", Method::GET, &[own], false);
        check("nobody", Method::GET, &[own], false);
        check(
            "127.0.0.1:5000",
            Method::GET,
            &[own, ("x-forwarded-for", "10.0.0.9")],
            false,
        );
        check(
            "127.0.0.1:5000",
            Method::GET,
            &[own, ("forwarded", "for=10.0.0.9")],
            false,
        );
        check("127.0.0.1:5000", Method::GET, &[("host", "evil.example:8080")], false);
        check(
            "127.0.0.1:5000",
            Method::PUT,
            &[own, ("origin", "http://evil.example")],
            false,
        );
        check("127.0.0.1:5000", Method::PUT, &[own, ("origin", "null")], false);
        check(
            "127.0.0.1:5000",
            Method::PUT,
            &[own, ("origin", "http://127.0.0.1:8080")],
            true,
        );
        check(
            "127.0.0.1:5000",
            Method::GET,
            &[own, ("origin", "http://evil.example")],
            false,
        );
    }

    #[test]
    fn pages_of_elsewhere_are_not_answered() {
        let own = ("host", "127.0.0.1:8080");
        let from = "127.0.0.1:5000";
        for site in ["cross-site", "same-site"] {
            check(from, Method::GET, &[own, ("sec-fetch-site", site)], false);
            check(from, Method::DELETE, &[own, ("sec-fetch-site", site)], false);
        }
        for site in ["same-origin", "none"] {
            check(from, Method::GET, &[own, ("sec-fetch-site", site)], true);
        }
        // A name that was made to point here (DNS rebinding), and names that only look like ours.
        for host in [
            "rebound.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "[::1].evil.example",
            "0.0.0.0:8080",
            "",
        ] {
            check(from, Method::GET, &[("host", host)], false);
        }
        check(from, Method::GET, &[own, ("host", "evil.example")], false);
        for form in [
            "text/plain",
            "TEXT/PLAIN; charset=utf-8",
            "multipart/form-data; boundary=x",
            "application/x-www-form-urlencoded",
        ] {
            check(from, Method::POST, &[own, ("content-type", form)], false);
        }
        check(from, Method::POST, &[own, ("content-type", "application/json")], true);
        // What curl says of itself.
        check(
            from,
            Method::PUT,
            &[own, ("content-type", "application/x-www-form-urlencoded")],
            true,
        );
    }
}
