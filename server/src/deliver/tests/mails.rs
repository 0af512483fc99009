use super::*;

const ADDRESS: &str = "mara@example.com";

fn server(smtp: &Smtp, security: Security) -> MailServer {
    MailServer {
        host: "localhost".to_owned(),
        port: smtp.port,
        security,
        sign_in: None,
        from: "Gitward <gitward@example.com>".parse().unwrap(),
        roots: smtp.certificate.clone(),
    }
}

fn mailer_for(server: MailServer, patience: Duration) -> Mailer {
    Mailer::with_patience(server, public_url(), Patience { connect: patience, send: patience }).unwrap()
}

async fn house_with(smtp: &Smtp, security: Security, patience: Duration) -> House {
    let mailer = mailer_for(server(smtp, security), patience);
    House::build(Plan { mailer: Some(mailer), ..Plan::default() }).await
}

/// A mail server, and mara who wants a mail for each notice and has confirmed her address.
async fn begin() -> (Smtp, House) {
    let smtp = Smtp::start(Security::None).await;
    let house = house_with(&smtp, Security::None, UNHURRIED).await;
    confirmed(&house, &smtp).await;
    (smtp, house)
}

async fn confirmed(house: &House, smtp: &Smtp) {
    house.settings.set_mail(&mara(), MailMode::Each, 7).await.unwrap();
    assert_eq!(house.settings.give_address(&mara(), ADDRESS).await.unwrap(), AddressGiven::ConfirmationSent);
    let secret = secret_in(smtp);
    assert_eq!(house.settings.confirm(&mara(), &secret).await.unwrap(), Some(ADDRESS.to_owned()));
}

/// Of the last confirmation.
fn secret_in(smtp: &Smtp) -> Secret {
    let mail = read(smtp).pop().unwrap();
    let link = mail.text.lines().find(|line| line.starts_with("https://")).unwrap();
    let (page, secret) = link.split_once("?secret=").unwrap();
    assert_eq!(page, "https://gitward.example.com/notifications/confirm");
    Secret::new(secret)
}

#[derive(Clone, Debug, Eq, PartialEq)]
struct Mail {
    to: String,
    subject: String,
    id: String,
    text: String,
    html: String,
}

/// As somebody else's library reads it.
fn read(smtp: &Smtp) -> Vec<Mail> {
    let mails = smtp.mails();
    mails
        .iter()
        .map(|mail| {
            let message = MessageParser::default().parse(mail.data.as_bytes()).unwrap();
            Mail {
                to: mail.to.clone(),
                subject: message.subject().unwrap().to_owned(),
                id: message.message_id().unwrap().to_owned(),
                text: message.body_text(0).unwrap().into_owned(),
                html: message.body_html(0).unwrap().into_owned(),
            }
        })
        .collect()
}

fn expiring() -> (Kind, Detail) {
    let ends_at = Some(Timestamp::from_seconds(1_795_953_600));
    (Kind::Expiring, Detail { days: Some(7), ends_at, ..Detail::default() })
}

#[tokio::test]
async fn a_notice_comes_as_text_and_html_with_a_link_to_its_runtime() {
    let (smtp, house) = begin().await;
    let (kind, detail) = expiring();
    house.happens(kind, detail).await;
    house.deliver().await;
    let mails = read(&smtp);
    let [_, mail] = &mails[..] else { panic!("a confirmation and a notice: {mails:?}") };
    assert_eq!(mail.subject, "production (Acme): Expires within 7 days");
    assert_eq!(mail.to, format!("RCPT TO:<{ADDRESS}>"));
    for body in [&mail.text, &mail.html] {
        assert!(body.contains("production (Acme)"), "{body}");
        assert!(body.contains("Replace it before then."), "{body}");
        assert!(body.contains("https://gitward.example.com/tokens/acme.production"), "{body}");
        assert!(body.contains("https://gitward.example.com/notifications/settings"), "{body}");
    }
    let raw = &smtp.mails()[1].data;
    for header in [
        "From: Gitward <gitward@example.com>",
        "To: mara@example.com",
        "Date: Sun, 22 Nov 2026 12:00:00 +0000",
        "Auto-Submitted: auto-generated",
        "List-Unsubscribe: <https://gitward.example.com/notifications/settings>",
        "Content-Type: multipart/alternative",
    ] {
        assert!(raw.contains(header), "{header} in {raw}");
    }
    assert_eq!(house.only().await, (Progress::Delivered, 1, "taken by the mail server".to_owned()));
    house.clock.advance(DAY * 30);
    house.deliver().await;
    assert_eq!(smtp.mails().len(), 2, "once");
}

