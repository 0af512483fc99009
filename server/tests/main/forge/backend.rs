//! Real repositories over HTTP, by `git http-backend` (CGI, RFC 3875), for whom the simulated host lets in.

use std::{
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::Request,
    http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header},
    middleware::{Next, from_fn},
};
use tower::ServiceExt;

/// Requests for packs of a repository that lies in `folder` are for Git, if the host would answer them.
pub fn in_front_of(folder: PathBuf, host: Router) -> Router {
    let judge = host.clone();
    host.layer(from_fn(move |request: Request, next: Next| {
        let (folder, judge) = (folder.clone(), judge.clone());
        async move {
            let Some(service) = service(&request) else { return next.run(request).await };
            let repository = request.uri().path().split("/info/").next().unwrap_or_default();
            let repository = repository.trim_end_matches(&format!("/{service}")).to_owned();
            if !folder.join(repository.trim_start_matches('/')).is_dir() {
                return next.run(request).await;
            }
            let question = Request::builder().uri(format!("{repository}/info/refs?service={service}"));
            let mut question = question.body(Body::empty()).unwrap();
            *question.headers_mut() = request.headers().clone();
            let verdict = judge.oneshot(question).await.unwrap();
            if verdict.status() != StatusCode::OK {
                return verdict;
            }
            let (parts, body) = request.into_parts();
            let body = to_bytes(body, usize::MAX).await.unwrap();
            let call = Call {
                method: parts.method.to_string(),
                path: parts.uri.path().to_owned(),
                query: parts.uri.query().unwrap_or_default().to_owned(),
                headers: parts.headers,
            };
            tokio::task::spawn_blocking(move || call.answer(&folder, &body)).await.unwrap()
        }
    }))
}

/// Which of Git's services a request is about.
fn service(request: &Request) -> Option<&'static str> {
    let (path, query) = (request.uri().path(), request.uri().query().unwrap_or_default());
    ["git-upload-pack", "git-receive-pack"].into_iter().find(|service| {
        path.ends_with(&format!("/{service}"))
            || (path.ends_with("/info/refs") && query == format!("service={service}"))
    })
}

struct Call {
    method: String,
    path: String,
    query: String,
    headers: HeaderMap,
}

impl Call {
    fn header(&self, name: impl header::AsHeaderName) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    fn answer(&self, folder: &Path, body: &[u8]) -> Response<Body> {
        let mut git = Command::new("git");
        git.arg("http-backend").env_clear();
        if let Some(path) = std::env::var_os("PATH") {
            git.env("PATH", path);
        }
        let mut child = git
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_PROJECT_ROOT", folder)
            .env("GIT_HTTP_EXPORT_ALL", "1")
            .env("REMOTE_USER", "somebody")
            .env("REQUEST_METHOD", &self.method)
            .env("PATH_INFO", &self.path)
            .env("QUERY_STRING", &self.query)
            .env("CONTENT_TYPE", self.header(header::CONTENT_TYPE))
            .env("CONTENT_LENGTH", body.len().to_string())
            .env("HTTP_CONTENT_ENCODING", self.header(header::CONTENT_ENCODING))
            .env("GIT_PROTOCOL", self.header("git-protocol"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let body = body.to_vec();
        let writing = std::thread::spawn(move || stdin.write_all(&body));
        let output = child.wait_with_output().unwrap();
        // It may have heard enough.
        let _ = writing.join().unwrap();
        cgi(&output.stdout)
    }
}

/// Headers, an empty line, the body.
fn cgi(output: &[u8]) -> Response<Body> {
    let end = output.windows(4).position(|window| window == b"\r\n\r\n").expect("headers");
    let mut response = Response::new(Body::from(output[end + 4..].to_vec()));
    for line in std::str::from_utf8(&output[..end]).unwrap().split("\r\n") {
        let (name, value) = line.split_once(": ").unwrap();
        if name == "Status" {
            *response.status_mut() = value[..3].parse().unwrap();
        } else {
            response
                .headers_mut()
                .append(name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap());
        }
    }
    response
}
