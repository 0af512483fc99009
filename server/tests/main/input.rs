//! What no form of ours sends: a clear status, a sentence, and nothing is stored.

use axum::http::{Method, StatusCode};
use serde_json::json;

use crate::{
    database::assert_same,
    doors::{Kind, uses},
    site::TestSite,
};

#[tokio::test]
async fn what_is_no_token_is_refused_before_anyone_is_asked() {
    let site = TestSite::start().await;
    let mara = site.person("mara").await;
    // That something was refused, and which boxes were ticked, is kept for the page.
    let before = site.dump().await.without("refusals");
    for (token, error) in [
        ("", "TokenEmpty"),
        (" \r\n\t ", "TokenEmpty"),
        ("ghp_a b", "TokenMalformed"),
        ("ghp_a\nb", "TokenMalformed"),
        ("ghp_a\r\nX-Evil: 1", "TokenMalformed"),
        ("ghp_a\0b", "TokenMalformed"),
        ("ghp_a\u{7f}b", "TokenMalformed"),
        ("ghp_\u{202e}b", "TokenMalformed"),
        ("tökén", "TokenMalformed"),
        (&"x".repeat(8 * 1024 + 1), "TokenTooLong"),
    ] {
        let answer = mara.paste("acme.paste", token).await;
        assert_eq!(answer.error(), error, "{token:?}");
        assert!(answer.status.is_client_error());
        let after = site.dump().await;
        assert_same(&before, &after, error);
        assert!(after.0["refusals"].iter().all(|row| row.len() < 200 && !row.contains("ghp_")), "{error}");
    }
    assert_eq!(site.forge.requests().await, [] as [String; 0]);
}

#[tokio::test]
async fn ten_thousand_ticked_boxes_are_as_good_as_those_that_exist() {
    let site = TestSite::start().await;
    let mara = site.person("mara").await;
    let good = site.forge.good_token().await;
    let narrow = site.forge.make(json!({ "user": "octocat", "kind": "classic", "scopes": ["gist"] })).await;
    let names: Vec<String> = (0..10_000).map(|number| format!("also[{number}]")).collect();
    for (token, path) in [
        (&narrow.token, "/api/token/add"),
        (&good.token, "/connect/acme.staging"),
        (&good.token, "/api/token/add"),
    ] {
        let mut form = vec![("runtime", "acme.paste"), ("token", token.as_str())];
        form.extend(names.iter().map(|name| (name.as_str(), "globex.paste")));
        let begun = tokio::time::Instant::now();
        let answer =
            mara.ask(Method::POST, path).header("accept", "application/json").form(&form).send().await;
        assert_ne!(answer.status, StatusCode::INTERNAL_SERVER_ERROR, "{path}");
        assert!(begun.elapsed().as_secs() < 5, "{path} took {:?}", begun.elapsed());
        let dump = site.dump().await;
        for (table, rows) in &dump.0 {
            for row in rows {
                assert!(row.len() < 3_000, "{table} keeps {} bytes of it", row.len());
                let declared = table == "runtimes" || row.contains("configuration.applied");
                assert!(declared || !row.contains("globex.paste"), "{table}");
            }
        }
    }
}

#[tokio::test]
async fn odd_runtimes_are_not_there() {
    let site = TestSite::start().await;
    let mara = site.person("mara").await;
    let before = site.dump().await;
    let long = "x".repeat(20_000);
    for runtime in [
        "..%2F..%2Fetc%2Fpasswd",
        "a%0d%0aSet-Cookie:%20a=b",
        "%00",
        "%ff%fe",
        "%E2%80%AE",
        "acme.paste%2Fdelete",
        "acme.paste;x",
        "'%20OR%201=1",
        &long,
    ] {
        for path in [format!("/tokens/{runtime}"), format!("/tokens/{runtime}/delete")] {
            let answer = mara.get(&path).await;
            assert!(
                [StatusCode::NOT_FOUND, StatusCode::BAD_REQUEST].contains(&answer.status),
                "{path:.80}: {}",
                answer.status
            );
        }
        let answer = mara.ask(Method::POST, &format!("/connect/{runtime}")).form(&[]).send().await;
        assert!(!answer.status.is_server_error(), "{runtime:.80}: {} {}", answer.status, answer.text());
        assert!(!answer.headers.contains_key("set-cookie"));
        if answer.status.is_redirection() {
            let place = answer.location();
            assert!(place.starts_with("/tokens/") && !place[8..].contains('/'), "{place:.80}");
        }
        let answer = mara.call("token/delete", &[("runtime", runtime)]).await;
        assert_eq!(
            (answer.status, answer.error()),
            (StatusCode::NOT_FOUND, "NotFound".into()),
            "{runtime:.80}"
        );
    }
    assert_same(&before, &site.dump().await, "odd runtimes");
}

