use std::sync::Arc;

use events::{ChannelOutcome, MessageOutcome, MessageTarget};
use projections::{
    ChannelPlan, Decision, Given, Plan, PlanQuestion, PlannedRoute, PlannedStep, ReadModels,
};
use providers::Providers;
use rendering::Rendered;
use serde_json::{Map, Value};
use types::{
    Channel, Message, MessageReason, MessageStatus, Position, RoutingMethod, SubjectId, TenantId,
    Timestamp,
};

use crate::carry::providers_of;
use crate::spec::Spec;
use crate::writing::{Text, Writing, WritingError};

/// What is to become of a message for one person, with what they are told.
#[derive(Clone, Debug)]
pub enum Evaluation {
    /// This is what becomes of it, whether it is to be looked at again or not.
    Settled(MessageOutcome),
    Send(Box<Prepared>),
}

/// All that it takes to tell one person.
#[derive(Clone, Debug)]
pub struct Prepared {
    pub route: PreparedRoute,
    pub tenant: Option<TenantId>,
    /// What the template sets for channels and providers.
    pub settings: Option<Arc<Message>>,
    pub data: Map<String, Value>,
    /// Ends the topic with one click.
    pub one_click: Option<String>,
    pub planned: Position,
    pub planned_at: Timestamp,
}

/// As the planned route, with what is told on each channel that can be used.
#[derive(Clone, Debug)]
pub struct PreparedRoute {
    pub method: RoutingMethod,
    pub steps: Vec<PreparedStep>,
}

#[derive(Clone, Debug)]
pub enum PreparedStep {
    Channel(PreparedChannel),
    Group(PreparedRoute),
}

#[derive(Clone, Debug)]
pub struct PreparedChannel {
    pub plan: ChannelPlan,
    /// What is told; or why it cannot be used, in one word.
    pub content: Result<Rendered, String>,
}

/// What a dry run says of one person.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Prediction {
    pub status: MessageStatus,
    pub reason: Option<MessageReason>,
    pub because: String,
    pub tenant: Option<TenantId>,
    /// The channels in the order in which they are looked at, and whether each is used if the providers
    /// take what they are given.
    pub channels: Vec<(String, bool, String)>,
    pub delayed_until: Option<Timestamp>,
}

/// The words for what went well.
pub(crate) const SENT: &str = "sent";

/// Decides for people to whom one message is.
#[derive(Clone, Copy)]
pub struct Evaluator<'a> {
    pub spec: &'a Spec,
    pub read_models: &'a ReadModels,
    /// Levels of a tenant's ancestry that are loaded.
    pub tenant_levels: usize,
    pub at: Timestamp,
    pub writing: &'a Writing,
    pub providers: &'a Providers,
}

/// About whom it is to be decided.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// Nothing of somebody who is not known yet.
    pub subject: Option<SubjectId>,
    pub target: &'a MessageTarget,
    /// In the context of which tenant the target has it.
    pub tenant: Option<&'a TenantId>,
    pub given: &'a Given,
    pub message_id: &'a str,
}

/// What it takes to write for one person.
struct Written<'a> {
    plan: &'a Plan,
    data: &'a Map<String, Value>,
    asked: Asked<'a>,
}

