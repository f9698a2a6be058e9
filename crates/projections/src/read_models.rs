use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use events::{Envelope, Event};
use types::{JsonDocument, Position};

use crate::audiences::Others;
use crate::{Audiences, Digest, Keys, Lists, Profiles, Projection, Subjects};

/// All read models, folded together: what one shows, the others know too.
pub struct ReadModels {
    pub subjects: Arc<Subjects>,
    pub profiles: Profiles,
    pub lists: Lists,
    pub audiences: Audiences,
    pub keys: Keys,
    checkpoint: AtomicU64,
}

impl Default for ReadModels {
    fn default() -> Self {
        let subjects = Arc::new(Subjects::default());
        Self {
            profiles: Profiles::new(Arc::clone(&subjects)),
            subjects,
            lists: Lists::default(),
            audiences: Audiences::default(),
            keys: Keys::default(),
            checkpoint: AtomicU64::default(),
        }
    }
}

impl ReadModels {
    /// Every query from now on shows at least the events up to here.
    pub fn checkpoint(&self) -> Position {
        Position(self.checkpoint.load(Ordering::Acquire))
    }

    /// Folds a group in order and moves the checkpoint. To be called by one thread, with durable
    /// events only.
    ///
    /// `documents` are profiles as the events at the same places leave them, where that is known
    /// already: the writer has worked it out for its decision, and folding again would parse every
    /// document twice more. A replay knows none and gives an empty slice.
    pub fn apply(&self, group: &[Envelope], documents: &[Option<JsonDocument>]) {
        let Some(last) = group.last() else { return };
        // Subjects come first: the others ask them for user ids. Lists and audiences are locked for
        // the whole group, so that nobody sees half of a request in them.
        let mut lists = self.lists.write();
        let mut audiences = self.audiences.write();
        for (place, envelope) in group.iter().enumerate() {
            match &envelope.event {
                Event::Subject(_) => {
                    self.subjects.apply(envelope);
                    self.profiles.apply(envelope);
                }
                Event::Profile(_) => {
                    let known = documents.get(place).cloned().flatten();
                    self.profiles.apply_known(envelope, known);
                }
                Event::List(_) | Event::ListMember(_) => lists.apply(envelope),
                Event::Audience(_) | Event::Clock(_) => {}
                Event::Key(_) => self.keys.apply(envelope),
            }
            // Audiences come last: they follow from what the others now hold.
            let others = Others {
                profiles: &self.profiles,
                lists: &lists,
            };
            audiences.apply(envelope, others);
        }
        drop((audiences, lists));
        self.checkpoint.store(last.position.0, Ordering::Release);
    }

    /// Name and SHA-256 of every read model, sorted by name. Equal logs give equal digests, on
    /// every machine and after every restart.
    pub fn digests(&self) -> Vec<(&'static str, String)> {
        fn of<P: Projection>(projection: &P) -> (&'static str, String) {
            let mut digest = Digest::default();
            projection.digest(&mut digest);
            (P::NAME, digest.finish())
        }
        let mut digests = vec![
            of(&*self.subjects),
            of(&self.profiles),
            of(&self.lists),
            of(&self.keys),
        ];
        let mut digest = Digest::default();
        self.audiences.read().digest(&mut digest);
        digests.push(("audiences", digest.finish()));
        digests.sort_unstable();
        digests
    }
}
