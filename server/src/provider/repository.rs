//! How the paths of repositories are written: each kind of provider says so beside its family of tokens.

use std::ops::RangeInclusive;

/// What the path of a repository looks like.
#[derive(Debug)]
pub struct RepositoryForm {
    /// For people: `owner/name`.
    pub written: &'static str,
    /// How many there are between the slashes.
    pub parts: RangeInclusive<usize>,
    /// Letters of one.
    pub longest_part: usize,
    /// What may stand in a part besides letters and digits.
    pub marks: &'static [u8],
}

impl RepositoryForm {
    /// As most have it.
    pub const OWNER_AND_NAME: Self =
        Self { written: "`owner/name`", parts: 2..=2, longest_part: 100, marks: b"._-" };

    /// Whether a path is of this form, and without `.git`.
    pub fn fits(&self, path: &str) -> bool {
        !path.ends_with(".git") && self.takes(path)
    }

    fn takes(&self, path: &str) -> bool {
        let part = |part: &str| {
            !matches!(part, "" | "." | "..")
                && part.len() <= self.longest_part
                && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || self.marks.contains(&byte))
        };
        self.parts.contains(&path.split('/').count()) && path.split('/').all(part)
    }

    /// Its parts without `.git`: none if it is no such path, which could change that of an address.
    pub fn parts<'a>(&self, path: &'a str) -> Option<Vec<&'a str>> {
        let path = path.strip_suffix(".git").unwrap_or(path);
        self.takes(path).then(|| path.split('/').collect())
    }

    /// The same where there are two.
    pub fn pair<'a>(&self, path: &'a str) -> Option<(&'a str, &'a str)> {
        let path = path.strip_suffix(".git").unwrap_or(path);
        path.split_once('/').filter(|(_, name)| self.takes(path) && !name.contains('/'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NESTED: RepositoryForm =
        RepositoryForm { written: "`group/project`", parts: 2..=3, longest_part: 255, marks: b"._-~" };

    #[test]
    fn a_repository_has_as_many_parts_as_its_form_and_none_that_leads_elsewhere() {
        assert_eq!(NESTED.parts("acme/infra.git"), Some(vec!["acme", "infra"]));
        assert!(NESTED.fits("acme/infra") && !NESTED.fits("acme/infra.git"));
        assert_eq!(NESTED.parts("a/b/c"), Some(vec!["a", "b", "c"]));
        assert_eq!(NESTED.parts("~jane/notes"), Some(vec!["~jane", "notes"]));
        assert_eq!(NESTED.pair("~jane/notes"), Some(("~jane", "notes")));
        assert_eq!(NESTED.pair("a/b/c"), None);
        assert_eq!(RepositoryForm::OWNER_AND_NAME.pair("acme/infra"), Some(("acme", "infra")));
        assert_eq!(RepositoryForm::OWNER_AND_NAME.pair("~jane/notes"), None);
        for wrong in [
            "", "infra", "a//b", "../b", "a/..", "a/b?c", "a/b#c", "a/b c", "a/%2e%2e", "/a/b", "a/.git",
            "a/b/c/d",
        ] {
            assert_eq!(NESTED.parts(wrong), None, "{wrong:?}");
            assert_eq!(NESTED.pair(wrong), None, "{wrong:?}");
        }
    }
}
