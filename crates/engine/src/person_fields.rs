use std::collections::BTreeMap;

use events::{
    Envelope, Event, ListMemberAdded, ListMemberEvent, ListMemberUpdated, OfPerson, Personal,
    PreferenceEvent, ProfileEvent, SubjectEvent, TenantMemberAdded, TenantMemberEvent,
    TenantMemberUpdated, TokenEvent,
};
use serde::Serialize;
use serde_json::Value;
use types::{DeviceToken, JsonDocument, StreamId, SubjectId, TenantId, escaped_pointer};

/// A field of a person that an event changed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FieldChange {
    /// JSON pointer (RFC 6901).
    pub path: String,
    /// Null where there was nothing.
    pub before: Value,
    /// Null where there is nothing any more.
    pub after: Value,
}

/// Everything that is known about a person, field by field, as the person's own events leave it.
///
/// A field is whatever is not an object that holds something: `/profile/address/city`, `/lists/news`,
/// `/tenants/acme/profile/role`, `/tokens/<token>/status`, `/preferences/<topic>`. That somebody is in a
/// list or a tenant, or has a token, is `true`.
#[derive(Default)]
pub(crate) struct PersonFields {
    fields: BTreeMap<String, Value>,
}

impl PersonFields {
    /// Folds an event about the person; which fields it changed, in the order of their paths.
    pub(crate) fn apply(&mut self, envelope: &Envelope, subject: SubjectId) -> Vec<FieldChange> {
        let mut changes = Changing {
            fields: &mut self.fields,
            before: BTreeMap::new(),
        };
        let place = || envelope.subjects.iter().position(|it| *it == subject);
        match (&envelope.event, &envelope.stream) {
            (Event::Subject(SubjectEvent::Registered(registered)), _) => {
                if let Some(user_id) = registered.user_id.known() {
                    changes.set("/user_id".to_owned(), user_id.as_str().into());
                }
            }
            (Event::Profile(event), _) => match event {
                ProfileEvent::Updated(updated) => {
                    if let Some(patch) = updated.changes.known() {
                        changes.merge("/profile", &patch.to_value());
                    }
                }
                ProfileEvent::Deleted(_) => changes.remove("/profile"),
            },
            (Event::ListMember(event), StreamId::List(list) | StreamId::ListMember(list, _)) => {
                changes.list_member(
                    &format!("/lists/{}", escaped_pointer(list.as_str())),
                    event,
                    place(),
                );
            }
            (
                Event::TenantMember(event),
                StreamId::Tenant(tenant) | StreamId::TenantMember(tenant, _),
            ) => {
                let path = format!("/tenants/{}", escaped_pointer(tenant.as_str()));
                changes.tenant_member(&path, event, place());
            }
            (Event::Token(event), _) => changes.token(event),
            (Event::Preference(event), _) => changes.preference(event),
            _ => {}
        }
        changes.finish()
    }
}

/// One event at work on the fields.
struct Changing<'a> {
    fields: &'a mut BTreeMap<String, Value>,
    /// What was touched, as it was before.
    before: BTreeMap<String, Value>,
}

