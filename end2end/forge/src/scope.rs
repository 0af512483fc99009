//! Scopes of classic and OAuth tokens, and which of them contain others.

use std::collections::BTreeSet;

/// Scopes that the pages offer.
pub const OFFERED: &[&str] = &[
    "repo",
    "repo:status",
    "repo_deployment",
    "public_repo",
    "repo:invite",
    "security_events",
    "workflow",
    "admin:repo_hook",
    "write:repo_hook",
    "read:repo_hook",
    "admin:org",
    "write:org",
    "read:org",
    "user",
    "read:user",
    "user:email",
    "user:follow",
    "gist",
];

/// A set of scopes in alphabetical order.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Scopes(BTreeSet<String>);

impl Scopes {
    /// Exactly these, even if one contains another: what a control call asks for.
    pub fn literal<S: AsRef<str>>(scopes: impl IntoIterator<Item = S>) -> Self {
        let scopes = scopes.into_iter().map(|scope| scope.as_ref().trim().to_owned());
        Self(scopes.filter(|scope| !scope.is_empty()).collect())
    }

    /// These without those that another of them contains: what the host grants.
    pub fn normalised<S: AsRef<str>>(scopes: impl IntoIterator<Item = S>) -> Self {
        let Self(all) = Self::literal(scopes);
        let implied: BTreeSet<&str> = all.iter().flat_map(|scope| contained(scope)).collect();
        Self(all.iter().filter(|scope| !implied.contains(scope.as_str())).cloned().collect())
    }

    /// The scopes of a query parameter: separated by spaces or commas.
    pub fn parse(text: &str) -> Self {
        Self::literal(text.split([' ', ',', '+']))
    }

    /// Whether one of them is or contains this scope.
    pub fn allow(&self, needed: &str) -> bool {
        self.0.iter().any(|held| held == needed || contained(held).contains(&needed))
    }

    /// Whether everything that the other set allows is allowed by this one.
    pub fn cover(&self, other: &Self) -> bool {
        other.0.iter().all(|scope| self.allow(scope))
    }

    /// Both sets as one.
    pub fn union(&self, other: &Self) -> Self {
        Self::normalised(self.0.union(&other.0))
    }

    /// Those of this set that are also named in the other.
    pub fn intersection(&self, other: &Self) -> Self {
        Self(self.0.intersection(&other.0).cloned().collect())
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// One by one, in alphabetical order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// All of them with this between two.
    pub fn join(&self, separator: &str) -> String {
        self.0.iter().map(String::as_str).collect::<Vec<_>>().join(separator)
    }
}

/// Everything below a scope. Hooks are not below `repo`: the host lists `admin:repo_hook` beside it.
fn contained(scope: &str) -> Vec<&'static str> {
    let below: &[&'static str] = match scope {
        "repo" => &["repo:status", "repo_deployment", "public_repo", "repo:invite", "security_events"],
        "admin:repo_hook" => &["write:repo_hook", "read:repo_hook"],
        "write:repo_hook" => &["read:repo_hook"],
        "admin:org" => &["write:org", "read:org"],
        "write:org" => &["read:org"],
        "admin:public_key" => &["write:public_key", "read:public_key"],
        "write:public_key" => &["read:public_key"],
        "admin:gpg_key" => &["write:gpg_key", "read:gpg_key"],
        "write:gpg_key" => &["read:gpg_key"],
        "write:packages" => &["read:packages"],
        "project" => &["read:project"],
        "user" => &["read:user", "user:email", "user:follow"],
        _ => &[],
    };
    below.to_vec()
}

#[cfg(test)]
mod tests {
    use super::Scopes;

    #[test]
    fn a_grant_drops_what_a_wider_scope_contains() {
        let granted = Scopes::normalised(["repo:status", "workflow", "repo", "read:org", "write:org"]);
        assert_eq!(granted.join(", "), "repo, workflow, write:org");
        assert!(granted.allow("public_repo"));
        assert!(!granted.allow("admin:org"));
    }
}
