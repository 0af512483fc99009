//! What every store promises, as tests against `&dyn Store`. An engine runs all of them with
//!
//! ```ignore
//! contract::suite!(bench);
//! ```
//!
//! where `bench` is an async function that gives a [`Bench`] with a database of its own.

use std::{any::Any, sync::Arc, time::Duration};

use futures_util::future::BoxFuture;

use super::{NewCredential, Store};
use crate::{
    catalogue::{Account, Declaration, DeclaredProvider, Member, Role, Runtime},
    clock::Timestamp,
    credential::{Access, Credential, Evidence, Method, ProviderAccount, Push, Standing},
    id::{CredentialId, ProviderId, RuntimeId, UserId},
    login::LoginAttempt,
    person::{Name, OneTimeLink, Session, User},
    scope::ScopeSet,
    seal::Sealed,
    secret::Fingerprint,
};

pub(crate) mod access;
pub(crate) mod audit;
pub(crate) mod declaration;
pub(crate) mod delivery;
pub(crate) mod key;
pub(crate) mod login;
pub(crate) mod notice;
pub(crate) mod person;
pub(crate) mod refresh;
pub(crate) mod revocation;
pub(crate) mod runtime;
pub(crate) mod watch;

/// A store in a place of its own, which goes with it.
pub(crate) struct Bench {
    pub store: Arc<dyn Store>,
    another: Another,
    _place: Box<dyn Any + Send + Sync>,
}

/// Opens the same database once more, as another process does.
type Another = Box<dyn Fn() -> BoxFuture<'static, Arc<dyn Store>> + Send + Sync>;

impl Bench {
    pub(crate) fn new(
        store: impl Store + 'static,
        place: impl Any + Send + Sync,
        another: impl Fn() -> BoxFuture<'static, Arc<dyn Store>> + Send + Sync + 'static,
    ) -> Self {
        Self { store: Arc::new(store), another: Box::new(another), _place: Box::new(place) }
    }

    pub(crate) async fn another(&self) -> Arc<dyn Store> {
        (self.another)().await
    }
}

