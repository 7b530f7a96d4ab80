//! Character sets (PS3.3 §C.12.1.1.2, PS3.5 §6.1): from what a data set is written in to UTF-8, and back.

mod decode;
mod encode;
mod terms;

pub(crate) use decode::{Decoder, Fidelity};
pub(crate) use encode::Encoder;

#[cfg(test)]
mod tests;
