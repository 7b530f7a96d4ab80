//! The command set (PS3.7 §6.3.1, §E.1): Implicit VR Little Endian, group 0000.

use std::fmt::Write as _;

/// Command Data Set Type (0000,0800) of a message without a data set.
const NO_DATA_SET: u16 = 0x0101;
/// Command Data Set Type of a message with one; any other value than [`NO_DATA_SET`] says so.
const DATA_SET: u16 = 0x0001;
/// Longest LO value (PS3.5 §6.2): Error Comment (0000,0902).
const ERROR_COMMENT_LENGTH_MAX: usize = 64;

/// Numbers of sub-operations (PS3.7 §9.3.3.2, §9.3.4.2).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// (0000,1020); left out of a final response.
    pub remaining: Option<u16>,
    /// (0000,1021).
    pub completed: u16,
    /// (0000,1022).
    pub failed: u16,
    /// (0000,1023).
    pub warning: u16,
}

/// A command set. Elements that are not needed are not kept; elements that are missing stand as `None` or empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CommandSet {
    /// (0000,0002), or (0000,0003) Requested SOP Class UID where [`CommandSet::is_requested`].
    pub sop_class_uid: String,
    /// (0000,0100).
    pub command_field: u16,
    /// (0000,0110).
    pub message_id: Option<u16>,
    /// (0000,0120).
    pub message_id_being_responded_to: Option<u16>,
    /// (0000,0600).
    pub move_destination: String,
    /// (0000,0700).
    pub priority: Option<u16>,
    /// True when a data set follows: (0000,0800).
    pub has_data_set: bool,
    /// (0000,0900).
    pub status: Option<u16>,
    /// (0000,0902), cut to 64 ASCII characters when written.
    pub error_comment: String,
    /// (0000,0903).
    pub error_id: Option<u16>,
    /// (0000,1000), or (0000,1001) Requested SOP Instance UID where [`CommandSet::is_requested`].
    pub sop_instance_uid: String,
    /// (0000,1002).
    pub event_type_id: Option<u16>,
    /// (0000,1005): attributes that are asked for, or that are told of.
    pub attribute_identifiers: Vec<u32>,
    /// (0000,1008).
    pub action_type_id: Option<u16>,
    /// (0000,1020) to (0000,1023).
    pub counts: Option<Counts>,
    /// (0000,1030).
    pub move_originator_ae_title: String,
    /// (0000,1031).
    pub move_originator_message_id: Option<u16>,
}

