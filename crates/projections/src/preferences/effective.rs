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
    /// The topic's digest schedules that are in use, as [`schedules_in_use`] reads them.
    pub schedules: &'a [String],
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
/// unless the topic or that tenant requires it.
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
    let default_required = default
        .as_ref()
        .is_some_and(|(_, choice)| choice.status == PreferenceStatus::Required);
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
    let required = layers.topic.default_status == PreferenceStatus::Required || default_required;
    EffectivePreference {
        status,
        status_from,
        routing,
        channels: Channel::ALL.iter().map(channel_use).collect(),
        snoozed_until: if required {
            None
        } else {
            covering.map(|snooze| snooze.until).max()
        },
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
    let own = [layers.in_tenant, layers.everywhere].into_iter().flatten();
    let chosen = own.filter_map(|chosen| chosen.digest_schedule_id.as_ref());
    let mut in_use = chosen.filter(|schedule| layers.schedules.contains(schedule));
    in_use.next().cloned()
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
    pub fn of(preferences: &Value, topic: &TopicId) -> Option<Self> {
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

#[cfg(test)]
mod tests {
    use serde_json::json;
    use types::PreferenceStatus::{OptedIn, OptedOut, Required};

    use super::*;

    const PAGE: &str = include_str!("../../../../docs/preferences.md");
    const AT: Timestamp = Timestamp(1_000);

    /// What each layer says; the inputs of one row of a table.
    #[derive(Clone, Debug, Default)]
    struct Said {
        in_tenant: Option<PersonalChoice>,
        everywhere: Option<PersonalChoice>,
        older: Option<OlderChoice>,
        tenant: Option<Choice>,
        parent: Option<Choice>,
        topic: Option<PreferenceStatus>,
        topic_channels: Vec<Channel>,
        section_channels: Vec<Channel>,
    }

    impl Said {
        fn effective(&self) -> EffectivePreference {
            let id = |id| TenantId::parse(id).expect("an id");
            let (tenant, parent) = (id("tenant"), id("parent"));
            let defaults = [(&tenant, &self.tenant), (&parent, &self.parent)];
            let defaults = defaults.into_iter();
            let section = SectionDetails {
                name: String::new(),
                description: None,
                has_custom_routing: true,
                routing_options: self.section_channels.clone(),
            };
            let topic = TopicDetails {
                name: String::new(),
                description: None,
                default_status: self.topic.unwrap_or(OptedIn),
                allowed_preferences: vec![],
                include_unsubscribe_header: false,
                routing_options: self.topic_channels.clone(),
                topic_data: JsonDocument::from(serde_json::Map::new()),
                digest: None,
            };
            let layers = Layers {
                in_tenant: self.in_tenant.as_ref(),
                everywhere: self.everywhere.as_ref(),
                older: self.older.as_ref(),
                tenant_defaults: defaults
                    .filter_map(|(id, choice)| Some((id, choice.as_ref()?)))
                    .collect(),
                topic: &topic,
                schedules: &schedules_in_use(&topic),
                section: Some(&section),
            };
            effective(&layers, AT)
        }
    }

    fn personal(choice: Choice) -> PersonalChoice {
        PersonalChoice {
            choice,
            digest_schedule_id: None,
            snoozes: vec![],
        }
    }

    fn older(choice: Choice) -> OlderChoice {
        OlderChoice {
            choice,
            snoozes: vec![],
        }
    }

    fn plain(status: PreferenceStatus) -> Choice {
        Choice {
            status,
            routing: None,
        }
    }

    /// The cells of the rows of the table under a heading.
    fn table(heading: &str) -> Vec<Vec<&'static str>> {
        let (_, section) = PAGE.split_once(heading).expect("the heading is there");
        let section = section.split("\n## ").next().unwrap_or_default();
        let rows = section.lines().filter(|line| line.starts_with('|')).skip(2);
        let cells = |row: &'static str| row.trim_matches('|').split('|').map(str::trim).collect();
        rows.map(cells).collect()
    }

    fn status(cell: &str) -> Option<PreferenceStatus> {
        match cell {
            "in" => Some(OptedIn),
            "out" => Some(OptedOut),
            "REQ" => Some(Required),
            "-" => None,
            _ => panic!("`{cell}` is no status"),
        }
    }

    #[test]
    fn the_table_of_statuses_holds() {
        let rows = table("\n## Status\n");
        assert!(rows.len() > 20);
        for row in rows {
            let [
                in_tenant,
                everywhere,
                older_form,
                tenant,
                parent,
                topic,
                holds,
                from,
            ] = row[..]
            else {
                panic!("{row:?}")
            };
            let said = Said {
                in_tenant: status(in_tenant).map(plain).map(personal),
                everywhere: status(everywhere).map(plain).map(personal),
                older: status(older_form).map(plain).map(older),
                tenant: status(tenant).map(plain),
                parent: status(parent).map(plain),
                topic: status(topic),
                ..Said::default()
            };
            let effective = said.effective();
            assert_eq!(Some(effective.status), status(holds), "{row:?}");
            assert_eq!(effective.status_from.name(), from, "{row:?}");
        }
    }

    #[test]
    fn the_table_of_channels_holds() {
        let channels = |cell: &str| -> Option<Vec<Channel>> {
            let named = cell
                .split(',')
                .map(|name| Channel::parse(name).expect("a channel"));
            (cell != "-").then(|| named.collect())
        };
        let rows = table("\n## Channels\n");
        assert!(rows.len() > 5);
        for row in rows {
            let [
                in_tenant,
                everywhere,
                older_form,
                tenant,
                topic,
                section,
                used,
                from,
            ] = row[..]
            else {
                panic!("{row:?}")
            };
            let choice = |cell| {
                let routing = Some(channels(cell)?);
                let status = OptedOut;
                Some(Choice { status, routing })
            };
            let said = Said {
                in_tenant: choice(in_tenant).map(personal),
                everywhere: choice(everywhere).map(personal),
                older: choice(older_form).map(older),
                tenant: choice(tenant),
                topic_channels: channels(topic).unwrap_or_default(),
                section_channels: channels(section).unwrap_or_default(),
                ..Said::default()
            };
            let effective = said.effective();
            let all = || Some(Channel::ALL.to_vec());
            let expected = if used == "all" { all() } else { channels(used) };
            let shown = effective.channels.iter().filter(|it| it.used);
            let shown: Vec<Channel> = shown.map(|it| it.channel).collect();
            assert_eq!(Some(shown), expected, "{row:?}");
            assert!(
                effective.channels.iter().all(|it| it.from.name() == from),
                "{row:?}"
            );
        }
    }

    /// What must hold whatever the layers say.
    #[test]
    fn every_combination_keeps_the_rules() {
        let own = [None, Some(OptedIn), Some(OptedOut)];
        let default = [None, Some(OptedIn), Some(OptedOut), Some(Required)];
        let mut combinations = 0;
        for in_tenant in own {
            for everywhere in own {
                for older_form in own {
                    for tenant in default {
                        for parent in default {
                            for topic in [OptedIn, OptedOut, Required] {
                                let said = Said {
                                    in_tenant: in_tenant.map(plain).map(personal),
                                    everywhere: everywhere.map(plain).map(personal),
                                    older: older_form.map(plain).map(older),
                                    tenant: tenant.map(plain),
                                    parent: parent.map(plain),
                                    topic: Some(topic),
                                    ..Said::default()
                                };
                                let holds = said.effective().status;
                                let own = in_tenant.or(everywhere).or(older_form);
                                let default = tenant.or(parent);
                                if topic == Required {
                                    assert_eq!(holds, Required, "{said:?}");
                                } else if own.is_none() {
                                    assert_eq!(holds, default.unwrap_or(topic), "{said:?}");
                                } else if holds != own.unwrap_or(holds) {
                                    // Only one thing beats a person's own choice.
                                    let beaten = (own, default, holds);
                                    let required = (Some(OptedOut), Some(Required), Required);
                                    assert_eq!(beaten, required, "{said:?}");
                                } else {
                                    let beaten = (own, default) == (Some(OptedOut), Some(Required));
                                    assert!(!beaten, "{said:?}");
                                }
                                combinations += 1;
                            }
                        }
                    }
                }
            }
        }
        assert_eq!(combinations, 3 * 3 * 3 * 4 * 4 * 3);
    }

    #[test]
    fn snoozes_hold_from_their_start_until_their_end_unless_the_topic_is_required() {
        let snooze = |start: Option<u64>, until: u64| Snooze {
            start: start.map(Timestamp),
            until: Timestamp(until),
        };
        let until = |snoozes: Vec<Snooze>, topic| {
            let said = Said {
                everywhere: Some(PersonalChoice {
                    snoozes,
                    ..personal(plain(OptedIn))
                }),
                topic: Some(topic),
                ..Said::default()
            };
            said.effective().snoozed_until
        };
        assert_eq!(
            until(vec![snooze(None, 1_001)], OptedIn),
            Some(Timestamp(1_001))
        );
        assert_eq!(until(vec![snooze(None, 1_000)], OptedIn), None);
        assert_eq!(
            until(vec![snooze(Some(1_000), 2_000)], OptedIn),
            Some(Timestamp(2_000))
        );
        assert_eq!(until(vec![snooze(Some(1_001), 2_000)], OptedIn), None);
        let both = vec![snooze(None, 3_000), snooze(None, 2_000)];
        assert_eq!(until(both.clone(), OptedIn), Some(Timestamp(3_000)));
        assert_eq!(until(both.clone(), Required), None);
        let required_by_tenant = Said {
            everywhere: Some(PersonalChoice {
                snoozes: both,
                ..personal(plain(OptedIn))
            }),
            tenant: Some(plain(Required)),
            ..Said::default()
        };
        let holds = required_by_tenant.effective();
        assert_eq!((holds.status, holds.snoozed_until), (OptedIn, None));
    }

    #[test]
    fn the_older_form_is_read_by_category_then_by_notification() {
        let topic = TopicId::parse("news").expect("an id");
        let read = |value: Value| OlderChoice::of(&value, &topic);
        assert_eq!(read(json!({})), None);
        assert_eq!(
            read(json!({"categories": {"other": {"status": "OPTED_OUT"}}})),
            None
        );
        let out = Some(older(plain(OptedOut)));
        let entry = json!({"news": {"status": "OPTED_OUT"}});
        assert_eq!(read(json!({"notifications": entry})), out);
        let required = json!({"news": {"status": "REQUIRED"}});
        let both = json!({"categories": required, "notifications": entry});
        assert_eq!(read(both), Some(older(plain(OptedIn))));
        let full = json!({"categories": {"news": {
            "status": "OPTED_IN",
            "channel_preferences": [{"channel": "email"}, {"channel": "push"}],
            "rules": [
                {"until": "1970-01-01T00:00:01Z"},
                {"until": "until", "start": "start"},
                {"until": "1970-01-01T00:00:01Z", "start": "start"},
            ],
        }}});
        let expected = OlderChoice {
            choice: Choice {
                status: OptedIn,
                routing: Some(vec![Channel::Email, Channel::Push]),
            },
            snoozes: vec![Snooze {
                start: None,
                until: Timestamp(1_000_000_000),
            }],
        };
        assert_eq!(read(full), Some(expected));
    }
}
