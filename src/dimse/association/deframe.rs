//! Cuts the stream of bytes of an association into events (PS3.8 §9.3.5, §E), without I/O.
//!
//! Data of P-DATA-TF are handed out as they come, before their PDU is whole, from the one buffer that the socket is read
//! into: no PDU length costs memory, and nothing is copied on the way.

use super::{AssociationError, pdu, pdu::AbortReason};

/// Longest command set. PS3.7's commands have a few hundred bytes; an attribute list (N-GET) may have thousands.
const COMMAND_LENGTH_MAX: usize = 64 << 10;
/// Length of PDU type, reserved byte and PDU length.
const HEADER_LENGTH: usize = 6;
/// Peers that count headers differently exceed the negotiated length by up to this much; they are let pass.
const LENGTH_TOLERANCE: u32 = 12;

/// A place in the buffer, good until the next call of [`Deframer::next`] or [`Deframer::space`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    start: usize,
    end: usize,
}

/// What came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event {
    /// A whole command set; [`Deframer::command`] has it.
    Command {
        /// The presentation context.
        context_id: u8,
    },
    /// A piece of a data set, possibly empty.
    Data {
        /// The presentation context.
        context_id: u8,
        /// Where the bytes are: [`Deframer::bytes`].
        span: Span,
        /// The data set ends here.
        last: bool,
    },
    /// A-ASSOCIATE-RQ, -AC, -RJ or A-ABORT: its type and body.
    Control {
        /// The PDU type.
        kind: u8,
        /// Where the body is.
        span: Span,
    },
    /// A-RELEASE-RQ.
    ReleaseRequest,
    /// A-RELEASE-RP.
    ReleaseResponse,
}

#[derive(Debug, Clone, Copy)]
struct Pdv {
    context_id: u8,
    command: bool,
    last: bool,
    remaining: usize,
}

/// The state between two reads.
#[derive(Debug)]
pub(crate) struct Deframer {
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// Bytes of the current P-DATA-TF that have not been looked at.
    pdu_remaining: usize,
    pdv: Option<Pdv>,
    command: Vec<u8>,
    /// The context of a command set of which some fragments have come.
    command_context: Option<u8>,
    max_pdu_length: u32,
    established: bool,
}

impl Deframer {
    /// Begins with a small buffer: an association has yet to be asked for.
    pub(crate) fn new() -> Self {
        Self {
            buffer: vec![0; 4 << 10],
            start: 0,
            end: 0,
            pdu_remaining: 0,
            pdv: None,
            command: Vec::new(),
            command_context: None,
            max_pdu_length: 0,
            established: false,
        }
    }

    /// From here on P-DATA-TF are expected, up to a length (0 is any).
    pub(crate) fn establish(&mut self, max_pdu_length: u32, buffer_length: usize) {
        self.established = true;
        self.max_pdu_length = max_pdu_length;
        if self.buffer.len() < buffer_length {
            self.buffer.resize(buffer_length, 0);
        }
    }

    /// Where the next bytes of the socket belong. Never empty.
    pub(crate) fn space(&mut self) -> &mut [u8] {
        if self.start == self.end {
            self.start = 0;
            self.end = 0;
        } else if self.buffer.len() - self.end < self.buffer.len() / 4 {
            // What is left is the beginning of a header or of a control PDU: short, except while it is read for the first time.
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
            if self.buffer.len() - self.end < self.buffer.len() / 4 {
                let doubled = self.buffer.len() * 2; // bounded by the length checks of control PDUs
                self.buffer.resize(doubled, 0);
            }
        }
        self.buffer.get_mut(self.end..).unwrap_or_default()
    }

    /// Bytes were put at the front of [`Deframer::space`].
    pub(crate) fn filled(&mut self, length: usize) {
        self.end = (self.end + length).min(self.buffer.len());
    }

    /// The bytes of a span.
    pub(crate) fn bytes(&self, span: Span) -> &[u8] {
        self.buffer.get(span.start..span.end).unwrap_or_default()
    }

    /// The command set of the last [`Event::Command`].
    pub(crate) fn command(&self) -> &[u8] {
        &self.command
    }

