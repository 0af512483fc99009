//! Whether, and where else, the visitor is told what happens.

use leptos::{prelude::*, server_fn::ServerFn};

use super::form::{error, submit};
use crate::{
    api::notice::{
        ConfirmAddress, Delivery, DeliveryTrouble, ForgetAddress, GiveAddress, MailMode, MailSettings,
        NoticeSettings, Progress, RemoveWebhook, SetMail, SetWebhook, TellMe, WebhookFormat, WebhookSettings,
    },
    component::icon,
    made::health::{ago, day},
    path,
};

/// The page.
pub(super) fn html(settings: &NoticeSettings) -> String {
    view! {
        <a class="back" href=path::NOTICES>{icon("back")} "All notifications"</a>
        <section>
            <h1>"Notification settings"</h1>
            <p class="lead">"What reaches you, and where. Single runtimes are hidden in the menu of their row."</p>
            {here(settings.told)}
            {mail(settings.mail.as_ref())}
            {webhook(settings.webhook.as_ref(), settings.webhook_secret.as_deref())}
            {log(&settings.log)}
        </section>
    }
    .to_html()
}

/// In Gitward itself.
fn here(told: bool) -> AnyView {
    let (sentence, choice, on) = if told {
        (
            "The bell tells you when a token ends, stops working or works again, and when a Git host does not work normally for long.",
            "Turn all notifications off",
            "false",
        )
    } else {
        (
            "Notifications are off, here and everywhere below. The list still shows how everything stands.",
            "Turn notifications on",
            "true",
        )
    };
    view! {
        <div class="sheet padded part">
            <h2>"In Gitward"</h2>
            <p class="hint">{sentence}</p>
            <form class="choice" method="post" action=TellMe::url()>
                <input type="hidden" name="on" value=on/>
                <button class="button" id="tell-me">{choice}</button>
            </form>
        </div>
    }
    .into_any()
}

fn mail(mail: Option<&MailSettings>) -> AnyView {
    let Some(mail) = mail else {
        return view! {
            <div class="sheet padded part">
                <h2>"By mail"</h2>
                <p class="hint">"Mail is not set up here. Whoever runs this Gitward can do that."</p>
            </div>
        }
        .into_any();
    };
    let address = match (&mail.address, &mail.unconfirmed) {
        (Some(address), None) if mail.mode == MailMode::Off => view! {
            <p>"No mail is sent yet: choose below how often it goes to " <b>{address.clone()}</b> "."</p>
        }
        .into_any(),
        (Some(address), None) => view! { <p>"Mail goes to " <b>{address.clone()}</b> "."</p> }.into_any(),
        (Some(address), Some(new)) => view! {
            <p>"Mail goes to " <b>{address.clone()}</b> " until you follow the link that was sent to " <b>{new.clone()}</b> "."</p>
        }
        .into_any(),
        (None, Some(new)) => view! {
            <p>"A link was sent to " <b>{new.clone()}</b> ". Follow it, and mail can go there. Nothing came? Give the address once more."</p>
        }
        .into_any(),
        (None, None) => view! { <p class="hint">"Give an address first. A mail with a link asks there whether it is yours."</p> }.into_any(),
    };
    let known = mail.address.is_some() || mail.unconfirmed.is_some();
    let forget = known.then(|| {
        view! {
            <form class="choice" method="post" action=ForgetAddress::url()>
                <button class="button small" id="forget-address">"Forget the address"</button>
            </form>
        }
    });
    let wrong = error().is_some_and(|error| error.blames("address"));
    view! {
        <div class="sheet padded part">
            <h2>"By mail"</h2>
            {trouble(mail.trouble.as_ref(), "The last mail did not arrive")}
            {address}
            <form method="post" action=GiveAddress::url()>
                <div class="field">
                    <label for="address">{if known { "Another address" } else { "Your address" }}</label>
                    <input
                        id="address"
                        name="address"
                        type="email"
                        autocomplete="email"
                        maxlength="254"
                        required
                        aria-describedby="problem"
                        aria-invalid=wrong.then_some("true")
                    />
                </div>
                <div class="buttons">{submit("Send a link there".into(), "Sending…".into(), "plain")}</div>
            </form>
            {forget}
            {mail.address.is_some().then(|| how_often(mail))}
        </div>
    }
    .into_any()
}

fn how_often(mail: &MailSettings) -> AnyView {
    let choice = |mode: MailMode, word: &'static str, text: &'static str| {
        view! {
            <label class="check">
                <input type="radio" name="mode" value=word checked=mail.mode == mode/>
                <span>{text}</span>
            </label>
        }
    };
    let hours = (0..24_u8)
        .map(|hour| {
            let text = [if hour < 10 { "0" } else { "" }, &hour.to_string(), ":00 UTC"].concat();
            view! { <option value=hour.to_string() selected=hour == mail.hour>{text}</option> }
        })
        .collect_view();
    view! {
        <form method="post" action=SetMail::url()>
            <fieldset class="also">
                <legend>"How often"</legend>
                {choice(MailMode::Off, "Off", "Not at all")}
                {choice(MailMode::Each, "Each", "At once, for each notification")}
                {choice(MailMode::Daily, "Daily", "Once a day, if there was anything")}
            </fieldset>
            <div class="field">
                <label for="hour">"Hour of the daily mail"</label>
                <select id="hour" name="hour">{hours}</select>
            </div>
            <div class="buttons">{submit("Save".into(), "Saving…".into(), "plain")}</div>
        </form>
    }
    .into_any()
}

