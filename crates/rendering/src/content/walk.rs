//! Through the elements in their order, with the variables of one person.

use minijinja::{Value, context};
use types::Channel;

use crate::content::element::{ChannelBody, Element, Flow, Kind, Localized, Raw};
use crate::content::{Block, Compiled};
use crate::limits::{ELEMENT_FUEL, LOOP_ITEMS_MAX, OUTPUT_BYTES_MAX, RENDERING_FUEL};
use crate::template::{Expression, Run, Template};
use crate::{RenderError, Variables, address};

/// What the content comes to on one channel.
#[derive(Debug, Default)]
pub(crate) struct Said {
    pub(crate) title: Option<String>,
    pub(crate) blocks: Vec<Block>,
    /// Given as it is, in place of what the blocks say.
    pub(crate) text: Option<String>,
    /// Given as it is, in place of the document.
    pub(crate) html: Option<String>,
    pub(crate) is_raw: bool,
}

impl Said {
    pub(crate) fn is_something(&self) -> bool {
        let is_something =
            |text: &Option<String>| text.as_ref().is_some_and(|text| !text.trim().is_empty());
        is_something(&self.title)
            || is_something(&self.text)
            || is_something(&self.html)
            || !self.blocks.is_empty()
    }
}

pub(crate) struct Walk<'a> {
    content: &'a Compiled,
    channel: Channel,
    locale: Option<&'a str>,
    context: Value,
    fuel: u64,
    bytes: usize,
    said: Said,
}

impl<'a> Walk<'a> {
    pub(crate) fn new(content: &'a Compiled, channel: Channel, variables: &Variables<'a>) -> Self {
        Self {
            content,
            channel,
            locale: variables.locale,
            context: variables.context(content.templates.variables()),
            fuel: RENDERING_FUEL,
            bytes: OUTPUT_BYTES_MAX,
            said: Said::default(),
        }
    }

    pub(crate) fn said(mut self) -> Result<Said, RenderError> {
        let compiled = self.content;
        let variables = self.context.clone();
        let mut is_made_for_channel = false;
        for element in compiled.made_for(self.channel) {
            for context in self.repetitions(&element.flow, &variables)? {
                is_made_for_channel = true;
                match &element.body {
                    ChannelBody::Elements(elements) => self.elements(elements, &context)?,
                    ChannelBody::Raw(raw) => self.raw(raw, &context)?,
                }
            }
        }
        if !is_made_for_channel {
            self.elements(&compiled.elements, &variables)?;
        }
        Ok(self.said)
    }

    fn elements(&mut self, elements: &[Element], context: &Value) -> Result<(), RenderError> {
        for element in elements {
            for context in self.repetitions(&element.flow, context)? {
                self.element(element, &context)?;
            }
        }
        Ok(())
    }

