//! What the bytes of a peer run through before anything is decided, for the fuzz targets of `tests/fuzz`.

use crate::{
    association::{
        deframe::{Deframer, Event},
        pdu::{read_abort, read_accept, read_reject, read_request},
    },
    message::CommandSet,
};

/// Reads bytes as the upper layer does: PDUs, presentation data values, command sets (PS3.8 §9.3, PS3.7 §6.3). `established`: as
/// after negotiation; `piece`: bytes that come at a time, at least one.
///
/// # Panics
/// When a command set that was read cannot be written and read again.
pub fn association(bytes: &[u8], established: bool, piece: usize) {
    let mut deframer = Deframer::new();
    if established {
        deframer.establish(16384, 4096);
    }
    let mut rest = bytes;
    loop {
        loop {
            match deframer.next() {
                Err(_) => return,
                Ok(None) => break,
                Ok(Some(Event::Control { kind, span })) => control(kind, deframer.bytes(span)),
                Ok(Some(Event::Command { .. })) => command_set(deframer.command()),
                Ok(Some(_)) => {}
            }
        }
        if rest.is_empty() {
            return;
        }
        let space = deframer.space();
        let length = piece.max(1).min(rest.len()).min(space.len());
        let (now, later) = rest.split_at(length);
        if let Some(space) = space.get_mut(..length) {
            space.copy_from_slice(now);
        }
        deframer.filled(length);
        rest = later;
    }
}

/// Reads bytes as a command set.
///
/// # Panics
/// When it was read and cannot be written and read again.
pub fn command_set(bytes: &[u8]) {
    if let Ok(command) = CommandSet::decode(bytes) {
        let mut again = Vec::new();
        command.encode(&mut again);
        assert!(CommandSet::decode(&again).is_ok(), "a command set is read back");
    }
}

fn control(kind: u8, body: &[u8]) {
    match kind {
        1 => drop(read_request(body)),
        2 => drop(read_accept(body)),
        3 => drop(read_reject(body)),
        _ => {
            read_abort(body);
        }
    }
}
