//! The real program, to be started and killed.

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Output, Stdio},
    sync::{
        Mutex,
        mpsc::{Receiver, TryRecvError, channel},
    },
    time::Duration,
};

use server::failpoint;
use tokio::time::Instant;

fn gitward(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gitward"));
    at_home(&mut command, folder);
    command
}

fn at_home<'a>(command: &'a mut Command, folder: &Path) -> &'a mut Command {
    command
        .current_dir(folder)
        .env_clear()
        .env("GITWARD_SITE_DIR", folder.join("site"))
        .env("GITWARD_LOG", "info")
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
    /// From when it was started until it listened.
    pub took: Duration,
    stopped: Mutex<Receiver<()>>,
}

impl Running {
    /// Starts it, and waits until it listens.
    pub fn start(folder: &Path) -> Self {
        Self::start_by(gitward(folder).arg("serve"))
    }

    /// The same, and it stops for ever at this place, see `server::failpoint`.
    pub fn start_to_stop_at(folder: &Path, place: &str) -> Self {
        Self::start_by(gitward(folder).env(failpoint::STOP_AT, place).arg("serve"))
    }

    /// The same, and it can write no file beyond so many KiB: as if the disk were full.
    pub fn start_with_little_room(folder: &Path, kib: u64) -> Self {
        let mut command = Command::new("bash");
        // A write that goes too far fails instead of ending the process.
        let limited = format!("trap '' XFSZ; ulimit -f {kib}; exec \"$0\" serve");
        command.args(["-c", &limited, env!("CARGO_BIN_EXE_gitward")]);
        Self::start_by(at_home(&mut command, folder))
    }

    fn start_by(command: &mut Command) -> Self {
        let begun = Instant::now();
        let mut child = command.stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
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
        let took = begun.elapsed();
        let (stops, stopped) = channel();
        // Somebody must go on reading, or it would stop at its next words.
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                if line.starts_with("stopped at ") {
                    // Nobody may be listening any more.
                    let _ = stops.send(());
                }
            }
        });
        Self { child, url: format!("http://{address}"), took, stopped: Mutex::new(stopped) }
    }

    /// Waits until it has come to where it was to stop.
    pub async fn until_stopped(&self) {
        // The lock is not held while it waits.
        while self.is_on_its_way() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    fn is_on_its_way(&self) -> bool {
        self.stopped.lock().unwrap().try_recv() == Err(TryRecvError::Empty)
    }

    /// As the power goes.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Tells it to stop, and waits until it has. What it exited with, and how long that took.
    pub async fn terminate(mut self) -> (Option<i32>, Duration) {
        let begun = Instant::now();
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return (status.code(), begun.elapsed());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Pastes a token, as script does. `None` if there was no answer.
    pub async fn paste(&self, cookie: &str, runtime: &str, token: &str) -> Option<u16> {
        self.call(cookie, "token/add", &[("runtime", runtime), ("token", token)]).await
    }

    /// Calls a server function, as script does. `None` if there was no answer.
    pub async fn call(&self, cookie: &str, function: &str, form: &[(&str, &str)]) -> Option<u16> {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(60)).build().unwrap();
        let request = client
            .post(format!("{}/api/{function}", self.url))
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
