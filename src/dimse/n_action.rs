//! Storage Commitment Push Model SCP (PS3.4 §J): the N-ACTION that asks, and what is found out for it.

use std::collections::HashMap;

use filmroom_storage::model::{Attributes, Elements, InstanceRecord, SopInstanceUid, Tag};
use futures_util::StreamExt;
use sha2::{Digest, Sha256};

use super::{
    association::{Association, AssociationError, Context},
    message::CommandSet,
    n_event_report,
    session::{self, Session},
    status::Status,
};
use crate::{
    dataset::{self, Builder},
    retrieve::{Retrieve, RetrieveError, Selection, Wanted},
};

/// Storage Commitment Push Model SOP Instance (PS3.4 §J.3.5).
pub(super) const PUSH_MODEL_INSTANCE: &str = "1.2.840.10008.1.20.1.1";
/// Action Type ID of "request storage commitment".
const REQUEST_COMMITMENT: u16 = 1;
const TRANSACTION_UID: Tag = 0x0008_1195;
const REFERENCED_SOP_SEQUENCE: Tag = 0x0008_1199;
const FAILED_SOP_SEQUENCE: Tag = 0x0008_1198;
const REFERENCED_SOP_CLASS_UID: Tag = 0x0008_1150;
const REFERENCED_SOP_INSTANCE_UID: Tag = 0x0008_1155;
const FAILURE_REASON: Tag = 0x0008_1197;
const RETRIEVE_AE_TITLE: Tag = 0x0008_0054;
/// Instances looked up at a time.
const LOOKUP: usize = 256;

/// A request for commitment.
struct Asked {
    transaction_uid: String,
    references: Vec<Reference>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Reference {
    sop_class_uid: String,
    sop_instance_uid: String,
}

/// The answer to a request for commitment, as N-EVENT-REPORT tells it.
#[derive(Debug, Clone)]
pub(super) struct Report {
    /// 1: all is safe. 2: there are failures.
    pub(super) event_type_id: u16,
    /// The event information.
    pub(super) information: Attributes,
}

/// Serves one N-ACTION. The request is answered at once; the report follows when all instances have been looked at.
pub(super) async fn serve(
    association: &mut Association,
    session: &mut Session,
    context: &Context,
    request: CommandSet,
) -> Result<(), AssociationError> {
    let longest = association.config().identifier_max_bytes;
    let data_set = if request.has_data_set {
        session::read_data_set(association, context.id, longest).await?
    } else {
        None
    };
    if request.sop_instance_uid != PUSH_MODEL_INSTANCE {
        return session::answer(association, context, &request, Status::NO_SUCH_SOP_INSTANCE, "").await;
    }
    if request.action_type_id != Some(REQUEST_COMMITMENT) {
        return session::answer(association, context, &request, Status::NO_SUCH_ACTION, "").await;
    }
    let Some(data_set) = data_set else {
        let comment = "the action information is missing or too long";
        return session::answer(association, context, &request, Status::INVALID_ARGUMENT, comment).await;
    };
    let parsed = dataset::parse(&data_set, &context.transfer_syntax, longest)
        .map_err(|error| (Status::INVALID_ARGUMENT, error.to_string()));
    let asked = match parsed.and_then(|information| Asked::read(&information)) {
        Ok(asked) => asked,
        Err((status, comment)) => return session::answer(association, context, &request, status, &comment).await,
    };
    association
        .send(context.id, &CommandSet::response_to(&request, Status::SUCCESS.0), None)
        .await?;
    let own_title = association.config().ae_title.to_string();
    let report = find_out(&session.rooms.retrieve, &asked, &own_title).await;
    tracing::info!(
        instances = asked.references.len(),
        all_safe = report.event_type_id == 1,
        "storage commitment was asked for"
    );
    n_event_report::deliver(association, session, context, report).await
}

impl Asked {
    fn read(information: &Attributes) -> Result<Self, (Status, String)> {
        let transaction_uid = information.text(TRANSACTION_UID).to_owned();
        if transaction_uid.is_empty() {
            return Err((Status::MISSING_ATTRIBUTE, "TransactionUID is missing".to_owned()));
        }
        let sequence = information
            .get(REFERENCED_SOP_SEQUENCE)
            .map(|element| element.value)
            .unwrap_or_default();
        let references: Vec<Reference> = items(sequence)
            .map(|item| {
                let text = |tag| {
                    item.clone()
                        .find(|element| element.tag == tag)
                        .map(|element| element.text().to_owned())
                };
                Reference {
                    sop_class_uid: text(REFERENCED_SOP_CLASS_UID).unwrap_or_default(),
                    sop_instance_uid: text(REFERENCED_SOP_INSTANCE_UID).unwrap_or_default(),
                }
            })
            .collect();
        if references.is_empty() {
            return Err((
                Status::MISSING_ATTRIBUTE,
                "ReferencedSOPSequence is missing or empty".to_owned(),
            ));
        }
        Ok(Self {
            transaction_uid,
            references,
        })
    }
}

/// The items of a sequence in normal form.
fn items(mut sequence: &[u8]) -> impl Iterator<Item = Elements<'_>> {
    std::iter::from_fn(move || {
        let ([_, _, _, _, l0, l1, l2, l3], rest) = sequence.split_first_chunk::<8>()?;
        let (item, rest) = rest.split_at_checked(u32::from_le_bytes([*l0, *l1, *l2, *l3]) as usize)?;
        sequence = rest;
        Some(Elements::new(item))
    })
}