#[tokio::test]
async fn names_become_neither_headers_nor_html() {
    let evil = "A <img src=x onerror=alert(1)>\r\nBcc: all@example.com\r\n\r\n.\r\n\u{202e}&\"'";
    let smtp = Smtp::start(Security::None).await;
    let mailer = mailer_for(server(&smtp, Security::None), UNHURRIED);
    let plan = Plan { mailer: Some(mailer), account_name: Some(evil), ..Plan::default() };
    let house = House::build(plan).await;
    confirmed(&house, &smtp).await;
    let login = Some("</p><script>alert(2)</script>".to_owned());
    house.happens(Kind::AccountChanged, Detail { login, ..Detail::default() }).await;
    house.deliver().await;
    let mails = smtp.mails();
    assert_eq!(mails.len(), 2);
    let message = MessageParser::default().parse(mails[1].data.as_bytes()).unwrap();
    assert!(message.bcc().is_none(), "{}", mails[1].data);
    assert_eq!(message.to().unwrap().first().unwrap().address(), Some(ADDRESS));
    let subject = message.subject().unwrap();
    assert!(!subject.contains(['\r', '\n', '\u{202e}']), "{subject:?}");
    let html = message.body_html(0).unwrap();
    assert!(!html.contains("<img") && !html.contains("<script"), "{html}");
    assert!(html.contains("&lt;img") && html.contains("&lt;script"), "{html}");
}

#[tokio::test]
async fn the_mail_of_a_day_holds_all_of_it_and_a_quiet_day_has_none() {
    let (smtp, house) = begin().await;
    house.settings.set_mail(&mara(), MailMode::Daily, 7).await.unwrap();
    house.happens(Kind::Invalid, Detail::default()).await;
    house.happens_at("acme.staging", Kind::Expired, Detail::default()).await;
    house.deliver().await;
    assert_eq!(smtp.mails().len(), 1, "the confirmation");
    house.clock.set(next_hour(house.clock.now(), 7).minus(Duration::from_secs(1)));
    house.deliver().await;
    assert_eq!(smtp.mails().len(), 1);
    house.clock.advance(Duration::from_secs(1));
    house.deliver().await;
    let mails = read(&smtp);
    assert_eq!(mails.len(), 2);
    assert_eq!(mails[1].subject, "2 notifications about your Git access");
    for what in ["production (Acme): Not accepted any more", "staging (Acme): Expired"] {
        assert!(mails[1].text.contains(what) && mails[1].html.contains(what), "{what} in {:?}", mails[1]);
    }
    for _ in 0..3 {
        house.clock.advance(DAY);
        house.deliver().await;
    }
    assert_eq!(smtp.mails().len(), 2, "nothing to tell, no mail");
}

#[tokio::test]
async fn an_address_that_nobody_confirmed_gets_its_question_and_nothing_else() {
    let smtp = Smtp::start(Security::None).await;
    let house = house_with(&smtp, Security::None, UNHURRIED).await;
    house.settings.set_mail(&mara(), MailMode::Each, 7).await.unwrap();
    house.settings.give_address(&mara(), " mara@example.com ").await.unwrap();
    let question = read(&smtp).remove(0);
    assert_eq!(question.subject, "Is this your address?");
    assert!(!question.text.contains("production") && !question.text.contains("mara"), "{}", question.text);
    for kind in [Kind::Invalid, Kind::Expired] {
        house.happens(kind, Detail::default()).await;
        house.deliver().await;
    }
    assert_eq!(smtp.mails().len(), 1);
    let secret = secret_in(&smtp);
    let stranger: UserId = "stranger".into();
    assert_eq!(house.settings.confirm(&stranger, &secret).await.unwrap(), None);
    house.clock.advance(CONFIRM_WITHIN);
    assert_eq!(house.settings.confirm(&mara(), &secret).await.unwrap(), None, "too late");
    house.happens(Kind::Invalid, Detail::default()).await;
    house.deliver().await;
    assert_eq!(smtp.mails().len(), 1);
    let kept = std::fs::read(house._folder.path().join("test.sqlite3-wal")).unwrap();
    let secret = secret.expose().as_bytes();
    assert!(!kept.windows(secret.len()).any(|window| window == secret), "only its hash is kept");
}

