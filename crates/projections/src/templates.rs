use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::ops::Bound;

use events::codec::{Decoder, Encoder};
use events::{Envelope, Event, TemplateEvent};
use parking_lot::RwLock;
use serde::{Deserialize, Serialize};
use types::{JsonDocument, StreamId, TemplateId, TemplateKey, TenantId, Timestamp};

use crate::{Digest, Projection};

/// Versions of one template that are kept, besides the published one; the log has all.
const VERSIONS_MAX: usize = 20;

/// What can be told, written beforehand.
#[derive(Default)]
pub struct Templates {
    state: RwLock<HashMap<Option<TenantId>, BTreeMap<TemplateId, Stored>>>,
}

#[derive(Clone, Serialize, Deserialize)]
struct Stored {
    created_at: Timestamp,
    updated_at: Timestamp,
    latest: u32,
    published: Option<(u32, Timestamp)>,
    /// Those that are kept, the latest and the published one among them.
    versions: BTreeMap<u32, JsonDocument>,
    archived: bool,
}

/// One version of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateView {
    pub id: TemplateId,
    pub version: u32,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    /// The version that is told, and since when.
    pub published: Option<(u32, Timestamp)>,
    pub template: JsonDocument,
    pub archived: bool,
}

/// Which version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TemplateVersion {
    Latest,
    Published,
    Number(u32),
}

impl Templates {
    /// One that is archived is not there.
    pub fn get(&self, key: &TemplateKey, version: TemplateVersion) -> Option<TemplateView> {
        let state = self.state.read();
        let stored = state.get(&key.tenant)?.get(&key.id)?;
        stored.view(&key.id, version).filter(|it| !it.archived)
    }

    /// The number of the last version, archived or not.
    pub fn last_version(&self, key: &TemplateKey) -> Option<u32> {
        let state = self.state.read();
        Some(state.get(&key.tenant)?.get(&key.id)?.latest)
    }

    /// The versions that are kept, ascending.
    pub fn versions(&self, key: &TemplateKey) -> Vec<u32> {
        let state = self.state.read();
        let stored = state.get(&key.tenant).and_then(|it| it.get(&key.id));
        stored.map_or_else(Vec::new, |it| it.versions.keys().copied().collect())
    }

    /// How many there are of a tenant, or of everybody, archived ones included.
    pub fn count(&self, tenant: Option<&TenantId>) -> usize {
        let state = self.state.read();
        state.get(&tenant.cloned()).map_or(0, BTreeMap::len)
    }

    /// Those of the tenant that are not archived.
    pub fn ids(&self, tenant: &TenantId) -> BTreeSet<TemplateId> {
        let state = self.state.read();
        let templates = state.get(&Some(tenant.clone()));
        let live = templates.into_iter().flatten();
        let live = live.filter(|(_, stored)| !stored.archived);
        live.map(|(id, _)| id.clone()).collect()
    }

    /// By id, each in its latest version; whether there are more.
    pub fn page(
        &self,
        tenant: Option<&TenantId>,
        after: Option<&TemplateId>,
        limit: usize,
    ) -> (Vec<TemplateView>, bool) {
        let state = self.state.read();
        let Some(templates) = state.get(&tenant.cloned()) else {
            return (Vec::new(), false);
        };
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let templates = templates.range::<TemplateId, _>((from, Bound::Unbounded));
        let views = templates.filter_map(|(id, it)| it.view(id, TemplateVersion::Latest));
        let mut views: Vec<_> = views.filter(|it| !it.archived).take(limit + 1).collect();
        let more = views.len() > limit;
        views.truncate(limit);
        (views, more)
    }
}

impl Stored {
    fn view(&self, id: &TemplateId, version: TemplateVersion) -> Option<TemplateView> {
        let version = match version {
            TemplateVersion::Latest => self.latest,
            TemplateVersion::Published => self.published?.0,
            TemplateVersion::Number(version) => version,
        };
        Some(TemplateView {
            id: id.clone(),
            version,
            created_at: self.created_at,
            updated_at: self.updated_at,
            published: self.published,
            template: self.versions.get(&version)?.clone(),
            archived: self.archived,
        })
    }
}

impl Templates {
    pub(crate) fn save(&self, out: &mut Encoder<'_>) -> io::Result<()> {
        let state = self.state.read();
        let mut all: Vec<_> = state.iter().collect();
        all.sort_unstable_by_key(|(tenant, _)| *tenant);
        out.put_all(all.into_iter())
    }

    pub(crate) fn restore(input: &mut Decoder<'_>) -> io::Result<Self> {
        Ok(Self {
            state: RwLock::new(input.take_into()?),
        })
    }
}

impl Projection for Templates {
    const NAME: &'static str = "templates";
    const VERSION: u16 = 1;

    fn apply(&self, envelope: &Envelope) {
        let (Event::Template(event), StreamId::Template(key)) = (&envelope.event, &envelope.stream)
        else {
            return;
        };
        let at = envelope.recorded_at;
        let mut state = self.state.write();
        let templates = state.entry(key.tenant.clone()).or_default();
        let stored = templates.entry(key.id.clone()).or_insert_with(|| Stored {
            created_at: at,
            updated_at: at,
            latest: 0,
            published: None,
            versions: BTreeMap::new(),
            archived: false,
        });
        stored.updated_at = at;
        match event {
            TemplateEvent::Saved(saved) => {
                if stored.archived {
                    stored.archived = false;
                    stored.created_at = at;
                }
                stored.latest = saved.version;
                stored
                    .versions
                    .insert(saved.version, saved.template.clone());
                let published = stored.published.map(|(version, _)| version);
                while stored.versions.len() > VERSIONS_MAX {
                    let mut versions = stored.versions.keys().copied();
                    let oldest = versions.find(|version| Some(*version) != published);
                    let Some(oldest) = oldest else { break };
                    stored.versions.remove(&oldest);
                }
            }
            TemplateEvent::Published(published) => stored.published = Some((published.version, at)),
            TemplateEvent::Archived(_) => {
                stored.archived = true;
                stored.published = None;
                stored.versions.clear();
            }
        }
    }

    fn digest(&self, digest: &mut Digest) {
        let state = self.state.read();
        let mut all: Vec<_> = state.iter().collect();
        all.sort_unstable_by_key(|(tenant, _)| *tenant);
        for (tenant, templates) in all {
            digest.optional_text(tenant.as_ref().map(TenantId::as_str));
            for (id, stored) in templates {
                digest.text(id.as_str());
                digest.json(stored);
            }
        }
    }
}
