use events::{Personal, ProfileDeleted, ProfileEvent, ProfileUpdate, ProfileUpdated};
use serde_json::{Map, Value};
use types::{
    JsonDocument, JsonPatch, PatchLimits, PatchRefused, depth_within, merge_patch,
    merge_patch_between, without_nulls,
};

use crate::Decider;
use crate::limits::{PROFILE_BYTES_MAX, PROFILE_LEVELS_MAX};

/// What a patch may make of a document on its way.
const PATCH_LIMITS: PatchLimits = PatchLimits {
    bytes_max: PROFILE_BYTES_MAX,
    levels_max: PROFILE_LEVELS_MAX,
};

#[derive(Clone, Debug, PartialEq)]
pub enum ProfileCommand {
    /// Merge (RFC 7396): objects at any depth, `null` removes. Creates a profile that is absent.
    Merge(Map<String, Value>),
    /// Replace the whole document. Creates a profile that is absent.
    Replace(Map<String, Value>),
    /// Apply a JSON Patch (RFC 6902), to an empty document if the profile is absent.
    Patch(JsonPatch),
    Delete,
}

/// The document is shared with the read model, so that it exists once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ProfileState {
    #[default]
    Absent,
    Present(JsonDocument),
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProfileRefusal {
    #[error(transparent)]
    Patch(#[from] PatchRefused),
    #[error("a profile is an object, and the patch makes it something else")]
    NotAnObject,
    #[error("the profile would be larger than {PROFILE_BYTES_MAX} bytes of JSON")]
    TooLarge,
    #[error("the profile would nest deeper than {PROFILE_LEVELS_MAX} levels")]
    TooDeep,
}

pub struct Profile;

impl Profile {
    /// As [`Decider::decide`], with the state that the events lead to. Deciding has to work it out
    /// anyhow, and parsing documents is most of what a write costs.
    pub fn decide_and_evolve(
        state: ProfileState,
        command: ProfileCommand,
    ) -> Result<(Vec<ProfileEvent>, ProfileState), ProfileRefusal> {
        let before = match &state {
            ProfileState::Absent => Map::new(),
            ProfileState::Present(document) => document.to_object(),
        };
        let (update, after) = match command {
            ProfileCommand::Merge(changes) => {
                let mut after = before.clone();
                merge_patch(&mut after, changes);
                (ProfileUpdate::Merge, after)
            }
            ProfileCommand::Replace(profile) => {
                let after = object(without_nulls(Value::Object(profile)))?;
                (ProfileUpdate::Replace, after)
            }
            ProfileCommand::Patch(patch) => {
                let mut after = Value::Object(before.clone());
                patch.apply(&mut after, PATCH_LIMITS)?;
                (ProfileUpdate::Patch, object(without_nulls(after))?)
            }
            ProfileCommand::Delete => {
                return Ok(match state {
                    ProfileState::Absent => (vec![], state),
                    ProfileState::Present(_) => {
                        let deleted = ProfileEvent::Deleted(ProfileDeleted {});
                        (vec![deleted], ProfileState::Absent)
                    }
                });
            }
        };
        // Merging nothing into nothing creates nothing; replacing nothing with nothing does.
        let creates_nothing = state == ProfileState::Absent && update != ProfileUpdate::Replace;
        if after.is_empty() && creates_nothing {
            return Ok((vec![], state));
        }
        change(state, &before, after, update)
    }
}

impl Decider for Profile {
    type Command = ProfileCommand;
    type Event = ProfileEvent;
    type State = ProfileState;
    type Refusal = ProfileRefusal;

    fn decide(
        state: &ProfileState,
        command: ProfileCommand,
    ) -> Result<Vec<ProfileEvent>, ProfileRefusal> {
        Self::decide_and_evolve(state.clone(), command).map(|(events, _)| events)
    }

    fn evolve(state: &mut ProfileState, event: &ProfileEvent) {
        *state = match event {
            ProfileEvent::Updated(ProfileUpdated { changes, .. }) => match (changes, &*state) {
                (Personal::Known(changes), ProfileState::Absent) => {
                    ProfileState::Present(changes.clone())
                }
                (Personal::Known(changes), ProfileState::Present(document)) => {
                    ProfileState::Present(document.merged(changes))
                }
                (Personal::Erased, _) => ProfileState::Absent,
            },
            ProfileEvent::Deleted(ProfileDeleted {}) => ProfileState::Absent,
        };
    }
}

fn object(value: Value) -> Result<Map<String, Value>, ProfileRefusal> {
    match value {
        Value::Object(object) => Ok(object),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            Err(ProfileRefusal::NotAnObject)
        }
    }
}