#[tokio::test]
async fn whoever_fills_mailboxes_with_questions_is_stopped() {
    let smtp = Smtp::start(Security::None).await;
    let house = house_with(&smtp, Security::None, UNHURRIED).await;
    for number in 0..5 {
        house.settings.give_address(&mara(), &format!("{number}@example.com")).await.unwrap();
    }
    let sixth = house.settings.give_address(&mara(), "6@example.com").await;
    assert!(matches!(sixth, Err(SettingsError::TooMany { until }) if until == house.clock.now().plus(DAY)));
    assert_eq!(smtp.mails().len(), 5);
    house.clock.advance(DAY);
    house.settings.give_address(&mara(), "7@example.com").await.unwrap();
}

#[tokio::test]
async fn what_is_no_address_gets_no_mail() {
    let smtp = Smtp::start(Security::None).await;
    let house = house_with(&smtp, Security::None, UNHURRIED).await;
    let long = format!("{}@example.com", "a".repeat(300));
    for address in [
        "",
        "mara",
        "@example.com",
        "mara@",
        "a@b@example.com",
        "mara@example.com, all@example.com",
        "mara@example.com\r\nRCPT TO:<all@example.com>",
        "<mara@example.com>",
        "\"a b\"@example.com",
        "mara@[127.0.0.1]",
        &long,
    ] {
        let given = house.settings.give_address(&mara(), address).await;
        assert!(matches!(given, Err(SettingsError::NotAnAddress)), "{address:?}");
    }
    assert_eq!(smtp.connections(), 0);
}

#[tokio::test]
async fn a_question_that_cannot_be_sent_is_said_at_once() {
    let smtp = Smtp::start(Security::None).await;
    let house = house_with(&smtp, Security::None, UNHURRIED).await;
    smtp.feels(Mood::Answers("RCPT", 550));
    let given = house.settings.give_address(&mara(), ADDRESS).await.unwrap_err();
    assert_eq!(
        given.to_string(),
        "the confirmation could not be sent: the mail server refused the mail (550)"
    );
}

/// What becomes of a notice while the mail server has this bad day, and on the good day after it.
async fn bad_day(mood: Mood, patience: Duration) -> (House, Smtp, (Progress, u32, String)) {
    let smtp = Smtp::start(Security::None).await;
    let house = house_with(&smtp, Security::None, UNHURRIED).await;
    confirmed(&house, &smtp).await;
    let impatient = mailer_for(server(&smtp, Security::None), patience);
    let (_, courier) = super::super::put_together(Parts {
        store: Arc::<SqliteStore>::clone(&house.store),
        keys: Arc::clone(&house.keys),
        mailer: Some(Arc::new(impatient)),
        webhooks: Arc::new(Webhooks::new(false).unwrap()),
        declared: HashMap::new(),
        mailboxes: HashMap::new(),
        registry: Arc::new(Registry::new(Vec::new(), Vec::new())),
        public_url: public_url(),
        clock: Arc::new(house.clock.clone()),
        entropy: Arc::new(TestEntropy::new(1)),
        under_way: TaskTracker::new(),
    })
    .await
    .unwrap();
    let house = House { courier, ..house };
    smtp.feels(mood);
    house.happens(Kind::Invalid, Detail::default()).await;
    house.deliver().await;
    let only = house.only().await;
    (house, smtp, only)
}

#[tokio::test]
async fn a_mail_server_that_has_a_bad_day_delays_a_notice_and_loses_none() {
    let days = [
        (Mood::Answers("", 421), "the mail server asked to come back later (421)"),
        (Mood::Answers("", 554), "the mail server asked to come back later (554)"),
        (Mood::Answers("MAIL", 451), "the mail server asked to come back later (451)"),
        (Mood::Answers("RCPT", 452), "the mail server asked to come back later (452)"),
        (Mood::Answers("MAIL", 530), "the mail server does not let Gitward in"),
        (Mood::Answers(".", 451), "the mail server asked to come back later (451)"),
        (Mood::HangsUp(""), "no connection to the mail server, or it was lost"),
        (Mood::HangsUp("EHLO"), "no connection to the mail server, or it was lost"),
        (Mood::HangsUp("RCPT"), "no connection to the mail server, or it was lost"),
        (Mood::HangsUp("DATA"), "no connection to the mail server, or it was lost"),
        (Mood::HangsUp("."), "no connection to the mail server, or it was lost"),
        (Mood::Babbles, "the mail server's answer made no sense"),
    ];
    for (mood, answer) in days {
        let (house, smtp, (progress, attempts, said)) = bad_day(mood, UNHURRIED).await;
        assert_eq!((said.as_str(), attempts), (answer, 1), "{mood:?}");
        let Progress::Waiting(again) = progress else { panic!("{mood:?}: {progress:?}") };
        assert!((MINUTE..MINUTE * 2).contains(&again.since(house.clock.now())), "{mood:?}: {again:?}");
        let trouble = house.settings.view(&mara()).await.unwrap().mail_trouble.unwrap();
        assert_eq!((trouble.answer.as_str(), trouble.again_at), (answer, Some(again)), "{mood:?}");
        assert_eq!(smtp.mails().len(), 1, "{mood:?}: the confirmation alone");
        smtp.feels(Mood::Takes);
        house.deliver().await;
        assert_eq!(smtp.mails().len(), 1, "{mood:?}: not before its time");
        house.clock.advance(MINUTE * 2);
        house.deliver().await;
        assert_eq!(smtp.mails().len(), 2, "{mood:?}");
        assert_eq!(house.settings.view(&mara()).await.unwrap().mail_trouble, None, "{mood:?}");
    }
}

