use types::Channel;

use crate::content::Look;
use crate::template::{Expression, Template};

/// An element that is no channel element, compiled.
#[derive(Debug)]
pub(crate) struct Element {
    pub(crate) flow: Flow,
    pub(crate) look: Look,
    pub(crate) kind: Kind,
}

/// When an element is shown, and how often.
#[derive(Debug)]
pub(crate) struct Flow {
    /// Only these; all, where nothing is said.
    pub(crate) channels: Option<Vec<Channel>>,
    pub(crate) condition: Option<Expression>,
    pub(crate) repetition: Option<Expression>,
}

#[derive(Debug)]
pub(crate) enum Kind {
    Text {
        content: Localized,
    },
    Meta {
        title: Option<Localized>,
    },
    Image {
        src: Template,
        href: Option<Template>,
        alt: Option<Template>,
    },
    Action {
        content: Localized,
        href: Template,
    },
    Divider,
    Quote {
        content: Localized,
    },
    Html {
        content: Localized,
    },
}

/// What holds on one channel instead of what holds on all.
#[derive(Debug)]
pub(crate) struct ChannelElement {
    pub(crate) flow: Flow,
    /// Nothing for what is no channel of ours, such as the name of a provider.
    pub(crate) channel: Option<Channel>,
    pub(crate) body: ChannelBody,
}

#[derive(Debug)]
pub(crate) enum ChannelBody {
    Elements(Vec<Element>),
    Raw(Raw),
}

/// Templates for what the channel is handed, past all elements.
#[derive(Debug)]
pub(crate) struct Raw {
    pub(crate) title: Option<Template>,
    pub(crate) text: Option<Template>,
    pub(crate) html: Option<Template>,
}

/// A template with variants for some languages.
#[derive(Debug)]
pub(crate) struct Localized {
    pub(crate) default: Template,
    /// By the tag of the language as [`locale_tag`] writes it.
    pub(crate) variants: Vec<(String, Template)>,
}

impl Localized {
    /// The variant for the locale itself, or for its language.
    pub(crate) fn variant(&self, locale: Option<&str>) -> &Template {
        let Some(tag) = locale.map(locale_tag) else {
            return &self.default;
        };
        let language = tag.split('-').next().unwrap_or(&tag);
        let find = |tag: &str| self.variants.iter().find(|(variant, _)| variant == tag);
        find(&tag)
            .or_else(|| find(language))
            .map_or(&self.default, |(_, template)| template)
    }
}

/// `de_AT` and `de-at` are the same locale.
pub(crate) fn locale_tag(locale: &str) -> String {
    locale.trim().replace('_', "-").to_ascii_lowercase()
}
