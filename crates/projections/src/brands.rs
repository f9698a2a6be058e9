use std::collections::BTreeMap;
use std::io;
use std::ops::Bound;

use events::codec::{Decoder, Encoder};
use events::{BrandCreated, BrandDetails, BrandEvent, BrandUpdated, Envelope, Event};
use parking_lot::RwLock;
use serde::{Deserialize, Serialize};
use types::{BrandId, PageLimit, StreamId, Timestamp};

use crate::page::{Weigh, page};
use crate::{Digest, Projection};

/// The brands.
#[derive(Default)]
pub struct Brands {
    brands: RwLock<BTreeMap<BrandId, BrandView>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BrandView {
    pub id: BrandId,
    pub details: BrandDetails,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

impl Brands {
    pub fn get(&self, brand: &BrandId) -> Option<BrandView> {
        self.brands.read().get(brand).cloned()
    }

    /// One page in the order of the ids, and whether there are more.
    pub fn page(&self, after: Option<&BrandId>, limit: PageLimit) -> (Vec<BrandView>, bool) {
        let brands = self.brands.read();
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let range = brands.range::<BrandId, _>((from, Bound::Unbounded));
        page(range.map(|(_, brand)| brand.clone()), limit)
    }
}

impl Weigh for BrandView {
    fn bytes(&self) -> usize {
        let documents = [&self.details.settings, &self.details.snippets];
        let documents = documents.into_iter().flatten();
        self.details.name.len() + documents.map(|it| it.as_str().len()).sum::<usize>()
    }
}

impl Brands {
    pub(crate) fn save(&self, out: &mut Encoder<'_>) -> io::Result<()> {
        out.put_all(self.brands.read().values())
    }

    pub(crate) fn restore(input: &mut Decoder<'_>) -> io::Result<Self> {
        let brands = input.take_all::<BrandView>()?;
        let brands = brands.map(|brand| brand.map(|brand| (brand.id.clone(), brand)));
        Ok(Self {
            brands: RwLock::new(brands.collect::<io::Result<_>>()?),
        })
    }
}

impl Projection for Brands {
    const NAME: &'static str = "brands";
    const VERSION: u16 = 1;

    fn apply(&self, envelope: &Envelope) {
        let (Event::Brand(event), StreamId::Brand(id)) = (&envelope.event, &envelope.stream) else {
            return;
        };
        let at = envelope.recorded_at;
        let mut brands = self.brands.write();
        match event {
            BrandEvent::Created(BrandCreated(details))
            | BrandEvent::Updated(BrandUpdated(details)) => {
                let before = brands.get(id);
                let brand = BrandView {
                    id: id.clone(),
                    details: details.clone(),
                    created_at: before.map_or(at, |before| before.created_at),
                    updated_at: at,
                };
                brands.insert(id.clone(), brand);
            }
            BrandEvent::Deleted(_) => drop(brands.remove(id)),
        }
    }

    fn digest(&self, digest: &mut Digest) {
        for (id, brand) in &*self.brands.read() {
            digest.text(id.as_str());
            digest.json(&brand.details);
            digest.number(brand.created_at.0);
            digest.number(brand.updated_at.0);
        }
    }
}
