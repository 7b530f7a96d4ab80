//! What a bucket keeps beside what is seen: earlier versions, those of objects that were deleted, uploads that were cut short.

use http::Method;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::{
    ObjectError, S3Objects,
    client::{Answer, Request},
    retry::Trouble,
    xml,
};
use crate::objects::Kept;

/// Versions or uploads of one page of a list.
const PAGE: &str = if cfg!(test) { "10" } else { "1000" };
/// Codes of servers that have no such thing.
const UNKNOWN: [&str; 3] = ["NotImplemented", "MethodNotAllowed", "XNotImplemented"];
/// What is refused is counted to the end, and named up to this many.
const KEPT_MAX: usize = 1000;

/// One version of an object, or the marker that it was deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Version {
    key: String,
    id: String,
    is_latest: bool,
    is_marker: bool,
}

impl S3Objects {
    /// Removes what cannot be seen of the objects whose names begin with `prefix`.
    pub(super) async fn purge_hidden(&self, prefix: &str) -> Result<Vec<Kept>, ObjectError> {
        let prefix = format!("{}{prefix}", self.prefix);
        self.abort_uploads(&prefix).await?;
        if !self.has_versions().await? {
            return Ok(Vec::new());
        }
        let versions = self.versions(&prefix).await?;
        let mut kept: Vec<Kept> = Vec::new();
        for of_key in versions.chunk_by(|a, b| a.key == b.key) {
            let refused = self.purge_key(of_key).await?;
            kept.extend(refused.into_iter().take(KEPT_MAX.saturating_sub(kept.len())));
        }
        Ok(kept)
    }

    /// All versions of one key but the one that is seen; the marker of a deletion last, so that a list shows nothing meanwhile.
    async fn purge_key(&self, versions: &[Version]) -> Result<Vec<Kept>, ObjectError> {
        let mut kept = Vec::new();
        let (markers, hidden): (Vec<&Version>, Vec<&Version>) = versions
            .iter()
            .filter(|version| version.is_marker || !version.is_latest)
            .partition(|version| version.is_marker && version.is_latest);
        for version in hidden {
            if let Some(refusal) = self.delete_version(version).await? {
                kept.push(refusal);
            }
        }
        if kept.is_empty() {
            for marker in markers {
                kept.extend(self.delete_version(marker).await?);
            }
        }
        Ok(kept)
    }

    async fn delete_version(&self, version: &Version) -> Result<Option<Kept>, ObjectError> {
        let request = Request::new(Method::DELETE, version.key.clone()).query("versionId", &version.id);
        match self.retry("deleting a version", || self.client.send(&request)).await {
            Ok(_) | Err(Trouble::Missing) => Ok(None),
            Err(Trouble::Refused { why, .. }) => {
                let until = self.locked_until(version).await;
                Ok(Some(Kept {
                    place: format!("{} (version {})", version.key, version.id),
                    reason: why,
                    until,
                }))
            }
            Err(trouble) => Err(ObjectError::Remote(trouble.why())),
        }
    }

    /// The end of the retention of a version, where the server tells.
    async fn locked_until(&self, version: &Version) -> Option<OffsetDateTime> {
        let request = Request::new(Method::HEAD, version.key.clone()).query("versionId", &version.id);
        let answer = self.client.send(&request).await.ok()?;
        OffsetDateTime::parse(answer.header("x-amz-object-lock-retain-until-date")?, &Rfc3339).ok()
    }

    async fn has_versions(&self) -> Result<bool, ObjectError> {
        let request = Request::new(Method::GET, String::new()).query("versioning", "");
        let answer = self.ask_bucket(&request).await?;
        // Suspended: what was kept before is there still.
        Ok(answer.is_some_and(|answer| xml::text_of(&answer.body, "Status").is_some()))
    }

    /// All versions of all keys, those of a key together.
    async fn versions(&self, prefix: &str) -> Result<Vec<Version>, ObjectError> {
        let mut found: Vec<Version> = Vec::new();
        let mut after: Option<(String, String)> = None;
        loop {
            let mut request = Request::new(Method::GET, String::new())
                .query("versions", "")
                .query("prefix", prefix)
                .query("max-keys", PAGE);
            if let Some((key, id)) = &after {
                request = request.query("key-marker", key).query("version-id-marker", id);
            }
            let Some(answer) = self.ask_bucket(&request).await? else {
                return Ok(found);
            };
            let items = xml::items_of(&answer.body, &["Version", "DeleteMarker"]).ok_or_else(unreadable)?;
            for item in items {
                found.push(Version {
                    is_marker: item.name == "DeleteMarker",
                    is_latest: item.text("IsLatest") == "true",
                    key: item.text("Key").to_owned(),
                    id: item.text("VersionId").to_owned(),
                });
            }
            let next =
                xml::text_of(&answer.body, "NextKeyMarker").zip(xml::text_of(&answer.body, "NextVersionIdMarker"));
            match next.filter(|_| is_truncated(&answer)) {
                Some(next) if after.as_ref() != Some(&next) => after = Some(next),
                _ => break,
            }
        }
        // Some servers list versions and markers apart.
        found.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(found)
    }

    /// Ends uploads that nobody will complete: those of this process are under names that nobody destroys meanwhile.
    async fn abort_uploads(&self, prefix: &str) -> Result<(), ObjectError> {
        let mut after: Option<(String, String)> = None;
        loop {
            let mut request = Request::new(Method::GET, String::new())
                .query("uploads", "")
                .query("prefix", prefix)
                .query("max-uploads", PAGE);
            if let Some((key, id)) = &after {
                request = request.query("key-marker", key).query("upload-id-marker", id);
            }
            let Some(answer) = self.ask_bucket(&request).await? else {
                return Ok(());
            };
            for item in xml::items_of(&answer.body, &["Upload"]).ok_or_else(unreadable)? {
                let (key, upload) = (item.text("Key"), item.text("UploadId"));
                // Not every server minds the prefix.
                if !key.starts_with(prefix) {
                    continue;
                }
                match self
                    .retry("aborting an upload", || self.client.abort(key, upload))
                    .await
                {
                    Ok(()) | Err(Trouble::Missing) => {}
                    Err(Trouble::Refused { code, .. }) if code == "NoSuchUpload" => {}
                    Err(trouble) => return Err(ObjectError::Remote(trouble.why())),
                }
            }
            let next =
                xml::text_of(&answer.body, "NextKeyMarker").zip(xml::text_of(&answer.body, "NextUploadIdMarker"));
            match next.filter(|_| is_truncated(&answer)) {
                Some(next) if after.as_ref() != Some(&next) => after = Some(next),
                _ => return Ok(()),
            }
        }
    }

    /// A question about the bucket; `None` where the server has no such thing.
    async fn ask_bucket(&self, request: &Request) -> Result<Option<Answer>, ObjectError> {
        match self
            .retry("asking about the bucket", || self.client.send(request))
            .await
        {
            Ok(answer) => Ok(Some(answer)),
            Err(Trouble::Refused { code, .. }) if UNKNOWN.contains(&code.as_str()) => Ok(None),
            Err(trouble) => Err(ObjectError::Remote(format!(
                "what the bucket keeps beside what is seen cannot be looked at: {}",
                trouble.why()
            ))),
        }
    }
}

fn is_truncated(answer: &Answer) -> bool {
    xml::text_of(&answer.body, "IsTruncated").is_some_and(|text| text == "true")
}

fn unreadable() -> ObjectError {
    ObjectError::Remote("its list of versions cannot be read".to_owned())
}
