//! A million people in the read models, without a log beneath: what the index costs by itself.

use events::{
    AudienceDefined, AudienceDeleted, Envelope, Event, Personal, ProfileUpdate, ProfileUpdated,
    SubjectRegistered,
};
use projections::ReadModels;
use serde_json::{Value, json};
use types::filter::{Facts, Group, RuleLimits, Set};
use types::{
    AttributePath, AudienceId, JsonDocument, Position, StreamId, StreamVersion, SubjectId,
    Timestamp, UserId,
};

pub(crate) const PEOPLE: u32 = 1_000_000;
pub(crate) const TENANTS: u32 = 100_000;
pub(crate) const PLANS: [&str; 8] = [
    "free", "trial", "basic", "plus", "pro", "team", "pro+", "max",
];
/// Between one event and the next, in nanoseconds.
const STEP: u64 = 1_000;
/// 2026-01-01T00:00:00Z.
const START: u64 = 1_767_225_600_000_000_000;

/// splitmix64: the same world in every run.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, bound: u32) -> u32 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        let high = u32::try_from((mixed ^ (mixed >> 31)) >> 32).unwrap_or(0);
        high % bound
    }
}

pub(crate) struct World {
    pub(crate) models: ReadModels,
    position: u64,
}

impl World {
    pub(crate) fn populated() -> Self {
        let mut world = Self {
            models: ReadModels::default(),
            position: 0,
        };
        let mut random = Random(1);
        for number in 0..PEOPLE {
            let subject = SubjectId(number);
            let user_id =
                Personal::Known(UserId::parse(&format!("user-{number}")).expect("it is an id"));
            let registered = SubjectRegistered { user_id }.into();
            let registered = world.envelope(StreamId::Subject(subject), Some(subject), registered);
            world.models.apply(&[registered], &[]);
            let (updated, document) = world.update(
                subject,
                &profile(&mut random, number),
                ProfileUpdate::Replace,
            );
            world.models.apply(&[updated], &[Some(document)]);
        }
        world
    }

    fn envelope(&mut self, stream: StreamId, subject: Option<SubjectId>, event: Event) -> Envelope {
        self.position += 1;
        Envelope {
            position: Position(self.position),
            stream,
            version: StreamVersion(1),
            recorded_at: Timestamp(START + self.position * STEP),
            subjects: subject.into_iter().collect(),
            event,
        }
    }

    /// The event of a write, and the profile as it leaves it, as the writer would hand them over.
    pub(crate) fn update(
        &mut self,
        subject: SubjectId,
        changes: &Value,
        update: ProfileUpdate,
    ) -> (Envelope, JsonDocument) {
        let changes = JsonDocument::from_value(changes);
        let document = match self.models.profiles.document(subject) {
            Some(before) => before.merged(&changes),
            None => changes.clone(),
        };
        let changes = Personal::Known(changes);
        let event = ProfileUpdated { update, changes }.into();
        let envelope = self.envelope(StreamId::Profile(subject), Some(subject), event);
        (envelope, document)
    }

    pub(crate) fn define(&mut self, id: &str, rule: &Value, version: u32) {
        let group = parse(rule);
        let defined = AudienceDefined {
            name: id.to_owned(),
            description: String::new(),
            filter: Some(JsonDocument::from_value(&group.to_value())),
            version,
        };
        let id = AudienceId::parse(id).expect("it is an id");
        let envelope = self.envelope(StreamId::Audience(id), None, defined.into());
        self.models.apply(&[envelope], &[]);
    }

    pub(crate) fn delete(&mut self, id: &str) {
        let id = AudienceId::parse(id).expect("it is an id");
        let envelope = self.envelope(StreamId::Audience(id), None, AudienceDeleted {}.into());
        self.models.apply(&[envelope], &[]);
    }

    pub(crate) fn now(&self) -> Timestamp {
        Timestamp(START + self.position * STEP)
    }
}

pub(crate) fn parse(rule: &Value) -> Group {
    Group::parse(rule, None, RuleLimits::STORED).expect("it is a rule")
}

/// About 400 bytes of JSON in ten attributes.
pub(crate) fn profile(random: &mut Random, number: u32) -> Value {
    let day = random.below(365);
    let seen = 1_735_689_600 + u64::from(day) * 86_400 + u64::from(random.below(86_400));
    json!({
        "email": format!("user{number}@example.com"),
        "plan": PLANS[random.below(8) as usize],
        "age": 18 + random.below(60),
        "country": format!("country {}", random.below(50)),
        "score": f64::from(random.below(100_000)) / 100.0,
        "active": random.below(2) == 1,
        "tenant_id": format!("tenant-{}", random.below(TENANTS)),
        "seen": seen,
        "tags": [format!("tag {}", random.below(20)), format!("tag {}", random.below(20))],
        "bio": "A text that brings the profile to about four hundred bytes in all. ".repeat(3),
    })
}

/// A profile for the definition of truth, without any index.
pub(crate) struct Plain {
    pub(crate) profile: serde_json::Map<String, Value>,
    pub(crate) now: Timestamp,
}

impl Facts for Plain {
    fn attribute(&self, path: &AttributePath) -> Option<&Value> {
        path.resolve(&self.profile)
    }

    fn is_member(&self, _: &Set) -> bool {
        false
    }

    fn now(&self) -> Timestamp {
        self.now
    }
}
