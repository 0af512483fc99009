//! The names of the files that a page loads. They change with every build, so the server tells them.

/// Absolute addresses on this site, below which the browser finds what a page needs. In the context as
/// `Arc<Assets>`; without it pages work, but without style and script.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Assets {
    /// `/pkg/gitward.….js`
    pub js: String,
    /// `/pkg/gitward.….wasm`
    pub wasm: String,
    /// `/pkg/gitward.….css`
    pub css: String,
}

/// In the context while developing: pages reload when the build has changed.
#[derive(Clone, Copy, Debug)]
pub struct DevReload;
