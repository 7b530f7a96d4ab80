//! What a command set asks for or answers (PS3.7 table E.1-1, Command Field).

use super::CommandSet;

/// The DIMSE operations and notifications.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// C-STORE.
    Store,
    /// C-GET.
    Get,
    /// C-FIND.
    Find,
    /// C-MOVE.
    Move,
    /// C-ECHO.
    Echo,
    /// N-EVENT-REPORT.
    EventReport,
    /// N-GET.
    NGet,
    /// N-SET.
    Set,
    /// N-ACTION.
    Action,
    /// N-CREATE.
    Create,
    /// N-DELETE.
    Delete,
}

impl Operation {
    /// The Command Field of the request.
    #[must_use]
    pub fn command_field(self) -> u16 {
        match self {
            Self::Store => 0x0001,
            Self::Get => 0x0010,
            Self::Find => 0x0020,
            Self::Move => 0x0021,
            Self::Echo => 0x0030,
            Self::EventReport => 0x0100,
            Self::NGet => 0x0110,
            Self::Set => 0x0120,
            Self::Action => 0x0130,
            Self::Create => 0x0140,
            Self::Delete => 0x0150,
        }
    }

    fn from_command_field(field: u16) -> Option<Self> {
        use Operation::{Action, Create, Delete, Echo, EventReport, Find, Get, Move, NGet, Set, Store};
        [
            Store,
            Get,
            Find,
            Move,
            Echo,
            EventReport,
            NGet,
            Set,
            Action,
            Create,
            Delete,
        ]
        .into_iter()
        .find(|operation| operation.command_field() == field)
    }
}

/// What a command set is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// Something is asked for.
    Request(Operation, CommandSet),
    /// C-CANCEL-RQ of the request with this message ID (PS3.7 §9.3.2.3).
    Cancel(u16),
    /// Something was answered.
    Response(Operation, CommandSet),
    /// A command field that PS3.7 does not have.
    Unknown(CommandSet),
}

impl From<CommandSet> for Message {
    fn from(command: CommandSet) -> Self {
        const CANCEL: u16 = 0x0FFF;
        const RESPONSE: u16 = 0x8000;
        let field = command.command_field;
        if field == CANCEL {
            return Self::Cancel(command.message_id_being_responded_to.unwrap_or_default());
        }
        match Operation::from_command_field(field & !RESPONSE) {
            Some(operation) if field & RESPONSE != 0 => Self::Response(operation, command),
            Some(operation) => Self::Request(operation, command),
            None => Self::Unknown(command),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(command_field: u16) -> CommandSet {
        CommandSet {
            command_field,
            message_id_being_responded_to: Some(9),
            ..CommandSet::default()
        }
    }

    #[test]
    fn command_fields_have_their_meaning() {
        assert_eq!(
            Message::from(command(0x8020)),
            Message::Response(Operation::Find, command(0x8020))
        );
        assert_eq!(
            Message::from(command(0x0130)),
            Message::Request(Operation::Action, command(0x0130))
        );
        assert_eq!(Message::from(command(0x0fff)), Message::Cancel(9));
        assert_eq!(Message::from(command(0x0777)), Message::Unknown(command(0x0777)));
    }
}
