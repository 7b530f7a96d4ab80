//! The room that shows: frames become pictures as PS3.4 §N and PS3.3 C.11 say.

pub mod colour;
pub mod decode;
pub mod elements;
pub mod pixel_description;
pub mod transcode;
