//! Those who carry a message to a person: one trait, and one implementation for each kind.
//!
//! Knows the network and what is to be said; knows nothing of who is to be told, of preferences or of the
//! log. What comes of it is told to whoever asked, and recorded there.
