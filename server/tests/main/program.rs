//! The real program, to be started and killed.

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Output, Stdio},
    time::Duration,
};

fn gitward(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gitward"));
    command
        .current_dir(folder)
        .env_clear()
        .env("GITWARD_SITE_DIR", folder.join("site"))
        .env("GITWARD_LOG", "info");
    command
}

/// A command that ends by itself.
pub fn run(folder: &Path, arguments: &[&str]) -> Output {
    gitward(folder).args(arguments).output().unwrap()
}

/// A server.
pub struct Running {
    child: Child,
    /// Where it listens.
    pub url: String,
}

impl Running {
    /// Starts it, and waits until it listens.
    pub fn start(folder: &Path) -> Self {
        let mut child =
            gitward(folder).arg("serve").stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut said = String::new();
        let address = loop {
            let Some(Ok(line)) = lines.next() else { panic!("it ended and said: {said}") };
            let json: serde_json::Value = serde_json::from_str(&line).unwrap_or_default();
            if json["message"] == "Serving" {
                break json["address"].as_str().unwrap().to_owned();
            }
            said.push_str(&line);
        };
        // Somebody must go on reading, or it would stop at its next words.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, url: format!("http://{address}") }
    }

    /// As the power goes.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Pastes a token, as script does. `None` if there was no answer.
    pub async fn paste(&self, cookie: &str, runtime: &str, token: &str) -> Option<u16> {
        let body = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("runtime", runtime)
            .append_pair("token", token)
            .finish();
        let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(20)).build().unwrap();
        let request = client
            .post(format!("{}/api/token/add", self.url))
            .header("sec-fetch-site", "same-origin")
            .header("accept", "application/json")
            .header("content-type", "application/x-www-form-urlencoded")
            .header("cookie", cookie)
            .body(body);
        request.send().await.ok().map(|answer| answer.status().as_u16())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have been killed already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
