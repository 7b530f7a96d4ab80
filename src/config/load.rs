//! Puts the layers together: defaults, then the file, then the environment, then flags.

use std::{
    collections::BTreeMap,
    fmt,
    ops::Range,
    path::{Path, PathBuf},
};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{Config, Given, section::Setting, value::TlsCallers};

/// Read when no file is named and it is there.
pub const FILE_DEFAULT: &str = "filmroom.toml";
/// Names the file in the environment.
pub const FILE_VARIABLE: &str = "FILMROOM_CONFIG";
/// A file of settings is at most this long: bytes. All settings with a thousand peers take a tenth of it.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Where an effective value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Nobody set it.
    Default,
    /// The file, and the line in it (from 1).
    File {
        /// As it was named.
        path: PathBuf,
        /// From 1.
        line: usize,
    },
    /// A variable of the environment.
    Environment(String),
    /// A flag of the command line.
    Flag(String),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Environment(variable) => f.write_str(variable),
            Self::Flag(flag) => f.write_str(flag),
        }
    }
}

/// A setting given by a flag. Repeated flags of one list come as one [`Given::List`].
#[derive(Debug, Clone)]
pub struct FlagValue {
    /// The flag as the user wrote it: `--ae-title`.
    pub flag: String,
    /// The setting's key.
    pub key: String,
    /// Its value.
    pub value: Given,
}

/// Why there is no configuration: everything that is wrong, one sentence each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// At least one.
    pub problems: Vec<String>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.problems.join("\n"))
    }
}

impl std::error::Error for ConfigError {}

/// The effective settings, and where each came from.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The values.
    pub config: Config,
    /// Key to source; keys that nobody set are missing.
    sources: BTreeMap<&'static str, Source>,
    /// The file that was read.
    pub file: Option<PathBuf>,
    /// Variables of the environment with our prefix that set nothing.
    pub ignored: Vec<String>,
}

impl Loaded {
    /// Where a setting came from.
    #[must_use]
    pub fn source(&self, setting: &Setting) -> Source {
        self.sources.get(setting.key).cloned().unwrap_or(Source::Default)
    }

    /// Every effective value with its source, as TOML that could be read again (but for masked secrets).
    #[must_use]
    pub fn report(&self) -> String {
        let mut report = String::new();
        match &self.file {
            Some(file) => report.push_str(&format!("# settings file: {}\n", file.display())),
            None => report.push_str("# no settings file\n"),
        }
        for variable in &self.ignored {
            report.push_str(&format!("# {variable} in the environment is no setting\n"));
        }
        let mut section = "";
        for setting in Config::settings() {
            if setting.section() != section {
                section = setting.section();
                report.push_str(&format!("\n[{section}]\n"));
            }
            let line = format!("{} = {}", setting.name(), self.config.show(&setting));
            report.push_str(&format!("{line:<48} # {}\n", self.source(&setting)));
        }
        report
    }
}

/// Finds and reads the file, and lays environment and flags over it.
///
/// `file`: named by a flag. Without it the variable `FILMROOM_CONFIG` names it, else `filmroom.toml` of the current folder
/// is read when it is there.
///
/// # Errors
/// [`ConfigError`] with every problem of every layer.
pub fn load(
    file: Option<&Path>,
    environment: impl IntoIterator<Item = (String, String)>,
    flags: &[FlagValue],
) -> Result<Loaded, ConfigError> {
    let mut layers = Layers::new();
    let environment: Vec<_> = environment
        .into_iter()
        .filter(|(name, _)| name.starts_with("FILMROOM_"))
        .collect();
    let named = environment
        .iter()
        .find(|(name, _)| name == FILE_VARIABLE)
        .map(|(_, value)| PathBuf::from(value));
    let file = file.map(Path::to_path_buf).or(named).or_else(|| {
        let file = PathBuf::from(FILE_DEFAULT);
        file.exists().then_some(file)
    });
    if let Some(path) = &file {
        match read(path) {
            Ok(text) => layers.file(path, &text),
            Err(problem) => layers.problems.push(problem),
        }
    }
    for (name, value) in environment.iter().filter(|(name, _)| name != FILE_VARIABLE) {
        layers.variable(name, value);
    }
    for flag in flags {
        layers.flag(flag);
    }
    layers.finish(file)
}

fn read(path: &Path) -> Result<String, String> {
    let problem = |error: std::io::Error| format!("cannot read the settings file {}: {error}", path.display());
    let length = std::fs::metadata(path).map_err(problem)?.len();
    if length > FILE_BYTES_MAX {
        return Err(format!(
            "{} has {length} bytes; a settings file has at most {FILE_BYTES_MAX}",
            path.display()
        ));
    }
    std::fs::read_to_string(path).map_err(problem)
}

struct Layers {
    config: Config,
    settings: Vec<Setting>,
    sources: BTreeMap<&'static str, Source>,
    problems: Vec<String>,
    ignored: Vec<String>,
}

