//! Providers ban an address that keeps coming with what they refuse, and all users share this server's address. So
//! refusals are counted per provider, and once there were many nobody is asked for a while.

use std::sync::Arc;

use crate::{
    clock::Clock,
    credential::Evidence,
    provider::{Age, Identity, Presented, Provider, ProviderError},
    store::{Store, StoreError},
};

/// GitLab bans an address for an hour after 30 refusals in 3 minutes (<https://docs.gitlab.com/user/gitlab_com/>); no
/// other provider is known to be stricter.
const REFUSALS: u32 = 20;
const WINDOW_SECONDS: u32 = 3 * 60;

/// Stands between everybody who asks about tokens and the providers.
pub struct Guard {
    /// Counts, across processes and restarts.
    pub store: Arc<dyn Store>,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

impl Guard {
    /// [`Provider::identify`], unless too many tokens were refused there lately: then the answer is
    /// [`ProviderError::RateLimited`], and nobody was asked.
    ///
    /// # Errors
    /// [`StoreError`] if refusals can't be counted; then nobody was asked either.
    pub async fn identify(
        &self,
        provider: &dyn Provider,
        presented: &Presented<'_>,
        age: Age,
    ) -> Result<Result<Identity, ProviderError>, StoreError> {
        let bucket = format!("refused at {}", provider.id());
        // Counted beforehand: a hundred at once are a hundred.
        if self.store.count_failure(&bucket, self.clock.now(), WINDOW_SECONDS).await? > REFUSALS {
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
}