    /// The contexts in which an element is shown: none, one, or one for each item of its loop.
    fn repetitions(&mut self, flow: &Flow, context: &Value) -> Result<Vec<Value>, RenderError> {
        if flow
            .channels
            .as_ref()
            .is_some_and(|channels| !channels.contains(&self.channel))
        {
            return Ok(Vec::new());
        }
        let contexts = match &flow.repetition {
            None => vec![context.clone()],
            Some(repetition) => self.items(repetition, context)?,
        };
        let Some(condition) = &flow.condition else {
            return Ok(contexts);
        };
        let mut shown = Vec::with_capacity(contexts.len());
        for context in contexts {
            self.spend(ELEMENT_FUEL)?;
            match condition.evaluate(&context) {
                Ok(run) => {
                    if self.burn(run)?.is_true() {
                        shown.push(context);
                    }
                }
                // What is not there does not hold.
                Err(RenderError::MissingVariable { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(shown)
    }

    fn items(&mut self, repetition: &Expression, outer: &Value) -> Result<Vec<Value>, RenderError> {
        let list = self.burn(repetition.evaluate(outer)?)?;
        if list.is_undefined() || list.is_none() {
            return Err(repetition.missing(outer));
        }
        let refusal = |message: String| RenderError::Template {
            pointer: repetition.pointer().to_owned(),
            message,
        };
        let items = list.try_iter().ok().filter(|_| list.as_str().is_none());
        let items = items
            .ok_or_else(|| refusal("expected an array to repeat the element with".to_owned()))?;
        let items: Vec<Value> = items.take(LOOP_ITEMS_MAX + 1).collect();
        if items.len() > LOOP_ITEMS_MAX {
            return Err(refusal(format!(
                "expected an array of at most {LOOP_ITEMS_MAX} items"
            )));
        }
        let contexts = items.into_iter().enumerate().map(|(index, item)| {
            let outer = outer.clone();
            context! { item, index, ..outer }
        });
        Ok(contexts.collect())
    }

    fn raw(&mut self, raw: &Raw, context: &Value) -> Result<(), RenderError> {
        self.said.is_raw = true;
        if let Some(title) = &raw.title {
            self.said.title = one_line(&self.text(title, context)?);
        }
        if let Some(text) = &raw.text {
            self.said.text = Some(self.text(text, context)?);
        }
        if self.channel == Channel::Email
            && let Some(html) = &raw.html
        {
            self.said.html = Some(self.html(html, context)?);
        }
        Ok(())
    }

    fn element(&mut self, element: &Element, context: &Value) -> Result<(), RenderError> {
        self.spend(ELEMENT_FUEL)?;
        let look = element.look.clone();
        let block = match &element.kind {
            Kind::Meta { title: None } => return Ok(()),
            Kind::Meta { title: Some(title) } => {
                self.said.title = one_line(&self.localized(title, context)?);
                return Ok(());
            }
            Kind::Text { content } => {
                let text = self.localized(content, context)?;
                if text.trim().is_empty() {
                    return Ok(());
                }
                Block::Text { text, look }
            }
            Kind::Quote { content } => {
                let text = self.localized(content, context)?;
                if text.trim().is_empty() {
                    return Ok(());
                }
                Block::Quote { text, look }
            }
            Kind::Action { content, href } => Block::Action {
                label: one_line(&self.localized(content, context)?).unwrap_or_default(),
                href: self.address(href, context)?,
                look,
            },
            Kind::Image { src, href, alt } => Block::Image {
                src: self.address(src, context)?,
                href: href
                    .as_ref()
                    .map(|href| self.address(href, context))
                    .transpose()?,
                alt: alt
                    .as_ref()
                    .map(|alt| self.text(alt, context))
                    .transpose()?,
                look,
            },
            // Neither is a thing to say by itself where there is no HTML.
            Kind::Divider | Kind::Html { .. } if self.channel != Channel::Email => return Ok(()),
            Kind::Divider => Block::Divider { look },
            Kind::Html { content } => {
                Block::Html(self.html(content.variant(self.locale), context)?)
            }
        };
        self.said.blocks.push(block);
        Ok(())
    }

    fn localized(&mut self, localized: &Localized, context: &Value) -> Result<String, RenderError> {
        self.text(localized.variant(self.locale), context)
    }

    fn html(&mut self, template: &Template, context: &Value) -> Result<String, RenderError> {
        let html = self.text(template, context)?;
        if address::html_leads_to_script(&html) {
            let message = "expected no address of a script in the HTML".to_owned();
            return Err(RenderError::Template {
                pointer: template.pointer().to_owned(),
                message,
            });
        }
        Ok(html)
    }

    fn address(&mut self, template: &Template, context: &Value) -> Result<String, RenderError> {
        let address = self.text(template, context)?;
        let (is_allowed, expected) = match self.channel {
            Channel::Email => (
                address::is_allowed_in_html(&address),
                "an address with http, https, mailto or tel, or a path",
            ),
            Channel::DirectMessage
            | Channel::Push
            | Channel::Sms
            | Channel::Webhook
            | Channel::Inbox => (
                address::is_allowed_in_apps(&address),
                "an address that is no script",
            ),
        };
        if is_allowed {
            return Ok(address);
        }
        let message = format!("expected {expected}");
        Err(RenderError::Template {
            pointer: template.pointer().to_owned(),
            message,
        })
    }

    fn text(&mut self, template: &Template, context: &Value) -> Result<String, RenderError> {
        let run = self
            .content
            .templates
            .render(template, context, self.bytes)?;
        self.bytes -= run.result.len();
        self.burn(run)
    }

    fn burn<T>(&mut self, run: Run<T>) -> Result<T, RenderError> {
        self.spend(run.fuel)?;
        Ok(run.result)
    }

    fn spend(&mut self, fuel: u64) -> Result<(), RenderError> {
        self.fuel = self
            .fuel
            .checked_sub(fuel)
            .ok_or(RenderError::TooMuchWork)?;
        Ok(())
    }
}

/// A title ends up in a header: a line break in it would begin another header.
fn one_line(text: &str) -> Option<String> {
    let words: Vec<&str> = text
        .split(|character: char| {
            character.is_control() || matches!(character, '\u{2028}' | '\u{2029}')
        })
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .collect();
    Some(words.join(" ")).filter(|line| !line.is_empty())
}
