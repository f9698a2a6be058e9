//! From JSON to elements.

use serde_json::Value;
use types::Channel;

use crate::ContentError;
use crate::content::element::{
    ChannelBody, ChannelElement, Element, Flow, Kind, Localized, Raw, locale_tag,
};
use crate::content::{Compiled, Look};
use crate::limits::ELEMENTS_MAX;
use crate::template::{Expression, Form, Template, Templates};

const TYPES: &str = "text, meta, image, action, divider, quote, html or channel";

pub(crate) fn parse(content: &Value) -> Result<Compiled, ContentError> {
    let mut parser = Parser {
        templates: Templates::new(),
        elements: 0,
    };
    let mut compiled_elements = Vec::new();
    let mut channels = Vec::new();
    if let Some(elements) = content.get("elements") {
        for (index, element) in array(elements, "/elements")?.iter().enumerate() {
            let pointer = format!("/elements/{index}");
            match element.get("type").and_then(Value::as_str) {
                Some("channel") => channels.push(parser.channel(element, &pointer)?),
                _ => compiled_elements.push(parser.element(element, &pointer)?),
            }
        }
    } else {
        compiled_elements = parser.sugar(content)?;
    }
    Ok(Compiled {
        templates: parser.templates,
        elements: compiled_elements,
        channels,
    })
}

struct Parser {
    templates: Templates,
    elements: usize,
}

impl Parser {
    fn sugar(&mut self, content: &Value) -> Result<Vec<Element>, ContentError> {
        let always = || Flow {
            channels: None,
            condition: None,
            repetition: None,
        };
        if content.get("body").is_none() {
            return Err(ContentError::new(
                "",
                "Expected an object with `elements`, or with `title` and `body`.",
            ));
        }
        let title = self.optional(content, "", "title", Form::Plain)?;
        let title = title.map(|default| Localized {
            default,
            variants: Vec::new(),
        });
        let body = Localized {
            default: self.required(content, "", "body", Form::Plain)?,
            variants: Vec::new(),
        };
        let kinds = [Kind::Meta { title }, Kind::Text { content: body }];
        Ok(kinds
            .map(|kind| Element {
                flow: always(),
                look: Look::default(),
                kind,
            })
            .into())
    }

    fn channel(&mut self, element: &Value, pointer: &str) -> Result<ChannelElement, ContentError> {
        let flow = self.flow(element, pointer)?;
        let Some(channel) = element.get("channel").and_then(Value::as_str) else {
            return Err(ContentError::new(
                format!("{pointer}/channel"),
                "Expected the name of a channel.",
            ));
        };
        let body = match (element.get("raw"), element.get("elements")) {
            (Some(raw @ Value::Object(_)), _) => {
                let pointer = format!("{pointer}/raw");
                ChannelBody::Raw(self.raw(raw, &pointer)?)
            }
            (_, Some(elements)) => {
                let pointer = format!("{pointer}/elements");
                let elements = array(elements, &pointer)?.iter().enumerate();
                let elements = elements.map(|(index, element)| {
                    if element.get("type").and_then(Value::as_str) == Some("channel") {
                        let message = "Expected no channel inside a channel.";
                        return Err(ContentError::new(
                            format!("{pointer}/{index}/type"),
                            message,
                        ));
                    }
                    self.element(element, &format!("{pointer}/{index}"))
                });
                ChannelBody::Elements(elements.collect::<Result<_, _>>()?)
            }
            _ => {
                return Err(ContentError::new(
                    pointer,
                    "Expected `elements`, or an object as `raw`.",
                ));
            }
        };
        Ok(ChannelElement {
            flow,
            channel: Channel::parse(channel),
            body,
        })
    }

    /// Every member is compiled under its first name that is there, so that nobody writes two.
    fn raw(&mut self, raw: &Value, pointer: &str) -> Result<Raw, ContentError> {
        let text = |name: &str| raw.get(name).is_some_and(Value::is_string);
        let mut compile = |names: &[&str], form| match names.iter().find(|name| text(name)) {
            Some(name) => self.optional(raw, pointer, name, form),
            None => Ok(None),
        };
        Ok(Raw {
            title: compile(&["title", "subject"], Form::Plain)?,
            text: compile(&["text", "body"], Form::Plain)?,
            html: compile(&["html"], Form::Html)?,
        })
    }

