//! Instance Availability Notification as SCU (PS3.4 §R): N-CREATE of what has become available here.

use std::sync::Arc;

use filmroom_storage::model::{Attributes, SopInstanceUid};
use futures_util::StreamExt;

use super::{
    association::{
        EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN, INSTANCE_AVAILABILITY_NOTIFICATION, Proposal,
        ProposedContext, connect,
    },
    config::DimseConfig,
    identifier::{INSTANCE_AVAILABILITY, RETRIEVE_AE_TITLE},
    message::{CommandSet, Operation},
    n_action::{REFERENCED_SOP_CLASS_UID, REFERENCED_SOP_INSTANCE_UID, REFERENCED_SOP_SEQUENCE},
    scu::{self, ScuError},
    status::Status,
};
use filmroom_dataset::{Builder, CharacterSet};
use filmroom_forwarding::Job;
use filmroom_peers::Peer;
use filmroom_retrieve::{Retrieve, Selection};

const REFERENCED_PERFORMED_PROCEDURE_STEP_SEQUENCE: u32 = 0x0008_1111;
const REFERENCED_SERIES_SEQUENCE: u32 = 0x0008_1115;
const STUDY_INSTANCE_UID: u32 = 0x0020_000D;
const SERIES_INSTANCE_UID: u32 = 0x0020_000E;

/// Tells a peer that instances of a series can be fetched here (PS3.4 table R.3.2-1).
///
/// # Errors
/// [`ScuError`].
pub(super) async fn tell(
    peer: &Peer,
    config: Arc<DimseConfig>,
    retrieve: &Retrieve,
    job: &Job,
    instances: &[SopInstanceUid],
) -> Result<(), ScuError> {
    let notification = notification(&config, retrieve, job, instances).await?;
    let proposal = Proposal {
        contexts: vec![ProposedContext {
            abstract_syntax: INSTANCE_AVAILABILITY_NOTIFICATION.to_owned(),
            transfer_syntaxes: vec![
                EXPLICIT_VR_LITTLE_ENDIAN.to_owned(),
                IMPLICIT_VR_LITTLE_ENDIAN.to_owned(),
            ],
        }],
        ..Proposal::default()
    };
    let mut association = connect(peer, &proposal, config).await?;
    let result = async {
        let context = scu::first_context(&association, "instance availability notification")?;
        let message_id = association.take_message_id();
        let command = CommandSet {
            sop_class_uid: INSTANCE_AVAILABILITY_NOTIFICATION.to_owned(),
            command_field: Operation::Create.command_field(),
            message_id: Some(message_id),
            has_data_set: true,
            sop_instance_uid: new_uid(),
            ..CommandSet::default()
        };
        let encoded = filmroom_dataset::encode(&notification, &context.transfer_syntax, &CharacterSet::Utf8)?;
        association.send(context.id, &command, Some(&encoded)).await?;
        let (response, _) = scu::response(&mut association, Operation::Create, message_id, 0).await?;
        match response.status.map(Status) {
            Some(status) if status == Status::SUCCESS || status.is_warning() => Ok(()),
            status => Err(ScuError::Refused(status.unwrap_or(Status::PROCESSING_FAILURE))),
        }
    }
    .await;
    scu::settle(association, result).await
}

async fn notification(
    config: &DimseConfig,
    retrieve: &Retrieve,
    job: &Job,
    instances: &[SopInstanceUid],
) -> Result<Attributes, ScuError> {
    let mut found = retrieve.select(Selection {
        instances: instances.to_vec(),
        ..Selection::of(filmroom_privacy::Sight::all())
    });
    let mut items = Vec::with_capacity(instances.len());
    while let Some(record) = found.next().await {
        let record = record?;
        let item = Builder::new()
            .text(REFERENCED_SOP_CLASS_UID, record.sop_class_uid.as_str())
            .text(REFERENCED_SOP_INSTANCE_UID, record.sop_instance_uid.as_str())
            .text(INSTANCE_AVAILABILITY, "ONLINE")
            .text(RETRIEVE_AE_TITLE, config.ae_title.as_str())
            .build();
        items.push(item);
    }
    let series = Builder::new()
        .sequence(REFERENCED_SOP_SEQUENCE, &items)
        .text(SERIES_INSTANCE_UID, job.series_instance_uid.as_str())
        .build();
    Ok(Builder::new()
        .sequence(REFERENCED_PERFORMED_PROCEDURE_STEP_SEQUENCE, &[])
        .sequence(REFERENCED_SERIES_SEQUENCE, &[series])
        .text(STUDY_INSTANCE_UID, job.study_instance_uid.as_str())
        .build())
}

/// A UID of its own, made of a UUID (PS3.5 §B.2).
fn new_uid() -> String {
    format!("2.25.{}", uuid::Uuid::new_v4().as_u128())
}
