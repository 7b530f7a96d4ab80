//! Reading and writing of the PDUs that open and close an association (PS3.8 §9.3), in `dicom_ul`'s types.
//!
//! Writing is `dicom_ul`'s. Reading is done here because its reader refuses what PS3.8 tells to ignore (unknown items), keeps
//! the NUL padding of UIDs, drops the asynchronous operations window, and demands a transfer syntax of refused contexts.

use dicom_ul::pdu::{
    AbortRQServiceProviderReason, AbortRQSource, AssociationAC, AssociationRJ, AssociationRJResult,
    AssociationRJSource, AssociationRQ, Pdu, PresentationContextProposed, PresentationContextResult,
    PresentationContextResultReason, RequestorRoles, UserIdentity, UserIdentityType, UserVariableItem,
};

use super::AssociationError;

/// Type of an A-ASSOCIATE-RQ.
pub(crate) const ASSOCIATE_RQ: u8 = 1;
/// Type of an A-ASSOCIATE-AC.
pub(crate) const ASSOCIATE_AC: u8 = 2;
/// Type of an A-ASSOCIATE-RJ.
pub(crate) const ASSOCIATE_RJ: u8 = 3;
/// Type of a P-DATA-TF.
pub(crate) const P_DATA: u8 = 4;
/// Type of an A-RELEASE-RQ.
pub(crate) const RELEASE_RQ: u8 = 5;
/// Type of an A-RELEASE-RP.
pub(crate) const RELEASE_RP: u8 = 6;
/// Type of an A-ABORT.
pub(crate) const ABORT: u8 = 7;

/// Longest association PDU. 128 contexts with 60 transfer syntaxes each need 250 kB.
pub(crate) const ASSOCIATE_LENGTH_MAX: u32 = 1 << 20;
/// Presentation context identifiers are the odd numbers of a byte (PS3.8 §9.3.2.2).
pub(crate) const PRESENTATION_CONTEXTS_MAX: usize = 128;
/// Transfer syntaxes in one presentation context, and user information items, that are kept; what comes after is ignored.
const ITEMS_MAX: usize = 512;
/// Protocol version, AE titles and reserved bytes (PS3.8 table 9-11).
const FIXED_LENGTH: usize = 68;

/// Asynchronous operations window (PS3.7 §D.3.3.3); `dicom_ul` has no variant for it.
pub(crate) const ASYNCHRONOUS_OPERATIONS_WINDOW: u8 = 0x53;
/// SOP class common extended negotiation (PS3.7 §D.3.3.6).
pub(crate) const COMMON_EXTENDED_NEGOTIATION: u8 = 0x57;

/// Why a peer is aborted (PS3.8 table 9-26).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AbortReason {
    /// The user of the association gives up.
    User,
    /// Nothing that the peer did.
    NotSpecified,
    /// A type of PDU that does not exist.
    UnrecognizedPdu,
    /// A PDU that may not come now.
    UnexpectedPdu,
    /// A value that PS3.8 does not allow.
    InvalidParameter,
}

impl AbortReason {
    fn source(self) -> AbortRQSource {
        use AbortRQServiceProviderReason as Reason;
        AbortRQSource::ServiceProvider(match self {
            Self::User => return AbortRQSource::ServiceUser,
            Self::NotSpecified => Reason::ReasonNotSpecified,
            Self::UnrecognizedPdu => Reason::UnrecognizedPdu,
            Self::UnexpectedPdu => Reason::UnexpectedPdu,
            Self::InvalidParameter => Reason::InvalidPduParameter,
        })
    }
}

/// Encodes an A-ABORT.
pub(crate) fn abort(reason: AbortReason) -> Vec<u8> {
    write(&Pdu::AbortRQ {
        source: reason.source(),
    })
}

/// Encodes an A-ASSOCIATE-RJ.
pub(crate) fn reject(result: AssociationRJResult, source: AssociationRJSource) -> Vec<u8> {
    write(&Pdu::AssociationRJ(AssociationRJ { result, source }))
}

/// Encodes an A-RELEASE-RQ.
pub(crate) fn release_request() -> Vec<u8> {
    write(&Pdu::ReleaseRQ)
}

/// Encodes an A-RELEASE-RP.
pub(crate) fn release_response() -> Vec<u8> {
    write(&Pdu::ReleaseRP)
}

