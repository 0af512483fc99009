//! What the machine does.
//!
//! Dependencies point inwards: `main → cli → site → web, backend → access, login, check, revoke, watch, person → provider and
//! store (traits) → the words below them`. Only [`site`] names engines and providers' kinds.
//!
//! The words:
//! - [`clock`], [`random`], [`moment`]: time and chance, arguments everywhere else; moments in words
//! - [`secret`], [`seal`]: what must not be printed, and how it is kept
//! - [`id`], [`catalogue`], [`credential`], [`scope`], [`health`]: accounts, runtimes, credentials, verdicts
//! - [`notice`], [`happening`]: what happens to a user's access, what of it is told, and in which words
//! - [`revocation`]: what becomes of a token that was deleted or replaced
//!
//! What happens:
//! - [`person`]: passwords, sessions, one-time links
//! - [`access`]: a token is given, replaced, reused, deleted
//! - [`login`]: the way through the provider's sign-in and back
//! - [`check`]: the provider is asked again
//! - [`renew`]: a grant is renewed
//! - [`revoke`]: a token is ended at its provider
//! - [`watch`]: all of that in the background, when it is due
//! - [`runtime_key`], [`release`], [`holding`], [`git_url`]: a runtime fetches a token of a user
//! - [`audit`]: what happened, written down before a secret leaves
//! - [`herald`]: users are told what happened, once
//! - [`deliver`]: and by mail and webhooks, where they want it
//! - [`backend`]: all of it for one visitor's request, in the words of the pages
//!
//! The outside:
//! - [`provider`]: Git providers, one file per kind
//! - [`store`]: databases, one folder per engine
//! - [`web`]: routes, cookies, headers
//! - [`wire`]: what runtimes and Gitward say to each other
//! - [`failpoint`]: where tests kill it
//! - [`config`], [`cli`], [`site`]: how it is told what to do, and how it is put together

pub mod access;
pub mod audit;
pub mod backend;
pub mod catalogue;
pub mod check;
pub mod cli;
pub mod clock;
pub mod config;
pub mod credential;
pub mod deliver;
pub mod failpoint;
pub mod git_url;
pub mod guard;
pub mod happening;
pub mod health;
pub mod herald;
pub mod holding;
pub mod id;
pub mod login;
pub mod moment;
pub mod notice;
pub mod person;
pub mod provider;
pub mod random;
pub mod release;
pub mod renew;
pub mod revocation;
pub mod revoke;
pub mod runtime_key;
pub mod scope;
pub mod seal;
pub mod secret;
pub mod site;
pub mod store;
pub mod watch;
pub mod web;
pub mod wire;
