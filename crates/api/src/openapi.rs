//! The description of the API for machines (`OpenAPI` 3.1), made of the endpoints themselves, of the types
//! of their answers, and of what `docs` says of each.

mod docs;
mod shapes;

use std::collections::BTreeMap;

use auth::Scope;
use axum::http::{HeaderValue, Method, header};
use axum::response::{Html, IntoResponse as _, Response};
use serde_json::{Map, Value, json};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema as _, ToSchema};

use crate::admission::has_no_past;
use crate::as_of::AS_OF;
use crate::endpoint::{Endpoint, Restricted};
use crate::error::Body;
use crate::router::endpoints;

/// What is said of an endpoint besides what it is.
pub(crate) struct Doc {
    method: Method,
    path: &'static str,
    area: &'static str,
    summary: &'static str,
    query: Vec<Parameter>,
    body: Option<Asked>,
    answers: Vec<Answered>,
    /// The schemas of the answers, and all that they are made of.
    schemas: Vec<(String, Value)>,
}

struct Parameter {
    name: &'static str,
    text: &'static str,
    schema: Value,
    required: bool,
}

struct Asked {
    schema: Value,
    example: Value,
    required: bool,
}

struct Answered {
    status: u16,
    text: &'static str,
    /// Media type, schema and example.
    body: Option<(&'static str, Value, Value)>,
}

impl Doc {
    fn new(method: Method, path: &'static str, summary: &'static str) -> Self {
        Self {
            method,
            path,
            area: "",
            summary,
            query: vec![],
            body: None,
            answers: vec![],
            schemas: vec![],
        }
    }

    fn query(self, name: &'static str, text: &'static str, schema: Value) -> Self {
        self.parameter(name, text, schema, false)
    }

    fn required_query(self, name: &'static str, text: &'static str, schema: Value) -> Self {
        self.parameter(name, text, schema, true)
    }

    fn parameter(
        mut self,
        name: &'static str,
        text: &'static str,
        schema: Value,
        required: bool,
    ) -> Self {
        let parameter = Parameter {
            name,
            text,
            schema,
            required,
        };
        self.query.push(parameter);
        self
    }

    fn asks(self, schema: Value, example: Value) -> Self {
        self.asked(schema, example, true)
    }

    /// As [`Doc::asks`], of what may be left out.
    fn may_ask(self, schema: Value, example: Value) -> Self {
        self.asked(schema, example, false)
    }

    fn asked(mut self, schema: Value, example: Value, required: bool) -> Self {
        self.body = Some(Asked {
            schema,
            example,
            required,
        });
        self
    }

    fn answers<T: ToSchema>(self, status: u16, example: Value) -> Self {
        self.answers_by_name::<T>(&T::name(), status, example)
    }

    /// As [`Doc::answers`] with 200, of a page that has its name from what it holds.
    fn answers_page<T: ToSchema>(self, name: &str, example: Value) -> Self {
        self.answers_by_name::<T>(name, 200, example)
    }

    fn answers_by_name<T: ToSchema>(mut self, name: &str, status: u16, example: Value) -> Self {
        let mut held = vec![(name.to_owned(), T::schema())];
        T::schemas(&mut held);
        self.schemas.extend(held.into_iter().map(plain));
        let reference = json!({"$ref": format!("#/components/schemas/{name}")});
        self.answers.push(Answered {
            status,
            text: "It is so.",
            body: Some(("application/json", reference, example)),
        });
        self
    }

    /// As [`Doc::answers`], of what has no type of its own.
    fn answers_as(
        mut self,
        status: u16,
        media_type: &'static str,
        schema: Value,
        example: Value,
    ) -> Self {
        self.answers.push(Answered {
            status,
            text: "It is so.",
            body: Some((media_type, schema, example)),
        });
        self
    }

