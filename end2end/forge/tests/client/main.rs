//! Forge as its clients see it.
#![expect(clippy::unwrap_used, reason = "a helper that cannot go on fails the test that called it")]

mod api;
mod bitbucket;
mod bitbucket_data_center;
mod control;
mod fault;
mod git;
mod gitea;
mod gitlab;
mod oauth;
mod pages;
mod visitor;
