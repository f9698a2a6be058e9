use events::{ChannelOutcome, MessageOutcome};
use projections::{Address, ChannelPlan};
use providers::{
    FailureKind, Outgoing, Providers, Undelivered, Unsubscribe, WebhookAddress,
    WebhookAuthentication, WebhookMethod,
};
use rendering::Rendered;
use serde_json::{Map, Value, json};
use tokio::time::Instant;
use types::{
    Channel, DeviceToken, JsonDocument, Message, MessageReason, MessageStatus, ProviderKey,
    RoutingMethod, Timestamp, merge_patch,
};

use crate::evaluate::{
    Prepared, PreparedChannel, PreparedRoute, PreparedStep, SENT, status_of, unused,
};
use crate::spec::Spec;

/// Who is told, and by when at the latest.
pub(crate) struct Carrying<'a> {
    pub(crate) spec: &'a Spec,
    pub(crate) prepared: &'a Prepared,
    pub(crate) providers: &'a Providers,
    pub(crate) message_id: &'a str,
    pub(crate) user_id: Option<&'a str>,
    pub(crate) began: Instant,
    pub(crate) deadline: Instant,
    /// When it is tried again if no provider can be had now; not any more unless given.
    pub(crate) again_at: Option<Timestamp>,
    /// Whether it is still to go out, asked before each attempt.
    pub(crate) may_go: &'a (dyn Fn() -> bool + Sync),
}

/// What came of it.
pub(crate) struct Carried {
    pub(crate) outcome: MessageOutcome,
    pub(crate) receipt: Option<String>,
    pub(crate) inbox: Option<JsonDocument>,
    pub(crate) dead_tokens: Vec<(DeviceToken, String)>,
}

/// The providers that are asked for an address, in order: the one that the channel is named after, those
/// that are wanted, or those that there are.
pub(crate) fn providers_of(
    wanted: &[String],
    plan: &ChannelPlan,
    address: &Address,
    providers: &Providers,
) -> Vec<&'static str> {
    let Some(outgoing) = outgoing_address(address) else {
        return Vec::new();
    };
    let there = providers.for_address(&outgoing);
    if let Some(named) = &plan.provider {
        return there.into_iter().filter(|it| it == named).collect();
    }
    let liked = wanted
        .iter()
        .filter_map(|name| there.iter().find(|it| *it == name).copied());
    let liked: Vec<_> = liked.collect();
    if liked.is_empty() { there } else { liked }
}

fn outgoing_address(address: &Address) -> Option<providers::Address> {
    Some(match address {
        Address::Email(email) => providers::Address::Email(email.clone()),
        Address::Phone(phone) => providers::Address::Phone(phone.clone()),
        Address::Device {
            provider, token, ..
        } => match provider {
            ProviderKey::FirebaseFcm => providers::Address::Fcm(token.clone()),
            ProviderKey::Apn => providers::Address::Apns(token.clone()),
            ProviderKey::Expo => providers::Address::Expo(token.clone()),
            ProviderKey::Onesignal => return None,
        },
        Address::Webhook(webhook) => providers::Address::Webhook(webhook_address(webhook)),
        Address::Inbox => return None,
    })
}

/// Courier's `webhook` of a profile.
fn webhook_address(webhook: &Map<String, Value>) -> WebhookAddress {
    let text = |value: Option<&Value>| {
        let text = value.and_then(Value::as_str);
        text.unwrap_or_default().to_owned()
    };
    let headers = webhook.get("headers").and_then(Value::as_object);
    let headers = headers.into_iter().flatten();
    let headers =
        headers.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())));
    let how = webhook.get("authentication").and_then(Value::as_object);
    let given = |name: &str| text(how.and_then(|it| it.get(name)));
    let authentication = match given("mode").as_str() {
        "basic" => WebhookAuthentication::Basic {
            username: given("username"),
            password: given("password"),
        },
        "bearer" => WebhookAuthentication::Bearer {
            token: given("token"),
        },
        _ => WebhookAuthentication::None,
    };
    WebhookAddress {
        url: text(webhook.get("url")),
        method: match webhook.get("method").and_then(Value::as_str) {
            Some("PUT") => WebhookMethod::Put,
            Some(_) | None => WebhookMethod::Post,
        },
        headers: headers.collect(),
        authentication,
    }
}

/// What is gathered on the way.
#[derive(Default)]
struct Gathered {
    channels: Vec<ChannelOutcome>,
    used: Vec<Channel>,
    receipt: Option<String>,
    inbox: Option<JsonDocument>,
    dead_tokens: Vec<(DeviceToken, String)>,
    failures: Vec<FailureKind>,
    /// It may have arrived, and nobody says so: nothing else is tried.
    is_unknown: bool,
    /// It is not to go out any more.
    is_withdrawn: bool,
}

