use std::net::SocketAddr;
use std::num::{NonZeroU32, NonZeroU64};
use std::path::PathBuf;

use crate::master_key::MasterKeySource;
pub use delivery::DeliveryOptions;
pub use providers::ProvidersConfig;

/// What an operator chooses.
#[derive(Clone, Debug)]
pub struct Config {
    /// Everything that is kept, in one directory. Made if it is not there.
    pub data_dir: PathBuf,
    /// Where the key to the key vault comes from.
    pub master_key: MasterKeySource,
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
    /// After so many events a snapshot is taken; none is unless given.
    pub snapshot_events: Option<NonZeroU64>,
    /// Past states that are kept for whoever asks again, each as large as the present one.
    pub past_states_max: usize,
    /// The key that signs checkpoints; in the data directory, and made there, unless given.
    pub log_key: Option<PathBuf>,
    /// What the log is called in its checkpoints; made up at the first start unless given.
    pub log_origin: Option<String>,
    /// Files elsewhere that get every checkpoint, and are compared with the log at a start.
    pub log_anchors: Vec<PathBuf>,
    /// How webhooks are told.
    pub webhooks: DeliveryOptions,
    /// Who carries messages.
    pub providers: ProvidersConfig,
    /// Under which address people reach the server, for the links in messages; that on which it listens
    /// unless given.
    pub public_url: Option<String>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data_dir: "data".into(),
            master_key: MasterKeySource::default(),
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            api_key: None,
            tenant_levels: engine::TENANT_LEVELS_LOADED,
            rate_per_second: None,
            rate_burst: None,
            requests_max: 4_096,
            cors_origins: vec![],
            tls: None,
            snapshot_events: NonZeroU64::new(500_000),
            past_states_max: 2,
            log_key: None,
            log_origin: None,
            log_anchors: vec![],
            webhooks: DeliveryOptions::default(),
            providers: ProvidersConfig::default(),
            public_url: None,
        }
    }
}

impl Config {
    /// What is chosen of how the log can be checked.
    pub fn transparency(&self) -> transparency::Options {
        transparency::Options {
            data_dir: self.data_dir.clone(),
            key: self.log_key.clone(),
            origin: self.log_origin.clone(),
            anchors: self.log_anchors.clone(),
        }
    }
}

#[derive(Clone, Debug)]
pub struct TlsFiles {
    pub certificate: PathBuf,
    pub key: PathBuf,
}
