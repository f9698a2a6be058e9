//! Everything that was written about people, in rows that are each small enough to be taken in again.

use events::PersonalChoice;
use types::{
    DeviceToken, JsonDocument, ListId, PageLimit, QuietHours, SubjectId, TenantId, TopicId, UserId,
};

use crate::page::Weigh as _;
use crate::read_models::Frozen;
use crate::{ReadModels, TokenView};

/// People looked at in one go; nothing is locked for longer.
const SCAN_USERS_MAX: usize = 1_024;
/// A row that holds so much is not filled further: what is more of the same person is in further rows.
const ROW_BYTES_MAX: usize = 1024 * 1024;
const ROW_ELEMENTS_MAX: usize = 500;
/// What an element takes besides its documents and ids, about.
const ELEMENT_BYTES: usize = 128;

/// A part of what was written about one person. The first row of a person has the profile, the
/// preferences of the older form and the quiet hours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportRow {
    pub user_id: UserId,
    pub profile: Option<JsonDocument>,
    pub recipient_preferences: Option<JsonDocument>,
    pub quiet_hours: Option<QuietHours>,
    pub tokens: Vec<TokenView>,
    pub lists: Vec<(ListId, Option<JsonDocument>)>,
    pub tenants: Vec<(TenantId, Option<JsonDocument>)>,
    pub choices: Vec<(ChoiceKey, PersonalChoice)>,
}

/// The context, if it is a tenant, and the topic.
type ChoiceKey = (Option<TenantId>, TopicId);

#[derive(Clone, Debug, Default)]
pub struct ExportPage {
    pub rows: Vec<ExportRow>,
    /// Where to go on, if that was not all.
    pub next: Option<ExportPlace>,
}

/// After whom an export goes on, or after what of this person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportPlace {
    pub user_id: UserId,
    pub within: Option<ExportElement>,
}

/// What is exported of a person, in this order.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ExportElement {
    Person,
    Token(DeviceToken),
    List(ListId),
    Tenant(TenantId),
    Choice(Option<TenantId>, TopicId),
}

/// A page that is being filled.
struct Filling {
    page: ExportPage,
    limit: PageLimit,
    bytes: usize,
    row_bytes: usize,
    row_elements: usize,
}

/// The page is full.
struct Full;

impl ReadModels {
    /// One page of everybody with everything that was written about them, in the order of the user
    /// ids. It ends early when nobody wants it any more.
    pub fn export(
        &self,
        after: Option<ExportPlace>,
        limit: PageLimit,
        still_wanted: &dyn Fn() -> bool,
    ) -> ExportPage {
        let mut filling = Filling {
            page: ExportPage::default(),
            limit,
            bytes: 0,
            row_bytes: 0,
            row_elements: 0,
        };
        if let Some(ExportPlace {
            user_id,
            within: Some(within),
        }) = &after
            && let Some(subject) = self.subjects.number(user_id.as_str())
        {
            let filled = self
                .frozen()
                .export(user_id, subject, Some(within), &mut filling);
            if filled.is_err() {
                return filling.page;
            }
        }
        let mut scanned = after.map(|place| place.user_id);
        while still_wanted() {
            // Nothing is locked from one go to the next.
            let now = self.frozen();
            let wanted = |user_id: &UserId, subject: SubjectId| {
                let known = now.is_known(subject);
                known.then(|| (user_id.clone(), subject))
            };
            let at_most = SCAN_USERS_MAX.min(limit.rows() + 1);
            let (candidates, on) = self.subjects.following(scanned.as_ref(), at_most, wanted);
            for (user_id, subject) in candidates {
                if now.export(&user_id, subject, None, &mut filling).is_err() {
                    return filling.page;
                }
            }
            scanned = on;
            if scanned.is_none() {
                break;
            }
        }
        filling.page.next = None;
        filling.page
    }
}