#[tokio::test]
async fn forms_without_their_fields_are_bad_requests() {
    let site = TestSite::start().await;
    let mara = site.person("mara").await;
    let before = site.dump().await;
    let needs_fields = |path: &str| {
        let free = ["person/visitor", "person/sign-out", "token/table", "forget-address", "remove-webhook"];
        !free.iter().any(|free| path.ends_with(free))
    };
    for it in uses() {
        let is_function = matches!(it.kind, Kind::Function | Kind::RuntimeFunction | Kind::OpenFunction);
        if !is_function || !needs_fields(it.path) {
            continue;
        }
        for body in [
            &b""[..],
            b"nonsense",
            b"runtime[]=a&runtime[x]=b",
            b"runtime=\xff\xfe",
            b"runtime=%ff",
            b"&&&=",
            b"{\"runtime\":1}",
        ] {
            let ask = mara.ask(Method::POST, it.path).header("accept", "application/json");
            let answer = ask.body("application/x-www-form-urlencoded", body.to_vec()).send().await;
            let what = format!(
                "{} with {:?}: {} {}",
                it.path,
                String::from_utf8_lossy(body),
                answer.status,
                answer.text()
            );
            assert!([StatusCode::BAD_REQUEST, StatusCode::NOT_FOUND].contains(&answer.status), "{what}");
            assert!(["BadRequest", "NotFound"].contains(&answer.error().as_str()), "{what}");
        }
    }
    assert_same(&before, &site.dump().await, "empty forms");
}

#[tokio::test]
async fn odd_addresses_show_a_page_all_the_same() {
    let site = TestSite::start().await;
    let mara = site.person("mara").await;
    for path in [
        "/tokens?page=abc",
        "/tokens?page=99999999999999",
        "/tokens?page=-1",
        "/tokens?page=0",
        "/tokens?show=nonsense&q=%00",
        "/tokens?q=%ff",
        "/tokens?problem=%3Cscript%3Ealert(1)%3C/script%3E",
        "/tokens?did=%3Cscript%3Ealert(1)%3C/script%3E&runtime=%3Cscript%3Ealert(1)%3C/script%3E",
        "/tokens?__err=nonsense&__path=nonsense",
        "/sign-in?then=javascript:alert(1)",
        "/password?__err=IkludGVybmFsIg==&__path=/api/person/change-password",
    ] {
        let answer = mara.get(path).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}");
        assert!(!answer.text().contains("<script>alert(1)"), "{path}");
        assert!(!answer.text().contains("href=\"javascript:"), "{path}");
    }
    let list = mara.call("token/table", &[("filter", "<script>alert(1)</script>"), ("page", "7")]).await;
    list.assert_ok();
    assert!(!list.text().contains("<script>alert(1)"));
}

#[tokio::test]
async fn odd_answers_of_a_provider_are_refused() {
    let site = TestSite::start().await;
    let mara = site.person("mara").await;
    let there = mara.connect("acme.staging").await;
    let back = site.forge.agree("octocat", &there).await;
    let before = site.dump().await;
    let query = back.query().unwrap().to_owned();
    let state = query.split('&').find(|pair| pair.starts_with("state=")).unwrap();
    for query in [
        String::new(),
        "&&&".into(),
        "%ff=%ff".into(),
        "state".into(),
        format!("{query}&{state}"),
        format!("{query}&code=another"),
        format!("{query}&state=another"),
        "state[]=a&code[]=b".into(),
        format!("code={}", "x".repeat(50_000)),
    ] {
        let answer = mara.get(&format!("/callback/forge?{query}")).await;
        assert!(
            answer.location().starts_with("/tokens?problem=not-yours"),
            "{query:.80}: {}",
            answer.location()
        );
        assert_same(&before, &site.dump().await, "an odd answer");
    }
    assert!(mara.come_back(&back).await.location().starts_with("/tokens?did=added"));
}

#[tokio::test]
async fn odd_cookies_are_strangers() {
    let site = TestSite::start().await;
    site.person("mara").await;
    for cookie in [
        "gitward=",
        "gitward",
        "gitward=\u{e9}",
        "gitward=a; gitward=b",
        "=",
        ";;;",
        "gitward=\"x\"",
        "gitward=%00%ff",
    ] {
        let browser = site.anonymous();
        let answer = browser.ask(Method::GET, "/tokens").header("cookie", cookie).send().await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{cookie:?}");
        assert!(answer.location().starts_with("/sign-in"), "{cookie:?}");
    }
    let long = format!("gitward={}", "x".repeat(100_000));
    let answer = site.anonymous().ask(Method::GET, "/tokens").header("cookie", long).send().await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER);
}