impl Evaluator<'_> {
    /// What becomes of the message for one person, but for what providers will say. Everything is written
    /// before anything is sent: what cannot be written for a channel that would be used is sent on none.
    pub fn evaluate(&self, asked: Asked<'_>) -> Evaluation {
        let plan = self.read_models.plan(PlanQuestion {
            message: &self.spec.message,
            subject: asked.subject,
            target: asked.target,
            target_tenant: asked.tenant,
            given: asked.given,
            tenant_levels: self.tenant_levels,
            at: self.at,
        });
        let data = self.spec.data(asked.target, asked.given);
        let at = self.at;
        let outcome = |status, reason, because: String, delayed_until| MessageOutcome {
            status,
            reason,
            because,
            tenant: plan.tenant.clone(),
            channels: Vec::new(),
            planned: plan.planned,
            planned_at: at,
            delayed_until,
        };
        let route = match &plan.decision {
            Decision::Skip {
                status,
                reason,
                because,
            } => {
                return Evaluation::Settled(outcome(*status, *reason, because.clone(), None));
            }
            Decision::Later { until, because } => {
                let delayed = MessageStatus::Delayed;
                return Evaluation::Settled(outcome(delayed, None, because.clone(), Some(*until)));
            }
            Decision::Route(route) => route,
        };
        let mut failure = None;
        let mut prepare = |channel: &ChannelPlan| {
            let written = Written {
                plan: &plan,
                data: &data,
                asked,
            };
            let content = self.prepared(&written, channel);
            content.unwrap_or_else(|error| {
                failure.get_or_insert(error.clone());
                Err(error)
            })
        };
        let route = prepare_route(route, &mut prepare);
        let channels = || route.channels().map(unused).collect();
        if let Some(because) = failure {
            let reason = Some(MessageReason::Failed);
            let mut outcome = outcome(MessageStatus::Undeliverable, reason, because, None);
            outcome.channels = channels();
            return Evaluation::Settled(outcome);
        }
        if !route.channels().any(|it| it.content.is_ok()) {
            let said = |word: &str| {
                route
                    .channels()
                    .any(|it| it.content.as_ref().is_err_and(|e| e == word))
            };
            let (status, reason, because) = if said("channel_not_chosen") {
                let reason = MessageReason::Unsubscribed;
                (MessageStatus::Undeliverable, reason, "channel_not_chosen")
            } else if said("no_provider") {
                (
                    MessageStatus::Unroutable,
                    MessageReason::NoProviders,
                    "no_provider",
                )
            } else if said(NO_CONTENT) {
                (
                    MessageStatus::Undeliverable,
                    MessageReason::Failed,
                    NO_CONTENT,
                )
            } else {
                (
                    MessageStatus::Unroutable,
                    MessageReason::NoChannels,
                    "no_address",
                )
            };
            let mut outcome = outcome(status, Some(reason), because.to_owned(), None);
            outcome.channels = channels();
            return Evaluation::Settled(outcome);
        }
        Evaluation::Send(Box::new(Prepared {
            route,
            one_click: asked
                .subject
                .and_then(|it| self.writing.one_click(&plan, it)),
            planned: plan.planned,
            planned_at: at,
            settings: settings_of(&plan),
            tenant: plan.tenant,
            data,
        }))
    }

    /// What is told on a channel, or why the channel cannot be used; fails where it must not be told at
    /// all.
    fn prepared(
        &self,
        written: &Written<'_>,
        planned: &ChannelPlan,
    ) -> Result<Result<Rendered, String>, String> {
        let channel = match (planned.channel, planned.unusable) {
            (Some(channel), None) => channel,
            (_, unusable) => return Ok(Err(unusable.unwrap_or("no_provider").to_owned())),
        };
        // Which of them are wanted is only about the order.
        let has_provider = channel == Channel::Inbox
            || planned
                .addresses
                .iter()
                .any(|it| !providers_of(&[], planned, it, self.providers).is_empty());
        if !has_provider {
            return Ok(Err("no_provider".to_owned()));
        }
        let Written { plan, data, asked } = *written;
        let text = Text {
            subject: asked.subject,
            data,
            channel,
            message_id: asked.message_id,
        };
        match self.writing.write(self.spec, plan, &text) {
            Ok(rendered) => Ok(Ok(rendered)),
            Err(WritingError::Nothing) => Ok(Err(NO_CONTENT.to_owned())),
            Err(WritingError::Failed(because)) => Err(because),
        }
    }
}

/// What a template says of channels and providers, as far as it says anything.
fn settings_of(plan: &Plan) -> Option<Arc<Message>> {
    let template = plan
        .template
        .as_ref()?
        .template
        .members(|name| matches!(name, "channels" | "providers"));
    if template.is_empty() {
        return None;
    }
    // It was looked at before it was taken in.
    Message::parse(&template).ok().map(Arc::new)
}

const NO_CONTENT: &str = "no_content";

fn prepare_route(
    route: &PlannedRoute,
    prepare: &mut impl FnMut(&ChannelPlan) -> Result<Rendered, String>,
) -> PreparedRoute {
    let steps = route.steps.iter().map(|step| match step {
        PlannedStep::Channel(plan) => PreparedStep::Channel(PreparedChannel {
            content: prepare(plan),
            plan: plan.clone(),
        }),
        PlannedStep::Group(group) => PreparedStep::Group(prepare_route(group, prepare)),
    });
    PreparedRoute {
        method: route.method,
        steps: steps.collect(),
    }
}