#[tokio::test]
async fn a_mail_server_that_says_nothing_is_given_up_on_for_now() {
    for at in ["", "EHLO", "RCPT", "."] {
        let (house, smtp, (progress, _, said)) = bad_day(Mood::Silent(at), PATIENCE).await;
        assert_eq!(said, "the mail server took too long", "at {at:?}");
        assert!(matches!(progress, Progress::Waiting(_)), "at {at:?}");
        assert_eq!(smtp.mails().len(), 1, "at {at:?}");
        drop(house);
    }
}

#[tokio::test]
async fn a_mail_server_that_is_down_is_tried_for_two_days_and_the_page_says_so() {
    // Nobody listens there, and as long as it is held nobody else begins to.
    let deaf = tokio::net::TcpSocket::new_v4().unwrap();
    deaf.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let nowhere = {
        let smtp = Smtp::start(Security::None).await;
        let house = house_with(&smtp, Security::None, UNHURRIED).await;
        confirmed(&house, &smtp).await;
        let port = deaf.local_addr().unwrap().port();
        let mailer = mailer_for(MailServer { port, ..server(&smtp, Security::None) }, UNHURRIED);
        let (_, courier) = super::super::put_together(Parts {
            store: Arc::<SqliteStore>::clone(&house.store),
            keys: Arc::clone(&house.keys),
            mailer: Some(Arc::new(mailer)),
            webhooks: Arc::new(Webhooks::new(false).unwrap()),
            declared: HashMap::new(),
            mailboxes: HashMap::new(),
            registry: Arc::new(Registry::new(Vec::new(), Vec::new())),
            public_url: public_url(),
            clock: Arc::new(house.clock.clone()),
            entropy: Arc::new(TestEntropy::new(1)),
            under_way: TaskTracker::new(),
        })
        .await
        .unwrap();
        House { courier, ..house }
    };
    let house = nowhere;
    let begun = house.clock.now();
    house.happens(Kind::Invalid, Detail::default()).await;
    house.deliver().await;
    let mut attempts = 1;
    while let (Progress::Waiting(again), tried, answer) = house.only().await {
        assert_eq!((tried, answer.as_str()), (attempts, "no connection to the mail server, or it was lost"));
        house.clock.set(again);
        house.deliver().await;
        attempts += 1;
        assert!(attempts < 100);
    }
    assert!(house.clock.now().since(begun) >= DAY * 2);
    assert_eq!(house.only().await.0, Progress::GivenUp);
    let trouble = house.settings.view(&mara()).await.unwrap().mail_trouble.unwrap();
    assert_eq!((trouble.again_at, trouble.at), (None, house.clock.now()));
    house.clock.advance(DAY * 9);
    house.deliver().await;
    assert_eq!(house.only().await.1, attempts, "given up is given up");
}

#[tokio::test]
async fn a_mail_that_is_refused_for_good_is_given_up_and_the_next_one_is_sent() {
    for (at, code) in [("RCPT", 550), ("DATA", 554), (".", 552)] {
        let (house, smtp, only) = bad_day(Mood::Answers(at, code), UNHURRIED).await;
        let answer = format!("the mail server refused the mail ({code})");
        assert_eq!(only, (Progress::GivenUp, 1, answer.clone()));
        let trouble = house.settings.view(&mara()).await.unwrap().mail_trouble.unwrap();
        assert_eq!((trouble.answer, trouble.again_at), (answer, None));
        smtp.feels(Mood::Takes);
        house.clock.advance(DAY);
        house.happens(Kind::Expired, Detail::default()).await;
        house.deliver().await;
        let mails = read(&smtp);
        assert_eq!(mails.len(), 2, "{mails:?}");
        assert!(mails[1].subject.ends_with("Expired"), "{mails:?}");
        assert_eq!(house.settings.view(&mara()).await.unwrap().mail_trouble, None);
    }
}