/// One test each, so that the name of what broke is the name of the test. A test that is not listed here is dead code
/// and fails the build.
macro_rules! suite {
    ($bench:path) => {
        $crate::store::contract::suite! { @ $bench;
            person: [
                nobody_is_there_at_first,
                a_name_belongs_to_one_person,
                a_second_redeem_of_a_set_up_link_finds_it_spent,
                a_hundred_redeem_the_set_up_link_at_once_and_one_person_exists,
                the_set_up_link_ends_when_somebody_exists,
                a_newer_link_replaces_the_older,
                a_password_link_works_once_and_ends_all_sessions,
                a_link_of_a_disabled_person_enables_nobody,
                an_old_link_is_spent,
                a_new_password_ends_all_sessions_but_one,
                a_rehash_that_comes_too_late_changes_nothing,
                a_session_ends_by_idleness_and_by_age,
                touching_a_session_never_sets_it_back,
                disabling_a_person_ends_sessions_and_links,
                a_hundred_failures_at_once_count_as_a_hundred,
                a_window_that_has_passed_begins_anew,
                forgiven_failures_are_gone,
                a_failure_that_did_not_happen_is_taken_back,
                sweeping_forgets_what_is_over_and_nothing_else,
                sweeping_drops_what_nobody_decided_about_for_a_week,
            ],
            declaration: [
                applying_twice_changes_nothing,
                what_leaves_the_declaration_is_disabled_and_comes_back,
                what_would_be_applied_is_not_applied,
                the_origin_of_a_provider_outlives_its_declaration,
                changing_an_origin_with_credentials_is_refused_and_applies_nothing,
                changing_an_origin_without_credentials_ends_attempts_at_the_old_one,
                a_runtime_that_moves_to_another_provider_leaves_the_token_behind,
                a_member_may_be_declared_before_the_person_exists,
            ],
            access: [
                a_user_sees_the_runtimes_of_their_accounts_in_order,
                a_disabled_person_sees_nothing,
                everything_about_a_credential_comes_back,
                another_users_credential_is_not_found,
                another_users_runtime_takes_no_token,
                a_token_is_never_used_at_another_provider,
                keeping_at_a_stale_generation_changes_nothing,
                keeping_the_next_generation_replaces_the_secret_and_not_the_creation,
                fifty_replace_the_same_generation_and_one_wins,
                a_second_grant_for_the_same_account_is_refused,
                two_pasted_tokens_of_one_account_are_two_credentials,
                a_replaced_token_that_nothing_uses_is_gone,
                a_token_serves_further_runtimes_of_its_owner_alone,
                a_further_runtime_that_got_a_token_meanwhile_keeps_it,
                a_further_runtime_that_left_its_token_behind_is_taken,
                a_shared_token_is_replaced_where_it_is_still_the_one,
                assigning_for_one_foreign_runtime_assigns_none,
                a_proposed_credential_leaves_the_one_in_use,
                taking_what_was_proposed_replaces_the_one_in_use,
                dropping_what_was_proposed_leaves_no_trace,
                deleting_says_whether_another_runtime_uses_the_token,
                deleting_twice_finds_nothing,
                muting_is_independent_of_a_token,
                a_verdict_on_an_older_generation_is_not_recorded,
                a_verdict_that_was_overtaken_by_another_is_not_recorded,
                what_the_provider_said_about_a_repository_is_kept_per_runtime,
                only_another_credential_that_passed_since_counts,
                a_refusal_is_for_one_session_and_settled_by_a_token,
            ],
            refresh: [
                a_grant_that_moved_to_an_account_with_a_grant_goes_on_beside_it,
                a_lease_is_held_by_one_until_it_runs_out,
                fifty_take_the_lease_at_once_and_one_has_it,
                a_holder_that_comes_back_after_the_next_has_renewed_changes_nothing,
                a_holder_that_comes_back_before_the_next_has_renewed_keeps_nothing,
                what_a_late_holder_got_is_kept_where_the_next_got_nothing,
                renewing_ends_the_lease,
                a_released_lease_can_be_taken_at_once,
                releasing_a_lease_that_ran_out_leaves_the_next_holders,
                renewing_what_was_deleted_brings_nothing_back,
                an_answer_is_lost_with_a_lease_that_nobody_ended,
                an_answer_is_lost_when_its_holder_says_so,
                a_lease_of_a_clock_that_was_ahead_holds_up_nobody,
                a_lease_holds_also_against_who_looked_at_the_clock_before_it_was_taken,
            ],
            watch: [
                nothing_is_taken_before_it_is_due_nor_at_another_provider,
                what_has_no_due_time_is_never_taken,
                a_lease_to_ask_ends_by_itself,
                a_lease_of_a_clock_that_was_ahead_is_none,
                what_came_back_ends_the_lease_and_says_when_again,
                a_check_that_was_put_off_is_due_then,
                a_replaced_secret_is_nobodys_to_ask_about,
                fifty_take_at_once_and_nothing_is_taken_twice,
                two_stores_on_one_database_take_nothing_twice,
                a_hundred_of_one_user_leave_room_for_anothers_one,
                what_is_wanted_comes_first_if_it_is_due,
                what_is_asked_about_is_what_is_in_use,
                due_times_of_a_clock_that_was_set_back_are_brought_back_once,
                how_a_host_is_is_kept_by_whoever_read_it_last,
                an_incident_is_kept_for_ninety_days_after_its_end,
            ],
            revocation: [
                a_deleted_token_that_is_to_be_revoked_is_nothing_else_any_more,
                without_a_word_nothing_is_left_of_a_deleted_token,
                what_its_owner_has_to_revoke_is_noted_without_its_secret,
                a_token_that_still_serves_another_runtime_is_not_revoked,
                a_replaced_token_is_revoked_when_its_last_runtime_has_the_new_one,
                a_replaced_token_waits_for_the_runtimes_that_hold_it_but_not_for_ever,
                fifty_take_a_revocation_at_once_and_one_has_it,
                two_stores_on_one_database_revoke_nothing_twice,
                a_lease_to_revoke_ends_by_itself,
                what_was_put_off_is_due_then_and_only_one_can_be_asked_for,
                due_times_of_a_clock_that_was_ahead_do_not_count,
                a_revocation_that_is_over_keeps_no_secret_and_comes_to_an_end_once,
                a_renewal_that_meets_a_delete_is_revoked_and_resurrects_nothing,
                a_renewal_that_comes_after_the_revocation_is_revoked_again,
                a_renewal_that_began_a_moment_after_who_deletes_looked_at_the_clock_is_waited_for,
                a_renewal_that_brings_nothing_holds_no_revocation_up,
                an_account_may_be_authorized_anew_while_its_old_grant_waits_to_be_revoked,
                an_authorization_counts_until_it_is_finished_and_no_longer_than_a_quarter_of_an_hour,
                how_it_ended_at_the_provider_is_in_the_timeline_and_is_told_to_nobody,
                revocations_are_for_their_user_and_are_forgotten_after_a_week,
            ],
            delivery: [
                a_notice_makes_a_delivery_for_each_way_its_user_wants,
                what_is_no_notice_is_delivered_nowhere,
                an_address_gets_nothing_before_it_is_confirmed,
                a_confirmation_works_once_for_its_user_and_in_time,
                a_new_address_leaves_the_confirmed_one_in_use,
                whoever_wants_no_mail_gets_none_at_another_address_either,
                all_of_a_day_are_one_message_at_its_hour,
                another_hour_moves_what_waits,
                fifty_take_at_once_and_nothing_is_taken_twice,
                one_place_gets_one_after_the_other,
                a_lease_that_ran_out_is_somebody_elses,
                a_clock_that_was_ahead_holds_nothing_up,
                a_webhook_that_is_gone_gets_nothing_more,
                a_replaced_webhook_gets_nothing_of_the_old_ones,
                what_was_switched_off_meanwhile_finds_nobody,
                of_a_hosts_trouble_an_account_hears_once_in_each_place,
                an_accounts_mailbox_is_a_place_of_its_own,
                the_log_shows_a_user_their_own_and_an_admin_the_accounts,
                old_lines_are_forgotten_and_what_waits_is_not,
                what_a_process_can_not_send_is_left_to_those_that_can,
                what_waits_to_be_delivered_outlives_its_age,
            ],
            notice: [
                each_step_that_may_change_an_access_marks_it,
                a_step_that_changes_nothing_marks_nothing,
                whoever_authorizes_again_does_so_for_all_that_use_the_grant,
                what_was_marked_since_is_not_told,
                fifty_tell_at_once_and_one_is_heard,
                what_can_not_be_seen_is_left_alone_until_the_next_mark,
                hidden_or_not_wanted_is_an_event_and_no_notice,
                good_news_are_told_after_bad_news_that_were_told,
                notices_are_counted_paged_and_read_by_their_user_alone,
                a_notice_of_what_is_no_longer_theirs_is_neither_shown_nor_counted,
                a_stream_that_broke_off_goes_on_where_it_was,
                a_timeline_has_the_last_two_hundred_of_ninety_days,
                renewals_in_a_row_are_one_line,
                an_incident_is_told_once_to_whoever_has_a_token_there,
                what_uses_a_token_is_named,
            ],
            login: [
                an_attempt_is_taken_once_among_fifty,
                an_attempt_comes_back_as_it_was,
                an_attempt_is_pending_for_ten_minutes,
                a_newer_attempt_replaces_the_pending_one_but_both_can_be_taken,
                a_denial_shows_for_a_day_or_until_the_next_attempt,
                a_kept_token_settles_attempts_and_denials,
                an_attempt_ends_with_its_session,
                a_session_has_twenty_attempts_under_way_and_the_oldest_go,
                deleting_a_token_ends_attempts_that_would_bring_it_back,
            ],
            runtime: [
                a_key_is_found_by_its_public_id_alone,
                rotating_leaves_two_keys_valid_and_ends_those_before,
                a_key_is_added_only_after_the_one_that_was_seen,
                twenty_rotate_at_once_and_one_does,
                a_key_is_revoked_once_and_only_by_its_runtime,
                a_runtime_is_there_while_all_of_it_is_declared,
                only_admins_administer_and_only_their_accounts,
                a_runtime_sees_its_own_users_and_what_they_authorized_for_it,
                a_proposed_credential_is_not_what_a_runtime_gets,
                what_was_fetched_and_used_is_kept_per_user_and_runtime,
                a_runtime_gets_what_its_user_key_and_token_allow,
                news_are_what_changes_what_runtimes_get,
            ],
            audit: [
                a_record_comes_back_as_it_was,
                the_log_goes_on_only_where_it_ends,
                fifty_go_on_from_the_same_end_and_one_does,
                records_are_found_by_whose_they_are_and_what_they_say,
                old_records_are_removed_from_the_beginning_alone,
                records_are_found_by_the_name_of_who_did_it_or_whose_things_they_are_about,
                who_left_an_account_signs_in_unseen_by_it,
                only_enabled_admins_administer_an_account,
            ],
            key: [
                the_first_data_keys_are_added_once_among_twenty,
                the_key_of_a_further_purpose_is_added_next_to_the_others,
            ],
        }
    };
    (@ $bench:path; $($subject:ident: [$($test:ident),* $(,)?]),* $(,)?) => {
        $(mod $subject {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                let bench = $bench().await;
                $crate::store::contract::$subject::$test(&bench).await;
            })*
        })*
    };
}
pub(crate) use suite;

