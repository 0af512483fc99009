//! Which scope implies which
//! (<https://docs.github.com/en/apps/oauth-apps/building-oauth-apps/scopes-for-oauth-apps>).

/// What a scope implies directly. Unknown ones imply nothing.
///
/// `repo` covers webhooks in effect, though GitHub never lists `admin:repo_hook` under it. `workflow` is in nothing.
pub(super) fn implied(scope: &str) -> &'static [&'static str] {
    match scope {
        "repo" => &[
            "admin:repo_hook",
            "public_repo",
            "repo:invite",
            "repo:status",
            "repo_deployment",
            "security_events",
        ],
        "admin:repo_hook" => &["write:repo_hook"],
        "write:repo_hook" => &["read:repo_hook"],
        "admin:org" => &["write:org"],
        "write:org" => &["read:org"],
        "admin:public_key" => &["write:public_key"],
        "write:public_key" => &["read:public_key"],
        "admin:gpg_key" => &["write:gpg_key"],
        "write:gpg_key" => &["read:gpg_key"],
        "user" => &["read:user", "user:email", "user:follow"],
        "write:packages" => &["read:packages"],
        "project" => &["read:project"],
        _ => &[],
    }
}
