//! Changes that were begun are carried through, whether or not their client stays: a handler is dropped with its connection, and one
//! that is dropped between writing something down and having it in force would leave what was decided without effect, and
//! without its line in the audit trail.

use axum::{
    extract::Request,
    http::{Method, StatusCode},
    middleware::Next,
    response::{IntoResponse, Response},
};
use tracing::Instrument;

/// The layer. What only reads, and what a client streams in, ends with its client.
pub async fn carry_through(request: Request, next: Next) -> Response {
    let is_reading = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    if is_reading || !request.uri().path().starts_with("/api/") {
        return next.run(request).await;
    }
    let carried = tokio::spawn(next.run(request).in_current_span());
    carried.await.unwrap_or_else(|error| {
        tracing::error!(%error, "a change ended before its answer");
        StatusCode::INTERNAL_SERVER_ERROR.into_response()
    })
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use axum::{Router, body::Body, middleware::from_fn, routing::any};
    use tokio::sync::Semaphore;
    use tower::ServiceExt;

    use super::*;

    /// Sends a request whose client goes away while it is being carried out; tells whether it was carried out all the same.
    async fn is_carried_through(method: Method, path: &str) -> bool {
        let (begun, go, done) = (
            Arc::new(Semaphore::new(0)),
            Arc::new(Semaphore::new(0)),
            Arc::new(Semaphore::new(0)),
        );
        let steps = (begun.clone(), go.clone(), done.clone());
        let handler = move || {
            let (begun, go, done) = steps.clone();
            async move {
                begun.add_permits(1);
                let _ = go.acquire().await;
                done.add_permits(1);
            }
        };
        let router = Router::new().route(path, any(handler)).layer(from_fn(carry_through));
        let request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
        let client = tokio::spawn(router.oneshot(request));
        begun.acquire().await.unwrap().forget();
        client.abort();
        assert!(client.await.unwrap_err().is_cancelled());
        go.add_permits(1);
        tokio::time::timeout(Duration::from_millis(500), done.acquire())
            .await
            .is_ok()
    }

    #[tokio::test]
    async fn what_is_changed_is_carried_through_and_what_is_read_is_not() {
        assert!(is_carried_through(Method::POST, "/api/v1/holds").await);
        assert!(is_carried_through(Method::DELETE, "/api/v1/peers/CT1").await);
        assert!(!is_carried_through(Method::GET, "/api/v1/holds").await);
        assert!(!is_carried_through(Method::POST, "/dicom-web/studies").await);
    }
}
