//! Bodies with every member that the public OpenAPI description requires.

use serde_json::{Map, Value, json};

use super::super::api_url;
use crate::host::{App, Host, Organization, Person, Repository, Role, State};
use crate::token::Token;

const CREATED: &str = "2011-01-25T18:44:36Z";
const UPDATED: &str = "2026-11-01T10:00:00Z";

/// A person or organisation where another body mentions it.
fn account(host: &Host, login: &str, id: u64, kind: &str) -> Value {
    let api = api_url(host, &format!("/users/{login}"));
    json!({
        "login": login,
        "id": id,
        "node_id": format!("U_forge{id}"),
        "avatar_url": host.page(&format!("/avatars/u/{id}")),
        "gravatar_id": "",
        "url": api,
        "html_url": host.page(&format!("/{login}")),
        "followers_url": format!("{api}/followers"),
        "following_url": format!("{api}/following{{/other_user}}"),
        "gists_url": format!("{api}/gists{{/gist_id}}"),
        "starred_url": format!("{api}/starred{{/owner}}{{/repo}}"),
        "subscriptions_url": format!("{api}/subscriptions"),
        "organizations_url": format!("{api}/orgs"),
        "repos_url": format!("{api}/repos"),
        "events_url": format!("{api}/events{{/privacy}}"),
        "received_events_url": format!("{api}/received_events"),
        "type": kind,
        "site_admin": false,
    })
}

/// A person where another body mentions one.
pub fn simple_user(host: &Host, person: &Person) -> Value {
    account(host, &person.login, person.id, "User")
}

/// What everyone may know about a person.
pub fn public_user(host: &Host, person: &Person) -> Value {
    merged(
        simple_user(host, person),
        json!({
            "name": person.name,
            "company": null,
            "blog": "",
            "location": null,
            "email": null,
            "hireable": null,
            "bio": null,
            "twitter_username": null,
            "public_repos": 0,
            "public_gists": 0,
            "followers": 0,
            "following": 0,
            "created_at": CREATED,
            "updated_at": UPDATED,
        }),
    )
}

/// What a person may know about themselves.
pub fn private_user(host: &Host, person: &Person) -> Value {
    merged(
        public_user(host, person),
        json!({
            "private_gists": 0,
            "total_private_repos": 0,
            "owned_private_repos": 0,
            "disk_usage": 0,
            "collaborators": 0,
            "two_factor_authentication": true,
        }),
    )
}

/// An organisation in a list.
pub fn organization(host: &Host, organization: &Organization) -> Value {
    let api = api_url(host, &format!("/orgs/{}", organization.login));
    json!({
        "login": organization.login,
        "id": organization.id,
        "node_id": format!("O_forge{}", organization.id),
        "url": api,
        "repos_url": format!("{api}/repos"),
        "events_url": format!("{api}/events"),
        "hooks_url": format!("{api}/hooks"),
        "issues_url": format!("{api}/issues"),
        "members_url": format!("{api}/members{{/member}}"),
        "public_members_url": format!("{api}/public_members{{/member}}"),
        "avatar_url": host.page(&format!("/avatars/u/{}", organization.id)),
        "description": null,
    })
}

/// Where an app is installed.
pub fn installation(host: &Host, state: &State, app: &App) -> Value {
    let organization = state.organizations.first();
    let login = organization.map_or("", |found| found.login.as_str());
    let target = organization.map_or(0, |found| found.id);
    let id = app.id + 500;
    json!({
        "id": id,
        "account": account(host, login, target, "Organization"),
        "repository_selection": "selected",
        "access_tokens_url": api_url(host, &format!("/app/installations/{id}/access_tokens")),
        "repositories_url": api_url(host, "/installation/repositories"),
        "html_url": host.page(&format!("/organizations/{login}/settings/installations/{id}")),
        "app_id": app.id,
        "client_id": app.client_id,
        "app_slug": app.name.to_lowercase().replace(' ', "-"),
        "target_id": target,
        "target_type": "Organization",
        "permissions": app.permissions,
        "events": [],
        "created_at": CREATED,
        "updated_at": UPDATED,
        "single_file_name": null,
        "suspended_by": null,
        "suspended_at": null,
    })
}

/// Addresses below a repository: name of the member, path, template.
const REPOSITORY_LINKS: &[(&str, &str)] = &[
    ("archive_url", "/{archive_format}{/ref}"),
    ("assignees_url", "/assignees{/user}"),
    ("blobs_url", "/git/blobs{/sha}"),
    ("branches_url", "/branches{/branch}"),
    ("collaborators_url", "/collaborators{/collaborator}"),
    ("comments_url", "/comments{/number}"),
    ("commits_url", "/commits{/sha}"),
    ("compare_url", "/compare/{base}...{head}"),
    ("contents_url", "/contents/{+path}"),
    ("contributors_url", "/contributors"),
    ("deployments_url", "/deployments"),
    ("downloads_url", "/downloads"),
    ("events_url", "/events"),
    ("forks_url", "/forks"),
    ("git_commits_url", "/git/commits{/sha}"),
    ("git_refs_url", "/git/refs{/sha}"),
    ("git_tags_url", "/git/tags{/sha}"),
    ("hooks_url", "/hooks"),
    ("issue_comment_url", "/issues/comments{/number}"),
    ("issue_events_url", "/issues/events{/number}"),
    ("issues_url", "/issues{/number}"),
    ("keys_url", "/keys{/key_id}"),
    ("labels_url", "/labels{/name}"),
    ("languages_url", "/languages"),
    ("merges_url", "/merges"),
    ("milestones_url", "/milestones{/number}"),
    ("notifications_url", "/notifications{?since,all,participating}"),
    ("pulls_url", "/pulls{/number}"),
    ("releases_url", "/releases{/id}"),
    ("stargazers_url", "/stargazers"),
    ("statuses_url", "/statuses/{sha}"),
    ("subscribers_url", "/subscribers"),
    ("subscription_url", "/subscription"),
    ("tags_url", "/tags"),
    ("teams_url", "/teams"),
    ("trees_url", "/git/trees{/sha}"),
    ("url", ""),
];

