use axum::extract::path::ErrorKind;
use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use types::{
    AudienceId, BrandId, DeviceToken, InvalidId, ListId, MessageId, Position, SectionId,
    TemplateId, TenantId, TopicId, UserId,
};

use crate::error::ApiError;

/// The only id in the path.
pub(crate) struct Id<A>(pub(crate) A);

/// The two ids in the path, in the order in which they stand there.
pub(crate) struct Ids<A, B>(pub(crate) A, pub(crate) B);

/// The position in the path.
pub(crate) struct AtPosition(pub(crate) Position);

impl<S: Send + Sync> FromRequestParts<S> for AtPosition {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let position = Path::from_request_parts(parts, state).await;
        let Path(position) =
            position.map_err(|_| ApiError::invalid_parameter("position", "a whole number"))?;
        Ok(Self(Position(position)))
    }
}

/// A version of a template of a tenant.
pub(crate) struct TemplateInTenant {
    pub(crate) tenant: TenantId,
    pub(crate) template: TemplateId,
    pub(crate) version: String,
}

impl<S: Send + Sync> FromRequestParts<S> for TemplateInTenant {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let (tenant, template, version): (String, String, String) =
            segments(parts, state, TenantId::POINTER).await?;
        Ok(Self {
            tenant: read(&tenant)?,
            template: read(&template)?,
            version,
        })
    }
}

/// What can stand in a path.
pub(crate) trait PathId: Sized {
    /// JSON pointer by which errors name it.
    const POINTER: &'static str;

    fn read(raw: &str) -> Result<Self, InvalidId>;
}

macro_rules! path_ids {
    ($($id:ident = $pointer:literal,)+) => {
        $(impl PathId for $id {
            const POINTER: &'static str = $pointer;

            fn read(raw: &str) -> Result<Self, InvalidId> {
                Self::parse(raw)
            }
        })+
    };
}
path_ids! {
    UserId = "/user_id",
    ListId = "/list_id",
    AudienceId = "/audience_id",
    TenantId = "/tenant_id",
    SectionId = "/section_id",
    TopicId = "/topic_id",
    BrandId = "/brand_id",
    DeviceToken = "/token",
    MessageId = "/job_id",
    TemplateId = "/template_id",
}

/// Ids that are only looked up: what is none is not there.
macro_rules! texts {
    ($($(#[$meta:meta])* $id:ident = $pointer:literal,)+) => {
        $($(#[$meta])*
        pub(crate) struct $id(pub(crate) String);

        impl PathId for $id {
            const POINTER: &'static str = $pointer;

            fn read(raw: &str) -> Result<Self, InvalidId> {
                Ok(Self(raw.to_owned()))
            }
        })+
    };
}
texts! {
    /// Of an API key.
    KeyId = "/key_id",
    /// Of a webhook.
    WebhookId = "/webhook_id",
    /// Of a message or of a request.
    MessageRef = "/message_id",
    /// Of an audit event.
    AuditEventId = "/audit_event_id",
}

impl<A: PathId, S: Send + Sync> FromRequestParts<S> for Id<A> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let raw: String = segments(parts, state, A::POINTER).await?;
        read(&raw).map(Self)
    }
}

impl<A: PathId, B: PathId, S: Send + Sync> FromRequestParts<S> for Ids<A, B> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let (first, second): (String, String) = segments(parts, state, A::POINTER).await?;
        Ok(Self(read(&first)?, read(&second)?))
    }
}

fn read<A: PathId>(raw: &str) -> Result<A, ApiError> {
    A::read(raw).map_err(|error| ApiError::invalid_id(error, A::POINTER))
}

/// The path is split at `/` first and each segment decoded afterwards, so an id may hold a slash.
async fn segments<T, S>(parts: &mut Parts, state: &S, name: &str) -> Result<T, ApiError>
where
    T: serde::de::DeserializeOwned + Send,
    S: Send + Sync,
{
    let segments = Path::<T>::from_request_parts(parts, state).await;
    segments
        .map(|Path(segments)| segments)
        .map_err(|rejection| {
            let mut pointer = name.to_owned();
            if let PathRejection::FailedToDeserializePathParams(failed) = rejection
                && let ErrorKind::InvalidUtf8InPathParam { key } = failed.into_kind()
            {
                pointer = format!("/{key}");
            }
            ApiError::invalid_path_segment().at(pointer)
        })
}
