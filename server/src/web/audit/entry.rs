//! An entry of the log in words for people. Ids are behind it, for those who look for one.

use leptos::prelude::*;

use crate::{
    audit::{Action, DONE, REFUSED, Record},
    clock::Timestamp,
    moment::moment,
};

/// One entry; `user_name` is whose things it is about.
pub(super) fn entry(record: &Record, user_name: Option<&str>, now: Timestamp) -> impl IntoView + use<> {
    let at = moment(record.at, now);
    let refused = record.outcome == REFUSED;
    // Of a release: whose token it was.
    let whose = user_name.map(|name| format!("of {name}"));
    let about = about(record, whose.as_deref());
    let said = record.object.is_some() && about.is_some();
    let details: Vec<String> = [
        about,
        record.reason.as_ref().map(|reason| reason.replace('_', " ")),
        record.detail.clone().filter(|detail| !(said && whose.as_ref() == Some(detail))),
        record.address.as_ref().map(|address| format!("from {address}")),
    ]
    .into_iter()
    .flatten()
    .collect();
    let ids: Vec<String> = [
        record.object.as_ref().map(|object| format!("object {object}")),
        record.request.as_ref().map(|request| format!("request {request}")),
    ]
    .into_iter()
    .flatten()
    .collect();
    let small = [vec![format!("#{}", record.sequence)], details].concat().join(" · ");
    let verb = verb(&record.action, refused);
    let state = if refused { REFUSED } else { DONE };
    view! {
        <li data-outcome=state>
            <time datetime=at.iso>{at.full}</time>
            <span class="audit-what">{who(record)} " " {verb}</span>
            <small title=(!ids.is_empty()).then(|| ids.join(", "))>{small}</small>
        </li>
    }
}

/// What it was done to.
fn about(record: &Record, whose: Option<&str>) -> Option<String> {
    let runtime = record.runtime.as_ref();
    let kind = record.action.split('.').next().unwrap_or_default();
    let at = |what: String, word: &str| match runtime {
        Some(runtime) => format!("{what} {word} {runtime}"),
        None => what,
    };
    match (&record.object, kind) {
        (Some(_), "token" | "verdict" | "secret") => {
            Some(at(whose.map_or_else(|| "token".to_owned(), |whose| format!("token {whose}")), "for"))
        }
        (Some(key), "runtime-key") => Some(at(format!("key {key}"), "of")),
        (Some(name), "session" | "password" | "password-link" | "user") => Some(format!("user {name}")),
        _ => runtime.map(|runtime| format!("runtime {runtime}")),
    }
}

fn who(record: &Record) -> String {
    match record.actor.as_str() {
        "user" => record.actor_name.clone().unwrap_or_else(|| "A user".to_owned()),
        "runtime-key" => format!("Runtime key {}", record.actor_id.as_deref().unwrap_or("?")),
        "operator" => "The operator".to_owned(),
        "gitward" => "Gitward".to_owned(),
        _ => "Somebody".to_owned(),
    }
}

/// What was done, after who did it.
fn verb(word: &str, refused: bool) -> String {
    let Ok(action) = word.parse::<Action>() else { return format!("did {word}") };
    let (done, tried) = match action {
        Action::SessionBegun => ("signed in", "could not sign in"),
        Action::SessionEnded => ("signed out", "could not sign out"),
        Action::PasswordChanged => ("chose a password", "could not change the password"),
        Action::TokenAdded => ("added a token", "could not add a token"),
        Action::TokenReplaced => ("replaced a token", "could not replace a token"),
        Action::TokenDeleted => ("deleted a token", "could not delete a token"),
        Action::TokenSettled => ("decided about another account's token", "could not decide about a token"),
        Action::TokenRenewed => ("renewed a token", "could not renew a token"),
        Action::TokenRevoked => {
            ("had a token revoked at its provider", "could not have a token revoked at its provider")
        }
        Action::NoticesChanged => ("changed notification settings", "could not change notification settings"),
        Action::VerdictChanged => ("came to another verdict about a token", "came to no verdict"),
        Action::VerdictKept => ("checked a token", "checked a token without a new verdict"),
        Action::TokenProposed => {
            ("brought a token of another account", "could not bring a token of another account")
        }
        Action::SecretReleased => ("fetched a token", "was refused a token"),
        Action::SecretReported => ("reported what became of a token", "could not report about a token"),
        Action::RuntimeKeyCreated => ("made a runtime key", "could not make a runtime key"),
        Action::RuntimeKeyRotated => ("rotated a runtime key", "could not rotate a runtime key"),
        Action::RuntimeKeyRevoked => ("revoked a runtime key", "could not revoke a runtime key"),
        Action::RuntimeKeyRefused => ("showed a runtime key", "showed a runtime key that is not taken"),
        Action::UserAdded => ("added a user", "could not add a user"),
        Action::UserDisabled => ("disabled a user", "could not disable a user"),
        Action::PasswordLinkMade => ("made a link to choose a password", "could not make a link"),
        Action::ConfigurationApplied => ("changed what is declared", "could not change what is declared"),
        Action::AuditPruned => ("removed old records, as configured", "could not remove old records"),
        Action::ServerStarted => ("started the server", "could not start the server"),
    };
    if refused { tried } else { done }.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::{Actor, By, Entry, chain::BEGINNING};

    fn shown(entry: Entry, user_name: Option<&str>) -> String {
        let at = Timestamp::from_seconds(1_795_348_800);
        let record = Record::new(entry, at, 7, &BEGINNING);
        let html = super::entry(&record, user_name, at).to_html();
        html.split_once("<small")
            .unwrap()
            .1
            .split_once('>')
            .unwrap()
            .1
            .split("</small>")
            .next()
            .unwrap()
            .to_owned()
    }

    #[test]
    fn an_entry_says_what_it_is_about_and_no_id() {
        let by = By {
            actor: Actor::Operator,
            request: Some("0b9e1f7e-request".to_owned()),
            address: Some([192, 0, 2, 1].into()),
        };
        let token =
            |action| by.did(action).about(&"u".into()).at(&"acme".into(), &"acme.paste".into()).object("id");
        for (entry, name, expected) in [
            (
                token(Action::TokenAdded).detail("pasted"),
                Some("mara"),
                "token of mara for acme.paste · pasted",
            ),
            (token(Action::SecretReleased).detail("of mara"), Some("mara"), "token of mara for acme.paste"),
            (token(Action::SecretReleased).detail("of mara"), None, "token for acme.paste · of mara"),
            (token(Action::VerdictKept), Some("mara"), "token of mara for acme.paste"),
            (by.did(Action::TokenRevoked).object("id"), Some("mara"), "token of mara"),
            (token(Action::RuntimeKeyRotated).object("k"), None, "key k of acme.paste"),
            (by.did(Action::UserAdded).object("jonas"), None, "user jonas"),
            (by.did(Action::PasswordLinkMade).object("jonas"), None, "user jonas"),
            (by.did(Action::SessionBegun).refused("wrong_name_or_password"), None, "wrong name or password"),
            (
                by.did(Action::SecretReleased).at(&"acme".into(), &"acme.paste".into()).refused("no_token"),
                Some("mara"),
                "runtime acme.paste · no token",
            ),
        ] {
            assert_eq!(shown(entry, name), format!("#7 · {expected} · from 192.0.2.1"));
        }
    }
}
