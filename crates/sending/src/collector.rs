use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use engine::{Command, Engine, ExecuteError, Origin, Settlement};
use roaring::RoaringBitmap;
use tokio::sync::{Notify, mpsc};
use types::{MessageId, Position};

use crate::in_flight::InFlight;
use crate::lanes::Place;

/// Outcomes that are written down together, at most: no more than one event of each message can name.
const TOGETHER_MAX: usize = 1_000;
/// How long to wait when the writer has no room.
const PAUSE: Duration = Duration::from_millis(50);

/// What became of a message for one person.
pub(crate) struct Outcome {
    pub(crate) accepted: Position,
    pub(crate) id: MessageId,
    pub(crate) settlement: Settlement,
    /// Free for somebody else once it is noted.
    pub(crate) place: Option<Place>,
}

/// Has the log note what became of messages, whatever has come together meanwhile in one go. Only then are
/// the people free to be looked at again: whoever is settled will not be. Whose outcome the log does not take
/// is not looked at again before the next start, so that nobody is told without end.
pub(crate) async fn collect(
    engine: Engine,
    mut outcomes: mpsc::Receiver<Outcome>,
    in_flight: Arc<InFlight>,
    room: Arc<Notify>,
) {
    let mut together = Vec::new();
    let mut places = Vec::new();
    while outcomes.recv_many(&mut together, TOGETHER_MAX).await > 0 {
        let mut by_message: HashMap<Position, (MessageId, Vec<Settlement>)> = HashMap::new();
        for outcome in together.drain(..) {
            let (_, settlements) = by_message
                .entry(outcome.accepted)
                .or_insert_with(|| (outcome.id, Vec::new()));
            settlements.push(outcome.settlement);
            places.extend(outcome.place);
        }
        // They are asked for together, so that they share a flush.
        let mut waiting = Vec::with_capacity(by_message.len());
        for (accepted, (id, settlements)) in by_message {
            let people: RoaringBitmap = settlements.iter().map(|it| it.subject.0).collect();
            let engine = engine.clone();
            let settling = tokio::spawn(async move { settle(&engine, id, settlements).await });
            waiting.push((accepted, people, settling));
        }
        for (accepted, people, settling) in waiting {
            match settling.await {
                Ok(Noted::Yes) => in_flight.release(accepted, &people),
                Ok(Noted::Refused) => {}
                // Nothing more is written. Whoever starts again looks at them again.
                Ok(Noted::Stopped) => return,
                Err(error) => tracing::error!(%error, "outcomes could not be noted"),
            }
        }
        places.clear();
        room.notify_one();
    }
}

enum Noted {
    Yes,
    Refused,
    /// The writer is not there any more.
    Stopped,
}

async fn settle(engine: &Engine, id: MessageId, settlements: Vec<Settlement>) -> Noted {
    loop {
        let command = Command::SettleMessage {
            id: id.clone(),
            settlements: settlements.clone(),
        };
        match engine.execute(command, sender()).await {
            Ok(_) => return Noted::Yes,
            Err(ExecuteError::Busy) => tokio::time::sleep(PAUSE).await,
            Err(ExecuteError::Stopped) => return Noted::Stopped,
            Err(ExecuteError::Refused(refusal)) => {
                tracing::error!(message.id = id.as_str(), %refusal, "an outcome was refused");
                return Noted::Refused;
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
