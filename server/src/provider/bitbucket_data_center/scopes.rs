//! Which scope implies which.
//!
//! There are two vocabularies. HTTP access tokens have a level for projects and one for repositories
//! (<https://confluence.atlassian.com/bitbucketserver/http-access-tokens-939515499.html>) and show neither. What is granted
//! by OAuth2 is called otherwise (<https://confluence.atlassian.com/bitbucketserver0720/oauth-2-0-scopes-for-incoming-links-1116282015.html>):
//! there, reading and writing repositories is reading and writing projects as well.

use crate::scope::ScopeSet;

pub(super) const REPO_WRITE: &str = "REPO_WRITE";

/// What a scope implies directly. Unknown ones imply nothing.
pub(super) fn implied(scope: &str) -> &'static [&'static str] {
    match scope {
        "SYSTEM_ADMIN" => &["ADMIN_WRITE"],
        "ADMIN_WRITE" => &["PROJECT_ADMIN"],
        "PROJECT_ADMIN" => &["PROJECT_WRITE", "REPO_ADMIN"],
        "PROJECT_WRITE" => &["PROJECT_READ", REPO_WRITE],
        "PROJECT_READ" => &["REPO_READ"],
        "REPO_ADMIN" => &[REPO_WRITE],
        REPO_WRITE => &["REPO_READ"],
        "REPO_READ" => &["PUBLIC_REPOS"],
        _ => &[],
    }
}

/// What a scope is called where OAuth2 grants it.
fn granted_as(scope: &str) -> &str {
    match scope {
        "PROJECT_READ" => "REPO_READ",
        "PROJECT_WRITE" => REPO_WRITE,
        same => same,
    }
}

/// Which of `needed` are not covered, in either vocabulary.
pub(super) fn missing(granted: &ScopeSet, needed: &ScopeSet) -> ScopeSet {
    let granted = granted.closure(implied);
    needed.iter().filter(|scope| !granted.contains(scope) && !granted.contains(granted_as(scope))).collect()
}

/// What to ask for: none that comes with another anyway.
pub(super) fn to_ask_for(needed: &ScopeSet) -> ScopeSet {
    let asked: ScopeSet = needed.iter().map(granted_as).collect();
    let comes_with = |scope: &str, other: &str| {
        other != scope && ScopeSet::from_iter([other]).closure(implied).contains(scope)
    };
    asked.iter().filter(|scope| !asked.iter().any(|other| comes_with(scope, other))).collect()
}

/// The levels for projects and repositories that a token must have, in the words of the page that makes one. Every token
/// has at least `read`.
pub(super) fn levels(needed: &ScopeSet) -> (&'static str, &'static str) {
    let needed = needed.closure(implied);
    let level = |admin: &str, write: &str| {
        if needed.contains(admin) {
            "admin"
        } else if needed.contains(write) {
            "write"
        } else {
            "read"
        }
    };
    (level("PROJECT_ADMIN", "PROJECT_WRITE"), level("REPO_ADMIN", REPO_WRITE))
}
