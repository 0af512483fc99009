//! Cookie and session: who makes this request, and from where.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use axum::{
    extract::{ConnectInfo, Request, State},
    http::{HeaderMap, StatusCode},
    middleware::Next,
    response::{IntoResponse, Response},
};
use axum_extra::extract::cookie::{Cookie, CookieJar, SameSite};
use url::Url;

use crate::{
    person::{Session, User},
    secret::Secret,
    site::Site,
};

/// Who is signed in.
#[derive(Clone)]
pub struct Signed {
    /// The session.
    pub session: Session,
    /// The person.
    pub user: User,
    /// What the browser's cookie holds.
    pub secret: Secret,
}

/// Where a request comes from, as far as the proxies in between are trusted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ClientAddress(pub IpAddr);

/// The name of the session's cookie. With `__Host-` the browser takes it from this host alone, over TLS alone.
pub fn cookie_name(public_url: &Url) -> &'static str {
    if public_url.scheme() == "https" { "__Host-gitward" } else { "gitward" }
}

fn cookie(public_url: &Url, value: String) -> Cookie<'static> {
    // Lax, not Strict: the provider's redirect back must bring it along.
    Cookie::build((cookie_name(public_url), value))
        .http_only(true)
        .same_site(SameSite::Lax)
        .secure(public_url.scheme() == "https")
        .path("/")
        .build()
}

/// The header that gives a browser its session, until the browser is closed.
pub fn session_cookie(public_url: &Url, secret: &Secret) -> String {
    cookie(public_url, secret.expose().to_owned()).to_string()
}

/// The header that takes it away.
pub fn session_cookie_ended(public_url: &Url) -> String {
    let mut ended = cookie(public_url, String::new());
    ended.make_removal();
    ended.to_string()
}

/// What the session's cookie holds, if the browser sent one.
pub fn cookie_secret(site: &Site, headers: &HeaderMap) -> Option<Secret> {
    let jar = CookieJar::from_headers(headers);
    jar.get(cookie_name(&site.public_url)).map(|cookie| Secret::new(cookie.value()))
}

/// Ours have 36 letters; whoever asks may have chosen a longer one.
const LONGEST_REQUEST_ID: usize = 64;

/// The request's id, as the server's log has it, if it is fit for the audit log.
pub fn request_id(headers: &HeaderMap) -> Option<String> {
    let id = headers.get("x-request-id").and_then(|id| id.to_str().ok());
    id.filter(|id| id.len() <= LONGEST_REQUEST_ID).map(str::to_owned)
}

/// Finds out who makes the request, once, for all that follows.
pub async fn recognise(State(site): State<Arc<Site>>, mut request: Request, next: Next) -> Response {
    let address = address_of(&site, &request);
    request.extensions_mut().insert(ClientAddress(address));
    if let Some(secret) = cookie_secret(&site, request.headers()) {
        // What a page asks by itself is nothing that its visitor does.
        let looks = request.headers().contains_key(app::LOOKING);
        let found = if looks { site.people.look(&secret).await } else { site.people.session(&secret).await };
        match found {
            Ok(Some((session, user))) => {
                request.extensions_mut().insert(Signed { session, user, secret });
            }
            Ok(None) => {}
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "A session could not be read");
                let sentence = "Gitward can't reach its database at the moment. Try again in a minute.\n";
                return (StatusCode::SERVICE_UNAVAILABLE, sentence).into_response();
            }
        }
    }
    next.run(request).await
}

/// Where a request comes from, as far as the proxies in between are trusted.
pub fn address_of(site: &Site, request: &Request) -> IpAddr {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|peer| peer.0.ip());
    client_address(peer, request.headers(), &site.trusted_proxies)
}

/// The rightmost hop that no trusted proxy vouches for: everything left of it may be made up.
fn client_address(peer: Option<IpAddr>, headers: &HeaderMap, trusted: &[ipnet::IpNet]) -> IpAddr {
    // Where the server listens on `[::]`, IPv4 comes as IPv6, which no network of the configuration would contain.
    let peer = peer.unwrap_or(IpAddr::from([127, 0, 0, 1])).to_canonical();
    let is_trusted = |address: &IpAddr| trusted.iter().any(|net| net.contains(address));
    if !is_trusted(&peer) {
        return peer;
    }
    let hops: Vec<&str> = headers
        .get_all("x-forwarded-for")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .collect();
    let mut client = peer;
    for hop in hops.into_iter().rev() {
        let Ok(hop) = hop.parse::<IpAddr>() else { break };
        client = hop.to_canonical();
        if !is_trusted(&client) {
            break;
        }
    }
    client
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(peer: &str, forwarded: &[&str], trusted: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append("x-forwarded-for", value.parse().unwrap());
        }
        let trusted: Vec<ipnet::IpNet> = trusted.iter().map(|net| net.parse().unwrap()).collect();
        client_address(Some(peer.parse().unwrap()), &headers, &trusted).to_string()
    }

    #[test]
    fn a_forged_forwarding_header_changes_nothing() {
        assert_eq!(seen("203.0.113.9", &["10.9.9.9"], &[]), "203.0.113.9");
        assert_eq!(seen("203.0.113.9", &["10.9.9.9"], &["10.0.0.0/8"]), "203.0.113.9");
    }

    #[test]
    fn the_rightmost_untrusted_hop_is_the_client() {
        assert_eq!(seen("10.0.0.1", &["1.2.3.4, 198.51.100.7, 10.0.0.2"], &["10.0.0.0/8"]), "198.51.100.7");
        assert_eq!(seen("10.0.0.1", &["1.2.3.4", "198.51.100.7"], &["10.0.0.0/8"]), "198.51.100.7");
        assert_eq!(seen("10.0.0.1", &["nonsense"], &["10.0.0.0/8"]), "10.0.0.1");
    }

    #[test]
    fn ipv4_that_comes_as_ipv6_is_ipv4() {
        assert_eq!(seen("::ffff:203.0.113.9", &[], &[]), "203.0.113.9");
        assert_eq!(seen("::ffff:10.0.0.1", &["198.51.100.7"], &["10.0.0.0/8"]), "198.51.100.7");
        assert_eq!(seen("10.0.0.1", &["198.51.100.7, ::ffff:10.0.0.2"], &["10.0.0.0/8"]), "198.51.100.7");
    }

    #[test]
    fn the_cookie_is_bound_to_this_host_over_tls() {
        let secret = Secret::new("s3cr3t");
        let cookie = session_cookie(&"https://gitward.example".parse().unwrap(), &secret);
        assert_eq!(cookie, "__Host-gitward=s3cr3t; HttpOnly; SameSite=Lax; Secure; Path=/");
        let cookie = session_cookie(&"http://127.0.0.1:3000".parse().unwrap(), &secret);
        assert_eq!(cookie, "gitward=s3cr3t; HttpOnly; SameSite=Lax; Path=/");
        assert!(session_cookie_ended(&"https://gitward.example".parse().unwrap()).contains("Max-Age=0"));
    }
}