    /// True when the rest of a PDU or of a command set is to come.
    pub(crate) fn is_amid(&self) -> bool {
        self.available() > 0 || self.pdu_remaining > 0 || self.pdv.is_some() || self.command_context.is_some()
    }

    fn available(&self) -> usize {
        self.end - self.start
    }

    fn peek<const N: usize>(&self) -> Option<[u8; N]> {
        self.buffer.get(self.start..self.end)?.first_chunk::<N>().copied()
    }

    fn consume(&mut self, length: usize) -> Span {
        let start = self.start;
        self.start = (start + length).min(self.end);
        Span { start, end: self.start }
    }

    /// The next event, or `None` when more bytes are needed.
    ///
    /// # Errors
    /// [`AssociationError::Protocol`]: the peer is to be aborted, nothing after it can be understood.
    pub(crate) fn next(&mut self) -> Result<Option<Event>, AssociationError> {
        loop {
            if let Some(pdv) = self.pdv {
                match self.fragment(pdv)? {
                    Progress::Event(event) => return Ok(Some(event)),
                    Progress::Continue => {}
                    Progress::Starved => return Ok(None),
                }
            } else if self.pdu_remaining > 0 {
                if !self.pdv_header()? {
                    return Ok(None);
                }
            } else {
                match self.pdu_header()? {
                    Progress::Event(event) => return Ok(Some(event)),
                    Progress::Continue => {}
                    Progress::Starved => return Ok(None),
                }
            }
        }
    }

    fn pdu_header(&mut self) -> Result<Progress, AssociationError> {
        let Some([kind]) = self.peek::<1>() else {
            return Ok(Progress::Starved);
        };
        if !(pdu::ASSOCIATE_RQ..=pdu::ABORT).contains(&kind) {
            // Said at the first byte: a browser or a TLS client waits for an answer and sends no more.
            return Err(protocol(AbortReason::UnrecognizedPdu, "a PDU of unknown type"));
        }
        if kind == pdu::P_DATA && !self.established {
            return Err(protocol(AbortReason::UnexpectedPdu, "data before the association"));
        }
        let Some([_, _, l0, l1, l2, l3]) = self.peek::<HEADER_LENGTH>() else {
            return Ok(Progress::Starved);
        };
        let length = u32::from_be_bytes([l0, l1, l2, l3]);
        if kind == pdu::P_DATA {
            let limit = self.max_pdu_length.saturating_add(LENGTH_TOLERANCE);
            if length < 6 || (self.max_pdu_length != 0 && length > limit) {
                return Err(protocol(
                    AbortReason::InvalidParameter,
                    "a P-DATA-TF of a length that was not agreed on",
                ));
            }
            self.consume(HEADER_LENGTH);
            self.pdu_remaining = length as usize;
            return Ok(Progress::Continue);
        }
        let limit = if matches!(kind, pdu::ASSOCIATE_RQ | pdu::ASSOCIATE_AC) {
            pdu::ASSOCIATE_LENGTH_MAX
        } else {
            64
        };
        if length > limit || length < 4 {
            return Err(protocol(AbortReason::InvalidParameter, "a PDU of impossible length"));
        }
        let whole = HEADER_LENGTH + length as usize;
        if self.available() < whole {
            return Ok(Progress::Starved);
        }
        self.consume(HEADER_LENGTH);
        let span = self.consume(length as usize);
        Ok(Progress::Event(match kind {
            pdu::RELEASE_RQ => Event::ReleaseRequest,
            pdu::RELEASE_RP => Event::ReleaseResponse,
            _ => Event::Control { kind, span },
        }))
    }