    fn element(&mut self, element: &Value, pointer: &str) -> Result<Element, ContentError> {
        let flow = self.flow(element, pointer)?;
        // The base of all elements of Courier says no type; it is a text where there is content.
        let kind = element.get("type").map_or(Some("text"), Value::as_str);
        let kind = match kind {
            Some("text") => Kind::Text {
                content: self.localized(element, pointer, Form::Plain)?,
            },
            Some("meta") => Kind::Meta {
                title: self.title(element, pointer)?,
            },
            Some("image") => Kind::Image {
                src: self.required(element, pointer, "src", Form::Plain)?,
                href: self.optional(element, pointer, "href", Form::Plain)?,
                alt: self.optional(element, pointer, "alt_text", Form::Plain)?,
            },
            Some("action") => Kind::Action {
                content: self.localized(element, pointer, Form::Plain)?,
                href: self.required(element, pointer, "href", Form::Plain)?,
            },
            Some("divider") => Kind::Divider,
            Some("quote") => Kind::Quote {
                content: self.localized(element, pointer, Form::Plain)?,
            },
            Some("html") => Kind::Html {
                content: self.localized(element, pointer, Form::Html)?,
            },
            _ => {
                return Err(ContentError::new(
                    format!("{pointer}/type"),
                    format!("Expected {TYPES}."),
                ));
            }
        };
        Ok(Element {
            flow,
            look: Look::of(element),
            kind,
        })
    }

    fn flow(&mut self, element: &Value, pointer: &str) -> Result<Flow, ContentError> {
        self.elements += 1;
        if self.elements > ELEMENTS_MAX {
            return Err(ContentError::new(
                pointer,
                format!("Expected at most {ELEMENTS_MAX} elements."),
            ));
        }
        if !element.is_object() {
            return Err(ContentError::new(pointer, "Expected an object."));
        }
        let channels = match element.get("channels") {
            None | Some(Value::Null) => None,
            Some(names) => {
                let pointer = format!("{pointer}/channels");
                let names = array(names, &pointer)?
                    .iter()
                    .map(|name| match name.as_str() {
                        Some(name) => Ok(Channel::parse(name)),
                        None => Err(ContentError::new(
                            &pointer,
                            "Expected an array of names of channels.",
                        )),
                    });
                Some(
                    names
                        .collect::<Result<Vec<_>, _>>()?
                        .into_iter()
                        .flatten()
                        .collect(),
                )
            }
        };
        Ok(Flow {
            channels,
            condition: self.expression(element, pointer, "if")?,
            repetition: self.expression(element, pointer, "loop")?,
        })
    }

    fn expression(
        &mut self,
        element: &Value,
        pointer: &str,
        name: &str,
    ) -> Result<Option<Expression>, ContentError> {
        let pointer = format!("{pointer}/{name}");
        match element.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(source)) => {
                self.templates.compile_expression(pointer, source).map(Some)
            }
            Some(_) => Err(ContentError::new(
                pointer,
                "Expected an expression as a string.",
            )),
        }
    }

    fn localized(
        &mut self,
        element: &Value,
        pointer: &str,
        form: Form,
    ) -> Result<Localized, ContentError> {
        let default = self.required(element, pointer, "content", form)?;
        Ok(Localized {
            default,
            variants: self.variants(element, pointer, "content", form)?,
        })
    }

    fn title(&mut self, element: &Value, pointer: &str) -> Result<Option<Localized>, ContentError> {
        let Some(default) = self.optional(element, pointer, "title", Form::Plain)? else {
            return Ok(None);
        };
        let variants = self.variants(element, pointer, "title", Form::Plain)?;
        Ok(Some(Localized { default, variants }))
    }

    fn variants(
        &mut self,
        element: &Value,
        pointer: &str,
        name: &str,
        form: Form,
    ) -> Result<Vec<(String, Template)>, ContentError> {
        let pointer = format!("{pointer}/locales");
        let locales = match element.get("locales") {
            None | Some(Value::Null) => return Ok(Vec::new()),
            Some(Value::Object(locales)) => locales,
            Some(_) => return Err(ContentError::new(pointer, "Expected an object of locales.")),
        };
        let variants = locales.iter().map(|(locale, variant)| {
            let pointer = format!("{pointer}/{}", locale.replace('~', "~0").replace('/', "~1"));
            Ok((
                locale_tag(locale),
                self.required(variant, &pointer, name, form)?,
            ))
        });
        variants.collect()
    }

    fn required(
        &mut self,
        of: &Value,
        pointer: &str,
        name: &str,
        form: Form,
    ) -> Result<Template, ContentError> {
        let template = self.optional(of, pointer, name, form)?;
        template.ok_or_else(|| ContentError::new(format!("{pointer}/{name}"), "Expected a string."))
    }

    fn optional(
        &mut self,
        of: &Value,
        pointer: &str,
        name: &str,
        form: Form,
    ) -> Result<Option<Template>, ContentError> {
        let pointer = format!("{pointer}/{name}");
        match of.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(source)) => self.templates.compile(pointer, source, form).map(Some),
            Some(_) => Err(ContentError::new(pointer, "Expected a string.")),
        }
    }
}

fn array<'a>(value: &'a Value, pointer: &str) -> Result<&'a Vec<Value>, ContentError> {
    value
        .as_array()
        .ok_or_else(|| ContentError::new(pointer, "Expected an array."))
}
