//! Locks on encrypted objects, at their places.

use async_trait::async_trait;

use super::EncryptedObjects;
use crate::objects::{LegalHold, ObjectError, ObjectLocks, ObjectName, Retention};

impl EncryptedObjects {
    fn locks_at(&self, name: &ObjectName) -> Result<(&dyn ObjectLocks, ObjectName), ObjectError> {
        let locks = self.shared.inner.locks();
        let locks = locks.ok_or_else(|| ObjectError::Remote("the object store has no locks".to_owned()))?;
        Ok((locks, self.shared.place(name)?.at))
    }
}

#[async_trait]
impl ObjectLocks for EncryptedObjects {
    async fn set_retention(&self, name: &ObjectName, retention: Retention) -> Result<(), ObjectError> {
        let (locks, at) = self.locks_at(name)?;
        locks.set_retention(&at, retention).await
    }

    async fn retention(&self, name: &ObjectName) -> Result<Option<Retention>, ObjectError> {
        let (locks, at) = self.locks_at(name)?;
        locks.retention(&at).await
    }

    async fn set_legal_hold(&self, name: &ObjectName, hold: LegalHold) -> Result<(), ObjectError> {
        let (locks, at) = self.locks_at(name)?;
        locks.set_legal_hold(&at, hold).await
    }

    async fn legal_hold(&self, name: &ObjectName) -> Result<LegalHold, ObjectError> {
        let (locks, at) = self.locks_at(name)?;
        locks.legal_hold(&at).await
    }
}
