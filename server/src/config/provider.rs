//! `[[provider]]` and `[[oauth_app]]`.

use std::{collections::HashMap, ops::RangeInclusive, path::PathBuf};

use url::Url;

use super::{
    address,
    file::{At, Field, Section, choice},
    name,
    problem::Place,
    secret::{read_limited, secret},
};
use crate::{
    id::{AccountId, OauthAppId, ProviderId},
    provider::{
        OauthApp, bitbucket, bitbucket_data_center, gitea, github, gitlab, repository::RepositoryForm,
    },
};

pub(super) const PROVIDER_KEYS: &[&str] =
    &["id", "kind", "name", "base_url", "api_url", "ca_file", "proxy", "checks_per_second"];
pub(super) const APP_KEYS: &[&str] =
    &["id", "provider", "account", "client_id", "client_secret", "client_secret_file"];

/// One is 3,600 tokens an hour; more than the last, no host of one's own takes.
const CHECKS_PER_SECOND: RangeInclusive<u32> = 1..=1000;
/// More certificates than any bundle has.
const CA_LIMIT: u64 = 4 * 1024 * 1024;

/// What speaks at the provider's address.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ProviderKind {
    /// GitHub, and GitHub Enterprise under another address.
    Github,
    /// GitLab.com, and GitLab on other machines.
    Gitlab,
    /// Bitbucket Cloud.
    BitbucketCloud,
    /// Bitbucket Data Center.
    BitbucketDataCenter,
    /// Gitea.
    Gitea,
    /// Forgejo: Gitea by another name.
    Forgejo,
}

impl ProviderKind {
    const ALL: [Self; 6] = [
        Self::Github,
        Self::Gitlab,
        Self::BitbucketCloud,
        Self::BitbucketDataCenter,
        Self::Gitea,
        Self::Forgejo,
    ];

    /// As the configuration writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Github => "github",
            Self::Gitlab => "gitlab",
            Self::BitbucketCloud => "bitbucket-cloud",
            Self::BitbucketDataCenter => "bitbucket-data-center",
            Self::Gitea => "gitea",
            Self::Forgejo => "forgejo",
        }
    }

    fn parse(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text).ok_or_else(|| {
            let choice = choice(text, Self::ALL.map(Self::as_str));
            format!("`{}` is no kind of Git provider; {choice}", text.escape_debug())
        })
    }

    /// How such a provider's repositories are written.
    pub(super) const fn repository_form(self) -> &'static RepositoryForm {
        match self {
            Self::Github => &github::REPOSITORY,
            Self::Gitlab => &gitlab::REPOSITORY,
            Self::BitbucketCloud => &bitbucket::REPOSITORY,
            Self::BitbucketDataCenter => &bitbucket_data_center::REPOSITORY,
            Self::Gitea | Self::Forgejo => &gitea::REPOSITORY,
        }
    }
}

/// `[[provider]]`: a place where Git repositories are.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ProviderSettings {
    /// `id`: how apps and runtimes refer to it. Once users have tokens there it stays with its host: another host is
    /// another provider.
    pub id: ProviderId,
    /// `kind`: `"github"`, also for GitHub Enterprise, `"gitlab"`, `"bitbucket-cloud"`, `"bitbucket-data-center"`,
    /// `"gitea"` or `"forgejo"`.
    pub kind: ProviderKind,
    /// `name`: how people call it; without it, as its kind is called.
    pub name: Option<String>,
    /// `base_url`: where people see it, such as `https://github.com`. `http` only on this machine. Never ends in a
    /// slash, unless it is the host alone.
    pub base_url: Url,
    /// `api_url`: where its API is, if that is not where its kind usually has it.
    pub api_url: Option<Url>,
    /// `ca_file`: certificates in PEM form to trust for this provider, in addition to the system's.
    pub ca: Option<CaCertificates>,
    /// `proxy`: an HTTP proxy for all requests to this provider. Proxies named by the environment are not used.
    pub proxy: Option<Url>,
    /// `checks_per_second`: how much is asked there in the background at most, by all Gitward's processes together; 40
    /// without it. Providers on one host share the least of theirs.
    pub checks_per_second: Option<u32>,
}

/// Certificates of a private authority.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CaCertificates {
    /// Where they were read from.
    pub file: PathBuf,
    /// One or more, in PEM form.
    pub pem: Vec<u8>,
}

/// `[[oauth_app]]`: an OAuth app registered at a provider. Its callback is `<public_url>/callback/<provider id>`.
#[derive(Clone)]
pub struct AppSettings {
    /// `id`, `provider`, `client_id`, and either `client_secret` or `client_secret_file`.
    pub app: OauthApp,
    /// `account`: only this account's runtimes may use it. Without it, all may.
    pub account: Option<AccountId>,
}

/// What other sections may refer to, by id: everything that has one, even if something else is wrong with it.
pub(super) struct Known<T>(HashMap<String, (At, T)>);

impl<T> Known<T> {
    pub(super) fn new() -> Self {
        Self(HashMap::new())
    }

