//! `filmroom demo`: the archive with studies that show nobody.

use std::{net::TcpListener, path::Path, time::Instant};

use clap::Args;
use filmroom_fixtures::{Instance, Study};
use filmroom_storage::model::{Door, Origin, StudyInstanceUid, TransferSyntaxUid};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::{sync::Semaphore, task::JoinSet};

use super::{
    failure::{Failure, Status},
    logging, runtime,
    serve::{Signals, announce, banner, until_stopped},
    server::Server,
    settings_flags::{DoorFlags, SettingsFlags, reachable},
};
use crate::config::{self, Config, Loaded, Source};
use filmroom_ingest::{Announced, Ingest};
use filmroom_query::{Include, Key, Level, Query, QueryRoom};

/// The phantoms are the same on every machine.
const SEED: u64 = 1;
/// Instances drawn and stored at one time.
const AT_ONCE: usize = 8;
/// (0020,000D).
const STUDY_INSTANCE_UID: u32 = 0x0020_000D;

/// Arguments of `demo`.
#[derive(Debug, Args)]
pub struct Demo {
    #[command(flatten)]
    doors: DoorFlags,
}

impl Demo {
    /// Fills an archive with phantoms and serves it until SIGTERM or SIGINT.
    ///
    /// # Errors
    /// [`Failure`] when it cannot start, or could not stop cleanly.
    pub fn run(&self, settings: &SettingsFlags) -> Result<Status, Failure> {
        let mut loaded = settings.load(Some(&self.doors))?;
        config::check_exposure(&loaded.config)?;
        logging::start(&loaded.config.log);
        // Removed when the demonstration ends.
        let temporary = match was_set(&loaded, "data.folder") {
            true => None,
            false => Some(
                tempfile::Builder::new()
                    .prefix("filmroom-demo-")
                    .tempdir()
                    .map_err(|error| Failure::io("make a folder in", &std::env::temp_dir(), &error))?,
            ),
        };
        if let Some(folder) = &temporary {
            loaded.config.data.folder = folder.path().to_path_buf();
        }
        step_aside(&mut loaded);
        let ended = runtime::build(&loaded.config.run)?.block_on(demonstrate(&loaded));
        drop(temporary);
        ended
    }
}

fn was_set(loaded: &Loaded, key: &str) -> bool {
    Config::settings()
        .iter()
        .any(|setting| setting.key == key && loaded.source(setting) != Source::Default)
}

/// A newcomer may have something on the usual ports: the links that are printed say which were taken instead.
fn step_aside(loaded: &mut Loaded) {
    let in_use = |address| TcpListener::bind(address).is_err_and(|error| error.kind() == std::io::ErrorKind::AddrInUse);
    if !was_set(loaded, "dicom.listen") && in_use(loaded.config.dicom.listen) {
        loaded.config.dicom.listen.set_port(0);
    }
    if !was_set(loaded, "http.listen") && in_use(loaded.config.http.listen) {
        loaded.config.http.listen.set_port(0);
    }
}

async fn demonstrate(loaded: &Loaded) -> Result<Status, Failure> {
    let mut signals = Signals::new()?;
    let server = Server::start(&loaded.config).await?;
    let folder = loaded.config.data.folder.clone();
    let filled = tokio::select! {
        filled = fill(&server, &folder) => filled,
        _ = signals.next() => {
            server.stop().await?;
            return Ok(Status::Done);
        }
    };
    if let Err(failure) = filled {
        server.stop().await?;
        return Err(failure);
    }
    banner(loaded, &server);
    let (scheme, http) = (server.http_scheme(), reachable(server.http_address()));
    eprintln!("  The phantoms:");
    for study in filmroom_fixtures::catalogue(SEED) {
        eprintln!(
            "    {scheme}://{http}/studies/{}  {}",
            study.study_instance_uid, study.description
        );
    }
    eprintln!();
    announce(&server);
    until_stopped(signals, server).await
}

