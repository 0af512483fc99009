//! Providers ban an address that keeps coming with what they refuse, and all users share this server's address. So
//! refusals are counted per provider, and once there were many nobody is asked for a while.

use std::{collections::HashMap, sync::Arc, time::Duration};

use tokio::sync::Semaphore;

use crate::{
    clock::Clock,
    credential::Evidence,
    id::ProviderId,
    provider::{Age, Identity, Presented, Provider, ProviderError, Registry},
    store::{Store, StoreError},
};

/// GitLab bans an address for an hour after 30 refusals in 3 minutes (<https://docs.gitlab.com/user/gitlab_com/>); no
/// other provider is known to be stricter.
const REFUSALS: u32 = 20;
const WINDOW_SECONDS: u32 = 3 * 60;
/// Questions to one provider under way at once: each may turn out to be a refusal.
const AT_ONCE: usize = 10;
/// While others are still waiting for their answers, there may be room again in a moment …
const MOMENT: Duration = Duration::from_millis(100);
/// … and after so many moments there were too many refusals indeed.
const MOMENTS: u32 = 20;

/// Stands between everybody who asks about tokens and the providers.
pub struct Guard {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    at_once: HashMap<ProviderId, Semaphore>,
}

impl Guard {
    /// Counts in `store`, across processes and restarts, what the providers of `registry` refuse.
    pub fn new(store: Arc<dyn Store>, registry: &Registry, clock: Arc<dyn Clock>) -> Self {
        let at_once =
            registry.providers().map(|provider| (provider.id().clone(), Semaphore::new(AT_ONCE))).collect();
        Self { store, clock, at_once }
    }

    /// [`Provider::identify`], after others that ask the same provider. If too many tokens were refused there lately,
    /// the answer is [`ProviderError::RateLimited`], and nobody was asked.
    ///
    /// # Errors
    /// [`StoreError`] if refusals can't be counted; then nobody was asked either.
    pub async fn identify(
        &self,
        provider: &dyn Provider,
        presented: &Presented<'_>,
        age: Age,
    ) -> Result<Result<Identity, ProviderError>, StoreError> {
        let _turn = match self.at_once.get(provider.id()) {
            Some(at_once) => at_once.acquire().await.ok(),
            None => None,
        };
        let bucket = format!("refused at {}", provider.id());
        if !self.may_be_refused(&bucket).await? {
            let window = self.store.failures(&bucket, self.clock.now()).await?;
            let evidence = Evidence {
                request: "identity".to_owned(),
                answer: "not asked: too many tokens were refused there lately".to_owned(),
            };
            return Ok(Err(ProviderError::RateLimited { until: window.map(|(_, until)| until), evidence }));
        }
        let outcome = provider.identify(presented, age).await;
        if !matches!(outcome, Err(ProviderError::Rejected(_))) {
            self.store.take_back_failure(&bucket, self.clock.now()).await?;
        }
        Ok(outcome)
    }

    /// Counts a refusal beforehand, so that many at once are many, if there is room for one.
    async fn may_be_refused(&self, bucket: &str) -> Result<bool, StoreError> {
        for moment in 0..MOMENTS {
            if moment > 0 {
                tokio::time::sleep(MOMENT).await;
            }
            if self.store.count_failure(bucket, self.clock.now(), WINDOW_SECONDS).await? <= REFUSALS {
                return Ok(true);
            }
            self.store.take_back_failure(bucket, self.clock.now()).await?;
        }
        Ok(false)
    }
}
