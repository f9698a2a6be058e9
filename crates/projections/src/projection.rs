use events::Envelope;

use crate::Digest;

/// One read model: a fold of the events in the order of the log.
pub trait Projection {
    /// Stable, for digests and snapshots.
    const NAME: &'static str;

    /// Of what snapshots hold of it. To be raised whenever that changes: an older snapshot is then
    /// passed over, and the log replayed.
    const VERSION: u16;

    /// Total, and a function of the envelope and what was folded before: no clock, no randomness.
    fn apply(&self, envelope: &Envelope);

    /// Feeds the whole state in an order that depends on nothing but the state.
    fn digest(&self, digest: &mut Digest);
}
