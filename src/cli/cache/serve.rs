//! `kiln cache serve`.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::{Duration, SystemTime};

use signal_hook::consts::{SIGINT, SIGTERM};

use crate::cache::server::{AccessLog, Limits, Options, Server, ServerError, Tls, Tokens};
use crate::cache::signing::PublicKey;
use crate::fsio::IoResultExt as _;

use super::super::failure::Failure;
use super::super::session::Globals;
use super::super::{Exit, exit};

/// Serve a cache's directory to kiln, to Nix and to browsers
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  kiln cache serve /srv/cache\n  kiln cache serve /srv/cache --listen 0.0.0.0:8413 --tokens /etc/kiln/tokens \
                        --public\n  curl --netrc -T x.nar.zst http://localhost:8413/nar/HASH.nar.zst"
)]
pub struct Args {
    /// The directory; made if it is not there
    dir: PathBuf,
    /// Where to listen; port 0 takes a free one
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:8413")]
    listen: SocketAddr,
    /// The certificate chain for TLS, in PEM
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// Its key, in PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Who may do what, see `kiln cache token`; read again when it changes. Without it reading is open and writing closed
    #[arg(long, value_name = "FILE")]
    tokens: Option<PathBuf>,
    /// Let anybody read, although there are tokens
    #[arg(long, requires = "tokens")]
    public: bool,
    /// Take traces and records by this key only, `name:base64`; may be repeated [default: by any key]
    #[arg(long = "trusted-key", value_name = "KEY")]
    trusted: Vec<PublicKey>,
    /// Write a JSON line for each request, `-` for standard output
    #[arg(long, value_name = "FILE")]
    access_log: Option<PathBuf>,
    /// Connections at a time
    #[arg(long, value_name = "COUNT", default_value_t = Limits::default().connections)]
    max_connections: usize,
    /// Bytes of a packed NAR that is uploaded
    #[arg(long, value_name = "BYTES", default_value_t = Limits::default().upload)]
    max_upload: u64,
    /// Seconds that a connection may be silent between requests
    #[arg(long, value_name = "SECONDS", default_value_t = Limits::default().idle.as_secs())]
    idle_timeout: u64,
    /// Seconds that a request's head may take
    #[arg(long, value_name = "SECONDS", default_value_t = Limits::default().head.as_secs())]
    head_timeout: u64,
    /// Seconds that a body may stand still, either way
    #[arg(long, value_name = "SECONDS", default_value_t = Limits::default().stall.as_secs())]
    stall_timeout: u64,
    /// Seconds between searches of the directory for what others changed; for the page only
    #[arg(long, value_name = "SECONDS", default_value_t = Limits::default().rescan.as_secs())]
    rescan: u64,
}

/// Runs the command.
///
/// # Errors
/// If the directory cannot be served.
pub fn run(globals: &Globals, args: &Args) -> Exit {
    let stop = stop_signal().map_err(|error| Failure::new(format!("cannot watch for signals: {error}")))?;
    let tls = match (&args.tls_cert, &args.tls_key) {
        (Some(certificate), Some(key)) => Some(Tls::load(certificate, key)?),
        _ => None,
    };
    let server = Arc::new(Server::new(options(args)?)?);
    for secret in [&args.tokens, &args.tls_key].into_iter().flatten() {
        server.keeps_secret(secret)?;
    }
    let listener = TcpListener::bind(args.listen).map_err(|error| Failure::new(format!("cannot listen on {}: {error}", args.listen)))?;
    let address = listener.local_addr().map_err(|error| Failure::new(format!("cannot listen on {}: {error}", args.listen)))?;
    if let Some(file) = args.tokens.clone() {
        follow(server.clone(), file, globals.ui());
    }
    let scheme = if tls.is_some() { "https" } else { "http" };
    globals.ui().note(format!("serving {} on {scheme}://{address}", args.dir.display()));
    server.run(&listener, tls, stop)?;
    Ok(exit::OK)
}

fn options(args: &Args) -> Result<Options, Failure> {
    let seconds = Duration::from_secs;
    // The kernel takes a timeout of zero for none.
    let timeout = |value: u64| seconds(value.max(1));
    let limits = Limits {
        connections: args.max_connections.max(1),
        upload: args.max_upload,
        idle: timeout(args.idle_timeout),
        head: timeout(args.head_timeout),
        stall: timeout(args.stall_timeout),
        rescan: timeout(args.rescan),
    };
    let tokens = args.tokens.as_deref().map(read_tokens).transpose()?;
    let log = args.access_log.as_deref().map(open_log).transpose()?;
    Ok(Options { dir: args.dir.clone(), tokens, public: args.public, trusted: args.trusted.clone(), log, limits })
}

fn read_tokens(file: &Path) -> Result<Tokens, Failure> {
    let text = fs::read_to_string(file).at("read", file)?;
    text.parse().map_err(|error| Failure::request(format!("cannot use {}: {error}", file.display())))
}

fn open_log(file: &Path) -> Result<AccessLog, Failure> {
    let out: Box<dyn Write + Send> = if file == Path::new("-") {
        Box::new(std::io::stdout())
    } else {
        Box::new(OpenOptions::new().create(true).append(true).open(file).at("open", file)?)
    };
    Ok(AccessLog::new(out))
}

/// Becomes readable with the first signal to stop; a second one ends the process.
fn stop_signal() -> std::io::Result<UnixStream> {
    let (read, write) = UnixStream::pair()?;
    let asked = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register_conditional_shutdown(signal, exit::INTERRUPTED.into(), asked.clone())?;
        signal_hook::flag::register(signal, asked.clone())?;
        signal_hook::low_level::pipe::register(signal, write.try_clone()?)?;
    }
    Ok(read)
}

/// Lets other tokens count as soon as the file says so.
fn follow(server: Arc<Server>, file: PathBuf, ui: super::super::ui::Ui) {
    let written = move |file: &Path| -> Option<(SystemTime, u64)> {
        let metadata = fs::metadata(file).ok()?;
        Some((metadata.modified().ok()?, metadata.len()))
    };
    thread::spawn(move || {
        let mut last = None;
        loop {
            let current = written(&file);
            if current != last {
                match read_tokens(&file) {
                    Ok(tokens) => server.set_tokens(tokens),
                    Err(failure) => ui.note(format!("the tokens stay as they were: {}", failure.message)),
                }
                last = current;
            }
            thread::sleep(Duration::from_secs(1));
        }
    });
}

impl From<ServerError> for Failure {
    fn from(error: ServerError) -> Self {
        match error {
            ServerError::Io(error) => error.into(),
            ServerError::Exposed(_) => Self::request(&error).hint("move the file: whoever may read the cache could read it"),
            ServerError::Tls { .. } => Self::request(&error),
            error => Self::new(&error),
        }
    }
}