impl Changing<'_> {
    fn list_member(&mut self, path: &str, event: &ListMemberEvent, place: Option<usize>) {
        match event {
            ListMemberEvent::Added(ListMemberAdded { preferences }) => {
                self.join(path, "preferences", preferences.as_ref());
            }
            ListMemberEvent::Updated(ListMemberUpdated { preferences }) => {
                self.replace(&format!("{path}/preferences"), preferences.as_ref());
            }
            ListMemberEvent::ManyAdded(added) => {
                self.join(path, "preferences", at(&added.preferences, place));
            }
            ListMemberEvent::Removed(_) | ListMemberEvent::ManyRemoved(_) => self.remove(path),
        }
    }

    fn tenant_member(&mut self, path: &str, event: &TenantMemberEvent, place: Option<usize>) {
        // What was chosen in the context of the tenant outlasts the membership.
        let profile = format!("{path}/profile");
        match event {
            TenantMemberEvent::Added(TenantMemberAdded { profile: given }) => {
                self.forget(&profile);
                self.set(path.to_owned(), true.into());
                self.replace(&profile, given.as_ref());
            }
            TenantMemberEvent::Updated(TenantMemberUpdated { profile: given }) => {
                self.replace(&profile, given.as_ref());
            }
            TenantMemberEvent::ManyAdded(added) => {
                self.forget(&profile);
                self.set(path.to_owned(), true.into());
                self.replace(&profile, at(&added.profiles, place));
            }
            TenantMemberEvent::Removed(_) | TenantMemberEvent::ManyRemoved(_) => {
                self.remove(&profile);
                self.remove_one(path);
            }
        }
    }

    fn token(&mut self, event: &TokenEvent) {
        let path = |token: &Personal<DeviceToken>| {
            token
                .known()
                .map(|token| format!("/tokens/{}", escaped_pointer(token.as_str())))
        };
        let (path, details) = match event {
            TokenEvent::Added(added) => {
                let path = path(&added.token);
                // One that expired went without a word.
                if let Some(path) = &path {
                    self.forget(path);
                }
                (path, added.details.known())
            }
            TokenEvent::Updated(updated) => (path(&updated.token), updated.details.known()),
            TokenEvent::Removed(removed) => (path(&removed.token), None),
        };
        let Some(path) = path else { return };
        self.remove(&path);
        if let Some(details) = details {
            self.set(path.clone(), true.into());
            let details = serde_json::to_value(details).expect("details are plain data");
            self.put(&path, &details);
        }
    }

    fn preference(&mut self, event: &PreferenceEvent) {
        let path = |topic: &str, tenant: Option<&str>| match tenant {
            Some(tenant) => format!(
                "/tenants/{}/preferences/{}",
                escaped_pointer(tenant),
                escaped_pointer(topic)
            ),
            None => format!("/preferences/{}", escaped_pointer(topic)),
        };
        match event {
            PreferenceEvent::Set(set) => {
                let path = path(
                    set.topic.as_str(),
                    set.tenant.as_ref().map(TenantId::as_str),
                );
                self.remove(&path);
                if let Some(chosen) = set.chosen.known() {
                    let chosen = serde_json::to_value(chosen).expect("a choice is plain data");
                    self.set(path, chosen);
                }
            }
            PreferenceEvent::Cleared(cleared) => {
                let tenant = cleared.tenant.as_ref().map(TenantId::as_str);
                self.remove(&path(cleared.topic.as_str(), tenant));
            }
            PreferenceEvent::RecipientPreferencesReplaced(replaced) => {
                self.replace("/recipient_preferences", replaced.preferences.as_ref());
            }
            PreferenceEvent::QuietHoursChanged(changed) => {
                self.remove("/quiet_hours");
                if let Some(hours) = changed.quiet_hours.as_ref().and_then(Personal::known) {
                    let hours = serde_json::to_value(hours).expect("hours are plain data");
                    self.set("/quiet_hours".to_owned(), hours);
                }
            }
        }
    }

    /// Somebody came in who was not there: what is left of an earlier time went with its list.
    fn join(&mut self, path: &str, name: &str, given: Option<&Personal<JsonDocument>>) {
        self.forget(path);
        self.set(path.to_owned(), true.into());
        self.replace(&format!("{path}/{name}"), given);
    }

    fn replace(&mut self, path: &str, given: Option<&Personal<JsonDocument>>) {
        self.remove(path);
        if let Some(document) = given.and_then(Personal::known) {
            self.put(path, &document.to_value());
        }
    }

    /// Writes every field of a value; what was there of it is gone already.
    fn put(&mut self, path: &str, value: &Value) {
        match value {
            Value::Object(object) if !object.is_empty() => {
                for (name, value) in object {
                    self.put(&format!("{path}/{}", escaped_pointer(name)), value);
                }
            }
            Value::Null => {}
            Value::Object(_)
            | Value::Array(_)
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_) => self.set(path.to_owned(), value.clone()),
        }
    }

    /// Takes in a merge patch (RFC 7396).
    fn merge(&mut self, path: &str, given: &Value) {
        let Value::Object(object) = given else {
            self.remove(path);
            self.put(path, given);
            return;
        };
        // A scalar that stood here gives way to an object.
        self.remove_one(path);
        for (name, value) in object {
            self.merge(&format!("{path}/{}", escaped_pointer(name)), value);
        }
        if object.is_empty() && path != "/profile" && !self.has_below(path) {
            self.set(path.to_owned(), given.clone());
        }
    }

    fn set(&mut self, path: String, value: Value) {
        let before = self.fields.insert(path.clone(), value);
        self.note(path, before);
    }

    /// Removes the field and all below it.
    fn remove(&mut self, path: &str) {
        self.remove_one(path);
        for path in self.below(path) {
            self.remove_one(&path);
        }
    }

    fn remove_one(&mut self, path: &str) {
        if let Some(before) = self.fields.remove(path) {
            self.note(path.to_owned(), Some(before));
        }
    }

    /// As [`Changing::remove`], of what was gone before this event.
    fn forget(&mut self, path: &str) {
        self.fields.remove(path);
        for path in self.below(path) {
            self.fields.remove(&path);
        }
    }

    fn below(&self, path: &str) -> Vec<String> {
        self.range_below(path)
            .map(|(path, _)| path.clone())
            .collect()
    }

    fn has_below(&self, path: &str) -> bool {
        self.range_below(path).next().is_some()
    }

    fn range_below(&self, path: &str) -> impl Iterator<Item = (&String, &Value)> {
        // Whatever begins with the path and a slash comes before the path and the character after that.
        self.fields.range(format!("{path}/")..format!("{path}0"))
    }

    fn note(&mut self, path: String, before: Option<Value>) {
        self.before
            .entry(path)
            .or_insert(before.unwrap_or_default());
    }

    fn finish(self) -> Vec<FieldChange> {
        let fields = self.fields;
        let touched = self.before.into_iter().map(|(path, before)| {
            let after = fields.get(&path).cloned().unwrap_or_default();
            FieldChange {
                path,
                before,
                after,
            }
        });
        touched.filter(|it| it.before != it.after).collect()
    }
}