/// Draws and stores all phantoms that are not there yet.
async fn fill(server: &Server, folder: &Path) -> Result<(), Failure> {
    let rooms = server.rooms();
    let catalogue = filmroom_fixtures::catalogue(SEED);
    let (all, own) = present(rooms.query.clone(), &catalogue).await?;
    if all > 0 && own == 0 {
        return Err(Failure::new(
            Status::Usage,
            format!(
                "the data folder {} holds studies that are no phantoms",
                folder.display()
            ),
            "`filmroom serve` shows them; name an empty folder with --data, or leave it out for a temporary one",
        ));
    }
    let sum: usize = catalogue.iter().map(Study::len).sum();
    let began = Instant::now();
    let bar = ProgressBar::with_draw_target(Some(sum as u64), ProgressDrawTarget::stderr());
    if let Ok(style) = ProgressStyle::with_template("  drawing phantoms  {bar:30.cyan/black} {pos} of {len}") {
        bar.set_style(style.progress_chars("━━─"));
    }
    let permits = std::sync::Arc::new(Semaphore::new(AT_ONCE));
    let mut tasks: JoinSet<Result<(), Failure>> = JoinSet::new();
    for study in catalogue {
        let study = std::sync::Arc::new(study);
        for index in 0..study.len() {
            let Ok(permit) = std::sync::Arc::clone(&permits).acquire_owned().await else {
                break;
            };
            let (study, ingest, bar) = (std::sync::Arc::clone(&study), rooms.ingest.clone(), bar.clone());
            tasks.spawn(async move {
                let drawn = tokio::task::spawn_blocking(move || study.instance(index)).await;
                let stored = match drawn {
                    Ok(Some(instance)) => store(&ingest, &instance).await,
                    Ok(None) => Ok(()),
                    Err(error) => Err(Failure::new(
                        Status::Software,
                        format!("a phantom could not be drawn: {error}"),
                        "",
                    )),
                };
                bar.inc(1);
                drop(permit);
                stored
            });
        }
        while let Some(ended) = tasks.try_join_next() {
            joined(ended)?;
        }
    }
    while let Some(ended) = tasks.join_next().await {
        joined(ended)?;
    }
    bar.finish_and_clear();
    tracing::info!(
        instances = sum,
        seconds = began.elapsed().as_secs_f32(),
        "phantoms are stored"
    );
    Ok(())
}

fn joined(ended: Result<Result<(), Failure>, tokio::task::JoinError>) -> Result<(), Failure> {
    ended.unwrap_or_else(|error| {
        Err(Failure::new(
            Status::Software,
            format!("a phantom could not be stored: {error}"),
            "",
        ))
    })
}

/// How many studies there are, up to one, and how many of the phantoms.
async fn present(query: QueryRoom, catalogue: &[Study]) -> Result<(usize, usize), Failure> {
    let own = catalogue
        .iter()
        .map(|study| study.study_instance_uid.clone())
        .collect::<Vec<_>>()
        .join("\\");
    let find = move || {
        let level = |keys, limit| Query {
            keys,
            limit,
            include: Include::Listed(Vec::new()),
            ..Query::new(Level::Study, filmroom_privacy::Sight::all())
        };
        let all = query.find(&level(Vec::new(), 1))?.answers.len();
        let key = Key {
            path: vec![STUDY_INSTANCE_UID],
            value: own,
        };
        let own = query.find(&level(vec![key], u64::from(u16::MAX)))?.answers.len();
        Ok::<_, filmroom_query::QueryError>((all, own))
    };
    let unreadable = |why: String| Failure::new(Status::Software, format!("the index cannot be read: {why}"), "");
    match tokio::task::spawn_blocking(find).await {
        Ok(found) => found.map_err(|error| unreadable(error.to_string())),
        Err(error) => Err(unreadable(error.to_string())),
    }
}

async fn store(ingest: &Ingest, instance: &Instance) -> Result<(), Failure> {
    let failed = |why: String| {
        Failure::new(
            Status::Software,
            format!("the phantom {} could not be stored: {why}", instance.sop_instance_uid),
            "is there room on the disk?",
        )
    };
    let announced = Announced {
        transfer_syntax_uid: TransferSyntaxUid::new(&instance.transfer_syntax_uid)
            .map_err(|error| failed(error.to_string()))?,
        sop_class_uid: Some(instance.sop_class_uid.clone()),
        sop_instance_uid: Some(instance.sop_instance_uid.clone()),
        study_instance_uid: StudyInstanceUid::new(&instance.study_instance_uid).ok(),
        expected_length: instance.data_set().len() as u64,
    };
    let origin = Origin {
        door: Door::Import,
        sender: "filmroom demo".to_owned(),
        receiver: String::new(),
        address: String::new(),
    };
    let mut receiving = ingest
        .receive(announced, origin)
        .map_err(|error| failed(error.to_string()))?;
    receiving
        .write(instance.data_set())
        .await
        .map_err(|error| failed(error.to_string()))?;
    receiving
        .finish()
        .await
        .map(|_| ())
        .map_err(|error| failed(error.to_string()))
}