impl Layers {
    fn new() -> Self {
        Self {
            config: Config::default(),
            settings: Config::settings(),
            sources: BTreeMap::new(),
            problems: Vec::new(),
            ignored: Vec::new(),
        }
    }

    fn finish(self, file: Option<PathBuf>) -> Result<Loaded, ConfigError> {
        let mut problems = self.problems;
        let http = &self.config.http;
        if http.qido_limit_default > http.qido_limit_max {
            problems.push(format!(
                "http.qido_limit_default ({}) is more than http.qido_limit_max ({})",
                http.qido_limit_default, http.qido_limit_max
            ));
        }
        problems.extend(self.config.object_problems());
        problems.extend(self.config.audit_problems());
        let mut titles: Vec<&str> = self
            .config
            .dicom
            .peers
            .iter()
            .map(|peer| peer.ae_title.as_str())
            .collect();
        titles.sort_unstable();
        if let Some([twice, _]) = titles.array_windows().find(|[a, b]| a == b) {
            problems.push(format!("dicom.peers names {twice} twice; an AE title has one address"));
        }
        let dicom = &self.config.dicom;
        if dicom.tls_listen.is_some() && (dicom.tls_certificate.is_none() || dicom.tls_key.is_none()) {
            problems.push("dicom.tls_listen needs dicom.tls_certificate and dicom.tls_key".to_owned());
        }
        if dicom.tls_certificate.is_some() != dicom.tls_key.is_some() {
            problems.push("dicom.tls_certificate and dicom.tls_key go together".to_owned());
        }
        if dicom.tls_listen.is_some() && dicom.tls_callers != TlsCallers::NotAsked && dicom.tls_authorities.is_none() {
            problems.push(
                "dicom.tls_callers have to be vouched for, and dicom.tls_authorities names nobody who could; or say \
                 dicom.tls_callers = \"not-asked\""
                    .to_owned(),
            );
        }
        let http = &self.config.http;
        if http.tls_certificate.is_some() != http.tls_key.is_some() {
            problems.push("http.tls_certificate and http.tls_key go together".to_owned());
        }
        if !problems.is_empty() {
            return Err(ConfigError { problems });
        }
        Ok(Loaded {
            config: self.config,
            sources: self.sources,
            file,
            ignored: self.ignored,
        })
    }

    fn apply(&mut self, setting: &Setting, given: &Given, source: Source) {
        match self.config.set(setting, given) {
            Ok(()) => {
                self.sources.insert(setting.key, source);
            }
            Err(why) => {
                self.problems.push(format!(
                    "{source}: {} cannot be used: {why}; allowed is {}",
                    setting.key, setting.allowed
                ));
            }
        }
    }

    fn by_key(&self, key: &str) -> Option<Setting> {
        self.settings.iter().find(|setting| setting.key == key).cloned()
    }

    fn file(&mut self, path: &Path, text: &str) {
        let source = |span: Range<usize>| Source::File {
            path: path.to_path_buf(),
            line: line_of(text, span.start),
        };
        let table = match DeTable::parse(text) {
            Ok(table) => table,
            Err(error) => {
                let at = error
                    .span()
                    .map_or_else(|| path.display().to_string(), |span| source(span).to_string());
                self.problems.push(format!("{at}: not TOML: {}", error.message()));
                return;
            }
        };
        for (section, value) in table.get_ref() {
            let at = source(section.span());
            let name = section.get_ref().as_ref();
            let known: Vec<&str> = sections(&self.settings);
            if !known.contains(&name) {
                let keys: Vec<&str> = self.settings.iter().map(|setting| setting.name()).collect();
                // A setting outside its section is the likelier slip than a wrong section.
                let misplaced = self.settings.iter().find(|setting| setting.name() == name);
                let advice = match misplaced {
                    Some(setting) => format!("it belongs into [{}]", setting.section()),
                    None => advice(name, known.iter().chain(&keys).copied(), &known),
                };
                self.problems
                    .push(format!("{at}: unknown section or setting \"{name}\": {advice}"));
                continue;
            }
            let DeValue::Table(entries) = value.get_ref() else {
                self.problems.push(format!(
                    "{at}: {name} is a section: write [{name}] and its settings below"
                ));
                continue;
            };
            self.section(path, text, name, entries);
        }
    }

