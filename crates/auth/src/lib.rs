//! Who is asking: credentials and what they prove. Pure; knows nothing of HTTP or of storage.

mod api_key;
mod principal;
mod scope;
mod user_token;

pub use api_key::{ApiKey, KeyHash};
pub use principal::{Principal, Rights};
pub use scope::{ADMIN, Scope, Scopes, UnknownScope};
pub use user_token::{BadToken, Claims, Grant, SigningSecret, USER_TOKEN_BYTES_MAX, UserAccess};
