use std::collections::BTreeMap;

use domain::limits::USER_TOKENS_MAX;
use domain::{Decider, Token, TokenAction, TokenCommand, TokenRefusal};
use events::{TokenDetails, TokenEvent};
use types::{DeviceToken, JsonPatch, StreamId, SubjectId, Timestamp, UserId};

use super::{Decided, WriteModel};
use crate::command::Refusal;

/// What was decided about the tokens of one person.
#[derive(Default)]
pub(super) struct TokensPlan {
    events: Vec<(DeviceToken, TokenEvent)>,
}

impl TokensPlan {
    pub(super) fn writes(&self) -> bool {
        !self.events.is_empty()
    }
}

impl WriteModel {
    pub(super) fn register_tokens(
        &mut self,
        user_id: &UserId,
        tokens: Vec<(DeviceToken, TokenDetails)>,
        now: Timestamp,
        decided: &mut Vec<Decided>,
    ) -> Result<(), Refusal> {
        let plan = self.plan_tokens(self.known(user_id), tokens, now)?;
        self.room_for(1)?;
        if !plan.events.is_empty() {
            let subject = self.register(user_id, decided);
            self.carry_out_tokens(subject, plan, decided);
        }
        Ok(())
    }

    pub(super) fn patch_token(
        &mut self,
        user_id: &UserId,
        token: &DeviceToken,
        patch: JsonPatch,
        now: Timestamp,
        decided: &mut Vec<Decided>,
    ) -> Result<(), Refusal> {
        self.change_token(
            user_id,
            token,
            TokenAction::Patch { patch, now },
            now,
            decided,
        )
    }

    pub(super) fn remove_token(
        &mut self,
        user_id: &UserId,
        token: &DeviceToken,
        now: Timestamp,
        decided: &mut Vec<Decided>,
    ) -> Result<(), Refusal> {
        self.change_token(user_id, token, TokenAction::Remove, now, decided)
    }

    /// For what can only be done to a token that is there.
    fn change_token(
        &mut self,
        user_id: &UserId,
        token: &DeviceToken,
        action: TokenAction,
        now: Timestamp,
        decided: &mut Vec<Decided>,
    ) -> Result<(), Refusal> {
        let known = self.known(user_id);
        let state = known.and_then(|subject| self.tokens_of(subject, now).remove(token));
        let command = TokenCommand {
            token: token.clone(),
            action,
        };
        let events = Token::decide(&state, command)?;
        if let Some(subject) = known {
            let events = events.into_iter().map(|event| (token.clone(), event));
            let events = events.collect();
            self.carry_out_tokens(subject, TokensPlan { events }, decided);
        }
        Ok(())
    }

    /// Of a token that is named twice, what was said last counts.
    pub(super) fn plan_tokens(
        &self,
        subject: Option<SubjectId>,
        tokens: Vec<(DeviceToken, TokenDetails)>,
        now: Timestamp,
    ) -> Result<TokensPlan, Refusal> {
        let wanted: BTreeMap<DeviceToken, TokenDetails> = tokens.into_iter().collect();
        if wanted.is_empty() {
            return Ok(TokensPlan::default());
        }
        let mut held = subject.map_or_else(BTreeMap::new, |it| self.tokens_of(it, now));
        let mut plan = TokensPlan::default();
        for (token, details) in wanted {
            let command = TokenCommand {
                token: token.clone(),
                action: TokenAction::Put(details.clone()),
            };
            let state = held.insert(token.clone(), details);
            let events = Token::decide(&state, command)?;
            let events = events.into_iter().map(|event| (token.clone(), event));
            plan.events.extend(events);
        }
        if held.len() > USER_TOKENS_MAX {
            return Err(TokenRefusal::TooMany.into());
        }
        Ok(plan)
    }

    pub(super) fn carry_out_tokens(
        &mut self,
        subject: SubjectId,
        plan: TokensPlan,
        decided: &mut Vec<Decided>,
    ) {
        for (token, event) in plan.events {
            let mut state = None;
            Token::evolve(&mut state, &event);
            let tokens = self.group.tokens.entry(subject).or_default();
            tokens.insert(token, state);
            let stream = StreamId::Token(subject);
            self.record(stream, vec![subject], event.into(), decided);
        }
    }

    /// Removes every token; says which there were.
    pub(super) fn remove_every_token(
        &mut self,
        subject: SubjectId,
        now: Timestamp,
        decided: &mut Vec<Decided>,
    ) -> Vec<DeviceToken> {
        let mut plan = TokensPlan::default();
        for (token, details) in self.tokens_of(subject, now) {
            let command = TokenCommand {
                token: token.clone(),
                action: TokenAction::Remove,
            };
            // Removing is never refused.
            let events = Token::decide(&Some(details), command).unwrap_or_default();
            let events = events.into_iter().map(|event| (token.clone(), event));
            plan.events.extend(events);
        }
        let tokens = plan.events.iter().map(|(token, _)| token.clone()).collect();
        self.carry_out_tokens(subject, plan, decided);
        tokens
    }

    /// The tokens that are not expired at this time. The event that is decided now has this time, so
    /// whoever folds it has let the others go before.
    pub(super) fn tokens_of(
        &self,
        subject: SubjectId,
        now: Timestamp,
    ) -> BTreeMap<DeviceToken, TokenDetails> {
        let committed = self.committed.tokens.of_subject(subject);
        let mut tokens: BTreeMap<DeviceToken, TokenDetails> = committed
            .into_iter()
            .map(|view| (view.token, view.details))
            .collect();
        for (token, state) in self.group.tokens.get(&subject).into_iter().flatten() {
            match state {
                Some(details) => drop(tokens.insert(token.clone(), details.clone())),
                None => drop(tokens.remove(token)),
            }
        }
        tokens.retain(|_, details| details.expires_at.is_none_or(|at| at > now));
        tokens
    }
}
