//! Pixel data: what it is, decoded and encoded (PS3.5 §8 and annexes A.4, F and G).
//!
//! Samples in, samples out: nothing here knows where an instance lies or what a picture of it looks like.
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)
)]

pub mod colour;
pub mod compress;
pub mod decode;
pub mod elements;
pub mod pixel_description;
pub mod transcode;