pub(crate) const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);
pub(crate) const MINUTE: Duration = Duration::from_mins(1);

pub(crate) fn name(text: &str) -> Name {
    Name::parse(text).expect("a name")
}

pub(crate) fn fingerprint(number: u8) -> Fingerprint {
    Fingerprint([number; 32])
}

pub(crate) fn user(text: &str) -> User {
    User {
        id: id(text),
        name: name(text),
        password: Some(format!("hash of {text}")),
        disabled_at: None,
        created_at: NOW,
    }
}

pub(crate) fn id(user: &str) -> UserId {
    UserId(format!("user-{user}"))
}

pub(crate) fn runtime(id: &str) -> RuntimeId {
    RuntimeId::from(id)
}

pub(crate) fn session(number: u8, user: &str) -> Session {
    Session { id: fingerprint(number), user: id(user), started_at: NOW, seen_at: NOW }
}

pub(crate) fn link(number: u8, user: Option<&str>) -> OneTimeLink {
    OneTimeLink { secret: fingerprint(number), user: user.map(id), expires_at: NOW.plus(MINUTE) }
}

/// Two accounts: alice is in both, bob in the first, carol in none.
pub(crate) fn declaration() -> Declaration {
    let member = |account: &str, user: &str, role| Member { account: account.into(), name: name(user), role };
    let runtime = |account: &str, key: &str, provider: &str| Runtime {
        id: RuntimeId(format!("{account}.{key}")),
        account: account.into(),
        name: key.to_owned(),
        provider: provider.into(),
        oauth_app: (provider == "github").then(|| "github-app".into()),
        repository: Some("acme/gitops".to_owned()),
        scopes: (key == "production").then(|| ScopeSet::parse("repo workflow")),
    };
    Declaration {
        providers: vec![
            DeclaredProvider { id: "github".into(), origin: "https://github.example".to_owned() },
            DeclaredProvider { id: "gitea".into(), origin: "https://gitea.example".to_owned() },
        ],
        accounts: vec![
            Account { id: "zoo".into(), name: "A zoo".to_owned() },
            Account { id: "acme".into(), name: "Z acme".to_owned() },
        ],
        members: vec![
            member("acme", "alice", Role::Admin),
            member("zoo", "alice", Role::Member),
            member("acme", "bob", Role::Member),
        ],
        runtimes: vec![
            runtime("acme", "staging", "github"),
            runtime("acme", "production", "github"),
            runtime("acme", "forge", "gitea"),
            runtime("zoo", "main", "github"),
        ],
    }
}