fn change(
    state: ProfileState,
    before: &Map<String, Value>,
    after: Map<String, Value>,
    update: ProfileUpdate,
) -> Result<(Vec<ProfileEvent>, ProfileState), ProfileRefusal> {
    let changes = match &state {
        ProfileState::Absent => None,
        ProfileState::Present(_) => Some(merge_patch_between(before, &after)),
    };
    if changes.as_ref().is_some_and(Map::is_empty) {
        return Ok((vec![], state));
    }
    let after = Value::Object(after);
    if !depth_within(&after, PROFILE_LEVELS_MAX) {
        return Err(ProfileRefusal::TooDeep);
    }
    let document = JsonDocument::from_value(&after);
    if document.as_str().len() > PROFILE_BYTES_MAX {
        return Err(ProfileRefusal::TooLarge);
    }
    let changes = Personal::Known(changes.map_or_else(|| document.clone(), JsonDocument::from));
    let updated = ProfileEvent::Updated(ProfileUpdated { update, changes });
    Ok((vec![updated], ProfileState::Present(document)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::given;

    fn object(value: Value) -> Map<String, Value> {
        let Value::Object(object) = value else {
            panic!("{value} is not an object")
        };
        object
    }

    fn updated(update: ProfileUpdate, changes: &Value) -> ProfileEvent {
        let changes = Personal::Known(JsonDocument::from_value(changes));
        ProfileEvent::Updated(ProfileUpdated { update, changes })
    }

    fn stored(document: &Value) -> ProfileEvent {
        updated(ProfileUpdate::Replace, document)
    }

    fn patch(operations: &Value) -> ProfileCommand {
        let operations = operations.as_array().unwrap().clone();
        ProfileCommand::Patch(JsonPatch::parse(operations).unwrap())
    }

    #[test]
    fn merging_into_an_absent_profile_creates_it_without_nulls() {
        given::<Profile>([])
            .when(ProfileCommand::Merge(object(
                json!({"a": 1, "b": null, "c": {"d": null}}),
            )))
            .then([updated(ProfileUpdate::Merge, &json!({"a": 1, "c": {}}))]);
    }

    #[test]
    fn merging_records_only_what_changes() {
        given::<Profile>([stored(
            &json!({"custom": {"plan": "free", "role": "dev"}, "a": 1}),
        )])
        .when(ProfileCommand::Merge(object(
            json!({"custom": {"plan": "pro"}, "a": 1}),
        )))
        .then([updated(
            ProfileUpdate::Merge,
            &json!({"custom": {"plan": "pro"}}),
        )]);
    }

    #[test]
    fn merging_null_removes() {
        given::<Profile>([stored(&json!({"a": 1, "b": {"c": 2, "d": 3}}))])
            .when(ProfileCommand::Merge(object(
                json!({"a": null, "b": {"c": null}}),
            )))
            .then([updated(
                ProfileUpdate::Merge,
                &json!({"a": null, "b": {"c": null}}),
            )]);
    }

    #[test]
    fn merging_nothing_says_nothing() {
        given::<Profile>([])
            .when(ProfileCommand::Merge(Map::new()))
            .then_nothing();
        given::<Profile>([stored(&json!({"a": 1}))])
            .when(ProfileCommand::Merge(object(json!({"a": 1}))))
            .then_nothing();
    }

    #[test]
    fn replacing_records_what_goes_and_what_comes() {
        given::<Profile>([stored(&json!({"a": 1, "b": 2}))])
            .when(ProfileCommand::Replace(object(json!({"b": 3}))))
            .then([updated(ProfileUpdate::Replace, &json!({"a": null, "b": 3}))]);
    }

    #[test]
    fn replacing_an_absent_profile_with_nothing_creates_an_empty_one() {
        given::<Profile>([])
            .when(ProfileCommand::Replace(Map::new()))
            .then([stored(&json!({}))]);
    }

    #[test]
    fn replacing_a_profile_with_itself_says_nothing() {
        given::<Profile>([stored(&json!({"a": 1}))])
            .when(ProfileCommand::Replace(object(json!({"a": 1, "b": null}))))
            .then_nothing();
    }

    #[test]
    fn patching_records_the_difference() {
        given::<Profile>([stored(&json!({"a": 1, "b": [1, 2]}))])
            .when(patch(&json!([
                {"op": "move", "from": "/a", "path": "/c"},
                {"op": "remove", "path": "/b/0"},
            ])))
            .then([updated(
                ProfileUpdate::Patch,
                &json!({"a": null, "b": [2], "c": 1}),
            )]);
    }

    #[test]
    fn a_patch_that_fails_late_applies_nothing() {
        given::<Profile>([stored(&json!({"a": 1}))])
            .when(patch(&json!([
                {"op": "add", "path": "/b", "value": 1},
                {"op": "test", "path": "/a", "value": 2},
            ])))
            .then_refused(ProfileRefusal::Patch(PatchRefused {
                operation: 1,
                reason: "the test failed",
            }));
    }

    #[test]
    fn a_patch_cannot_make_a_profile_something_else() {
        given::<Profile>([])
            .when(patch(&json!([{"op": "replace", "path": "", "value": [1]}])))
            .then_refused(ProfileRefusal::NotAnObject);
    }

    #[test]
    fn an_empty_patch_of_an_absent_profile_creates_nothing() {
        given::<Profile>([]).when(patch(&json!([]))).then_nothing();
    }

    #[test]
    fn a_profile_too_large_or_too_deep_is_refused() {
        let large = "x".repeat(PROFILE_BYTES_MAX);
        given::<Profile>([])
            .when(ProfileCommand::Merge(object(json!({"a": large}))))
            .then_refused(ProfileRefusal::TooLarge);
        let deep = (0..PROFILE_LEVELS_MAX).fold(json!(1), |inner, _| json!({"a": inner}));
        given::<Profile>([])
            .when(ProfileCommand::Replace(object(deep.clone())))
            .then([stored(&deep)]);
        given::<Profile>([])
            .when(ProfileCommand::Replace(object(json!({"a": deep}))))
            .then_refused(ProfileRefusal::TooDeep);
    }

    #[test]
    fn deleting_ends_a_profile_and_deleting_again_says_nothing() {
        let deleted = || ProfileEvent::Deleted(ProfileDeleted {});
        given::<Profile>([stored(&json!({}))])
            .when(ProfileCommand::Delete)
            .then([deleted()]);
        given::<Profile>([stored(&json!({})), deleted()])
            .when(ProfileCommand::Delete)
            .then_nothing();
    }

    #[test]
    fn the_state_that_comes_with_a_decision_is_the_one_that_its_events_lead_to() {
        let documents = [
            json!({}),
            json!({"a": 1}),
            json!({"a": {"b": [1, null]}, "c": "x"}),
        ];
        let states = documents
            .iter()
            .map(|document| ProfileState::Present(JsonDocument::from_value(document)));
        for state in states.chain([ProfileState::Absent]) {
            for command in [
                ProfileCommand::Merge(object(json!({"a": {"b": null, "d": 2}, "c": null}))),
                ProfileCommand::Merge(Map::new()),
                ProfileCommand::Replace(object(json!({"a": {"n": null}, "z": [null]}))),
                patch(&json!([{"op": "add", "path": "/c", "value": {"n": null}}])),
                ProfileCommand::Delete,
            ] {
                let (events, after) =
                    Profile::decide_and_evolve(state.clone(), command.clone()).unwrap();
                let mut evolved = state.clone();
                for event in &events {
                    Profile::evolve(&mut evolved, event);
                }
                assert_eq!(evolved, after, "{command:?} on {state:?}");
            }
        }
    }
}
