//! Events in words: the same on pages, in mails and in webhooks. Plain text, for people; no secret, and nothing in a
//! provider's own words.

use app::api::{notice::Happening, token::Tone};

use crate::{
    clock::Timestamp,
    credential::{Access, Credential, Evidence, Trouble},
    health::lack_of,
    moment::moment,
    notice::{Detail, Event, Kind, Lack},
    provider::Provider,
};

/// An event in words, seen from `now`. `provider` is how the runtime's provider, or the host's, is called.
pub fn happening(event: &Event, provider: &str, now: Timestamp) -> Happening {
    let (title, text) = words(event.kind, &event.detail, provider, now);
    Happening { tone: tone(event.kind), title, text, at: moment(event.at, now) }
}

/// What happened to a user's access to a runtime, the latest first: its `events`, and the last check of the token in
/// use where none of them tells what that found. Most checks find everything as it was, and are written down nowhere.
pub fn timeline(
    events: &[Event],
    access: &Access,
    provider: &dyn Provider,
    now: Timestamp,
) -> Vec<Happening> {
    let mut all: Vec<Happening> = events.iter().map(|event| happening(event, provider.name(), now)).collect();
    if let Some(credential) = &access.credential {
        let at = credential.standing.checked_at;
        // Whatever a check changed is told right after it, or in the same step.
        let is_told = events.iter().any(|event| event.at >= at && tells_of_a_check(event.kind));
        if !is_told {
            let place = events.iter().take_while(|event| event.at > at).count();
            all.insert(place, last_check(credential, access, provider, now));
        }
    }
    all
}

/// What the last check found, in words.
fn last_check(
    credential: &Credential,
    access: &Access,
    provider: &dyn Provider,
    now: Timestamp,
) -> Happening {
    let standing = &credential.standing;
    let name = provider.name();
    // A limit that was met by another token since is not what this check found.
    let trouble = standing.trouble.filter(|(_, since)| *since <= standing.checked_at);
    let stays = if standing.invalid { "" } else { " The token stays in use." };
    let evidence = asked(&standing.evidence);
    let (tone, title, text) = match trouble {
        Some((Trouble::RateLimited { .. }, _)) => {
            (Tone::Warn, "Checked: no answer yet", format!("{name} asks us to wait.{stays}"))
        }
        Some((Trouble::Unreachable, _)) => {
            (Tone::Warn, "Checked: no clear answer", format!("{name} gave none.{stays}{evidence}"))
        }
        None if standing.invalid => {
            (Tone::Bad, "Checked: not accepted", format!("{name} does not know the token.{evidence}"))
        }
        None if standing.rejected_since.is_some() => {
            (Tone::Warn, "Checked: refused", format!("That is no verdict yet.{stays}{evidence}"))
        }
        None if lack_of(access, credential, provider, now).is_some() => {
            let text = format!("{name} takes it, but it may not do all that the runtime needs.{evidence}");
            (Tone::Bad, "Checked: may do too little", text)
        }
        None => (Tone::Good, "Checked: works", format!("{name} takes it.{evidence}")),
    };
    Happening { tone, title: title.to_owned(), text, at: moment(standing.checked_at, now) }
}

/// The event says what a check found that was made right before it.
fn tells_of_a_check(kind: Kind) -> bool {
    match kind {
        Kind::Added
        | Kind::Replaced
        | Kind::Refused
        | Kind::Unreachable
        | Kind::Passed
        | Kind::Invalid
        | Kind::ScopesLost
        | Kind::AccountChanged
        | Kind::Recovered => true,
        Kind::Deleted
        | Kind::EndedThere
        | Kind::HandedOver
        | Kind::Renewed
        | Kind::Expired
        | Kind::Expiring
        | Kind::IncidentBegan
        | Kind::IncidentEnded => false,
    }
}

