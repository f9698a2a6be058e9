use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use types::{BrandId, TenantId, UserId};

use crate::Scope;

/// The only header that is ever made, and so the only one that is taken: whoever sends another, with
/// another algorithm or none, has not got it from here.
const HEADER: &str = r#"{"alg":"HS256","typ":"JWT"}"#;
const ISSUER: &str = "muster";
/// A token longer than this is none.
pub const USER_TOKEN_BYTES_MAX: usize = 16 * 1024;
/// How far apart two clocks may be, in seconds, before a token counts as issued in the future.
const SKEW_SECONDS: u64 = 60;

/// The secret with which tokens are signed: 256 bits, kept beside the log.
#[derive(Clone)]
pub struct SigningSecret([u8; 32]);

/// What a token says (RFC 7519).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    pub iss: String,
    pub aud: String,
    /// The words that the token was asked for with, separated by spaces.
    pub scope: String,
    /// Seconds since 1970.
    pub iat: u64,
    pub exp: u64,
    pub jti: String,
    /// The key that had it issued: with it the token ends.
    pub key: String,
}

/// Why a token is not taken. Whoever sent it is told only that it is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadToken {
    #[error("it has not the form of a token that is issued here")]
    Malformed,
    #[error("its signature is not ours")]
    Signature,
    #[error("it is for somebody else")]
    Audience,
    #[error("it has expired")]
    Expired,
    #[error("it is from the future")]
    Early,
}

impl SigningSecret {
    pub const BYTES: usize = 32;

    pub fn new(bytes: [u8; Self::BYTES]) -> Self {
        Self(bytes)
    }

    /// # Panics
    /// If the operating system has no randomness to give.
    pub fn generate() -> Self {
        let mut bytes = [0; Self::BYTES];
        getrandom::fill(&mut bytes).expect("the operating system provides randomness");
        Self(bytes)
    }

    pub fn reveal(&self) -> &[u8; Self::BYTES] {
        &self.0
    }

    /// The audience of tokens: this server and no other with the same software.
    pub fn audience(&self) -> String {
        let mut hash = Sha256::new();
        hash.update(b"muster audience");
        hash.update(self.0);
        let hash = hash.finalize();
        format!("muster:{}", URL_SAFE_NO_PAD.encode(&hash[..12]))
    }

    /// What tells a text from others to whoever has the secret, and nothing to anybody else.
    pub fn fingerprint(&self, text: &str) -> String {
        let code = self
            .mac(&format!("fingerprint {text}"))
            .finalize()
            .into_bytes();
        URL_SAFE_NO_PAD.encode(&code[..12])
    }

    /// The secret with which what a webhook is told is signed: the same for as long as this one is.
    pub fn of_webhook(&self, id: &str) -> String {
        let code = self.mac(&format!("webhook {id}")).finalize().into_bytes();
        format!("whsec_{}", URL_SAFE_NO_PAD.encode(code))
    }

