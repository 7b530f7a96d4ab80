//! C-FIND SCP (PS3.7 §9.1.2, PS3.4 §C.4.1).

use filmroom_storage::model::{Attributes, Tag};

use super::{
    association::{Association, AssociationError, Context, Event, QueryModel},
    identifier::{self, INSTANCE_AVAILABILITY, Identifier, QUERY_RETRIEVE_LEVEL, RETRIEVE_AE_TITLE, Refusal},
    message::{CommandSet, Message},
    session::{self, Session},
    status::Status,
};
use filmroom_access::Action;
use filmroom_audit::{AuditError, Caller, Outcome, Trail};
use filmroom_dataset::Builder;
use filmroom_query::{Include, Query, QueryError, QueryRoom};

/// Answers asked of the room at first: few, so that the first of them goes out at once.
const FIRST_PAGE: usize = 100;
/// Answers asked of the room at a time later on.
const PAGE_MAX: usize = 2_500;

/// Serves one C-FIND.
pub(super) async fn serve(
    association: &mut Association,
    session: &mut Session,
    context: &Context,
    model: QueryModel,
    request: CommandSet,
) -> Result<(), AssociationError> {
    let read = identifier::read(association, context, request.has_data_set).await?;
    let found = match read.and_then(|identifier| Finding::new(association, context, model, identifier)) {
        Ok(finding) => {
            let trail = association.config().trail.clone();
            let who = association.negotiated().caller();
            if let Err(error) = record(&trail, who, context, &finding.identifier.attributes).await {
                let comment = error.to_string();
                return session::answer(association, context, &request, Status::OUT_OF_RESOURCES, &comment).await;
            }
            finding
                .answer(association, &session.rooms.query, context, &request)
                .await?
        }
        Err(refusal) => Err(refusal),
    };
    match found {
        Ok(Status::SUCCESS) => {
            association
                .send(context.id, &CommandSet::response_to(&request, Status::SUCCESS.0), None)
                .await
        }
        Ok(status) => session::answer(association, context, &request, status, "").await,
        Err((status, comment)) => session::answer(association, context, &request, status, &comment).await,
    }
}

/// Records that a question was asked; it is not answered before.
pub(super) async fn record(
    trail: &Trail,
    who: Caller<'_>,
    context: &Context,
    question: &Attributes,
) -> Result<(), AuditError> {
    let text = || {
        let mut json = Vec::new();
        filmroom_dataset::write_json_attributes(&mut json, question);
        String::from_utf8(json).unwrap_or_default()
    };
    trail
        .queried(who, &context.abstract_syntax, Outcome::Success, text)
        .await
}

/// True when the peer has cancelled the operation with this message ID. Another message is left for later.
pub(super) fn is_cancelled(association: &mut Association, message_id: u16) -> Result<bool, AssociationError> {
    if association.is_holding() {
        return Ok(false);
    }
    match association.try_next()? {
        None => Ok(false),
        Some(event @ Event::Command { .. }) => match Message::from(association.command()?) {
            Message::Cancel(id) => Ok(id == message_id),
            _ => {
                association.hold(event);
                Ok(false)
            }
        },
        Some(event) => {
            association.hold(event);
            Ok(false)
        }
    }
}

/// Runs a step of a search where it may block.
pub(super) async fn blocking<T: Send + 'static>(
    step: impl FnOnce() -> Result<T, QueryError> + Send + 'static,
) -> Result<T, Refusal> {
    match tokio::task::spawn_blocking(step).await {
        Ok(Ok(result)) => Ok(result),
        Ok(Err(error)) => Err((Status::from(&error), error.to_string())),
        Err(error) => {
            tracing::error!(%error, "a query ended by a panic");
            Err((Status::CANNOT_UNDERSTAND, "the query failed".to_owned()))
        }
    }
}

struct Finding {
    query: Query,
    level: &'static str,
    tags: Vec<Tag>,
    identifier: Identifier,
    ae_title: String,
}

