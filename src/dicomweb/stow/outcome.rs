//! What became of the instances of a request, and the answer that says so (PS3.18 §10.5.3, annex I).

use axum::{
    http::{HeaderValue, Response, StatusCode, header},
    response::IntoResponse,
};
use filmroom_storage::model::{Attributes, Header, StudyInstanceUid};

use super::instance::Named;
use crate::{
    base_url::BaseUrl,
    error::{KEPT_APART, Problem, failure_detail, failure_reason, store_status, warn},
    wado::resource::instance_url,
};
use filmroom_dataset::Builder;
use filmroom_ingest::{IngestError, Outcome, Receipt};

const REFERENCED_SOP_CLASS_UID: u32 = 0x0008_1150;
const REFERENCED_SOP_INSTANCE_UID: u32 = 0x0008_1155;
const RETRIEVE_URL: u32 = 0x0008_1190;
const WARNING_REASON: u32 = 0x0008_1196;
const FAILURE_REASON: u32 = 0x0008_1197;
const FAILED_SOP_SEQUENCE: u32 = 0x0008_1198;
const REFERENCED_SOP_SEQUENCE: u32 = 0x0008_1199;
const OTHER_FAILURES_SEQUENCE: u32 = 0x0008_119A;

/// How an answer is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ResponseForm {
    /// DICOM JSON, under this media type.
    Json(&'static str),
    /// Native DICOM Model, under this media type.
    Xml(&'static str),
}

/// An instance that is safe.
#[derive(Debug, Clone)]
struct Safe {
    receipt: Receipt,
    warning: Option<u16>,
}

/// An instance that is not stored.
#[derive(Debug, Clone)]
struct Lost {
    named: Named,
    reason: u16,
    /// What the sender may know of it.
    detail: String,
}

/// Reasons that an answer tells in words, beside the codes of all.
const TOLD_MAX: usize = 8;

/// What became of each.
#[derive(Debug, Default)]
pub(super) struct Outcomes {
    safe: Vec<Safe>,
    lost: Vec<Lost>,
    /// One was lost for another reason than want of room or time.
    lost_otherwise: bool,
    /// One was lost because the disk is full or fails.
    lost_for_room: bool,
}

impl Outcomes {
    pub(super) fn receipt(&mut self, receipt: &Receipt) {
        let warning = match receipt.outcome() {
            Outcome::Stored | Outcome::AlreadyStored => None,
            Outcome::Quarantined(reason) => {
                tracing::warn!(reason, sop_instance_uid = %receipt.sop_instance_uid(), "an instance is kept apart");
                Some(KEPT_APART)
            }
        };
        self.safe.push(Safe {
            receipt: receipt.clone(),
            warning,
        });
    }

    pub(super) fn failed(&mut self, named: &Named, error: &IngestError) {
        tracing::warn!(%error, sop_instance_uid = named.sop_instance_uid, "an instance was not stored");
        match error {
            IngestError::OutOfStorage(_) => self.lost_for_room = true,
            IngestError::OutOfResources(_) => {}
            _ => self.lost_otherwise = true,
        }
        self.lost.push(Lost {
            named: named.clone(),
            reason: failure_reason(error),
            detail: failure_detail(error),
        });
    }

    /// The body ended before its time: what was on its way is lost.
    pub(super) fn broke_off(&mut self) {
        let error = IngestError::Failed("the body broke off".to_owned());
        self.lost_otherwise = true;
        self.lost.push(Lost {
            named: Named::default(),
            reason: failure_reason(&error),
            detail: "the body broke off".to_owned(),
        });
    }

    pub(super) fn stored(&self) -> usize {
        self.safe.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.safe.is_empty() && self.lost.is_empty()
    }

    /// Why the request is to be refused as a whole: nothing was stored, for want of room or time and nothing else.
    pub(super) fn refusal(&self) -> Option<Problem> {
        if !self.safe.is_empty() || self.lost.is_empty() || self.lost_otherwise {
            return None;
        }
        Some(match self.lost_for_room {
            true => Problem::out_of_space("the archive cannot store at the moment: store again later"),
            false => Problem::unavailable("the archive takes no instances at the moment: store again later"),
        })
    }

    fn status(&self) -> StatusCode {
        let warned = self.safe.iter().filter(|safe| safe.warning.is_some()).count();
        store_status(self.safe.len() - warned, warned, self.lost.len())
    }

    /// The answer.
    pub(super) fn respond(
        &self,
        base: &BaseUrl,
        asked: Option<&StudyInstanceUid>,
        form: ResponseForm,
    ) -> impl IntoResponse + use<> {
        let attributes = self.attributes(base, asked);
        let mut body = Vec::new();
        let media_type = match form {
            ResponseForm::Json(media_type) => {
                filmroom_dataset::write_json_attributes(&mut body, &attributes);
                media_type
            }
            ResponseForm::Xml(media_type) => {
                let header = Header {
                    attributes,
                    bulk: Vec::new(),
                };
                filmroom_dataset::write_xml(&mut body, &header, "");
                media_type
            }
        };
        let mut response = Response::new(axum::body::Body::from(body));
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        // The codes of the standard are few and coarse: in words, a sender can mend what is wrong.
        for lost in self.lost.iter().take(TOLD_MAX) {
            let of = match lost.named.sop_instance_uid.as_str() {
                "" => "a part".to_owned(),
                uid => format!("instance {uid}"),
            };
            let detail: String = lost.detail.chars().take(300).collect();
            warn(headers, base.as_str(), &format!("{of} was not stored: {detail}"));
        }
        response
    }

    fn attributes(&self, base: &BaseUrl, asked: Option<&StudyInstanceUid>) -> Attributes {
        let mut answer = Builder::new();
        if let Some(study) = self.study(asked) {
            answer.text(RETRIEVE_URL, &format!("{}/studies/{study}", base.as_str()));
        }
        let safe: Vec<Attributes> = self.safe.iter().map(|safe| safe_item(base, safe)).collect();
        if !safe.is_empty() {
            answer.sequence(REFERENCED_SOP_SEQUENCE, &safe);
        }
        let (named, unnamed): (Vec<&Lost>, Vec<&Lost>) = self
            .lost
            .iter()
            .partition(|lost| !lost.named.sop_instance_uid.is_empty());
        if !named.is_empty() {
            let items: Vec<Attributes> = named.into_iter().map(lost_item).collect();
            answer.sequence(FAILED_SOP_SEQUENCE, &items);
        }
        if !unnamed.is_empty() {
            let items: Vec<Attributes> = unnamed.into_iter().map(lost_item).collect();
            answer.sequence(OTHER_FAILURES_SEQUENCE, &items);
        }
        answer.build()
    }

    /// The one study that all is of; `None` when there are several.
    fn study<'a>(&'a self, asked: Option<&'a StudyInstanceUid>) -> Option<&'a StudyInstanceUid> {
        if asked.is_some() {
            return asked;
        }
        let first = self.safe.first()?.receipt.study_instance_uid();
        self.safe
            .iter()
            .all(|safe| safe.receipt.study_instance_uid() == first)
            .then_some(first)
    }
}

fn safe_item(base: &BaseUrl, safe: &Safe) -> Attributes {
    let receipt = &safe.receipt;
    let url = instance_url(
        base,
        receipt.study_instance_uid(),
        receipt.series_instance_uid(),
        receipt.sop_instance_uid(),
    );
    let mut item = Builder::new();
    item.text(REFERENCED_SOP_CLASS_UID, receipt.sop_class_uid().as_str())
        .text(REFERENCED_SOP_INSTANCE_UID, receipt.sop_instance_uid().as_str())
        .text(RETRIEVE_URL, &url);
    if let Some(reason) = safe.warning {
        item.us(WARNING_REASON, reason);
    }
    item.build()
}

fn lost_item(lost: &Lost) -> Attributes {
    let mut item = Builder::new();
    if !lost.named.sop_instance_uid.is_empty() {
        item.text(REFERENCED_SOP_CLASS_UID, &lost.named.sop_class_uid)
            .text(REFERENCED_SOP_INSTANCE_UID, &lost.named.sop_instance_uid);
    }
    item.us(FAILURE_REASON, lost.reason);
    item.build()
}
