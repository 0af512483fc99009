//! Every route against everybody who may not come in: refused, with a fitting status, and nothing has changed.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::http::{Method, StatusCode};
use server::web::{Door, routes};

use crate::{
    database::assert_same,
    site::{Answer, Ask, Browser, TestSite},
};

/// A route, and how it is used by those who may. `{credential}` stands for one of the owner.
pub struct Use {
    pub method: Method,
    /// As the router spells it.
    pub route: &'static str,
    /// As a browser asks for it.
    pub path: &'static str,
    form: &'static [(&'static str, &'static str)],
    pub kind: Kind,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// For people who are signed in.
    Page,
    /// For anybody.
    OpenPage,
    /// A page about a runtime.
    RuntimePage,
    /// A page for the admins of an account, and its forms.
    Admin,
    /// A server function about nobody's objects in particular.
    Function,
    /// A server function about a runtime.
    RuntimeFunction,
    /// A server function for anybody; the form holds what nobody should get away with.
    OpenFunction,
    Connect,
    Callback,
    /// What open pages listen to.
    Stream,
    /// For runtimes, by their key.
    Machine,
    /// Files, health and descriptions.
    Open,
}

const RUNTIME: (&str, &str) = ("runtime", "acme.production");
const ID: (&str, &str) = ("id", "acme.production");

const ADMIN: &str = "/admin/runtimes/{runtime}";

pub fn uses() -> Vec<Use> {
    let page = |route, path, kind| Use { method: Method::GET, route, path, form: &[], kind };
    let function = |route, form, kind| Use { method: Method::POST, route, path: route, form, kind };
    vec![
        page("/", "/", Kind::Page),
        page("/tokens", "/tokens", Kind::Page),
        page("/tokens/{runtime}", "/tokens/acme.production", Kind::RuntimePage),
        page("/tokens/{runtime}/delete", "/tokens/acme.production/delete", Kind::RuntimePage),
        page("/notifications", "/notifications", Kind::Page),
        page("/notifications/settings", "/notifications/settings", Kind::Page),
        page("/notifications/confirm", "/notifications/confirm?secret=guess", Kind::Page),
        page("/password", "/password", Kind::Page),
        page("/events", "/events", Kind::Stream),
        page("/sign-in", "/sign-in", Kind::OpenPage),
        page("/setup/{secret}", "/setup/guess", Kind::OpenPage),
        page("/welcome/{secret}", "/welcome/guess", Kind::OpenPage),
        function("/api/person/visitor", &[], Kind::Function),
        function("/api/person/sign-out", &[], Kind::Function),
        function(
            "/api/person/change-password",
            &[("current", crate::site::PASSWORD), ("new", "another sentence, as long")],
            Kind::Function,
        ),
        function(
            "/api/person/sign-in",
            &[("name", "mara"), ("password", "guessed wrong")],
            Kind::OpenFunction,
        ),
        function("/api/person/one-time-link", &[("secret", "guess")], Kind::OpenFunction),
        function(
            "/api/person/redeem-link",
            &[("secret", "guess"), ("name", "eve"), ("password", "another sentence, as long")],
            Kind::OpenFunction,
        ),
        function("/api/token/table", &[], Kind::Function),
        function("/api/part", &[("part", "Home")], Kind::Function),
        function("/api/part", &[("part", "Password")], Kind::Function),
        function("/api/part", &[("part", "Runtime"), ID], Kind::RuntimeFunction),
        function("/api/part", &[("part", "AccessDialog"), ID], Kind::RuntimeFunction),
        function("/api/part", &[("part", "Delete"), ID], Kind::RuntimeFunction),
        function("/api/part", &[("part", "DeleteDialog"), ID], Kind::RuntimeFunction),
        function("/api/part", &[("part", "Once"), ("id", "guess")], Kind::OpenFunction),
        function("/api/part", &[("part", "Course"), ID], Kind::RuntimeFunction),
        function("/api/part", &[("part", "Notices")], Kind::Function),
        function("/api/part", &[("part", "NoticeSettings")], Kind::Function),
        function("/api/part", &[("part", "Confirm"), ("id", "guess")], Kind::Function),
        function("/api/notice/read", &[("id", "1")], Kind::Function),
        function("/api/notice/read-all", &[("up_to", "1")], Kind::Function),
        function("/api/notice/tell-me", &[("on", "false")], Kind::Function),
        function("/api/notice/mail", &[("mode", "Each"), ("hour", "7")], Kind::Function),
        function("/api/notice/address", &[("address", "eve@evil.example")], Kind::Function),
        function("/api/notice/confirm-address", &[("secret", "guess")], Kind::Function),
        function("/api/notice/forget-address", &[], Kind::Function),
        function(
            "/api/notice/webhook",
            &[("url", "https://evil.example"), ("format", "Slack")],
            Kind::Function,
        ),
        function("/api/notice/remove-webhook", &[], Kind::Function),
        function("/api/token/access", &[RUNTIME], Kind::RuntimeFunction),
        function("/api/token/add", &[RUNTIME, ("token", "{token}")], Kind::RuntimeFunction),
        function("/api/token/reuse", &[RUNTIME, ("credential", "{credential}")], Kind::RuntimeFunction),
        function("/api/token/settle-account", &[RUNTIME, ("take", "true")], Kind::RuntimeFunction),
        function("/api/token/delete", &[RUNTIME], Kind::RuntimeFunction),
        function("/api/token/check", &[RUNTIME], Kind::RuntimeFunction),
        function("/api/runtime/hide-notifications", &[RUNTIME, ("hide", "true")], Kind::RuntimeFunction),
        Use {
            method: Method::POST,
            route: "/connect/{runtime}",
            path: "/connect/acme.production",
            form: &[],
            kind: Kind::Connect,
        },
        page("/audit", "/audit", Kind::Page),
        page("/audit/export", "/audit/export?format=csv", Kind::Page),
        page("/admin/accounts/{account}/audit", "/admin/accounts/acme/audit", Kind::Admin),
        page(
            "/admin/accounts/{account}/audit/export",
            "/admin/accounts/acme/audit/export?format=csv",
            Kind::Admin,
        ),
        page(ADMIN, "/admin/runtimes/acme.production", Kind::Admin),
        Use {
            method: Method::POST,
            route: ADMIN,
            path: "/admin/runtimes/acme.production",
            form: &[("what", "create")],
            kind: Kind::Admin,
        },
        page("/callback/{provider}", "/callback/forge?state=guess&code=guess", Kind::Callback),
        function("/runtime/v1/credential", &[], Kind::Machine),
        function("/runtime/v1/credential/report", &[], Kind::Machine),
        page("/runtime/v1/users", "/runtime/v1/users", Kind::Machine),
        page("/runtime/v1/changes", "/runtime/v1/changes", Kind::Machine),
        page("/runtime/v1/openapi.json", "/runtime/v1/openapi.json", Kind::Open),
        page("/runtime/v1/docs", "/runtime/v1/docs", Kind::Open),
        page("/pkg/{*file}", "/pkg/gitward.h4sh.js", Kind::Open),
        page("/favicon.svg", "/favicon.svg", Kind::Open),
        page("/robots.txt", "/robots.txt", Kind::Open),
        page("/healthz", "/healthz", Kind::Open),
        page("/readyz", "/readyz", Kind::Open),
    ]
}

