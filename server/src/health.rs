//! What the user sees of a runtime, derived from verdict, clock and required scopes. Never stored.

use std::time::Duration;

use app::api::token::Health;

use crate::{
    clock::Timestamp,
    credential::{Access, Attempt, Credential, Push, Trouble},
    moment::moment,
    provider::Provider,
    scope::ScopeSet,
};

/// "Expiring" begins so long before the end.
const WARNED_BEFORE: Duration = Duration::from_secs(14 * 24 * 60 * 60);

/// Addresses for single sign-on work for an hour; an old one would lead nowhere.
const SSO_LINK_WORKS: Duration = Duration::from_secs(60 * 60);

/// A state and since when it has been so, as far as that is known: newer problems come first.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Seen {
    /// The state.
    pub health: Health,
    /// Since when.
    pub since: Timestamp,
}

/// The scopes that a runtime needs: its own, or the provider's default.
pub fn needed(access: &Access, provider: &dyn Provider) -> ScopeSet {
    access.runtime.scopes.clone().unwrap_or_else(|| provider.default_scopes())
}

/// What the user sees of one runtime.
pub fn health(access: &Access, provider: &dyn Provider, now: Timestamp) -> Seen {
    let Some(credential) = &access.credential else {
        return match access.attempt {
            Some(Attempt::Pending(since)) => {
                Seen { health: Health::AuthorizationPending { since: moment(since, now) }, since }
            }
            Some(Attempt::Denied(at)) => {
                Seen { health: Health::AuthorizationDenied { at: moment(at, now) }, since: at }
            }
            None => Seen { health: Health::NoToken, since: Timestamp::from_micros(0) },
        };
    };
    let standing = &credential.standing;
    // A known end needs no call, and nothing the provider said before it counts any more.
    let place = provider.place();
    if let Some(at) = credential.expires_at.filter(|at| place.is_over(*at, now)) {
        return Seen { health: Health::Expired { at: moment(at, now) }, since: at };
    }
    if standing.invalid
        && let Some(since) = credential.renewal_lost_at
    {
        let health = Health::RenewalLost { since: moment(since, now), refused: true };
        return Seen { health, since: standing.rejected_since.unwrap_or(since) };
    }
    if standing.invalid {
        let since = standing.rejected_since.unwrap_or(standing.checked_at);
        return Seen { health: Health::Revoked { since: moment(since, now) }, since };
    }
    if let Some(proposed) = &access.proposed {
        let health = Health::AnotherAccount {
            before: credential.owner.login.clone(),
            now: proposed.owner.login.clone(),
        };
        return Seen { health, since: proposed.created_at };
    }
    if let Some(problem) = lack_of(access, credential, provider, now) {
        return Seen { health: problem, since: standing.checked_at };
    }
    if let Some(since) = standing.rejected_since {
        return Seen { health: Health::Checking { since: moment(since, now) }, since };
    }
    match standing.trouble {
        Some((Trouble::RateLimited { until }, since)) if until.is_none_or(|until| until > now) => {
            let until = until.map(|until| moment(until, now));
            return Seen { health: Health::RateLimited { until }, since };
        }
        _ if credential.renewal_lost_at.is_some() => {
            let since = credential.renewal_lost_at.unwrap_or(standing.checked_at);
            let health = Health::RenewalLost { since: moment(since, now), refused: false };
            return Seen { health, since };
        }
        Some((Trouble::Unreachable, since)) => {
            let health = Health::Unreachable {
                since: moment(since, now),
                last_good: standing.last_good_at.map(|at| moment(at, now)),
            };
            return Seen { health, since };
        }
        _ => {}
    }
    // What the user noted is believed until it is over; then only the provider knows.
    let there = place.there(now);
    let end = credential.expires_at.or(credential.noted_end.filter(|at| *at > there));
    if let Some(at) = end.filter(|at| *at <= there.plus(WARNED_BEFORE)) {
        return Seen { health: Health::Expiring { at: moment(at, there) }, since: at.minus(WARNED_BEFORE) };
    }
    Seen { health: Health::Valid { scopes_visible: credential.scopes.is_some() }, since: standing.checked_at }
}

/// What a credential that works may do too little, if anything. Scopes that can't be seen are never "missing".
pub fn lack_of(
    access: &Access,
    credential: &Credential,
    provider: &dyn Provider,
    now: Timestamp,
) -> Option<Health> {
    if let Some(granted) = &credential.scopes {
        let missing = provider.missing(granted, &needed(access, provider));
        if !missing.is_empty() {
            return Some(Health::ScopesMissing { missing: missing.to_vec() });
        }
    }
    let repository = access.runtime.repository.clone()?;
    match access.push.as_ref()? {
        Push::Denied => Some(Health::CannotPush { repository }),
        Push::Hidden => Some(Health::RepositoryHidden { repository }),
        Push::NeedsSso { link } => {
            let works = now.since(credential.standing.checked_at) < SSO_LINK_WORKS;
            Some(Health::NeedsSso { link: link.clone().filter(|_| works) })
        }
        Push::Allowed | Push::Unknown => None,
    }
}
