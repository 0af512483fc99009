//! Which web addresses are accepted, and where they may lead.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use url::{Host, Url};

/// Where Gitward itself is: an origin.
pub(super) fn public_url(text: &str) -> Result<Url, String> {
    let url = web(text, "https://gitward.example.com")?;
    if url.path() != "/" {
        return Err("must not have a path; Gitward wants a host name of its own".to_owned());
    }
    if url.scheme() == "http" && !is_loopback(&url) {
        return Err("must begin with `https://`; `http` is only for this machine (`localhost`)".to_owned());
    }
    Ok(url)
}

/// Where a Git provider is. Tokens go there, so the connection is encrypted unless it stays on this machine.
pub(super) fn provider_url(text: &str) -> Result<Url, String> {
    let mut url = web(text, "https://github.com")?;
    if url.scheme() == "http" && !is_loopback(&url) {
        return Err("must begin with `https://`: tokens are sent there".to_owned());
    }
    refuse_metadata(&url)?;
    let path = url.path().trim_end_matches('/').to_owned();
    url.set_path(&path);
    Ok(url)
}

/// A proxy on the way to a Git provider. It sees encrypted connections only, so `http` is fine.
pub(super) fn proxy(text: &str) -> Result<Url, String> {
    let url = web(text, "http://proxy.example.com:3128")?;
    refuse_metadata(&url)?;
    if url.path() != "/" {
        return Err("must not have a path".to_owned());
    }
    Ok(url)
}

/// A web address without user, query or fragment. The refusals do not repeat it: it may hold a password.
fn web(text: &str, example: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|_| format!("is not a web address; write it like `{example}`"))?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() || text.contains(char::is_whitespace) {
        return Err(format!("is not a web address; write it like `{example}`"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("must not hold a user name or a password".to_owned());
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("must not have anything after `?` or `#`".to_owned());
    }
    Ok(url)
}

/// Whether requests to it stay on this machine.
fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name.trim_end_matches('.') == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.to_canonical().is_loopback(),
        None => false,
    }
}

/// Refuses hosts that no Git provider has, but that give secrets to whoever asks: a cloud's metadata service and the
/// like. What a name leads to is checked again when the connection is made.
fn refuse_metadata(url: &Url) -> Result<(), String> {
    const NAMES: &[&str] = &[
        "metadata",
        "metadata.google.internal",
        "metadata.goog",
        "instance-data",
        "instance-data.ec2.internal",
    ];
    let forbidden = match url.host() {
        Some(Host::Domain(name)) => NAMES.contains(&name.trim_end_matches('.')),
        Some(Host::Ipv4(address)) => is_forbidden(IpAddr::V4(address)),
        Some(Host::Ipv6(address)) => is_forbidden(address.to_canonical()),
        None => true,
    };
    if forbidden {
        return Err("must not be a link-local address or a cloud's metadata service".to_owned());
    }
    Ok(())
}

fn is_forbidden(address: IpAddr) -> bool {
    // Alibaba, Oracle and Azure keep theirs outside the link-local range.
    const METADATA_V4: [Ipv4Addr; 3] =
        [Ipv4Addr::new(100, 100, 100, 200), Ipv4Addr::new(192, 0, 0, 192), Ipv4Addr::new(168, 63, 129, 16)];
    // AWS and Google, over IPv6.
    const METADATA_V6: [Ipv6Addr; 2] = [
        Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254),
        Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254),
    ];
    match address {
        IpAddr::V4(v4) => {
            v4.is_link_local()
                || v4.is_unspecified()
                || v4.is_multicast()
                || v4.is_broadcast()
                || METADATA_V4.contains(&v4)
        }
        IpAddr::V6(v6) => {
            v6.is_unicast_link_local()
                || v6.is_unspecified()
                || v6.is_multicast()
                || METADATA_V6.contains(&v6)
                || embedded_v4(v6).is_some_and(|v4| is_forbidden(IpAddr::V4(v4)))
        }
    }
}

/// The IPv4 address that a translator or tunnel takes an IPv6 address to: NAT64, 6to4, IPv4-compatible.
fn embedded_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let join = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    match address.segments() {
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0, 0, 0, 0, 0, 0, high, low]
            if address != Ipv6Addr::LOCALHOST =>
        {
            Some(join(high, low))
        }
        [0x2002, high, low, ..] => Some(join(high, low)),
        _ => None,
    }
}