    fn answers_nothing(mut self) -> Self {
        self.answers.push(Answered {
            status: 204,
            text: "It is done.",
            body: None,
        });
        self
    }
}

fn plain((name, schema): (String, RefOr<Schema>)) -> (String, Value) {
    let schema = serde_json::to_value(schema).expect("a schema is plain data");
    (name, schema)
}

/// The whole description.
pub(crate) fn document() -> Value {
    let mut paths: BTreeMap<String, Map<String, Value>> = BTreeMap::new();
    let mut schemas: BTreeMap<String, Value> = BTreeMap::new();
    let mut error = vec![(Body::name().into_owned(), Body::schema())];
    Body::schemas(&mut error);
    schemas.extend(error.into_iter().map(plain));
    for (name, schema) in shapes::rules() {
        schemas.insert(name.to_owned(), schema);
    }
    let endpoints = endpoints();
    let mut docs = docs::all();
    for endpoint in &endpoints {
        let found = docs
            .iter()
            .position(|doc| doc.path == endpoint.path && doc.method == endpoint.method);
        // A test sees to it that there is one for each.
        let Some(doc) = found.map(|place| docs.swap_remove(place)) else {
            continue;
        };
        let operation = operation(endpoint, &doc);
        for (name, schema) in doc.schemas {
            schemas.insert(name, schema);
        }
        // What goes on to the end of a path is not told from other parts there.
        let path = endpoint.path.replace("{*", "{");
        let of_path = paths.entry(path).or_default();
        of_path.insert(endpoint.method.as_str().to_ascii_lowercase(), operation);
    }
    for (path, summary) in [
        ("/healthz", "The process answers"),
        ("/readyz", "Everything is built, and writes are taken"),
    ] {
        let health = |example: &Value| {
            json!({"application/json": {
                "schema": {"type": "object", "required": ["status"], "properties": {
                    "status": {"type": "string"},
                    "reasons": {"type": "array", "items": {"type": "string"}},
                }},
                "example": example,
            }})
        };
        let not_ready = json!({"status": "not ready", "reasons": ["the queue of writes is full"]});
        let mut responses = json!({"200": {
            "description": "It is so.", "content": health(&json!({"status": "ok"})),
        }});
        if path == "/readyz" {
            responses["503"] = json!({
                "description": "It is not, and why.", "content": health(&not_ready),
            });
        }
        let operation = json!({
            "summary": summary, "tags": ["Server"], "security": [], "responses": responses,
        });
        let of_path = paths.entry(path.to_owned()).or_default();
        of_path.insert("get".to_owned(), operation);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Muster",
            "version": env!("CARGO_PKG_VERSION"),
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
            "description": "User management for notification targeting. Routes without a prefix are \
                            Courier's; what Courier lacks is under `/v1/`.",
        },
        "servers": [{"url": "/"}],
        "security": [{"bearer": []}],
        "tags": docs::AREAS.map(|name| json!({"name": name})),
        "paths": paths,
        "components": {
            "securitySchemes": {"bearer": {
                "type": "http", "scheme": "bearer",
                "description": "An API key, or on some routes a token that a key issued for a user.",
            }},
            "schemas": schemas,
            "responses": errors(),
        },
    })
}

/// What can go wrong anywhere. Every body is the same.
const ERRORS: [(u16, &str, &str); 13] = [
    (400, "BadRequest", "What was sent is not as it must be."),
    (
        401,
        "Unauthorized",
        "There is no credential, or it is none.",
    ),
    (403, "Forbidden", "The credential does not reach so far."),
    (404, "NotFound", "What is named is not there."),
    (
        405,
        "MethodNotAllowed",
        "The path does not have this method.",
    ),
    (408, "RequestTimeout", "The body did not arrive in time."),
    (409, "Conflict", "What is there is in the way."),
    (
        412,
        "PreconditionFailed",
        "Another version is there than was named.",
    ),
    (413, "ContentTooLarge", "It is larger than is taken."),
    (
        429,
        "TooManyRequests",
        "The credential asks more often than it may.",
    ),
    (500, "InternalError", "The log cannot be read."),
    (503, "Unavailable", "The server is busy, or stopping."),
    (
        507,
        "InsufficientStorage",
        "There is no number left for one more person.",
    ),
];

fn errors() -> Map<String, Value> {
    let reference = json!({"$ref": format!("#/components/schemas/{}", Body::name())});
    let body = json!({"application/json": {"schema": reference}});
    let errors = ERRORS.iter().map(|(_, name, text)| {
        let mut response = json!({"description": text, "content": body});
        if matches!(*name, "TooManyRequests" | "Unavailable") {
            response["headers"] = json!({"Retry-After": {"schema": {"type": "integer"}}});
        }
        ((*name).to_owned(), response)
    });
    errors.collect()
}