    /// False when more bytes are needed.
    fn pdv_header(&mut self) -> Result<bool, AssociationError> {
        let Some([l0, l1, l2, l3, context_id, control]) = self.peek::<6>() else {
            if self.pdu_remaining < 6 {
                return Err(protocol(
                    AbortReason::InvalidParameter,
                    "a presentation data value cut short by its PDU",
                ));
            }
            return Ok(false);
        };
        let length = u32::from_be_bytes([l0, l1, l2, l3]) as usize;
        if length < 2 || length > self.pdu_remaining.saturating_sub(4) {
            return Err(protocol(
                AbortReason::InvalidParameter,
                "a presentation data value that does not fit its PDU",
            ));
        }
        let command = control & 1 == 1;
        if command && self.command_context.is_some_and(|context| context != context_id) {
            return Err(protocol(
                AbortReason::InvalidParameter,
                "a command set in two presentation contexts",
            ));
        }
        if !command && self.command_context.is_some() {
            return Err(protocol(
                AbortReason::InvalidParameter,
                "data in the middle of a command set",
            ));
        }
        if command && self.command_context.is_none() {
            self.command.clear();
            self.command_context = Some(context_id);
        }
        self.consume(6);
        self.pdu_remaining -= 4 + length;
        self.pdv = Some(Pdv {
            context_id,
            command,
            last: control & 2 == 2,
            remaining: length - 2,
        });
        Ok(true)
    }

    fn fragment(&mut self, pdv: Pdv) -> Result<Progress, AssociationError> {
        let length = self.available().min(pdv.remaining);
        if length == 0 && pdv.remaining > 0 {
            return Ok(Progress::Starved);
        }
        let span = self.consume(length);
        let ended = length == pdv.remaining;
        self.pdv = (!ended).then_some(Pdv {
            remaining: pdv.remaining - length,
            ..pdv
        });
        if !pdv.command {
            return Ok(Progress::Event(Event::Data {
                context_id: pdv.context_id,
                span,
                last: ended && pdv.last,
            }));
        }
        if self.command.len() + length > COMMAND_LENGTH_MAX {
            return Err(protocol(
                AbortReason::InvalidParameter,
                "a command set that is too long",
            ));
        }
        let (from, to) = (span.start, span.end);
        self.command
            .extend_from_slice(self.buffer.get(from..to).unwrap_or_default());
        if ended && pdv.last {
            self.command_context = None;
            return Ok(Progress::Event(Event::Command {
                context_id: pdv.context_id,
            }));
        }
        Ok(Progress::Continue)
    }
}

enum Progress {
    Event(Event),
    Continue,
    Starved,
}

