//! C-GET (PS3.4 §C.4.3).

use std::sync::Arc;

use filmroom_storage::model::{Attributes, Door, Origin, TransferSyntaxUid};

use super::{Ended, ScuError, ask, ended, first_context, plain_context, settle};
use crate::{
    association::{
        Association, AssociationError, Event, Proposal, ProposedContext, QueryModel, Service, Wait, connect,
    },
    config::DimseConfig,
    message::{CommandSet, Counts, Message, Operation},
    session,
    status::Status,
};
use filmroom_ingest::{Announced, Ingest};
use filmroom_peers::Peer;

/// C-GET: instances come over the same association and are taken in. `classes`: SOP classes and the transfer syntaxes in
/// which instances of them are wanted, at most 128 pairs; they have to be named before it is known what comes.
///
/// # Errors
/// [`ScuError`].
pub async fn get(
    peer: &Peer,
    config: Arc<DimseConfig>,
    model: QueryModel,
    identifier: &Attributes,
    classes: &[(String, Vec<String>)],
    ingest: &Ingest,
    mut on_progress: impl FnMut(Counts) + Send,
) -> Result<Ended, ScuError> {
    let mut contexts = vec![plain_context(&model.uid(Operation::Get))];
    contexts.extend(classes.iter().map(|(class, syntaxes)| ProposedContext {
        abstract_syntax: class.clone(),
        transfer_syntaxes: syntaxes.clone(),
    }));
    let scp_of = classes.iter().map(|(class, _)| class.clone()).collect();
    let proposal = Proposal {
        contexts,
        scp_of,
        operations_invoked: 0,
    };
    let mut association = connect(peer, &proposal, config).await?;
    let result = async {
        let context = first_context(&association, "C-GET of this information model")?;
        if !matches!(context.service, Service::Get(_)) {
            return Err(ScuError::NotOffered("C-GET of this information model"));
        }
        let message_id = ask(&mut association, &context, Operation::Get, identifier, None).await?;
        let longest = association.config().identifier_max_bytes;
        loop {
            let Event::Command { context_id } = association.next(Wait::Response).await? else {
                return Err(AssociationError::Left.into());
            };
            let command = association.command()?;
            match Message::from(command) {
                Message::Request(Operation::Store, request) => {
                    receive(&mut association, context_id, &request, ingest).await?;
                }
                Message::Response(Operation::Get, response)
                    if response.message_id_being_responded_to == Some(message_id) =>
                {
                    if response.has_data_set {
                        session::read_data_set(&mut association, context_id, longest).await?;
                    }
                    let ended = ended(&response);
                    if let Some(counts) = ended.counts {
                        on_progress(counts);
                    }
                    if !ended.status.is_pending() {
                        return Ok(ended);
                    }
                }
                Message::Request(_, other) | Message::Response(_, other) | Message::Unknown(other) => {
                    if other.has_data_set {
                        session::read_data_set(&mut association, context_id, 0).await?;
                    }
                }
                Message::Cancel(_) => {}
            }
        }
    }
    .await;
    settle(association, result).await
}

/// Takes in one instance that a peer sends for a C-GET.
async fn receive(
    association: &mut Association,
    context_id: u8,
    request: &CommandSet,
    ingest: &Ingest,
) -> Result<(), AssociationError> {
    let negotiated = association.negotiated();
    let announced = |transfer_syntax_uid: TransferSyntaxUid| Announced {
        transfer_syntax_uid,
        sop_class_uid: Some(request.sop_class_uid.clone()),
        sop_instance_uid: Some(request.sop_instance_uid.clone()),
        study_instance_uid: None,
        expected_length: 0,
    };
    let origin = Origin {
        door: Door::Dimse,
        sender: negotiated.called_ae_title.clone(),
        receiver: negotiated.calling_ae_title.clone(),
        address: negotiated.peer_address.clone(),
    };
    let mut receiving = match negotiated.context(context_id) {
        Some(context) => ingest
            .receive(announced(context.transfer_syntax.clone()), origin)
            .map_err(|error| (Status::from(&error), error.to_string())),
        None => Err((
            Status::SOP_CLASS_NOT_SUPPORTED,
            "the presentation context was not accepted".to_owned(),
        )),
    };
    let mut last = !request.has_data_set;
    while !last {
        let (span, ends) = session::data(association.next(Wait::Message).await?, context_id)?;
        last = ends;
        if let Ok(open) = &mut receiving
            && let Err(error) = open.write(association.bytes(span)).await
        {
            receiving = Err((Status::from(&error), error.to_string()));
        }
    }
    let result = match receiving {
        Ok(receiving) => receiving
            .finish()
            .await
            .map_err(|error| (Status::from(&error), error.to_string())),
        Err(refused) => Err(refused),
    };
    let (status, error_comment) = match result {
        Ok(_) => (Status::SUCCESS, String::new()),
        Err((status, comment)) => {
            tracing::warn!(%status, comment, sop_instance_uid = request.sop_instance_uid, "an instance was not stored");
            (status, comment)
        }
    };
    let response = CommandSet {
        error_comment,
        ..CommandSet::response_to(request, status.0)
    };
    association.send(context_id, &response, None).await
}