/// What somebody gets who is a stranger here.
#[track_caller]
fn assert_stranger(it: &Use, answer: &Answer, what: &str) {
    let what = format!("{what}: {} {}", it.method, it.route);
    match it.kind {
        Kind::Page | Kind::RuntimePage | Kind::Admin | Kind::Connect | Kind::Callback => {
            assert_eq!(answer.status, StatusCode::SEE_OTHER, "{what}");
            assert!(answer.location().starts_with("/sign-in"), "{what}: {}", answer.location());
        }
        Kind::Function | Kind::RuntimeFunction => {
            assert_eq!(
                (answer.status, answer.error()),
                (StatusCode::UNAUTHORIZED, "SignInNeeded".into()),
                "{what}"
            );
        }
        Kind::Stream => assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{what}"),
        Kind::OpenFunction => assert!(answer.status.is_client_error(), "{what}: {}", answer.status),
        Kind::OpenPage => {
            assert!([StatusCode::OK, StatusCode::GONE].contains(&answer.status), "{what}: {}", answer.status);
        }
        Kind::Machine => assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{what}"),
        Kind::Open => assert_eq!(answer.status, StatusCode::OK, "{what}"),
    }
}

/// A site where Mara has tokens, and what they are called.
pub struct Scene {
    pub site: TestSite,
    pub mara: Browser,
    credential: String,
    token: String,
}

impl Scene {
    pub async fn set() -> Self {
        let site = TestSite::start().await;
        let mara = site.person("mara").await;
        let made = site.forge.good_token().await;
        for runtime in ["acme.production", "acme.staging"] {
            mara.paste(runtime, &made.token).await.assert_ok();
        }
        let question = "SELECT credential_id FROM assignments WHERE runtime_id = 'acme.staging'";
        let credential = crate::database::ask(&site.database(), question).await;
        Self { site, mara, credential, token: made.token }
    }

