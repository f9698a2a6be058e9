use std::sync::Arc;

use tokio::sync::{Semaphore, watch};
use types::{PageLimit, Position};

use crate::event_json::EventJson;
use crate::history::{EventsQuery, History, HistoryError, Order};

/// Events in one piece.
const PIECE_EVENTS: u64 = 256;
/// A piece that holds more bytes than this is not filled further.
const PIECE_BYTES: usize = 256 * 1024;

/// Reads the log from a position on, and goes on with what is written: every event that matches, in
/// order, once.
///
/// ```text
///   after ──── read in bounded pieces ────▶ checkpoint ──── wait until it moves ────▶ …
/// ```
/// Nothing is kept for whoever reads slowly: they are further behind, and what they have not read
/// stands in the log. Only what is durable and visible is read.
pub struct Subscription {
    history: History,
    query: EventsQuery,
    progress: watch::Receiver<Position>,
    /// Those that read at the same time share so many turns.
    turns: Arc<Semaphore>,
    after: Position,
}

/// What follows.
pub struct Followed<T = EventJson> {
    pub items: Vec<T>,
    /// Everything up to here has been looked at.
    pub through: Position,
    /// Where the log stood then.
    pub head: Position,
}

impl<T> Followed<T> {
    /// How many events are still to be looked at.
    pub fn behind(&self) -> u64 {
        self.head.0.saturating_sub(self.through.0)
    }
}

impl Subscription {
    /// What matches and comes after the query's `after`. Its order and its limit count for nothing.
    /// `progress` is [`crate::Engine::progress`]; whoever has one of the `turns` reads.
    pub fn new(
        history: History,
        query: EventsQuery,
        progress: watch::Receiver<Position>,
        turns: Arc<Semaphore>,
    ) -> Self {
        Self {
            history,
            after: query.after.unwrap_or_default(),
            query: EventsQuery {
                order: Order::Ascending,
                limit: PageLimit::clamped(PIECE_EVENTS),
                bytes_max: Some(PIECE_BYTES),
                before: None,
                ..query
            },
            progress,
            turns,
        }
    }

    /// Everything up to here has been handed out.
    pub fn after(&self) -> Position {
        self.after
    }

    /// Where the log stands.
    pub fn head(&self) -> Position {
        *self.progress.borrow()
    }

    /// Waits until there is more to look at. Whether there ever will be: not once the writer has ended.
    /// Giving up waiting loses nothing.
    pub async fn wait(&mut self) -> bool {
        let after = self.after;
        let moved = self.progress.wait_for(|head| *head > after).await;
        moved.is_ok()
    }

    /// The next piece, as feeds show it; it may hold nothing, where nothing matched. Waits for a turn and
    /// for the disk, never for events. Giving up waiting loses nothing.
    pub async fn next(&mut self) -> Result<Followed, HistoryError> {
        self.next_with(|history, query| history.page(query, &|| true))
            .await
    }

    /// As [`Subscription::next`], with another way to make a page of what the query finds.
    pub async fn next_with<T: Send + 'static>(
        &mut self,
        page: impl FnOnce(&History, &EventsQuery) -> Result<crate::EventsPage<T>, HistoryError>
        + Send
        + 'static,
    ) -> Result<Followed<T>, HistoryError> {
        let turn = Arc::clone(&self.turns).acquire_owned().await;
        let (history, mut query) = (self.history.clone(), self.query.clone());
        query.after = Some(self.after);
        let reading = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            page(&history, &query)
        });
        let page = reading.await.expect("reading does not panic")?;
        // A time from which to begin has been passed with the first piece.
        self.after = self.after.max(page.through);
        Ok(Followed {
            items: page.items,
            through: self.after,
            head: self.head(),
        })
    }
}
