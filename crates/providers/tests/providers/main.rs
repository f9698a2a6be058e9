//! Providers against real servers on loopback: what goes over the wire, and what comes of every answer.

mod apns;
mod expo;
mod facts;
mod fcm;
mod http_server;
mod limits;
mod smtp;
mod smtp_server;
mod table;
mod twilio;
mod unfriendly;
mod webhook;
