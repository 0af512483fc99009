//! Which scope implies which (<https://docs.gitea.com/development/oauth2-provider#scopes>,
//! <https://forgejo.org/docs/latest/user/token-scope/>).

use std::collections::BTreeMap;

use crate::scope::ScopeSet;

/// What a token may not do: `all` covers everything, `write:…` covers `read:…`. `public-only` is a restriction, so it
/// gives nothing and nobody lacks it; whether a repository is beyond it shows when that is asked for.
pub(super) fn missing(granted: &ScopeSet, needed: &ScopeSet) -> ScopeSet {
    let covered = |scope: &str| {
        scope == "public-only"
            || granted.contains("all")
            || granted.contains(scope)
            || scope.strip_prefix("read:").is_some_and(|part| granted.contains(&format!("write:{part}")))
    };
    needed.iter().filter(|scope| !covered(scope)).collect()
}

/// Whether a word is a scope for certain, so that nothing else is ever shown as one.
pub(super) fn is_known_form(word: &str) -> bool {
    let part = word.strip_prefix("read:").or_else(|| word.strip_prefix("write:"));
    match part {
        Some(part) => (1..=24).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_lowercase()),
        None => matches!(word, "all" | "public-only"),
    }
}

/// What to choose on the page that makes a token: `“Read and Write” for repository and “Read” for user`.
pub(super) fn choices(needed: &ScopeSet) -> String {
    if needed.contains("all") {
        return "“Read and Write” for everything".to_owned();
    }
    // By part, and there `write:` wins.
    let mut levels = BTreeMap::new();
    for scope in needed.iter().filter(|scope| *scope != "public-only") {
        match scope.split_once(':') {
            Some(("write", part)) => {
                levels.insert(part, "“Read and Write” for ");
            }
            Some(("read", part)) => {
                levels.entry(part).or_insert("“Read” for ");
            }
            // Of an older version, or a newer one.
            _ => {
                levels.entry(scope).or_insert("");
            }
        }
    }
    let choices: Vec<String> = levels.into_iter().map(|(part, level)| format!("{level}{part}")).collect();
    match choices.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        _ => choices.concat(),
    }
}
