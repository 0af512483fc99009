//! Places between two steps at which a test can stop the process for ever, to kill it there. Only test builds have
//! them: the feature `failpoints` is switched on by the development dependencies, and a release build has none of this
//! whatever its features.

/// The environment's name for the one place at which to stop.
pub const STOP_AT: &str = "GITWARD_STOP_AT";

/// The process has come to `place`. If a test wants it to, it says so on its standard error, and the thread goes no
/// further.
#[cfg(all(feature = "failpoints", debug_assertions))]
pub fn reached(place: &str) {
    static WANTED: std::sync::LazyLock<Option<String>> =
        std::sync::LazyLock::new(|| std::env::var(STOP_AT).ok());
    if WANTED.as_deref() != Some(place) {
        return;
    }
    eprintln!("stopped at {place}");
    loop {
        std::thread::park();
    }
}

/// Nothing.
#[cfg(not(all(feature = "failpoints", debug_assertions)))]
pub const fn reached(_: &str) {}
