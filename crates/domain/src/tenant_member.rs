use std::convert::Infallible;

use events::{
    Personal, TenantMemberAdded, TenantMemberEvent, TenantMemberRemoved, TenantMemberUpdated,
};
use types::JsonDocument;

use crate::{Change, Decider};

/// What a caller may ask of one person's membership of one tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TenantMemberCommand {
    /// Become a member, or change the profile of the membership that is there.
    Put {
        profile: Change<JsonDocument>,
    },
    Remove,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum TenantMemberState {
    #[default]
    Absent,
    Member {
        profile: Option<JsonDocument>,
    },
}

pub struct TenantMember;

impl Decider for TenantMember {
    type Command = TenantMemberCommand;
    type Event = TenantMemberEvent;
    type State = TenantMemberState;
    type Refusal = Infallible;

    fn decide(
        state: &TenantMemberState,
        command: TenantMemberCommand,
    ) -> Result<Vec<TenantMemberEvent>, Infallible> {
        let personal = |profile: Option<JsonDocument>| profile.map(Personal::Known);
        Ok(match (state, command) {
            (TenantMemberState::Absent, TenantMemberCommand::Put { profile }) => {
                let profile = personal(profile.applied_to(None));
                vec![TenantMemberEvent::Added(TenantMemberAdded { profile })]
            }
            (
                TenantMemberState::Member { profile: stored },
                TenantMemberCommand::Put { profile },
            ) => {
                let after = profile.applied_to(stored.clone());
                if after == *stored {
                    return Ok(vec![]);
                }
                let profile = personal(after);
                vec![TenantMemberEvent::Updated(TenantMemberUpdated { profile })]
            }
            (TenantMemberState::Member { .. }, TenantMemberCommand::Remove) => {
                vec![TenantMemberEvent::Removed(TenantMemberRemoved {})]
            }
            (TenantMemberState::Absent, TenantMemberCommand::Remove) => vec![],
        })
    }

    fn evolve(state: &mut TenantMemberState, event: &TenantMemberEvent) {
        *state = match event {
            TenantMemberEvent::Added(TenantMemberAdded { profile })
            | TenantMemberEvent::Updated(TenantMemberUpdated { profile }) => {
                let profile = profile.as_ref().and_then(Personal::known).cloned();
                TenantMemberState::Member { profile }
            }
            // A bulk event is made from decisions about single people, after they were made.
            TenantMemberEvent::ManyAdded(_) => TenantMemberState::Member { profile: None },
            TenantMemberEvent::Removed(_) | TenantMemberEvent::ManyRemoved(_) => {
                TenantMemberState::Absent
            }
        };
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::given;

    fn profile(role: &str) -> JsonDocument {
        JsonDocument::from_value(&json!({"role": role}))
    }

    fn added(profile: Option<JsonDocument>) -> TenantMemberEvent {
        let profile = profile.map(Personal::Known);
        TenantMemberEvent::Added(TenantMemberAdded { profile })
    }

    fn updated(profile: Option<JsonDocument>) -> TenantMemberEvent {
        let profile = profile.map(Personal::Known);
        TenantMemberEvent::Updated(TenantMemberUpdated { profile })
    }

    fn put(profile: Change<JsonDocument>) -> TenantMemberCommand {
        TenantMemberCommand::Put { profile }
    }

    #[test]
    fn putting_adds_and_changes_the_profile_as_asked() {
        given::<TenantMember>([])
            .when(put(Change::Keep))
            .then([added(None)]);
        given::<TenantMember>([])
            .when(put(Change::Set(profile("admin"))))
            .then([added(Some(profile("admin")))]);
        let admin = || [added(Some(profile("admin")))];
        given::<TenantMember>(admin())
            .when(put(Change::Keep))
            .then_nothing();
        given::<TenantMember>(admin())
            .when(put(Change::Set(profile("admin"))))
            .then_nothing();
        given::<TenantMember>(admin())
            .when(put(Change::Set(profile("owner"))))
            .then([updated(Some(profile("owner")))]);
        given::<TenantMember>(admin())
            .when(put(Change::Clear))
            .then([updated(None)]);
    }

    #[test]
    fn removing_ends_a_membership_and_removing_again_says_nothing() {
        let removed = || TenantMemberEvent::Removed(TenantMemberRemoved {});
        given::<TenantMember>([added(None)])
            .when(TenantMemberCommand::Remove)
            .then([removed()]);
        given::<TenantMember>([added(None), removed()])
            .when(TenantMemberCommand::Remove)
            .then_nothing();
    }
}