/// The declaration is applied; alice, bob and carol exist, each with one session (1, 2, 3).
pub(crate) async fn populate(store: &dyn Store) {
    store.apply(&declaration(), NOW).await.expect("applied");
    for (number, name) in [(1, "alice"), (2, "bob"), (3, "carol")] {
        assert!(store.add_user(&user(name)).await.expect("added"));
        store.start_session(&session(number, name)).await.expect("started");
    }
}

/// A pasted token of its first generation.
pub(crate) fn token(id: &str, user: &str, provider: &str) -> NewCredential {
    NewCredential {
        credential: Credential {
            id: id.into(),
            user: self::id(user),
            provider: provider.into(),
            method: Method::Token,
            kind: "classic".to_owned(),
            oauth_app: None,
            generation: 1,
            owner: ProviderAccount { id: "583231".to_owned(), login: "octocat".to_owned() },
            scopes: Some(ScopeSet::parse("repo")),
            expires_at: None,
            expiry_unknown: false,
            noted_end: None,
            user_name: None,
            renew_at: None,
            access_ends_at: None,
            renewal_lost_at: None,
            standing: Standing::good(NOW, evidence("200")),
            due_at: None,
            created_at: NOW,
        },
        sealed: sealed(id, 1),
    }
}

/// A grant of its first generation.
pub(crate) fn grant(id: &str, user: &str, owner: &str) -> NewCredential {
    let mut new = token(id, user, "github");
    new.credential.method = Method::Oauth2;
    new.credential.kind = "app".to_owned();
    new.credential.oauth_app = Some("github-app".into());
    new.credential.owner = ProviderAccount { id: owner.to_owned(), login: format!("login of {owner}") };
    new.credential.renew_at = Some(NOW.plus(MINUTE));
    new.credential.access_ends_at = Some(NOW.plus(6 * MINUTE));
    new
}

