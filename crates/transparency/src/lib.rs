//! What makes the log checkable from outside: tiles of its tree as files, signed checkpoints, anchors
//! elsewhere, and a scrubber that reads everything again and again.
//!
//! ```text
//! data directory
//!   log-key      the key that signs; readable by its owner only
//!   log-keys     its verifier key, those before it, and how each came after the other
//!   tiles/       tile/…  and checkpoint, as any web server can serve them (c2sp.org/tlog-tiles)
//! ```
//! All of `tiles/` is made of the stored records and can be made again. Nothing that is answered is
//! believed because it is there: every proof is checked against the record and the head of the log
//! before it is given out.

mod anchors;
mod background;
mod check;
mod edge;
mod files;
mod keys;
mod log;
mod tiles;
mod tree;

pub use anchors::AnchorError;
pub use background::Background;
pub use check::{TileCheck, TileDamage};
pub use keys::{KeyError, Keys};
pub use log::{OpenError, Options, ProveError, Status, TransparencyLog, rotate_key};