    pub(super) fn get(&self, id: &str) -> Option<&T> {
        self.0.get(id).map(|(_, about)| about)
    }

    /// "did you mean", or what there is, in alphabetical order.
    pub(super) fn choice(&self, typed: &str) -> String {
        let mut ids: Vec<&str> = self.0.keys().map(String::as_str).collect();
        ids.sort_unstable();
        choice(typed, ids)
    }

    /// Adds what `field` names, or says where it was declared before.
    pub(super) fn add(&mut self, id: &str, field: &Field<'_>, about: T) -> Result<(), String> {
        if let Some((first, _)) = self.0.get(id) {
            return Err(match field.place(*first) {
                Place::Line { line, .. } => format!("`{id}` is already declared in line {line}"),
                _ => format!("`{id}` is already declared"),
            });
        }
        self.0.insert(id.to_owned(), (field.at(), about));
        Ok(())
    }
}

/// What a reference to an app is checked against.
pub(super) struct AppScope {
    pub(super) provider: Option<String>,
    pub(super) account: Option<String>,
}

pub(super) fn providers(root: &Section<'_>) -> (Vec<ProviderSettings>, Known<Option<ProviderKind>>) {
    let mut known = Known::new();
    let sections = root.sections("provider", PROVIDER_KEYS);
    let providers = sections.iter().filter_map(|section| provider(section, &mut known)).collect();
    (providers, known)
}

fn provider(section: &Section<'_>, known: &mut Known<Option<ProviderKind>>) -> Option<ProviderSettings> {
    let kind = section
        .required("kind", "write `kind = \"github\"` or what it is")
        .and_then(|kind| kind.parse(ProviderKind::parse));
    let id = name::id(section, "id", "write `id = \"github\"`", |id, field| known.add(id, field, kind));
    let name = name::optional_title(section, "name");
    let base_url = section
        .required("base_url", "write `base_url = \"https://github.com\"` or where it is")
        .and_then(|field| field.parse(address::provider_url));
    let api_url = name::optional(section, "api_url", address::provider_url);
    let proxy = name::optional(section, "proxy", address::proxy);
    let checks_per_second = section.number("checks_per_second", CHECKS_PER_SECOND);
    let ca = ca(section);
    Some(ProviderSettings {
        id: ProviderId(id?),
        kind: kind?,
        name: name?,
        base_url: base_url?,
        api_url: api_url?,
        ca: ca?,
        proxy: proxy?,
        checks_per_second: checks_per_second?,
    })
}

/// `ca_file`, which may be left out.
pub(super) fn ca(section: &Section<'_>) -> Option<Option<CaCertificates>> {
    let Some(field) = section.text("ca_file") else { return Some(None) };
    let file = field.path()?;
    let pem = field.parse(|_| certificates(&file))?;
    Some(Some(CaCertificates { file, pem }))
}

fn certificates(file: &std::path::Path) -> Result<Vec<u8>, String> {
    let pem = read_limited(file, CA_LIMIT)?.to_vec();
    let text = String::from_utf8_lossy(&pem);
    if text.contains("PRIVATE KEY-----") {
        return Err("the file holds a private key; name one that holds only certificates".to_owned());
    }
    if !text.contains("-----BEGIN CERTIFICATE-----") {
        return Err("the file holds no certificate in PEM form (`-----BEGIN CERTIFICATE-----`)".to_owned());
    }
    Ok(pem)
}

pub(super) fn apps(
    root: &Section<'_>,
    providers: &Known<Option<ProviderKind>>,
    accounts: &Known<()>,
) -> (Vec<AppSettings>, Known<AppScope>) {
    let mut known = Known::new();
    let sections = root.sections("oauth_app", APP_KEYS);
    let apps = sections.iter().filter_map(|section| app(section, providers, accounts, &mut known)).collect();
    (apps, known)
}

fn app(
    section: &Section<'_>,
    providers: &Known<Option<ProviderKind>>,
    accounts: &Known<()>,
    known: &mut Known<AppScope>,
) -> Option<AppSettings> {
    let provider = name::reference(section, "provider", "Git provider", providers);
    let account = match section.has("account") {
        true => name::reference(section, "account", "account", accounts).map(Some),
        false => Some(None),
    };
    let scope = AppScope { provider: provider.clone(), account: account.clone().flatten() };
    let id = name::id(section, "id", "write `id = \"github-app\"`", |id, field| known.add(id, field, scope));
    let client_id = section
        .required("client_id", "write the client id that the provider shows for the app")
        .and_then(|field| {
            field.parse(|text| match text.is_empty() || text.contains(|c: char| !c.is_ascii_graphic()) {
                true => Err("is not a client id: copy it from the app's page at the provider".to_owned()),
                false => Ok(text.to_owned()),
            })
        });
    let client_secret = secret(section, "client_secret");
    Some(AppSettings {
        app: OauthApp {
            id: OauthAppId(id?),
            provider: ProviderId(provider?),
            client_id: client_id?,
            client_secret: client_secret?,
        },
        account: account?.map(AccountId),
    })
}
