//! Opaque places in a collection. A checksum tells ours from anything else that a caller sends.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

pub(crate) fn encode(collection: &str, place: &str) -> String {
    let text = format!("{collection}\n{place}");
    let mut bytes = crc32fast::hash(text.as_bytes()).to_be_bytes().to_vec();
    bytes.extend_from_slice(text.as_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The place, if the cursor was made for this collection.
pub(crate) fn decode(collection: &str, cursor: &str) -> Option<String> {
    let bytes = URL_SAFE_NO_PAD.decode(cursor).ok()?;
    let (checksum, text) = bytes.split_first_chunk()?;
    if crc32fast::hash(text).to_be_bytes() != *checksum {
        return None;
    }
    let (made_for, place) = std::str::from_utf8(text).ok()?.split_once('\n')?;
    (made_for == collection).then(|| place.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_good_for_its_own_collection_only() {
        let cursor = encode("lists", "a.b");
        assert_eq!(decode("lists", &cursor).as_deref(), Some("a.b"));
        assert_eq!(decode("profiles", &cursor), None);
        for foreign in ["cursor", "", "AAAAAAAA", "a.b", &cursor[1..]] {
            assert_eq!(decode("lists", foreign), None, "{foreign}");
        }
    }
}
