//! Large answers take room until they are written, and there is only so much.

use std::sync::Arc;

use axum::body::{Body, Bytes, HttpBody as _};
use axum::response::{IntoResponse as _, Response};
use http_body_util::BodyExt as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::ApiError;
use crate::request::AnswerPosition;
use crate::state::SMALL_BODY_BYTES_MAX;

/// Bytes of large answers that are held until whoever asked has taken them.
const BYTES_MAX: usize = 256 * 1024 * 1024;
/// Room is counted in pieces of this size: a semaphore counts to 2^32.
const PIECE_BYTES: usize = 1024;

/// Room for so many bytes.
pub(crate) fn space(bytes: usize) -> Arc<Semaphore> {
    Arc::new(Semaphore::new(bytes / PIECE_BYTES))
}

/// Some of the room, until it is given back by dropping it; nothing if there is not as much left.
pub(crate) fn room(space: &Arc<Semaphore>, bytes: usize) -> Option<OwnedSemaphorePermit> {
    let pieces = u32::try_from(bytes.div_ceil(PIECE_BYTES)).ok()?;
    Arc::clone(space).try_acquire_many_owned(pieces).ok()
}

/// Answers that are not taken yet. Whoever reads slowly keeps one in memory as long as that takes.
pub(crate) struct Answers(Arc<Semaphore>);

impl Default for Answers {
    fn default() -> Self {
        Self(space(BYTES_MAX))
    }
}

impl Answers {
    /// The answer, which takes room if it is large; or that the server is busy, if there is none.
    pub(crate) fn hold(&self, response: Response) -> Response {
        let bytes = response.body().size_hint().lower();
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
        if bytes <= SMALL_BODY_BYTES_MAX {
            return response;
        }
        let Some(room) = room(&self.0, bytes) else {
            // What took effect is not answered as if it had not.
            let is_write = response.extensions().get::<AnswerPosition>().is_some();
            return if is_write {
                response
            } else {
                ApiError::busy().into_response()
            };
        };
        let room = Arc::new(room);
        response.map(|body| {
            Body::new(body.map_frame(move |frame| {
                let room = Arc::clone(&room);
                frame.map_data(|data| Bytes::from_owner(Held { data, _room: room }))
            }))
        })
    }
}

/// Bytes that take room. The connection holds on to them after the body has ended.
struct Held {
    data: Bytes,
    _room: Arc<OwnedSemaphorePermit>,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.data
    }
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;
    use types::Position;

    use super::*;

    fn answer(bytes: usize) -> Response {
        Response::new(Body::from(vec![b'x'; bytes]))
    }

    #[tokio::test]
    async fn an_answer_takes_room_until_its_last_byte_is_gone() {
        let answers = Answers(space(300 * 1024));
        let left = || answers.0.available_permits();
        let held = answers.hold(answer(200 * 1024));
        assert_eq!(left(), 100);
        let frame = held.into_body().frame().await;
        let data = frame.expect("a frame").expect("bytes").into_data();
        let data = data.expect("data");
        assert_eq!((left(), data.len()), (100, 200 * 1024));
        assert_eq!(
            answers.hold(answer(101 * 1024)).status(),
            StatusCode::SERVICE_UNAVAILABLE
        );
        assert_eq!(
            answers.hold(answer(SMALL_BODY_BYTES_MAX)).status(),
            StatusCode::OK,
            "a small one takes none"
        );
        let mut write = answer(101 * 1024);
        write.extensions_mut().insert(AnswerPosition(Position(1)));
        assert_eq!(answers.hold(write).status(), StatusCode::OK);
        drop(data);
        assert_eq!(left(), 300);
        assert_eq!(answers.hold(answer(300 * 1024)).status(), StatusCode::OK);
    }
}
