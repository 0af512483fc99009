//! Starts a simulated Git host; the library's documentation says what it can do.

use std::io::Write as _;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use forge::{Host, Shape};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// Forge, a simulated Git host for demos and tests. Never expose it: anyone who reaches it controls it.
#[derive(Parser)]
#[command(version)]
struct Args {
    /// Where to listen; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:4001")]
    listen: SocketAddr,
    /// Which product to behave like.
    #[arg(long, value_enum, default_value = "github")]
    shape: Shape,
    /// The address that browsers and clients use; with a path, the host lives below it [default: http://localhost:PORT].
    #[arg(long)]
    public_url: Option<String>,
    /// Where the demo apps may send people back to; repeat for several. `http://localhost:*` means any port
    /// [default: any port of localhost and 127.0.0.1].
    #[arg(long = "redirect-uri")]
    redirect_uris: Vec<String>,
}

#[tokio::main]
async fn main() -> ExitCode {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    match run(Args::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "forge could not start");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: Args) -> std::io::Result<()> {
    let listener = TcpListener::bind(args.listen).await?;
    let port = listener.local_addr()?.port();
    let public_url = args.public_url.unwrap_or_else(|| format!("http://localhost:{port}"));
    let host = Arc::new(Host::new(args.shape, &public_url, args.redirect_uris));
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    writeln!(std::io::stdout(), "forge ({}) on {}", args.shape.name(), host.public_url)?;
    tokio::select! {
        () = forge::serve(listener, forge::router(&host)) => {}
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        super::Args::command().debug_assert();
    }
}
