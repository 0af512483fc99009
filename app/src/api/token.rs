//! Git user tokens: the list of runtimes, the dialog, and what can be done there.

#![expect(missing_docs, reason = "the fields of the structs that #[server] makes from arguments")]

use leptos::prelude::*;
use serde::{Deserialize, Serialize};

use super::{Moment, notice::HostTrouble};
use crate::error::ApiError;

/// What the list shows: filter, selection, page.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct TokenQuery {
    /// Words to look for in names, accounts, hosts and logins.
    pub filter: String,
    /// Which rows.
    pub show: Show,
    /// Counts from 1.
    pub page: u32,
}

/// Which rows of the list.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub enum Show {
    /// Every runtime.
    #[default]
    All,
    /// Those with a token that needs the user.
    NeedYou,
    /// Those with a token of which the provider gave no clear answer.
    InDoubt,
    /// Those that work.
    Work,
    /// Those without a token.
    NoToken,
}

impl Show {
    /// The word in the address.
    pub fn word(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::NeedYou => "need-you",
            Self::InDoubt => "in-doubt",
            Self::Work => "work",
            Self::NoToken => "no-token",
        }
    }

    /// As forms spell it.
    pub(crate) fn variant(self) -> &'static str {
        match self {
            Self::All => "All",
            Self::NeedYou => "NeedYou",
            Self::InDoubt => "InDoubt",
            Self::Work => "Work",
            Self::NoToken => "NoToken",
        }
    }

    /// The other way round; anything unknown shows all.
    pub fn from_word(word: &str) -> Self {
        [Self::NeedYou, Self::InDoubt, Self::Work, Self::NoToken]
            .into_iter()
            .find(|show| show.word() == word)
            .unwrap_or_default()
    }
}

/// One page of the list.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct TokenPage {
    /// Over all the visitor's runtimes, whatever the filter.
    pub counts: Counts,
    /// The rows of this page by account, problems first.
    pub accounts: Vec<AccountRows>,
    /// Rows that match the filter, over all pages.
    pub matching: u32,
    /// This page, from 1.
    pub page: u32,
    /// How many pages there are, at least 1.
    pub pages: u32,
    /// What became of tokens that were deleted or replaced a moment ago, or goes on.
    pub revocations: Vec<Revocation>,
    /// Hosts of the visitor's tokens that are in trouble as a whole.
    pub in_trouble: Vec<HostTrouble>,
}

/// How many runtimes are in which state.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct Counts {
    /// All.
    pub all: u32,
    /// With a token that needs the user.
    pub need_you: u32,
    /// With a token of which the provider gave no clear answer: neither works for sure, nor needs the user.
    pub in_doubt: u32,
    /// With a token that works.
    pub work: u32,
    /// Without a token.
    pub no_token: u32,
}

/// The rows of one account.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct AccountRows {
    /// The account's name.
    pub name: String,
    /// How many runtimes of the account match, over all pages.
    pub matching: u32,
    /// Those on this page.
    pub rows: Vec<RuntimeRow>,
}

/// One runtime in the list.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct RuntimeRow {
    /// For addresses.
    pub id: String,
    /// For people.
    pub name: String,
    /// Where its Git repositories are.
    pub provider: ProviderLabel,
    /// The visitor's token for it.
    pub token: Option<TokenSummary>,
    /// Whether that works, and if not, why.
    pub health: Health,
    /// Notifications are hidden.
    pub muted: bool,
    /// Until then; `None` if until the visitor shows them again.
    pub muted_until: Option<Moment>,
    /// The provider is being asked at this moment.
    pub checking: bool,
    /// What the runtime itself has of the token.
    pub fetched: Fetched,
}

/// What a runtime has of its user's token, by what it fetched and what it said it uses.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub enum Fetched {
    /// It never asked for one.
    Never,
    /// It has the one in use, and last asked for it then.
    At(Moment),
    /// It asked last then, and still holds the one before.
    Previous(Moment),
}

/// How a provider is called on the page.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct ProviderLabel {
    /// `GitHub`, `GitHub Enterprise`, or what the operator called it.
    pub name: String,
    /// `github.com`, with the port where there is one.
    pub host: String,
    /// The word of its picture in the style sheet.
    pub icon: String,
}

