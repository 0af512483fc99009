//! Bitbucket's two vocabularies: `read:repository:bitbucket` of API tokens, `repository` of apps and access tokens
//! (<https://developer.atlassian.com/cloud/bitbucket/rest/intro/#authentication>).

use crate::scope::ScopeSet;

/// What API tokens need to tell whose they are.
const READ_USER: &str = "read:user:bitbucket";
/// The same of apps.
const ACCOUNT: &str = "account";

/// What both vocabularies have, under the same name.
const THINGS: [&str; 9] =
    ["repository", "pullrequest", "project", "pipeline", "runner", "issue", "wiki", "snippet", "package"];

/// Which of `needed` are not covered by `granted`, in the words of `granted`.
pub(super) fn missing(granted: &ScopeSet, needed: &ScopeSet) -> ScopeSet {
    if granted.is_empty() || are_of_api_tokens(granted) {
        // Nothing implies anything here: https://support.atlassian.com/bitbucket-cloud/docs/api-token-permissions
        return of_api_tokens(needed).without(granted);
    }
    of_access_tokens(needed).without(&granted.closure(implied))
}

/// Whether these are scopes of an API token. It may have some that are not Bitbucket's, such as `read:me`.
pub(super) fn are_of_api_tokens(scopes: &ScopeSet) -> bool {
    scopes.iter().any(is_of_api_tokens)
}

fn is_of_api_tokens(scope: &str) -> bool {
    scope.ends_with(":bitbucket")
        || ["read:", "write:", "admin:", "delete:", "manage:"].iter().any(|verb| scope.starts_with(verb))
}

/// What one of the two would have needed to tell whose it is.
pub(super) fn to_identify(granted: Option<&ScopeSet>) -> ScopeSet {
    let of_app = granted.is_some_and(|granted| !granted.is_empty() && !are_of_api_tokens(granted));
    ScopeSet::from_iter([if of_app { ACCOUNT } else { READ_USER }])
}

/// In the words of API tokens.
pub(super) fn of_api_tokens(needed: &ScopeSet) -> ScopeSet {
    needed.iter().flat_map(of_api_token).collect()
}

fn of_api_token(scope: &str) -> Vec<String> {
    let words = |verbs: &[&str], thing: &str| {
        verbs.iter().map(|verb| format!("{verb}:{thing}:bitbucket")).collect::<Vec<_>>()
    };
    if is_of_api_tokens(scope) {
        return vec![scope.to_owned()];
    }
    match scope.split_once(':').unwrap_or((scope, "")) {
        (ACCOUNT, "") => words(&["read"], "user"),
        (ACCOUNT, "write") => words(&["read", "write"], "user"),
        ("webhook", "") => words(&["read", "write"], "webhook"),
        (thing, "") if THINGS.contains(&thing) => words(&["read"], thing),
        (thing, "write") if THINGS.contains(&thing) => words(&["read", "write"], thing),
        // Administering and deleting imply neither reading nor writing, in both vocabularies.
        (thing, verb @ ("admin" | "delete")) if THINGS.contains(&thing) => words(&[verb], thing),
        _ => vec![scope.to_owned()],
    }
}

/// In the words of apps.
pub(super) fn of_apps(needed: &ScopeSet) -> ScopeSet {
    needed.iter().map(of_app).collect()
}

/// In the words of access tokens, which stand for nobody, and of grants that have told already whose they are: without
/// what it takes to tell that.
pub(super) fn of_access_tokens(needed: &ScopeSet) -> ScopeSet {
    needed.iter().filter(|scope| *scope != READ_USER).map(of_app).collect()
}

fn of_app(scope: &str) -> String {
    let Some((verb, thing)) = scope.strip_suffix(":bitbucket").and_then(|scope| scope.split_once(':')) else {
        return scope.to_owned();
    };
    match (verb, thing) {
        ("read", "user" | "workspace") => ACCOUNT.to_owned(),
        (verb, "user") => [ACCOUNT, ":", verb].concat(),
        (_, "webhook") => "webhook".to_owned(),
        ("read", thing) => thing.to_owned(),
        (verb, thing) => [thing, ":", verb].concat(),
    }
}

/// What a scope of an app or an access token implies directly
/// (<https://developer.atlassian.com/cloud/bitbucket/rest/intro/#scopes>). Unknown ones imply nothing, nor does
/// `repository:admin`.
pub(super) fn implied(scope: &str) -> &'static [&'static str] {
    match scope {
        "repository:write" | "project" | "pullrequest" => &["repository"],
        "pullrequest:write" => &["pullrequest", "repository:write"],
        "account" => &["email"],
        "account:write" => &["account"],
        "pipeline:write" => &["pipeline"],
        "pipeline:variable" => &["pipeline:write"],
        "runner:write" => &["runner"],
        "issue:write" => &["issue"],
        "snippet:write" => &["snippet"],
        _ => &[],
    }
}
