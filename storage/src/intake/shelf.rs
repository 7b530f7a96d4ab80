//! Headers of instances that came just now, so that settling and the first readers need not read the bytes again.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Mutex, PoisonError},
};

use crate::model::{Header, SopInstanceUid};

/// Bytes that the shelf holds at most; the oldest headers fall off.
const SHELF_MAX_BYTES: usize = 24 << 20;
/// What a header takes beside its attributes, about.
const OVERHEAD_BYTES: usize = 512;

/// The shelf. A header that is not on it can be described again from the bytes.
#[derive(Debug, Default)]
pub(crate) struct Shelf {
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    headers: HashMap<SopInstanceUid, Header>,
    order: VecDeque<SopInstanceUid>,
    bytes: usize,
}

fn size(header: &Header) -> usize {
    header.attributes.as_bytes().len() + OVERHEAD_BYTES
}

impl Shelf {
    pub(crate) fn put(&self, sop: SopInstanceUid, header: Header) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.bytes += size(&header);
        if let Some(before) = held.headers.insert(sop.clone(), header) {
            held.bytes -= size(&before);
        } else {
            held.order.push_back(sop);
        }
        while held.bytes > SHELF_MAX_BYTES {
            let Some(oldest) = held.order.pop_front() else { break };
            if let Some(header) = held.headers.remove(&oldest) {
                held.bytes -= size(&header);
            }
        }
        // Headers that were taken leave their place in the order behind.
        if held.order.len() > 2 * held.headers.len() + 64 {
            let Held { headers, order, .. } = &mut *held;
            order.retain(|sop| headers.contains_key(sop));
        }
    }

    pub(crate) fn get(&self, sop: &SopInstanceUid) -> Option<Header> {
        self.held
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .headers
            .get(sop)
            .cloned()
    }

    pub(crate) fn take(&self, sop: &SopInstanceUid) -> Option<Header> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let header = held.headers.remove(sop)?;
        held.bytes -= size(&header);
        Some(header)
    }
}