/// A token as people may see it: everything but the secret.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct TokenSummary {
    /// `Personal access token`, `OAuth2`, …
    pub kind: String,
    /// The account at the provider.
    pub login: String,
    /// When the user must act.
    pub expiry: Expiry,
    /// Granted scopes; `None` where the provider does not show them.
    pub scopes: Option<Vec<String>>,
    /// The last answer of the provider.
    pub checked: Option<Evidence>,
}

/// When a token ends.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub enum Expiry {
    /// The provider says it has no end.
    Never,
    /// The user must act before.
    At(Moment),
    /// Gitward refreshes it; the next time.
    RenewsItself(Moment),
    /// Gitward refreshes it, and the time has come: it happens when somebody needs the token.
    RenewsAtNextUse,
    /// The provider does not say; the user noted it.
    Noted(Moment),
    /// The provider says nothing that could be read.
    Unknown,
}

/// What the provider last said.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// When.
    pub at: Moment,
    /// What was asked: `GET /user`.
    pub request: String,
    /// What came back: `200`, `401`, `no answer`.
    pub answer: String,
}

/// What the user sees for one runtime, each with one thing to do.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub enum Health {
    /// Add one.
    NoToken,
    /// The provider refused it once, lately: providers have bad moments, so it is asked again.
    Checking {
        /// Since when.
        since: Moment,
    },
    /// All good.
    Valid {
        /// Whether the provider shows scopes for this kind.
        scopes_visible: bool,
    },
    /// Good, but not for long.
    Expiring {
        /// The end.
        at: Moment,
    },
    /// Over.
    Expired {
        /// The end.
        at: Moment,
    },
    /// The provider does not know it any more.
    Revoked {
        /// Since when.
        since: Moment,
    },
    /// It was to be renewed, and the provider's answer was lost: what renews it may be used up.
    RenewalLost {
        /// Since when that is known.
        since: Moment,
        /// It was tried once more, and the provider refused: it is used up. Otherwise that is still to come.
        refused: bool,
    },
    /// Valid, but may do too little.
    ScopesMissing {
        /// What is missing.
        missing: Vec<String>,
    },
    /// Valid, but may not push where the runtime pushes.
    CannotPush {
        /// The runtime's repository.
        repository: String,
    },
    /// Valid, but does not see the runtime's repository.
    RepositoryHidden {
        /// The runtime's repository.
        repository: String,
    },
    /// The organisation wants single sign-on first.
    NeedsSso {
        /// Where, at the provider.
        link: Option<String>,
    },
    /// A new token belongs to somebody else than the old one.
    AnotherAccount {
        /// The old login, still in use.
        before: String,
        /// The new login.
        now: String,
    },
    /// No verdict: the provider did not answer, or not sensibly.
    Unreachable {
        /// Since when.
        since: Moment,
        /// The last good answer.
        last_good: Option<Moment>,
    },
    /// No verdict: too many requests.
    RateLimited {
        /// Until when, where the provider says.
        until: Option<Moment>,
    },
    /// The user went to the provider and has not come back.
    AuthorizationPending {
        /// Since when.
        since: Moment,
    },
    /// The user, or the provider, said no.
    AuthorizationDenied {
        /// When.
        at: Moment,
    },
}

/// How a state looks and sorts.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd)]
pub enum Tone {
    /// The user must act.
    Bad,
    /// The user should know.
    Warn,
    /// Nothing there yet.
    Calm,
    /// Fine.
    Good,
}

impl Health {
    /// How it looks and sorts.
    pub fn tone(&self) -> Tone {
        match self {
            Self::Expired { .. }
            | Self::Revoked { .. }
            | Self::RenewalLost { refused: true, .. }
            | Self::ScopesMissing { .. }
            | Self::CannotPush { .. }
            | Self::RepositoryHidden { .. }
            | Self::NeedsSso { .. }
            | Self::AnotherAccount { .. }
            | Self::AuthorizationDenied { .. } => Tone::Bad,
            Self::Checking { .. }
            | Self::RenewalLost { refused: false, .. }
            | Self::Expiring { .. }
            | Self::Unreachable { .. }
            | Self::RateLimited { .. }
            | Self::AuthorizationPending { .. } => Tone::Warn,
            Self::NoToken => Tone::Calm,
            Self::Valid { .. } => Tone::Good,
        }
    }