/// Looks at every instance: it has to be in the archive, of that class, and its bytes what was received.
async fn find_out(retrieve: &Retrieve, asked: &Asked, own_title: &str) -> Report {
    let mut safe = Vec::new();
    let mut failed = Vec::new();
    for references in asked.references.chunks(LOOKUP) {
        let found = look_up(retrieve, references).await;
        for reference in references {
            let result = match &found {
                Err(error) => {
                    tracing::error!(%error, "instances could not be looked up for storage commitment");
                    Err(Status::PROCESSING_FAILURE)
                }
                Ok(found) => match found.get(reference.sop_instance_uid.as_str()) {
                    None => Err(Status::NO_SUCH_SOP_INSTANCE),
                    Some(record) if record.sop_class_uid.as_str() != reference.sop_class_uid => {
                        Err(Status::CLASS_INSTANCE_CONFLICT)
                    }
                    Some(record) => verify(retrieve, record).await,
                },
            };
            let mut item = Builder::new();
            item.text(REFERENCED_SOP_CLASS_UID, &reference.sop_class_uid);
            item.text(REFERENCED_SOP_INSTANCE_UID, &reference.sop_instance_uid);
            match result {
                Ok(()) => safe.push(item.build()),
                Err(status) => {
                    item.us(FAILURE_REASON, status.0);
                    failed.push(item.build());
                }
            }
        }
    }
    let mut information = Builder::new();
    information.text(TRANSACTION_UID, &asked.transaction_uid);
    information.text(RETRIEVE_AE_TITLE, own_title);
    if !safe.is_empty() {
        information.sequence(REFERENCED_SOP_SEQUENCE, &safe);
    }
    if !failed.is_empty() {
        information.sequence(FAILED_SOP_SEQUENCE, &failed);
    }
    Report {
        event_type_id: if failed.is_empty() { 1 } else { 2 },
        information: information.build(),
    }
}

async fn look_up(
    retrieve: &Retrieve,
    references: &[Reference],
) -> Result<HashMap<String, InstanceRecord>, RetrieveError> {
    let instances: Vec<_> = references
        .iter()
        .filter_map(|reference| SopInstanceUid::new(&reference.sop_instance_uid).ok())
        .collect();
    let mut found = HashMap::new();
    if instances.is_empty() {
        return Ok(found); // an empty selection would mean all
    }
    let mut records = retrieve.select(Selection {
        instances,
        ..Selection::default()
    });
    while let Some(record) = records.next().await {
        let record = record?;
        found.insert(record.sop_instance_uid.to_string(), record);
    }
    Ok(found)
}

/// Reads an instance back and compares its checksum.
async fn verify(retrieve: &Retrieve, record: &InstanceRecord) -> Result<(), Status> {
    let failed = |error: RetrieveError| {
        tracing::error!(%error, sop_instance_uid = %record.sop_instance_uid, "an instance cannot be read back");
        Status::PROCESSING_FAILURE
    };
    let mut data_set = retrieve
        .data_set(record, &Wanted::AsStored)
        .await
        .map_err(failed)?
        .data_set;
    let mut hasher = Sha256::new();
    while let Some(piece) = data_set.next().await {
        hasher.update(piece.map_err(failed)?);
    }
    if hasher.finalize()[..] == record.sha256 {
        Ok(())
    } else {
        tracing::error!(sop_instance_uid = %record.sop_instance_uid, "an instance is not what was received");
        Err(Status::PROCESSING_FAILURE)
    }
}
