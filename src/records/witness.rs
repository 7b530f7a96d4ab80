//! Who is told before something is destroyed.

use async_trait::async_trait;

use super::{Batch, Item, PatientKey};

/// Keeps a record of what is destroyed. Without one nothing is.
#[async_trait]
pub trait Witness: Send + Sync {
    /// A study is about to be destroyed. Returns when that is recorded on stable storage.
    ///
    /// # Errors
    /// One sentence: the study is not destroyed then, and it is tried again.
    async fn destroying(&self, batch: &Batch, item: &Item, patient: &PatientKey) -> Result<(), String>;
}
