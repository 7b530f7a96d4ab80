//! Room that is kept for the log: a file of zeros, which is given up bit by bit on a full disk. So what is stored can still be
//! served, and recorded, when nobody else can write any more.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    path::Path,
};

/// Bytes that are kept: some thousand events.
const KEPT_BYTES: u64 = if cfg!(test) { 32 << 10 } else { 4 << 20 };
/// Bytes that are given up, or taken back, at a time.
const STEP_BYTES: u64 = KEPT_BYTES / 16;

/// The file.
#[derive(Debug)]
pub(crate) struct Reserve {
    file: Option<File>,
    length: u64,
}

impl Reserve {
    /// Takes what room there is.
    pub(crate) fn open(path: &Path) -> Self {
        let opened = OpenOptions::new().create(true).append(true).open(path);
        let (file, length) = match opened {
            Ok(file) => {
                let length = file.metadata().map_or(0, |metadata| metadata.len());
                (Some(file), length)
            }
            Err(error) => {
                tracing::warn!(%error, "no room can be kept for the audit log");
                (None, 0)
            }
        };
        let mut reserve = Self { file, length };
        while reserve.take_back() {}
        reserve
    }

    /// Gives up some room. False when there is none left.
    pub(crate) fn give_up(&mut self) -> bool {
        let Some(file) = self.file.as_ref().filter(|_| self.length > 0) else {
            return false;
        };
        let length = self.length.saturating_sub(STEP_BYTES);
        if file.set_len(length).is_err() {
            return false;
        }
        self.length = length;
        true
    }

    /// Takes some room back. False when there is none, or enough.
    pub(crate) fn take_back(&mut self) -> bool {
        if self.length >= KEPT_BYTES {
            return false;
        }
        let Some(file) = self.file.as_mut() else {
            return false;
        };
        let written = file.write_all(&vec![0; usize::try_from(STEP_BYTES).unwrap_or_default()]);
        if written.is_ok() {
            self.length += STEP_BYTES;
            return true;
        }
        let _ = file.set_len(self.length);
        false
    }
}

/// True for the error of a full disk.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
