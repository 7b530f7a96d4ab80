//! `filmroom serve`.

use std::{io::Write, time::Instant};

use clap::Args;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{
    failure::{Failure, Status},
    logging, runtime,
    server::Server,
    settings_flags::{DoorFlags, SettingsFlags, reachable},
};
use crate::config::{self, Loaded};
use filmroom_admission::Demand;

/// Arguments of `serve`.
#[derive(Debug, Args)]
pub struct Serve {
    #[command(flatten)]
    doors: DoorFlags,
}

impl Serve {
    /// Serves until SIGTERM or SIGINT.
    ///
    /// # Errors
    /// [`Failure`] when it cannot start, or could not stop cleanly.
    pub fn run(&self, settings: &SettingsFlags) -> Result<Status, Failure> {
        let loaded = settings.load(Some(&self.doors))?;
        config::check_exposure(&loaded.config)?;
        logging::start(&loaded.config.log);
        runtime::build(&loaded.config.run)?.block_on(serve(&loaded))
    }
}

async fn serve(loaded: &Loaded) -> Result<Status, Failure> {
    let signals = Signals::new()?;
    let server = Server::start(&loaded.config).await?;
    banner(loaded, &server);
    announce(&server);
    until_stopped(signals, server).await
}

/// Waits for a signal, then stops the server; a second signal ends the process at once.
///
/// # Errors
/// [`Failure`] of the stop.
pub async fn until_stopped(mut signals: Signals, server: Server) -> Result<Status, Failure> {
    let name = signals.next().await;
    tracing::info!(
        signal = name,
        "stopping: no new associations and requests; a second signal ends at once"
    );
    let began = Instant::now();
    tokio::select! {
        stopped = server.stop() => {
            stopped?;
            tracing::info!(seconds = began.elapsed().as_secs_f32(), "stopped: all that was acknowledged is on disk");
            Ok(Status::Done)
        }
        _ = signals.next() => Err(Failure::new(
            Status::TryLater,
            "stopped before everything had finished",
            "what was acknowledged is in the intake log and is taken up at the next start",
        )),
    }
}

/// Signals that end the process.
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Begins to listen, so that a signal during the start is not lost.
    ///
    /// # Errors
    /// [`Failure`] when the system does not let us.
    pub fn new() -> Result<Self, Failure> {
        let listen = |kind| {
            signal(kind)
                .map_err(|error| Failure::new(Status::Software, format!("cannot wait for signals: {error}"), ""))
        };
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
        })
    }

    /// The next one's name.
    pub async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

/// The one line on standard output that scripts wait for.
pub fn announce(server: &Server) {
    let mut out = std::io::stdout().lock();
    let line = format!(
        "ready dicom={} http={}://{}{}{}\n",
        server.dimse_address(),
        server.http_scheme(),
        server.http_address(),
        server
            .dimse_tls_address()
            .map(|address| format!(" dicom-tls={address}"))
            .unwrap_or_default(),
        match server.hl7_addresses() {
            [] => String::new(),
            addresses => {
                let all: Vec<String> = addresses.iter().map(ToString::to_string).collect();
                format!(" hl7={}", all.join(","))
            }
        }
    );
    // A closed standard output is no reason to stop serving.
    let _ = out.write_all(line.as_bytes()).and_then(|()| out.flush());
}

/// What a person needs to know next.
pub fn banner(loaded: &Loaded, server: &Server) {
    let config = &loaded.config;
    let dicom = reachable(server.dimse_address());
    let http = reachable(server.http_address());
    let title = &config.dicom.ae_title;
    let folder = std::path::absolute(&config.data.folder).unwrap_or_else(|_| config.data.folder.clone());
    let settings = match &loaded.file {
        Some(file) => file.display().to_string(),
        None => "defaults (no file)".to_owned(),
    };
    let mut warnings: String = config::given_up(config)
        .iter()
        .map(|loss| format!("\n  WARNING   {loss}\n"))
        .collect();
    if server.lacks_administrator() {
        warnings.push_str(&format!(
            "\n  WARNING   nobody can sign in yet: filmroom user add NAME --role administrator --data {}\n",
            folder.display()
        ));
    }
    let scheme = server.http_scheme();
    eprintln!(
        "
  Filmroom {version}

  DICOM     {dicom_bound}   AE title {title}{tls}
  HTTP      {scheme}://{http_bound}{callers}{hl7}
  data      {folder}
  settings  {settings}
{warnings}
  Send it images:   storescu -aec {title} {host} {port} *.dcm     (or: filmroom import FOLDER)
  Look at them:     {scheme}://{http}/
  Viewers read:     {scheme}://{http}/dicom-web
  Stop:             Ctrl-C
",
        version = env!("CARGO_PKG_VERSION"),
        tls = server
            .dimse_tls_address()
            .map(|address| format!("\n  DICOM TLS {address}"))
            .unwrap_or_default(),
        hl7 = server
            .hl7_addresses()
            .iter()
            .map(|address| format!("\n  HL7       {address}"))
            .collect::<String>(),
        callers = match config.demand() {
            Demand::Credentials => "   callers sign in",
            Demand::Nothing => "",
        },
        dicom_bound = server.dimse_address(),
        http_bound = server.http_address(),
        folder = folder.display(),
        host = dicom.ip(),
        port = dicom.port(),
    );
}
