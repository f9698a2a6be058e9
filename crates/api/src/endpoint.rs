use auth::{Grant, Scope};
use axum::handler::Handler;
use axum::http::Method;
use axum::routing::{MethodFilter, MethodRouter, on};

use crate::state::ApiState;

/// One thing that can be asked: where, by whom, and who answers. Without saying by whom there is none.
pub(crate) struct Endpoint {
    pub(crate) method: Method,
    pub(crate) path: &'static str,
    pub(crate) access: Access,
    pub(crate) handler: MethodRouter<ApiState>,
}

/// Who may ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Access {
    /// What a key needs.
    pub(crate) scope: Scope,
    /// What a key that is restricted to a tenant can do here.
    pub(crate) restricted: Restricted,
    /// What the token of a person needs; nothing helps it if there is none.
    pub(crate) grant: Option<Grant>,
    /// What has the version that `If-Match` names.
    pub(crate) versioned: Option<Versioned>,
}

/// What a key that is restricted to a tenant can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Restricted {
    /// Nothing: the answer would tell of others, or the request reach them.
    Refused,
    /// What is within its tenant and those below it. The ids in the path and the context are looked at
    /// before the handler is asked; what else there is to narrow is the handler's.
    Within,
    /// As everybody: nothing there belongs to anybody.
    Shared,
}

/// What of the path has a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Versioned {
    Profile,
    List,
    Subscription,
    Audience,
    Tenant,
    Membership,
    Section,
    Topic,
    Brand,
    Token,
    RecipientPreferences,
    QuietHours,
    Key,
}

/// Keys need this scope. Restricted keys and tokens of people can do nothing unless more is said.
pub(crate) const fn needs(scope: Scope) -> Access {
    Access {
        scope,
        restricted: Restricted::Refused,
        grant: None,
        versioned: None,
    }
}

impl Access {
    pub(crate) const fn within(self) -> Self {
        let restricted = Restricted::Within;
        Self { restricted, ..self }
    }

    pub(crate) const fn shared(self) -> Self {
        let restricted = Restricted::Shared;
        Self { restricted, ..self }
    }

    pub(crate) const fn granted(self, grant: Grant) -> Self {
        let grant = Some(grant);
        Self { grant, ..self }
    }

    pub(crate) const fn version_of(self, versioned: Versioned) -> Self {
        let versioned = Some(versioned);
        Self { versioned, ..self }
    }
}

fn endpoint<H, T>(
    (method, filter): (Method, MethodFilter),
    path: &'static str,
    handler: H,
    access: Access,
) -> Endpoint
where
    H: Handler<T, ApiState>,
    T: 'static,
{
    Endpoint {
        method,
        path,
        access,
        handler: on(filter, handler),
    }
}

macro_rules! methods {
    ($($name:ident = $method:ident,)+) => {
        $(pub(crate) fn $name<H, T>(path: &'static str, handler: H, access: Access) -> Endpoint
        where
            H: Handler<T, ApiState>,
            T: 'static,
        {
            endpoint((Method::$method, MethodFilter::$method), path, handler, access)
        })+
    };
}
methods! {
    get = GET,
    post = POST,
    put = PUT,
    patch = PATCH,
    delete = DELETE,
}
