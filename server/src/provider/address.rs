//! Addresses at a provider.

use url::Url;

use super::http::Gate;

/// An address below another, which may have a path of its own.
pub fn below<'a>(base: &Url, path: impl IntoIterator<Item = &'a str>) -> Url {
    let mut url = base.clone();
    // Fails for addresses like `mailto:` only, which no gate leads to.
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.pop_if_empty().extend(path);
    }
    url
}

/// The host, with the port where it is not the usual one.
pub fn host(base: &Url) -> String {
    let host = base.host_str().unwrap_or_default();
    base.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// All origins behind the gates, sorted and joined by a blank.
pub fn origin<'a>(gates: impl IntoIterator<Item = &'a Gate>) -> String {
    let mut origins: Vec<&str> = gates.into_iter().map(Gate::origin).collect();
    origins.sort_unstable();
    origins.dedup();
    origins.join(" ")
}

/// The parts of a repository's path without `.git`: none if it is no such path, or could change that of an address.
pub fn repository_parts(repository: &str) -> Option<Vec<&str>> {
    let parts: Vec<&str> = repository.strip_suffix(".git").unwrap_or(repository).split('/').collect();
    let fits = |part: &&str| {
        !matches!(*part, "" | "." | "..")
            && part.len() <= 255
            && part
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-' | b'~' | b'+'))
    };
    (parts.len() >= 2 && parts.iter().all(fits)).then_some(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_below_another_keeps_it_and_escapes() {
        let below =
            |base: &str, path: &[&str]| below(&Url::parse(base).unwrap(), path.iter().copied()).to_string();
        assert_eq!(below("https://h/bitbucket", &["rest", "api"]), "https://h/bitbucket/rest/api");
        assert_eq!(below("https://h/bitbucket/", &["rest"]), "https://h/bitbucket/rest");
        assert_eq!(below("https://h", &["a/b", "c?d"]), "https://h/a%2Fb/c%3Fd");
    }

    #[test]
    fn a_repository_has_two_parts_or_more_and_none_that_leads_elsewhere() {
        assert_eq!(repository_parts("acme/infra.git"), Some(vec!["acme", "infra"]));
        assert_eq!(repository_parts("a/b/c"), Some(vec!["a", "b", "c"]));
        assert_eq!(repository_parts("~jane/notes"), Some(vec!["~jane", "notes"]));
        for wrong in
            ["", "infra", "a//b", "../b", "a/..", "a/b?c", "a/b#c", "a/b c", "a/%2e%2e", "/a/b", "a/.git"]
        {
            assert_eq!(repository_parts(wrong), None, "{wrong:?}");
        }
    }
}