    /// A section of the file, and those within it.
    fn section(&mut self, path: &Path, text: &str, name: &str, entries: &DeTable<'_>) {
        for (key, value) in entries {
            let at = Source::File {
                path: path.to_path_buf(),
                line: line_of(text, key.span().start),
            };
            let full = format!("{name}.{}", key.get_ref());
            if sections(&self.settings).contains(&full.as_str())
                && let DeValue::Table(inner) = value.get_ref()
            {
                // No section lies deeper than that, so the recursion ends.
                self.section(path, text, &full, inner);
                continue;
            }
            match self.by_key(&full) {
                Some(setting) => self.apply(&setting, &given(value), at),
                None => {
                    let names: Vec<&str> = self
                        .settings
                        .iter()
                        .filter(|setting| setting.section() == name)
                        .map(|setting| setting.name())
                        .collect();
                    let elsewhere = self
                        .settings
                        .iter()
                        .find(|setting| setting.name() == key.get_ref().as_ref());
                    let advice = match elsewhere {
                        Some(setting) => format!("it belongs into [{}]", setting.section()),
                        None => advice(key.get_ref(), names.iter().copied(), &names),
                    };
                    self.problems
                        .push(format!("{at}: unknown setting \"{full}\": {advice}"));
                }
            }
        }
    }

    fn variable(&mut self, name: &str, value: &str) {
        match self.settings.iter().find(|setting| setting.variable() == name).cloned() {
            Some(setting) => {
                self.apply(
                    &setting,
                    &Given::Text(value.to_owned()),
                    Source::Environment(name.to_owned()),
                );
            }
            None => {
                let mut known: Vec<String> = self.settings.iter().map(Setting::variable).collect();
                known.push(FILE_VARIABLE.to_owned());
                let nearest = nearest(name, known.iter().map(String::as_str)).unwrap_or_default();
                if !is_meant(name, value, nearest, &sections(&self.settings)) {
                    self.ignored.push(name.to_owned());
                    return;
                }
                self.problems.push(format!(
                    "unknown variable of the environment {name}; the nearest is {nearest}; \
                     a setting SECTION.NAME is FILMROOM_SECTION_NAME"
                ));
            }
        }
    }

    fn flag(&mut self, flag: &FlagValue) {
        match self.by_key(&flag.key) {
            Some(setting) => self.apply(&setting, &flag.value, Source::Flag(flag.flag.clone())),
            None => {
                let keys: Vec<&str> = self.settings.iter().map(|setting| setting.key).collect();
                let nearest = nearest(&flag.key, keys.into_iter()).unwrap_or_default();
                self.problems.push(format!(
                    "{}: unknown setting \"{}\"; the nearest is \"{nearest}\"; `filmroom config settings` lists all",
                    flag.flag, flag.key
                ));
            }
        }
    }
}

/// Words at least so alike (1 is the same) are taken for a slip of the keyboard.
const SLIP: f64 = 0.93;

/// True when a variable that is no setting was surely meant as one. Others carry our prefix too: scripts (`FILMROOM_BIN`),
/// and the links that Kubernetes puts into every container beside a service of our name (`FILMROOM_PORT_8080_TCP`).
fn is_meant(name: &str, value: &str, nearest: &str, sections: &[&str]) -> bool {
    let is_link = value.starts_with("tcp://") || name.contains("_SERVICE_") || name.contains("_PORT_");
    let in_section = sections
        .iter()
        .any(|section| name.starts_with(&format!("FILMROOM_{}_", section.replace('.', "_").to_ascii_uppercase())));
    let alike = match (name.strip_prefix("FILMROOM_"), nearest.strip_prefix("FILMROOM_")) {
        (Some(name), Some(nearest)) => strsim::jaro_winkler(name, nearest) >= SLIP,
        _ => false,
    };
    !is_link && (in_section || alike)
}

/// The sections, each once, in their order.
fn sections(settings: &[Setting]) -> Vec<&'static str> {
    let mut sections: Vec<&'static str> = settings.iter().map(Setting::section).collect();
    sections.dedup();
    sections
}

fn advice<'a>(wrong: &str, candidates: impl Iterator<Item = &'a str>, allowed: &[&str]) -> String {
    let list = allowed.join(", ");
    match nearest(wrong, candidates) {
        Some(nearest) => format!("did you mean \"{nearest}\"? Allowed here: {list}"),
        None => format!("allowed here: {list}"),
    }
}

/// The candidate most like a word that is none of them.
fn nearest<'a>(wrong: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let wrong = wrong.to_ascii_lowercase();
    let likeness = |candidate: &str| strsim::jaro_winkler(&wrong, &candidate.to_ascii_lowercase());
    candidates.max_by(|a, b| likeness(a).total_cmp(&likeness(b)))
}

fn line_of(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
}

/// TOML bounds the nesting of what it parses, so the recursion is bounded too.
fn given(value: &Spanned<DeValue<'_>>) -> Given {
    match value.get_ref() {
        DeValue::String(text) => Given::Text(text.to_string()),
        DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) => Given::Integer(number),
            Err(_) => Given::Other("integer out of range"),
        },
        DeValue::Boolean(boolean) => Given::Boolean(*boolean),
        DeValue::Array(items) => Given::List(items.iter().map(given).collect()),
        DeValue::Table(entries) => Given::Table(
            entries
                .iter()
                .map(|(key, value)| (key.get_ref().to_string(), given(value)))
                .collect(),
        ),
        other => Given::Other(other.type_str()),
    }
}
