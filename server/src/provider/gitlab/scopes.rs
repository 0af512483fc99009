//! Which scope implies which (<https://docs.gitlab.com/user/profile/personal_access_tokens/#personal-access-token-scopes>).

use crate::scope::ScopeSet;

/// `GET /user` wants this one, or what implies it.
const READ_USER: &str = "read_user";

/// What a scope implies directly. Unknown ones imply nothing.
///
/// `write_repository` is for Git alone: it opens nothing of the API, but a runtime reads repositories with Git.
/// `sudo`, `admin_mode` and `k8s_proxy` are in nothing, not even in `api`.
pub(super) fn implied(scope: &str) -> &'static [&'static str] {
    match scope {
        "api" => &[
            "create_runner",
            "manage_runner",
            "read_api",
            "self_rotate",
            "write_registry",
            "write_repository",
        ],
        "read_api" => &["read_registry", "read_repository", "read_user"],
        "write_repository" => &["read_repository"],
        _ => &[],
    }
}

/// Whether a token with these may ask who its owner is called. Where they can't be seen, it may try.
pub(super) fn open_the_user(granted: Option<&ScopeSet>) -> bool {
    granted.is_none_or(|granted| granted.closure(implied).contains(READ_USER))
}
