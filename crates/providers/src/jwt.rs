use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
};
use serde_json::{Value, json};
use tokio_rustls::rustls::pki_types::PrivatePkcs8KeyDer;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;

/// Signs what we claim to be (RFC 7519), with the kind of key that the other side gave out.
pub(crate) enum JwtKey {
    /// Elliptic curve P-256.
    Es256(EcdsaKeyPair),
    Rs256(RsaKeyPair),
}

impl JwtKey {
    /// From PKCS#8 in PEM; nothing if it is none.
    pub(crate) fn es256(pem: &str) -> Option<Self> {
        let der = PrivatePkcs8KeyDer::from_pem_slice(pem.as_bytes()).ok()?;
        let der = der.secret_pkcs8_der();
        let random = SystemRandom::new();
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der, &random);
        key.ok().map(Self::Es256)
    }

    /// From PKCS#8 in PEM; nothing if it is none.
    pub(crate) fn rs256(pem: &str) -> Option<Self> {
        let der = PrivatePkcs8KeyDer::from_pem_slice(pem.as_bytes()).ok()?;
        let key = RsaKeyPair::from_pkcs8(der.secret_pkcs8_der());
        key.ok().map(Self::Rs256)
    }

    /// Nothing if the operating system has no randomness.
    pub(crate) fn sign(&self, key_id: Option<&str>, claims: &Value) -> Option<String> {
        let algorithm = match self {
            Self::Es256(_) => "ES256",
            Self::Rs256(_) => "RS256",
        };
        let mut header = json!({ "alg": algorithm, "typ": "JWT" });
        if let Some(key_id) = key_id {
            header["kid"] = key_id.into();
        }
        let encoded = |json: &Value| BASE64_URL_SAFE_NO_PAD.encode(json.to_string());
        let signed = format!("{}.{}", encoded(&header), encoded(claims));
        let signature = self.signature(signed.as_bytes())?;
        let signature = BASE64_URL_SAFE_NO_PAD.encode(signature);
        Some(format!("{signed}.{signature}"))
    }

    fn signature(&self, signed: &[u8]) -> Option<Vec<u8>> {
        let random = SystemRandom::new();
        match self {
            Self::Es256(key) => {
                let signature = key.sign(&random, signed).ok()?;
                Some(signature.as_ref().to_vec())
            }
            Self::Rs256(key) => {
                let mut signature = vec![0; key.public().modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &random, signed, &mut signature)
                    .ok()?;
                Some(signature)
            }
        }
    }
}
