//! Sets of scopes. Which scope contains which others is the dialect's word.

use std::collections::BTreeSet;

/// A set of scopes in alphabetical order.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Scopes(BTreeSet<String>);

impl Scopes {
    /// Exactly these, even if one contains another.
    pub fn literal<S: AsRef<str>>(scopes: impl IntoIterator<Item = S>) -> Self {
        let scopes = scopes.into_iter().map(|scope| scope.as_ref().trim().to_owned());
        Self(scopes.filter(|scope| !scope.is_empty()).collect())
    }

    /// The scopes of a query parameter.
    pub fn parse(text: &str, separators: &[char]) -> Self {
        Self::literal(text.split(separators))
    }

    /// Without those that another of them contains.
    pub fn normalised(&self, contained: impl Fn(&str) -> &'static [&'static str]) -> Self {
        let implied: BTreeSet<&str> = self.0.iter().flat_map(|scope| contained(scope)).copied().collect();
        Self(self.0.iter().filter(|scope| !implied.contains(scope.as_str())).cloned().collect())
    }

    /// Whether this very scope is among them.
    pub fn names(&self, wanted: &str) -> bool {
        self.0.contains(wanted)
    }

    /// Whether one of them is or contains this scope.
    pub fn allow(&self, needed: &str, contained: impl Fn(&str) -> &'static [&'static str]) -> bool {
        self.0.iter().any(|held| held == needed || contained(held).contains(&needed))
    }

    /// Whether everything that the other set allows is allowed by this one.
    pub fn cover(&self, other: &Self, contained: impl Fn(&str) -> &'static [&'static str]) -> bool {
        other.0.iter().all(|scope| self.allow(scope, &contained))
    }

    /// Both sets as one.
    pub fn union(&self, other: &Self) -> Self {
        Self(self.0.union(&other.0).cloned().collect())
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

#[cfg(test)]
mod tests {
    use super::Scopes;

    fn contained(scope: &str) -> &'static [&'static str] {
        match scope {
            "admin" => &["write", "read"],
            "write" => &["read"],
            _ => &[],
        }
    }

    #[test]
    fn a_wider_scope_allows_and_replaces_what_it_contains() {
        let asked = Scopes::parse("read write other", &[' ']);
        let granted = asked.normalised(contained);
        assert_eq!(granted.join(", "), "other, write");
        assert!(granted.allow("read", contained) && !granted.allow("admin", contained));
        assert!(Scopes::literal(["admin", "other"]).cover(&asked, contained));
        assert!(granted.names("write") && !granted.names("read"));
    }
}
