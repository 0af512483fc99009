//! GitLab: gitlab.com, and GitLab on machines of one's own, also below a path.
//!
//! What it answers, and what that means, is in [`answer`]; scopes in [`scopes`].
//!
//! GitLab bans the address that too many refused tokens came from
//! (<https://docs.gitlab.com/rate_limits/abuse_bans/>), so nothing that was refused is asked again.

use std::time::Duration;

use async_trait::async_trait;
use http::{Method as Verb, StatusCode};
use oauth2::AuthType;
use url::Url;

use self::answer::{GrantInfo, Said, TokenInfo, User};
use super::{
    Age, Auth, Doors, Guide, Identity, OauthApp, OauthEndpoints, Presented, Provider, ProviderError,
    Settings, Shape, TokenExpiry,
    address::below,
    git::Advertisement,
    grant::Dialect,
    http::{OriginError, Question, Reply},
    place::Place,
    repository::RepositoryForm,
    revoke::{Revoke, RevokeError, Revoked},
    shape::Family,
};
use crate::{
    credential::{Evidence, Method, ProviderAccount, Push},
    scope::ScopeSet,
    secret::Secret,
};

mod answer;
mod scopes;
#[cfg(test)]
mod tests;

/// What its tokens begin with (<https://docs.gitlab.com/security/tokens/#token-prefixes>). Tokens of OAuth2 have no
/// prefix; that of personal ones can be changed by an administrator.
pub const FAMILY: Family = Family {
    label: "GitLab",
    user: &["glpat-"],
    other: &[
        "gloas-", "gldt-", "glrt-", "glrtr-", "glcbt-", "glptt-", "glft-", "glimt-", "glagent-", "glsoat-",
        "glffct-", "glwt-",
    ],
};

/// With the groups, one below the other: twenty levels of subgroups below the first
/// (<https://docs.gitlab.com/user/group/subgroups/>).
pub const REPOSITORY: RepositoryForm = RepositoryForm {
    written: "`group/project`, or with subgroups `group/subgroup/project`",
    parts: 2..=22,
    longest_part: 255,
    marks: b"._-",
};

/// What those are that stand for no person.
const OTHERS: [(&str, &str); FAMILY.other.len()] = [
    ("gloas-", "This is the secret of an OAuth application, not a token."),
    ("gldt-", "This is a deploy token: it stands for no person."),
    ("glrt-", "This is a runner's token: it stands for no person."),
    ("glrtr-", "This is a runner's token: it stands for no person."),
    ("glcbt-", "This is the token of a CI/CD job: it ends with the job."),
    ("glptt-", "This is a token that triggers pipelines, and nothing else."),
    ("glft-", "This is a token for feeds, and for nothing else."),
    ("glimt-", "This is a token for incoming mail, and for nothing else."),
    ("glagent-", "This is the token of an agent for Kubernetes: it stands for no person."),
    ("glsoat-", "This is a token for SCIM: it stands for no person."),
    ("glffct-", "This is the token of a client for feature flags: it stands for no person."),
    ("glwt-", "This is the token of a workspace: it stands for no person."),
];

/// Its token endpoint (<https://docs.gitlab.com/api/oauth2/>). Access tokens live for two hours. A refresh token serves
/// once, and takes the access token with it.
const DIALECT: Dialect = Dialect {
    label: "POST /oauth/token",
    path: &["oauth", "token"],
    client_auth: AuthType::RequestBody,
    documented_life: Duration::from_secs(2 * 60 * 60),
    refused: &[],
    app_refused: &["invalid_redirect_uri"],
    // https://docs.gitlab.com/api/oauth2/#authorization-code-flow
    repeats_redirect: true,
    limit: answer::limit,
};

/// What a fine-grained token must be allowed, to say whose it is.
const FINE_GRAINED_USER: &str = "User: Read";

/// GitLab at one address.
pub struct GitLab {
    place: Place,
}

/// Where something can be asked about a token.
#[derive(Clone, Copy)]
enum Door {
    /// The token itself. Opens to personal tokens, and those of projects and groups, whatever their scopes.
    Token,
    /// The token itself, if it came by OAuth2.
    Grant,
    /// Who it stands for.
    User,
}

