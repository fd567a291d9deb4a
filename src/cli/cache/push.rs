//! `kiln cache push`, and the pushing part of `kiln build --push`.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use serde::Serialize;

use crate::build::Stop;
use crate::cache::signing::SecretKey;
use crate::cache::{CacheError, PushEvent, PushOptions, Pushed, Pusher, follow};
use crate::cli::failure::Failure;
use crate::cli::info::known_path;
use crate::cli::session::{self, Globals, ParamArgs};
use crate::cli::ui::{self, DIM, GREEN, Ui, bytes, paint};
use crate::cli::{Exit, exit, signals};
use crate::model::StorePath;
use crate::store::Store;

use super::open::{self, Destination, Opener};
use super::progress::Transfer;

/// zstd's level where none is chosen: twice as fast as the machine's disk, and what is gained beyond is little.
const LEVEL: i32 = 3;

/// Arguments of `push`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Targets, store paths, or beginnings of digests
    #[arg(value_name = "TARGET|OBJECT", required_unless_present = "follow")]
    what: Vec<String>,
    /// The cache [default: the one of kiln.toml that has `push = true`]
    #[arg(long, value_name = "URL")]
    to: Option<String>,
    #[command(flatten)]
    how: PushArgs,
    /// Send too the sources and fetched files that the builds read
    #[arg(long)]
    leaves: bool,
    /// Go on, and send what the store's builds give as they finish, until stopped
    #[arg(long)]
    follow: bool,
    #[command(flatten)]
    params: ParamArgs,
}

/// How to push.
#[derive(Debug, Default, clap::Args)]
#[command(next_help_heading = "Pushing")]
pub struct PushArgs {
    /// Sign with the secret key in this file; without one, only objects are sent, and nobody can know what they are builds of
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// zstd's level, 1 to 19 [default: 3]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..=19))]
    level: Option<i32>,
}

impl PushArgs {
    /// The key, if one is named.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn key(&self) -> Result<Option<SecretKey>, Failure> {
        self.key.as_deref().map(open::secret_key).transpose()
    }

    fn options<'a>(&self, key: Option<&'a SecretKey>, leaves: bool, stop: &'a AtomicBool) -> PushOptions<'a> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        PushOptions { key, level: self.level.unwrap_or(LEVEL), threads: (2 * cores).clamp(2, 16), leaves, stop }
    }
}

#[derive(Serialize)]
struct Outcome {
    cache: String,
    #[serde(flatten)]
    pushed: Pushed,
    signer: Option<String>,
    seconds: f64,
}

/// Runs the command.
///
/// # Errors
/// If something cannot be pushed.
pub fn run(globals: &Globals, args: &Args) -> Exit {
    let start = Instant::now();
    let store = globals.open_existing_store()?;
    let stop = if args.follow { signals::stop_that_finishes() } else { signals::stop() };
    // A follower that is stopped sends what is finished; a push ends where it is.
    let never = Stop::default();
    let ends = if args.follow { &never } else { &stop };
    let (backend, own_key) = destination(globals, args, ends)?;
    let key = args.how.key()?.or(own_key);
    // What is built while the first objects are sent is not missed.
    let mark = store.record_mark()?;
    let paths = args.what.iter().map(|text| object(globals, &args.params, &store, text)).collect::<Result<Vec<_>, _>>()?;
    let pusher = Pusher::new(&store, &*backend, args.how.options(key.as_ref(), args.leaves, ends.as_flag()));
    let progress = Transfer::new(globals.ui(), "pushing");
    let on = |event: &PushEvent<'_>| progress.push(event);
    let mut pushed = pusher.push(&paths, &on).map_err(|error| failure(error, &args.what))?;
    if args.follow {
        globals.ui().note(format!("following {}: Ctrl-C ends it", store.dir().display()));
        pushed.add(follow(&pusher, mark, stop.as_flag(), &on)?);
    }
    drop(progress);
    let signer = key.as_ref().map(|key| key.name().to_string());
    let outcome = Outcome { cache: backend.location(), pushed, signer, seconds: start.elapsed().as_secs_f64() };
    summarise(globals.ui(), &outcome);
    globals.ui().print(&outcome, |_| String::new())?;
    Ok(exit::OK)
}