/// Bytes that are no command set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a command set: {0}")]
pub struct MalformedCommand(&'static str);

/// The bits of requests that name "Requested" rather than "Affected" SOP class and instance (PS3.7 table E.1-1):
/// N-GET, N-SET, N-ACTION and N-DELETE.
fn is_requested(command_field: u16) -> bool {
    matches!(command_field, 0x0110 | 0x0120 | 0x0130 | 0x0150)
}

impl CommandSet {
    /// Reads a command set. Order, group length, unknown elements and odd padding do not matter.
    ///
    /// # Errors
    /// [`MalformedCommand`] when an element does not fit, or there is no command field.
    pub fn decode(bytes: &[u8]) -> Result<Self, MalformedCommand> {
        let mut command = Self {
            has_data_set: true,
            ..Self::default()
        };
        let mut command_field = None;
        let mut counts = Counts::default();
        let mut counted = false;
        let mut rest = bytes;
        while !rest.is_empty() {
            let (head, after) = rest
                .split_first_chunk::<8>()
                .ok_or(MalformedCommand("an element is cut short"))?;
            let [g0, g1, e0, e1, l0, l1, l2, l3] = *head;
            if (g0, g1) != (0, 0) {
                return Err(MalformedCommand("an element of another group"));
            }
            let length = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
            let (value, after) = after
                .split_at_checked(length)
                .ok_or(MalformedCommand("a value is cut short"))?;
            rest = after;
            match u16::from_le_bytes([e0, e1]) {
                0x0002 | 0x0003 => command.sop_class_uid = text(value),
                0x0100 => command_field = number(value),
                0x0110 => command.message_id = number(value),
                0x0120 => command.message_id_being_responded_to = number(value),
                0x0600 => command.move_destination = text(value),
                0x0700 => command.priority = number(value),
                0x0800 => command.has_data_set = number(value) != Some(NO_DATA_SET),
                0x0900 => command.status = number(value),
                0x0902 => command.error_comment = text(value),
                0x0903 => command.error_id = number(value),
                0x1000 | 0x1001 => command.sop_instance_uid = text(value),
                0x1002 => command.event_type_id = number(value),
                0x1005 => command.attribute_identifiers = tags(value),
                0x1008 => command.action_type_id = number(value),
                0x1020 => (counts.remaining, counted) = (number(value), true),
                0x1021 => (counts.completed, counted) = (number(value).unwrap_or_default(), true),
                0x1022 => (counts.failed, counted) = (number(value).unwrap_or_default(), true),
                0x1023 => (counts.warning, counted) = (number(value).unwrap_or_default(), true),
                0x1030 => command.move_originator_ae_title = text(value),
                0x1031 => command.move_originator_message_id = number(value),
                _ => {}
            }
        }
        command.counts = counted.then_some(counts);
        command.command_field = command_field.ok_or(MalformedCommand("there is no command field"))?;
        Ok(command)
    }

    /// Appends the encoded command set, group length first, elements in ascending order.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&[0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0]);
        let requested = u16::from(is_requested(self.command_field));
        put_text(out, 0x0002 + requested, &self.sop_class_uid, 0);
        put_number(out, 0x0100, Some(self.command_field));
        put_number(out, 0x0110, self.message_id);
        put_number(out, 0x0120, self.message_id_being_responded_to);
        put_text(out, 0x0600, &self.move_destination, b' ');
        put_number(out, 0x0700, self.priority);
        put_number(
            out,
            0x0800,
            Some(if self.has_data_set { DATA_SET } else { NO_DATA_SET }),
        );
        put_number(out, 0x0900, self.status);
        put_text(out, 0x0902, &comment(&self.error_comment), b' ');
        put_number(out, 0x0903, self.error_id);
        put_text(out, 0x1000 + requested, &self.sop_instance_uid, 0);
        put_number(out, 0x1002, self.event_type_id);
        put_tags(out, 0x1005, &self.attribute_identifiers);
        put_number(out, 0x1008, self.action_type_id);
        if let Some(counts) = self.counts {
            put_number(out, 0x1020, counts.remaining);
            put_number(out, 0x1021, Some(counts.completed));
            put_number(out, 0x1022, Some(counts.failed));
            put_number(out, 0x1023, Some(counts.warning));
        }
        put_text(out, 0x1030, &self.move_originator_ae_title, b' ');
        put_number(out, 0x1031, self.move_originator_message_id);
        let length = u32::try_from(out.len() - start - 12).unwrap_or_default().to_le_bytes();
        if let Some(place) = out.get_mut(start + 8..start + 12) {
            place.copy_from_slice(&length);
        }
    }

    /// The answer to a request: command field, message ID and SOP class and instance as PS3.7 §9.3 and §10.3 want them.
    #[must_use]
    pub fn response_to(request: &Self, status: u16) -> Self {
        Self {
            sop_class_uid: request.sop_class_uid.clone(),
            command_field: request.command_field | 0x8000,
            message_id_being_responded_to: Some(request.message_id.unwrap_or_default()),
            status: Some(status),
            sop_instance_uid: request.sop_instance_uid.clone(),
            event_type_id: request.event_type_id,
            action_type_id: request.action_type_id,
            ..Self::default()
        }
    }
}

fn text(value: &[u8]) -> String {
    String::from_utf8_lossy(value).trim_matches(['\0', ' ']).to_owned()
}

fn number(value: &[u8]) -> Option<u16> {
    value.first_chunk::<2>().map(|bytes| u16::from_le_bytes(*bytes))
}

fn tags(value: &[u8]) -> Vec<u32> {
    let (tags, _) = value.as_chunks::<4>();
    let tag = |[g0, g1, e0, e1]: &[u8; 4]| {
        u32::from(u16::from_le_bytes([*g0, *g1])) << 16 | u32::from(u16::from_le_bytes([*e0, *e1]))
    };
    tags.iter().map(tag).collect()
}

fn comment(text: &str) -> String {
    let mut out = String::with_capacity(ERROR_COMMENT_LENGTH_MAX);
    for character in text.chars().take(ERROR_COMMENT_LENGTH_MAX) {
        let legal = matches!(character, ' '..='~') && character != '\\';
        let _ = out.write_char(if legal { character } else { '?' });
    }
    out
}

