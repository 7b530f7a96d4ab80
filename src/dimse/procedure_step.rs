//! Modality Performed Procedure Step SCP (PS3.4 §F.7): N-CREATE and N-SET; and Retrieve SCP (§F.8): N-GET.

use std::collections::BTreeSet;

use filmroom_storage::model::{Attributes, Tag};

use super::{
    association::{Association, AssociationError, Context, PROCEDURE_STEP},
    message::CommandSet,
    session::{self, Session},
    status::Status,
};
use filmroom_audit::{Action, Detail, Participant, Patient, Study, Trail, events};
use filmroom_dataset::{Builder, CharacterSet};
use filmroom_worklist::{ProcedureStep, ProcedureSteps, StepError};

const PATIENT_NAME: Tag = 0x0010_0010;
const PATIENT_ID: Tag = 0x0010_0020;
const ISSUER_OF_PATIENT_ID: Tag = 0x0010_0021;
/// Error ID of a step that has ended (PS3.4 table F.7.2-2).
const MAY_NO_LONGER_BE_UPDATED: u16 = 0xA710;

/// What is answered instead of success.
struct Refusal {
    status: Status,
    comment: String,
    error_id: Option<u16>,
    attributes: Vec<u32>,
}

impl Refusal {
    fn new(status: Status, comment: impl Into<String>) -> Self {
        Self {
            status,
            comment: comment.into(),
            error_id: None,
            attributes: Vec::new(),
        }
    }
}

impl From<StepError> for Refusal {
    fn from(error: StepError) -> Self {
        let (error_id, attributes) = match &error {
            StepError::Final => (Some(MAY_NO_LONGER_BE_UPDATED), Vec::new()),
            StepError::Missing(tags) | StepError::Empty(tags) => (None, tags.clone()),
            StepError::Value { tag, .. } => (None, vec![*tag]),
            _ => (None, Vec::new()),
        };
        if let StepError::State(error) = &error {
            tracing::error!(%error, "a performed procedure step could not be kept");
        }
        Self {
            status: Status::from(&error),
            comment: error.to_string(),
            error_id,
            attributes,
        }
    }
}

/// Serves one N-CREATE: the step is on disk when it is answered.
pub(super) async fn create(
    association: &mut Association,
    session: &mut Session,
    context: &Context,
    request: CommandSet,
) -> Result<(), AssociationError> {
    let result = match read(association, context, &request).await? {
        Ok(attributes) => {
            let (uid, ae_title) = (
                request.sop_instance_uid.clone(),
                association.negotiated().calling_ae_title.clone(),
            );
            blocking(session.rooms.worklist.procedure_steps(), move |steps| {
                steps.create(&uid, &ae_title, &attributes)
            })
            .await
        }
        Err(refusal) => Err(refusal),
    };
    let result = match result {
        Ok(uid) => Recorder::of(association)
            .kept(session.rooms.worklist.procedure_steps(), uid.as_str(), Action::Create)
            .await
            .map(|()| uid),
        Err(refusal) => Err(refusal),
    };
    match result {
        Ok(uid) => {
            let response = CommandSet {
                sop_instance_uid: uid.to_string(),
                ..CommandSet::response_to(&request, Status::SUCCESS.0)
            };
            association.send(context.id, &response, None).await
        }
        Err(refusal) => refuse(association, context, &request, refusal).await,
    }
}

/// Serves one N-SET: the change is on disk when it is answered.
pub(super) async fn set(
    association: &mut Association,
    session: &mut Session,
    context: &Context,
    request: CommandSet,
) -> Result<(), AssociationError> {
    let result = match read(association, context, &request).await? {
        Ok(changes) => {
            let uid = request.sop_instance_uid.clone();
            blocking(session.rooms.worklist.procedure_steps(), move |steps| {
                steps.set(&uid, &changes)
            })
            .await
        }
        Err(refusal) => Err(refusal),
    };
    let result = match result {
        Ok(unchanged) => Recorder::of(association)
            .kept(
                session.rooms.worklist.procedure_steps(),
                &request.sop_instance_uid,
                Action::Update,
            )
            .await
            .map(|()| unchanged),
        Err(refusal) => Err(refusal),
    };
    match result {
        Ok(unchanged) if unchanged.is_empty() => {
            let response = CommandSet::response_to(&request, Status::SUCCESS.0);
            association.send(context.id, &response, None).await
        }
        Ok(unchanged) => {
            let refusal = Refusal {
                attributes: unchanged,
                ..Refusal::new(
                    Status::ATTRIBUTE_LIST_ERROR,
                    "some attributes cannot be changed any more",
                )
            };
            refuse(association, context, &request, refusal).await
        }
        Err(refusal) => refuse(association, context, &request, refusal).await,
    }
}

