//! What went wrong with one attempt, whether another may help, and when.

use std::time::Duration;

use http::StatusCode;

use super::{ObjectError, ObjectName};

/// The first pause lasts at most this long; each later one twice as long at most.
const PAUSE_FIRST: Duration = Duration::from_millis(100);
/// No pause is longer, whatever the server says.
const PAUSE_MAX: Duration = Duration::from_secs(20);
/// So much of what a server says goes into our words.
const MESSAGE_CHARACTERS: usize = 200;

/// Why an attempt failed.
#[derive(Debug)]
pub(super) enum Trouble {
    /// There is no such object.
    Missing,
    /// It may work later: no connection, no answer in time, the server is busy or broken.
    Passing {
        why: String,
        /// As the server wants it.
        pause: Option<Duration>,
    },
    /// The store is full.
    Full(String),
    /// The server refuses, and will again.
    Refused { code: String, why: String },
}

impl Trouble {
    pub(super) fn passing(why: impl Into<String>) -> Self {
        Self::Passing {
            why: why.into(),
            pause: None,
        }
    }

    pub(super) fn refused(why: impl Into<String>) -> Self {
        Self::Refused {
            code: String::new(),
            why: why.into(),
        }
    }

    /// Of an answer that is no success. `code` and `message` as its body has them.
    pub(super) fn of_answer(status: StatusCode, code: &str, message: &str, pause: Option<Duration>) -> Self {
        let said = match (code, printable(message)) {
            ("", _) => format!("it answered {status}"),
            (code, message) if message.is_empty() => format!("it answered {status} {code}"),
            (code, message) => format!("it answered {status} {code} ({message})"),
        };
        let is_busy = matches!(
            code,
            "SlowDown"
                | "Throttling"
                | "ThrottlingException"
                | "RequestLimitExceeded"
                | "TooManyRequestsException"
                | "RequestTimeout"
                | "InternalError"
                | "ServiceUnavailable"
                | "OperationAborted"
                // What came was not what we sent: the way damaged it.
                | "BadDigest"
                | "IncompleteBody"
                | "XAmzContentChecksumMismatch"
        );
        if matches!(
            code,
            "QuotaExceeded" | "XMinioStorageFull" | "InsufficientStorage" | "TooManyBytes"
        ) || status == StatusCode::INSUFFICIENT_STORAGE
        {
            return Self::Full(said);
        }
        if is_busy
            || status == StatusCode::TOO_MANY_REQUESTS
            || status == StatusCode::REQUEST_TIMEOUT
            || (status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED)
        {
            return Self::Passing { why: said, pause };
        }
        if code == "NoSuchKey" || (status == StatusCode::NOT_FOUND && matches!(code, "" | "NotFound")) {
            return Self::Missing;
        }
        let why = match advice(status, code) {
            Some(advice) => format!("{said}: {advice}"),
            None => said,
        };
        Self::Refused {
            code: code.to_owned(),
            why,
        }
    }

    pub(super) fn into_error(self, name: &ObjectName) -> ObjectError {
        match self {
            Self::Missing => ObjectError::Missing(name.clone()),
            Self::Passing { why, .. } | Self::Refused { why, .. } => ObjectError::Remote(why),
            Self::Full(why) => ObjectError::Full(why),
        }
    }

    pub(super) fn why(&self) -> String {
        match self {
            Self::Missing => "there is no such thing".to_owned(),
            Self::Passing { why, .. } | Self::Refused { why, .. } | Self::Full(why) => why.clone(),
        }
    }

    /// The pause before attempt `next` (2 is the second): any length up to a bound that doubles, so that many who failed at
    /// the same time do not come back at the same time. `None` where another attempt cannot help.
    pub(super) fn pause(&self, next: u32) -> Option<Duration> {
        let Self::Passing { pause, .. } = self else { return None };
        let bound = PAUSE_FIRST
            .saturating_mul(1 << next.saturating_sub(2).min(16))
            .min(PAUSE_MAX);
        let jitter = bound.mul_f64(fastrand::f64());
        Some(pause.map_or(jitter, |wanted| wanted.min(PAUSE_MAX) + jitter))
    }
}

/// What a person can do about a refusal.
fn advice(status: StatusCode, code: &str) -> Option<&'static str> {
    Some(match code {
        "NoSuchBucket" => "make the bucket, or correct objects.s3.bucket",
        "InvalidAccessKeyId" | "SignatureDoesNotMatch" | "InvalidToken" | "ExpiredToken" => {
            "the credentials are not right; see objects.s3.credentials"
        }
        "AccessDenied" | "AllAccessDisabled" => {
            "the credentials do not allow it; they need to get, put, list and delete objects of the bucket"
        }
        "RequestTimeTooSkewed" | "RequestExpired" => {
            "the clocks of this machine and of the store differ too much; set them right"
        }
        "PermanentRedirect"
        | "AuthorizationHeaderMalformed"
        | "IllegalLocationConstraintException"
        | "TemporaryRedirect" => "the bucket is elsewhere; correct objects.s3.region or objects.s3.endpoint",
        "InvalidObjectState" => "the object was moved to a storage class that must be restored before it is read",
        _ if status.is_redirection() => "redirects are not followed; correct objects.s3.region or objects.s3.endpoint",
        _ if status == StatusCode::FORBIDDEN => {
            "the credentials are not right or do not allow it; see objects.s3.credentials"
        }
        _ => return None,
    })
}

fn printable(message: &str) -> String {
    let clean = message.chars().filter(|c| !c.is_control());
    clean.take(MESSAGE_CHARACTERS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(status: u16, code: &str, expected: &str) {
        let trouble = Trouble::of_answer(StatusCode::from_u16(status).unwrap(), code, "", None);
        let kind = match &trouble {
            Trouble::Missing => "missing",
            Trouble::Passing { .. } => "passing",
            Trouble::Full(_) => "full",
            Trouble::Refused { .. } => "refused",
        };
        assert_eq!(kind, expected, "{status} {code}");
        assert_eq!(trouble.pause(2).is_some(), expected == "passing");
    }

    #[test]
    fn only_what_may_pass_is_tried_again() {
        for (status, code, expected) in [
            (503, "SlowDown", "passing"),
            (400, "SlowDown", "passing"),
            (429, "", "passing"),
            (408, "", "passing"),
            (400, "RequestTimeout", "passing"),
            (500, "InternalError", "passing"),
            (502, "", "passing"),
            (400, "BadDigest", "passing"),
            (200, "InternalError", "passing"),
            (404, "NoSuchKey", "missing"),
            (404, "", "missing"),
            (404, "NoSuchBucket", "refused"),
            (404, "NoSuchUpload", "refused"),
            (403, "AccessDenied", "refused"),
            (301, "PermanentRedirect", "refused"),
            (307, "", "refused"),
            (501, "NotImplemented", "refused"),
            (507, "", "full"),
            (403, "QuotaExceeded", "full"),
        ] {
            check(status, code, expected);
        }
    }

    #[test]
    fn pauses_grow_and_stay_bounded() {
        for next in 2..80 {
            let pause = Trouble::passing("").pause(next).unwrap();
            assert!(pause <= PAUSE_MAX && pause <= PAUSE_FIRST * 2_u32.saturating_pow(next - 2));
        }
        let busy = Trouble::Passing {
            why: String::new(),
            pause: Some(Duration::from_secs(3)),
        };
        assert!(busy.pause(2).unwrap() >= Duration::from_secs(3));
        let forever = Trouble::Passing {
            why: String::new(),
            pause: Some(Duration::MAX),
        };
        assert!(forever.pause(2).unwrap() <= 2 * PAUSE_MAX);
    }
}
