//! Forge as its clients see it.

mod api;
mod control;
mod fault;
mod git;
mod oauth;
mod pages;
mod visitor;
