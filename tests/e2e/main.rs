//! Journeys over HTTP, against the real server with its real store.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod access;
mod as_of;
mod audiences;
mod audit;
mod backup;
mod cli;
mod client;
mod connections;
mod erasure;
mod events;
mod input;
mod proofs;
mod restart;
mod sending;
mod stream;
mod target;
mod timeline;
mod users;
mod webhooks;