/// How an event looks.
pub fn tone(kind: Kind) -> Tone {
    match kind {
        Kind::Invalid | Kind::Expired | Kind::ScopesLost | Kind::AccountChanged => Tone::Bad,
        Kind::Refused | Kind::Unreachable | Kind::Expiring | Kind::IncidentBegan => Tone::Warn,
        Kind::Deleted | Kind::EndedThere | Kind::HandedOver => Tone::Calm,
        Kind::Added
        | Kind::Replaced
        | Kind::Renewed
        | Kind::Passed
        | Kind::Recovered
        | Kind::IncidentEnded => Tone::Good,
    }
}

/// A few words that say what happened, and sentences that say what it means and what to do.
fn words(kind: Kind, detail: &Detail, provider: &str, now: Timestamp) -> (String, String) {
    let login = detail.login.as_deref();
    let whose = || login.map(|login| format!("It is {login}'s at {provider}.")).unwrap_or_default();
    let evidence = || detail.evidence.as_ref().map(asked).unwrap_or_default();
    let end = |at: Timestamp| moment(at, now).full;
    let (title, text) = match kind {
        Kind::Added => ("Token added", whose()),
        Kind::Replaced => ("Token replaced", whose()),
        Kind::Deleted => ("Token deleted", "The runtime can't act for you until you add one.".to_owned()),
        Kind::EndedThere => {
            return (
                format!("Old token revoked at {provider}"),
                format!("{provider} does not take it any more."),
            );
        }
        Kind::HandedOver => {
            return (
                format!("Old token handed to {provider}"),
                format!("{provider} revokes it by itself. To be sure, look there."),
            );
        }
        Kind::Renewed => ("Renewed", String::new()),
        Kind::Refused => (
            "Refused once",
            format!(
                "One refusal is no verdict: {provider} is asked again, and the token stays in use.{}",
                evidence()
            ),
        ),
        Kind::Unreachable => {
            ("No clear answer", format!("{provider} gave none. The token stays in use.{}", evidence()))
        }
        Kind::Passed => ("Works", format!("{provider} takes it.{}", evidence())),
        Kind::Invalid => (
            "Not accepted any more",
            format!("{provider} does not know the token any more. Replace it with a new one.{}", evidence()),
        ),
        Kind::Expired => {
            let ended = detail.ends_at.map(|at| format!("It ended on {}. ", end(at))).unwrap_or_default();
            ("Expired", format!("{ended}Replace it with a new one."))
        }
        Kind::Expiring => {
            let title = match detail.days {
                Some(1) => "Expires within a day".to_owned(),
                Some(days) => format!("Expires within {days} days"),
                None => "Expires soon".to_owned(),
            };
            let ends = detail.ends_at.map(|at| format!("It ends on {}. ", end(at))).unwrap_or_default();
            return (title, format!("{ends}Replace it before then."));
        }
        Kind::ScopesLost => return lack(detail, provider),
        Kind::AccountChanged => {
            let text = match (login, detail.login_before.as_deref()) {
                (Some(now), Some(before)) => {
                    format!("At {provider} the token is {now}'s now; before, it was {before}'s. ")
                }
                (Some(now), None) => format!("At {provider} the token is {now}'s now. "),
                _ => String::new(),
            };
            ("Another account", format!("{text}Check that this is intended."))
        }
        Kind::Recovered => {
            ("Works again", format!("{provider} takes the token again. There is nothing to do."))
        }
        Kind::IncidentBegan => {
            let since = detail.began_at.map(|at| format!(" since {}", end(at))).unwrap_or_default();
            let text = match detail.trouble.as_deref() {
                Some("limiting") => format!("It limits how often it may be asked{since}."),
                Some("refusing") => format!("It has refused everybody{since}."),
                _ => format!("It has not answered{since}."),
            };
            return (
                format!("{provider} is not working normally"),
                format!("{text} Your tokens there stay in use, and there is nothing to do."),
            );
        }
        Kind::IncidentEnded => {
            return (
                format!("{provider} works normally again"),
                "Your tokens there are checked again. There is nothing to do.".to_owned(),
            );
        }
    };
    (title.to_owned(), text)
}

