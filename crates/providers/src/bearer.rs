use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::failure::Failure;

/// A token that is used again until shortly before it ends, and asked for by one at a time.
#[derive(Default)]
pub(crate) struct Bearer(Mutex<Option<Held>>);

struct Held {
    token: String,
    until: Instant,
}

impl Bearer {
    /// The token at hand, or one that is fetched now, with how long it may be used.
    pub(crate) async fn token<F>(&self, fetch: F) -> Result<String, Failure>
    where
        F: Future<Output = Result<(String, Duration), Failure>>,
    {
        let mut held = self.0.lock().await;
        if let Some(held) = &*held
            && Instant::now() < held.until
        {
            return Ok(held.token.clone());
        }
        let (token, lasts) = fetch.await?;
        *held = Some(Held {
            token: token.clone(),
            until: Instant::now() + lasts,
        });
        Ok(token)
    }

    /// Drops a token that was not taken, unless it has been replaced already.
    pub(crate) async fn discard(&self, token: &str) {
        let mut held = self.0.lock().await;
        if held.as_ref().is_some_and(|held| held.token == token) {
            *held = None;
        }
    }
}
