use std::str::FromStr;

use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use types::PageLimit;

use crate::cursor;
use crate::error::ApiError;
use crate::extract::path::PathId;

/// The query string. An empty value means that the parameter is not given, as the SDKs send `null`.
pub(crate) struct Parameters(Vec<(String, String)>);

impl<S: Send + Sync> FromRequestParts<S> for Parameters {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        if !parts.uri.query().is_none_or(is_utf8) {
            return Err(ApiError::invalid_parameter(
                "query",
                "percent-encoded UTF-8",
            ));
        }
        let query = Query::<Vec<(String, String)>>::from_request_parts(parts, state).await;
        let Query(mut pairs) =
            query.map_err(|_| ApiError::invalid_parameter("query", "a query string"))?;
        // An attribute may well be compared with nothing.
        pairs.retain(|(key, value)| !value.is_empty() || key.starts_with(ATTRIBUTE));
        Ok(Self(pairs))
    }
}

/// What stands before the path in the name of a parameter that filters by an attribute.
const ATTRIBUTE: &str = "attribute.";

/// Whether the text is UTF-8 once it is decoded: what is not would be read as something else.
fn is_utf8(query: &str) -> bool {
    percent_encoding::percent_decode_str(query)
        .decode_utf8()
        .is_ok()
}

impl Parameters {
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// Every value that is given.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let given = self.0.iter().filter(move |(key, _)| key == name);
        given.map(|(_, value)| value.as_str())
    }

    /// All `attribute.<path>=value`, as path and value.
    pub(crate) fn attributes(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .filter_map(|(key, value)| Some((key.strip_prefix(ATTRIBUTE)?, value.as_str())))
    }

    /// On Courier's routes: a limit out of bounds is moved into them, nonsense is as if not given.
    pub(crate) fn limit_clamped(&self) -> PageLimit {
        self.limit_given().unwrap_or_default()
    }

    /// As [`Parameters::limit_clamped`], with another limit where none is given.
    pub(crate) fn limit_clamped_from(&self, by_default: u64) -> PageLimit {
        self.limit_given()
            .unwrap_or_else(|| PageLimit::clamped(by_default))
    }

    /// The nearest allowed limit; nothing if none is given, or no number.
    fn limit_given(&self) -> Option<PageLimit> {
        let text = self.get("limit")?;
        let (negative, digits) = match text.strip_prefix('-') {
            Some(digits) => (true, digits),
            None => (false, text),
        };
        let is_number = !digits.is_empty() && digits.bytes().all(|it| it.is_ascii_digit());
        is_number.then(|| match digits.parse() {
            _ if negative => PageLimit::clamped(0),
            Ok(rows) => PageLimit::clamped(rows),
            // So many that the number does not fit.
            Err(_) => PageLimit::MOST,
        })
    }

    /// An id that narrows the question.
    pub(crate) fn id<A: PathId>(&self, name: &str) -> Result<Option<A>, ApiError> {
        let read =
            |raw| A::read(raw).map_err(|error| ApiError::invalid_id(error, &format!("/{name}")));
        self.get(name).map(read).transpose()
    }

    /// On our own routes: a limit out of bounds is an error.
    pub(crate) fn limit(&self) -> Result<PageLimit, ApiError> {
        match self.parsed::<u64>("limit", "a number from 1 to 1000")? {
            None => Ok(PageLimit::default()),
            Some(rows) if (1..=PageLimit::MAX as u64).contains(&rows) => {
                Ok(PageLimit::clamped(rows))
            }
            Some(_) => Err(ApiError::invalid_parameter(
                "limit",
                "a number from 1 to 1000",
            )),
        }
    }

    /// On Courier's routes: a cursor that is not ours means the first page.
    pub(crate) fn place(&self, collection: &str) -> Option<String> {
        self.get("cursor")
            .and_then(|cursor| cursor::decode(collection, cursor))
    }

    /// On our own routes: a cursor that is not ours is an error.
    pub(crate) fn place_checked(&self, collection: &str) -> Result<Option<String>, ApiError> {
        let Some(cursor) = self.get("cursor") else {
            return Ok(None);
        };
        cursor::decode(collection, cursor)
            .map(Some)
            .ok_or_else(ApiError::invalid_cursor)
    }

    pub(crate) fn parsed<T: FromStr>(
        &self,
        name: &str,
        expected: &str,
    ) -> Result<Option<T>, ApiError> {
        let Some(text) = self.get(name) else {
            return Ok(None);
        };
        text.parse()
            .map(Some)
            .map_err(|_| ApiError::invalid_parameter(name, expected))
    }
}
