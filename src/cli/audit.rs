//! `filmroom audit`: the audit trail, for those who answer for it.

mod filter;

use std::{
    io::{BufWriter, Write},
    path::{Path, PathBuf},
};

use clap::{Args, Subcommand, ValueEnum};
use filmroom_audit::{
    Audit, AuditError, Caller, Checkpoint, Entry, Log, Options, Participant, Patient, Search, SearchOrder, Verified,
    Verifier, events, fhir,
    xml::{self, Instances},
};

use self::filter::Filter;
use super::{
    failure::{Failure, Status},
    import::printable,
    logging, runtime,
    server::{close_store, open_store},
    settings_flags::SettingsFlags,
    standard_output, trail,
};
use crate::config::Config;

/// Arguments of `audit`.
#[derive(Debug, Args)]
pub struct AuditCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Follow the whole log and name the first entry that is wrong; also while the archive runs
    Verify(Verify),
    /// List who did what; while no server runs (a running one answers /fhir/AuditEvent)
    Search(SearchFor),
    /// Write events out as DICOM audit messages or FHIR AuditEvents, one a line; while no server runs
    Export(Export),
    /// Print the latest signed checkpoint, to be kept elsewhere; also while the archive runs
    Checkpoint,
    /// Print the public key that checkpoints are signed with; also while the archive runs
    Key,
    /// Say that the damage which was found is known, so that approved destruction goes on; while no server runs
    Acknowledge,
    /// Erase what the log says of a patient; every proof still holds; while no server runs
    Erase(Erase),
}

#[derive(Debug, Args)]
struct Verify {
    /// File with checkpoints that were kept elsewhere, which have to agree as well; may be repeated
    #[arg(long, value_name = "FILE")]
    checkpoint: Vec<PathBuf>,
    /// Public key as it was kept elsewhere (`filmroom audit key`)
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
}

