//! What tokens look like. What seems to be another provider's is a reason to ask back, no more, because prefixes can be
//! configured and shapes collide. What is known to stand for no person is refused unasked.

use crate::{provider::Shape, secret::Secret};

use super::{bitbucket, bitbucket_data_center, gitea, github, gitlab};

/// What the tokens of one kind of provider begin with.
#[derive(Debug, Eq, PartialEq)]
pub struct Family {
    /// How people call the provider.
    pub label: &'static str,
    /// Tokens that stand for a person.
    pub user: &'static [&'static str],
    /// Tokens and secrets that do not: of apps, of machines, or good for nothing but another token.
    pub other: &'static [&'static str],
}

const FAMILIES: [&Family; 5] =
    [&github::FAMILY, &gitlab::FAMILY, &bitbucket::FAMILY, &bitbucket_data_center::FAMILY, &gitea::FAMILY];

impl Family {
    /// What a pasted text looks like to a provider of this family.
    pub fn shape(&self, token: &Secret) -> Shape {
        let text = token.expose().trim();
        let begins = |prefixes: &[&str]| prefixes.iter().any(|prefix| text.starts_with(prefix));
        if begins(self.user) {
            return Shape::Plausible;
        }
        if begins(self.other) {
            return Shape::NotAUserToken;
        }
        FAMILIES
            .into_iter()
            .filter(|family| *family != self)
            .find(|family| begins(family.user) || begins(family.other))
            .map_or(Shape::Plausible, |family| Shape::Foreign(family.label))
    }

    /// What the tokens of all others begin with, and how those are called.
    pub fn foreign(&self) -> Vec<(&'static str, &'static str)> {
        FAMILIES
            .into_iter()
            .filter(|family| *family != self)
            .flat_map(|family| family.user.iter().chain(family.other).map(|prefix| (*prefix, family.label)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(prefix: &str, length: usize) -> Secret {
        Secret::new([prefix, &"A".repeat(length)].concat())
    }

    #[test]
    fn a_text_is_told_by_its_beginning() {
        let hex = "0123456789abcdef".repeat(4);
        let rows: &[(Secret, Shape)] = &[
            (token("ghp_", 36), Shape::Plausible),
            (token("gho_", 36), Shape::Plausible),
            (token("ghu_", 36), Shape::Plausible),
            (token("github_pat_", 82), Shape::Plausible),
            (token(" \nghp_", 36), Shape::Plausible),
            (token("ghs_", 36), Shape::NotAUserToken),
            (token("ghs_", 520), Shape::NotAUserToken),
            (token("ghr_", 76), Shape::NotAUserToken),
            (token("glpat-", 20), Shape::Foreign("GitLab")),
            (token("gloas-", 64), Shape::Foreign("GitLab")),
            (token("gldt-", 20), Shape::Foreign("GitLab")),
            (token("ATATT3", 180), Shape::Foreign("Bitbucket")),
            (token("ATCTT3", 180), Shape::Foreign("Bitbucket")),
            (token("ATBB", 32), Shape::Foreign("Bitbucket")),
            (token("BBDC-", 44), Shape::Foreign("Bitbucket Data Center")),
            (Secret::new(&hex[..40]), Shape::Plausible),
            (Secret::new(hex.as_str()), Shape::Plausible),
            (token("", 20), Shape::Plausible),
            (Secret::new(""), Shape::Plausible),
        ];
        for (row, (token, expected)) in rows.iter().enumerate() {
            assert_eq!(github::FAMILY.shape(token), *expected, "row {row}");
        }
        assert_eq!(gitlab::FAMILY.shape(&token("ghp_", 36)), Shape::Foreign(github::FAMILY.label));
        assert_eq!(gitea::FAMILY.shape(&token("", 40)), Shape::Plausible);
    }

    #[test]
    fn foreign_prefixes_are_all_but_the_own() {
        let foreign = github::FAMILY.foreign();
        assert!(foreign.contains(&("glpat-", "GitLab")));
        assert!(
            foreign.iter().all(|(prefix, label)| !prefix.starts_with("gh") && *label != github::FAMILY.label)
        );
        assert!(gitlab::FAMILY.foreign().contains(&("ghp_", github::FAMILY.label)));
    }

    #[test]
    fn no_prefix_belongs_to_two() {
        let all: Vec<_> = FAMILIES.iter().flat_map(|family| family.user.iter().chain(family.other)).collect();
        for (i, one) in all.iter().enumerate() {
            for two in &all[i + 1..] {
                assert!(!one.starts_with(**two) && !two.starts_with(**one), "{one} and {two}");
            }
        }
    }
}
