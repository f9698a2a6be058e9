use std::net::SocketAddr;
use std::path::PathBuf;

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
}