impl Door {
    /// As evidence names it.
    fn label(self) -> &'static str {
        match self {
            Self::Token => "GET /personal_access_tokens/self",
            Self::Grant => "GET /oauth/token/info",
            Self::User => "GET /user",
        }
    }

    fn evidence(self, answer: impl Into<String>) -> Evidence {
        Evidence::new(self.label(), answer)
    }

    /// 200, and yet no answer.
    fn senseless(self) -> ProviderError {
        ProviderError::senseless(self.label())
    }

    /// What remains of an answer that opens no other door.
    fn verdict(self, said: Said, method: Method) -> ProviderError {
        match (said, method) {
            (Said::Later { until, answer }, _) => {
                ProviderError::RateLimited { until, evidence: self.evidence(answer) }
            }
            (Said::Refused(answer), _) => ProviderError::Rejected(self.evidence(answer)),
            // Of a grant as well: whoever asks renews it once before the refusal counts.
            (Said::Ended, _) => ProviderError::Rejected(self.evidence(answer::ENDED)),
            (Said::Blocked { why, answer }, _) => {
                ProviderError::Blocked { why, evidence: self.evidence(answer) }
            }
            (Said::Narrow { .. }, _) => ProviderError::Unreachable(self.evidence("403 insufficient_scope")),
            (Said::OfOauth, _) => ProviderError::Unreachable(self.evidence("400")),
            (Said::NoDoor, _) => ProviderError::Unreachable(self.evidence("404")),
            (Said::Nothing(answer), _) => ProviderError::Unreachable(self.evidence(answer)),
        }
    }
}

/// What is known of a token before the name of its owner is.
struct Known {
    door: Door,
    user: u64,
    kind: Kind,
    scopes: Option<ScopeSet>,
    expiry: TokenExpiry,
}

impl GitLab {
    /// Prepares for the addresses; asks nothing.
    ///
    /// # Errors
    /// If credentials must not go to one of the addresses.
    pub fn new(settings: Settings) -> Result<Self, OriginError> {
        let api = below(&settings.base_url, ["api", "v4"]);
        Ok(Self { place: Place::new(settings, FAMILY.label, api)? })
    }

    async fn ask(&self, door: Door, presented: &Presented<'_>) -> Result<Reply, ProviderError> {
        let question = match door {
            Door::Token => self.place.question(["personal_access_tokens", "self"], door.label()),
            Door::Grant => {
                let url = below(&self.place.base, ["oauth", "token", "info"]);
                Question::new(Verb::GET, url, door.label())
            }
            Door::User => self.place.question(["user"], door.label()),
        };
        self.place.ask(question, &self.doors(presented).api, presented.token).await
    }

    async fn identify_token(&self, presented: &Presented<'_>) -> Result<Identity, ProviderError> {
        let door = Door::Token;
        let reply = self.ask(door, presented).await?;
        if reply.status != StatusCode::OK {
            return match answer::said(&reply, self.place.now()) {
                Said::OfOauth => self.identify_grant(presented).await,
                Said::Narrow { fine_grained: true } => {
                    self.identify_by_user(presented, Kind::FineGrained).await
                }
                Said::Narrow { fine_grained: false } => self.identify_by_user(presented, Kind::Other).await,
                // Releases before 15.5 do not have it.
                Said::NoDoor => self.identify_by_user(presented, Kind::Personal).await,
                said => Err(door.verdict(said, presented.method)),
            };
        }
        let info = TokenInfo::read(&reply).ok_or_else(|| door.senseless())?;
        let over = matches!(info.expiry, TokenExpiry::At(end) if end <= self.place.now());
        match (info.revoked, info.active) {
            (true, _) => return Err(ProviderError::Rejected(door.evidence("200, revoked"))),
            (false, false) if over => return Err(ProviderError::Rejected(door.evidence("200, expired"))),
            (false, false) => return Err(ProviderError::Unreachable(door.evidence("200, but not active"))),
            (false, true) => {}
        }
        let kind = if info.fine_grained { Kind::FineGrained } else { Kind::Personal };
        self.named(presented, Known { door, user: info.user, kind, scopes: info.scopes, expiry: info.expiry })
            .await
    }

    async fn identify_grant(&self, presented: &Presented<'_>) -> Result<Identity, ProviderError> {
        let door = Door::Grant;
        let asked_at = self.place.now();
        let reply = self.ask(door, presented).await?;
        if reply.status != StatusCode::OK {
            let said = answer::said(&reply, self.place.now());
            // The same words for a token that is dead, and for one that is of another sort: the API knows both.
            return if answer::is_none_of_oauth(&reply, &said) {
                self.identify_by_user(presented, Kind::Oauth).await
            } else {
                Err(door.verdict(said, presented.method))
            };
        }
        let info = GrantInfo::read(&reply, asked_at).ok_or_else(|| door.senseless())?;
        let (user, kind) = (info.user, Kind::Oauth);
        self.named(presented, Known { door, user, kind, scopes: info.scopes, expiry: info.expiry }).await
    }

