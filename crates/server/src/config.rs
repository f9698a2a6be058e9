use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;

pub use delivery::DeliveryOptions;

/// What an operator chooses.
#[derive(Clone, Debug)]
pub struct Config {
    /// Everything that is kept, in one directory. Made if it is not there.
    pub data_dir: PathBuf,
    /// Port 0 takes any free one.
    pub listen: SocketAddr,
    /// A key with full access, good as long as it is given here.
    pub api_key: Option<String>,
    /// Levels of a tenant's ancestry that are loaded, the tenant's own included.
    pub tenant_levels: usize,
    /// Requests that each credential may make in a second; any number unless given.
    pub rate_per_second: Option<NonZeroU32>,
    /// Requests that a credential may make at once after a pause; ten seconds' worth unless given.
    pub rate_burst: Option<NonZeroU32>,
    /// Requests that are answered at the same time.
    pub requests_max: usize,
    /// From which pages browsers may ask, as origins, or `*` for all.
    pub cors_origins: Vec<String>,
    /// The certificate with its chain and its key, both as PEM; plain HTTP unless given.
    pub tls: Option<TlsFiles>,
    /// How webhooks are told.
    pub webhooks: DeliveryOptions,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data_dir: "data".into(),
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            api_key: None,
            tenant_levels: engine::TENANT_LEVELS_LOADED,
            rate_per_second: None,
            rate_burst: None,
            requests_max: 4_096,
            cors_origins: vec![],
            tls: None,
            webhooks: DeliveryOptions::default(),
        }
    }
}

#[derive(Clone, Debug)]
pub struct TlsFiles {
    pub certificate: PathBuf,
    pub key: PathBuf,
}