    /// A token in the compact form of RFC 7515.
    pub fn issue(&self, claims: &Claims) -> String {
        let claims = serde_json::to_vec(claims).expect("claims are plain data");
        let signed = format!(
            "{}.{}",
            URL_SAFE_NO_PAD.encode(HEADER),
            URL_SAFE_NO_PAD.encode(claims)
        );
        let signature = self.mac(&signed).finalize().into_bytes();
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    /// What the token says, if it was issued here and holds at this time, in seconds since 1970.
    pub fn verify(&self, token: &str, now: u64) -> Result<Claims, BadToken> {
        if token.len() > USER_TOKEN_BYTES_MAX {
            return Err(BadToken::Malformed);
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(BadToken::Malformed)?;
        let (header, claims) = signed.split_once('.').ok_or(BadToken::Malformed)?;
        if header != URL_SAFE_NO_PAD.encode(HEADER) {
            return Err(BadToken::Malformed);
        }
        let signature = URL_SAFE_NO_PAD.decode(signature);
        let signature = signature.map_err(|_| BadToken::Malformed)?;
        // Takes the same time wherever the two differ.
        let verified = self.mac(signed).verify_slice(&signature);
        verified.map_err(|_| BadToken::Signature)?;
        let claims = URL_SAFE_NO_PAD.decode(claims);
        let claims = claims.map_err(|_| BadToken::Malformed)?;
        let claims: Claims = serde_json::from_slice(&claims).map_err(|_| BadToken::Malformed)?;
        if claims.iss != ISSUER || claims.aud != self.audience() {
            return Err(BadToken::Audience);
        }
        if claims.exp <= now {
            return Err(BadToken::Expired);
        }
        if claims.iat > now + SKEW_SECONDS {
            return Err(BadToken::Early);
        }
        Ok(claims)
    }

    /// The claims of a new token.
    pub fn claims(&self, scope: String, key: String, jti: String, iat: u64, exp: u64) -> Claims {
        Claims {
            iss: ISSUER.to_owned(),
            aud: self.audience(),
            scope,
            iat,
            exp,
            jti,
            key,
        }
    }

    fn mac(&self, signed: &str) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("a key of any length is one");
        mac.update(signed.as_bytes());
        mac
    }
}

/// A secret never appears in a log, a trace or an error.
impl fmt::Debug for SigningSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningSecret(…)")
    }
}

/// What a person's token can be allowed to do, each with its word in the scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grant {
    ReadUserTokens,
    WriteUserTokens,
    ReadPreferences,
    WritePreferences,
    ReadBrands,
    WriteBrands,
    ReadInbox,
    WriteInbox,
}

impl Grant {
    pub const EVERY: [Self; 8] = [
        Self::ReadUserTokens,
        Self::WriteUserTokens,
        Self::ReadPreferences,
        Self::WritePreferences,
        Self::ReadBrands,
        Self::WriteBrands,
        Self::ReadInbox,
        Self::WriteInbox,
    ];

    /// What the key needs that gives it away.
    pub fn scope(self) -> Scope {
        match self {
            Self::ReadUserTokens => Scope::TokensRead,
            Self::WriteUserTokens => Scope::TokensWrite,
            Self::ReadPreferences => Scope::PreferencesRead,
            Self::WritePreferences => Scope::PreferencesWrite,
            Self::ReadBrands => Scope::BrandsRead,
            Self::WriteBrands => Scope::BrandsWrite,
            Self::ReadInbox => Scope::InboxRead,
            Self::WriteInbox => Scope::InboxWrite,
        }
    }

    /// Whether it is about what may differ from tenant to tenant.
    pub fn has_context(self) -> bool {
        match self {
            Self::ReadPreferences | Self::WritePreferences | Self::ReadInbox | Self::WriteInbox => {
                true
            }
            Self::ReadUserTokens | Self::WriteUserTokens | Self::ReadBrands | Self::WriteBrands => {
                false
            }
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::ReadUserTokens => "read:user-tokens",
            Self::WriteUserTokens => "write:user-tokens",
            Self::ReadPreferences => "read:preferences",
            Self::WritePreferences => "write:preferences",
            Self::ReadBrands => "read:brands",
            Self::WriteBrands => "write:brands",
            Self::ReadInbox => "inbox:read:messages",
            Self::WriteInbox => "inbox:write:events",
        }
    }
}

/// A word that clients ask for and that allows nothing: what lies in the inbox has its own.
const WITHOUT_EFFECT: [&str; 1] = ["read:messages"];

/// What a token is good for: for whom, where, and what.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserAccess {
    users: Vec<(UserId, Option<TenantId>)>,
    /// Contexts that hold for every user of the token.
    tenants: Vec<TenantId>,
    grants: Vec<(Grant, Option<BrandId>)>,
}

impl UserAccess {
    /// Reads the words of a scope, which are separated by spaces.
    ///
    /// # Errors
    /// The first word that is none of them.
    pub fn parse(scope: &str) -> Result<Self, String> {
        let mut access = Self::default();
        for word in scope.split_ascii_whitespace() {
            access.add(word).ok_or_else(|| word.to_owned())?;
        }
        Ok(access)
    }