impl Finding {
    fn new(
        association: &Association,
        context: &Context,
        model: QueryModel,
        identifier: Identifier,
    ) -> Result<Self, Refusal> {
        let level = identifier::level(&identifier.attributes, model)?;
        let question = identifier::question(&identifier.attributes);
        let extended = association.negotiated().extended(&context.abstract_syntax);
        // Relational queries need no permission here: keys of levels above always match (PS3.4 §C.4.1.1.3.1 allows an SCP to).
        let agreed = |index: usize| extended.get(index).copied() == Some(1);
        Ok(Self {
            query: Query {
                keys: question.keys,
                include: Include::Listed(question.tags.clone()),
                fuzzy: agreed(2),
                combined_datetime: agreed(1),
                empty_value_matching: agreed(5),
                ..Query::new(level, association.sight(Action::Query))
            },
            level: match level {
                filmroom_query::Level::Patient => "PATIENT",
                filmroom_query::Level::Study => "STUDY",
                filmroom_query::Level::Series => "SERIES",
                filmroom_query::Level::Instance => "IMAGE",
            },
            tags: question.tags,
            identifier,
            ae_title: association.config().ae_title.to_string(),
        })
    }

    /// Sends all answers; tells with what status the operation ends.
    async fn answer(
        self,
        association: &mut Association,
        room: &QueryRoom,
        context: &Context,
        request: &CommandSet,
    ) -> Result<Result<Status, Refusal>, AssociationError> {
        let message_id = request.message_id.unwrap_or_default();
        let most = association.config().find_answers_max;
        let mut search = match blocking({
            let (room, query) = (room.clone(), self.query.clone());
            move || room.search(&query)
        })
        .await
        {
            Ok(search) => search,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let status = if search.ignored().is_empty() {
            Status::PENDING
        } else {
            Status::PENDING_WITHOUT_OPTIONAL_KEYS
        };
        let pending = CommandSet {
            has_data_set: true,
            ..CommandSet::response_to(request, status.0)
        };
        let mut count = 0u64;
        let mut length = FIRST_PAGE;
        loop {
            let page = match blocking(move || search.page(length).map(|page| (search, page))).await {
                Ok((rest, page)) => {
                    search = rest;
                    page
                }
                Err(refusal) => return Ok(Err(refusal)),
            };
            for answer in &page {
                if is_cancelled(association, message_id)? {
                    return Ok(Ok(Status::CANCEL));
                }
                if count == most {
                    return Ok(Err((
                        Status::OUT_OF_RESOURCES,
                        format!("more than {most} matches; narrow the query"),
                    )));
                }
                count += 1;
                let attributes = self.complete(&answer.attributes);
                let encoded = match filmroom_dataset::encode(
                    &attributes,
                    &context.transfer_syntax,
                    &self.identifier.character_set,
                ) {
                    Ok(encoded) => encoded,
                    Err(error) => return Ok(Err((Status::CANNOT_UNDERSTAND, error.to_string()))),
                };
                association.queue(context.id, &pending, Some(&encoded));
                if association.is_queue_long() {
                    association.flush().await?;
                }
            }
            if page.len() < length {
                return Ok(Ok(Status::SUCCESS));
            }
            association.flush().await?;
            length = (length * 5).min(PAGE_MAX);
        }
    }

    /// What was asked for, and what every answer has (PS3.4 §C.4.1.1.3.2).
    fn complete(&self, answer: &Attributes) -> Attributes {
        let mut out = Builder::new();
        for element in answer.iter() {
            if self.tags.binary_search(&element.tag).is_ok() {
                out.value(element.tag, element.vr, element.value);
            }
        }
        out.text(QUERY_RETRIEVE_LEVEL, self.level);
        out.text(RETRIEVE_AE_TITLE, &self.ae_title);
        out.text(INSTANCE_AVAILABILITY, "ONLINE");
        out.build()
    }
}
