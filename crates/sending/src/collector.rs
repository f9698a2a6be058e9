use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use engine::{Command, Engine, ExecuteError, Origin, Settlement};
use tokio::sync::{Notify, mpsc};
use types::{MessageId, Position};

use crate::runner::InFlight;

/// Outcomes that are written down together, at most: no more than one event of each message can name.
const TOGETHER_MAX: usize = 1_000;
/// How long to wait when the writer has no room.
const PAUSE: Duration = Duration::from_millis(50);

/// What became of a message for one person.
pub(crate) struct Outcome {
    pub(crate) accepted: Position,
    pub(crate) id: MessageId,
    pub(crate) settlement: Settlement,
}

/// Has the log note what became of messages, whatever has come together meanwhile in one go. Only then are
/// the people free to be looked at again: whoever is settled will not be.
pub(crate) async fn collect(
    engine: Engine,
    mut outcomes: mpsc::Receiver<Outcome>,
    in_flight: Arc<InFlight>,
    room: Arc<Notify>,
) {
    let mut together = Vec::new();
    while outcomes.recv_many(&mut together, TOGETHER_MAX).await > 0 {
        let mut by_message: HashMap<Position, (MessageId, Vec<Settlement>)> = HashMap::new();
        for outcome in together.drain(..) {
            let (_, settlements) = by_message
                .entry(outcome.accepted)
                .or_insert_with(|| (outcome.id, Vec::new()));
            settlements.push(outcome.settlement);
        }
        // They are asked for together, so that they share a flush.
        let mut waiting = Vec::with_capacity(by_message.len());
        for (accepted, (id, settlements)) in by_message {
            let people: Vec<_> = settlements.iter().map(|it| it.subject).collect();
            let engine = engine.clone();
            let settling = tokio::spawn(async move { settle(&engine, id, settlements).await });
            waiting.push((accepted, people, settling));
        }
        for (accepted, people, settling) in waiting {
            if !settling.await.unwrap_or(false) {
                // Nothing more is written. Whoever starts again looks at them again.
                return;
            }
            in_flight.release(accepted, people);
        }
        room.notify_one();
    }
}

/// Whether the writer is still there.
async fn settle(engine: &Engine, id: MessageId, settlements: Vec<Settlement>) -> bool {
    loop {
        let command = Command::SettleMessage {
            id: id.clone(),
            settlements: settlements.clone(),
        };
        match engine.execute(command, sender()).await {
            Ok(_) => return true,
            Err(ExecuteError::Busy) => tokio::time::sleep(PAUSE).await,
            Err(ExecuteError::Stopped) => return false,
            Err(ExecuteError::Refused(refusal)) => {
                tracing::error!(message.id = id.as_str(), %refusal, "an outcome was refused");
                return true;
            }
        }
    }
}

/// Who writes down what became of messages.
pub(crate) fn sender() -> Origin {
    Origin {
        actor: engine::Actor {
            id: "system".to_owned(),
            name: "sender".to_owned(),
            on_behalf_of: None,
        },
        ..Origin::default()
    }
}
