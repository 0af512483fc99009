//! The whole site against a simulated Git host, as browsers, strangers and operators meet it.
//!
//! Everything is real but the clock and the Git host: router, database, keys, HTTP to the provider. Time is moved,
//! not slept.
//!
//! - [`site`]: a site in a folder of its own, and browsers that visit it
//! - [`forge`]: the simulated Git host it talks to
//! - [`database`]: what is kept, to compare before and after
//! - [`machine`]: a runtime that shows its key
//! - [`program`]: the real program, to be started and killed
//!
//! The tests, by what they are about:
//! - [`doors`]: every route against everybody who may not come in
//! - [`owners`]: whose runtimes are whose
//! - [`matrix`]: everybody against everything
//! - [`headers`]: what every answer carries
//! - [`input`]: what no form of ours sends
//! - [`burst`]: many who ask for the same page at once
//! - [`hung_up`]: those who don't wait for the answer
//! - [`sessions`]: signing in, staying, leaving
//! - [`tokens`]: tokens are given, reused, replaced, deleted
//! - [`login`]: to the provider's sign-in and back, and all the ways in which that fails
//! - [`renewal`]: grants that are renewed
//! - [`revocation`]: tokens that are deleted or replaced end at the provider
//! - [`runtimes`]: runtimes fetch the tokens of their users
//! - [`watch`]: what happens while nobody clicks
//! - [`bitbucket`]: all of that at Bitbucket Cloud
//! - [`verdicts`]: what a provider's answers mean over time
//! - [`kinds`]: the same at hosts of several kinds
//! - [`bitbucket_data_center`]: what only Bitbucket Data Center does
//! - [`canaries`]: where secrets must not be found
//! - [`kubernetes`]: the recipes of the documentation, on real answers
//! - [`git`]: real Git with the credential helper
//! - [`audit`]: what is written down, and that nothing happens which can't be
//! - [`clocks`]: with a clock that is wrong
//! - [`crashes`]: backed up, restored, with the wrong key
//! - [`killed`]: killed in the middle, by several processes at once, with a full disk
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod database;
mod forge;
mod machine;
mod program;
mod site;

mod audit;
mod bitbucket;
mod bitbucket_data_center;
mod burst;
mod canaries;
mod clocks;
mod crashes;
mod doors;
mod git;
mod headers;
mod hung_up;
mod input;
mod killed;
mod kinds;
mod kubernetes;
mod login;
mod matrix;
mod owners;
mod renewal;
mod revocation;
mod runtimes;
mod sessions;
mod stream;
mod tokens;
mod verdicts;
mod watch;
