//! What a snapshot holds of the audiences: who is in them and since when, and the rules. The index is
//! built again from the rules and from what people hold; what is remembered of recent changes is left
//! to the log.

use std::collections::{BTreeMap, VecDeque};
use std::io;

use events::codec::{Decoder, Encoder};
use roaring::RoaringBitmap;
use serde::{Deserialize, Serialize};
use types::filter::{Group, RuleLimits};
use types::{AudienceId, JsonDocument, Timestamp};

use super::audience::{Audience, DefinedRule};
use super::columns::{Wanted, build_all};
use super::joined::SingleJoins;
use super::predicates::PredicateId;
use super::recent::Recent;
use super::state::{Others, State};

#[derive(Serialize, Deserialize)]
struct SavedRule {
    document: JsonDocument,
    /// In the order in which the rule names them.
    predicates: Vec<PredicateId>,
    /// It depends on how many people held what when the rule was defined.
    access: Option<PredicateId>,
}

impl SavedRule {
    fn of(rule: &DefinedRule) -> Self {
        let mut predicates = Vec::new();
        rule.expression.predicates(&mut predicates);
        Self {
            document: rule.document.clone(),
            predicates,
            access: rule.access,
        }
    }
}

/// A rule that is to be compiled again.
struct Due {
    /// When it was defined: predicates tell their audiences in that order.
    defined: Timestamp,
    number: u32,
    rule: SavedRule,
}

impl State {
    pub(crate) fn save(&self, out: &mut Encoder<'_>) -> io::Result<()> {
        out.put(&(&self.last, &self.population))?;
        out.put_all(self.arrivals.iter())?;
        let parents: BTreeMap<_, _> = self.parents.iter().collect();
        out.put_all(parents.into_iter())?;
        let former: BTreeMap<_, _> = self.former.iter().collect();
        out.put_all(former.into_iter())?;
        self.single_joins.save(out)?;
        self.predicates.save(out)?;
        out.put(&(self.audiences.len() as u64))?;
        for audience in &self.audiences {
            out.put(&audience.is_some())?;
            if let Some(audience) = audience {
                save(audience, out)?;
            }
        }
        Ok(())
    }

    pub(crate) fn restore(input: &mut Decoder<'_>, others: Others<'_>) -> io::Result<Self> {
        let (last, population) = input.take()?;
        let mut state = Self {
            last,
            population,
            arrivals: input.take_into()?,
            parents: input.take_into()?,
            former: input.take_into()?,
            single_joins: SingleJoins::restore(input)?,
            ..Self::default()
        };
        state.recent = Recent::since(state.last.position);
        let predicates = state.predicates.restore(input)?;
        let mut due = Vec::new();
        let audiences: u64 = input.take()?;
        for number in (0..).take(usize::try_from(audiences).unwrap_or(usize::MAX)) {
            if !input.take::<bool>()? {
                state.audiences.push(None);
                continue;
            }
            let (audience, rule) = restore(input)?;
            let defined = audience.updated_at;
            due.extend(rule.map(|rule| Due {
                defined,
                number,
                rule,
            }));
            state.numbers.insert(audience.id.clone(), number);
            state.audiences.push(Some(Box::new(audience)));
        }
        due.sort_by_key(|due| (due.defined, due.number));
        state.build_columns(&due, others)?;
        for Due { number, rule, .. } in due {
            state.restore_rule(number, rule, others)?;
        }
        state.predicates.restored(predicates);
        state.windows_may_have_changed();
        Ok(state)
    }

    /// Builds every column that a rule asks for, in one go over the profiles.
    fn build_columns(&mut self, due: &[Due], others: Others<'_>) -> io::Result<()> {
        let mut wanted: BTreeMap<String, Wanted> = BTreeMap::new();
        for due in due {
            let group = Group::parse(&due.rule.document.to_value(), None, RuleLimits::STORED);
            let group = group.map_err(|_| io::ErrorKind::InvalidData)?;
            for want in Wanted::of(&group) {
                let path = want.path.as_str().to_owned();
                let orders = want.orders;
                let known = wanted.entry(path).or_insert(want);
                known.orders = known.orders.and(orders);
            }
        }
        let wanted: Vec<Wanted> = wanted.into_values().collect();
        let built = build_all(&wanted, others.attributes, &|| true);
        self.columns.place(built.unwrap_or_default());
        Ok(())
    }

    fn restore_rule(
        &mut self,
        number: u32,
        saved: SavedRule,
        others: Others<'_>,
    ) -> io::Result<()> {
        self.predicates.expect(saved.predicates);
        let rule = self.compile(&saved.document, others);
        let mut rule = rule.ok_or(io::ErrorKind::InvalidData)?;
        rule.access = saved.access;
        self.depend(number, &rule.leaves, rule.access);
        self.audience_mut(number).rule = Some(rule);
        self.note_default(number);
        Ok(())
    }
}

fn save(audience: &Audience, out: &mut Encoder<'_>) -> io::Result<()> {
    let Audience {
        id,
        name,
        description,
        rule,
        created,
        updated_at,
        versions,
        former_labels,
        members,
        cohorts,
        rank,
        // Follows from the rules of others.
        as_set: _,
    } = audience;
    out.put(&(id, name, description, created, updated_at, versions))?;
    out.put(&(former_labels, members, rank))?;
    out.put_all(cohorts.iter())?;
    out.put(&rule.as_ref().map(SavedRule::of))
}

fn restore(input: &mut Decoder<'_>) -> io::Result<(Audience, Option<SavedRule>)> {
    type Names = (AudienceId, String, String);
    let (id, name, description): Names = input.take()?;
    let (created, updated_at, versions) = input.take()?;
    let (former_labels, members, rank): (VecDeque<_>, RoaringBitmap, u32) = input.take()?;
    let audience = Audience {
        id,
        name,
        description,
        rule: None,
        created,
        updated_at,
        versions,
        former_labels,
        members,
        cohorts: input.take_into()?,
        rank,
        as_set: None,
    };
    Ok((audience, input.take()?))
}
