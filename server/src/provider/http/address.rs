//! Which addresses are never connected to, whatever a name resolves to.
//!
//! Only administrators name hosts of Git, and self-hosted Git lives on private addresses: those are allowed. Link-local
//! addresses are not, because clouds hand out machine credentials there. Webhooks are named by users, who could make the
//! server ask what only it can reach: their addresses are public ones.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
};

use async_trait::async_trait;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// Whether an address is never connected to: unspecified, link-local, multicast, reserved, or a metadata service;
/// also where such an IPv4 address is wrapped into an IPv6 address.
pub fn is_forbidden(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_forbidden_v4(ip),
        IpAddr::V6(ip) => is_forbidden_v6(ip) || wrapped(ip).into_iter().flatten().any(is_forbidden_v4),
    }
}

/// Whether an address is not one of the public internet: this machine, private networks, networks between provider and
/// customer, examples, and tests (IANA's registries of special-purpose addresses); also where such an IPv4 address is
/// wrapped into an IPv6 address. What [`is_forbidden`] names comes on top.
pub fn is_private(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_private_v4(ip),
        IpAddr::V6(ip) => is_private_v6(ip) || wrapped(ip).into_iter().flatten().any(is_private_v4),
    }
}

fn is_private_v4(ip: Ipv4Addr) -> bool {
    let [first, second, ..] = ip.octets();
    ip.is_loopback()
        || ip.is_private()
        || ip.is_documentation()
        // Shared by customers of one provider (RFC 6598).
        || (first == 100 && (64..128).contains(&second))
        // Between machines under test (RFC 2544).
        || (first == 198 && (18..20).contains(&second))
}

fn is_private_v6(ip: Ipv6Addr) -> bool {
    ip.is_loopback()
        || ip.is_unique_local()
        || match ip.segments() {
            // What "site-local" was (RFC 3879), addresses that lead nowhere (RFC 6666), local translation (RFC 8215),
            // examples (RFC 3849 and RFC 9637), and names of routers' segments (RFC 9602).
            [first, ..] if first & 0xffc0 == 0xfec0 => true,
            [0x100, 0, 0, 0 | 1, ..] | [0x64, 0xff9b, 1, ..] | [0x2001, 0xdb8, ..] | [0x5f00, ..] => true,
            [0x3fff, second, ..] => second < 0x1000,
            _ => false,
        }
}

fn is_forbidden_v4(ip: Ipv4Addr) -> bool {
    let [first, second, third, _] = ip.octets();
    // "This network" reaches the machine itself on Linux (RFC 1122, 3.2.1.3).
    first == 0
        || ip.is_link_local()
        || ip.is_multicast()
        // Reserved, with the broadcast address (RFC 1112, section 4).
        || first >= 240
        // Protocol assignments (RFC 6890); Oracle's metadata service is 192.0.0.192.
        || (first, second, third) == (192, 0, 0)
        // Metadata services of Alibaba and Azure.
        || ip == Ipv4Addr::new(100, 100, 100, 200)
        || ip == Ipv4Addr::new(168, 63, 129, 16)
}

fn is_forbidden_v6(ip: Ipv6Addr) -> bool {
    ip.is_unspecified()
        || ip.is_unicast_link_local()
        || ip.is_multicast()
        || match ip.segments() {
            // Metadata services of AWS (fd00:ec2::/32), Google (fd20:ce::254), Scaleway (fd00:42::42) and
            // Akamai (fd00:a9fe:a9fe::1).
            [0xfd00, 0x0ec2, ..]
            | [0xfd20, 0x00ce, 0, 0, 0, 0, 0, 0x0254]
            | [0xfd00, 0x0042, 0, 0, 0, 0, 0, 0x0042]
            | [0xfd00, 0xa9fe, 0xa9fe, ..] => true,
            _ => false,
        }
}

/// The IPv4 addresses that an IPv6 address may lead to.
fn wrapped(ip: Ipv6Addr) -> [Option<Ipv4Addr>; 2] {
    let segments = ip.segments();
    let join = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        Ipv4Addr::new(a, b, c, d)
    };
    let last = join(segments[6], segments[7]);
    match segments {
        [0, 0, 0, 0, 0, 0, 0, 1] => [None, None],
        // Mapped (RFC 4291, 2.5.5.2), compatible (2.5.5.1), translated (RFC 2765).
        [0, 0, 0, 0, 0, 0xffff | 0, ..] | [0, 0, 0, 0, 0xffff, 0, ..] => [Some(last), None],
        // NAT64 (RFC 6052 and RFC 8215).
        [0x64, 0xff9b, ..] => [Some(last), None],
        // 6to4 (RFC 3056).
        [0x2002, high, low, ..] => [Some(join(high, low)), None],
        // Teredo: the server, and the client with all bits flipped (RFC 4380, section 4).
        [0x2001, 0, high, low, ..] => [Some(join(high, low)), Some(join(!segments[6], !segments[7]))],
        // ISATAP (RFC 5214, 6.1).
        [_, _, _, _, 0 | 0x0200, 0x5efe, ..] => [Some(last), None],
        _ => [None, None],
    }
}

/// Whether a name is this machine's by definition (RFC 6761, 6.3).
pub fn is_localhost(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    name == "localhost" || name.ends_with(".localhost")
}

/// Finds addresses.
#[async_trait]
pub(crate) trait Lookup: Send + Sync {
    async fn lookup(&self, name: &str) -> io::Result<Vec<IpAddr>>;
}

/// The machine's own way.
pub(super) struct SystemLookup;

#[async_trait]
impl Lookup for SystemLookup {
    async fn lookup(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        Ok(tokio::net::lookup_host((name, 0)).await?.map(|address| address.ip()).collect())
    }
}

/// Lets only allowed addresses through. The connection is made to what it returns, so a second, different answer
/// for the same name changes nothing.
pub(super) struct Guard {
    pub(super) lookup: Arc<dyn Lookup>,
    /// Nor private ones.
    pub(super) public_only: bool,
}

/// The name has addresses, all of them forbidden.
#[derive(Debug, thiserror::Error)]
#[error("forbidden address")]
pub(super) struct Forbidden;

/// The name has no address.
#[derive(Debug, thiserror::Error)]
#[error("unknown name")]
pub(super) struct Unknown;

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let Self { lookup, public_only } = self;
        let (lookup, public_only) = (Arc::clone(lookup), *public_only);
        Box::pin(async move {
            if is_localhost(name.as_str()) {
                if public_only {
                    return Err(Forbidden.into());
                }
                let local = [IpAddr::from(Ipv4Addr::LOCALHOST), IpAddr::from(Ipv6Addr::LOCALHOST)];
                return Ok(addresses(local.to_vec()));
            }
            let mut found = lookup.lookup(name.as_str()).await.map_err(|_| Unknown)?;
            if found.is_empty() {
                return Err(Unknown.into());
            }
            found.retain(|ip| !(is_forbidden(*ip) || public_only && is_private(*ip)));
            if found.is_empty() {
                return Err(Forbidden.into());
            }
            Ok(addresses(found))
        })
    }
}

fn addresses(found: Vec<IpAddr>) -> Addrs {
    // The client replaces port 0 by the address's.
    Box::new(found.into_iter().map(|ip| SocketAddr::new(ip, 0)))
}
