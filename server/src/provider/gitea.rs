//! Gitea and Forgejo: so far, what their tokens look like.

use super::shape::Family;

/// 40 hexadecimal digits, like the oldest tokens of others: nothing to tell them by.
pub const FAMILY: Family = Family { label: "Gitea", user: &[], other: &[] };
