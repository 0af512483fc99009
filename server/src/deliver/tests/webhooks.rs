use super::*;

fn webhooks(private: bool, timeout: Duration, address: Option<&str>) -> Webhooks {
    let settings = crate::provider::http::HttpSettings {
        timeout,
        connect_timeout: timeout,
        ..Webhooks::settings(private)
    };
    let outgoing = match address {
        Some(address) => Outgoing::with_lookup(&settings, Arc::new(Answers(address.parse().unwrap()))),
        None => Outgoing::new(&settings),
    };
    Webhooks::over(outgoing.unwrap(), private)
}

async fn house(timeout: Duration) -> House {
    House::build(Plan { webhooks: Some(webhooks(true, timeout, None)), ..Plan::default() }).await
}

/// A target, and mara whose webhook leads there; with the secret that signs.
async fn begin(format: WebhookFormat) -> (Hook, House, Option<Secret>) {
    let hook = Hook::start().await;
    let house = house(UNHURRIED).await;
    let secret = house.settings.set_webhook(&mara(), &hook.url(), format).await.unwrap();
    (hook, house, secret)
}

/// By somebody else's implementation, which takes the time from the message as it would after looking at its clock.
fn verifies(secret: &Secret, message: &hook::Received, body: &[u8]) -> bool {
    let verifier = standardwebhooks::Webhook::new(secret.expose()).unwrap();
    let at = message.header("webhook-timestamp").parse().unwrap();
    let expected = verifier.sign(message.header("webhook-id"), at, body).unwrap();
    message.header("webhook-signature").split(' ').any(|signature| signature == expected)
}

fn is_waiting(progress: Progress) -> bool {
    matches!(progress, Progress::Waiting(_))
}