    pub fn ask<'b>(&self, browser: &'b Browser, it: &Use) -> Ask<'b> {
        let ask = browser.ask(it.method.clone(), it.path).header("accept", "application/json");
        if it.method == Method::GET {
            return ask;
        }
        let form: Vec<(&str, &str)> = it
            .form
            .iter()
            .map(|(name, value)| match *value {
                "{credential}" => (*name, self.credential.as_str()),
                "{token}" => (*name, self.token.as_str()),
                value => (*name, value),
            })
            .collect();
        ask.form(&form)
    }
}

#[tokio::test]
async fn every_route_is_known_here_and_every_door_is_meant() {
    let listed: BTreeSet<(String, String)> =
        routes().into_iter().map(|route| (route.method.to_string(), route.path)).collect();
    let known: BTreeSet<(String, String)> =
        uses().iter().map(|it| (it.method.to_string(), it.route.to_owned())).collect();
    assert_eq!(listed, known);
    for route in routes() {
        let open = uses()
            .iter()
            .filter(|it| it.route == route.path)
            .any(|it| matches!(it.kind, Kind::Open | Kind::OpenPage | Kind::OpenFunction));
        assert_eq!(route.door == Door::Open, open, "{}", route.path);
    }
}

/// The list of routes is written by hand where routes are: a route that is only in the router would be missed.
#[tokio::test]
async fn every_route_of_our_own_is_in_the_list() {
    let source = concat!(
        include_str!("../../src/web.rs"),
        include_str!("../../src/web/asset.rs"),
        include_str!("../../src/web/audit.rs"),
        include_str!("../../src/web/runtime_admin.rs"),
        include_str!("../../src/web/runtime_api.rs"),
    );
    let calls: usize = [".route(", ".route_service(", ".nest_service("]
        .iter()
        .map(|call| source.matches(call).count())
        .sum();
    let pages = server::web::pages().len();
    let functions = leptos::server_fn::axum::server_fn_paths().count();
    assert_eq!(routes().len(), pages + functions + calls);
}

#[tokio::test]
async fn no_server_function_answers_to_get() {
    let functions: Vec<_> = routes().into_iter().filter(|route| route.path.starts_with("/api/")).collect();
    assert!(functions.len() > 10);
    for function in functions {
        assert_eq!(function.method, Method::POST, "{}", function.path);
    }
}

