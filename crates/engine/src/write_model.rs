mod audiences;
mod brands;
mod bulk_jobs;
mod entities;
mod inboxes;
mod keys;
mod lists;
mod messages;
mod preferences;
mod profiles;
mod requests;
mod templates;
mod tenants;
mod tokens;
mod topics;
mod tracked;
mod users;
mod webhooks;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use domain::{
    AudienceState, BulkState, KeyCommand, KeyState, ListMemberState, ListState, MessageCommand,
    MessageState, ProfileState, TemplateState, TenantMemberState, TopicState, WebhookState,
};
use events::{
    BrandDetails, ClockAdvanced, Event, Personal, PersonalChoice, PreferenceCleared,
    PreferenceEvent, PreferencePagePublished, PreferenceSet, SectionDetails, SubjectRegistered,
    TenantDetails, TokenDetails,
};
use parking_lot::RwLock;
use projections::{ReadModels, StoredAnswer};
use roaring::RoaringBitmap;
use types::{
    AudienceId, BrandId, DeviceToken, JsonDocument, ListId, MessageId, QuietHours, SectionId,
    StreamId, StreamVersion, SubjectId, TemplateKey, TenantId, Timestamp, TopicId, UserId,
};

use crate::command::{Command, Outcome, Refusal};
use crate::stream_versions::StreamVersions;

/// What decisions are made against: the committed state, as the read models hold it, and over it
/// what the current group has decided. Nothing is kept twice, and a command sees those before it in
/// its group although nobody else does yet.
pub(crate) struct WriteModel {
    committed: Arc<ReadModels>,
    versions: Arc<RwLock<StreamVersions>>,
    /// Levels of a tenant's ancestry of which the defaults hold.
    tenant_levels: usize,
    group: Group,
}

/// Decided and not yet durable.
#[derive(Default)]
struct Group {
    /// Nobody where somebody was erased.
    subjects: HashMap<UserId, Option<SubjectId>>,
    /// How many people were registered.
    registered: u32,
    /// Who is to be erased by what is being decided.
    erasing: Option<SubjectId>,
    profiles: HashMap<SubjectId, ProfileState>,
    lists: HashMap<ListId, GroupList>,
    audiences: HashMap<AudienceId, AudienceState>,
    tenants: HashMap<TenantId, Option<TenantDetails>>,
    /// The tenants that one of those names, or named, as its parent.
    parents: HashSet<TenantId>,
    memberships: HashMap<TenantId, GroupMembers>,
    /// Of which tenants somebody's membership was decided about.
    tenants_of: HashMap<SubjectId, Vec<TenantId>>,
    sections: HashMap<SectionId, Option<SectionDetails>>,
    topics: HashMap<TopicId, TopicState>,
    page: Option<PreferencePagePublished>,
    brands: HashMap<BrandId, Option<BrandDetails>>,
    choices: HashMap<SubjectId, BTreeMap<ChoiceKey, Option<PersonalChoice>>>,
    /// How many choices somebody has, of whose choices something was decided.
    choice_counts: HashMap<SubjectId, usize>,
    recipient_preferences: HashMap<SubjectId, Option<JsonDocument>>,
    quiet_hours: HashMap<SubjectId, Option<QuietHours>>,
    tokens: HashMap<SubjectId, BTreeMap<DeviceToken, Option<TokenDetails>>>,
    keys: HashMap<String, KeyState>,
    webhooks: HashMap<String, WebhookState>,
    messages: HashMap<MessageId, MessageState>,
    /// Who was settled.
    settled: HashMap<MessageId, RoaringBitmap>,
    bulk_jobs: HashMap<MessageId, BulkState>,
    bulk_messages: HashMap<MessageId, JsonDocument>,
    ingested: HashMap<MessageId, RoaringBitmap>,
    templates: HashMap<TemplateKey, TemplateState>,
    /// What people did for the first time, and of whom all of it was forgotten.
    tracked: HashMap<SubjectId, HashSet<String>>,
    untracked: HashSet<SubjectId>,
    inbox_messages: HashMap<SubjectId, Vec<MessageId>>,
    emptied_inboxes: HashSet<SubjectId>,
    answers: HashMap<String, StoredAnswer>,
    clock_looked_at: bool,
    versions: HashMap<StreamId, StreamVersion>,
}

/// The context, if it is a tenant, and the topic.
type ChoiceKey = (Option<TenantId>, TopicId);

struct GroupList {
    state: ListState,
    /// The list was created in this group: its committed subscribers are history.
    fresh: bool,
    members: BTreeMap<SubjectId, ListMemberState>,
}

#[derive(Default)]
struct GroupMembers {
    /// Everybody has left in this group: the committed members are history.
    emptied: bool,
    members: BTreeMap<SubjectId, TenantMemberState>,
}