impl Prepared {
    /// About how much memory it takes, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        let channels = self.route.channels().map(|channel| {
            let content = channel.content.as_ref().map_or(0, |content| {
                let texts = [Some(&content.text), content.html.as_ref()];
                texts.into_iter().flatten().map(String::len).sum()
            });
            content + 512 + 256 * channel.plan.addresses.len()
        });
        channels.sum::<usize>() + bytes_of(self.data.values())
    }
}

/// About how much memory values take, in bytes.
fn bytes_of<'a>(values: impl Iterator<Item = &'a Value>) -> usize {
    let bytes = values.map(|value| {
        let within = match value {
            Value::String(text) => text.len(),
            Value::Array(items) => bytes_of(items.iter()),
            Value::Object(members) => bytes_of(members.values()),
            Value::Null | Value::Bool(_) | Value::Number(_) => 0,
        };
        within + 64
    });
    bytes.sum()
}

impl PreparedRoute {
    /// All channels, in the order in which they are looked at.
    pub fn channels(&self) -> Box<dyn Iterator<Item = &PreparedChannel> + '_> {
        Box::new(self.steps.iter().flat_map(|step| match step {
            PreparedStep::Channel(channel) => {
                Box::new(std::iter::once(channel)) as Box<dyn Iterator<Item = _>>
            }
            PreparedStep::Group(group) => group.channels(),
        }))
    }
}

/// What is told of a channel that was not used.
pub(crate) fn unused(channel: &PreparedChannel) -> ChannelOutcome {
    let because = match &channel.content {
        Ok(_) => "not_needed".to_owned(),
        Err(because) => because.clone(),
    };
    ChannelOutcome {
        channel: channel.plan.name.clone(),
        provider: None,
        used: false,
        because,
        attempts: 0,
    }
}

/// The status of a message that went by these channels.
pub(crate) fn status_of(used: impl IntoIterator<Item = Channel>) -> MessageStatus {
    // What lies in the inbox has arrived; of all else only the provider knows.
    let mut used = used.into_iter();
    if used.all(|channel| channel == Channel::Inbox) {
        MessageStatus::Delivered
    } else {
        MessageStatus::Sent
    }
}

impl Evaluation {
    /// What becomes of it if the providers take what they are given.
    pub fn predict(&self) -> Prediction {
        match self {
            Self::Settled(outcome) => Prediction {
                status: outcome.status,
                reason: outcome.reason,
                because: outcome.because.clone(),
                tenant: outcome.tenant.clone(),
                channels: outcome
                    .channels
                    .iter()
                    .map(|it| (it.channel.clone(), it.used, it.because.clone()))
                    .collect(),
                delayed_until: outcome.delayed_until,
            },
            Self::Send(prepared) => {
                let mut channels = Vec::new();
                let mut used = Vec::new();
                foretell(&prepared.route, true, &mut channels, &mut used);
                Prediction {
                    status: status_of(used),
                    reason: None,
                    because: SENT.to_owned(),
                    tenant: prepared.tenant.clone(),
                    channels,
                    delayed_until: None,
                }
            }
        }
    }
}

/// Goes through the channels as sending does; says whether one was used.
fn foretell(
    route: &PreparedRoute,
    is_wanted: bool,
    channels: &mut Vec<(String, bool, String)>,
    used: &mut Vec<Channel>,
) -> bool {
    let mut is_wanted = is_wanted;
    let mut any = false;
    for step in &route.steps {
        let done = match step {
            PreparedStep::Group(group) => foretell(group, is_wanted, channels, used),
            PreparedStep::Channel(channel) => {
                let is_used = is_wanted && channel.content.is_ok();
                let because = if is_used {
                    SENT.to_owned()
                } else {
                    unused(channel).because
                };
                channels.push((channel.plan.name.clone(), is_used, because));
                used.extend(channel.plan.channel.filter(|_| is_used));
                is_used
            }
        };
        any |= done;
        if done && route.method == RoutingMethod::Single {
            is_wanted = false;
        }
    }
    any
}
