//! Who is asking: credentials and what they prove. Pure; knows nothing of HTTP or of storage.

mod api_key;
mod principal;

pub use api_key::{ApiKey, KeyHash};
pub use principal::{Principal, SCOPE_ALL};