    /// Whether only the user can mend it.
    pub fn needs_user(&self) -> bool {
        self.tone() == Tone::Bad || matches!(self, Self::Expiring { .. })
    }
}

/// All that the dialog of one runtime shows.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct RuntimeAccess {
    /// The runtime as in the list.
    pub row: RuntimeRow,
    /// The account it belongs to.
    pub account: String,
    /// OAuth2 is set up for it.
    pub oauth: bool,
    /// The scopes that a token needs.
    pub needs: Vec<String>,
    /// Where the runtime commits, if it says so: the token must be able to push there.
    pub repository: Option<String>,
    /// How to get a token at the provider.
    pub guide: Guide,
    /// The user name that goes with the token: as typed in the last attempt, or as it was the last time.
    pub user_name: String,
    /// The token's end as typed in the last attempt: `2027-03-31`.
    pub end: String,
    /// Tokens of the visitor at this provider that serve other runtimes and would serve this one.
    pub reusable: Vec<Reusable>,
    /// The visitor's other runtimes at this provider that have no token, or the same one.
    pub also: Vec<AlsoRuntime>,
    /// Names of the visitor's other runtimes that use the same token.
    pub shared_with: Vec<String>,
    /// How tokens of other providers begin, and whose they are. A hint, never a reason to refuse.
    pub foreign_shapes: Vec<(String, String)>,
    /// Why the last attempt did not end well.
    pub refusal: Option<Refusal>,
    /// Whether the token in use can be revoked at the provider. None without one that works there.
    pub revoking: Option<Revoking>,
    /// What became of tokens that this runtime used before.
    pub revocations: Vec<Revocation>,
    /// The visitor is an admin of the account, and may look at the runtime's keys.
    pub administers: bool,
}

/// Whether a token can be revoked at its provider.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Revoking {
    /// Gitward can ask the provider for it.
    pub possible: bool,
    /// Nobody but Gitward has it, so that is what people want as a rule.
    pub usual: bool,
    /// The provider's page where its owner can do it.
    pub link: String,
}

/// What became of a token that was deleted or replaced.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Revocation {
    /// The runtime that used it, by name.
    pub runtime: String,
    /// Where it lives, or lived.
    pub provider: String,
    /// What it was.
    pub kind: String,
    /// Whose there.
    pub login: String,
    /// The provider's page where its owner can revoke it.
    pub link: String,
    /// When it was deleted or replaced.
    pub at: Moment,
    /// How far it is.
    pub state: RevocationState,
}

/// How far a revocation is.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub enum RevocationState {
    /// The provider does not take it any more.
    Revoked,
    /// The provider was told to revoke it, and says to nobody whether it has.
    HandedOver,
    /// Nobody was asked: others still use it.
    InUse {
        /// The visitor's runtimes, by name. None if it is somebody else's, or was.
        by: Vec<String>,
    },
    /// The provider can't be asked for it, or was not.
    ByHand,
    /// Runtimes still hold it: the provider is asked once they have taken over the new one, or then.
    Held {
        /// The runtimes, by name.
        by: Vec<String>,
        /// It is asked then at the latest.
        until: Moment,
    },
    /// The provider has not answered yet.
    Waiting {
        /// It is asked until then.
        until: Moment,
    },
    /// The provider says that it does not know it, and is asked again.
    Doubted,
    /// The provider gave no clear answer for as long as it was asked.
    GivenUp,
}

/// How to get a token at the provider, in the provider's own words.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Guide {
    /// How the provider calls such a token: `personal access token`.
    pub token_word: String,
    /// The provider's page that makes one, with what is needed filled in as far as it takes that.
    pub link: String,
    /// It takes something of that.
    pub prefilled: bool,
    /// The same for a token limited to some repositories, where the provider has it.
    pub limited_link: Option<String>,
    /// What to do there, step by step.
    pub steps: Vec<String>,
    /// What must be told besides the token.
    pub user_name: Option<UserNameField>,
    /// The provider does not tell when such a token ends, so the user may.
    pub asks_end: bool,
}