/// The same with the next secret.
pub(crate) fn next(new: &NewCredential) -> NewCredential {
    let mut next = new.clone();
    next.credential.generation += 1;
    next.sealed = sealed(next.credential.id.as_str(), next.credential.generation);
    next
}

/// Notes a verdict by who has just looked.
pub(crate) async fn record(store: &dyn Store, credential: &Credential) -> bool {
    let kept = store.sealed(&credential.id).await.expect("an answer");
    let seen = kept.map_or_else(|| credential.standing.clone(), |kept| kept.credential.standing);
    store.record(credential, &seen).await.expect("an answer")
}

pub(crate) fn sealed(id: &str, generation: i64) -> Sealed {
    Sealed(format!("ciphertext of {id} in generation {generation}").into_bytes())
}

pub(crate) fn evidence(answer: &str) -> Evidence {
    Evidence { request: "GET /user".to_owned(), answer: answer.to_owned() }
}

pub(crate) fn attempt(number: u8, session: u8, user: &str, runtime: &str) -> LoginAttempt {
    LoginAttempt {
        state: fingerprint(number),
        user: id(user),
        session: fingerprint(session),
        provider: "github".into(),
        oauth_app: "github-app".into(),
        runtime: runtime.into(),
        also: vec!["acme.staging".into()],
        revoke: number.is_multiple_of(2),
        verifier: Sealed(vec![1, 2, 3, number]),
        begun_at: NOW,
    }
}

pub(crate) fn on(runtimes: &[&str]) -> Vec<(RuntimeId, Option<Push>)> {
    runtimes.iter().map(|id| (RuntimeId::from(*id), None)).collect()
}

pub(crate) async fn keep(store: &dyn Store, new: &NewCredential, runtimes: &[&str]) -> bool {
    store.keep(new, &on(runtimes), None, NOW).await.expect("an answer").is_some()
}

pub(crate) async fn look(store: &dyn Store, user: &str, runtime: &str) -> Access {
    look_at(store, user, runtime, NOW).await
}

pub(crate) async fn look_at(store: &dyn Store, user: &str, runtime: &str, now: Timestamp) -> Access {
    store.access(&id(user), &runtime.into(), now).await.expect("an answer").expect("a runtime of the user")
}

/// The credential in use.
pub(crate) async fn in_use(store: &dyn Store, user: &str, runtime: &str) -> Option<CredentialId> {
    look(store, user, runtime).await.credential.map(|credential| credential.id)
}

pub(crate) async fn exists(store: &dyn Store, id: &str) -> bool {
    store.sealed(&id.into()).await.expect("an answer").is_some()
}

pub(crate) fn provider(id: &str) -> ProviderId {
    id.into()
}
