use std::collections::BTreeMap;

use serde_json::{Map, Value};
use types::{BrandId, JsonDocument, SubjectId, TenantId, escaped_pointer};

use crate::ReadModels;

/// The profile with which somebody is reached in a tenant, and where each part of it comes from.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EffectiveProfile {
    pub profile: Map<String, Value>,
    pub sources: ProfileSources,
    /// The nearest brand of the tenant and its ancestors, and whose it is.
    pub brand: Option<(BrandId, TenantId)>,
    pub properties: Map<String, Value>,
    pub property_sources: ProfileSources,
}

/// Where the parts of a document come from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProfileSources {
    /// By JSON pointer, for everything that is not an object with members.
    pub by_pointer: BTreeMap<String, ProfileSource>,
    /// Some are left out, because the pointers would take more than [`POINTERS_BYTES_MAX`].
    pub incomplete: bool,
    /// Of the pointers that are held.
    bytes: usize,
}

/// All pointers to the parts of one document, in bytes. Long keys within each other make pointers that
/// are together far larger than the document.
pub const POINTERS_BYTES_MAX: usize = 2 * 1024 * 1024;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProfileSource {
    Tenant(TenantId),
    Profile,
    Membership(TenantId),
}

impl ReadModels {
    /// The profile of a person laid over those of the tenant, so many levels of it, and under that of
    /// the membership; later ones win, objects are merged (RFC 7396).
    pub fn effective_profile(
        &self,
        subject: Option<SubjectId>,
        tenant: Option<&TenantId>,
        levels: usize,
    ) -> EffectiveProfile {
        let now = self.frozen();
        let chain = tenant.map(|tenant| now.tenants.chain(tenant, levels));
        let chain = chain.into_iter().flatten();
        let mut chain: Vec<_> = chain.map(|(id, it)| (id.clone(), it.clone())).collect();
        chain.reverse();
        let profile = subject.and_then(|subject| self.profiles.document(subject));
        let membership = subject.zip(tenant).and_then(|(subject, tenant)| {
            let profile = now.tenants.membership_profile(tenant, subject)?;
            Some((tenant, profile.clone()))
        });
        // Merging takes longer than looking, and holds up nobody.
        drop(now);
        let mut outcome = EffectiveProfile::default();
        for (id, details) in chain {
            let source = ProfileSource::Tenant(id.clone());
            if let Some(document) = &details.user_profile {
                outcome.lay_over_profile(document, &source);
            }
            if let Some(properties) = details.properties {
                let sources = &mut outcome.property_sources;
                sources.lay_over(&mut outcome.properties, properties.to_object(), &source);
            }
            if let Some(brand) = details.brand_id {
                outcome.brand = Some((brand, id));
            }
        }
        if let Some(document) = profile {
            outcome.lay_over_profile(&document, &ProfileSource::Profile);
        }
        if let Some((tenant, document)) = membership {
            outcome.lay_over_profile(&document, &ProfileSource::Membership(tenant.clone()));
        }
        outcome
    }
}

impl EffectiveProfile {
    fn lay_over_profile(&mut self, document: &JsonDocument, source: &ProfileSource) {
        let (target, sources) = (&mut self.profile, &mut self.sources);
        sources.lay_over(target, document.to_object(), source);
    }
}

impl ProfileSources {
    /// Merges a document over another (RFC 7396), and notes where each part comes from.
    fn lay_over(
        &mut self,
        target: &mut Map<String, Value>,
        document: Map<String, Value>,
        source: &ProfileSource,
    ) {
        self.lay_over_at(&mut String::new(), target, document, source);
    }