    /// By the other door, where the first one does not open: without scopes and end, which it does not tell.
    async fn identify_by_user(
        &self,
        presented: &Presented<'_>,
        kind: Kind,
    ) -> Result<Identity, ProviderError> {
        let door = Door::User;
        let reply = self.ask(door, presented).await?;
        if reply.status != StatusCode::OK {
            return Err(match answer::said(&reply, self.place.now()) {
                Said::Narrow { fine_grained } => ProviderError::Insufficient {
                    granted: None,
                    missing: ScopeSet::from_iter([if fine_grained { FINE_GRAINED_USER } else { "read_api" }]),
                    evidence: door.evidence(if fine_grained {
                        "403 insufficient_granular_scope"
                    } else {
                        "403 insufficient_scope"
                    }),
                },
                said => door.verdict(said, presented.method),
            });
        }
        let user = User::read(&reply).ok_or_else(|| door.senseless())?;
        Ok(Identity {
            kind: kind.of(&user).word().to_owned(),
            owner: user.owner,
            scopes: None,
            expiry: TokenExpiry::Unknown,
            evidence: door.evidence("200"),
        })
    }

    /// Adds the name of the owner, whom the token itself tells by number only. A token that may not ask keeps to the
    /// number.
    async fn named(&self, presented: &Presented<'_>, known: Known) -> Result<Identity, ProviderError> {
        let user = if scopes::open_the_user(known.scopes.as_ref()) {
            self.user(presented, known.user).await?
        } else {
            None
        };
        let kind = match &user {
            Some(user) => known.kind.of(user),
            None if known.kind == Kind::Personal => Kind::Other,
            None => known.kind,
        };
        Ok(Identity {
            owner: user.map_or_else(
                || ProviderAccount { id: known.user.to_string(), login: format!("user {}", known.user) },
                |user| user.owner,
            ),
            kind: kind.word().to_owned(),
            scopes: known.scopes,
            expiry: known.expiry,
            evidence: known.door.evidence("200"),
        })
    }

    /// The owner, if the token may ask.
    async fn user(&self, presented: &Presented<'_>, expected: u64) -> Result<Option<User>, ProviderError> {
        let door = Door::User;
        let reply = self.ask(door, presented).await?;
        if reply.status == StatusCode::OK {
            let user = User::read(&reply).ok_or_else(|| door.senseless())?;
            if user.owner.id != expected.to_string() {
                return Err(ProviderError::Unreachable(door.evidence("200, another user than before")));
            }
            return Ok(Some(user));
        }
        match answer::said(&reply, self.place.now()) {
            Said::Narrow { .. } => Ok(None),
            // It was known a moment ago.
            Said::Refused(answer) => {
                Err(ProviderError::Unreachable(door.evidence(format!("{answer}, after 200"))))
            }
            Said::Ended => {
                Err(ProviderError::Unreachable(door.evidence(format!("{}, after 200", answer::ENDED))))
            }
            said => Err(door.verdict(said, presented.method)),
        }
    }
}

#[async_trait]
impl Provider for GitLab {
    fn place(&self) -> &Place {
        &self.place
    }