fn webhook(webhook: Option<&WebhookSettings>, secret: Option<&str>) -> AnyView {
    let secret = secret.map(|secret| {
        view! {
            <div class="notice" role="note">
                <p>"Messages are signed with this secret. Copy it to where they are checked: it is shown for ten minutes, and never again."</p>
                <p><code id="webhook-secret">{secret.to_owned()}</code></p>
            </div>
        }
    });
    let there = webhook.map(|webhook| {
        let form = match webhook.format {
            WebhookFormat::Standard => "signed JSON",
            WebhookFormat::Slack => "a text for Slack",
        };
        let gone = webhook.gone.as_ref().map(|at| {
            view! { <p class="notice" data-tone="bad">"It answered " {ago(at)} " that it is gone for good, so nothing is sent there any more."</p> }
        });
        view! {
            {gone}
            {trouble(webhook.trouble.as_ref(), "The last message did not arrive")}
            <p>"Each notification is sent as " {form} " to " <b>{webhook.shown.clone()}</b> ", since " {day(&webhook.since)} "."</p>
            <form class="choice" method="post" action=RemoveWebhook::url()>
                <button class="button small" id="remove-webhook">"Remove webhook"</button>
            </form>
        }
    });
    let wrong = error().is_some_and(|error| error.blames("url"));
    view! {
        <div class="sheet padded part">
            <h2>"By webhook"</h2>
            {secret}
            {there}
            <form method="post" action=SetWebhook::url()>
                <div class="field">
                    <label for="url">{if webhook.is_some() { "Another address" } else { "Address" }}</label>
                    <input
                        id="url"
                        name="url"
                        type="url"
                        autocomplete="off"
                        spellcheck="false"
                        maxlength="2048"
                        placeholder="https://"
                        required
                        aria-describedby="url-hint problem"
                        aria-invalid=wrong.then_some("true")
                    />
                    <p class="hint" id="url-hint">"It is kept sealed: whoever knows it could send there, too."</p>
                </div>
                <fieldset class="also">
                    <legend>"What is sent"</legend>
                    <label class="check">
                        <input type="radio" name="format" value="Standard" checked/>
                        <span>"Signed JSON (Standard Webhooks)"</span>
                    </label>
                    <label class="check">
                        <input type="radio" name="format" value="Slack"/>
                        <span>"A text for Slack, or what takes the same"</span>
                    </label>
                </fieldset>
                <div class="buttons">{submit("Set webhook".into(), "Saving…".into(), "plain")}</div>
            </form>
        </div>
    }
    .into_any()
}

fn trouble(trouble: Option<&DeliveryTrouble>, what: &'static str) -> Option<AnyView> {
    let trouble = trouble?;
    let again = match &trouble.again {
        Some(at) => view! { " It is sent again " {ago(at)} "; nothing is lost." }.into_any(),
        None => " It was tried for days and is not sent any more.".into_any(),
    };
    Some(
        view! {
            <p class="notice" data-tone=trouble.again.is_none().then_some("bad")>
                <span>{what} " (" {ago(&trouble.at)} "): " {trouble.answer.clone()} "." {again}</span>
            </p>
        }
        .into_any(),
    )
}

/// What left, and how it went.
fn log(log: &[Delivery]) -> Option<AnyView> {
    if log.is_empty() {
        return None;
    }
    let lines = log
        .iter()
        .map(|line| {
            let progress = match &line.progress {
                Progress::Waiting(at) if line.attempts == 0 => view! { "Leaves " {ago(at)} }.into_any(),
                Progress::Waiting(at) => view! { "Tried again " {ago(at)} }.into_any(),
                Progress::Delivered => "Arrived".into_any(),
                Progress::GivenUp => "Given up".into_any(),
                Progress::Dropped => "Not sent".into_any(),
            };
            let tone = match line.progress {
                Progress::Waiting(_) if line.attempts > 0 => "warn",
                Progress::Waiting(_) | Progress::Dropped => "calm",
                Progress::Delivered => "good",
                Progress::GivenUp => "bad",
            };
            let tried = (line.attempts > 1).then(|| view! { " after " {line.attempts} " attempts" });
            let answer = line.answer.clone().map(|answer| view! { <p>{answer} "."</p> });
            view! {
                <li data-tone=tone>
                    <b>{line.what.clone()}</b>
                    " "
                    <small>{line.way.clone()} " · " {progress} {tried} " · " {ago(&line.at)}</small>
                    {answer}
                </li>
            }
        })
        .collect_view();
    Some(
        view! {
            <div class="sheet padded part">
                <h2>"What was sent"</h2>
                <ol class="timeline">{lines}</ol>
            </div>
        }
        .into_any(),
    )
}

/// Where a link leads that was mailed to an address. The link alone does nothing: whatever looks at mails follows links.
pub(super) fn confirm(secret: String) -> String {
    view! {
        <section data-size="small">
            <h1>"Is this your address?"</h1>
            <p class="lead">"You came here by a link in a mail. Is that mailbox yours? Then your notifications go there."</p>
            <form class="sheet padded" method="post" action=ConfirmAddress::url()>
                <input type="hidden" name="secret" value=secret/>
                {submit("Yes, it is mine".into(), "Saving…".into(), "primary")}
            </form>
        </section>
    }
    .to_html()
}
