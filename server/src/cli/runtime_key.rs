//! `gitward runtime-key`: the keys that runtimes show.

use std::{path::Path, sync::Arc};

use clap::Subcommand;

use super::{Failure, answer, clock, load_quietly, tell};
use crate::{
    audit::{Actor, By},
    clock::Timestamp,
    id::RuntimeId,
    random::SystemEntropy,
    runtime_key::{KeyError, NewKey, RuntimeKeys},
    site::records,
};

/// What to do with the keys of a runtime.
#[derive(Debug, Subcommand)]
pub enum RuntimeKeyCommand {
    /// Make the first key of a runtime
    ///
    /// Prints the key, and nothing else, to stdout: it is shown this one time.
    #[command(after_help = "\
Example:
  gitward runtime-key create acme.production > runtime.key")]
    Create {
        /// The runtime, as `account.name`
        runtime: String,
    },
    /// Make the next key of a runtime; the latest one stays valid until it is revoked or the next rotation
    ///
    /// Prints the key, and nothing else, to stdout: it is shown this one time. Older keys than the latest are revoked.
    Rotate {
        /// The runtime, as `account.name`
        runtime: String,
    },
    /// Revoke a key: it opens nothing from now on
    Revoke {
        /// The runtime, as `account.name`
        runtime: String,
        /// The key's public id: what stands between `gwr_` and the next `_`
        public_id: String,
    },
    /// List the keys of a runtime: public id, state, when it was made and last used
    List {
        /// The runtime, as `account.name`
        runtime: String,
    },
}

impl RuntimeKeyCommand {
    pub(super) async fn run(self, path: &Path) -> Result<(), Failure> {
        let config = load_quietly(path)?;
        let records::Opened { runtime_keys: keys, store, .. } =
            records::open(&config, clock(), Arc::new(SystemEntropy)).await?;
        let done = self.act(&keys).await;
        store.close().await;
        done
    }

    async fn act(self, keys: &RuntimeKeys) -> Result<(), Failure> {
        let operator = By::new(Actor::Operator);
        match self {
            Self::Create { runtime } => {
                let new = keys.create(&RuntimeId(runtime), &operator).await.map_err(failed)?;
                show(&new)
            }
            Self::Rotate { runtime } => {
                let new = keys.rotate(&RuntimeId(runtime), None, &operator).await.map_err(failed)?;
                for public_id in &new.revoked {
                    tell(&format!("Revoked {public_id}."));
                }
                show(&new)
            }
            Self::Revoke { runtime, public_id } => {
                keys.revoke(&RuntimeId(runtime), &public_id, &operator).await.map_err(failed)?;
                tell(&format!("Revoked {public_id}: it opens nothing any more."));
                Ok(())
            }
            Self::List { runtime } => {
                let runtime = RuntimeId(runtime);
                let all = keys.store.runtime_keys(&runtime).await.map_err(Failure::because)?;
                if all.is_empty() && keys.store.runtime(&runtime).await.map_err(Failure::because)?.is_none() {
                    return Err(Failure::because(KeyError::NoRuntime(runtime)));
                }
                for key in all {
                    let state = if key.revoked_at.is_some() { "revoked" } else { "valid" };
                    let used = key.used_at.map_or("never".to_owned(), written);
                    answer(&format!(
                        "{}  {state:<7}  made {}  last used {used}",
                        key.public_id,
                        written(key.created_at)
                    ))?;
                }
                Ok(())
            }
        }
    }
}

fn show(new: &NewKey) -> Result<(), Failure> {
    tell(&format!("Made {}. This is the only time that the key is shown:", new.public_id));
    answer(new.text.expose())
}

/// With what lies below it.
fn failed(error: KeyError) -> Failure {
    match &error {
        KeyError::Store(below) => {
            let cause =
                std::error::Error::source(below).map(|cause| format!(": {cause}")).unwrap_or_default();
            Failure::because(format!("{error}{cause}"))
        }
        _ => Failure::because(error),
    }
}

/// RFC 3339, to the second.
fn written(at: Timestamp) -> String {
    let at = Timestamp::from_seconds(at.seconds()).calendar();
    let text = at.and_then(|at| at.format(&time::format_description::well_known::Rfc3339).ok());
    text.unwrap_or_else(|| "at an unknown time".to_owned())
}