    /// `pointer` is to the target, and is so again afterwards.
    fn lay_over_at(
        &mut self,
        pointer: &mut String,
        target: &mut Map<String, Value>,
        document: Map<String, Value>,
        source: &ProfileSource,
    ) {
        let here = pointer.len();
        for (key, value) in document {
            pointer.push('/');
            pointer.push_str(&escaped_pointer(&key));
            match (target.get_mut(&key), value) {
                (Some(_), Value::Null) => {
                    target.remove(&key);
                    self.forget(pointer);
                }
                (None, Value::Null) => {}
                (Some(Value::Object(inner)), Value::Object(value)) => {
                    if inner.is_empty() && !value.is_empty() {
                        // An empty object has a source of its own.
                        self.forget_one(pointer);
                    }
                    self.lay_over_at(pointer, inner, value, source);
                }
                (held, value) => {
                    if held.is_some() {
                        self.forget(pointer);
                    }
                    self.note(&value, pointer, source);
                    target.insert(key, value);
                }
            }
            pointer.truncate(here);
        }
    }

    fn note(&mut self, value: &Value, pointer: &mut String, source: &ProfileSource) {
        match value {
            Value::Object(object) if !object.is_empty() => {
                let here = pointer.len();
                for (key, value) in object {
                    pointer.push('/');
                    pointer.push_str(&escaped_pointer(key));
                    self.note(value, pointer, source);
                    pointer.truncate(here);
                }
            }
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Array(_)
            | Value::Object(_) => {
                if self.bytes + pointer.len() > POINTERS_BYTES_MAX {
                    self.incomplete = true;
                    return;
                }
                self.bytes += pointer.len();
                self.by_pointer.insert(pointer.clone(), source.clone());
            }
        }
    }

    /// What is at the pointer and below it.
    fn forget(&mut self, pointer: &str) {
        self.forget_one(pointer);
        let below = format!("{pointer}/");
        while let Some((held, _)) = self.by_pointer.range(below.clone()..).next()
            && held.starts_with(&below)
        {
            let held = held.clone();
            self.forget_one(&held);
        }
    }

    fn forget_one(&mut self, pointer: &str) {
        if self.by_pointer.remove(pointer).is_some() {
            self.bytes -= pointer.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn lay(documents: &[Value]) -> (Value, ProfileSources) {
        let mut target = Map::new();
        let mut sources = ProfileSources::default();
        for (place, document) in documents.iter().enumerate() {
            let tenant = TenantId::parse(&place.to_string()).expect("an id");
            let document = document.as_object().expect("an object").clone();
            sources.lay_over(&mut target, document, &ProfileSource::Tenant(tenant));
        }
        (Value::Object(target), sources)
    }

    #[test]
    fn every_part_comes_from_the_last_that_gave_it() {
        let (merged, sources) = lay(&[
            json!({"a": 1, "b": {"c": 2, "d": {}}, "e": {"f": 3}, "g/~": 4}),
            json!({"a": null, "b": {"c": {"x": 5}, "d": {"y": 6}}, "e": 7}),
        ]);
        let expected = json!({"b": {"c": {"x": 5}, "d": {"y": 6}}, "e": 7, "g/~": 4});
        assert_eq!(merged, expected);
        let of = |tenant: &str| ProfileSource::Tenant(TenantId::parse(tenant).expect("an id"));
        let expected = [
            ("/b/c/x", of("1")),
            ("/b/d/y", of("1")),
            ("/e", of("1")),
            ("/g~1~0", of("0")),
        ];
        let expected = expected.map(|(pointer, source)| (pointer.to_owned(), source));
        assert_eq!(sources.by_pointer, BTreeMap::from(expected));
        assert!(!sources.incomplete);
    }

    #[test]
    fn pointers_never_take_more_than_their_bound() {
        let long = "k".repeat(100_000);
        let leaves: Map<String, Value> =
            (0..10_000).map(|it| (it.to_string(), json!(it))).collect();
        let (merged, sources) = lay(&[json!({long.clone(): leaves})]);
        assert_eq!(merged[&long].as_object().map(Map::len), Some(10_000));
        assert!(sources.incomplete);
        assert!(!sources.by_pointer.is_empty());
        let bytes: usize = sources.by_pointer.keys().map(String::len).sum();
        assert!(bytes <= POINTERS_BYTES_MAX, "{bytes}");
    }
}