fn lack(detail: &Detail, provider: &str) -> (String, String) {
    let repository = detail.repository.as_deref().unwrap_or("the repository");
    let (title, text) = match detail.lack {
        Some(Lack::Push) => (
            "Can't push",
            format!("It may read {repository} but not push. Replace it with a token that may write there."),
        ),
        Some(Lack::Repository) => (
            "Can't see the repository",
            format!("It does not see {repository}. Replace it with a token that may."),
        ),
        Some(Lack::SingleSignOn) => (
            "Needs single sign-on",
            format!(
                "Your organisation asks for single sign-on. Let the token in at {provider}, then check again."
            ),
        ),
        Some(Lack::Scopes) | None => {
            let (title, it) =
                if detail.scopes.len() == 1 { ("Scope missing", "it") } else { ("Scopes missing", "them") };
            let scopes = match detail.scopes.as_slice() {
                [] => "what the runtime needs".to_owned(),
                scopes => scopes.join(", "),
            };
            (
                title,
                format!(
                    "It lacks {scopes}, so the runtime can't do its work. Replace it with a token that has {it}."
                ),
            )
        }
    };
    (title.to_owned(), text)
}

/// What was asked and what came back, as a sentence of its own.
fn asked(evidence: &Evidence) -> String {
    let Evidence { request, answer } = evidence;
    format!(" Asked: {request}. Answer: {answer}.")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{id::UserId, notice::EventId};

    fn event(kind: Kind, detail: Detail) -> Event {
        Event {
            id: EventId(1),
            user: UserId("u".into()),
            runtime: None,
            host: None,
            kind,
            detail,
            at: Timestamp::from_seconds(1_795_348_800),
            is_notice: true,
            read_at: None,
        }
    }

    fn said(kind: Kind, detail: Detail) -> (String, String) {
        let Happening { title, text, .. } =
            happening(&event(kind, detail), "GitLab", Timestamp::from_seconds(1_795_352_400));
        (title, text)
    }

    #[test]
    fn whatever_happened_is_said_also_where_nothing_more_is_known() {
        for kind in Kind::ALL {
            let (title, text) = said(kind, Detail::default());
            assert!(
                !title.is_empty() && !title.contains("  ") && !text.contains("  "),
                "{kind:?}: {title}: {text}"
            );
            assert!(!title.ends_with('.'), "{kind:?}: {title}");
            assert!(text.is_empty() || text.ends_with('.'), "{kind:?}: {text}");
        }
    }

    #[test]
    fn what_is_bad_says_what_to_do() {
        for kind in Kind::ALL.into_iter().filter(|kind| tone(*kind) == Tone::Bad) {
            let (_, text) = said(kind, Detail::default());
            assert!(text.contains("Replace") || text.contains("Check"), "{kind:?}: {text}");
        }
    }

    #[test]
    fn a_warning_says_when() {
        let detail = Detail {
            days: Some(7),
            ends_at: Some(Timestamp::from_seconds(1_804_842_000)),
            ..Detail::default()
        };
        let (title, text) = said(Kind::Expiring, detail);
        assert_eq!(title, "Expires within 7 days");
        assert_eq!(text, "It ends on 12 March 2027, 09:00 UTC. Replace it before then.");
    }

    #[test]
    fn one_missing_scope_is_named_and_so_are_two() {
        let lacks = |scopes: &[&str]| Detail {
            lack: Some(Lack::Scopes),
            scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(),
            ..Detail::default()
        };
        assert_eq!(said(Kind::ScopesLost, lacks(&["repo"])).0, "Scope missing");
        assert!(said(Kind::ScopesLost, lacks(&["api", "repo"])).1.contains("api, repo"));
    }
}