fn put_text(out: &mut Vec<u8>, element: u16, value: &str, padding: u8) {
    if value.is_empty() {
        return;
    }
    let odd = value.len() % 2;
    put_head(out, element, value.len() + odd);
    out.extend_from_slice(value.as_bytes());
    if odd == 1 {
        out.push(padding);
    }
}

fn put_number(out: &mut Vec<u8>, element: u16, value: Option<u16>) {
    if let Some(value) = value {
        put_head(out, element, 2);
        out.extend_from_slice(&value.to_le_bytes());
    }
}

fn put_tags(out: &mut Vec<u8>, element: u16, tags: &[u32]) {
    if tags.is_empty() {
        return;
    }
    put_head(out, element, tags.len() * 4);
    for tag in tags {
        let [g1, g0, e1, e0] = tag.to_be_bytes();
        out.extend_from_slice(&[g0, g1, e0, e1]);
    }
}

fn put_head(out: &mut Vec<u8>, element: u16, length: usize) {
    out.extend_from_slice(&[0, 0]);
    out.extend_from_slice(&element.to_le_bytes());
    out.extend_from_slice(&u32::try_from(length).unwrap_or_default().to_le_bytes());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn store_request() -> CommandSet {
        CommandSet {
            sop_class_uid: "1.2.840.10008.5.1.4.1.1.2".into(),
            command_field: 1,
            message_id: Some(7),
            priority: Some(0),
            has_data_set: true,
            sop_instance_uid: "1.2.3".into(),
            move_originator_ae_title: "WS1".into(),
            move_originator_message_id: Some(3),
            ..CommandSet::default()
        }
    }

    fn encoded(command: &CommandSet) -> Vec<u8> {
        let mut out = Vec::new();
        command.encode(&mut out);
        out
    }

    #[test]
    fn what_is_written_is_read_back() {
        let command = store_request();
        let bytes = encoded(&command);
        assert_eq!(bytes.len() % 2, 0);
        assert_eq!(CommandSet::decode(&bytes).unwrap(), command);
        assert_eq!(
            u32::from_le_bytes(bytes[8..12].try_into().unwrap()) as usize,
            bytes.len() - 12
        );
    }

    #[test]
    fn an_action_names_what_is_requested() {
        let action = CommandSet {
            command_field: 0x0130,
            sop_class_uid: "1.2.840.10008.1.20.1".into(),
            sop_instance_uid: "1.2.840.10008.1.20.1.1".into(),
            action_type_id: Some(1),
            ..CommandSet::default()
        };
        let bytes = encoded(&action);
        assert_eq!(bytes[12..16], [0, 0, 3, 0]);
        assert_eq!(CommandSet::decode(&bytes).unwrap(), action);
        let response = encoded(&CommandSet::response_to(&action, 0));
        assert_eq!(response[12..16], [0, 0, 2, 0]);
    }

    #[test]
    fn attributes_and_error_ids_are_told() {
        let answer = CommandSet {
            command_field: 0x8120,
            status: Some(0x0110),
            error_comment: "no longer".into(),
            error_id: Some(0xA710),
            attribute_identifiers: vec![0x0040_0252, 0x0010_0020],
            ..CommandSet::default()
        };
        assert_eq!(CommandSet::decode(&encoded(&answer)).unwrap(), answer);
    }

    #[test]
    fn comments_are_cut_to_what_lo_allows() {
        let command = CommandSet {
            command_field: 0x8001,
            error_comment: "\u{fc}".repeat(100),
            ..CommandSet::default()
        };
        assert_eq!(
            CommandSet::decode(&encoded(&command)).unwrap().error_comment,
            "?".repeat(64)
        );
    }

    #[test]
    fn refuses_what_is_cut_short() {
        let bytes = encoded(&store_request());
        for end in 1..bytes.len() {
            if let Ok(command) = CommandSet::decode(&bytes[..end]) {
                assert_ne!(command, store_request());
            }
        }
        assert_eq!(
            CommandSet::decode(&[]),
            Err(MalformedCommand("there is no command field"))
        );
        assert!(CommandSet::decode(&[0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff, 1, 2]).is_err());
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = CommandSet::decode(&bytes);
        }

        #[test]
        fn mutated_commands_never_panic(changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8)) {
            let mut bytes = encoded(&store_request());
            for (at, value) in changes {
                let at = at.index(bytes.len());
                bytes[at] = value;
            }
            if let Ok(command) = CommandSet::decode(&bytes) {
                let again = encoded(&command);
                prop_assert!(CommandSet::decode(&again).is_ok());
            }
        }
    }
}