fn protocol(reason: AbortReason, what: &'static str) -> AssociationError {
    AssociationError::Protocol { reason, what }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Feeds bytes in pieces of a size and collects what comes out: commands, data sets by their ends, releases.
    fn run(bytes: &[u8], piece: usize, established: bool) -> Result<Vec<String>, AssociationError> {
        let mut deframer = Deframer::new();
        if established {
            deframer.establish(16384, 4096);
        }
        let mut seen = Vec::new();
        let mut data = Vec::new();
        let mut rest = bytes;
        loop {
            while let Some(event) = deframer.next()? {
                match event {
                    Event::Command { context_id } => {
                        seen.push(format!("{context_id} command {:?}", deframer.command()))
                    }
                    Event::Data { context_id, span, last } => {
                        data.extend_from_slice(deframer.bytes(span));
                        if last {
                            seen.push(format!("{context_id} data {:?}", std::mem::take(&mut data)));
                        }
                    }
                    Event::Control { kind, span } => {
                        seen.push(format!("control {kind} {}", deframer.bytes(span).len()))
                    }
                    Event::ReleaseRequest => seen.push("release".into()),
                    Event::ReleaseResponse => seen.push("released".into()),
                }
            }
            if rest.is_empty() {
                return Ok(seen);
            }
            let space = deframer.space();
            let length = piece.min(rest.len()).min(space.len());
            let (now, later) = rest.split_at(length);
            space[..length].copy_from_slice(now);
            deframer.filled(length);
            rest = later;
        }
    }

    fn pdv(context_id: u8, control: u8, data: &[u8]) -> Vec<u8> {
        let mut out = (data.len() as u32 + 2).to_be_bytes().to_vec();
        out.extend_from_slice(&[context_id, control]);
        out.extend_from_slice(data);
        out
    }

    fn p_data(values: &[Vec<u8>]) -> Vec<u8> {
        let body = values.concat();
        let mut out = vec![4, 0];
        out.extend_from_slice(&(body.len() as u32).to_be_bytes());
        out.extend_from_slice(&body);
        out
    }

    #[test]
    fn fragmented_commands_and_data_come_out_whole_whatever_the_reads() {
        let mut bytes = p_data(&[pdv(3, 1, &[1, 2]), pdv(3, 1, &[])]);
        bytes.extend(p_data(&[pdv(3, 3, &[3]), pdv(3, 0, &[9, 8])]));
        bytes.extend(p_data(&[pdv(3, 0, &[7; 3000])]));
        bytes.extend(p_data(&[pdv(3, 2, &[])]));
        bytes.extend([5, 0, 0, 0, 0, 4, 0, 0, 0, 0]);
        let mut data = vec![9, 8];
        data.extend([7; 3000]);
        let expected = vec![
            "3 command [1, 2, 3]".to_owned(),
            format!("3 data {data:?}"),
            "release".into(),
        ];
        for piece in [1, 2, 5, 7, 100, 4096, 100_000] {
            assert_eq!(run(&bytes, piece, true).unwrap(), expected, "pieces of {piece}");
        }
    }

    #[track_caller]
    fn refused(bytes: &[u8], established: bool, expected: AbortReason) {
        match run(bytes, 3, established) {
            Err(AssociationError::Protocol { reason, .. }) => assert_eq!(reason, expected),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn refuses_what_cannot_be_understood() {
        refused(b"GET / HTTP/1.1", false, AbortReason::UnrecognizedPdu);
        refused(&[0x16, 3, 1], false, AbortReason::UnrecognizedPdu);
        refused(&[1, 0, 0xff, 0xff, 0xff, 0xff], false, AbortReason::InvalidParameter);
        refused(&p_data(&[pdv(1, 3, &[1])]), false, AbortReason::UnexpectedPdu);
        refused(&p_data(&[]), true, AbortReason::InvalidParameter);
        refused(
            &[4, 0, 0, 0, 0, 6, 0, 0, 0, 200, 1, 3],
            true,
            AbortReason::InvalidParameter,
        );
        refused(
            &[4, 0, 0, 0, 0, 6, 0, 0, 0, 1, 1, 3],
            true,
            AbortReason::InvalidParameter,
        );
        refused(
            &[4, 0, 0, 0, 0, 9, 0, 0, 0, 2, 1, 0, 0, 0, 0],
            true,
            AbortReason::InvalidParameter,
        );
        refused(
            &p_data(&[pdv(1, 1, &[1]), pdv(3, 3, &[1])]),
            true,
            AbortReason::InvalidParameter,
        );
        refused(
            &p_data(&[pdv(1, 1, &[1]), pdv(1, 2, &[1])]),
            true,
            AbortReason::InvalidParameter,
        );
        refused(&[4, 0, 0, 1, 0, 0, 0, 0], true, AbortReason::InvalidParameter);
    }

    #[test]
    fn an_endless_command_set_is_cut_off() {
        let piece = p_data(&[pdv(1, 1, &[0; 16000])]);
        let bytes: Vec<u8> = std::iter::repeat_n(piece, 5).flatten().collect();
        refused(&bytes, true, AbortReason::InvalidParameter);
    }

    #[test]
    fn a_slow_association_request_comes_out_whole() {
        let mut bytes = vec![1, 0];
        bytes.extend_from_slice(&100_000u32.to_be_bytes());
        bytes.resize(100_006, 7);
        assert_eq!(run(&bytes, 1000, false).unwrap(), ["control 1 100000"]);
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic_and_pieces_do_not_matter(bytes in proptest::collection::vec(any::<u8>(), 0..400), piece in 1usize..50, kind in 1u8..8) {
            let mut bytes = bytes;
            if let Some(first) = bytes.first_mut() {
                *first = kind;
            }
            let one = run(&bytes, piece, true).is_ok();
            let whole = run(&bytes, 100_000, true).is_ok();
            prop_assert_eq!(one, whole);
        }

        #[test]
        fn mutated_data_never_panics(changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6), piece in 1usize..50) {
            let mut bytes = p_data(&[pdv(3, 1, &[1, 2]), pdv(3, 3, &[5; 40]), pdv(3, 0, &[9, 8])]);
            bytes.extend(p_data(&[pdv(3, 2, &[4; 90])]));
            for (at, value) in changes {
                let at = at.index(bytes.len());
                bytes[at] = value;
            }
            let _ = run(&bytes, piece, true);
        }
    }
}