#[tokio::test]
async fn a_mail_whose_receipt_was_lost_is_sent_again_under_the_same_id() {
    let (house, smtp, (progress, ..)) = bad_day(Mood::TakesSilently, UNHURRIED).await;
    assert!(matches!(progress, Progress::Waiting(_)));
    smtp.feels(Mood::Takes);
    house.clock.advance(MINUTE * 2);
    house.deliver().await;
    let mails = read(&smtp);
    assert_eq!(mails.len(), 3);
    assert_eq!(mails[1].id, mails[2].id);
    assert_ne!(mails[0].id, mails[1].id);
    assert!(mails[1].id.starts_with("notice_") && mails[1].id.ends_with("@gitward.example.com"));
}

#[tokio::test]
async fn a_mail_server_that_takes_a_mail_and_hangs_up_gets_it_once() {
    let (house, smtp, only) = bad_day(Mood::TakesRudely, UNHURRIED).await;
    assert_eq!(only, (Progress::Delivered, 1, "taken by the mail server".to_owned()));
    house.clock.advance(DAY * 3);
    house.deliver().await;
    assert_eq!(smtp.mails().len(), 2);
}

#[tokio::test]
async fn mail_goes_encrypted_or_not_at_all() {
    for security in [Security::Tls, Security::StartTls] {
        let smtp = Smtp::start(security).await;
        let sign_in = Some(("gitward".to_owned(), Secret::new("hunter2")));
        let mailer = mailer_for(MailServer { sign_in, ..server(&smtp, security) }, UNHURRIED);
        let house = House::build(Plan { mailer: Some(mailer), ..Plan::default() }).await;
        confirmed(&house, &smtp).await;
        let mails = smtp.mails();
        assert!(mails.iter().all(|mail| mail.encrypted), "{security:?}");
        assert_eq!(mails[0].sign_in.as_deref(), Some("gitward"));
        assert!(mails[0].from.starts_with("MAIL FROM:<gitward@example.com>"));
        let plain = smtp.said_in_plain();
        assert!(plain.iter().all(|line| line.starts_with("EHLO ") || line == "STARTTLS"), "{plain:?}");
    }
}

#[tokio::test]
async fn a_mail_server_without_a_certificate_to_trust_gets_neither_password_nor_mail() {
    for security in [Security::Tls, Security::StartTls] {
        let smtp = Smtp::start(security).await;
        let sign_in = Some(("gitward".to_owned(), Secret::new("hunter2")));
        let stranger = MailServer { sign_in, roots: Vec::new(), ..server(&smtp, security) };
        let house =
            House::build(Plan { mailer: Some(mailer_for(stranger, UNHURRIED)), ..Plan::default() }).await;
        let given = house.settings.give_address(&mara(), ADDRESS).await.unwrap_err();
        assert_eq!(
            given.to_string(),
            "the confirmation could not be sent: no encrypted connection to the mail server",
            "{security:?}"
        );
        assert_eq!(smtp.mails().len(), 0);
        let settings = house.settings.view(&mara()).await.unwrap().mail;
        assert_eq!((settings.address, settings.unconfirmed), (None, None), "nothing waits for it");
        assert!(!smtp.said_in_plain().iter().any(|line| line.starts_with("AUTH")));
    }
}

#[tokio::test]
async fn a_mail_server_that_stripped_the_offer_to_encrypt_gets_nothing() {
    // It offers no STARTTLS.
    let smtp = Smtp::start(Security::None).await;
    let house = house_with(&smtp, Security::StartTls, UNHURRIED).await;
    let given = house.settings.give_address(&mara(), ADDRESS).await.unwrap_err();
    assert!(given.to_string().ends_with("no encrypted connection to the mail server"), "{given}");
    assert_eq!(smtp.mails().len(), 0);
}

