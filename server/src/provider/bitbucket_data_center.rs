//! Bitbucket Data Center: so far, what its tokens look like.

use super::shape::Family;

/// HTTP access tokens; those of a project or a repository look the same.
pub const FAMILY: Family = Family { label: "Bitbucket Data Center", user: &["BBDC-"], other: &[] };
