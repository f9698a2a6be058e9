use std::sync::Arc;
use std::time::Duration;

use api::Metrics;
use projections::ReadModels;
use types::{AudienceId, Position, SubjectId};

/// Between one audience and the next.
const PAUSE: Duration = Duration::from_secs(10);
/// How much of the profiles is compared while nothing else can change: some milliseconds at most.
const BYTES_AT_ONCE: usize = 64 * 1024;
/// Between those and the next, so that the writer is never kept waiting for long.
const BREATH: Duration = Duration::from_millis(5);

/// Compares one audience after the other with what its rule says, person by person, beside the
/// writer. The index must never disagree with the rule; if it does, this is how one learns of it.
pub(crate) async fn run(read_models: Arc<ReadModels>, metrics: Arc<Metrics>) {
    let mut last: Option<AudienceId> = None;
    // Where the log stood when a round over all audiences began.
    let mut round_began: Option<Position> = None;
    loop {
        tokio::time::sleep(PAUSE).await;
        let Some(audience) = read_models.audiences.following(last.as_ref()) else {
            last = None;
            continue;
        };
        if last.is_none() {
            let now = read_models.checkpoint();
            if round_began == Some(now) {
                // Nothing has happened since everything was compared.
                continue;
            }
            round_began = Some(now);
        }
        check(&read_models, &metrics, &audience).await;
        last = Some(audience);
    }
}

async fn check(read_models: &Arc<ReadModels>, metrics: &Metrics, audience: &AudienceId) {
    let mut next = Some(SubjectId(0));
    while let Some(from) = next {
        let (models, id) = (Arc::clone(read_models), audience.clone());
        let compare = move || models.check_audience(&id, from, BYTES_AT_ONCE);
        let Ok(Some(compared)) = tokio::task::spawn_blocking(compare).await else {
            return;
        };
        if !compared.divergent.is_empty() {
            metrics.audience_diverged(compared.divergent.len() as u64);
            tracing::error!(
                audience.id = audience.as_str(),
                people = ?compared.divergent,
                "an audience and its rule disagree"
            );
        }
        next = compared.next;
        tokio::time::sleep(BREATH).await;
    }
    metrics.audience_checked();
}
