//! Everybody against everything: what a principal may see of each object, and that no token leaves but by its one door.

use std::collections::BTreeSet;

use axum::http::{Method, StatusCode, header};
use serde_json::json;
use server::{
    audit::{Actor, By},
    clock::Clock,
    id::UserId,
    person::Name,
    secret::Secret,
    web::routes,
};

use crate::{
    database::{Dump, ask},
    forge::Forge,
    machine::{CHANGES, CREDENTIAL, Machine, REPORT, USERS, create},
    site::{Answer, Ask, Browser, TestSite, usual},
};

/// What may be asked for: a page of its owner, or of an admin, and who may see it.
const PAGES: [(&str, &[&str]); 14] = [
    ("/tokens/acme.paste", &["mara", "both"]),
    ("/tokens/acme.paste/delete", &["mara", "both"]),
    ("/tokens/globex.paste", &["both", "jonas"]),
    ("/tokens/globex.paste/delete", &["both", "jonas"]),
    ("/tokens", &["mara", "both", "jonas"]),
    ("/notifications", &["mara", "both", "jonas"]),
    ("/notifications/settings", &["mara", "both", "jonas"]),
    ("/audit", &["mara", "both", "jonas"]),
    ("/audit/export?format=jsonl", &["mara", "both", "jonas"]),
    ("/audit/export?format=csv", &["mara", "both", "jonas"]),
    ("/admin/runtimes/acme.paste", &["mara"]),
    ("/admin/runtimes/globex.paste", &[]),
    ("/admin/accounts/acme/audit/export?format=jsonl", &["mara"]),
    ("/admin/accounts/globex/audit/export?format=csv", &[]),
];

/// Whose token serves which runtime.
const GIVEN: [(&str, &str); 4] =
    [("mara", "acme.paste"), ("both", "acme.paste"), ("both", "globex.paste"), ("jonas", "globex.paste")];

#[tokio::test]
async fn nobody_sees_what_is_not_theirs_and_no_token_leaves_but_by_its_door() {
    let site = TestSite::start().await;
    let people = [
        ("mara", site.person("mara").await),
        ("both", site.person("both").await),
        ("jonas", site.person("jonas").await),
    ];
    // One token each, so that it is known whose one was that leaked.
    let mut secrets = Vec::new();
    for (name, runtime) in GIVEN {
        let made = site.forge.good_token().await;
        let browser = &people.iter().find(|(known, _)| *known == name).unwrap().1;
        browser.paste(runtime, &made.token).await.assert_ok();
        secrets.push((name, runtime, made.token));
    }
    let acme = Machine::of(&site, "acme.paste").await;
    let globex = Machine::of(&site, "globex.paste").await;
    let revoked = Machine::of(&site, "acme.staging").await;
    let operator = By::new(Actor::Operator);
    site.site.runtime_keys.revoke(&"acme.staging".into(), revoked.public_id(), &operator).await.unwrap();
    let keys = [&acme, &globex, &revoked].map(|machine| machine.secret_part().to_owned());
    let leaks = |answer: &Answer| -> Vec<(&str, &str)> {
        assert!(!keys.iter().any(|key| answer.text().contains(key)), "a key");
        let has = |secret: &&(&'static str, &'static str, String)| answer.text().contains(&secret.2);
        secrets.iter().filter(has).map(|(name, runtime, _)| (*name, *runtime)).collect()
    };

    let anonymous = site.anonymous();
    let browsers = people.iter().map(|(name, browser)| (*name, browser)).chain([("nobody", &anonymous)]);
    for (who, browser) in browsers {
        for (page, seen_by) in PAGES {
            let answer = browser.get(page).await;
            assert_eq!(leaks(&answer), [], "{who} at {page}");
            let expected = match () {
                () if who == "nobody" => StatusCode::SEE_OTHER,
                () if seen_by.contains(&who) => StatusCode::OK,
                () => StatusCode::NOT_FOUND,
            };
            assert_eq!(answer.status, expected, "{who} at {page}");
        }
        for path in [USERS, CHANGES] {
            let answer = browser.get(path).await;
            assert_eq!((leaks(&answer), answer.status.is_success()), (vec![], false), "{who} at {path}");
        }
        for path in [CREDENTIAL, REPORT] {
            let body = json!({ "user": "mara", "git_url": acme.git_url, "outcome": "used" }).to_string();
            let answer = browser.ask(Method::POST, path).body("application/json", body).send().await;
            assert_eq!((leaks(&answer), answer.status.is_success()), (vec![], false), "{who} at {path}");
        }
    }

    let machines = [("acme.paste", &acme), ("globex.paste", &globex), ("revoked", &revoked)];
    for (runtime, machine) in machines {
        for (page, _) in PAGES {
            let answer = machine.get(page).await;
            let what = format!("the key of {runtime} at {page}");
            assert_eq!((leaks(&answer), answer.status), (vec![], StatusCode::SEE_OTHER), "{what}");
        }
        for user in ["mara", "both", "jonas", "gone", "nobody"] {
            let own = GIVEN.contains(&(user, runtime));
            let answer = machine.fetch(user).await;
            let what = format!("the key of {runtime} asks for {user}");
            let expected: Vec<(&str, &str)> = if own { vec![(user, runtime)] } else { vec![] };
            assert_eq!((leaks(&answer), answer.status == StatusCode::OK), (expected, own), "{what}");
            let report = json!({ "user": user, "outcome": "used" });
            let answer = machine.post(REPORT, &report).await;
            assert_eq!(leaks(&answer), [], "{what}, and reports");
        }
        for path in [USERS, CHANGES] {
            let answer = machine.get(path).await;
            assert_eq!(leaks(&answer), [], "the key of {runtime} at {path}");
            // Names are those of the own account's members.
            for (name, account) in [("mara", "acme.paste"), ("jonas", "globex.paste")] {
                let named = answer.text().contains(&format!("\"{name}\""));
                assert_eq!(named, account == runtime, "{name} for the key of {runtime} at {path}");
            }
        }
    }
}

