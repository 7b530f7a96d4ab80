//! Packs: immutable tar objects that hold the settled instances of one series, and the blocks of headers beside them.

pub(crate) mod compose;
pub(crate) mod headers;
pub(crate) mod tar;
pub(crate) mod walk;
