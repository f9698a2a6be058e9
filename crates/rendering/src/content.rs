//! What is to be told, compiled, and how it becomes what one person is told.

mod block;
mod element;
mod looks;
mod parser;
mod walk;

use std::sync::Arc;

use types::Channel;

use crate::template::Templates;
use crate::{Action, ContentError, RenderError, Rendered, Variables, email, plain};

pub(crate) use block::Block;
pub(crate) use looks::{Align, Emphasis, Look, Prominence, TextStyle};

use element::{ChannelElement, Element};
use walk::Walk;

/// Content that was parsed, with every template in it compiled. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Content {
    compiled: Arc<Compiled>,
}

#[derive(Debug)]
struct Compiled {
    templates: Templates,
    /// What holds where nothing was made for the channel.
    elements: Vec<Element>,
    channels: Vec<ChannelElement>,
}

impl Compiled {
    fn made_for(&self, channel: Channel) -> impl Iterator<Item = &ChannelElement> {
        self.channels
            .iter()
            .filter(move |element| element.channel == Some(channel))
    }
}

impl Content {
    /// Reads `{"title": …, "body": …}` or `{"version": …, "elements": […]}`. Members that are not
    /// known are ignored; types of elements that are not known are refused.
    pub fn parse(content: &serde_json::Value) -> Result<Content, ContentError> {
        Ok(Content {
            compiled: Arc::new(parser::parse(content)?),
        })
    }

    /// What the content says to one person on one channel.
    pub fn render(
        &self,
        channel: Channel,
        variables: &Variables<'_>,
    ) -> Result<Rendered, RenderError> {
        let said = Walk::new(&self.compiled, channel, variables).said()?;
        if !said.is_something() {
            return Err(RenderError::Empty);
        }
        let text = said
            .text
            .unwrap_or_else(|| plain::text(&said.blocks, channel));
        let is_email = channel == Channel::Email;
        let html = match said.html {
            Some(html) => is_email.then_some(html),
            None if is_email && !said.is_raw => {
                let document = email::Document {
                    title: said.title.as_deref(),
                    blocks: &said.blocks,
                    variables,
                };
                Some(document.html())
            }
            None => None,
        };
        let max_bytes = crate::limits::OUTPUT_BYTES_MAX;
        if text.len() > max_bytes || html.as_ref().is_some_and(|html| html.len() > max_bytes) {
            return Err(RenderError::TooLarge { max_bytes });
        }
        let (title, text) = match channel {
            Channel::Sms if text.is_empty() => (None, said.title.unwrap_or_default()),
            Channel::Sms => (None, text),
            Channel::DirectMessage
            | Channel::Email
            | Channel::Push
            | Channel::Webhook
            | Channel::Inbox => (said.title, text),
        };
        Ok(Rendered {
            title,
            text,
            html,
            actions: actions(&said.blocks),
            image: image(&said.blocks),
        })
    }
}

fn actions(blocks: &[Block]) -> Vec<Action> {
    let actions = blocks.iter().filter_map(|block| match block {
        Block::Action { label, href, .. } => Some(Action {
            label: label.clone(),
            href: href.clone(),
        }),
        Block::Text { .. }
        | Block::Image { .. }
        | Block::Divider { .. }
        | Block::Quote { .. }
        | Block::Html(_) => None,
    });
    actions.collect()
}

fn image(blocks: &[Block]) -> Option<String> {
    blocks.iter().find_map(|block| match block {
        Block::Image { src, .. } => Some(src.clone()),
        Block::Text { .. }
        | Block::Action { .. }
        | Block::Divider { .. }
        | Block::Quote { .. }
        | Block::Html(_) => None,
    })
}
