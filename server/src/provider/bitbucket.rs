//! Bitbucket Cloud: so far, what its tokens look like.

use super::shape::Family;

/// API tokens stand for a person, access tokens for a repository, project or workspace. App passwords (`ATBB`) are
/// refused since 28 July 2026.
pub const FAMILY: Family = Family { label: "Bitbucket", user: &["ATATT3"], other: &["ATCTT3", "ATBB"] };