/// A repository. As at the real host, `permissions` tells the person's role, not the token's authority.
pub fn repository(host: &Host, state: &State, repository: &Repository, token: Option<&Token>) -> Value {
    let full_name = repository.full_name();
    let api = api_url(host, &format!("/repos/{full_name}"));
    let page = host.page(&format!("/{full_name}"));
    let owner = state.organization(&repository.owner).map_or(0, |found| found.id);
    let links: Map<String, Value> = REPOSITORY_LINKS
        .iter()
        .map(|(member, path)| ((*member).to_owned(), json!(format!("{api}{path}"))))
        .collect();
    let mut body = merged(
        Value::Object(links),
        json!({
            "id": repository.id,
            "node_id": format!("R_forge{}", repository.id),
            "name": repository.name,
            "full_name": full_name,
            "owner": account(host, &repository.owner, owner, "Organization"),
            "private": repository.private,
            "visibility": if repository.private { "private" } else { "public" },
            "html_url": page,
            "clone_url": format!("{page}.git"),
            "git_url": format!("{}.git", page.replacen("http", "git", 1)),
            "ssh_url": format!("git@localhost:{full_name}.git"),
            "svn_url": page,
            "mirror_url": null,
            "description": null,
            "homepage": null,
            "language": null,
            "license": null,
            "fork": false,
            "default_branch": "main",
            "archived": false,
            "disabled": false,
            "has_issues": true,
            "has_projects": false,
            "has_wiki": false,
            "has_pages": false,
            "has_discussions": false,
            "forks": 0,
            "forks_count": 0,
            "network_count": 0,
            "open_issues": 0,
            "open_issues_count": 0,
            "stargazers_count": 0,
            "subscribers_count": 0,
            "watchers": 0,
            "watchers_count": 0,
            "size": 1,
            "created_at": CREATED,
            "updated_at": UPDATED,
            "pushed_at": UPDATED,
        }),
    );
    if let Some(token) = token {
        let role = repository.role(token.person);
        body["permissions"] = json!({
            "admin": role >= Role::Admin,
            "maintain": role >= Role::Admin,
            "push": role >= Role::Push,
            "triage": role >= Role::Push,
            "pull": role >= Role::Read,
        });
    }
    body
}

/// The only file of every repository, with its (empty) contents.
pub fn readme(host: &Host, repository: &Repository) -> Value {
    merged(entry(host, repository), json!({ "encoding": "base64", "content": "" }))
}

/// The only file of every repository, as a listing shows it.
pub fn entry(host: &Host, repository: &Repository) -> Value {
    let full_name = repository.full_name();
    let api = api_url(host, &format!("/repos/{full_name}"));
    let page = host.page(&format!("/{full_name}/blob/main/README.md"));
    let sha = "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391";
    let own = format!("{api}/contents/README.md?ref=main");
    let blob = format!("{api}/git/blobs/{sha}");
    json!({
        "type": "file",
        "name": "README.md",
        "path": "README.md",
        "sha": sha,
        "size": 0,
        "url": own,
        "git_url": blob,
        "html_url": page,
        "download_url": host.page(&format!("/{full_name}/raw/main/README.md")),
        "_links": { "self": own, "git": blob, "html": page },
    })
}

/// What an app learns about a token of its own. A new token is shown only when it was just made.
pub fn authorization(host: &Host, state: &State, app: &App, token: &Token, show: bool) -> Value {
    let created = crate::clock::rfc3339(token.created_at);
    let permissions = (!token.kind.has_scopes()).then(|| state.person(token.person)).flatten();
    let installation = permissions.map(|person| {
        json!({
            "permissions": app.permissions,
            "repository_selection": "selected",
            "single_file_name": null,
            "repositories_url": api_url(host, "/installation/repositories"),
            "account": simple_user(host, person),
        })
    });
    json!({
        "id": token.id,
        "url": api_url(host, &format!("/authorizations/{}", token.id)),
        "app": { "client_id": app.client_id, "name": app.name, "url": host.page("/") },
        "token": if show { token.secret.as_str() } else { "" },
        "hashed_token": hash(&token.secret),
        "token_last_eight": "",
        "note": null,
        "note_url": null,
        "fingerprint": null,
        "scopes": token.scopes.iter().collect::<Vec<_>>(),
        "created_at": created,
        "updated_at": created,
        "expires_at": token.expires_at.map(crate::clock::rfc3339),
        "user": state.person(token.person).map(|person| simple_user(host, person)),
        "installation": installation,
    })
}

fn hash(secret: &str) -> String {
    use sha2::{Digest, Sha256};
    Sha256::digest(secret).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn merged(mut first: Value, second: Value) -> Value {
    if let (Some(into), Value::Object(from)) = (first.as_object_mut(), second) {
        into.extend(from);
    }
    first
}