    fn family(&self) -> &'static Family {
        &FAMILY
    }

    fn dialect(&self) -> &'static Dialect {
        &DIALECT
    }

    fn icon(&self) -> &'static str {
        "gitlab"
    }

    fn shape(&self, token: &Secret) -> Shape {
        let text = token.expose().trim();
        let other = OTHERS.iter().find(|(prefix, _)| text.starts_with(prefix));
        other.map_or_else(|| FAMILY.shape(token), |(_, sentence)| Shape::Refused(sentence))
    }

    fn kind_label(&self, kind: &str) -> &'static str {
        Kind::ALL.into_iter().find(|known| known.word() == kind).unwrap_or(Kind::Other).label()
    }

    /// `read_api` for what a runtime looks up, the owner's name among it; `write_repository` to read and push commits,
    /// which is all that it allows. Webhooks would need `api`: a runtime that makes some declares it.
    fn default_scopes(&self) -> ScopeSet {
        ScopeSet::from_iter(["read_api", "write_repository"])
    }

    fn missing(&self, granted: &ScopeSet, needed: &ScopeSet) -> ScopeSet {
        needed.without(&granted.closure(scopes::implied))
    }

    /// The page takes name and scopes from its address since release 14.1; what it does not know it leaves alone
    /// (<https://docs.gitlab.com/user/profile/personal_access_tokens/#prefill-personal-access-token-details>).
    fn guide(&self, needed: &ScopeSet, repository: Option<&str>, note: &str) -> Guide {
        let mut link = below(&self.place.base, ["-", "user_settings", "personal_access_tokens"]);
        let purpose = repository.map_or_else(
            || "Gives a GitOps runtime access to Git".to_owned(),
            |repository| format!("Gives a GitOps runtime access to {repository}"),
        );
        link.query_pairs_mut().append_pair("name", note).append_pair("description", &purpose);
        if !needed.is_empty() {
            link.query_pairs_mut().append_pair("scopes", &needed.join(","));
        }
        Guide {
            token_word: "personal access token",
            link,
            prefilled: true,
            limited_link: None,
            steps: vec![
                "The page has name and scopes filled in. If it shows a list of your tokens instead, choose “Generate \
                 token”, then “Legacy token”, enter a name, and tick the scopes named here."
                    .to_owned(),
                "Choose under “Expiration date” how long the token may live: it ends as that day begins (UTC)."
                    .to_owned(),
                "“Generate token” at the end of the page shows it, once; in older releases the button is called \
                 “Create personal access token”. Copy it and paste it here."
                    .to_owned(),
            ],
            user_name: None,
            asks_end: false,
        }
    }

    /// The API takes all kinds as bearers (<https://docs.gitlab.com/api/rest/authentication/>). For Git a token of
    /// OAuth2 wants the name `oauth2`, and the others take any
    /// (<https://docs.gitlab.com/api/oauth2/#access-git-over-https-with-access-token>).
    fn doors(&self, _: &Presented<'_>) -> Doors {
        Doors { api: Auth::Bearer, git: Auth::Basic { user_name: "oauth2".to_owned() } }
    }

    /// A token that is refused is not asked about again, however fresh it is: see the ban.
    async fn identify(&self, presented: &Presented<'_>, _: Age) -> Result<Identity, ProviderError> {
        let of_oauth = presented.method == Method::Oauth2 || presented.kind == Some(Kind::Oauth.word());
        if of_oauth { self.identify_grant(presented).await } else { self.identify_token(presented).await }
    }

    async fn may_push(&self, presented: &Presented<'_>, repository: &str) -> Push {
        let Some(parts) = REPOSITORY.parts(repository) else { return Push::Unknown };
        let auth = self.doors(presented).git;
        match self.place.ask_git(&parts, &auth, presented.token).await {
            Advertisement::MayPush => Push::Allowed,
            Advertisement::Other(reply) => answer::push(&reply, &self.place.base, self.place.now()),
            Advertisement::Nothing(_) => Push::Unknown,
        }
    }

    /// The issuer is the address itself, as `/.well-known/openid-configuration` has it
    /// (<https://docs.gitlab.com/integration/openid_connect_provider/>).
    fn oauth_endpoints(&self) -> OauthEndpoints {
        OauthEndpoints {
            authorize: below(&self.place.base, ["oauth", "authorize"]),
            token: self.place.token_url(&DIALECT),
            issuer: self.place.own_issuer(),
        }
    }

    /// A token of OAuth2 that was pasted ends only by the app that got it, which is not ours.
    fn can_revoke(&self, method: Method, kind: &str) -> bool {
        method == Method::Oauth2 || kind != Kind::Oauth.word()
    }

    fn revocation_page(&self, method: Method, kind: &str) -> Url {
        let page = match method {
            Method::Token if kind != Kind::Oauth.word() => "personal_access_tokens",
            _ => "applications",
        };
        below(&self.place.base, ["-", "user_settings", page])
    }

    async fn revoke(&self, what: &Revoke<'_>) -> Result<Revoked, RevokeError> {
        match (what.presented.method, what.app) {
            (Method::Token, _) => self.end_token(what).await,
            (Method::Oauth2, Some(app)) => self.end_grant(app, what).await,
            (Method::Oauth2, None) => Err(RevokeError::no_app()),
        }
    }
}

