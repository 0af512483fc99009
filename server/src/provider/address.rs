//! Addresses at a provider.

use url::Url;

/// Letters of an address that is shown.
const LONGEST_LINK: usize = 2048;

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

/// All of these origins, sorted and joined by a blank.
pub fn origin<'a>(origins: impl IntoIterator<Item = &'a str>) -> String {
    let mut origins: Vec<&str> = origins.into_iter().collect();
    origins.sort_unstable();
    origins.dedup();
    origins.join(" ")
}

/// An address from an answer, so not to be trusted. Shown to people, so only ever on the host that they know.
pub fn shown_link(text: &str, base: &Url) -> Option<Url> {
    let link = Url::parse(text).ok().filter(|_| text.len() <= LONGEST_LINK)?;
    let known = link.origin() == base.origin() && link.username().is_empty() && link.password().is_none();
    known.then_some(link)
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
    fn a_link_is_shown_only_on_the_known_host_and_without_a_secret() {
        let base = Url::parse("https://git.example.com/git").unwrap();
        let shown = |text: &str| shown_link(text, &base).map(String::from);
        let link = "https://git.example.com/orgs/acme/sso?a=b";
        assert_eq!(shown(link).as_deref(), Some(link));
        let long = format!("{link}{}", "c".repeat(LONGEST_LINK));
        for wrong in [
            "",
            "/orgs/acme/sso",
            "javascript:alert(1)",
            "http://git.example.com/sso",
            "https://git.example.com:8443/sso",
            "https://example.com/sso",
            "https://jane@git.example.com/sso",
            "https://:word@git.example.com/sso",
            long.as_str(),
        ] {
            assert_eq!(shown(wrong), None, "{wrong:?}");
        }
    }
}