impl Frozen<'_> {
    /// What was written about the person and comes after this.
    fn export(
        &self,
        user_id: &UserId,
        subject: SubjectId,
        after: Option<&ExportElement>,
        filling: &mut Filling,
    ) -> Result<(), Full> {
        use ExportElement::{Choice, List, Person, Tenant, Token};

        let follows = |element: &ExportElement| after.is_none_or(|after| element > after);
        let size = |document: Option<&JsonDocument>| document.map_or(0, |it| it.as_str().len());
        filling.end_row();
        let person = self.preferences.person(subject);
        if follows(&Person) {
            let profile = self.profiles.document(subject);
            let recipient_preferences = person.and_then(|person| person.recipient.clone());
            let bytes = size(profile.as_ref()) + size(recipient_preferences.as_ref());
            let row = filling.room(user_id, Person, bytes)?;
            row.profile = profile;
            row.recipient_preferences = recipient_preferences;
            row.quiet_hours = person.and_then(|person| person.quiet_hours.clone());
        }
        for token in self.tokens.of_subject(subject) {
            let element = Token(token.token.clone());
            if follows(&element) {
                let row = filling.room(user_id, element, token.bytes())?;
                row.tokens.push(token);
            }
        }
        let mut lists: Vec<&ListId> = self.lists.of_subject_live(subject).collect();
        lists.sort_unstable();
        for list in lists {
            let element = List(list.clone());
            if follows(&element) {
                let preferences = self.lists.preferences_of(list, subject);
                let row = filling.room(user_id, element, size(preferences))?;
                row.lists.push((list.clone(), preferences.cloned()));
            }
        }
        let mut tenants: Vec<&TenantId> = self.tenants.of_subject(subject).collect();
        tenants.sort_unstable();
        for tenant in tenants {
            let element = Tenant(tenant.clone());
            if follows(&element) {
                let profile = self.tenants.membership_profile(tenant, subject);
                let row = filling.room(user_id, element, size(profile))?;
                row.tenants.push((tenant.clone(), profile.cloned()));
            }
        }
        for (key, chosen) in person.iter().flat_map(|person| &person.choices) {
            let element = Choice(key.0.clone(), key.1.clone());
            if follows(&element) {
                let row = filling.room(user_id, element, chosen.bytes())?;
                row.choices.push((key.clone(), chosen.clone()));
            }
        }
        filling.page.next = Some(ExportPlace {
            user_id: user_id.clone(),
            within: None,
        });
        Ok(())
    }
}

impl Filling {
    /// The row for the next element. The page remembers that it goes on after it.
    fn room(
        &mut self,
        user_id: &UserId,
        element: ExportElement,
        bytes: usize,
    ) -> Result<&mut ExportRow, Full> {
        let bytes = ELEMENT_BYTES + bytes + element.bytes();
        let row_is_full = self.row_elements == ROW_ELEMENTS_MAX
            || self.row_bytes > 0 && self.row_bytes + bytes > ROW_BYTES_MAX;
        let new_row = self.row_elements == 0 || row_is_full;
        let page_is_full = self.bytes > PageLimit::BYTES_MAX
            || new_row && self.page.rows.len() == self.limit.rows();
        if page_is_full {
            return Err(Full);
        }
        if new_row {
            self.end_row();
            self.page.rows.push(ExportRow::of(user_id.clone()));
        }
        self.bytes += bytes;
        self.row_bytes += bytes;
        self.row_elements += 1;
        self.page.next = Some(ExportPlace {
            user_id: user_id.clone(),
            within: Some(element),
        });
        Ok(self
            .page
            .rows
            .last_mut()
            .expect("a row was begun if there was none"))
    }

    fn end_row(&mut self) {
        self.row_bytes = 0;
        self.row_elements = 0;
    }
}

impl ExportRow {
    fn of(user_id: UserId) -> Self {
        Self {
            user_id,
            profile: None,
            recipient_preferences: None,
            quiet_hours: None,
            tokens: vec![],
            lists: vec![],
            tenants: vec![],
            choices: vec![],
        }
    }
}

impl ExportElement {
    fn bytes(&self) -> usize {
        match self {
            Self::Person => 0,
            Self::Token(token) => token.as_str().len(),
            Self::List(list) => list.as_str().len(),
            Self::Tenant(tenant) => tenant.as_str().len(),
            Self::Choice(tenant, topic) => {
                tenant.as_ref().map_or(0, |it| it.as_str().len()) + topic.as_str().len()
            }
        }
    }
}