/// An event as decided, before it gets time, ids and position.
pub(crate) struct Decided {
    pub(crate) stream: StreamId,
    pub(crate) version: StreamVersion,
    pub(crate) subjects: Vec<SubjectId>,
    pub(crate) event: Event,
    /// The profile as this event leaves it, if it is about one.
    pub(crate) document: Option<JsonDocument>,
}

impl Decided {
    /// The tenant that the event is about, or in whose context it is.
    pub(crate) fn tenant(&self) -> Option<String> {
        let tenant = match (&self.stream, &self.event) {
            (StreamId::Tenant(tenant) | StreamId::TenantMember(tenant, _), _) => tenant,
            (
                _,
                Event::Preference(
                    PreferenceEvent::Set(PreferenceSet { tenant, .. })
                    | PreferenceEvent::Cleared(PreferenceCleared { tenant, .. }),
                ),
            ) => tenant.as_ref()?,
            _ => return None,
        };
        Some(tenant.as_str().to_owned())
    }
}

impl WriteModel {
    pub(crate) fn new(
        committed: Arc<ReadModels>,
        versions: Arc<RwLock<StreamVersions>>,
        tenant_levels: usize,
    ) -> Self {
        Self {
            committed,
            versions,
            tenant_levels,
            group: Group::default(),
        }
    }

    /// Decides at this time and, when the command is accepted, evolves: the next command of the group
    /// sees it. On a refusal nothing has changed.
    pub(crate) fn handle(
        &mut self,
        command: Command,
        now: Timestamp,
    ) -> Result<(Vec<Decided>, Outcome), Refusal> {
        let mut decided = Vec::new();
        let mut outcome = Outcome::Done;
        let all = &mut decided;
        match command {
            Command::Profile { user_id, command } => self.profile(&user_id, command, all)?,
            Command::List { list, command } => self.list(&list, command, all)?,
            Command::Subscribe {
                list,
                subscribers,
                mode,
            } => self.subscribe(&list, subscribers, mode, all)?,
            Command::Unsubscribe { list, user_id } => self.unsubscribe(&list, &user_id, all)?,
            Command::SubscribeToLists { user_id, lists } => {
                self.subscribe_to_lists(&user_id, lists, all)?;
            }
            Command::LeaveEveryList { user_id } => {
                if let Some(subject) = self.known(&user_id) {
                    self.leave_every_list(subject, all);
                }
            }
            Command::Audience { audience, command } => self.audience(&audience, command, all)?,
            Command::Tenant { tenant, command } => self.tenant(&tenant, command, all)?,
            Command::JoinTenants { user_id, tenants } => {
                self.join_tenants(&user_id, tenants, all)?;
            }
            Command::LeaveTenant { user_id, tenant } => {
                if let Some(subject) = self.known(&user_id) {
                    self.leave_tenant(subject, &tenant, all);
                }
            }
            Command::LeaveEveryTenant { user_id } => {
                if let Some(subject) = self.known(&user_id) {
                    for tenant in self.tenants_of(subject) {
                        self.leave_tenant(subject, &tenant, all);
                    }
                }
            }
            Command::Section { section, edit } => self.section(&section, edit, all)?,
            Command::Topic {
                section,
                topic,
                edit,
            } => self.topic(section, &topic, edit, all)?,
            Command::RemoveDigest { section, topic } => self.remove_digest(section, &topic, all)?,
            Command::PublishPreferencePage(published) => {
                self.publish_preference_page(published, all)?;
            }
            Command::Brand { brand, edit } => self.brand(&brand, edit, all)?,
            Command::Choose {
                user_id,
                tenant,
                choices,
            } => outcome = self.choose(&user_id, tenant.as_ref(), choices, all)?,
            Command::RecipientPreferences {
                user_id,
                preferences,
            } => self.recipient_preferences(&user_id, preferences, all)?,
            Command::MergeRecipientPreferences { user_id, changes } => {
                self.merge_recipient_preferences(&user_id, &changes, all)?;
            }
            Command::QuietHours {
                user_id,
                quiet_hours,
            } => self.quiet_hours(&user_id, quiet_hours, all)?,
            Command::RegisterTokens { user_id, tokens } => {
                self.register_tokens(&user_id, tokens, now, all)?;
            }
            Command::PatchToken {
                user_id,
                token,
                patch,
            } => self.patch_token(&user_id, &token, patch, now, all)?,
            Command::RemoveToken { user_id, token } => {
                self.remove_token(&user_id, &token, now, all)?;
            }
            Command::UpsertUsers(users) => {
                outcome = Outcome::Users(self.upsert_users(users, now, all));
            }
            Command::DeleteUser { user_id } => {
                outcome = Outcome::Removed(self.delete_user(&user_id, now, all));
            }
            Command::EraseUser { user_id } => {
                outcome = Outcome::Removed(self.erase_user(&user_id, now, all)?);
            }
            Command::AdvanceClock => {}
            Command::IssueKey(key) => self.issue_key(key, now, all)?,
            Command::NoteUserToken { key, issued } => self.note_user_token(key, issued, all),
            Command::ReplaceKey {
                id,
                successor,
                ends_at,
            } => self.replace_key(&id, *successor, ends_at, now, all)?,
            Command::RevokeKey { id } => self.key(&id, KeyCommand::Revoke, all)?,
            Command::Webhook { id, command } => self.webhook(&id, command, all)?,
            Command::Send(message) => self.send(*message, all)?,
            Command::ResolveMessage { id, targets, named } => {
                self.resolve_message(&id, &targets, &named, all)?;
            }
            Command::SettleMessage { id, settlements } => {
                self.settle_message(&id, settlements, now, all)?;
            }
            Command::CancelMessage { id, people } => self.cancel_message(&id, people, all)?,
            Command::ArchiveMessage { id } => {
                self.message(&id, MessageCommand::Archive, &[], all)?;
            }
            Command::CreateBulkJob {
                job,
                message,
                definition,
            } => self.create_bulk_job(&job, message, definition, all)?,
            Command::IngestUsers { job, users } => {
                outcome = Outcome::Duplicates(self.ingest_users(&job, users, all)?);
            }
            Command::RunBulkJob { job } => self.run_bulk_job(&job, all)?,
            Command::Template { key, command } => self.template(&key, command, all)?,
            Command::Track {
                user_id,
                event,
                properties,
            } => self.track(&user_id, event, properties, all)?,
            Command::MarkInbox {
                user_id,
                mark,
                messages,
            } => outcome = Outcome::Marked(self.mark_inbox(&user_id, mark, &messages, all)),
            Command::NoteKeyUse(used) => {
                for (id, at) in used {
                    self.key(&id, KeyCommand::NoteUse(at), all)?;
                }
            }
        }
        Ok((decided, outcome))
    }

