use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use types::{Timestamp, hex};

/// What `courier-signature` says of a body that is sent at this time: the time in milliseconds, and
/// HMAC-SHA256 under the secret over the time, a dot and the body, in hexadecimal.
pub(crate) fn signature(secret: &str, at: Timestamp, body: &[u8]) -> String {
    let milliseconds = at.0 / 1_000_000;
    let mut code =
        Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("HMAC takes keys of every length");
    code.update(format!("{milliseconds}.").as_bytes());
    code.update(body);
    let code = hex(&code.finalize().into_bytes());
    format!("t={milliseconds},signature={code}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_that_of_rfc_2104_over_time_and_body() {
        // printf '1700000000123.{"a":1}' | openssl dgst -sha256 -hmac whsec_test
        let at = Timestamp(1_700_000_000_123_456_789);
        let expected = "t=1700000000123,signature=a91a0126961636f9a9cdaa5cdc1e3917b473a60893dcbb782aca9ad90833a32a";
        assert_eq!(signature("whsec_test", at, br#"{"a":1}"#), expected);
    }
}
