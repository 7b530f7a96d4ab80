//! Reading who an instance is from the first bytes of its data set.

use bytes::Bytes;
use filmroom_storage::model::TransferSyntaxUid;

use super::{
    DataSetError,
    scan::{Scanner, Token},
    transfer_syntax::{Encoding, is_deflated_uid},
};

/// What the beginning of a data set says of its identity; empty where it says nothing. Not yet checked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Identity {
    /// (0008,0016).
    pub sop_class_uid: String,
    /// (0008,0018).
    pub sop_instance_uid: String,
}

/// Reads SOP Class and SOP Instance UID from the beginning of a data set; `None` when more bytes are needed to tell.
#[must_use]
pub fn identify(beginning: &Bytes, transfer_syntax: &TransferSyntaxUid) -> Option<Identity> {
    let syntax = transfer_syntax.as_str();
    let mut identity = Identity::default();
    let mut depth = 0u32;
    let mut scanner = match Scanner::new(beginning, Encoding::of(syntax), is_deflated_uid(syntax)) {
        Ok(scanner) => scanner,
        Err(error) => return whole(error, identity),
    };
    loop {
        match scanner.next() {
            Ok(Token::Value(place)) if depth == 0 => {
                let into = match place.tag {
                    0x0008_0016 => &mut identity.sop_class_uid,
                    0x0008_0018 => &mut identity.sop_instance_uid,
                    tag if tag > 0x0008_0018 => return Some(identity),
                    _ => continue,
                };
                if place.length > 256 {
                    continue;
                }
                match scanner.value(&place) {
                    Ok(value) => *into = String::from_utf8_lossy(value).trim_matches([' ', '\0']).to_owned(),
                    Err(error) => return whole(error, identity),
                }
            }
            Ok(Token::SequenceStart(tag)) if depth == 0 && tag > 0x0008_0018 => return Some(identity),
            Ok(Token::SequenceStart(_)) => depth += 1,
            Ok(Token::SequenceEnd) => depth = depth.saturating_sub(1),
            Ok(Token::End) => return None,
            Ok(_) => {}
            Err(error) => return whole(error, identity),
        }
    }
}

/// Bytes that end too soon may go on; other errors will not go away.
fn whole(error: DataSetError, identity: Identity) -> Option<Identity> {
    match error {
        DataSetError::Truncated(_) => None,
        _ => Some(identity),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Builder;

    #[test]
    fn identifies_by_as_few_bytes_as_it_takes() {
        let built = Builder::new()
            .text(0x0008_0005, "ISO_IR 100")
            .text(0x0008_0016, "1.2.840.10008.5.1.4.1.1.2")
            .text(0x0008_0018, "1.2.3")
            .text(0x0008_0020, "20260101")
            .build();
        let syntax = TransferSyntaxUid::new("1.2.840.10008.1.2.1").unwrap();
        let whole = built.as_bytes();
        let expected = Identity {
            sop_class_uid: "1.2.840.10008.5.1.4.1.1.2".into(),
            sop_instance_uid: "1.2.3".into(),
        };
        assert_eq!(identify(whole, &syntax), Some(expected.clone()));
        for length in 0..whole.len() {
            let found = identify(&whole.slice(..length), &syntax);
            assert!(
                found.is_none() || found.as_ref() == Some(&expected),
                "{length}: {found:?}"
            );
        }
    }
}