/// A field for the user name that goes with a token.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct UserNameField {
    /// `E-mail address of your Atlassian account`
    pub label: String,
    /// Where to find it, and what it is not.
    pub hint: String,
    /// It is an e-mail address.
    pub email: bool,
    /// Tokens of some kinds do without.
    pub optional: bool,
}

/// A token that already serves another runtime.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Reusable {
    /// The credential's id.
    pub credential: String,
    /// Its kind and login.
    pub kind: String,
    /// The account at the provider.
    pub login: String,
    /// The runtimes it serves.
    pub used_by: Vec<String>,
}

/// A further runtime that the same step can authorize.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct AlsoRuntime {
    /// For the form.
    pub id: String,
    /// For people, with the account where there are several.
    pub name: String,
    /// It uses the token that is about to be replaced.
    pub shares: bool,
    /// The box was ticked in the last attempt; before the first, those that share the token are.
    pub ticked: bool,
}

/// Why a token was not kept. What was typed stays, but never the secret.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub enum Refusal {
    /// The provider does not know it: mistyped, expired or revoked.
    Unknown,
    /// It looks like another provider's, so the provider was not asked yet.
    LooksForeign {
        /// Whose it looks like.
        label: String,
    },
    /// A token of an app, not of a person, or one that only renews others.
    NotAUserToken,
    /// A token of a kind that the provider refuses whoever shows it.
    WrongKind {
        /// Why, in the words of the provider's file.
        sentence: String,
    },
    /// The provider knows it, but it ended.
    Expired {
        /// When.
        at: Moment,
    },
    /// The provider knows it, but it may do too little.
    ScopesMissing {
        /// Whose it is; empty if it may not even tell that.
        login: String,
        /// What it may do.
        granted: Vec<String>,
        /// What it lacks.
        missing: Vec<String>,
    },
    /// It may not push where the runtime pushes.
    CannotPush {
        /// Whose it is.
        login: String,
        /// Where.
        repository: String,
    },
    /// It does not see the runtime's repository.
    RepositoryHidden {
        /// Whose it is.
        login: String,
        /// Which.
        repository: String,
    },
    /// It belongs to somebody else than before; kept aside until the user decides.
    AnotherAccount {
        /// The old login.
        before: String,
        /// The new login.
        now: String,
    },
    /// The provider knows it, but lets nobody in with that account at the moment: the token may be right.
    Blocked {
        /// Goes on after "but": `the account is blocked`.
        why: String,
    },
    /// The provider did not answer, or not sensibly: the token may be right.
    Unreachable,
    /// Too many requests: the token may be right.
    RateLimited {
        /// Until when, where the provider says.
        until: Option<Moment>,
    },
}

/// What the form "Add Token" sends. It holds the secret, so it can't be printed or copied.
pub struct NewToken {
    /// For which runtime.
    pub runtime: String,
    /// The secret, as pasted.
    pub token: String,
    /// The user name that goes with it, where the provider wants one.
    pub user_name: String,
    /// The day on which it ends, where the provider does not tell: `2027-03-31`.
    pub end: String,
    /// Further runtimes to authorize with it.
    pub also: Vec<String>,
    /// "Ask all the same", after [`Refusal::LooksForeign`].
    pub sure: bool,
    /// "Also revoke the old one".
    pub revoke: bool,
}

/// What was authorized.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Added {
    /// Whose token it is.
    pub login: String,
    /// Names of all runtimes that it serves from now on, the one asked for first.
    pub runtimes: Vec<String>,
    /// Names of ticked runtimes that it could not serve.
    pub left_out: Vec<String>,
}

