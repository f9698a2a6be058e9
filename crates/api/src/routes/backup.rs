//! A backup of the running server, as frames.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use backup::{NamedFile, send, write_frame};
use engine::Head;
use http_body::Frame;
use proofs::Checkpoint;
use tokio::sync::mpsc;
use types::Position;

use crate::error::ApiError;
use crate::extract::origin::Authenticated;
use crate::extract::query::Parameters;
use crate::state::ApiState;

/// Backups that are sent at the same time; more are told that the server is busy.
pub(crate) const BACKUPS_MAX: usize = 2;
/// Frames that wait to be taken. The log is read no faster than whoever asked takes it.
const WAITING_MAX: usize = 2;

/// `GET /v1/backup?after=`: every block after a position, then the files that a server needs besides. An
/// answer without its last frame is no backup.
pub(crate) async fn get(
    State(state): State<ApiState>,
    _: Authenticated,
    parameters: Parameters,
) -> Result<Response, ApiError> {
    const EXPECTED: &str = "a position that the log has reached";
    let after = Position(parameters.parsed("after", EXPECTED)?.unwrap_or_default());
    if after > state.read_models.checkpoint() {
        return Err(ApiError::invalid_parameter("after", EXPECTED));
    }
    let room = Arc::clone(&state.backups).try_acquire_owned();
    let room = room.map_err(|_| ApiError::busy())?;
    let (sender, frames) = mpsc::channel(WAITING_MAX);
    tokio::task::spawn_blocking(move || {
        let _room = room;
        let sent = send_all(&state, after, &sender);
        if let Err(error) = sent {
            tracing::warn!(%error, "a backup was not sent to its end");
            // The connection is cut, so that nobody takes it for whole.
            let _ = sender.blocking_send(Err(error));
        }
    });
    let kind = HeaderValue::from_static("application/octet-stream");
    Ok(([(header::CONTENT_TYPE, kind)], Body::new(Frames(frames))).into_response())
}

/// Up to where a checkpoint is signed first, which the backup holds as well.
fn send_all(
    state: &ApiState,
    after: Position,
    sender: &mpsc::Sender<io::Result<Bytes>>,
) -> io::Result<()> {
    let note = state.transparency.checkpoint().map_err(io::Error::other)?;
    let signed = Checkpoint::read_unverified(note.as_bytes()).map_err(io::Error::other)?;
    let head = Head {
        position: Position(signed.head.size),
        root: signed.head.root,
    };
    let files = || {
        // A group is shown once the keys of those whom it erases are destroyed, and not before.
        let mut progress = state.engine.progress();
        let shown = progress.wait_for(|shown| *shown >= head.position);
        let shown = tokio::runtime::Handle::current().block_on(shown);
        shown.map_err(io::Error::other)?;
        let mut files = (state.files)()?;
        files.push(NamedFile {
            name: "checkpoint".to_owned(),
            content: note.clone().into_bytes(),
        });
        Ok(files)
    };
    let take = &mut |frame| {
        let mut bytes = Vec::new();
        let written = write_frame(&frame, &mut bytes);
        let piece = written.map(|()| Bytes::from(bytes));
        sender.blocking_send(piece).is_ok()
    };
    send(state.history.log(), head, after, &files, take).map_err(io::Error::other)
}

struct Frames(mpsc::Receiver<io::Result<Bytes>>);

impl HttpBody for Frames {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        self.0
            .poll_recv(context)
            .map(|next| next.map(|bytes| bytes.map(Frame::data)))
    }
}