/// A way to use a route on somebody's objects, whose names stand in braces.
struct Try {
    /// As the router spells it, after its method.
    route: &'static str,
    path: &'static str,
    form: &'static [(&'static str, &'static str)],
}

const fn page(route: &'static str, path: &'static str) -> Try {
    Try { route, path, form: &[] }
}

const fn form(route: &'static str, path: &'static str, form: &'static [(&'static str, &'static str)]) -> Try {
    Try { route, path, form }
}

macro_rules! function {
    ($name:literal $(, $field:literal = $value:literal)*) => {
        form(concat!("POST /api/", $name), concat!("/api/", $name), &[$(($field, $value)),*])
    };
}

const TRIES: &[Try] = &[
    page("GET /", "/"),
    page("GET /tokens", "/tokens"),
    page("GET /tokens", "/tokens?q={login}"),
    page("GET /tokens/{runtime}", "/tokens/{runtime}"),
    page("GET /tokens/{runtime}/delete", "/tokens/{runtime}/delete"),
    page("GET /notifications", "/notifications"),
    page("GET /notifications", "/notifications?before={notice}"),
    page("GET /notifications/settings", "/notifications/settings"),
    page("GET /notifications/confirm", "/notifications/confirm?secret={confirm}"),
    page("GET /password", "/password"),
    page("GET /events", "/events"),
    page("GET /sign-in", "/sign-in"),
    page("GET /setup/{secret}", "/setup/{user}"),
    page("GET /welcome/{secret}", "/welcome/{user}"),
    function!("person/visitor"),
    function!("person/change-password", "current" = "guessed wrong", "new" = "another sentence, as long"),
    function!("person/sign-in", "name" = "{name}", "password" = "guessed wrong"),
    function!("person/one-time-link", "secret" = "{user}"),
    function!(
        "person/redeem-link",
        "secret" = "{user}",
        "name" = "{name}",
        "password" = "a sentence, as long"
    ),
    function!("token/table"),
    function!("token/table", "filter" = "{login}"),
    function!("part", "part" = "Home"),
    function!("part", "part" = "SignIn"),
    function!("part", "part" = "Password"),
    function!("part", "part" = "Runtime", "id" = "{runtime}"),
    function!("part", "part" = "AccessDialog", "id" = "{runtime}"),
    function!("part", "part" = "Delete", "id" = "{runtime}"),
    function!("part", "part" = "DeleteDialog", "id" = "{runtime}"),
    function!("part", "part" = "Course", "id" = "{runtime}"),
    function!("part", "part" = "Once", "id" = "{user}"),
    function!("part", "part" = "Notices", "id" = "{notice}"),
    function!("part", "part" = "NoticeSettings"),
    function!("part", "part" = "Confirm", "id" = "{confirm}"),
    function!("notice/read", "id" = "{notice}"),
    function!("notice/read-all", "up_to" = "{notice}"),
    function!("notice/tell-me", "on" = "false"),
    function!("notice/mail", "mode" = "Each", "hour" = "7"),
    function!("notice/address", "address" = "{address}"),
    function!("notice/confirm-address", "secret" = "{confirm}"),
    function!("notice/forget-address"),
    function!("notice/webhook", "url" = "https://hooks.example.com/own", "format" = "Standard"),
    function!("notice/remove-webhook"),
    function!("token/access", "runtime" = "{runtime}"),
    function!("token/add", "runtime" = "{runtime}", "token" = "{token}"),
    function!("token/reuse", "runtime" = "{runtime}", "credential" = "{credential}"),
    function!("token/reuse", "runtime" = "acme.staging", "credential" = "{credential}"),
    function!("token/settle-account", "runtime" = "{runtime}", "take" = "true"),
    function!("token/settle-account", "runtime" = "{runtime}", "take" = "false"),
    function!("token/check", "runtime" = "{runtime}"),
    function!("runtime/hide-notifications", "runtime" = "{runtime}", "hide" = "true"),
    function!("token/delete", "runtime" = "{runtime}", "revoke" = "true"),
    form("POST /connect/{runtime}", "/connect/{runtime}", &[]),
    page("GET /callback/{provider}", "/callback/forge?state={user}&code=guess"),
    page("GET /audit", "/audit?runtime={runtime}"),
    page("GET /audit/export", "/audit/export?format=jsonl&runtime={runtime}"),
    page("GET /audit/export", "/audit/export?format=csv&before=9999"),
    page("GET /admin/accounts/{account}/audit", "/admin/accounts/{account}/audit"),
    page("GET /admin/accounts/{account}/audit/export", "/admin/accounts/{account}/audit/export?format=jsonl"),
    page("GET /admin/runtimes/{runtime}", "/admin/runtimes/{runtime}"),
    form("POST /admin/runtimes/{runtime}", "/admin/runtimes/{runtime}", &[("what", "create")]),
    form(
        "POST /admin/runtimes/{runtime}",
        "/admin/runtimes/{runtime}",
        &[("what", "rotate"), ("key", "{key}")],
    ),
    form(
        "POST /admin/runtimes/{runtime}",
        "/admin/runtimes/acme.hooks",
        &[("what", "rotate"), ("key", "{key}")],
    ),
    form(
        "POST /admin/runtimes/{runtime}",
        "/admin/runtimes/acme.hooks",
        &[("what", "revoke"), ("key", "{key}")],
    ),
    form(
        "POST /admin/runtimes/{runtime}",
        "/admin/runtimes/acme.hooks",
        &[("what", "revoke"), ("key", "{key}"), ("sure", "yes")],
    ),
    form(
        "POST /runtime/v1/credential",
        "/runtime/v1/credential",
        &[("user", "{name}"), ("git_url", "{git_url}")],
    ),
    form(
        "POST /runtime/v1/credential/report",
        "/runtime/v1/credential/report",
        &[("user", "{name}"), ("outcome", "used")],
    ),
    page("GET /runtime/v1/users", "/runtime/v1/users"),
    page("GET /runtime/v1/changes", "/runtime/v1/changes"),
    page("GET /runtime/v1/openapi.json", "/runtime/v1/openapi.json"),
    page("GET /runtime/v1/docs", "/runtime/v1/docs"),
    page("GET /pkg/{*file}", "/pkg/{user}.js"),
    page("GET /favicon.svg", "/favicon.svg"),
    page("GET /robots.txt", "/robots.txt"),
    page("GET /healthz", "/healthz"),
    page("GET /readyz", "/readyz"),
    // The last one: nobody comes back from it.
    function!("person/sign-out"),
];