    fn add(&mut self, word: &str) -> Option<()> {
        if let Some(id) = word.strip_prefix("user_id:") {
            // `user_id:<id>:<tenant>`: what follows the last colon is the tenant, so an id that holds a colon
            // has to be given with one.
            let user = match id.rsplit_once(':') {
                Some((user, tenant)) => {
                    let tenant = TenantId::parse(tenant).ok()?;
                    (UserId::parse(user).ok()?, Some(tenant))
                }
                None => (UserId::parse(id).ok()?, None),
            };
            self.users.push(user);
            return Some(());
        }
        let tenant = word
            .strip_prefix("tenant_id:")
            .or_else(|| word.strip_prefix("account_id:"));
        if let Some(tenant) = tenant {
            self.tenants.push(TenantId::parse(tenant).ok()?);
            return Some(());
        }
        if WITHOUT_EFFECT.contains(&word) {
            return Some(());
        }
        if let Some(grant) = Grant::EVERY.into_iter().find(|it| it.name() == word) {
            self.grants.push((grant, None));
            return Some(());
        }
        let of_brand = [Grant::ReadBrands, Grant::WriteBrands];
        let (grant, brand) = of_brand.into_iter().find_map(|grant| {
            let brand = word.strip_prefix(grant.name())?.strip_prefix(':')?;
            Some((grant, brand))
        })?;
        self.grants.push((grant, Some(BrandId::parse(brand).ok()?)));
        Some(())
    }

    /// Everybody for whom the token is.
    pub fn users(&self) -> impl Iterator<Item = &UserId> {
        self.users.iter().map(|(user, _)| user)
    }

    /// Every context that the token names.
    pub fn tenants(&self) -> impl Iterator<Item = &TenantId> {
        let of_users = self.users.iter().filter_map(|(_, tenant)| tenant.as_ref());
        of_users.chain(&self.tenants)
    }

    /// What was granted, whatever of.
    pub fn granted(&self) -> impl Iterator<Item = Grant> {
        self.grants.iter().map(|(grant, _)| *grant)
    }

    /// Whether the token is for this person.
    pub fn is_for(&self, user: &UserId) -> bool {
        self.users().any(|it| it == user)
    }

    /// The tenants in which the token is for this person; none if it names none. Nothing if it is not for
    /// this person at all.
    pub fn contexts_of(&self, user: &UserId) -> Option<Vec<&TenantId>> {
        let of_user = || self.users.iter().filter(|(it, _)| it == user);
        of_user().next()?;
        // Named once without a tenant is named for wherever they are.
        let everywhere = of_user().any(|(_, tenant)| tenant.is_none()) && self.tenants.is_empty();
        if everywhere {
            return Some(Vec::new());
        }
        let own = of_user().filter_map(|(_, tenant)| tenant.as_ref());
        Some(own.chain(&self.tenants).collect())
    }