#[tokio::test]
async fn strangers_get_nothing() {
    let scene = Scene::set().await;
    let anonymous = scene.site.anonymous();
    let garbage = scene.site.anonymous();
    garbage.take_cookie("gitward=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
    let before = scene.site.dump().await;
    scene.site.forge.forget_requests().await;
    for it in uses() {
        assert_stranger(&it, &scene.ask(&anonymous, &it).send().await, "without a cookie");
        assert_stranger(&it, &scene.ask(&garbage, &it).send().await, "with a made-up cookie");
        assert_same(&before, &scene.site.dump().await, it.route);
    }
    assert_eq!(scene.site.forge.requests().await, [] as [String; 0], "the provider was not asked");
}

#[tokio::test]
async fn a_session_that_is_over_opens_nothing() {
    let scene = Scene::set().await;
    scene.site.clock.advance(Duration::from_secs(30 * 60));
    let before = scene.site.dump().await;
    scene.site.forge.forget_requests().await;
    for it in uses() {
        assert_stranger(&it, &scene.ask(&scene.mara, &it).send().await, "after half an hour");
        assert_same(&before, &scene.site.dump().await, it.route);
    }
    assert_eq!(scene.site.forge.requests().await, [] as [String; 0], "the provider was not asked");
}

#[tokio::test]
async fn other_people_find_nothing_there() {
    let scene = Scene::set().await;
    let jonas = scene.site.person("jonas").await;
    let before = scene.site.dump().await;
    scene.site.forge.forget_requests().await;
    for it in uses() {
        if matches!(it.kind, Kind::RuntimeFunction | Kind::RuntimePage | Kind::Admin | Kind::Connect) {
            let answer = scene.ask(&jonas, &it).send().await;
            match it.kind {
                Kind::Connect => assert_eq!(answer.location(), "/tokens/acme.production"),
                Kind::RuntimePage | Kind::Admin => {
                    assert_eq!(answer.status, StatusCode::NOT_FOUND, "{}", it.route)
                }
                _ => assert_eq!(
                    (answer.status, answer.error()),
                    (StatusCode::NOT_FOUND, "NotFound".into()),
                    "{}",
                    it.route
                ),
            }
            assert_same(&before, &scene.site.dump().await, it.route);
        }
    }
    assert_eq!(scene.site.forge.requests().await, [] as [String; 0], "the provider was not asked");
}

#[tokio::test]
async fn other_sites_change_nothing() {
    let scene = Scene::set().await;
    let before = scene.site.dump().await;
    scene.site.forge.forget_requests().await;
    // What takes a key takes it from nowhere in particular, and no cookie.
    for it in uses().iter().filter(|it| it.method != Method::GET && it.kind != Kind::Machine) {
        let ask = || scene.ask(&scene.mara, it).without("sec-fetch-site").without("origin");
        let shapes = [
            ("from another site", ask().header("sec-fetch-site", "cross-site")),
            (
                "from another site that lies",
                ask().header("sec-fetch-site", "cross-site").header("origin", "http://127.0.0.1:3000"),
            ),
            ("from a sibling", ask().header("sec-fetch-site", "same-site")),
            ("from an older browser elsewhere", ask().header("origin", "https://evil.example")),
            ("from another port", ask().header("origin", "http://127.0.0.1:3001")),
            ("from a sandbox", ask().header("origin", "null")),
            ("from nowhere", ask()),
            ("as text from nowhere", ask().body("text/plain", "runtime=acme.production")),
            ("with nonsense", ask().header("sec-fetch-site", "same-origin, cross-site")),
        ];
        for (what, shape) in shapes {
            let answer = shape.send().await;
            assert_eq!(answer.status, StatusCode::FORBIDDEN, "{what}: {} {}", it.route, answer.text());
            assert!(answer.text().len() > 20, "{what}: {} says why", it.route);
        }
        let text = scene.ask(&scene.mara, it).header("content-type", "text/plain").send().await;
        assert_eq!(text.status, StatusCode::UNSUPPORTED_MEDIA_TYPE, "as text: {}", it.route);
        let json = scene
            .ask(&scene.mara, it)
            .body("application/json", "{\"runtime\":\"acme.production\"}")
            .send()
            .await;
        assert_eq!(json.status, StatusCode::UNSUPPORTED_MEDIA_TYPE, "as JSON: {}", it.route);
        assert_same(&before, &scene.site.dump().await, it.route);
    }
    assert_eq!(scene.site.forge.requests().await, [] as [String; 0], "the provider was not asked");
}

#[tokio::test]
async fn other_methods_are_refused() {
    let scene = Scene::set().await;
    let before = scene.site.dump().await;
    for it in uses() {
        for method in [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
            if uses().iter().any(|other| other.route == it.route && other.method == method) {
                continue;
            }
            let answer = scene.mara.ask(method.clone(), it.path).send().await;
            let refused = match it.kind {
                Kind::Machine => {
                    [StatusCode::UNAUTHORIZED, StatusCode::TOO_MANY_REQUESTS].contains(&answer.status)
                }
                _ => answer.status == StatusCode::METHOD_NOT_ALLOWED,
            };
            assert!(refused, "{method} {}: {}", it.route, answer.status);
        }
        assert_same(&before, &scene.site.dump().await, it.route);
    }
}

#[tokio::test]
async fn a_site_that_starts_keeps_no_page_of_another_waiting() {
    let site = TestSite::start().await;
    let mara = site.person("mara").await;
    let other = Arc::clone(&site.site);
    let stop = Arc::new(AtomicBool::new(false));
    let starting = {
        let stop = Arc::clone(&stop);
        std::thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                drop(server::web::router(&other).unwrap());
            }
        })
    };
    for _ in 0..50 {
        mara.get("/").await.assert_ok();
    }
    stop.store(true, Ordering::Relaxed);
    starting.join().unwrap();
}

#[tokio::test]
async fn an_address_that_is_no_route_is_not_there() {
    let scene = Scene::set().await;
    let before = scene.site.dump().await;
    for path in
        ["/nonsense", "/api/token/nonsense", "/pkg/nonsense.js", "/connect", "/callback", "/tokens/a/b/c"]
    {
        let answer = scene.mara.get(path).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
        let answer = scene.mara.ask(Method::POST, path).form(&[]).send().await;
        assert!(
            [StatusCode::NOT_FOUND, StatusCode::METHOD_NOT_ALLOWED].contains(&answer.status),
            "{path}: {}",
            answer.status
        );
    }
    assert_same(&before, &scene.site.dump().await, "nonsense");
}
