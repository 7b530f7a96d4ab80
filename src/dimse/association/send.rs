//! Sending messages: commands and data sets cut to the peer's PDU length, headers and data in one write.

use std::io::IoSlice;

use bytes::Bytes;
use tokio::{io::AsyncWriteExt, time::timeout};

use super::{Association, AssociationError, pdu};
use crate::message::CommandSet;

/// Messages that wait for a flush are written before they are longer than this.
const OUTGOING_LENGTH_MAX: usize = 64 << 10;
/// Slices in one `writev`: enough for one 256 kB piece in 16 kB PDUs.
const SLICES_MAX: usize = 64;
/// PDU header and PDV header.
const HEADERS_LENGTH: usize = 12;

const COMMAND: u8 = 1;
const LAST: u8 = 2;

fn headers(context_id: u8, control: u8, length: usize) -> [u8; HEADERS_LENGTH] {
    // A fragment is at most `fragment_length_max`, which came out of a u32.
    let length = u32::try_from(length).unwrap_or_default();
    let [p0, p1, p2, p3] = (length + 6).to_be_bytes();
    let [v0, v1, v2, v3] = (length + 2).to_be_bytes();
    [pdu::P_DATA, 0, p0, p1, p2, p3, v0, v1, v2, v3, context_id, control]
}

impl Association {
    /// Puts a message into the queue that the next [`Association::flush`] writes in one piece.
    pub(crate) fn queue(&mut self, context_id: u8, command: &CommandSet, data_set: Option<&[u8]>) {
        let mut encoded = Vec::with_capacity(256);
        command.encode(&mut encoded);
        self.queue_fragments(context_id, COMMAND, &encoded);
        if let Some(data_set) = data_set {
            self.queue_fragments(context_id, 0, data_set);
        }
    }

    fn queue_fragments(&mut self, context_id: u8, kind: u8, bytes: &[u8]) {
        let longest = self.negotiated.fragment_length_max.max(2);
        let mut rest = bytes;
        loop {
            let (now, later) = rest.split_at(rest.len().min(longest));
            let padding = now.len() % 2; // PS3.8 §E.2: fragments are even; only the last of a deflated set can be odd
            let control = kind | if later.is_empty() { LAST } else { 0 };
            self.outgoing
                .extend_from_slice(&headers(context_id, control, now.len() + padding));
            self.outgoing.extend_from_slice(now);
            self.outgoing.resize(self.outgoing.len() + padding, 0);
            rest = later;
            if rest.is_empty() {
                break;
            }
        }
    }

    /// True when so much is queued that it should be written.
    pub(crate) fn is_queue_long(&self) -> bool {
        self.outgoing.len() >= OUTGOING_LENGTH_MAX
    }

    /// Writes what is queued.
    ///
    /// # Errors
    /// [`AssociationError`] when the peer does not take it.
    pub(crate) async fn flush(&mut self) -> Result<(), AssociationError> {
        if self.outgoing.is_empty() {
            return Ok(());
        }
        let mut outgoing = std::mem::take(&mut self.outgoing);
        let written = self.write_all(&outgoing).await;
        outgoing.clear();
        outgoing.shrink_to(4 * OUTGOING_LENGTH_MAX);
        self.outgoing = outgoing;
        written
    }

    /// Queues and flushes.
    ///
    /// # Errors
    /// As [`Association::flush`].
    pub(crate) async fn send(
        &mut self,
        context_id: u8,
        command: &CommandSet,
        data_set: Option<&[u8]>,
    ) -> Result<(), AssociationError> {
        self.queue(context_id, command, data_set);
        self.flush().await
    }

    /// Sends the next piece of a data set, uncopied, with all that is queued before it. `last` ends the data set; an odd last
    /// piece is padded with a zero. A piece before the last has to be of even length.
    ///
    /// # Errors
    /// As [`Association::flush`].
    pub(crate) async fn send_data(
        &mut self,
        context_id: u8,
        piece: &Bytes,
        last: bool,
    ) -> Result<(), AssociationError> {
        let longest = self.negotiated.fragment_length_max.max(2);
        let padding = if last { piece.len() % 2 } else { 0 };
        let count = piece.len().div_ceil(longest).max(1);
        let mut heads = Vec::with_capacity(count);
        let mut fragments: Vec<&[u8]> = Vec::with_capacity(count);
        let mut rest: &[u8] = piece;
        loop {
            let (now, later) = rest.split_at(rest.len().min(longest));
            let ends = later.is_empty();
            let control = if ends && last { LAST } else { 0 };
            heads.push(headers(context_id, control, now.len() + if ends { padding } else { 0 }));
            fragments.push(now);
            rest = later;
            if ends {
                break;
            }
        }
        let outgoing = std::mem::take(&mut self.outgoing);
        let mut slices: Vec<&[u8]> = Vec::with_capacity(2 * count + 2);
        slices.push(&outgoing);
        for (head, fragment) in heads.iter().zip(&fragments) {
            slices.push(head);
            slices.push(fragment);
        }
        if padding == 1 {
            slices.push(&[0]);
        }
        let written = self.write_slices(&slices).await;
        let mut outgoing = outgoing;
        outgoing.clear();
        self.outgoing = outgoing;
        written
    }

    async fn write_slices(&mut self, slices: &[&[u8]]) -> Result<(), AssociationError> {
        self.writing = true;
        let limit = self.config.network_timeout;
        let mut first = 0;
        let mut offset = 0;
        loop {
            // What was written whole, and empty slices, are passed over.
            while let Some(slice) = slices.get(first) {
                if offset < slice.len() {
                    break;
                }
                offset -= slice.len();
                first += 1;
            }
            if first >= slices.len() {
                break;
            }
            let waiting = slices
                .get(first..)
                .unwrap_or_default()
                .iter()
                .take(SLICES_MAX)
                .enumerate();
            let now: Vec<IoSlice<'_>> = waiting
                .map(|(index, slice)| {
                    IoSlice::new(slice.get(if index == 0 { offset } else { 0 }..).unwrap_or_default())
                })
                .collect();
            let written = timeout(limit, self.connection.write_vectored(&now))
                .await
                .map_err(|_| AssociationError::Timeout("sending"))??;
            if written == 0 {
                return Err(AssociationError::Closed);
            }
            offset += written;
        }
        timeout(limit, self.connection.flush())
            .await
            .map_err(|_| AssociationError::Timeout("sending"))??;
        self.writing = false;
        Ok(())
    }
}
