use events::{PersonalChoice, SectionDetails, TopicDetails};
use serde_json::Value;
use types::filter::Moment;
use types::{
    Channel, Choice, JsonDocument, PreferenceStatus, Snooze, TenantId, Timestamp, TopicId,
};

/// Everything that has a say in whether one person receives what belongs to one topic, in one
/// context.
#[derive(Clone, Debug)]
pub struct Layers<'a> {
    /// What the person chose in the tenant; nothing outside of any.
    pub in_tenant: Option<&'a PersonalChoice>,
    /// What the person chose to hold everywhere.
    pub everywhere: Option<&'a PersonalChoice>,
    /// What the person chose in the older form.
    pub older: Option<&'a OlderChoice>,
    /// What the tenant and its ancestors set, nearest first; only those that say anything.
    pub tenant_defaults: Vec<(&'a TenantId, &'a Choice)>,
    pub topic: &'a TopicDetails,
    pub section: Option<&'a SectionDetails>,
}

/// A choice in the older form: `RecipientPreferences`, by category or by notification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OlderChoice {
    pub choice: Choice,
    pub snoozes: Vec<Snooze>,
}

/// Which of the layers had the last word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Layer {
    InTenant,
    Everywhere,
    Older,
    TenantDefault(TenantId),
    Topic,
    Section,
    /// Nobody said anything: every channel is used.
    Unrestricted,
}

impl Layer {
    pub fn name(&self) -> &'static str {
        match self {
            Self::InTenant => "user_in_tenant",
            Self::Everywhere => "user",
            Self::Older => "recipient_preferences",
            Self::TenantDefault(_) => "tenant_default",
            Self::Topic => "topic",
            Self::Section => "section",
            Self::Unrestricted => "unrestricted",
        }
    }
}

/// What holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EffectivePreference {
    pub status: PreferenceStatus,
    pub status_from: Layer,
    /// The channels that the person, or the tenant, chose; nothing where nobody chose.
    pub routing: Option<Vec<Channel>>,
    /// Whether each channel is used, and who says so.
    pub channels: Vec<ChannelUse>,
    /// Until then the person wants nothing of this topic.
    pub snoozed_until: Option<Timestamp>,
    /// The digest schedule that the person chose, if it is still in use.
    pub digest_schedule_id: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelUse {
    pub channel: Channel,
    pub used: bool,
    pub from: Layer,
}

/// What holds at a moment: the one place that decides it.
///
/// A person's own choice beats a default, and the nearer beats the farther: in the tenant, everywhere,
/// in the older form; then the tenant's default, the nearest ancestor's, and the topic's. `REQUIRED`
/// of the topic beats everything, `REQUIRED` of the nearest tenant that says anything beats an opting
/// out. Channels are decided by the first of the same layers that speaks of channels, and by the
/// defaults of topic and section after them. A snooze of the person's own, in whichever form, holds
/// unless the topic is required.
pub fn effective(layers: &Layers<'_>, at: Timestamp) -> EffectivePreference {
    let own: Vec<(Layer, &Choice)> = [
        (Layer::InTenant, layers.in_tenant.map(|it| &it.choice)),
        (Layer::Everywhere, layers.everywhere.map(|it| &it.choice)),
        (Layer::Older, layers.older.map(|it| &it.choice)),
    ]
    .into_iter()
    .filter_map(|(layer, choice)| Some((layer, choice?)))
    .collect();
    let default = layers.tenant_defaults.first();
    let default =
        default.map(|(tenant, choice)| (Layer::TenantDefault((*tenant).clone()), *choice));
    let (status, status_from) = status(own.first(), default.as_ref(), layers.topic.default_status);

    let defaults = layers.tenant_defaults.iter();
    let defaults = defaults.map(|(id, choice)| (Layer::TenantDefault((*id).clone()), *choice));
    let chosen = own.into_iter().chain(defaults);
    let mut chosen = chosen.filter_map(|(layer, choice)| Some((layer, choice.routing.clone()?)));
    let chosen = chosen.next();
    let routing = chosen.as_ref().map(|(_, channels)| channels.clone());
    let (channels_from, channels) = chosen.unwrap_or_else(|| default_channels(layers));
    let channel_use = |channel: &Channel| ChannelUse {
        channel: *channel,
        used: channels.contains(channel),
        from: channels_from.clone(),
    };

    let snoozes = [layers.in_tenant, layers.everywhere].into_iter().flatten();
    let snoozes = snoozes.flat_map(|chosen| &chosen.snoozes);
    let snoozes = snoozes.chain(layers.older.iter().flat_map(|older| &older.snoozes));
    let covering = snoozes.filter(|snooze| snooze.covers(at));
    EffectivePreference {
        status,
        status_from,
        routing,
        channels: Channel::ALL.iter().map(channel_use).collect(),
        snoozed_until: (status != PreferenceStatus::Required)
            .then(|| covering.map(|snooze| snooze.until).max())
            .flatten(),
        digest_schedule_id: digest_schedule(layers),
    }
}

