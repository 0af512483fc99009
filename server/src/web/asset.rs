//! Files for browsers: compressed beforehand, named by their content, kept for ever.

use std::path::{Path, PathBuf};

use app::asset::Assets;
use axum::{
    Router,
    http::{HeaderValue, Response, StatusCode, header::CACHE_CONTROL},
};
use tower::Layer;
use tower_http::{
    services::{ServeDir, ServeFile, fs::ServeFileSystemResponseBody},
    set_header::SetResponseHeaderLayer,
};

/// Where the files are and how they are called.
#[derive(Clone, Debug)]
pub struct Files {
    /// The folder with `pkg` in it.
    pub folder: PathBuf,
    /// What the page's head names.
    pub names: Assets,
    /// The names change with the contents.
    pub hashed: bool,
}

/// The files of the site could not be found.
#[derive(Debug, thiserror::Error)]
#[error(
    "the site's files are missing in {folder}: {problem}. Build them, or say where they are with GITWARD_SITE_DIR"
)]
pub struct NoFiles {
    folder: PathBuf,
    problem: String,
}

/// Finds the files. `folder` holds `pkg`, and `hash.txt`: the build's list of what their names contain, if it wrote one.
///
/// # Errors
/// [`NoFiles`] where one is missing: a page without its style would look broken, and nobody would know why.
pub fn find(folder: &Path) -> Result<Files, NoFiles> {
    let missing = |problem: String| NoFiles { folder: folder.to_owned(), problem };
    let hashes = folder.join("hash.txt");
    let list = match std::fs::read_to_string(&hashes) {
        Ok(list) => list,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(missing(format!("{} can't be read ({error})", hashes.display()))),
    };
    let hash =
        |kind: &str| list.lines().find_map(|line| line.strip_prefix(kind)?.strip_prefix(": ")).map(str::trim);
    let name = |kind: &str| {
        let file = match hash(kind) {
            Some(hash) => format!("gitward.{hash}.{kind}"),
            None => format!("gitward.{kind}"),
        };
        if folder.join("pkg").join(&file).is_file() {
            Ok(format!("/pkg/{file}"))
        } else {
            Err(missing(format!("no pkg/{file}")))
        }
    };
    let names = Assets { js: name("js")?, wasm: name("wasm")?, css: name("css")? };
    let hashed = ["js", "wasm", "css"].into_iter().all(|kind| hash(kind).is_some());
    Ok(Files { folder: folder.to_owned(), names, hashed })
}

/// The routes of the files. Where names change with contents, browsers may keep them; else they ask each time.
pub fn files(found: &Files) -> Router {
    let folder = &found.folder;
    let keep = if found.hashed { "public, max-age=31536000, immutable" } else { "no-cache" };
    // But never that one is missing: while two versions serve side by side, the older one is asked for files that only
    // the newer one has, and a browser that kept the answer would stay without them.
    let kept = SetResponseHeaderLayer::if_not_present(
        CACHE_CONTROL,
        move |answer: &Response<ServeFileSystemResponseBody>| {
            let found = answer.status().is_success() || answer.status() == StatusCode::NOT_MODIFIED;
            found.then(|| HeaderValue::from_static(keep))
        },
    );
    let for_a_day = SetResponseHeaderLayer::if_not_present(
        CACHE_CONTROL,
        HeaderValue::from_static("public, max-age=86400"),
    );
    let pkg = ServeDir::new(folder.join("pkg")).precompressed_br().precompressed_gzip();
    Router::new()
        .nest_service("/pkg", tower::ServiceBuilder::new().layer(kept).service(pkg))
        .route_service("/favicon.svg", for_a_day.layer(ServeFile::new(folder.join("favicon.svg"))))
        .route_service("/robots.txt", for_a_day.layer(ServeFile::new(folder.join("robots.txt"))))
}