/// What went wrong on the way through the provider's sign-in; the address of the list carries the word.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub enum OauthProblem {
    /// "Cancel" at the provider.
    Denied,
    /// Unknown, used or another person's `state`.
    NotYours,
    /// Over ten minutes.
    TooLate,
    /// The answer came from a place that did not get the question (`iss`, RFC 9207).
    WrongIssuer,
    /// The provider refused the code.
    CodeRefused,
    /// The provider refused Gitward itself: client id, secret or redirect URI.
    AppRefused,
    /// OAuth2 is not set up for the runtime.
    NotSetUp,
    /// The user granted less than the runtime needs.
    TooLittle,
    /// The provider lets nobody in with that account.
    Blocked,
    /// The provider did not answer, or not sensibly.
    Unreachable,
    /// Something broke on our side.
    Internal,
}

impl OauthProblem {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Denied,
        Self::NotYours,
        Self::TooLate,
        Self::WrongIssuer,
        Self::CodeRefused,
        Self::AppRefused,
        Self::NotSetUp,
        Self::TooLittle,
        Self::Blocked,
        Self::Unreachable,
        Self::Internal,
    ];

    /// The word in the address.
    pub fn word(self) -> &'static str {
        match self {
            Self::Denied => "denied",
            Self::NotYours => "not-yours",
            Self::TooLate => "too-late",
            Self::WrongIssuer => "wrong-issuer",
            Self::CodeRefused => "code-refused",
            Self::AppRefused => "app-refused",
            Self::NotSetUp => "not-set-up",
            Self::TooLittle => "too-little",
            Self::Blocked => "blocked",
            Self::Unreachable => "unreachable",
            Self::Internal => "internal",
        }
    }

    /// The other way round.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|problem| problem.word() == word)
    }

    /// What happened and what to do.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::Denied => {
                "Access was not granted, so nothing has changed. Try again, or paste a token instead."
            }
            Self::NotYours => {
                "That authorization was used already, or was begun in another browser or by somebody else. \
                 Nothing has changed; begin again from the list."
            }
            Self::TooLate => {
                "That took more than ten minutes, so it no longer counts. Begin again from the list."
            }
            Self::WrongIssuer => {
                "The answer came from another place than the one you were sent to, so it was not believed. \
                 Begin again; if it repeats, tell your operator."
            }
            Self::CodeRefused => "The provider took its answer back. Begin again from the list.",
            Self::AppRefused => {
                "The provider does not accept Gitward's own set-up. Paste a token meanwhile, and tell your operator."
            }
            Self::NotSetUp => "OAuth2 is not set up for this runtime. Paste a token instead.",
            Self::TooLittle => {
                "The provider granted less than this runtime needs, so nothing has changed. Try again and grant all \
                 that is asked for, or paste a token."
            }
            Self::Blocked => {
                "The provider knows you, but lets nobody in with your account there at the moment. Ask its \
                 administrator, then try again."
            }
            Self::Unreachable => {
                "The provider could not be reached, so nothing has changed. Try again in a moment."
            }
            Self::Internal => "Something broke on our side. Nothing has changed; try again in a moment.",
        }
    }
}

/// HTML that the server made. Rows of the list travel as such and never as data beside it, so they cross the wire
/// once, and the browser's code knows nothing of rows.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct Html(pub String);

#[cfg(feature = "ssr")]
impl Html {
    /// A number that the same HTML shares.
    fn edition(&self) -> u64 {
        use std::hash::{DefaultHasher, Hash, Hasher};
        let mut hasher = DefaultHasher::new();
        self.0.hash(&mut hasher);
        hasher.finish()
    }
}

/// What the page of the list needs besides the rows themselves.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct TokenList {
    /// Over all the visitor's runtimes.
    pub counts: Counts,
    /// The same rows have the same number.
    pub edition: u64,
    /// The rows. Empty in the browser as long as those are shown that came with the page.
    #[serde(default)]
    pub html: Html,
}

/// Longer words are in no name, account, host or login.
#[cfg(feature = "ssr")]
const LONGEST_FILTER: usize = 200;

/// The list of runtimes, filtered and cut to one page.
#[server(prefix = "/api", endpoint = "token/table")]
pub async fn load_list(
    #[server(default)] filter: String,
    #[server(default)] show: Show,
    #[server(default)] page: u32,
) -> Result<TokenList, ApiError> {
    let filter = filter.chars().take(LONGEST_FILTER).collect();
    let query = TokenQuery { filter, show, page: page.max(1) };
    let page = super::answer(super::backend()?.token_page(query.clone()).await)?;
    let html = [crate::made::revocation::html(&page.revocations), crate::made::table::html(&page, &query)];
    let html = Html(html.concat());
    Ok(TokenList { counts: page.counts, edition: html.edition(), html })
}

