//! Object Lock: retention and legal hold of single objects. The bucket must have been made with Object Lock.

use async_trait::async_trait;
use http::Method;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::{ObjectError, ObjectName, S3Objects, client::Request};

/// Who may shorten a retention.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LockMode {
    /// Those with a privilege of their own.
    Governance,
    /// Nobody, the owner of the bucket included, until it is over.
    Compliance,
}

impl LockMode {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Governance => "GOVERNANCE",
            Self::Compliance => "COMPLIANCE",
        }
    }
}

/// Until when an object must stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Who may shorten it.
    pub mode: LockMode,
    /// Until then, in whole seconds.
    pub until: OffsetDateTime,
}

/// Whether an object is held whatever its retention says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LegalHold {
    /// It is held.
    On,
    /// It is not.
    Off,
}

/// Stores that can keep single objects from being destroyed, by themselves and against everybody.
#[async_trait]
pub trait ObjectLocks: Send + Sync {
    /// Lets an object's current version stay until then. A longer one of the same mode is always taken; a shorter one, or one of
    /// another mode, only where the mode and our privileges allow it.
    ///
    /// # Errors
    /// [`ObjectError::Missing`], [`ObjectError::Remote`] where the bucket has no Object Lock, or refuses.
    async fn set_retention(&self, name: &ObjectName, retention: Retention) -> Result<(), ObjectError>;

    /// Until when an object's current version stays; `None` where nothing was said.
    ///
    /// # Errors
    /// As [`ObjectLocks::set_retention`].
    async fn retention(&self, name: &ObjectName) -> Result<Option<Retention>, ObjectError>;

    /// Holds an object's current version, or lets it go.
    ///
    /// # Errors
    /// As [`ObjectLocks::set_retention`].
    async fn set_legal_hold(&self, name: &ObjectName, hold: LegalHold) -> Result<(), ObjectError>;

    /// Whether an object's current version is held.
    ///
    /// # Errors
    /// As [`ObjectLocks::set_retention`].
    async fn legal_hold(&self, name: &ObjectName) -> Result<LegalHold, ObjectError>;
}

#[async_trait]
impl ObjectLocks for S3Objects {
    async fn set_retention(&self, name: &ObjectName, retention: Retention) -> Result<(), ObjectError> {
        let body = format!(
            "<Retention xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Mode>{}</Mode>\
             <RetainUntilDate>{}</RetainUntilDate></Retention>",
            retention.mode.as_str(),
            date(retention.until)?
        );
        self.put_lock(name, "retention", body).await
    }

    async fn retention(&self, name: &ObjectName) -> Result<Option<Retention>, ObjectError> {
        let answer = self.head_of(name).await?;
        let mode = match answer.header("x-amz-object-lock-mode") {
            Some("GOVERNANCE") => LockMode::Governance,
            Some("COMPLIANCE") => LockMode::Compliance,
            _ => return Ok(None),
        };
        let until = answer.header("x-amz-object-lock-retain-until-date").unwrap_or_default();
        let until = OffsetDateTime::parse(until, &Rfc3339)
            .map_err(|_| ObjectError::Remote(format!("the retention of {name} ends at {until:?}, which is no date")))?;
        Ok(Some(Retention { mode, until }))
    }

    async fn set_legal_hold(&self, name: &ObjectName, hold: LegalHold) -> Result<(), ObjectError> {
        let status = match hold {
            LegalHold::On => "ON",
            LegalHold::Off => "OFF",
        };
        let body = format!(
            "<LegalHold xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Status>{status}</Status></LegalHold>"
        );
        self.put_lock(name, "legal-hold", body).await
    }

    async fn legal_hold(&self, name: &ObjectName) -> Result<LegalHold, ObjectError> {
        let answer = self.head_of(name).await?;
        Ok(match answer.header("x-amz-object-lock-legal-hold") {
            Some("ON") => LegalHold::On,
            _ => LegalHold::Off,
        })
    }
}

impl S3Objects {
    async fn put_lock(&self, name: &ObjectName, what: &'static str, body: String) -> Result<(), ObjectError> {
        let request = Request::new(Method::PUT, self.key(name))
            .query(what, "")
            .body(super::put::Payload::new(body.into()));
        self.call(name, &request).await.map(drop)
    }
}

/// As S3 wants dates: whole seconds, UTC.
pub(super) fn date(until: OffsetDateTime) -> Result<String, ObjectError> {
    let whole = until.to_offset(time::UtcOffset::UTC).replace_nanosecond(0);
    whole
        .ok()
        .and_then(|until| until.format(&Rfc3339).ok())
        .ok_or_else(|| ObjectError::Remote("the date of a retention cannot be written".into()))
}
