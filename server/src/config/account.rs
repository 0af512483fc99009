//! `[[account]]`, its members, its runtimes, its webhooks and its mailboxes.

use super::{
    file::{Field, Section, choice},
    name,
    notice::{self, MailboxConfig, WebhookConfig},
    provider::{AppScope, Known, ProviderKind},
};
use crate::{
    catalogue::{Account, Member, Role, Runtime},
    id::{AccountId, OauthAppId, ProviderId, RuntimeId},
    person::Name,
    provider::repository::RepositoryForm,
    scope::{ScopeSet, is_scope},
};

pub(super) const ACCOUNT_KEYS: &[&str] = &["id", "name", "members", "runtime", "webhook", "mail"];
pub(super) const MEMBER_KEYS: &[&str] = &["user", "role"];
pub(super) const RUNTIME_KEYS: &[&str] =
    &["name", "provider", "authorization", "oauth_app", "repository", "scopes"];

/// What `[[account]]` sections declare.
#[derive(Default)]
pub(super) struct Accounts {
    pub(super) accounts: Vec<Account>,
    pub(super) members: Vec<Member>,
    pub(super) runtimes: Vec<Runtime>,
    pub(super) webhooks: Vec<WebhookConfig>,
    pub(super) mailboxes: Vec<MailboxConfig>,
}

