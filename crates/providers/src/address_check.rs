use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::net::lookup_host;
use types::is_public_address;

/// A name that leads only to addresses that are refused.
#[derive(Debug, thiserror::Error)]
#[error("this machine and private networks are refused")]
pub(crate) struct AddressRefused;

/// Resolves names to those of their addresses that may be asked. The client connects to what it is given
/// here and asks no other resolver, so what was looked at is what is connected to.
#[derive(Debug)]
pub(crate) struct PublicResolver;

impl Resolve for PublicResolver {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found = lookup_host((name.as_str(), 0)).await?;
            let allowed: Vec<SocketAddr> = found.filter(|it| may_be_asked(it.ip())).collect();
            if allowed.is_empty() {
                return Err(AddressRefused.into());
            }
            let allowed: Addrs = Box::new(allowed.into_iter());
            Ok(allowed)
        })
    }
}

/// Whether an address is of the public internet, and not of this machine.
pub(crate) fn may_be_asked(address: IpAddr) -> bool {
    is_public_address(address) && !is_of_this_machine(address)
}

/// A public address may be our own. Nothing is sent: a datagram socket merely tells which of our addresses
/// would be used, and towards ourselves that is the same one.
fn is_of_this_machine(address: IpAddr) -> bool {
    let unspecified: IpAddr = match address {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    // Any port does, for nothing is sent to it.
    let local = UdpSocket::bind((unspecified, 0)).and_then(|socket| {
        socket.connect((address, 9))?;
        socket.local_addr()
    });
    local.is_ok_and(|local| local.ip() == address)
}