fn operation(endpoint: &Endpoint, doc: &Doc) -> Value {
    let access = endpoint.access;
    let mut responses = Map::new();
    for answered in &doc.answers {
        let mut response = json!({
            "description": answered.text,
            "headers": {"Muster-Position": {
                "description": "The position in the log up to which the answer speaks.",
                "schema": {"type": "integer"},
            }},
        });
        if let Some((media_type, schema, example)) = &answered.body {
            response["content"] = json!({*media_type: {"schema": schema, "example": example}});
        }
        if access.versioned.is_some() && endpoint.method == Method::GET {
            response["headers"]["ETag"] = json!({
                "description": "The version, to be named in `If-Match`.",
                "schema": {"type": "string"},
            });
        }
        responses.insert(answered.status.to_string(), response);
    }
    for (status, name, _) in ERRORS {
        let reference = json!({"$ref": format!("#/components/responses/{name}")});
        responses.insert(status.to_string(), reference);
    }
    let mut description = format!("Needs the scope `{}`.", access.scope.name());
    description.push_str(match access.restricted {
        Restricted::Refused => " A key that is restricted to a tenant cannot do it.",
        Restricted::Within => " A key that is restricted to a tenant does it within that.",
        Restricted::Shared => "",
    });
    if let Some(grant) = access.grant {
        let text = format!(" A user's token needs `{}`.", grant.name());
        description.push_str(&text);
    }
    if endpoint.method == Method::POST {
        description.push_str(
            " With `Idempotency-Key` it takes effect once, and is answered the same each time.",
        );
    }
    if access.versioned.is_some() && endpoint.method != Method::GET {
        description.push_str(" `If-Match` and `If-None-Match: *` make sure of the version.");
    }
    let mut operation = json!({
        "operationId": operation_id(endpoint),
        "summary": doc.summary,
        "description": description,
        "tags": [doc.area],
        "parameters": parameters(endpoint, doc),
        "responses": responses,
        "x-scope": access.scope.name(),
        "x-restricted": match access.restricted {
            Restricted::Refused => "refused",
            Restricted::Within => "within",
            Restricted::Shared => "shared",
        },
        "x-grant": access.grant.map(auth::Grant::name),
    });
    if let Some(body) = &doc.body {
        operation["requestBody"] = json!({
            "required": body.required,
            "content": {"application/json": {"schema": body.schema, "example": body.example}},
        });
    }
    operation
}

/// Unlike any other: the method and the path.
fn operation_id(endpoint: &Endpoint) -> String {
    let method = endpoint.method.as_str().to_ascii_lowercase();
    let words = endpoint.path.split(|it: char| !it.is_ascii_alphanumeric());
    let words = words.filter(|word| !word.is_empty());
    let words: Vec<&str> = std::iter::once(&*method).chain(words).collect();
    words.join("_")
}

fn parameters(endpoint: &Endpoint, doc: &Doc) -> Vec<Value> {
    let mut parameters = Vec::new();
    let in_path = endpoint.path.split('/').filter_map(|part| {
        let name = part.strip_prefix('{')?.strip_suffix('}')?;
        let name = name.trim_start_matches('*');
        let schema = match name {
            "position" => json!({"type": "integer", "minimum": 0}),
            "list_id" => shapes::list_id(),
            "tile" => json!({"type": "string", "pattern": "^[0-7]/[0-9]{3}(\\.p/[1-9][0-9]?)?$"}),
            _ => shapes::id(),
        };
        Some(json!({"name": name, "in": "path", "required": true, "schema": schema}))
    });
    parameters.extend(in_path);
    for it in &doc.query {
        parameters.push(json!({
            "name": it.name, "in": "query", "required": it.required,
            "description": it.text, "schema": it.schema,
        }));
    }
    if endpoint.method == Method::GET && !has_no_past(endpoint.path) {
        let position = json!({"type": "integer", "minimum": 0});
        let time = json!({"type": "string", "format": "date-time"});
        let schema = json!({"anyOf": [position, time, {"type": "string", "maxLength": 0}]});
        parameters.push(json!({
            "name": AS_OF, "in": "query", "required": false, "schema": schema,
            "description": "What was so at this position or time, which must not be in the future; \
                            now unless given. The header `Muster-As-Of` says the same.",
        }));
    }
    parameters
}

