//! Crash tests of the real binary on the real store: kills, power cuts, damaged files, full disks.
//!
//! `trace`, `recording` and `crash_state` turn what strace saw into the states that a power cut may
//! leave; `load` writes over HTTP and remembers the answers; `oracle` says what must then be true.
//! `MUSTER_CRASH_KILLS`, `MUSTER_CRASH_CUTS`, `MUSTER_CRASH_FLIPS` and `MUSTER_CRASH_RECIPIENTS` set the sizes,
//! `MUSTER_CRASH_SEED` repeats a run's choices, `MUSTER_BIN` names the binary.

mod budget;
mod crash_state;
mod damage;
mod failing_disk;
mod idempotency;
mod kills;
mod load;
mod oracle;
mod power_cuts;
mod process;
mod random;
mod recording;
mod report;
mod sending;
mod trace;
mod tree;
mod webhooks;