/// Encodes any PDU. Empty when a field does not fit its length, which callers exclude by what they put in.
pub(crate) fn write(pdu: &Pdu) -> Vec<u8> {
    let mut out = Vec::with_capacity(512);
    if let Err(error) = dicom_ul::pdu::write_pdu(&mut out, pdu) {
        tracing::error!(%error, "a PDU could not be encoded");
        out.clear();
    }
    out
}

/// Encodes the answer to a request whose body was `request`: the reserved fields repeat what came (PS3.8 table 9-17).
pub(crate) fn accept(answer: AssociationAC, request: &[u8]) -> Vec<u8> {
    let mut out = write(&Pdu::AssociationAC(answer));
    if let (Some(to), Some(from)) = (out.get_mut(10..74), request.get(4..68)) {
        to.copy_from_slice(from);
    }
    out
}

/// Bytes read from the front; every read is checked.
struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(head)
    }

    fn u8(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    fn u16(&mut self) -> Option<u16> {
        let (head, rest) = self.0.split_first_chunk::<2>()?;
        self.0 = rest;
        Some(u16::from_be_bytes(*head))
    }

    /// Type and content of the next item; items all begin alike.
    fn item(&mut self) -> Option<(u8, Cursor<'a>)> {
        let kind = self.u8()?;
        self.u8()?;
        let length = self.u16()?;
        Some((kind, Cursor(self.take(usize::from(length))?)))
    }

    fn uid(&self) -> String {
        text(self.0)
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim_matches(['\0', ' ']).to_owned()
}

fn invalid(what: &'static str) -> AssociationError {
    AssociationError::Protocol {
        reason: AbortReason::InvalidParameter,
        what,
    }
}

/// Reads the body of an A-ASSOCIATE-RQ (PS3.8 §9.3.2).
///
/// # Errors
/// [`AssociationError::Protocol`] when a length points past its end or a fixed part is missing.
pub(crate) fn read_request(body: &[u8]) -> Result<AssociationRQ, AssociationError> {
    let parts = read_parts(body)?;
    Ok(AssociationRQ {
        protocol_version: parts.protocol_version,
        calling_ae_title: parts.calling_ae_title,
        called_ae_title: parts.called_ae_title,
        application_context_name: parts.application_context_name,
        presentation_contexts: parts.proposed,
        user_variables: parts.user_variables,
    })
}

/// Reads the body of an A-ASSOCIATE-AC (PS3.8 §9.3.3).
///
/// # Errors
/// As [`read_request`].
pub(crate) fn read_accept(body: &[u8]) -> Result<AssociationAC, AssociationError> {
    let parts = read_parts(body)?;
    Ok(AssociationAC {
        protocol_version: parts.protocol_version,
        calling_ae_title: parts.calling_ae_title,
        called_ae_title: parts.called_ae_title,
        application_context_name: parts.application_context_name,
        presentation_contexts: parts.results,
        user_variables: parts.user_variables,
    })
}

/// Reads the body of an A-ASSOCIATE-RJ: result, source and reason (PS3.8 §9.3.4).
///
/// # Errors
/// [`AssociationError::Protocol`] when it is too short.
pub(crate) fn read_reject(body: &[u8]) -> Result<(u8, u8, u8), AssociationError> {
    match body {
        [_, result, source, reason, ..] => Ok((*result, *source, *reason)),
        _ => Err(invalid("a rejection that is too short")),
    }
}

/// Reads the body of an A-ABORT: source and reason (PS3.8 §9.3.8).
pub(crate) fn read_abort(body: &[u8]) -> (u8, u8) {
    match body {
        [_, _, source, reason, ..] => (*source, *reason),
        _ => (0, 0),
    }
}

#[derive(Default)]
struct Parts {
    protocol_version: u16,
    calling_ae_title: String,
    called_ae_title: String,
    application_context_name: String,
    proposed: Vec<PresentationContextProposed>,
    results: Vec<PresentationContextResult>,
    user_variables: Vec<UserVariableItem>,
}

fn read_parts(body: &[u8]) -> Result<Parts, AssociationError> {
    let mut cursor = Cursor(body);
    let fixed = cursor
        .take(FIXED_LENGTH)
        .ok_or(invalid("an association PDU without its fixed part"))?;
    let mut fixed = Cursor(fixed);
    let mut parts = Parts {
        protocol_version: fixed.u16().unwrap_or_default(),
        ..Parts::default()
    };
    fixed.u16();
    parts.called_ae_title = text(fixed.take(16).unwrap_or_default());
    parts.calling_ae_title = text(fixed.take(16).unwrap_or_default());
    while !cursor.0.is_empty() {
        let (kind, mut item) = cursor.item().ok_or(invalid("an item that is longer than its PDU"))?;
        match kind {
            0x10 => parts.application_context_name = item.uid(),
            0x20 => {
                if parts.proposed.len() > PRESENTATION_CONTEXTS_MAX {
                    continue; // one too many is enough to be refused; the rest is not kept
                }
                parts.proposed.push(read_proposed(&mut item)?);
            }
            0x21 => {
                if parts.results.len() >= PRESENTATION_CONTEXTS_MAX {
                    return Err(invalid("more presentation contexts than there are identifiers"));
                }
                parts.results.push(read_result(&mut item)?);
            }
            0x50 => read_user_information(&mut item, &mut parts.user_variables)?,
            _ => {} // PS3.8 §9.3.1: unrecognized items are ignored
        }
    }
    Ok(parts)
}

fn read_proposed(item: &mut Cursor<'_>) -> Result<PresentationContextProposed, AssociationError> {
    const SHORT: &str = "a presentation context that is cut short";
    let id = item.u8().ok_or(invalid(SHORT))?;
    item.take(3).ok_or(invalid(SHORT))?;
    let mut context = PresentationContextProposed {
        id,
        abstract_syntax: String::new(),
        transfer_syntaxes: Vec::new(),
    };
    while !item.0.is_empty() {
        let (kind, inner) = item.item().ok_or(invalid(SHORT))?;
        match kind {
            0x30 => context.abstract_syntax = inner.uid(),
            0x40 if context.transfer_syntaxes.len() < ITEMS_MAX => context.transfer_syntaxes.push(inner.uid()),
            _ => {}
        }
    }
    Ok(context)
}

fn read_result(item: &mut Cursor<'_>) -> Result<PresentationContextResult, AssociationError> {
    use PresentationContextResultReason as Reason;
    const SHORT: &str = "a presentation context result that is cut short";
    let id = item.u8().ok_or(invalid(SHORT))?;
    item.u8().ok_or(invalid(SHORT))?;
    let reason = match item.u8().ok_or(invalid(SHORT))? {
        0 => Reason::Acceptance,
        1 => Reason::UserRejection,
        3 => Reason::AbstractSyntaxNotSupported,
        4 => Reason::TransferSyntaxesNotSupported,
        _ => Reason::NoReason,
    };
    item.u8().ok_or(invalid(SHORT))?;
    let mut transfer_syntax = String::new();
    while let Some((kind, inner)) = item.item() {
        if kind == 0x40 {
            transfer_syntax = inner.uid();
        }
    }
    Ok(PresentationContextResult {
        id,
        reason,
        transfer_syntax,
    })
}

fn read_user_information(item: &mut Cursor<'_>, out: &mut Vec<UserVariableItem>) -> Result<(), AssociationError> {
    while !item.0.is_empty() {
        let (kind, mut inner) = item
            .item()
            .ok_or(invalid("a user information item that is cut short"))?;
        if out.len() >= ITEMS_MAX {
            continue;
        }
        // What is cut short inside an item of its own is ignored with that item: the others are still good.
        if let Some(variable) = read_user_variable(kind, &mut inner) {
            out.push(variable);
        }
    }
    Ok(())
}

fn read_user_variable(kind: u8, item: &mut Cursor<'_>) -> Option<UserVariableItem> {
    Some(match kind {
        0x51 => {
            let (bytes, _) = item.0.split_first_chunk::<4>()?;
            UserVariableItem::MaxLength(u32::from_be_bytes(*bytes))
        }
        0x52 => UserVariableItem::ImplementationClassUID(item.uid()),
        0x54 => {
            let length = item.u16()?;
            let uid = text(item.take(usize::from(length))?);
            let roles = RequestorRoles {
                scu: item.u8()? != 0,
                scp: item.u8()? != 0,
            };
            UserVariableItem::ScuScpRoleSelectionSubItem(uid, roles)
        }
        0x55 => UserVariableItem::ImplementationVersionName(item.uid()),
        0x56 => {
            let length = item.u16()?;
            let uid = text(item.take(usize::from(length))?);
            UserVariableItem::SopClassExtendedNegotiationSubItem(uid, item.0.to_vec())
        }
        0x58 => {
            let identity_type = match item.u8()? {
                1 => UserIdentityType::Username,
                2 => UserIdentityType::UsernamePassword,
                3 => UserIdentityType::KerberosServiceTicket,
                4 => UserIdentityType::SamlAssertion,
                5 => UserIdentityType::Jwt,
                _ => return None,
            };
            let positive_response_requested = item.u8()? != 0;
            let length = item.u16()?;
            let primary = item.take(usize::from(length))?.to_vec();
            let length = item.u16()?;
            let secondary = item.take(usize::from(length))?.to_vec();
            UserVariableItem::UserIdentityItem(UserIdentity::new(
                positive_response_requested,
                identity_type,
                primary,
                secondary,
            ))
        }
        other => UserVariableItem::Unknown(other, item.0.to_vec()),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn request() -> AssociationRQ {
        AssociationRQ {
            protocol_version: 1,
            calling_ae_title: "CT1".into(),
            called_ae_title: "FILMROOM".into(),
            application_context_name: "1.2.840.10008.3.1.1.1".into(),
            presentation_contexts: vec![PresentationContextProposed {
                id: 1,
                abstract_syntax: "1.2.840.10008.1.1".into(),
                transfer_syntaxes: vec!["1.2.840.10008.1.2".into(), "1.2.840.10008.1.2.1".into()],
            }],
            user_variables: vec![
                UserVariableItem::MaxLength(16384),
                UserVariableItem::ImplementationClassUID("1.2.3".into()),
                UserVariableItem::ScuScpRoleSelectionSubItem("1.2.4".into(), RequestorRoles { scu: true, scp: true }),
                UserVariableItem::SopClassExtendedNegotiationSubItem("1.2.5".into(), vec![1, 1]),
                UserVariableItem::Unknown(ASYNCHRONOUS_OPERATIONS_WINDOW, vec![0, 5, 0, 1]),
                UserVariableItem::UserIdentityItem(UserIdentity::new(
                    true,
                    UserIdentityType::UsernamePassword,
                    b"a".to_vec(),
                    b"b".to_vec(),
                )),
            ],
        }
    }

    #[test]
    fn reads_what_dicom_ul_writes() {
        let encoded = write(&Pdu::AssociationRQ(request()));
        assert_eq!(read_request(&encoded[6..]).unwrap(), request());
    }

    #[test]
    fn ignores_items_it_does_not_know_and_padding_of_uids() {
        let mut encoded = write(&Pdu::AssociationRQ(request()));
        encoded.extend_from_slice(&[0x99, 0, 0, 2, 1, 2]);
        encoded.extend_from_slice(b"\x10\0\0\x06");
        encoded.extend_from_slice(b"1.2.3\0");
        assert_eq!(read_request(&encoded[6..]).unwrap().application_context_name, "1.2.3");
    }

    #[test]
    fn reads_a_refused_context_without_transfer_syntax() {
        let mut body = vec![0; FIXED_LENGTH];
        body.extend_from_slice(&[0x21, 0, 0, 4, 3, 0, 4, 0]);
        let accepted = read_accept(&body).unwrap();
        assert_eq!(
            accepted.presentation_contexts[0].reason,
            PresentationContextResultReason::TransferSyntaxesNotSupported
        );
    }

    #[test]
    fn an_answer_repeats_the_titles_as_they_came() {
        let mut asked = write(&Pdu::AssociationRQ(request()));
        asked[10..26].copy_from_slice(b"  FILMROOM      ");
        let answer = AssociationAC {
            protocol_version: 1,
            calling_ae_title: "CT1".into(),
            called_ae_title: "FILMROOM".into(),
            application_context_name: "1.2.840.10008.3.1.1.1".into(),
            presentation_contexts: vec![],
            user_variables: vec![],
        };
        let out = accept(answer, &asked[6..]);
        assert_eq!(out[10..74], asked[10..74]);
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(body in proptest::collection::vec(any::<u8>(), 0..600)) {
            let _ = read_request(&body);
            let _ = read_accept(&body);
            let _ = read_reject(&body);
            read_abort(&body);
        }

        #[test]
        fn mutated_requests_never_panic(changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12), cut in any::<prop::sample::Index>()) {
            let mut encoded = write(&Pdu::AssociationRQ(request()));
            for (at, value) in changes {
                let at = at.index(encoded.len());
                encoded[at] = value;
            }
            let _ = read_request(&encoded[6..]);
            let end = cut.index(encoded.len()).max(6);
            let _ = read_request(&encoded[6..end]);
        }
    }
}
