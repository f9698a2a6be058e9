//! What a message says to one person on one channel.
//!
//! Knows content, variables and brands; knows nothing of people, of providers or of the log. A pure
//! function of what it is given: no clock, no randomness, nothing from outside.
//!
//! ```text
//!  JSON ── Content::parse ──▶ Content           compiled once, shared by everybody who is told
//!                                │
//!  Variables, Channel ── render ─┤
//!                                ▼
//!             blocks: text, image, action …      loops repeated, conditions and locales decided
//!                                │
//!                 ┌──────────────┴──────┐
//!                 ▼                     ▼
//!           plain text           HTML document   e-mail only
//! ```
//!
//! # Templates
//!
//! `{{ name }}` is replaced by a variable: a member of the data by its own name or as
//! `data.name`, and `profile.…`, `tenant.…`, `brand.…`, `urls.unsubscribe`, `urls.preferences`,
//! `message.id` and `locale`. A variable that is not there, or null, is a refusal and never an empty
//! hole; `{{ name | default("you") }}` says what to write instead, and `{% if name %}` asks.
//!
//! The only tags are `if` and `for`. What is left out would let a template switch the escaping off
//! (`autoescape`), or grow without end on little fuel (`set`, `macro`, `recursive`, `*`).
//!
//! # Escaping
//!
//! All that becomes text in an HTML document is rendered as plain text and then escaped as a whole,
//! so that neither variables nor the template can leave their place. Only in the `html` element, and
//! in `raw.html`, is the template HTML itself; there each variable is escaped for text and for
//! attributes, and the result may not lead to a script. Variables inside `<script>` or `<style>` are
//! beyond what escaping can do.

mod address;
mod brand;
mod content;
mod email;
mod error;
mod escape;
pub mod limits;
mod plain;
mod rendered;
mod template;
mod variables;

pub use brand::Brand;
pub use content::Content;
pub use error::{ContentError, RenderError};
pub use rendered::{Action, Rendered};
pub use variables::{Links, Variables};