/// The ids of all accounts, for those who refer to them. Duplicates are noted.
pub(super) fn ids(sections: &[Section<'_>]) -> (Known<()>, Vec<Option<AccountId>>) {
    let mut known = Known::new();
    let ids = sections
        .iter()
        .map(|section| {
            let add = |id: &str, field: &Field<'_>| known.add(id, field, ());
            name::id(section, "id", "write `id = \"acme\"`", add).map(AccountId)
        })
        .collect();
    (known, ids)
}

pub(super) fn accounts(
    sections: &[Section<'_>],
    ids: &[Option<AccountId>],
    providers: &Known<Option<ProviderKind>>,
    apps: &Known<AppScope>,
    private_webhooks: bool,
    sends_mail: bool,
) -> Accounts {
    let mut all = Accounts::default();
    let mut runtime_ids = Known::new();
    for (section, id) in sections.iter().zip(ids) {
        // Sections below an account without an id are read all the same, to find what is wrong with them.
        let name = name::title(section, "name", "write what people call it: `name = \"Acme\"`");
        let members = members(section, id.as_ref());
        let runtimes: Vec<Runtime> = section
            .sections("runtime", RUNTIME_KEYS)
            .iter()
            .filter_map(|runtime| self::runtime(runtime, id.as_ref(), providers, apps, &mut runtime_ids))
            .collect();
        let webhooks = notice::webhooks(section, id.as_ref(), private_webhooks);
        let mailboxes = notice::mailboxes(section, id.as_ref(), sends_mail);
        let (Some(id), Some(name)) = (id.clone(), name) else { continue };
        all.accounts.push(Account { id, name });
        all.members.extend(members);
        all.runtimes.extend(runtimes);
        all.webhooks.extend(webhooks);
        all.mailboxes.extend(mailboxes);
    }
    all
}

fn members(section: &Section<'_>, account: Option<&AccountId>) -> Vec<Member> {
    let mut known = Known::new();
    let members = section.sections("members", MEMBER_KEYS);
    let members = members.iter().filter_map(|member| {
        let role = name::optional(member, "role", parse_role).map(|role| role.unwrap_or(Role::Member));
        let field = member.required("user", "write `user = \"mara\"`")?;
        let name = field.parse(|text| {
            Name::parse(text).ok_or_else(|| {
                format!(
                    "`{}` can't be a user's name: take up to 64 letters, digits and `. _ - @ +`",
                    text.escape_debug()
                )
            })
        })?;
        field.parse(|_| known.add(name.as_str(), &field, ()))?;
        Some(Member { account: account?.clone(), name, role: role? })
    });
    members.collect()
}

fn parse_role(text: &str) -> Result<Role, String> {
    match text {
        "member" => Ok(Role::Member),
        "admin" => Ok(Role::Admin),
        _ => Err(format!("`{}` is no role; {}", text.escape_debug(), choice(text, ["member", "admin"]))),
    }
}

fn runtime(
    section: &Section<'_>,
    account: Option<&AccountId>,
    providers: &Known<Option<ProviderKind>>,
    apps: &Known<AppScope>,
    known: &mut Known<()>,
) -> Option<Runtime> {
    let mut id = None;
    let name = name::id(section, "name", "write `name = \"production\"`", |name, field| {
        let Some(account) = account else { return Ok(()) };
        // `a.b` with `c` and `a` with `b.c` would be one id, so all accounts are looked at together.
        let whole = format!("{account}.{name}");
        known.add(&whole, field, ())?;
        id = Some(RuntimeId(whole));
        Ok(())
    });
    let provider = name::reference(section, "provider", "Git provider", providers);
    let app = app(section, account, provider.as_deref(), apps);
    let kind = provider.as_deref().and_then(|id| *providers.get(id)?);
    let repository = name::optional(section, "repository", |text| parse_repository(text, kind));
    let scopes = scopes(section);
    Some(Runtime {
        account: account?.clone(),
        name: name?,
        id: id?,
        provider: ProviderId(provider?),
        oauth_app: app?,
        repository: repository?,
        scopes: scopes?,
    })
}

fn app(
    section: &Section<'_>,
    account: Option<&AccountId>,
    provider: Option<&str>,
    apps: &Known<AppScope>,
) -> Option<Option<OauthAppId>> {
    let oauth2 = name::optional(section, "authorization", |text| match text {
        "oauth2" => Ok(true),
        "token" => Ok(false),
        _ => Err(format!(
            "`{}` is no way to authorize; {}",
            text.escape_debug(),
            choice(text, ["oauth2", "token"])
        )),
    })?
    .unwrap_or(false);
    if !oauth2 {
        if let Some(app) = section.text("oauth_app") {
            app.reject("is not used with tokens: remove it, or write `authorization = \"oauth2\"`");
            return None;
        }
        return if section.has("oauth_app") { None } else { Some(None) };
    }
    let id = name::reference(section, "oauth_app", "OAuth app", apps)?;
    let field = section.text("oauth_app")?;
    let scope = apps.get(&id)?;
    if let (Some(wanted), Some(actual)) = (provider, &scope.provider)
        && wanted != actual
    {
        field.reject(format!("`{id}` is an app at `{actual}`, but the runtime is at `{wanted}`"));
        return None;
    }
    if let (Some(wanted), Some(owner)) = (account, &scope.account)
        && wanted.as_str() != owner
    {
        field.reject(format!("`{id}` belongs to the account `{owner}`; `{wanted}` needs an app of its own"));
        return None;
    }
    Some(Some(OauthAppId(id)))
}

/// What it looks like is the provider's business, where that is known.
fn parse_repository(text: &str, kind: Option<ProviderKind>) -> Result<String, String> {
    let form = kind.map_or(&RepositoryForm::OWNER_AND_NAME, ProviderKind::repository_form);
    match form.fits(text) {
        true => Ok(text.to_owned()),
        false => Err(format!("must be {}, without the host and without `.git`", form.written)),
    }
}

fn scopes(section: &Section<'_>) -> Option<Option<ScopeSet>> {
    if !section.has("scopes") {
        return Some(None);
    }
    let fields = section.texts("scopes")?;
    let scopes: Vec<Option<String>> = fields
        .iter()
        .map(|field| {
            field.parse(|text| {
                if is_scope(text) {
                    Ok(text.to_owned())
                } else {
                    Err("must be one scope each, such as `repo`".to_owned())
                }
            })
        })
        .collect();
    scopes.into_iter().collect::<Option<ScopeSet>>().map(Some)
}