/// What is given for one of the people of an event.
fn at<T>(given: &[OfPerson<T>], place: Option<usize>) -> Option<&Personal<T>> {
    let place = u32::try_from(place?).ok()?;
    let found = given.binary_search_by_key(&place, |it| it.place).ok()?;
    Some(&given[found].value)
}

#[cfg(test)]
mod tests {
    use events::{ProfileDeleted, ProfileUpdate, ProfileUpdated};
    use serde_json::json;
    use types::{Position, StreamVersion, Timestamp};

    use super::*;

    fn patched(patch: &Value) -> Event {
        ProfileUpdated {
            update: ProfileUpdate::Merge,
            changes: Personal::Known(JsonDocument::from_value(patch)),
        }
        .into()
    }

    fn changes(fields: &mut PersonFields, event: Event) -> Value {
        let envelope = Envelope {
            position: Position(1),
            stream: StreamId::Profile(SubjectId(0)),
            version: StreamVersion(1),
            recorded_at: Timestamp(1),
            subjects: vec![SubjectId(0)],
            event,
        };
        let changes = fields.apply(&envelope, SubjectId(0));
        let changes = changes
            .into_iter()
            .map(|it| json!([it.path, it.before, it.after]));
        changes.collect()
    }

    #[test]
    fn a_patch_changes_the_fields_that_it_names() {
        let mut fields = PersonFields::default();
        let steps = [
            (
                json!({"a": 1, "b": {"c": "x", "d/e": [1]}, "f": {}}),
                json!([
                    ["/profile/a", null, 1],
                    ["/profile/b/c", null, "x"],
                    ["/profile/b/d~1e", null, [1]],
                    ["/profile/f", null, {}]
                ]),
            ),
            (json!({"a": 1}), json!([])),
            (
                json!({"a": 2, "b": {"c": null}, "f": {"g": true}}),
                json!([
                    ["/profile/a", 1, 2],
                    ["/profile/b/c", "x", null],
                    ["/profile/f", {}, null],
                    ["/profile/f/g", null, true]
                ]),
            ),
            (
                json!({"a": {"now": "deep"}, "b": "flat"}),
                json!([
                    ["/profile/a", 2, null],
                    ["/profile/a/now", null, "deep"],
                    ["/profile/b", null, "flat"],
                    ["/profile/b/d~1e", [1], null]
                ]),
            ),
        ];
        for (patch, expected) in steps {
            assert_eq!(changes(&mut fields, patched(&patch)), expected, "{patch}");
        }
        let all = changes(&mut fields, ProfileDeleted {}.into());
        assert_eq!(
            all,
            json!([
                ["/profile/a/now", "deep", null],
                ["/profile/b", "flat", null],
                ["/profile/f/g", true, null]
            ])
        );
    }
}
