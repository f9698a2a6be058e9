//! Journeys over HTTP, against the real server with its real store.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod access;
mod audiences;
mod cli;
mod client;
mod connections;
mod events;
mod input;
mod restart;
mod stream;
mod target;
mod timeline;
mod users;
mod webhooks;