/// Names of somebody's objects, and of such as there are none.
type Named = Vec<(&'static str, String, String)>;

impl Try {
    fn method(&self) -> Method {
        if self.route.starts_with("GET ") { Method::GET } else { Method::POST }
    }

    /// Path and form with the objects in their places.
    fn of(&self, named: &Named, theirs: bool) -> (String, Vec<(&'static str, String)>) {
        let fill = |text: &str| {
            named.iter().fold(text.to_owned(), |text, (name, some, none)| {
                text.replace(&format!("{{{name}}}"), if theirs { some } else { none })
            })
        };
        (fill(self.path), self.form.iter().map(|(name, value)| (*name, fill(value))).collect())
    }

    /// What comes back, but for what was asked for, and for what is new on each page.
    async fn send(&self, principal: &Principal<'_>, named: &Named, theirs: bool) -> (String, String, Answer) {
        let (path, form) = self.of(named, theirs);
        let machine = path.starts_with("/runtime/");
        let ask = principal.ask(self.method(), &path);
        let ask = match machine || path.starts_with("/api/") {
            true => ask.header("accept", "application/json"),
            false => ask.header("accept", "text/html"),
        };
        let form: Vec<(&str, &str)> = form.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let asked = format!("{path} {form:?}");
        let answer = if self.method() == Method::GET {
            if self.path == "/events" {
                let (status, headers, _) = ask.open().await;
                Answer { status, headers, body: "".into() }
            } else {
                ask.send().await
            }
        } else if machine {
            let body: serde_json::Map<_, _> =
                form.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
            ask.body("application/json", serde_json::Value::from(body).to_string()).send().await
        } else {
            ask.form(&form).send().await
        };
        let text = String::from_utf8_lossy(&answer.body);
        let shown =
            text.split_once("<main").map_or(&*text, |(_, main)| main.split("</main>").next().unwrap());
        let place = answer.headers.get(header::LOCATION).map(|place| place.to_str().unwrap());
        let mut said = format!("{} {place:?} {shown}", answer.status);
        for own in named.iter().flat_map(|(_, some, none)| [some, none]) {
            // A short one is found in other words as well.
            let before: &[&str] = if own.len() < 4 { &["=", "%3D"] } else { &[""] };
            for before in before {
                said = said.replace(&[before, own.as_str()].concat(), &[before, "…"].concat());
            }
        }
        (asked, said, answer)
    }
}

enum Caller<'a> {
    Browser(&'a Browser),
    Machine(&'a Machine),
}

struct Principal<'a> {
    what: &'static str,
    caller: Caller<'a>,
    /// What is in each row that is theirs to change.
    marks: Vec<String>,
    named: Named,
}

impl Principal<'_> {
    fn ask(&self, method: Method, path: &str) -> Ask<'_> {
        match self.caller {
            Caller::Browser(browser) => browser.ask(method, path),
            Caller::Machine(machine) => machine.ask(method, path),
        }
    }
}

