//! What a request shows of its sender (RFC 7617, RFC 6750).

use axum::http::{HeaderMap, header};
use base64::{Engine, engine::general_purpose::STANDARD};

use filmroom_access::Passcode;

use super::Refusal;

/// Longest header that is looked at, in bytes.
const LENGTH_MAX: usize = 8192;

/// What stands in the `Authorization` header.
pub(crate) enum Credentials {
    /// A name and its passcode.
    Basic { name: String, passcode: Passcode },
    /// A token.
    Bearer(String),
}

impl Credentials {
    /// `None` when there is no such header.
    pub(crate) fn of(headers: &HeaderMap) -> Result<Option<Self>, Refusal> {
        let mut all = headers.get_all(header::AUTHORIZATION).iter();
        let Some(value) = all.next() else { return Ok(None) };
        let text = value.to_str().ok().filter(|text| text.len() <= LENGTH_MAX);
        let parts = text.and_then(|text| text.split_once(' '));
        let (Some((scheme, rest)), None) = (parts, all.next()) else {
            return Err(Refusal::NotUnderstood);
        };
        let rest = rest.trim();
        if scheme.eq_ignore_ascii_case("bearer") {
            return Ok(Some(Self::Bearer(rest.to_owned())));
        }
        if !scheme.eq_ignore_ascii_case("basic") {
            return Err(Refusal::NotUnderstood);
        }
        let bytes = STANDARD.decode(rest).map_err(|_| Refusal::NotUnderstood)?;
        let colon = bytes
            .iter()
            .position(|byte| *byte == b':')
            .ok_or(Refusal::NotUnderstood)?;
        let (name, passcode) = bytes.split_at(colon);
        let name = String::from_utf8(name.to_vec()).map_err(|_| Refusal::NotUnderstood)?;
        let passcode = passcode.get(1..).unwrap_or_default().to_vec().into();
        Ok(Some(Self::Basic { name, passcode }))
    }
}