/// Tells one person, by as many channels and as many providers as it takes; nothing comes of it where it was
/// not to go out any more before anything had.
pub(crate) async fn carry(carrying: Carrying<'_>) -> Option<Carried> {
    let prepared = carrying.prepared;
    let mut gathered = Gathered::default();
    Box::pin(follow(&carrying, &prepared.route, true, &mut gathered)).await;
    let Gathered {
        channels,
        used,
        receipt,
        inbox,
        dead_tokens,
        failures,
        is_unknown,
        is_withdrawn,
    } = gathered;
    if is_withdrawn && !is_unknown && used.iter().all(|it| *it == Channel::Inbox) {
        return None;
    }
    let mut delayed_until = None;
    let (status, reason, because) = if !used.is_empty() {
        (status_of(used), None, SENT)
    } else if is_unknown {
        let reason = Some(MessageReason::ProviderError);
        (
            MessageStatus::Undeliverable,
            reason,
            "unknown_whether_taken",
        )
    } else if let Some(again_at) = carrying.again_at
        && failures.contains(&FailureKind::Unavailable)
    {
        delayed_until = Some(again_at);
        (MessageStatus::Delayed, None, "provider_unavailable")
    } else {
        let is = |kind: FailureKind| failures.iter().all(|it| *it == kind);
        let (reason, because) = if is(FailureKind::DeadAddress) {
            (MessageReason::Bounced, "dead_address")
        } else if is(FailureKind::Malformed) {
            (MessageReason::Failed, "malformed_address")
        } else if is(FailureKind::Refused) {
            (MessageReason::ProviderError, "refused")
        } else {
            (MessageReason::ProviderError, "provider_failed")
        };
        (MessageStatus::Undeliverable, Some(reason), because)
    };
    Some(Carried {
        outcome: MessageOutcome {
            status,
            reason,
            because: because.to_owned(),
            tenant: prepared.tenant.clone(),
            channels,
            planned: prepared.planned,
            planned_at: prepared.planned_at,
            delayed_until,
        },
        receipt,
        inbox,
        dead_tokens,
    })
}

/// Goes through the channels; says whether one was used.
async fn follow(
    carrying: &Carrying<'_>,
    route: &PreparedRoute,
    is_wanted: bool,
    gathered: &mut Gathered,
) -> bool {
    let mut is_wanted = is_wanted;
    let mut any = false;
    for step in &route.steps {
        let wanted = is_wanted && !gathered.is_unknown && !gathered.is_withdrawn;
        let done = match step {
            PreparedStep::Group(group) => Box::pin(follow(carrying, group, wanted, gathered)).await,
            PreparedStep::Channel(channel) => match &channel.content {
                Ok(content) if wanted => tell(carrying, channel, content, gathered).await,
                Ok(_) | Err(_) => {
                    gathered.channels.push(unused(channel));
                    false
                }
            },
        };
        any |= done;
        if done && route.method == RoutingMethod::Single {
            is_wanted = false;
        }
    }
    any
}