/// Rows that are there only before or only after.
fn changed(before: &Dump, after: &Dump) -> Vec<String> {
    let mut found = Vec::new();
    for (table, rows) in before.0.iter().filter(|(table, _)| !table.starts_with("audit")) {
        let (before, after): (BTreeSet<_>, BTreeSet<_>) =
            (rows.iter().collect(), after.0[table].iter().collect());
        found.extend(before.symmetric_difference(&after).map(|row| format!("{table}: {row}")));
    }
    found
}

async fn id_of(site: &TestSite, name: &str) -> UserId {
    site.site.store.user_by_name(&Name::parse(name).unwrap()).await.unwrap().unwrap().id
}

#[tokio::test]
async fn every_route_is_tried() {
    let listed: BTreeSet<String> =
        routes().iter().map(|route| format!("{} {}", route.method, route.path)).collect();
    let tried: BTreeSet<String> = TRIES.iter().map(|one| one.route.to_owned()).collect();
    assert_eq!(listed, tried);
}

/// Gone has one of everything. Everybody else tries everything on that.
#[tokio::test]
async fn whatever_is_somebodys_is_to_others_as_if_it_were_not_there() {
    let forge = Forge::start().await;
    let config = usual(&forge)
        + r#"
[[account.webhook]]
name = "chat"
url = "https://hooks.example.com/s3cret-of-globex"
format = "slack"

[[account.mail]]
name = "team"
address = "team-of-globex@example.com"

[mail]
host = "127.0.0.1"
port = 1
security = "none"
from = "Gitward <gitward@example.com>"
"#;
    let site = TestSite::start_with(forge, &config).await;
    let (gone, mara, both, jonas) = (
        site.person("gone").await,
        site.person("mara").await,
        site.person("both").await,
        site.person("jonas").await,
    );
    let (good, dying) = (site.forge.token_of("hubot").await, site.forge.token_of("hubot").await);
    let (of_jonas, of_both) = (site.forge.good_token().await, site.forge.good_token().await);
    gone.paste("acme.paste", &good.token).await.assert_ok();
    gone.paste("acme.staging", &dying.token).await.assert_ok();
    jonas.paste("globex.paste", &of_jonas.token).await.assert_ok();
    site.site.herald.round().await.unwrap();
    // Something to be told.
    site.forge.revoke(dying.id).await;
    gone.check("acme.staging").await.assert_ok();
    site.minutes(11).await;
    gone.check("acme.paste").await.assert_ok();
    gone.check("acme.staging").await.assert_ok();
    site.site.herald.round().await.unwrap();
    let hook = [("url", "https://hooks.example.com/s3cret-of-gone"), ("format", "Standard")];
    gone.call("notice/webhook", &hook).await.assert_ok();
    let settings = gone.get("/notifications/settings").await;
    let signing =
        settings.text().split_once("whsec_").unwrap().1.split(['<', '"']).next().unwrap().to_owned();
    let confirm = "a-secret-that-was-mailed-to-gone-and-nobody";
    let gone_id = id_of(&site, "gone").await;
    let until = site.clock.now().plus(std::time::Duration::from_secs(60 * 60));
    let mailed = Secret::new(confirm).fingerprint();
    site.site.store.propose_address(&gone_id, "gone@example.com", &mailed, until).await.unwrap();
    let link = site.site.people.reset_link("gone").await.unwrap();
    let state = gone.connect("acme.production").await;
    let state = state.query_pairs().find(|(name, _)| name == "state").unwrap().1.into_owned();
    let acme = Machine::of(&site, "acme.paste").await;
    let globex = Machine::of(&site, "globex.paste").await;
    let hooks = create(&site, "acme.hooks").await;
    let revoked = Machine::of(&site, "acme.staging").await;
    let operator = By::new(Actor::Operator);
    site.site.runtime_keys.revoke(&"acme.staging".into(), revoked.public_id(), &operator).await.unwrap();
    let credential: String = ask(
        &site.database(),
        "SELECT credential_id FROM assignments WHERE runtime_id = 'acme.paste' AND credential_id IS NOT NULL",
    )
    .await;
    let notice: i64 = ask(&site.database(), "SELECT max(id) FROM events WHERE is_notice = 1").await;
    let session = gone.cookie_header().split_once('=').unwrap().1.to_owned();
    let secrets = [
        ("token", good.token.as_str()),
        ("dead token", &dying.token),
        ("token of jonas", &of_jonas.token),
        ("token of both", &of_both.token),
        ("webhook", "s3cret-of-gone"),
        ("webhook's secret", &signing),
        ("webhook of the account", "s3cret-of-globex"),
        ("mailed secret", confirm),
        ("one-time link", link.expose()),
        ("state", &state),
        ("session", &session),
        ("key", acme.secret_part()),
        ("other key", globex.secret_part()),
        ("revoked key", revoked.secret_part()),
        ("third key", &hooks.text.expose()[21..]),
    ];
    // What nobody but Gone and those of the account should read anywhere.
    let words = ["gone@example.com", "hubot"];
    assert!(settings.text().contains("hooks.example.com"), "the owner sees it");

    let named = |runtime: &str, account: &str| -> Named {
        let other = runtime.replace("paste", "nonsense");
        vec![
            ("runtime", runtime.into(), other),
            ("account", account.into(), "nowhere".into()),
            ("credential", credential.clone(), "0".repeat(credential.len())),
            ("notice", notice.to_string(), "999999999".into()),
            ("confirm", confirm.into(), "nothing-that-was-ever-mailed-to-anybody-ever".into()),
            ("key", globex.public_id().into(), "AAAAAAAAAAAAAAAA".into()),
            ("user", gone_id.to_string(), "0".repeat(gone_id.as_str().len())),
            ("name", "gone".into(), "nobody".into()),
            ("login", "hubot".into(), "robot".into()),
            ("address", "gone@example.com".into(), "none@example.com".into()),
            ("token", of_both.token.clone(), of_both.token.clone()),
            ("git_url", acme.git_url.clone(), acme.git_url.clone()),
        ]
    };
    // A member of the same account has the same runtimes, with other tokens.
    let shared = || -> Named {
        let mut named = named("acme.paste", "acme");
        named[0].2 = "acme.paste".into();
        named
    };
    let before = site.dump().await;
    let marks = |name: &str, id: &UserId| -> Vec<String> {
        let sessions = before.0["sessions"].iter().filter(|row| row.contains(id.as_str()));
        let sessions = sessions.map(|row| row.split(" | ").next().unwrap().to_owned());
        let mut marks: Vec<String> = sessions.collect();
        assert_eq!(marks.len(), 1, "{name}");
        marks.push(format!("'{id}'"));
        marks
    };
    let (mara_id, both_id, jonas_id) =
        (id_of(&site, "mara").await, id_of(&site, "both").await, id_of(&site, "jonas").await);
    let anonymous = site.anonymous();
    let browser =
        |what, browser, marks, named| Principal { what, caller: Caller::Browser(browser), marks, named };
    // When a key was last used, and what was fetched with it, is written a little later.
    let machines = || ["runtime_keys: ", "holdings: "].map(str::to_owned).to_vec();
    let machine =
        |what, machine, named| Principal { what, caller: Caller::Machine(machine), marks: machines(), named };
    let principals = [
        browser("nobody", &anonymous, vec![], named("acme.paste", "acme")),
        browser("a member", &both, marks("both", &both_id), shared()),
        browser("a stranger", &jonas, marks("jonas", &jonas_id), named("acme.paste", "acme")),
        browser("an admin", &mara, marks("mara", &mara_id), named("globex.paste", "globex")),
        machine("a key", &acme, named("acme.paste", "acme")),
        machine("another key", &globex, named("acme.paste", "acme")),
        machine("a revoked key", &revoked, named("acme.paste", "acme")),
    ];
    let (mut wrong, mut last) = (Vec::new(), site.dump().await);
    for principal in &principals {
        for one in TRIES {
            let (asked, said, answer) = one.send(principal, &principal.named, true).await;
            let mut found = Vec::new();
            let is_own = principal.what == "a key" && one.path.starts_with("/runtime/");
            // The one door, and whose it is.
            let is_door = (principal.what, one.path) == ("a key", CREDENTIAL);
            let text = String::from_utf8_lossy(&answer.body);
            for (name, secret) in secrets {
                let shown = text.contains(secret) && !asked.contains(secret);
                if shown != (is_door && name == "token") {
                    found.push(format!("{name}: {}", if shown { "leaks" } else { "is missing" }));
                }
            }
            for word in words {
                if text.contains(word) && !asked.contains(word) && !is_own {
                    found.push(format!("tells of {word}"));
                }
            }
            if answer.status.is_server_error() && !one.path.ends_with("/address") {
                found.push(answer.status.to_string());
            }
            if one.of(&principal.named, false) != one.of(&principal.named, true) && !is_own {
                let (_, nothing, _) = one.send(principal, &principal.named, false).await;
                if said != nothing {
                    found.push(format!("is told apart:\n{said}\n{nothing}"));
                }
            }
            let after = site.dump().await;
            for row in changed(&last, &after) {
                let own = principal.marks.iter().any(|mark| row.contains(mark));
                if !own || (row.contains(gone_id.as_str()) && !row.starts_with("holdings: ")) {
                    found.push(format!("changes {row}"));
                }
            }
            last = after;
            wrong.extend(found.iter().map(|found| format!("{}, {}: {found}", principal.what, asked)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // And all of it is still there.
    for row in changed(&before, &last).iter().filter(|row| !row.starts_with("holdings: ")) {
        assert!(!row.contains(gone_id.as_str()), "{row}");
    }
    assert_eq!(gone.health("acme.paste").await, "Valid");
}
