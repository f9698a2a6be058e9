use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use events::codec::{Decoder, Encoder};
use events::{Envelope, Event};
use parking_lot::RwLockReadGuard;
use types::{JsonDocument, Position, Timestamp};

use crate::attributes::Attributes;
use crate::audiences::{Others, Sets};
use crate::{
    Audiences, Brands, BulkJobs, Digest, Inboxes, Keys, Lists, Messages, Preferences, Profiles,
    Projection, Requests, Subjects, Templates, Tenants, Tokens, Topics, Tracked, Webhooks,
};
use crate::{audiences, lists, preferences, tenants, tokens, topics};

/// All read models, folded together: what one shows, the others know too.
pub struct ReadModels {
    pub subjects: Arc<Subjects>,
    pub profiles: Profiles,
    pub lists: Lists,
    pub tenants: Tenants,
    pub topics: Topics,
    pub preferences: Preferences,
    pub tokens: Tokens,
    pub brands: Brands,
    pub audiences: Audiences,
    pub keys: Keys,
    pub requests: Requests,
    pub webhooks: Webhooks,
    pub messages: Messages,
    pub bulk_jobs: BulkJobs,
    pub templates: Templates,
    pub tracked: Tracked,
    pub inboxes: Inboxes,
    checkpoint: AtomicU64,
}

/// One part of what a snapshot holds.
pub struct SavedPart<'a> {
    /// Stable.
    pub name: &'static str,
    /// As [`Projection::VERSION`].
    pub version: u16,
    pub save: Box<Save<'a>>,
}

type Save<'a> = dyn Fn(&mut Encoder<'_>) -> io::Result<()> + 'a;

impl Default for ReadModels {
    fn default() -> Self {
        let subjects = Arc::new(Subjects::default());
        Self {
            profiles: Profiles::new(Arc::clone(&subjects)),
            subjects,
            lists: Lists::default(),
            tenants: Tenants::default(),
            topics: Topics::default(),
            preferences: Preferences::default(),
            tokens: Tokens::default(),
            brands: Brands::default(),
            audiences: Audiences::default(),
            keys: Keys::default(),
            requests: Requests::default(),
            webhooks: Webhooks::default(),
            messages: Messages::default(),
            bulk_jobs: BulkJobs::default(),
            templates: Templates::default(),
            tracked: Tracked::default(),
            inboxes: Inboxes::default(),
            checkpoint: AtomicU64::default(),
        }
    }
}

/// Everything as of one event: as long as it is held nothing changes.
///
/// The lists are locked first, as by whoever folds, so it does not matter in which order the others
/// are.
pub(crate) struct Frozen<'a> {
    pub(crate) profiles: &'a Profiles,
    pub(crate) tracked: &'a Tracked,
    pub(crate) inboxes: &'a Inboxes,
    pub(crate) lists: RwLockReadGuard<'a, lists::State>,
    pub(crate) tenants: RwLockReadGuard<'a, tenants::State>,
    pub(crate) topics: RwLockReadGuard<'a, topics::State>,
    pub(crate) preferences: RwLockReadGuard<'a, preferences::State>,
    pub(crate) tokens: RwLockReadGuard<'a, tokens::State>,
    pub(crate) audiences: RwLockReadGuard<'a, audiences::State>,
}

impl Frozen<'_> {
    pub(crate) fn sets(&self) -> Sets<'_> {
        Sets {
            lists: &self.lists,
            tenants: &self.tenants,
        }
    }

    pub(crate) fn others(&self) -> Others<'_> {
        Others {
            attributes: Attributes {
                profiles: self.profiles,
                tracked: self.tracked,
            },
            sets: self.sets(),
        }
    }
}