impl GitLab {
    /// A token may end itself, whatever its scopes
    /// (<https://docs.gitlab.com/api/personal_access_tokens/#revoke-a-personal-access-token>).
    async fn end_token(&self, what: &Revoke<'_>) -> Result<Revoked, RevokeError> {
        const LABEL: &str = "DELETE /personal_access_tokens/self";
        let question = self.place.request(Verb::DELETE, ["personal_access_tokens", "self"], LABEL);
        let auth = self.doors(&what.presented).api;
        let reply = self.place.ask(question, &auth, what.presented.token).await?;
        if reply.status == StatusCode::NO_CONTENT {
            return Ok(Revoked::Now);
        }
        let evidence = |answer: &str| Evidence::new(LABEL, answer);
        Err(match answer::said(&reply, self.place.now()) {
            Said::Refused(_) | Said::Ended => return Ok(Revoked::Before),
            Said::Later { until, answer } => {
                RevokeError::RateLimited { until, apart: false, evidence: evidence(&answer) }
            }
            Said::Narrow { .. } => RevokeError::Cannot(evidence("403, it may not end itself")),
            Said::OfOauth => RevokeError::Cannot(evidence("400, a token of OAuth2")),
            Said::NoDoor => RevokeError::Cannot(evidence("404")),
            Said::Blocked { answer, .. } | Said::Nothing(answer) => {
                RevokeError::Unreachable(evidence(&answer))
            }
        })
    }

    /// RFC 7009, at <https://docs.gitlab.com/api/oauth2/#revoke-a-token>: one of the pair takes the other with it, and one
    /// that it does not know it says to have ended.
    async fn end_grant(&self, app: &OauthApp, what: &Revoke<'_>) -> Result<Revoked, RevokeError> {
        const LABEL: &str = "POST /oauth/revoke";
        let (token, hint) = match what.refresh {
            Some(refresh) => (refresh, "refresh_token"),
            None => (what.presented.token, "access_token"),
        };
        let url = below(&self.place.base, ["oauth", "revoke"]);
        let question = Question::new(Verb::POST, url, LABEL).form(&[
            ("client_id", &app.client_id),
            ("client_secret", app.client_secret.expose()),
            ("token", token.expose()),
            ("token_type_hint", hint),
        ]);
        let reply = self.place.ask_openly(question).await?;
        answer::ended(LABEL, &reply, self.place.now())
    }
}

/// Kinds of tokens that the API takes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Kind {
    /// A person's, with scopes.
    Personal,
    /// A person's, with permissions for single resources.
    FineGrained,
    /// Of the bot that a project has for each of its tokens.
    Project,
    /// The same for a group.
    Group,
    /// Of a user that is no person.
    ServiceAccount,
    /// By OAuth2.
    Oauth,
    /// One of the others, which may not tell which.
    Other,
}

impl Kind {
    const ALL: [Self; 7] = [
        Self::Personal,
        Self::FineGrained,
        Self::Project,
        Self::Group,
        Self::ServiceAccount,
        Self::Oauth,
        Self::Other,
    ];

    /// The kind, now that its user is known: bots are called `project_123_bot_…` and `group_123_bot_…`
    /// (<https://docs.gitlab.com/user/project/settings/project_access_tokens/#bot-users-for-projects>).
    fn of(self, user: &User) -> Self {
        match self {
            Self::Oauth => Self::Oauth,
            _ if user.bot && is_bot_of("project_", &user.owner.login) => Self::Project,
            _ if user.bot && is_bot_of("group_", &user.owner.login) => Self::Group,
            _ if user.bot => Self::ServiceAccount,
            Self::Other => Self::Personal,
            kind => kind,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Personal => "personal",
            Self::FineGrained => "fine-grained",
            Self::Project => "project",
            Self::Group => "group",
            Self::ServiceAccount => "service-account",
            Self::Oauth => "oauth",
            Self::Other => "other",
        }
    }

    fn label(self) -> &'static str {
        match self {
            Self::Personal => "Personal access token",
            Self::FineGrained => "Fine-grained personal access token",
            Self::Project => "Project access token",
            Self::Group => "Group access token",
            Self::ServiceAccount => "Service account token",
            Self::Oauth => "OAuth2 token",
            Self::Other => "Access token",
        }
    }
}

fn is_bot_of(what: &str, name: &str) -> bool {
    let number = name.strip_prefix(what).and_then(|rest| rest.split_once("_bot"));
    number.is_some_and(|(number, _)| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
}
