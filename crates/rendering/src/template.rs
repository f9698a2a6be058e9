//! Templates and expressions: what may stand in them, and how they are run.

mod engine;
mod filters;
mod grammar;
mod missing;
mod output;

use std::collections::BTreeSet;

use minijinja::{Environment, ErrorKind, Value};

use crate::limits::{CONTENT_BYTES_MAX, EXPRESSION_BYTES_MAX, TEMPLATE_BYTES_MAX};
use crate::{ContentError, RenderError};

use output::BoundedOutput;

/// What the source of a template is, and so what becomes of variables in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Plain,
    Html,
}

/// A template among the compiled ones.
#[derive(Debug)]
pub(crate) struct Template {
    name: String,
}

/// A compiled expression.
#[derive(Debug)]
pub(crate) struct Expression {
    pointer: String,
    source: String,
    compiled: minijinja::Expression<'static, 'static>,
}

/// All templates of one content.
#[derive(Debug)]
pub(crate) struct Templates {
    environment: Environment<'static>,
    names: BTreeSet<String>,
    source_bytes: usize,
}

/// What came out, and the fuel that it took.
pub(crate) struct Run<T> {
    pub(crate) result: T,
    pub(crate) fuel: u64,
}

impl Templates {
    pub(crate) fn new() -> Self {
        let environment = engine::base().clone();
        Self {
            environment,
            names: BTreeSet::new(),
            source_bytes: 0,
        }
    }

    /// The first parts of the names of all variables that are asked for.
    pub(crate) fn variables(&self) -> &BTreeSet<String> {
        &self.names
    }

    pub(crate) fn compile(
        &mut self,
        pointer: String,
        source: &str,
        form: Form,
    ) -> Result<Template, ContentError> {
        let source = self.checked(
            &pointer,
            source,
            TEMPLATE_BYTES_MAX,
            grammar::check_template,
        )?;
        let name = match form {
            Form::Plain => pointer.clone(),
            Form::Html => format!("{}{pointer}", engine::HTML_PREFIX),
        };
        if let Err(error) = self.environment.add_template_owned(name.clone(), source) {
            return Err(syntax_error(pointer, &error));
        }
        let template = self
            .environment
            .get_template(&name)
            .expect("the template has just been added");
        self.names.extend(template.undeclared_variables(false));
        Ok(Template { name })
    }

    pub(crate) fn compile_expression(
        &mut self,
        pointer: String,
        source: &str,
    ) -> Result<Expression, ContentError> {
        let source = self.checked(
            &pointer,
            source,
            EXPRESSION_BYTES_MAX,
            grammar::check_expression,
        )?;
        match engine::base().compile_expression_owned(source.clone()) {
            Ok(compiled) => {
                self.names.extend(compiled.undeclared_variables(false));
                Ok(Expression {
                    pointer,
                    source,
                    compiled,
                })
            }
            Err(error) => Err(syntax_error(pointer, &error)),
        }
    }

    fn checked(
        &mut self,
        pointer: &str,
        source: &str,
        max_bytes: usize,
        check: fn(&str) -> Result<String, String>,
    ) -> Result<String, ContentError> {
        self.source_bytes += source.len();
        if source.len() > max_bytes {
            return Err(ContentError::new(
                pointer,
                format!("Expected at most {max_bytes} bytes."),
            ));
        }
        if self.source_bytes > CONTENT_BYTES_MAX {
            let message =
                format!("Expected at most {CONTENT_BYTES_MAX} bytes in all templates together.");
            return Err(ContentError::new(pointer, message));
        }
        check(source).map_err(|message| ContentError::new(pointer, message))
    }

    pub(crate) fn render(
        &self,
        template: &Template,
        context: &Value,
        max_bytes: usize,
    ) -> Result<Run<String>, RenderError> {
        let compiled = self.environment.get_template(&template.name);
        let compiled = compiled.expect("a template that was compiled is still there");
        let mut output = BoundedOutput::new(max_bytes);
        match compiled.render_captured_to(context, &mut output) {
            Ok(captured) => {
                let fuel = captured
                    .state()
                    .fuel_levels()
                    .map_or(0, |(consumed, _)| consumed);
                Ok(Run {
                    result: output.into_text(),
                    fuel,
                })
            }
            Err(_) if output.is_full() => Err(RenderError::TooLarge {
                max_bytes: crate::limits::OUTPUT_BYTES_MAX,
            }),
            Err(error) => Err(render_error(
                template.pointer(),
                compiled.source(),
                context,
                &error,
            )),
        }
    }
}

impl Template {
    pub(crate) fn pointer(&self) -> &str {
        self.name
            .strip_prefix(engine::HTML_PREFIX)
            .unwrap_or(&self.name)
    }
}

impl Expression {
    pub(crate) fn pointer(&self) -> &str {
        &self.pointer
    }

    /// The fuel is the length of the source: there are no loops in an expression.
    pub(crate) fn evaluate(&self, context: &Value) -> Result<Run<Value>, RenderError> {
        let fuel = self.source.len() as u64;
        match self.compiled.eval(context) {
            Ok(result) => Ok(Run { result, fuel }),
            Err(error) => Err(render_error(&self.pointer, &self.source, context, &error)),
        }
    }

    /// The error of a variable that this expression cannot do without.
    pub(crate) fn missing(&self, context: &Value) -> RenderError {
        RenderError::MissingVariable {
            name: missing::first_missing(&self.source, context)
                .unwrap_or_else(|| self.source.clone()),
            pointer: self.pointer.clone(),
        }
    }
}

/// What the syntax error says comes from the source alone.
fn syntax_error(pointer: String, error: &minijinja::Error) -> ContentError {
    let line = error.line().unwrap_or(1);
    let detail = error.detail().unwrap_or("it is not a template");
    ContentError::new(
        pointer,
        format!("Line {line} of the template cannot be read: {detail}."),
    )
}

/// The detail of an error while rendering is left out: it may quote a variable.
fn render_error(
    pointer: &str,
    source: &str,
    context: &Value,
    error: &minijinja::Error,
) -> RenderError {
    let kind = error.kind();
    if kind == ErrorKind::OutOfFuel {
        return RenderError::TooMuchWork;
    }
    let pointer = pointer.to_owned();
    if kind == ErrorKind::UndefinedError {
        return RenderError::MissingVariable {
            name: missing::name(error, source, context),
            pointer,
        };
    }
    let line = error.line().unwrap_or(1);
    RenderError::Template {
        pointer,
        message: format!("line {line} of the template: {kind}"),
    }
}