/// The description as it is served.
pub(crate) async fn get() -> Response {
    static TEXT: std::sync::LazyLock<String> = std::sync::LazyLock::new(|| document().to_string());
    let content_type = HeaderValue::from_static("application/json");
    ([(header::CONTENT_TYPE, content_type)], TEXT.as_str()).into_response()
}

/// The same for people: one page that needs nothing from elsewhere.
pub(crate) async fn page() -> Response {
    const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; \
                          base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
    let mut response = Html(include_str!("openapi/page.html")).into_response();
    let policy = HeaderValue::from_static(POLICY);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    response
}

pub(crate) async fn script() -> Response {
    let kind = HeaderValue::from_static("text/javascript");
    let text = include_str!("openapi/page.js");
    ([(header::CONTENT_TYPE, kind)], text).into_response()
}

pub(crate) async fn style() -> Response {
    let kind = HeaderValue::from_static("text/css");
    let text = include_str!("openapi/page.css");
    ([(header::CONTENT_TYPE, kind)], text).into_response()
}

/// The description as it is kept under `docs/`, and the table of who may ask what.
pub fn files() -> [(&'static str, String); 2] {
    let document = document();
    let pretty = serde_json::to_string_pretty(&document).expect("it is plain data");
    [
        ("docs/openapi.json", format!("{pretty}\n")),
        ("docs/scopes.md", scopes()),
    ]
}

fn scopes() -> String {
    let mut text = String::from(
        "# Who may ask what\n\n\
         Made from the code by `make docs`; a test sees to it that it is so.\n\n\
         A key needs the scope of what it asks; `admin` is every scope. Writing does not include \
         reading.\n\
         A key that is *restricted* to a tenant reaches that tenant, those below it, their members, and \
         the lists whose ids begin with the id of such a tenant and a dot: `acme.news` is a list of \
         `acme`, and `acme.eu.news` too unless there is a tenant `acme.eu`, whose it is then. Of a \
         list it sees and counts those whom it reaches; deleting it ends the subscriptions of \
         everybody. The key ends with its tenant. What is beyond is to it as if it were not there: it \
         is answered as what nobody has \
         ever heard of. It makes neither users nor tenants, for whether an id is taken elsewhere would \
         show.\n\
         A *user's token* needs what its column says in its scope, and is for the users that are named \
         there.\n\n\
         | | scope | restricted keys | user's token |\n| --- | --- | --- | --- |\n",
    );
    for endpoint in endpoints() {
        let access = endpoint.access;
        let restricted = match access.restricted {
            Restricted::Refused => "–",
            Restricted::Within => "within",
            Restricted::Shared => "yes",
        };
        let grant = access
            .grant
            .map_or("–".to_owned(), |it| format!("`{}`", it.name()));
        let line = format!(
            "| `{} {}` | `{}` | {restricted} | {grant} |\n",
            endpoint.method,
            endpoint.path,
            access.scope.name()
        );
        text.push_str(&line);
    }
    text.push_str("\nThe scopes: ");
    let names = Scope::EVERY
        .iter()
        .map(|scope| format!("`{}`", scope.name()));
    text.push_str(&names.collect::<Vec<_>>().join(", "));
    text.push_str(".\n");
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_endpoint_is_described_and_nothing_else_is() {
        let of = |method: &Method, path: &str| format!("{method} {path}");
        let endpoints = endpoints();
        let known: BTreeSet<_> = endpoints.iter().map(|it| of(&it.method, it.path)).collect();
        let docs = docs::all();
        let described: BTreeSet<_> = docs.iter().map(|it| of(&it.method, it.path)).collect();
        assert_eq!(known, described);
        assert_eq!(known.len(), endpoints.len(), "nothing is there twice");
        assert_eq!(described.len(), docs.len(), "nothing is described twice");
        for doc in docs {
            assert!(!doc.answers.is_empty(), "{} {}", doc.method, doc.path);
        }
    }

    #[test]
    fn every_reference_leads_somewhere() {
        let document = document();
        let text = document.to_string();
        let references: Vec<_> = text.match_indices("\"$ref\":\"#").collect();
        assert!(references.len() > 100);
        for (at, found) in references {
            let rest = &text[at + found.len()..];
            let pointer = &rest[..rest.find('"').expect("an end")];
            assert!(document.pointer(pointer).is_some(), "{pointer}");
        }
    }
}