/// Tells somebody on one channel; says whether that went well.
async fn tell(
    carrying: &Carrying<'_>,
    channel: &PreparedChannel,
    content: &Rendered,
    gathered: &mut Gathered,
) -> bool {
    let Some(kind) = channel.plan.channel else {
        return false;
    };
    if kind == Channel::Inbox {
        gathered.inbox = Some(in_inbox(content, &carrying.prepared.data));
        gathered.used.push(kind);
        gathered
            .channels
            .push(outcome(channel, Some("inbox"), Ok(()), 1));
        return true;
    }
    // All devices of somebody are told, each by one provider; of everything else there is one address.
    let wanted = wanted_providers(&carrying.spec.message, carrying.prepared, kind);
    let mut sent: Option<(&'static str, u32)> = None;
    let mut failed: Option<(Option<&'static str>, Undelivered)> = None;
    for address in &channel.plan.addresses {
        if gathered.is_withdrawn {
            break;
        }
        let providers = providers_of(&wanted, &channel.plan, address, carrying.providers);
        for provider in providers {
            let Some(outgoing) = outgoing(carrying, channel, content, address, provider) else {
                continue;
            };
            let deadline = deadline(carrying, kind, provider);
            match carrying
                .providers
                .deliver(provider, &outgoing, deadline, carrying.may_go)
                .await
            {
                Ok(receipt) => {
                    if gathered.receipt.is_none() {
                        gathered.receipt = receipt.provider_message_id;
                    }
                    sent.get_or_insert((provider, receipt.attempts));
                    break;
                }
                Err(undelivered) if undelivered.kind == FailureKind::Withdrawn => {
                    gathered.is_withdrawn = true;
                    break;
                }
                Err(undelivered) => {
                    gathered.failures.push(undelivered.kind);
                    if undelivered.kind == FailureKind::DeadAddress
                        && let Address::Device {
                            registered: Some(token),
                            ..
                        } = address
                    {
                        let reason = undelivered.reason.clone();
                        gathered.dead_tokens.push((token.clone(), reason));
                    }
                    let is_unknown = undelivered.kind == FailureKind::Unknown;
                    failed = Some((Some(provider), undelivered));
                    if is_unknown {
                        // This device may have it already. The others are told all the same.
                        gathered.is_unknown = true;
                        break;
                    }
                }
            }
        }
    }
    let (told, is_sent) = match (sent, failed) {
        (Some((provider, attempts)), _) => {
            (outcome(channel, Some(provider), Ok(()), attempts), true)
        }
        (None, Some((provider, undelivered))) => {
            let because = format!("{}: {}", undelivered.kind.name(), undelivered.reason);
            let attempts = undelivered.attempts;
            (outcome(channel, provider, Err(because), attempts), false)
        }
        (None, None) => {
            let because = Err("no_provider".to_owned());
            (outcome(channel, None, because, 0), false)
        }
    };
    gathered.channels.push(told);
    if is_sent {
        gathered.is_unknown = false;
        gathered.used.push(kind);
    }
    is_sent
}

fn outcome(
    channel: &PreparedChannel,
    provider: Option<&str>,
    result: Result<(), String>,
    attempts: u32,
) -> ChannelOutcome {
    ChannelOutcome {
        channel: channel.plan.name.clone(),
        provider: provider.map(str::to_owned),
        used: result.is_ok(),
        because: result.err().unwrap_or_else(|| SENT.to_owned()),
        attempts,
    }
}

/// Until when a provider is tried: no longer than the message, the channel or the provider says.
fn deadline(carrying: &Carrying<'_>, channel: Channel, provider: &str) -> Instant {
    let timeouts = &carrying.spec.message.timeouts;
    let of = |all: &[(String, std::time::Duration)], name: &str| {
        let found = all.iter().find(|(held, _)| held == name);
        found.map(|(_, duration)| carrying.began + *duration)
    };
    let channel = of(&timeouts.by_channel, channel.name());
    let provider = of(&timeouts.by_provider, provider);
    let all = [Some(carrying.deadline), channel, provider];
    all.into_iter().flatten().min().unwrap_or(carrying.deadline)
}

/// The provider that is asked first, if one is.
pub(crate) fn first_provider(
    message: &Message,
    prepared: &Prepared,
    providers: &Providers,
) -> Option<&'static str> {
    let mut channels = prepared.route.channels();
    channels.find_map(|channel| {
        let kind = channel
            .plan
            .channel
            .filter(|it| channel.content.is_ok() && *it != Channel::Inbox)?;
        let wanted = wanted_providers(message, prepared, kind);
        let mut addresses = channel.plan.addresses.iter();
        addresses.find_map(|address| {
            providers_of(&wanted, &channel.plan, address, providers)
                .first()
                .copied()
        })
    })
}

/// The providers that the message wants for a channel, or those that its template does.
fn wanted_providers(message: &Message, prepared: &Prepared, channel: Channel) -> Vec<String> {
    let wanted = message.wanted_providers(channel);
    match &prepared.settings {
        Some(template) if wanted.is_empty() => template.wanted_providers(channel),
        _ => wanted,
    }
}

fn outgoing(
    carrying: &Carrying<'_>,
    channel: &PreparedChannel,
    content: &Rendered,
    address: &Address,
    provider: &str,
) -> Option<Outgoing> {
    let kind = channel.plan.channel?;
    let prepared = carrying.prepared;
    let template = prepared.settings.as_ref();
    let mut overrides = template.map_or_else(Map::new, |it| it.overrides(kind, provider));
    merge_patch(
        &mut overrides,
        carrying.spec.message.overrides(kind, provider),
    );
    let one_click_url = prepared.one_click.clone();
    Some(Outgoing {
        message_id: carrying.message_id.to_owned(),
        address: outgoing_address(address)?,
        content: content.clone(),
        unsubscribe: one_click_url.map(|one_click_url| Unsubscribe { one_click_url }),
        data: prepared.data.clone(),
        overrides,
        user_id: carrying.user_id.map(str::to_owned),
        tenant_id: prepared.tenant.as_ref().map(|it| it.as_str().to_owned()),
    })
}

/// What lies in the inbox.
fn in_inbox(content: &Rendered, data: &Map<String, Value>) -> JsonDocument {
    let actions = content.actions.iter();
    let actions = actions.map(|it| json!({"content": it.label, "href": it.href}));
    JsonDocument::from_value(&json!({
        "title": content.title,
        "body": content.text,
        "image": content.image,
        "actions": actions.collect::<Vec<_>>(),
        "data": data,
    }))
}