#[tokio::test]
async fn a_wrong_password_of_the_mail_server_loses_no_mail() {
    let smtp = Smtp::start(Security::Tls).await;
    let sign_in = |password: &str| Some(("gitward".to_owned(), Secret::new(password)));
    let wrong = MailServer { sign_in: sign_in("hunter3"), ..server(&smtp, Security::Tls) };
    let house = House::build(Plan { mailer: Some(mailer_for(wrong, UNHURRIED)), ..Plan::default() }).await;
    let given = house.settings.give_address(&mara(), ADDRESS).await.unwrap_err();
    assert_eq!(
        given.to_string(),
        "the confirmation could not be sent: the mail server does not let Gitward in"
    );
}

#[tokio::test]
async fn without_a_mail_server_none_is_offered_and_none_waits() {
    let house = House::build(Plan::default()).await;
    assert!(!house.settings.view(&mara()).await.unwrap().mail_offered);
    let given = house.settings.give_address(&mara(), ADDRESS).await;
    assert!(matches!(given, Err(SettingsError::NoMail)));
}

/// A mail server, and an account with a mailbox for its team.
async fn house_of_a_team(address: &str) -> (Smtp, House) {
    let smtp = Smtp::start(Security::None).await;
    let plan = Plan {
        mailer: Some(mailer_for(server(&smtp, Security::None), UNHURRIED)),
        mailboxes: HashMap::from([(("acme".into(), "team".to_owned()), address.to_owned())]),
        ..Plan::default()
    };
    (smtp, House::build(plan).await)
}

#[tokio::test]
async fn an_accounts_mailbox_is_told_whose_token_it_is_and_asks_nobody_to_confirm_it() {
    let (smtp, house) = house_of_a_team("team@example.com").await;
    let (kind, detail) = expiring();
    house.happens(kind, detail).await;
    house.deliver().await;
    let mails = read(&smtp);
    let [mail] = &mails[..] else { panic!("one, and no question: {mails:?}") };
    assert_eq!(mail.to, "RCPT TO:<team@example.com>");
    assert_eq!(mail.subject, "production (Acme): Expires within 7 days");
    for body in [&mail.text, &mail.html] {
        assert!(body.contains("Token of mara"), "{body}");
        assert!(body.contains("Replace it before then."), "{body}");
        assert!(body.contains("https://gitward.example.com/tokens/acme.production"), "{body}");
        assert!(body.contains("whoever runs Gitward has set it up"), "{body}");
        assert!(!body.contains("/notifications/settings"), "not its reader's to change: {body}");
        assert!(!body.contains("canary"), "{body}");
    }
    assert!(!smtp.mails()[0].data.contains("List-Unsubscribe"));
    let log = house.log().await;
    assert_eq!(log.len(), 1, "{log:?}");
    assert_eq!((log[0].account_target.as_deref(), log[0].progress), (Some("acme/team"), Progress::Delivered));
    assert_eq!(log[0].answer.as_deref(), Some("taken by the mail server"));
}

#[tokio::test]
async fn who_gets_mail_of_their_own_and_reads_the_teams_has_two_mails() {
    let (smtp, house) = house_of_a_team(ADDRESS).await;
    confirmed(&house, &smtp).await;
    house.happens(Kind::Invalid, Detail::default()).await;
    house.deliver().await;
    let mails = read(&smtp);
    assert_eq!(mails.len(), 3, "with the question: {mails:?}");
    assert_ne!(mails[1].id, mails[2].id, "mailboxes keep one of each id");
    assert_eq!(mails.iter().filter(|mail| mail.text.contains("Token of mara")).count(), 1);
}

#[tokio::test]
async fn a_mail_server_that_has_a_bad_day_delays_what_a_team_is_told_and_says_nothing_of_the_users_own_mail()
{
    let (smtp, house) = house_of_a_team("team@example.com").await;
    smtp.feels(Mood::Answers("RCPT", 452));
    house.happens(Kind::Invalid, Detail::default()).await;
    house.deliver().await;
    let (progress, attempts, answer) = house.only().await;
    assert!(matches!(progress, Progress::Waiting(_)) && attempts == 1, "{progress:?}");
    assert_eq!(answer, "the mail server asked to come back later (452)");
    assert_eq!(house.settings.view(&mara()).await.unwrap().mail_trouble, None, "it is not hers");
    smtp.feels(Mood::Takes);
    house.clock.advance(MINUTE * 2);
    house.deliver().await;
    assert_eq!(smtp.mails().len(), 1);
    assert_eq!(house.only().await.0, Progress::Delivered);
    // What is no longer declared is told nothing more.
    house.happens(Kind::Expired, Detail::default()).await;
    house.store.declare_targets(&[] as &[AccountTarget]).await.unwrap();
    house.deliver().await;
    assert_eq!(smtp.mails().len(), 1);
}