fn status(
    own: Option<&(Layer, &Choice)>,
    default: Option<&(Layer, &Choice)>,
    of_topic: PreferenceStatus,
) -> (PreferenceStatus, Layer) {
    if of_topic == PreferenceStatus::Required {
        return (of_topic, Layer::Topic);
    }
    let default = default.map(|(layer, choice)| (choice.status, layer.clone()));
    let own = own.map(|(layer, choice)| (choice.status, layer.clone()));
    match (own, default) {
        (Some((PreferenceStatus::OptedOut, _)), Some((PreferenceStatus::Required, layer))) => {
            (PreferenceStatus::Required, layer)
        }
        (Some(own), _) => own,
        (None, Some(default)) => default,
        (None, None) => (of_topic, Layer::Topic),
    }
}

fn default_channels(layers: &Layers<'_>) -> (Layer, Vec<Channel>) {
    let of_topic = &layers.topic.routing_options;
    let section = layers.section.filter(|section| section.has_custom_routing);
    let of_section = section.map(|section| &section.routing_options);
    match of_section.filter(|channels| !channels.is_empty()) {
        _ if !of_topic.is_empty() => (Layer::Topic, of_topic.clone()),
        Some(of_section) => (Layer::Section, of_section.clone()),
        None => (Layer::Unrestricted, Channel::ALL.to_vec()),
    }
}

fn digest_schedule(layers: &Layers<'_>) -> Option<String> {
    let in_use = schedules_in_use(layers.topic);
    let own = [layers.in_tenant, layers.everywhere];
    let mut chosen = own
        .into_iter()
        .filter_map(|chosen| chosen?.digest_schedule_id.clone());
    chosen.find(|schedule| in_use.contains(schedule))
}

/// The ids of the topic's digest schedules that are not disabled.
pub fn schedules_in_use(topic: &TopicDetails) -> Vec<String> {
    let digest = topic.digest.as_ref().map(JsonDocument::to_value);
    let schedules = digest.as_ref().and_then(|digest| digest.get("schedules"));
    let schedules = schedules.and_then(Value::as_array).into_iter().flatten();
    schedules
        .filter(|schedule| schedule.get("disabled") != Some(&Value::Bool(true)))
        .filter_map(|schedule| Some(schedule.get("schedule_id")?.as_str()?.to_owned()))
        .collect()
}

impl OlderChoice {
    /// What `RecipientPreferences` say about the topic: as a category of its id, else as a
    /// notification of its id. What cannot be read there says nothing.
    pub fn of(preferences: &JsonDocument, topic: &TopicId) -> Option<Self> {
        let preferences = preferences.to_value();
        let find = |group: &str| preferences.get(group)?.get(topic.as_str());
        let found = find("categories").or_else(|| find("notifications"))?;
        let status = found
            .get("status")?
            .as_str()
            .and_then(PreferenceStatus::parse)?;
        let channels = found.get("channel_preferences").and_then(Value::as_array);
        let channel = |entry: &Value| Channel::parse(entry.get("channel")?.as_str()?);
        let snoozes = found.get("rules").and_then(Value::as_array);
        let moment = |rule: &Value, member: &str| {
            let text = rule.get(member)?.as_str()?;
            Moment::parse(text).map(Moment::to_timestamp)
        };
        let snooze = |rule: &Value| {
            // A start that cannot be read is not one that has passed.
            let start = match rule.get("start") {
                None | Some(Value::Null) => None,
                Some(_) => Some(moment(rule, "start")?),
            };
            let until = moment(rule, "until")?;
            Some(Snooze { start, until })
        };
        Some(Self {
            choice: Choice {
                // Nobody requires anything of themselves.
                status: match status {
                    PreferenceStatus::Required | PreferenceStatus::OptedIn => {
                        PreferenceStatus::OptedIn
                    }
                    PreferenceStatus::OptedOut => PreferenceStatus::OptedOut,
                },
                routing: channels
                    .map(|channels| channels.iter().filter_map(channel).collect::<Vec<_>>())
                    .filter(|channels| !channels.is_empty()),
            },
            snoozes: snoozes.into_iter().flatten().filter_map(snooze).collect(),
        })
    }
}