fn destination(globals: &Globals, args: &Args, stop: &Stop) -> Result<Destination, Failure> {
    let mut all = Opener::new(globals, stop)?.destinations(args.to.as_slice())?;
    match (all.pop(), all.len()) {
        (Some(only), 0) => Ok(only),
        (_, others) => {
            let message = format!("kiln.toml names {} caches to push to", others + 1);
            Err(Failure::request(message).hint("`--to URL` says which"))
        }
    }
}

fn failure(error: CacheError, what: &[String]) -> Failure {
    let gone = matches!(&error, CacheError::Store(crate::store::StoreError::NotValid { .. }));
    let failure = Failure::from(error);
    if gone { failure.hint(format!("`kiln build {}` brings it back", what.join(" "))) } else { failure }
}

fn summarise(ui: Ui, outcome: &Outcome) {
    if ui.json {
        return;
    }
    let Pushed { objects, present, sent, traces, .. } = outcome.pushed;
    let mut text = format!("{objects} pushed ({}), {present} were there", bytes(sent));
    if outcome.signer.is_some() {
        text.push_str(&format!("; {traces} build traces"));
    }
    ui.note(format!("{} {}", paint(GREEN, text), paint(DIM, format!("in {:.1} s", outcome.seconds))));
    if outcome.signer.is_none() {
        ui.note("only objects were sent: without `--key FILE` nobody can know what they are builds of");
    }
}

/// The object that a person means: a target of the project, or an object of the store.
fn object(globals: &Globals, params: &ParamArgs, store: &Store, text: &str) -> Result<StorePath, Failure> {
    let is_path = text.contains('/') || StorePath::from_base_name(text).is_ok();
    if !is_path && globals.project().is_ok() {
        let unknown = match session::find(globals, params, text) {
            Ok(found) => return known_path(&found, store, text),
            Err(failure) => failure,
        };
        return store.resolve(text).map_err(|_| unknown);
    }
    Ok(store.resolve(text)?)
}

/// Runs a build and pushes what it gives as it finishes; `goals` says what the build was for, which is pushed even if it was there.
///
/// # Errors
/// If the build fails, or something cannot be pushed.
pub fn while_building<T>(
    ui: Ui,
    store: &Store,
    to: &[Destination],
    how: &PushArgs,
    goals: impl Fn(&T) -> Vec<StorePath>,
    run: impl FnOnce() -> Result<T, Failure>,
) -> Result<T, Failure> {
    let key = how.key()?;
    let mark = store.record_mark()?;
    let (done, never) = (AtomicBool::new(false), AtomicBool::new(false));
    let targets: Vec<_> = to.iter().map(|target| (&*target.0, key.as_ref().or(target.1.as_ref()))).collect();
    let pushers: Vec<Pusher<'_>> = targets.iter().map(|(to, key)| Pusher::new(store, *to, how.options(*key, false, &never))).collect();
    let trouble = |event: &PushEvent<'_>| {
        if let PushEvent::Trouble(error) = event {
            ui.note(format!("note: {}", ui::harmless(&error.to_string())));
        }
    };
    std::thread::scope(|scope| {
        let followers: Vec<_> = pushers.iter().map(|pusher| scope.spawn(|| follow(pusher, mark, &done, &trouble))).collect();
        let built = run();
        done.store(true, Ordering::SeqCst);
        let mut total = Pushed::default();
        let mut failed = None;
        for (follower, pusher) in followers.into_iter().zip(&pushers) {
            let followed = follower.join().map_err(|_| Failure::new("the thread that pushes has died"))?;
            let goals = built.as_ref().map(&goals).unwrap_or_default();
            match followed.and_then(|followed| pusher.push(&goals, &trouble).map(|pushed| (followed, pushed))) {
                Ok((followed, mut pushed)) => {
                    // What the follower sent is not "there already" for a person.
                    pushed.present = pushed.present.saturating_sub(followed.objects);
                    total.add(followed);
                    total.add(pushed);
                }
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        let built = built?;
        match failed {
            Some(error) => {
                let mut failure = Failure::from(error);
                failure.message = format!("everything is built, but not pushed: {}", failure.message);
                Err(failure)
            }
            None => {
                ui.note(format!("{} ({})", paint(GREEN, format!("{} pushed", total.objects)), bytes(total.sent)));
                Ok(built)
            }
        }
    })
}