/// Serves one N-GET: the attributes that are listed, or all.
pub(super) async fn get(
    association: &mut Association,
    session: &mut Session,
    context: &Context,
    request: CommandSet,
) -> Result<(), AssociationError> {
    if request.has_data_set {
        session::read_data_set(association, context.id, 0).await?;
    }
    let uid = request.sop_instance_uid.clone();
    let found = blocking(session.rooms.worklist.procedure_steps(), move |steps| steps.get(&uid)).await;
    let result = match found {
        Ok(found) => Recorder::of(association)
            .record(&found, Action::Read)
            .await
            .map(|()| found),
        Err(refusal) => Err(refusal),
    };
    let encoded = result.and_then(|(_, attributes)| {
        let listed = listed(&attributes, &request.attribute_identifiers);
        let encoded = filmroom_dataset::encode(&listed, &context.transfer_syntax, &CharacterSet::Utf8);
        encoded.map_err(|error| Refusal::new(Status::PROCESSING_FAILURE, error.to_string()))
    });
    match encoded {
        Ok(encoded) => {
            let response = CommandSet {
                has_data_set: true,
                // The instance is one of the Performed Procedure Step class (PS3.4 §F.8.2.1).
                sop_class_uid: PROCEDURE_STEP.to_owned(),
                ..CommandSet::response_to(&request, Status::SUCCESS.0)
            };
            association.send(context.id, &response, Some(&encoded)).await
        }
        Err(refusal) => refuse(association, context, &request, refusal).await,
    }
}

fn listed(attributes: &Attributes, tags: &[u32]) -> Attributes {
    if tags.is_empty() {
        return attributes.clone();
    }
    let mut out = Builder::new();
    for element in attributes.iter().filter(|element| tags.contains(&element.tag)) {
        out.value(element.tag, element.vr, element.value);
    }
    out.build()
}

/// Tells the audit trail what a caller did with steps.
struct Recorder {
    trail: Trail,
    who: Participant,
}

impl Recorder {
    fn of(association: &Association) -> Self {
        Self {
            trail: association.config().trail.clone(),
            who: association.negotiated().caller().participant(),
        }
    }

    /// Records that a step was made or changed, which is kept by now. A modality that is told of a failure here does it again.
    async fn kept(self, steps: &ProcedureSteps, uid: &str, action: Action) -> Result<(), Refusal> {
        if !self.trail.is_on() {
            return Ok(());
        }
        let uid = uid.to_owned();
        let found = blocking(steps, move |steps| steps.get(&uid)).await?;
        self.record(&found, action).await
    }

    async fn record(self, (step, attributes): &(ProcedureStep, Attributes), action: Action) -> Result<(), Refusal> {
        let studies: BTreeSet<&str> = step
            .scheduled
            .iter()
            .map(|scheduled| scheduled.study_instance_uid.as_str())
            .collect();
        let studies = studies.into_iter().map(|uid| Study {
            study_instance_uid: uid.to_owned(),
            details: vec![Detail::new("SOPInstanceUID", &step.sop_instance_uid)],
            ..Study::default()
        });
        let text = |tag| attributes.text(tag).trim().to_owned();
        let patient = Patient::new(&text(PATIENT_ID), &text(ISSUER_OF_PATIENT_ID), &text(PATIENT_NAME));
        let (who, studies) = (self.who, studies.collect());
        let event = |us: &Participant| events::procedure_record(action, who, us, studies, patient);
        let recorded = self.trail.record(event).await;
        recorded.map_err(|error| Refusal::new(Status::PROCESSING_FAILURE, error.to_string()))
    }
}

/// The data set of a request.
async fn read(
    association: &mut Association,
    context: &Context,
    request: &CommandSet,
) -> Result<Result<Attributes, Refusal>, AssociationError> {
    let longest = association.config().identifier_max_bytes;
    if !request.has_data_set {
        return Ok(Err(Refusal::new(Status::MISSING_ATTRIBUTE, "there is no data set")));
    }
    let Some(bytes) = session::read_data_set(association, context.id, longest).await? else {
        let comment = format!("the data set is longer than {longest} bytes");
        return Ok(Err(Refusal::new(Status::RESOURCE_LIMITATION, comment)));
    };
    let parsed = filmroom_dataset::parse(&bytes, &context.transfer_syntax, longest);
    Ok(parsed.map_err(|error| Refusal::new(Status::PROCESSING_FAILURE, error.to_string())))
}

async fn blocking<T: Send + 'static>(
    steps: &ProcedureSteps,
    step: impl FnOnce(&ProcedureSteps) -> Result<T, StepError> + Send + 'static,
) -> Result<T, Refusal> {
    let steps = steps.clone();
    match tokio::task::spawn_blocking(move || step(&steps)).await {
        Ok(result) => result.map_err(Refusal::from),
        Err(error) => Err(Refusal::new(Status::PROCESSING_FAILURE, error.to_string())),
    }
}

async fn refuse(
    association: &mut Association,
    context: &Context,
    request: &CommandSet,
    refusal: Refusal,
) -> Result<(), AssociationError> {
    tracing::info!(status = %refusal.status, comment = refusal.comment, command_field = request.command_field, "answered");
    let response = CommandSet {
        error_comment: refusal.comment,
        error_id: refusal.error_id,
        attribute_identifiers: refusal.attributes,
        ..CommandSet::response_to(request, refusal.status.0)
    };
    association.send(context.id, &response, None).await
}