    /// Whether the token allows this, of this brand if it is about one.
    pub fn grants(&self, grant: Grant, brand: Option<&BrandId>) -> bool {
        self.grants.iter().any(|(held, of)| {
            *held == grant
                && of
                    .as_ref()
                    .is_none_or(|of| brand.is_some_and(|it| it == of))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_800_000_000;

    fn secret() -> SigningSecret {
        SigningSecret::new([7; 32])
    }

    fn claims() -> Claims {
        let scope = "user_id:ada read:preferences".to_owned();
        secret().claims(scope, "key".to_owned(), "jti".to_owned(), NOW, NOW + 60)
    }

    fn user(id: &str) -> UserId {
        UserId::parse(id).expect("an id")
    }

    fn tenant(id: &str) -> TenantId {
        TenantId::parse(id).expect("an id")
    }

    #[test]
    fn a_token_says_what_it_was_issued_with_until_it_expires() {
        let token = secret().issue(&claims());
        assert_eq!(token.split('.').count(), 3);
        assert_eq!(secret().verify(&token, NOW), Ok(claims()));
        assert_eq!(secret().verify(&token, NOW + 60), Err(BadToken::Expired));
        assert_eq!(secret().verify(&token, NOW - 60), Ok(claims()));
        assert_eq!(secret().verify(&token, NOW - 61), Err(BadToken::Early));
        let other = SigningSecret::new([8; 32]);
        assert_eq!(other.verify(&token, NOW), Err(BadToken::Signature));
        let foreign = Claims {
            aud: other.audience(),
            ..claims()
        };
        let foreign = secret().issue(&foreign);
        assert_eq!(secret().verify(&foreign, NOW), Err(BadToken::Audience));
        assert_ne!(secret().audience(), other.audience());
    }

    #[test]
    fn no_other_header_is_taken() {
        let token = secret().issue(&claims());
        let (_, rest) = token.split_once('.').expect("dots");
        for header in [
            r#"{"alg":"none","typ":"JWT"}"#,
            r#"{"alg":"None"}"#,
            r#"{"typ":"JWT","alg":"HS256"}"#,
            r#"{"alg":"RS256","typ":"JWT"}"#,
            "",
        ] {
            let header = URL_SAFE_NO_PAD.encode(header);
            let forged = format!("{header}.{rest}");
            assert_eq!(secret().verify(&forged, NOW), Err(BadToken::Malformed));
            let (claims, _) = rest.split_once('.').expect("dots");
            for forged in [format!("{header}.{claims}."), format!("{header}.{claims}")] {
                assert!(secret().verify(&forged, NOW).is_err());
            }
        }
    }

    #[test]
    fn a_token_with_one_bit_changed_is_none() {
        let token = secret().issue(&claims());
        for place in 0..token.len() {
            for bit in 0..7 {
                let mut bytes = token.clone().into_bytes();
                bytes[place] ^= 1 << bit;
                let forged = String::from_utf8(bytes).expect("seven bits are ASCII");
                // The last character of the signature has two bits that mean nothing; they have to be
                // as they were written all the same.
                assert!(secret().verify(&forged, NOW).is_err(), "{place} {bit}");
            }
        }
    }

    #[test]
    fn a_scope_names_people_contexts_and_grants() {
        let access = UserAccess::parse(
            "user_id:ada user_id:bob:acme read:preferences write:user-tokens read:brands:b1 \
             inbox:read:messages",
        )
        .expect("a scope");
        assert!(access.is_for(&user("ada")) && access.is_for(&user("bob")));
        assert!(!access.is_for(&user("eve")));
        let (acme, ajax) = (tenant("acme"), tenant("ajax"));
        assert_eq!(access.contexts_of(&user("ada")), Some(vec![]));
        assert_eq!(access.contexts_of(&user("bob")), Some(vec![&acme]));
        assert_eq!(access.contexts_of(&user("eve")), None);
        assert!(access.grants(Grant::ReadPreferences, None));
        assert!(!access.grants(Grant::WritePreferences, None));
        let brand = |id| BrandId::parse(id).expect("an id");
        assert!(access.grants(Grant::ReadBrands, Some(&brand("b1"))));
        assert!(!access.grants(Grant::ReadBrands, Some(&brand("b2"))));
        assert!(!access.grants(Grant::ReadBrands, None));
        for (scope, contexts) in [
            ("user_id:ada tenant_id:acme", vec![&acme]),
            ("user_id:ada:ajax tenant_id:acme", vec![&ajax, &acme]),
            ("user_id:ada:ajax user_id:ada", vec![]),
        ] {
            let narrowed = UserAccess::parse(scope).expect("a scope");
            assert_eq!(
                narrowed.contexts_of(&user("ada")),
                Some(contexts),
                "{scope}"
            );
        }
    }

    #[test]
    fn no_word_of_a_scope_widens() {
        for word in [
            "*",
            "admin",
            "user_id:",
            "user_id",
            "read:*",
            "read:preferences:x",
            "READ:preferences",
            "read:brands:",
            "profiles:read",
        ] {
            assert_eq!(UserAccess::parse(word), Err(word.to_owned()));
        }
        assert_eq!(UserAccess::parse(""), Ok(UserAccess::default()));
        assert!(!UserAccess::default().is_for(&user("ada")));
    }
}
