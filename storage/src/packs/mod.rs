//! Packs: immutable tar objects that hold the settled instances of one series.

pub(crate) mod tar;