    /// The event to write before anything else that happens now: that time has moved somebody over the
    /// edge of a window, or a device token has expired. Without it the next event would show it,
    /// whatever that is about.
    pub(crate) fn advance_clock(&mut self, now: Timestamp) -> Vec<Decided> {
        let mut decided = Vec::new();
        // Once for a group: in the time that it takes to decide the rest hardly anybody crosses, and
        // whoever does does so by the next event.
        if self.group.clock_looked_at {
            return decided;
        }
        self.group.clock_looked_at = true;
        if self.committed.time_matters(now) {
            self.record(
                StreamId::Clock,
                vec![],
                ClockAdvanced {}.into(),
                &mut decided,
            );
        }
        decided
    }

    /// The group is durable and the read models show it.
    pub(crate) fn committed(&mut self) {
        let mut versions = self.versions.write();
        for (stream, version) in std::mem::take(&mut self.group).versions {
            versions.set(&stream, version);
        }
    }

    fn record(
        &mut self,
        stream: StreamId,
        subjects: Vec<SubjectId>,
        event: Event,
        decided: &mut Vec<Decided>,
    ) {
        let current = match self.group.versions.get(&stream) {
            Some(version) => *version,
            None => self.versions.read().get(&stream),
        };
        let version = StreamVersion(current.0 + 1);
        self.group.versions.insert(stream.clone(), version);
        decided.push(Decided {
            stream,
            version,
            subjects,
            event,
            document: None,
        });
    }

    /// Refuses before anything is decided if that many new people could not get numbers.
    fn room_for(&self, people: usize) -> Result<(), Refusal> {
        let taken = self.next_subject().index();
        match taken.checked_add(people) {
            Some(total) if total < u32::MAX as usize => Ok(()),
            Some(_) | None => Err(Refusal::SubjectsExhausted),
        }
    }

    fn next_subject(&self) -> SubjectId {
        let next = self.committed.subjects.next().0;
        SubjectId(next.saturating_add(self.group.registered))
    }

    /// The person's number, which a new person gets now.
    fn register(&mut self, user_id: &UserId, decided: &mut Vec<Decided>) -> SubjectId {
        if let Some(subject) = self.known(user_id) {
            return subject;
        }
        let subject = self.next_subject();
        self.group.subjects.insert(user_id.clone(), Some(subject));
        self.group.registered += 1;
        let event = SubjectRegistered {
            user_id: Personal::Known(user_id.clone()),
        };
        self.record(
            StreamId::Subject(subject),
            vec![subject],
            event.into(),
            decided,
        );
        subject
    }

    fn known(&self, user_id: &UserId) -> Option<SubjectId> {
        match self.group.subjects.get(user_id) {
            Some(decided) => *decided,
            None => self.committed.subjects.number(user_id.as_str()),
        }
    }
}
