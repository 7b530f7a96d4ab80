//! `multipart/related` (RFC 2046 §5.1, RFC 2387, PS3.18 §8.6.1.2), read and written as a stream.

mod body;
mod header;
mod reader;
mod writer;

pub use body::{BodyError, BodyStream, bounded};
pub use header::{ContentType, PartHeaders};
pub use reader::{MultipartError, MultipartReader};
pub use writer::Boundary;