#[tokio::test]
async fn a_notice_arrives_signed_and_anybody_can_verify_it() {
    let (hook, house, secret) = begin(WebhookFormat::Standard).await;
    let secret = secret.unwrap();
    let detail =
        Detail { days: Some(7), ends_at: Some(house.clock.now().plus(DAY * 7)), ..Detail::default() };
    house.happens(Kind::Expiring, detail).await;
    house.deliver().await;
    let messages = hook.messages();
    let [message] = &messages[..] else { panic!("one message, not {}", messages.len()) };
    assert_eq!(message.path, "/hook?key=canary-in-the-url");
    assert_eq!(message.header("content-type"), "application/json");
    assert!(verifies(&secret, message, &message.body));
    assert_eq!(message.header("webhook-timestamp"), house.clock.now().seconds().to_string());
    let mut forged = message.body.clone();
    forged.push(b' ');
    assert!(!verifies(&secret, message, &forged));
    insta::assert_snapshot!(serde_json::to_string_pretty(&message.json()).unwrap(), @r#"
    {
      "data": {
        "account": {
          "id": "acme",
          "name": "Acme"
        },
        "days": 7,
        "ends_at": "2026-11-29T12:00:00Z",
        "provider": {
          "id": "github",
          "name": "github"
        },
        "runtime": {
          "id": "acme.production",
          "name": "production"
        },
        "text": "It ends on 29 November 2026, 12:00 UTC. Replace it before then.",
        "title": "Expires within 7 days",
        "url": "https://gitward.example.com/tokens/acme.production",
        "user": "mara"
      },
      "timestamp": "2026-11-22T12:00:00Z",
      "type": "token.expiring"
    }
    "#);
    assert_eq!(house.only().await, (Progress::Delivered, 1, "answered 204".to_owned()));
    house.clock.advance(DAY * 30);
    house.deliver().await;
    assert_eq!(hook.messages().len(), 1, "once");
}

#[test]
fn signatures_are_those_of_the_standard() {
    // The example of the specification's own libraries.
    let secret = Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
    let at = Timestamp::from_seconds(1_614_265_330);
    let signed = signature(&secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", at, br#"{"test": 2432232314}"#);
    assert_eq!(signed.as_deref(), Some("v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="));
    for wrong in
        ["", "whsec_", "whsec_MfKQ", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_not base64 at all not base64"]
    {
        assert_eq!(signature(&Secret::new(wrong), "id", at, b""), None, "{wrong}");
    }
}

#[test]
fn signing_secrets_are_of_32_random_bytes() {
    let entropy = TestEntropy::new(1);
    let secrets = [new_signing_secret(&entropy).unwrap(), new_signing_secret(&entropy).unwrap()];
    assert_ne!(secrets[0].expose(), secrets[1].expose());
    for secret in secrets {
        assert!(super::super::webhook::is_signing_secret(&secret));
        assert_eq!(secret.expose().len(), "whsec_".len() + 44);
    }
}

#[tokio::test]
async fn a_chat_gets_one_text_without_a_signature() {
    let (hook, house, secret) = begin(WebhookFormat::Slack).await;
    assert!(secret.is_none());
    let login = Some("<!channel> & *co* <https://evil.example|click>".to_owned());
    house.happens(Kind::AccountChanged, Detail { login, ..Detail::default() }).await;
    house.deliver().await;
    let message = hook.messages().remove(0);
    assert_eq!(message.header("webhook-signature"), "");
    let text = message.json()["text"].as_str().unwrap().to_owned();
    assert!(text.starts_with(
        "*<https://gitward.example.com/tokens/acme.production|production (Acme): Another account>*\n"
    ));
    assert!(!text.contains("<!channel>") && !text.contains("<https://evil"), "{text}");
    assert!(text.contains("&lt;!channel&gt; &amp;"), "{text}");
}

#[tokio::test]
async fn what_goes_wrong_is_tried_again_under_the_same_id() {
    let bad_days = [
        (Answer::status(500), "answered 500"),
        (Answer::status(404), "answered 404"),
        (Answer::status(429), "answered 429"),
        (Answer::HangsUp, "connection lost"),
    ];
    for (answer, said) in bad_days {
        let (hook, house, secret) = begin(WebhookFormat::Standard).await;
        hook.answers(answer);
        house.happens(Kind::Invalid, Detail::default()).await;
        house.deliver().await;
        let (progress, attempts, last) = house.only().await;
        assert_eq!((is_waiting(progress), attempts, last.as_str()), (true, 1, said));
        let trouble = house.settings.view(&mara()).await.unwrap().webhook_trouble.unwrap();
        assert_eq!(trouble.answer, said);
        house.clock.advance(Duration::from_secs(4));
        house.deliver().await;
        assert_eq!(hook.messages().len(), 1, "not before its time");
        house.clock.advance(Duration::from_secs(2));
        hook.answers(Answer::status(200));
        house.deliver().await;
        let messages = hook.messages();
        assert_eq!(messages.len(), 2);
        assert_eq!(messages[0].header("webhook-id"), messages[1].header("webhook-id"));
        assert_ne!(messages[0].header("webhook-timestamp"), messages[1].header("webhook-timestamp"));
        assert_eq!(messages[0].body, messages[1].body);
        assert!(verifies(&secret.unwrap(), &messages[1], &messages[1].body));
        assert_eq!(house.only().await, (Progress::Delivered, 2, "answered 200".to_owned()));
        assert_eq!(house.settings.view(&mara()).await.unwrap().webhook_trouble, None);
    }
}

#[tokio::test]
async fn a_webhook_that_fails_for_days_is_given_up_for_this_notice_and_gets_the_next() {
    let (hook, house, _) = begin(WebhookFormat::Standard).await;
    hook.answers(Answer::status(503));
    let begun = house.clock.now();
    house.happens(Kind::Invalid, Detail::default()).await;
    house.deliver().await;
    while let (Progress::Waiting(again), ..) = house.only().await {
        house.clock.set(again);
        house.deliver().await;
    }
    assert_eq!(house.only().await, (Progress::GivenUp, 10, "answered 503".to_owned()));
    let span = house.clock.now().since(begun);
    assert!((DAY * 3..DAY * 4).contains(&span), "{span:?}");
    hook.answers(Answer::status(200));
    house.happens(Kind::Expired, Detail::default()).await;
    house.deliver().await;
    assert_eq!(hook.messages().len(), 11);
    assert_eq!(house.log().await[0].progress, Progress::Delivered);
}

#[tokio::test]
async fn whoever_asks_for_patience_gets_it() {
    for patience in ["3600", "Sun, 22 Nov 2026 13:00:00 GMT"] {
        let (hook, house, _) = begin(WebhookFormat::Standard).await;
        hook.answers(Answer::Status(429, format!("retry-after: {patience}\r\n")));
        house.happens(Kind::Invalid, Detail::default()).await;
        house.deliver().await;
        let in_an_hour = Progress::Waiting(house.clock.now().plus(Duration::from_hours(1)));
        assert_eq!(house.only().await.0, in_an_hour, "{patience}");
    }
}

#[tokio::test]
async fn a_new_secret_is_shown_for_a_while_to_its_user_alone() {
    let (hook, house, secret) = begin(WebhookFormat::Standard).await;
    let secret = secret.unwrap();
    let shown = async |user: &UserId| {
        let secret = house.settings.new_secret(user).await.unwrap();
        secret.map(|secret| secret.expose().to_owned())
    };
    house.clock.advance(SECRET_SHOWN - Duration::from_secs(1));
    assert_eq!(shown(&mara()).await.as_deref(), Some(secret.expose()));
    assert_eq!(shown(&"jonas".into()).await, None);
    house.clock.advance(Duration::from_secs(1));
    assert_eq!(shown(&mara()).await, None);
    house.clock.set(house.clock.now().minus(DAY));
    assert_eq!(shown(&mara()).await, None, "nor by a clock that was set back");
    house.settings.set_webhook(&mara(), &hook.url(), WebhookFormat::Slack).await.unwrap();
    assert_eq!(shown(&mara()).await, None, "there is none");
    house.settings.remove_webhook(&mara()).await.unwrap();
    assert_eq!(shown(&mara()).await, None);
}

#[tokio::test]
async fn a_webhook_that_is_gone_is_switched_off_and_the_page_says_so() {
    let (hook, house, _) = begin(WebhookFormat::Standard).await;
    hook.answers(Answer::status(410));
    house.happens(Kind::Invalid, Detail::default()).await;
    house.happens(Kind::Expired, Detail::default()).await;
    house.deliver().await;
    assert_eq!(hook.messages().len(), 1);
    let view = house.settings.view(&mara()).await.unwrap();
    assert_eq!(view.webhook.unwrap().gone_at, Some(house.clock.now()));
    assert_eq!(view.log[1].answer.as_deref(), Some("answered 410: gone for good"));
    assert_eq!((view.log[0].progress, view.log[0].attempts), (Progress::Dropped, 1));
    house.happens(Kind::Invalid, Detail::default()).await;
    house.clock.advance(DAY);
    house.deliver().await;
    assert_eq!(hook.messages().len(), 1);
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let elsewhere = Hook::start().await;
    for status in [301, 302, 307, 308] {
        let (hook, house, _) = begin(WebhookFormat::Standard).await;
        hook.answers(Answer::Status(status, format!("location: {}\r\n", elsewhere.url())));
        house.happens(Kind::Invalid, Detail::default()).await;
        house.deliver().await;
        let (progress, _, answer) = house.only().await;
        assert!(is_waiting(progress));
        assert_eq!(answer, format!("answered {status}: redirects are not followed"));
        assert_eq!(hook.connections(), 1);
    }
    assert_eq!(elsewhere.connections(), 0);
}

#[tokio::test]
async fn a_webhook_that_never_answers_holds_up_nothing_but_itself() {
    let silent = Hook::start().await;
    silent.answers(Answer::Never);
    let healthy = Hook::start().await;
    let declared = DeclaredWebhook {
        target: Target { url: Secret::new(healthy.url()), secret: None },
        format: WebhookFormat::Slack,
    };
    let plan = Plan {
        webhooks: Some(webhooks(true, PATIENCE, None)),
        declared: HashMap::from([(("acme".into(), "chat".to_owned()), declared)]),
        ..Plan::default()
    };
    let house = House::build(plan).await;
    house.settings.set_webhook(&mara(), &silent.url(), WebhookFormat::Standard).await.unwrap();
    for kind in [Kind::Invalid, Kind::Expired] {
        house.happens(kind, Detail::default()).await;
    }
    house.deliver().await;
    assert_eq!(healthy.messages().len(), 2);
    let users: Vec<_> =
        house.log().await.into_iter().filter(|entry| entry.account_target.is_none()).collect();
    assert!(users.iter().all(|entry| is_waiting(entry.progress)), "{users:?}");
    assert!(users.iter().all(|entry| entry.answer.as_deref() == Some("no answer in 0.4 s")), "{users:?}");
}

#[tokio::test]
async fn an_endless_answer_is_not_read() {
    let (hook, house, _) = begin(WebhookFormat::Standard).await;
    hook.answers(Answer::Endless);
    house.happens(Kind::Invalid, Detail::default()).await;
    house.deliver().await;
    assert_eq!(house.only().await, (Progress::Delivered, 1, "answered 200".to_owned()));
    // What fits into the buffers of two sockets, and no more.
    assert!(hook.taken.load(Ordering::SeqCst) < 64 * 1024 * 1024);
}

#[test]
fn what_is_no_webhook_of_the_public_internet_is_refused_when_it_is_given() {
    let refused = [
        ("", Unfit::NotAUrl),
        ("hooks.example.com", Unfit::NotAUrl),
        ("ftp://hooks.example.com", Unfit::NotAUrl),
        ("javascript:alert(1)", Unfit::NotAUrl),
        ("http://hooks.example.com", Unfit::NotHttps),
        ("https://name:password@hooks.example.com/", Unfit::Userinfo),
        ("https://localhost/", Unfit::Private),
        ("http://localhost/", Unfit::Private),
        ("https://hooks.localhost/", Unfit::Private),
        ("https://127.0.0.1/", Unfit::Private),
        ("https://127.1/", Unfit::Private),
        ("https://2130706433/", Unfit::Private),
        ("https://0x7f000001/", Unfit::Private),
        ("https://10.0.0.1/", Unfit::Private),
        ("https://172.16.0.1:8443/", Unfit::Private),
        ("https://192.168.1.1/", Unfit::Private),
        ("https://100.64.0.1/", Unfit::Private),
        ("https://169.254.169.254/latest/meta-data", Unfit::Private),
        ("https://0.0.0.0/", Unfit::Private),
        ("https://192.0.2.1/", Unfit::Private),
        ("https://198.18.0.1/", Unfit::Private),
        ("https://[::1]/", Unfit::Private),
        ("https://[fd12:3456::1]/", Unfit::Private),
        ("https://[fe80::1]/", Unfit::Private),
        ("https://[::ffff:10.0.0.1]/", Unfit::Private),
        ("https://[64:ff9b::10.0.0.1]/", Unfit::Private),
        ("https://[2002:a00:1::]/", Unfit::Private),
        ("https://[2001:db8::1]/", Unfit::Private),
    ];
    for (url, unfit) in refused {
        assert_eq!(super::super::webhook::fit(url, false), Err(unfit), "{url}");
    }
    for url in
        ["https://hooks.example.com/a?b=c#d", "https://93.184.215.14:8443/", "https://[2606:4700::1111]/x"]
    {
        assert!(super::super::webhook::fit(url, false).is_ok(), "{url}");
    }
    for url in ["https://10.0.0.1/", "http://localhost:9/x", "https://[fd12:3456::1]/"] {
        assert!(super::super::webhook::fit(url, true).is_ok(), "{url}: the operator allowed it");
    }
    for url in ["https://169.254.169.254/", "http://10.0.0.1/", "https://[fe80::1]/"] {
        assert!(super::super::webhook::fit(url, true).is_err(), "{url}: nobody may");
    }
}

#[tokio::test]
async fn a_name_that_leads_to_a_private_address_is_never_connected_to() {
    let hook = Hook::start().await;
    for address in ["127.0.0.1", "10.0.0.1", "169.254.169.254", "::1", "fd00::1", "::ffff:127.0.0.1"] {
        let plan = Plan { webhooks: Some(webhooks(false, UNHURRIED, Some(address))), ..Plan::default() };
        let house = House::build(plan).await;
        let url = format!("https://hooks.example.com:{}/", hook.port);
        house.settings.set_webhook(&mara(), &url, WebhookFormat::Standard).await.unwrap();
        house.happens(Kind::Invalid, Detail::default()).await;
        house.deliver().await;
        let (progress, _, answer) = house.only().await;
        assert!(is_waiting(progress), "{address}");
        assert_eq!(answer, "not sent: it is at an address that Gitward may not connect to", "{address}");
    }
    assert_eq!(hook.connections(), 0);
}

#[tokio::test]
async fn what_the_operator_no_longer_allows_is_not_sent() {
    let (hook, house, _) = begin(WebhookFormat::Standard).await;
    house.happens(Kind::Invalid, Detail::default()).await;
    let strict = Courier::new(&Parts {
        store: Arc::<SqliteStore>::clone(&house.store),
        keys: Arc::clone(&house.keys),
        mailer: None,
        webhooks: Arc::new(Webhooks::new(false).unwrap()),
        declared: HashMap::new(),
        mailboxes: HashMap::new(),
        registry: Arc::new(Registry::new(Vec::new(), Vec::new())),
        public_url: public_url(),
        clock: Arc::new(house.clock.clone()),
        entropy: Arc::new(TestEntropy::new(1)),
        under_way: TaskTracker::new(),
    });
    let house = House { courier: Arc::new(strict), ..house };
    house.deliver().await;
    assert_eq!(house.only().await.2, "not sent: it is in a private network");
    assert_eq!(hook.connections(), 0);
}

#[tokio::test]
async fn a_process_that_dies_after_sending_sends_again_under_the_same_id() {
    let (hook, house, _) = begin(WebhookFormat::Standard).await;
    house.happens(Kind::Invalid, Detail::default()).await;
    let now = house.clock.now();
    let job =
        house.store.take_deliveries(&Means::default(), now, now.plus(MINUTE * 2), 9).await.unwrap().remove(0);
    // It is sent, and that is the last that anybody heard of this process.
    house.courier.send(&job).await;
    house.deliver().await;
    assert_eq!(hook.messages().len(), 1, "somebody is at it");
    house.clock.advance(MINUTE * 2);
    house.deliver().await;
    let messages = hook.messages();
    assert_eq!(messages.len(), 2);
    assert_eq!(messages[0].header("webhook-id"), messages[1].header("webhook-id"));
    assert_eq!(messages[0].body, messages[1].body);
    assert_eq!(house.only().await, (Progress::Delivered, 2, "answered 204".to_owned()));
}

#[tokio::test]
async fn two_processes_deliver_every_notice_once() {
    const NOTICES: usize = 40;
    let (hook, house, _) = begin(WebhookFormat::Standard).await;
    for _ in 0..NOTICES {
        house.happens(Kind::Invalid, Detail::default()).await;
    }
    let another = Arc::new(SqliteStore::open(&house._folder.path().join("test.sqlite3")).await.unwrap());
    let second = Courier::new(&Parts {
        store: another,
        keys: Arc::clone(&house.keys),
        mailer: None,
        webhooks: Arc::new(webhooks(true, UNHURRIED, None)),
        declared: HashMap::new(),
        mailboxes: HashMap::new(),
        registry: Arc::new(Registry::new(Vec::new(), Vec::new())),
        public_url: public_url(),
        clock: Arc::new(house.clock.clone()),
        entropy: Arc::new(TestEntropy::new(1)),
        under_way: TaskTracker::new(),
    });
    let second = Arc::new(second);
    while house.log().await.iter().any(|entry| is_waiting(entry.progress)) {
        let (first, second) = tokio::join!(house.courier.round(), second.round());
        for task in first.unwrap().into_iter().chain(second.unwrap()) {
            task.await.unwrap();
        }
    }
    let messages = hook.messages();
    let ids: std::collections::HashSet<_> =
        messages.iter().map(|message| message.header("webhook-id").to_owned()).collect();
    assert_eq!((messages.len(), ids.len()), (NOTICES, NOTICES));
}

#[tokio::test]
async fn an_accounts_webhook_is_told_whose_token_it_is() {
    let hook = Hook::start().await;
    let secret = new_signing_secret(&TestEntropy::new(3)).unwrap();
    let declared = DeclaredWebhook {
        target: Target { url: Secret::new(hook.url()), secret: Some(secret.clone()) },
        format: WebhookFormat::Standard,
    };
    let plan = Plan {
        declared: HashMap::from([(("acme".into(), "platform".to_owned()), declared)]),
        ..Plan::default()
    };
    let house = House::build(plan).await;
    house.happens(Kind::Invalid, Detail::default()).await;
    house.deliver().await;
    let message = hook.messages().remove(0);
    assert_eq!(message.json()["data"]["user"], "mara");
    assert_eq!(message.json()["type"], "token.invalid");
    assert!(verifies(&secret, &message, &message.body));
    assert_eq!(house.log().await[0].account_target.as_deref(), Some("acme/platform"));
    house.store.declare_targets(&[] as &[AccountTarget]).await.unwrap();
    house.happens(Kind::Expired, Detail::default()).await;
    house.deliver().await;
    assert_eq!(hook.messages().len(), 1, "no longer declared");
}

#[tokio::test]
async fn a_notice_that_waits_outlives_jumps_of_the_clock() {
    for jump in [-(600_i64), 600, -3600, 31_536_000] {
        let (hook, house, _) = begin(WebhookFormat::Standard).await;
        hook.answers(Answer::status(500));
        house.happens(Kind::Invalid, Detail::default()).await;
        house.deliver().await;
        hook.answers(Answer::status(200));
        let now = house.clock.now();
        house.clock.set(Timestamp::from_seconds(now.seconds() + jump));
        house.deliver().await;
        // It is late by the jump at most, and is neither lost nor sent twice.
        house.clock.advance(Duration::from_secs(3700));
        house.deliver().await;
        assert_eq!(hook.messages().len(), 2, "{jump} s");
        assert_eq!(house.only().await.0, Progress::Delivered, "{jump} s");
        house.clock.set(now);
        house.deliver().await;
        assert_eq!(hook.messages().len(), 2, "{jump} s and back");
    }
}

#[tokio::test]
async fn neither_messages_nor_the_log_nor_the_database_hold_a_secret() {
    let (hook, house, secret) = begin(WebhookFormat::Standard).await;
    let secret = secret.unwrap();
    hook.answers(Answer::status(500));
    for kind in Kind::ALL {
        house
            .happens(kind, Detail { evidence: Some(Evidence::new("GET /user", "401")), ..Detail::default() })
            .await;
    }
    house.deliver().await;
    let view = house.settings.view(&mara()).await.unwrap();
    assert_eq!(view.webhook.as_ref().unwrap().shown, format!("http://127.0.0.1:{}", hook.port));
    let mut all = format!("{view:?}").into_bytes();
    for message in hook.messages() {
        all.extend(&message.body);
    }
    for file in std::fs::read_dir(house._folder.path()).unwrap() {
        let file = file.unwrap();
        if file.file_name() != "gitward.key" {
            all.extend(std::fs::read(file.path()).unwrap());
        }
    }
    let mut canaries = vec!["canary-in-the-url", "canary-of-the-webhook", secret.expose()];
    let bare = secret.expose().trim_start_matches("whsec_").to_owned();
    canaries.push(&bare);
    for canary in canaries {
        assert!(!all.windows(canary.len()).any(|window| window == canary.as_bytes()), "{canary}");
    }
    for message in hook.messages() {
        let text = String::from_utf8(message.body).unwrap();
        assert!(!text.contains("ghp_canary"), "{text}");
    }
}

#[tokio::test]
async fn while_it_serves_a_notice_leaves_by_itself_and_the_end_is_prompt() {
    let (hook, house, _) = begin(WebhookFormat::Standard).await;
    let serving = tokio::spawn(Arc::clone(&house.courier).run());
    house.happens(Kind::Invalid, Detail::default()).await;
    tokio::time::timeout(UNHURRIED, async {
        while house.log().await.iter().any(|entry| is_waiting(entry.progress)) {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
    assert_eq!(hook.messages().len(), 1);
    house.courier.stop();
    tokio::time::timeout(UNHURRIED, serving).await.unwrap().unwrap();
    house.happens(Kind::Expired, Detail::default()).await;
    assert!(is_waiting(house.log().await[0].progress), "the next process finds it");
}
