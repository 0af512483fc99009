//! A runtime says what happened with a credential.

use std::sync::Arc;

use super::{Caller, Releases, Withheld};
use crate::{
    audit::Action,
    check::CheckError,
    clock::Timestamp,
    herald::What,
    holding::version,
    id::RuntimeId,
    renew::TokensError,
    store::{
        StoreError,
        runtime::{RuntimeUser, VersionAt},
    },
    wire::{Outcome, Report, ReportAnswer},
};

/// Reports that a provider refused a credential have it asked so many times per window at most.
const REPORTS: u32 = 6;
const REPORTS_WINDOW_SECONDS: u32 = 60;

impl Releases {
    /// Takes down what a runtime says about a credential, and has the provider asked if it was refused.
    ///
    /// # Errors
    /// [`Withheld::UnknownUser`], [`Withheld::Store`].
    pub async fn report(
        self: &Arc<Self>,
        caller: &Caller,
        report: &Report,
    ) -> Result<ReportAnswer, Withheld> {
        // Before looking: what is replaced after it is not what this report is about.
        let now = self.parts.clock.now();
        let user = self.user(caller, &report.user).await?;
        let runtime = &caller.runtime.id;
        let used = user.access.credential.as_ref();
        let current = used.map(|credential| version(runtime, &credential.id, credential.generation));
        let named = match report.version.clone() {
            Some(named) => Some(named),
            None => {
                let mut holdings = self.parts.holdings.of(&user.id).await?;
                holdings.remove(runtime).and_then(|holding| holding.fetched_version)
            }
        };
        let word = match report.outcome {
            Outcome::Used => "used",
            Outcome::Rejected => "rejected",
        };
        let entry = self
            .entry(caller, Action::SecretReported, Some(&user))
            .detail(format!("{word}, of {}", user.name));
        self.parts.audit.note(entry).await;
        match (report.outcome, named) {
            (Outcome::Used, Some(named)) if is_version(&named) => {
                let uses = used.filter(|_| current.as_ref() == Some(&named));
                let said =
                    VersionAt { user: user.id.clone(), runtime: runtime.clone(), version: named, at: now };
                self.parts.store.note_used(&said).await?;
                if let Some(uses) = uses {
                    // What was replaced may be revoked now; whoever revokes looks for it every few seconds.
                    self.parts.store.end_holding(&said.user, &said.runtime, &uses.id, now).await?;
                }
                self.parts.changes.say(&said.user, What::Row(said.runtime));
            }
            // Of an older one it is no news that it was refused.
            (Outcome::Rejected, named) if named == current && current.is_some() => {
                self.ask_about(&user, runtime, now).await?;
            }
            _ => {}
        }
        Ok(ReportAnswer { version: current })
    }

    /// Has the provider asked, on a task of its own: the runtime need not wait for it.
    async fn ask_about(
        self: &Arc<Self>,
        user: &RuntimeUser,
        runtime: &RuntimeId,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let bucket = format!("reported {} {runtime}", user.id);
        if self.parts.store.count_failure(&bucket, now, REPORTS_WINDOW_SECONDS).await? > REPORTS {
            return Ok(());
        }
        let (releases, user, runtime) = (Arc::clone(self), user.id.clone(), runtime.clone());
        self.parts.under_way.spawn(async move {
            match releases.parts.checker.check(&user, &runtime).await {
                Ok(()) | Err(CheckError::NothingThere | CheckError::Tokens(TokensError::Gone)) => {}
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::error!(error, %runtime, "A check after a runtime's report failed");
                }
            }
        });
        Ok(())
    }
}

/// The shape of what [`version`] makes: nothing else is kept.
fn is_version(text: &str) -> bool {
    text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_shape_of_a_version_is_one() {
        assert!(is_version("AAAAaaaa0000-_Zz"));
        for wrong in ["", "AAAAaaaa0000-_Z", "AAAAaaaa0000-_Zzz", "AAAAaaaa0000-_Z\n", "AAAAaaaa0000-_Zé"] {
            assert!(!is_version(wrong), "{wrong:?}");
        }
    }
}
