//! GitLab: so far, what its tokens look like (<https://docs.gitlab.com/security/tokens/>).

use super::shape::Family;

/// OAuth2 tokens have no prefix; those of personal tokens can be changed by an administrator.
pub const FAMILY: Family = Family {
    label: "GitLab",
    user: &["glpat-"],
    other: &[
        "gloas-", "gldt-", "glrt-", "glrtr-", "glcbt-", "glptt-", "glft-", "glimt-", "glagent-", "glsoat-",
        "glffct-",
    ],
};