#[derive(Debug, Args)]
struct SearchFor {
    #[command(flatten)]
    filter: Filter,
    /// Most events to list
    #[arg(long, value_name = "NUMBER", default_value_t = 100)]
    limit: usize,
    /// As FHIR AuditEvents, one a line
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct Export {
    #[command(flatten)]
    filter: Filter,
    /// The form
    #[arg(long, value_enum, default_value_t = Form::Fhir)]
    form: Form,
    /// The file; standard output when there is none
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Form {
    /// FHIR R4 AuditEvent
    Fhir,
    /// DICOM audit message (PS3.15 A.5)
    Xml,
}

#[derive(Debug, Args)]
struct Erase {
    /// Patient ID (0010,0020)
    #[arg(long, value_name = "ID")]
    patient: String,
    /// Issuer of Patient ID (0010,0021): only patients of this one
    #[arg(long, value_name = "ISSUER", default_value = "")]
    issuer: String,
    /// Patient's Name as it stands in the data, to erase queries that name it
    #[arg(long, value_name = "NAME", default_value = "")]
    name: String,
    /// Why: it is recorded
    #[arg(long, value_name = "TEXT")]
    reason: String,
}

impl AuditCommand {
    /// Does what was asked.
    ///
    /// # Errors
    /// [`Failure`].
    pub fn run(&self, settings: &SettingsFlags) -> Result<Status, Failure> {
        let config = settings.load(None)?.config;
        logging::start(&config.log);
        let folder = config.data.folder.join(trail::FOLDER);
        if !folder.exists() {
            return Err(Failure::new(
                Status::NoInput,
                format!("there is no audit log in {}", folder.display()),
                "name the data folder with --data; `filmroom serve` begins the log",
            ));
        }
        let work = async {
            match &self.action {
                Action::Verify(verify) => verify.run(&config, &folder).await,
                Action::Checkpoint => print_checkpoint(&config, &folder).await,
                Action::Key => {
                    let log = reader(&config, &folder).await?;
                    standard_output(&format!("{}\n", log.verifier().to_text()));
                    Ok(Status::Done)
                }
                Action::Search(search) => {
                    with_log(&config, &folder, async |audit| search.run(&config, audit).await).await
                }
                Action::Export(export) => {
                    with_log(&config, &folder, async |audit| export.run(&config, audit).await).await
                }
                Action::Acknowledge => {
                    with_log(&config, &folder, async |audit| acknowledge(&config, audit).await).await
                }
                Action::Erase(erase) => with_log(&config, &folder, async |audit| erase.run(&config, audit).await).await,
            }
        };
        runtime::build(&config.run)?.block_on(work)
    }
}

/// Whoever runs this command.
fn operator() -> Participant {
    let name = ["SUDO_USER", "USER", "LOGNAME"]
        .into_iter()
        .find_map(|variable| std::env::var(variable).ok().filter(|name| !name.is_empty()));
    let name = name.unwrap_or_else(|| "command line".to_owned());
    Caller {
        user: &name,
        place: "localhost",
        ..Caller::default()
    }
    .participant()
}

/// The log, to read. That of an encrypted archive needs its keys, and so the data folder.
async fn reader(config: &Config, folder: &Path) -> Result<Log, Failure> {
    let failed = |error: AuditError| trail::failure(folder, &error);
    let key = match &config.encryption.master_key {
        None => None,
        Some(_) => {
            let store = open_store(config).await?;
            let key = store.audit_key();
            close_store(&store, &config.data.folder).await?;
            key
        }
    };
    let folder = folder.to_owned();
    let opened = tokio::task::spawn_blocking(move || Log::open(&folder, key.as_ref())).await;
    opened
        .map_err(|error| failed(std::io::Error::other(error).into()))?
        .map_err(failed)
}

/// Opens the log to read and to record, as only one process at a time may.
async fn with_log(
    config: &Config,
    folder: &Path,
    work: impl AsyncFnOnce(&Audit) -> Result<Status, Failure>,
) -> Result<Status, Failure> {
    let store = open_store(config).await.map_err(|mut failure| {
        if failure.status == Status::TryLater {
            failure.advice =
                "a Filmroom runs on it: ask that one at /fhir/AuditEvent, which records that it was asked".into();
        }
        failure
    })?;
    let options = Options {
        wait: config.audit.wait,
        checkpoint_every: config.audit.checkpoint_every,
        key: store.audit_key(),
        ..Options::default()
    };
    let done = match Audit::open(folder, &options) {
        Err(error) => Err(trail::failure(folder, &error)),
        Ok(audit) => {
            let done = work(&audit).await;
            let closed = audit.close().await.map_err(|error| trail::failure(folder, &error));
            done.and_then(|status| closed.map(|()| status))
        }
    };
    let closed = close_store(&store, &config.data.folder).await;
    done.and_then(|status| closed.map(|()| status))
}

impl Verify {
    async fn run(&self, config: &Config, folder: &Path) -> Result<Status, Failure> {
        let log = reader(config, folder).await?;
        let key = self.key.as_deref().map(Verifier::from_text).transpose();
        let key = key.map_err(|error| Failure::new(Status::Usage, error.to_string(), ""))?;
        let mut witnessed = Vec::new();
        for path in &self.checkpoint {
            let text =
                std::fs::read_to_string(path).map_err(|error| Failure::io("read the checkpoint", path, &error))?;
            let checkpoint = Checkpoint::from_text(&text).ok_or_else(|| {
                let sentence = format!("{} is no checkpoint", path.display());
                Failure::new(Status::Data, sentence, "`filmroom audit checkpoint` prints one")
            })?;
            witnessed.push(checkpoint);
        }
        let verified = tokio::task::spawn_blocking(move || log.verify(key.as_ref(), &witnessed, |_| {})).await;
        let verified = verified.map_err(|error| Failure::new(Status::Software, error.to_string(), ""))?;
        let verified = verified.map_err(|error| trail::failure(folder, &error))?;
        standard_output(&told(&verified));
        Ok(match verified.first_bad {
            None => Status::Done,
            Some(_) => Status::Data,
        })
    }
}

fn told(verified: &Verified) -> String {
    let root: String = verified.root.iter().map(|byte| format!("{byte:02x}")).collect();
    let Verified {
        size,
        erased,
        checkpoints,
        bad,
        first_bad,
        ..
    } = verified;
    let mut text = format!("{size} entries, root {root}, {checkpoints} checkpoints agree, values of {erased} erased\n");
    match first_bad {
        None => text.push_str("nothing was changed, taken out or cut off\n"),
        Some((index, reason)) => text.push_str(&format!("first bad entry {index}: {reason}\n{bad} problems in all\n")),
    }
    text
}

async fn print_checkpoint(config: &Config, folder: &Path) -> Result<Status, Failure> {
    let log = reader(config, folder).await?;
    match log.latest_checkpoint() {
        Some(checkpoint) => {
            standard_output(&checkpoint.to_text());
            Ok(Status::Done)
        }
        None => Err(Failure::new(
            Status::NoInput,
            "there is no checkpoint yet",
            "one is signed when the archive stops, and every audit.checkpoint_every",
        )),
    }
}

/// Hands over all that is looked for, page by page. That it is read is recorded first, and is not among it.
async fn each(
    audit: &Audit,
    search: Search,
    most: u64,
    mut take: impl FnMut(&Entry) -> Result<(), Failure>,
) -> Result<u64, Failure> {
    let failed = |error: AuditError| trail::failure(Path::new(trail::FOLDER), &error);
    let shown = format!("{search:?}");
    let reading = events::audit_log_used(operator(), "urn:filmroom:audit", &shown);
    let own = audit.record(reading).await.map_err(failed)?;
    let mut search = search;
    let mut count = 0;
    loop {
        let page = audit.log().search(search.clone()).await.map_err(failed)?;
        for entry in page.entries.iter().filter(|entry| entry.index != own) {
            if count == most {
                return Ok(count);
            }
            take(entry)?;
            count += 1;
        }
        for index in page.damaged {
            eprintln!("filmroom: entry {index} is damaged and left out (`filmroom audit verify`)");
        }
        let Some(next) = page.next else { return Ok(count) };
        search.cursor = Some(next);
    }
}

impl SearchFor {
    async fn run(&self, config: &Config, audit: &Audit) -> Result<Status, Failure> {
        let search = self.filter.search()?;
        let source = trail::source(config);
        let count = each(audit, search, self.limit as u64, |entry| {
            standard_output(&match self.json {
                true => format!("{}\n", fhir::resource(entry, &source)),
                false => line(entry),
            });
            Ok(())
        })
        .await?;
        eprintln!("{count} events");
        Ok(Status::Done)
    }
}

/// One event for people: number, time, who, from where, what, how it ended, whose, which study.
fn line(entry: &Entry) -> String {
    let event = &entry.event;
    let (who, place) = event.requestor().map_or(("", ""), |who| {
        let name = if who.user_name.is_empty() {
            &who.user_id
        } else {
            &who.user_name
        };
        let place = who.network.as_ref().map_or("", |network| network.text());
        (name.as_str(), place)
    });
    let patient = event.patients().next().map_or("", |patient| patient.id.shown());
    let study = event
        .studies()
        .next()
        .map_or("", |study| study.study_instance_uid.as_str());
    let kind = event.types.first().map_or(event.event.code(), |kind| kind.code());
    let fields = [
        entry.index.to_string(),
        xml::message_time(event),
        who.to_owned(),
        place.to_owned(),
        kind.meaning.to_owned(),
        event.action.letter().to_owned(),
        event.outcome.indicator().to_owned(),
        patient.to_owned(),
        study.to_owned(),
    ];
    let fields: Vec<String> = fields.iter().map(|field| printable(field).to_string()).collect();
    format!("{}\n", fields.join("\t"))
}

impl Export {
    async fn run(&self, config: &Config, audit: &Audit) -> Result<Status, Failure> {
        let mut search = self.filter.search()?;
        search.order = SearchOrder::OldestFirst;
        let source = trail::source(config);
        let name = self.output.clone().unwrap_or_else(|| PathBuf::from("standard output"));
        let failed = |error: std::io::Error| Failure::io("write the export", &name, &error);
        let mut out: Box<dyn Write> = match &self.output {
            Some(path) => Box::new(BufWriter::new(std::fs::File::create(path).map_err(failed)?)),
            None => Box::new(BufWriter::new(std::io::stdout())),
        };
        let count = each(audit, search, u64::MAX, |entry| {
            let text = match self.form {
                Form::Fhir => fhir::resource(entry, &source).to_string(),
                Form::Xml => xml::message(&entry.event, &source, Instances::Named),
            };
            writeln!(out, "{text}").map_err(failed)
        })
        .await?;
        out.flush().map_err(failed)?;
        eprintln!("{count} events");
        Ok(Status::Done)
    }
}

async fn acknowledge(config: &Config, audit: &Audit) -> Result<Status, Failure> {
    let done = audit.acknowledge_damage(&trail::us(config), operator()).await;
    match done.map_err(|error| trail::failure(Path::new(trail::FOLDER), &error))? {
        Some(damage) => standard_output(&format!("acknowledged: entry {}: {}\n", damage.index, damage.reason)),
        None => standard_output("there is no damage that nobody has acknowledged\n"),
    }
    Ok(Status::Done)
}

impl Erase {
    async fn run(&self, config: &Config, audit: &Audit) -> Result<Status, Failure> {
        let patient = Patient::new(&self.patient, &self.issuer, &self.name);
        let erased = audit
            .erase(&trail::us(config), operator(), patient, &self.reason)
            .await
            .map_err(|error| trail::failure(Path::new(trail::FOLDER), &error))?;
        standard_output(&format!(
            "erased what {} entries said of the patient; what was sent to syslog receivers is theirs to erase\n",
            erased.entries
        ));
        Ok(Status::Done)
    }
}
