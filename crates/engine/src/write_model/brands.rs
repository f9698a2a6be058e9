use domain::{BRAND_WORDS, Brand, BrandCommand, Decider};
use events::{BrandDetails, PreferencePageEvent, PreferencePagePublished, TenantDetails};
use types::{BrandId, StreamId};

use super::{Decided, WriteModel};
use crate::command::{Edit, Refusal};

impl WriteModel {
    pub(super) fn brand(
        &mut self,
        brand: &BrandId,
        edit: Edit<BrandDetails>,
        decided: &mut Vec<Decided>,
    ) -> Result<(), Refusal> {
        let mut state = self.brand_details(brand);
        let command = match edit {
            Edit::Create(details) => BrandCommand::Create(details),
            Edit::Replace(details) => BrandCommand::Replace(details),
            Edit::Delete => BrandCommand::Delete {
                in_use: self.uses_brand(brand),
            },
        };
        for event in Brand::decide(&state, command)? {
            Brand::evolve(&mut state, &event);
            let stream = StreamId::Brand(brand.clone());
            self.record(stream, vec![], event.into(), decided);
            self.group.brands.insert(brand.clone(), state.clone());
        }
        Ok(())
    }

    /// Whether a tenant or the preference page uses the brand.
    fn uses_brand(&self, brand: &BrandId) -> bool {
        let committed = || Some(self.committed.topics.published_page()?.published);
        let page = self.group.page.clone().or_else(committed);
        if page.and_then(|page| page.brand_id).as_deref() == Some(brand.as_str()) {
            return true;
        }
        let uses = |details: &TenantDetails| details.brand_id.as_ref() == Some(brand);
        let (mut new, mut gone) = (0, 0);
        for (id, details) in &self.group.tenants {
            let before = self.committed.tenants.with_details(id, uses);
            new += usize::from(details.as_ref().is_some_and(uses));
            gone += usize::from(before == Some(true));
        }
        self.committed.tenants.brand_uses(brand) + new > gone
    }

    /// A page shows a brand that is there, or none in particular.
    pub(super) fn publish_preference_page(
        &mut self,
        published: PreferencePagePublished,
        decided: &mut Vec<Decided>,
    ) -> Result<(), Refusal> {
        if let Some(brand) = &published.brand_id
            && !BRAND_WORDS.contains(&brand.as_str())
        {
            let brand = BrandId::parse(brand).map_err(|_| Refusal::UnknownBrand)?;
            if self.brand_details(&brand).is_none() {
                return Err(Refusal::UnknownBrand);
            }
        }
        self.group.page = Some(published.clone());
        let event = PreferencePageEvent::Published(published);
        self.record(StreamId::PreferencePage, vec![], event.into(), decided);
        Ok(())
    }

    pub(super) fn brand_details(&self, brand: &BrandId) -> Option<BrandDetails> {
        match self.group.brands.get(brand) {
            Some(decided) => decided.clone(),
            None => self.committed.brands.get(brand).map(|view| view.details),
        }
    }
}