/// All that the dialog of one runtime shows.
#[server(prefix = "/api", endpoint = "token/access")]
pub async fn load_access(runtime: String) -> Result<RuntimeAccess, ApiError> {
    super::answer(super::backend()?.runtime_access(runtime).await)
}

/// Asks the provider about a pasted token and keeps it when it passes.
#[server(prefix = "/api", endpoint = "token/add")]
pub async fn add_token(
    runtime: String,
    #[server(default)] token: String,
    #[server(default)] user_name: String,
    #[server(default)] end: String,
    #[server(default)] also: Vec<String>,
    #[server(default)] sure: bool,
    #[server(default)] revoke: bool,
) -> Result<Added, ApiError> {
    let backend = super::backend()?;
    let new = NewToken { runtime: runtime.clone(), token, user_name, end, also, sure, revoke };
    let added = super::answer(backend.add_token(new).await)?;
    super::then_go(&backend, &crate::path::row_left("added", &runtime, added.left_out.len()));
    Ok(added)
}

/// Uses a token that already serves another runtime.
#[server(prefix = "/api", endpoint = "token/reuse")]
pub async fn reuse_token(
    runtime: String,
    credential: String,
    #[server(default)] also: Vec<String>,
    #[server(default)] revoke: bool,
) -> Result<Added, ApiError> {
    let backend = super::backend()?;
    let added = super::answer(backend.reuse_token(runtime.clone(), credential, also, revoke).await)?;
    super::then_go(&backend, &crate::path::row_left("added", &runtime, added.left_out.len()));
    Ok(added)
}

/// Answers "another person's account than before".
#[server(prefix = "/api", endpoint = "token/settle-account")]
pub async fn settle_account(runtime: String, #[server(default)] take: bool) -> Result<(), ApiError> {
    let backend = super::backend()?;
    let place = crate::path::row("settled", &runtime);
    super::answer(backend.settle_account(runtime, take).await)?;
    super::then_go(&backend, &place);
    Ok(())
}

/// Deletes the visitor's token of one runtime, and revokes it at the provider if that is wanted.
#[server(prefix = "/api", endpoint = "token/delete")]
pub async fn delete_token(runtime: String, #[server(default)] revoke: bool) -> Result<(), ApiError> {
    let backend = super::backend()?;
    let place = crate::path::row("deleted", &runtime);
    super::answer(backend.delete_token(runtime, revoke).await)?;
    super::then_go(&backend, &place);
    Ok(())
}

/// Asks the provider again, now. `back`: the form stands on the runtime's page, and leads back there.
#[server(prefix = "/api", endpoint = "token/check")]
pub async fn check_again(runtime: String, #[server(default)] back: bool) -> Result<(), ApiError> {
    let backend = super::backend()?;
    let place = place_after("checked", &runtime, back);
    super::answer(backend.check_again(runtime).await)?;
    super::then_go(&backend, &place);
    Ok(())
}

/// Hides or shows the notifications about one runtime; `days` and `back` as
/// [`Backend::hide_notifications`](super::Backend::hide_notifications) and [`check_again`] say.
#[server(prefix = "/api", endpoint = "runtime/hide-notifications")]
pub async fn hide_notifications(
    runtime: String,
    #[server(default)] hide: bool,
    #[server(default)] days: u32,
    #[server(default)] back: bool,
) -> Result<(), ApiError> {
    let backend = super::backend()?;
    let place = place_after(if hide { "muted" } else { "unmuted" }, &runtime, back);
    super::answer(backend.hide_notifications(runtime, hide, days).await)?;
    super::then_go(&backend, &place);
    Ok(())
}

/// Where a form without script leads to: the row, or the runtime's own page.
#[cfg(feature = "ssr")]
fn place_after(did: &str, runtime: &str, back: bool) -> String {
    if back { crate::path::runtime_after(did, runtime) } else { crate::path::row(did, runtime) }
}
