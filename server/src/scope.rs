//! Sets of scopes. What implies what is the provider's business.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// More letters than any scope has.
const LONGEST_SCOPE: usize = 100;

/// Whether a text is one scope, whatever it means: no list, no sentence.
pub fn is_scope(text: &str) -> bool {
    (1..=LONGEST_SCOPE).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b',')
}

/// Scopes by name. Unknown names are kept and shown; they imply nothing.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ScopeSet(BTreeSet<String>);

impl ScopeSet {
    /// Splits at any of commas and blanks, as the providers variously do.
    pub fn parse(text: &str) -> Self {
        text.split(|c: char| c == ',' || c.is_whitespace()).filter(|scope| !scope.is_empty()).collect()
    }

    /// Whether it holds the scope itself.
    pub fn contains(&self, scope: &str) -> bool {
        self.0.contains(scope)
    }

    /// Adds one; whether it was new.
    pub fn insert(&mut self, scope: &str) -> bool {
        !self.0.contains(scope) && self.0.insert(scope.to_owned())
    }

    /// No scope at all.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// In alphabetical order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// In alphabetical order, as a list.
    pub fn to_vec(&self) -> Vec<String> {
        self.0.iter().cloned().collect()
    }

    /// Those not in `other`.
    pub fn without(&self, other: &Self) -> Self {
        self.0.difference(&other.0).cloned().collect()
    }

    /// With all that is implied, by way of others as well. `implied` names what one scope implies directly.
    pub fn closure<'a>(&self, implied: impl Fn(&str) -> &'a [&'a str]) -> Self {
        let mut whole = self.clone();
        let mut open = self.to_vec();
        while let Some(scope) = open.pop() {
            for next in implied(&scope) {
                if whole.insert(next) {
                    open.push((*next).to_owned());
                }
            }
        }
        whole
    }

    /// Joined, for a request.
    pub fn join(&self, separator: &str) -> String {
        self.0.iter().map(String::as_str).collect::<Vec<_>>().join(separator)
    }
}

impl<S: Into<String>> FromIterator<S> for ScopeSet {
    fn from_iter<I: IntoIterator<Item = S>>(scopes: I) -> Self {
        Self(scopes.into_iter().map(Into::into).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_split_at_commas_and_blanks() {
        for text in ["repo, gist", "repo,gist", "gist repo", " ,repo ,, gist,repo ", "repo\tgist"] {
            assert_eq!(ScopeSet::parse(text).to_vec(), ["gist", "repo"], "{text:?}");
        }
        assert!(ScopeSet::parse(" , ").is_empty());
    }

    #[test]
    fn the_closure_follows_chains_and_ends_in_circles() {
        let implied = |scope: &str| -> &'static [&'static str] {
            match scope {
                "a" => &["b"],
                "b" => &["c", "a"],
                _ => &[],
            }
        };
        assert_eq!(ScopeSet::parse("a z").closure(implied).to_vec(), ["a", "b", "c", "z"]);
        assert_eq!(ScopeSet::parse("c").closure(implied).to_vec(), ["c"]);
    }
}
