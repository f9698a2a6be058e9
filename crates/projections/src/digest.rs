use std::fmt::Write;

use events::codec::Encoder;
use sha2::{Digest as _, Sha256};

/// SHA-256 over a read model. Every field goes in with its length, so that no two states give the
/// same bytes.
#[derive(Default)]
pub struct Digest(Sha256);

impl Digest {
    pub fn text(&mut self, text: &str) {
        self.number(text.len() as u64);
        self.0.update(text.as_bytes());
    }

    pub fn number(&mut self, number: u64) {
        self.0.update(number.to_be_bytes());
    }

    pub fn optional_text(&mut self, text: Option<&str>) {
        self.number(u64::from(text.is_some()));
        if let Some(text) = text {
            self.text(text);
        }
    }

    /// A value of which the JSON depends on nothing but the value.
    pub fn json(&mut self, value: &impl serde::Serialize) {
        let text = serde_json::to_string(value).expect("read models hold plain data");
        self.text(&text);
    }

    /// In lower-case hexadecimal.
    /// As snapshots hold it.
    pub fn stored(&mut self, value: &impl serde::Serialize) {
        let mut bytes = Vec::new();
        let stored = Encoder::new(&mut bytes).put(value);
        stored.expect("memory takes every write");
        self.number(bytes.len() as u64);
        self.0.update(&bytes);
    }

    pub fn finish(self) -> String {
        let mut hex = String::with_capacity(64);
        for byte in self.0.finalize() {
            write!(hex, "{byte:02x}").expect("a string takes whatever is written");
        }
        hex
    }
}
