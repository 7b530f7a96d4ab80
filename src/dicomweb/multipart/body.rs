//! A request's body within its bounds.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use axum::body::Body;
use bytes::Bytes;
use futures_util::{
    Stream, StreamExt,
    stream::{self, BoxStream},
};

/// Why a body did not come whole.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// More bytes than are taken.
    #[error("the body is longer than {0} bytes")]
    TooLarge(u64),
    /// The sender was silent for too long.
    #[error("nothing came for {} seconds", .0.as_secs())]
    Idle(Duration),
    /// The connection failed.
    #[error("the connection failed: {0}")]
    Broken(String),
}

/// The bytes of a body.
pub struct BodyStream(BoxStream<'static, Result<Bytes, BodyError>>);

impl Stream for BodyStream {
    type Item = Result<Bytes, BodyError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_next_unpin(context)
    }
}

/// The bytes of a body, of at most `max_bytes`, from a sender that is never silent for `idle_max`.
pub fn bounded(body: Body, max_bytes: u64, idle_max: Duration) -> BodyStream {
    let state = Some((body.into_data_stream(), 0_u64));
    let pieces = stream::unfold(state, move |state| async move {
        let (mut pieces, taken) = state?;
        let piece = match tokio::time::timeout(idle_max, pieces.next()).await {
            Ok(piece) => piece?,
            Err(_) => return Some((Err(BodyError::Idle(idle_max)), None)),
        };
        let piece = match piece {
            Ok(piece) => piece,
            Err(error) => return Some((Err(BodyError::Broken(error.to_string())), None)),
        };
        let taken = taken + piece.len() as u64;
        if taken > max_bytes {
            return Some((Err(BodyError::TooLarge(max_bytes)), None));
        }
        Some((Ok(piece), Some((pieces, taken))))
    });
    BodyStream(pieces.boxed())
}

#[cfg(test)]
mod tests {
    use futures_util::TryStreamExt;

    use super::*;

    #[tokio::test]
    async fn a_body_is_held_to_its_bounds() {
        let idle = Duration::from_millis(5);
        let read = |body: Body, max| async move { bounded(body, max, idle).try_collect::<Vec<Bytes>>().await };
        assert_eq!(read(Body::from("12345"), 5).await.unwrap().concat(), b"12345");
        assert_eq!(read(Body::from("12345"), 4).await, Err(BodyError::TooLarge(4)));
        let silent = Body::from_stream(stream::pending::<Result<Bytes, std::io::Error>>());
        assert_eq!(read(silent, 4).await, Err(BodyError::Idle(idle)));
        let broken = Body::from_stream(stream::iter([Err::<Bytes, _>(std::io::Error::other("gone"))]));
        assert!(matches!(read(broken, 4).await, Err(BodyError::Broken(_))));
    }
}