impl ReadModels {
    /// What rules can ask about people.
    pub(crate) fn attributes(&self) -> Attributes<'_> {
        Attributes {
            profiles: &self.profiles,
            tracked: &self.tracked,
        }
    }

    /// For questions that go over several read models.
    pub(crate) fn frozen(&self) -> Frozen<'_> {
        Frozen {
            profiles: &self.profiles,
            tracked: &self.tracked,
            inboxes: &self.inboxes,
            lists: self.lists.read(),
            tenants: self.tenants.read(),
            topics: self.topics.read(),
            preferences: self.preferences.read(),
            tokens: self.tokens.read(),
            audiences: self.audiences.read(),
        }
    }

    /// Every query from now on shows at least the events up to here.
    pub fn checkpoint(&self) -> Position {
        Position(self.checkpoint.load(Ordering::Acquire))
    }

    /// Whether an event at this time would change what is known although nothing else happened: for
    /// somebody a window has changed, or a device token has expired.
    pub fn time_matters(&self, now: Timestamp) -> bool {
        let is_past = |time: Option<Timestamp>| time.is_some_and(|time| time <= now);
        is_past(self.tokens.next_expiry())
            || is_past(self.audiences.next_crossing()) && self.audiences.window_changes_by(now)
    }

    /// Folds a group in order and moves the checkpoint. To be called by one thread, with durable
    /// events only.
    ///
    /// `documents` are profiles as the events at the same places leave them, where that is known
    /// already: the writer has worked it out for its decision, and folding again would parse every
    /// document twice more. A replay knows none and gives an empty slice.
    pub fn apply(&self, group: &[Envelope], documents: &[Option<JsonDocument>]) {
        let Some(last) = group.last() else { return };
        // Subjects come first: the others ask them for user ids. The others are locked for the whole
        // group, so that nobody sees half of a request in them; the lists first, as in [`Frozen`].
        let mut lists = self.lists.write();
        let mut tenants = self.tenants.write();
        let mut topics = self.topics.write();
        let mut preferences = self.preferences.write();
        let mut tokens = self.tokens.write();
        let mut audiences = self.audiences.write();
        for (place, envelope) in group.iter().enumerate() {
            tokens.pass(envelope.recorded_at);
            match &envelope.event {
                Event::Subject(_) => {
                    self.subjects.apply(envelope);
                    self.profiles.apply(envelope);
                    self.requests.apply(envelope);
                    self.messages.apply(envelope);
                    self.bulk_jobs.apply(envelope);
                }
                Event::Profile(_) => {
                    let known = documents.get(place).cloned().flatten();
                    self.profiles.apply_known(envelope, known);
                }
                Event::List(_) | Event::ListMember(_) => lists.apply(envelope),
                Event::Tenant(_) | Event::TenantMember(_) => tenants.apply(envelope),
                Event::Section(_) | Event::Topic(_) | Event::PreferencePage(_) => {
                    topics.apply(envelope);
                }
                Event::Preference(_) => preferences.apply(envelope),
                Event::Token(_) => tokens.apply(envelope),
                Event::Brand(_) => self.brands.apply(envelope),
                Event::Audience(_) | Event::Clock(_) => {}
                Event::Key(_) => self.keys.apply(envelope),
                Event::Request(_) => self.requests.apply(envelope),
                Event::Webhook(_) => self.webhooks.apply(envelope),
                Event::Message(_) => self.messages.apply(envelope),
                Event::Bulk(_) => self.bulk_jobs.apply(envelope),
                Event::Template(_) => self.templates.apply(envelope),
                Event::Track(_) => self.tracked.apply(envelope),
                Event::Inbox(_) => {
                    self.inboxes.apply(envelope);
                    self.messages.apply(envelope);
                }
            }
            // Audiences come last: they follow from what the others now hold.
            let others = Others {
                attributes: self.attributes(),
                sets: Sets {
                    lists: &lists,
                    tenants: &tenants,
                },
            };
            audiences.apply(envelope, others);
        }
        tokens.sweep();
        // Before the locks go, so that whoever holds them knows as of which event everything is.
        self.checkpoint.store(last.position.0, Ordering::Release);
        drop((audiences, tokens, preferences, topics, tenants, lists));
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
            of(&self.tenants),
            of(&self.topics),
            of(&self.preferences),
            of(&self.tokens),
            of(&self.brands),
            of(&self.keys),
            of(&self.requests),
            of(&self.webhooks),
            of(&self.messages),
            of(&self.bulk_jobs),
            of(&self.templates),
            of(&self.tracked),
            of(&self.inboxes),
        ];
        let mut digest = Digest::default();
        self.audiences.read().digest(&mut digest);
        digests.push(("audiences", digest.finish()));
        digests.sort_unstable();
        digests
    }

    /// What a snapshot holds, part by part. To be written while nobody folds.
    pub fn parts(&self) -> Vec<SavedPart<'_>> {
        fn of<'a, P: Projection>(
            save: impl Fn(&mut Encoder<'_>) -> io::Result<()> + 'a,
        ) -> SavedPart<'a> {
            SavedPart {
                name: P::NAME,
                version: P::VERSION,
                save: Box::new(save),
            }
        }
        vec![
            of::<Subjects>(|out| self.subjects.save(out)),
            of::<Profiles>(|out| self.profiles.save(out)),
            of::<Lists>(|out| self.lists.save(out)),
            of::<Tenants>(|out| self.tenants.save(out)),
            of::<Topics>(|out| self.topics.save(out)),
            of::<Preferences>(|out| self.preferences.save(out)),
            of::<Tokens>(|out| self.tokens.save(out)),
            of::<Brands>(|out| self.brands.save(out)),
            of::<Keys>(|out| self.keys.save(out)),
            of::<Requests>(|out| self.requests.save(out)),
            of::<Webhooks>(|out| self.webhooks.save(out)),
            of::<Messages>(|out| self.messages.save(out)),
            of::<BulkJobs>(|out| self.bulk_jobs.save(out)),
            of::<Templates>(|out| self.templates.save(out)),
            of::<Tracked>(|out| self.tracked.save(out)),
            of::<Inboxes>(|out| self.inboxes.save(out)),
            SavedPart {
                name: "audiences",
                version: Audiences::VERSION,
                save: Box::new(|out| self.audiences.read().save(out)),
            },
        ]
    }

    /// Reads what [`ReadModels::parts`] wrote, one after the other, at this checkpoint. Every answer is
    /// then what it was, and every later event has the same effect; only what was remembered of recent
    /// changes of audiences is not.
    pub fn restore(checkpoint: Position, input: &mut Decoder<'_>) -> io::Result<Self> {
        let (subjects, in_order) = Subjects::restore(input)?;
        let subjects = Arc::new(subjects);
        // Nothing that follows finds people by user id, so that is prepared on a core of its own.
        thread::scope(|scope| {
            scope.spawn(|| subjects.index(in_order));
            Self::restore_others(checkpoint, Arc::clone(&subjects), input)
        })
    }

    fn restore_others(
        checkpoint: Position,
        subjects: Arc<Subjects>,
        input: &mut Decoder<'_>,
    ) -> io::Result<Self> {
        let restored = Self {
            profiles: Profiles::restore(input, Arc::clone(&subjects))?,
            subjects,
            lists: Lists::restore(input)?,
            tenants: Tenants::restore(input)?,
            topics: Topics::restore(input)?,
            preferences: Preferences::restore(input)?,
            tokens: Tokens::restore(input)?,
            brands: Brands::restore(input)?,
            keys: Keys::restore(input)?,
            requests: Requests::restore(input)?,
            webhooks: Webhooks::restore(input)?,
            messages: Messages::restore(input)?,
            bulk_jobs: BulkJobs::restore(input)?,
            templates: Templates::restore(input)?,
            tracked: Tracked::restore(input)?,
            inboxes: Inboxes::restore(input)?,
            audiences: Audiences::default(),
            checkpoint: AtomicU64::new(checkpoint.0),
        };
        let audiences = {
            let (lists, tenants) = (restored.lists.read(), restored.tenants.read());
            let others = Others {
                attributes: restored.attributes(),
                sets: Sets {
                    lists: &lists,
                    tenants: &tenants,
                },
            };
            audiences::State::restore(input, others)?
        };
        *restored.audiences.write() = audiences;
        Ok(restored)
    }
}
