//! Starts the real binary in a folder of its own, on ports that the system picks, and ends it with the test.

use std::{
    fs,
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

/// Longest wait for anything that should happen at once; generous, since the machine may be busy.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The AE title of every archive here.
pub const AE_TITLE: &str = "FILMROOM";

/// A running archive.
pub struct Archive {
    child: Child,
    folder: Folder,
    log: PathBuf,
    /// Where it speaks DIMSE.
    pub dicom: SocketAddr,
    /// Where it speaks HTTP.
    pub http: SocketAddr,
    /// Where it speaks DIMSE by TLS, when it does.
    pub dicom_tls: Option<SocketAddr>,
    /// Where it takes HL7 messages, plain before TLS.
    pub hl7: Vec<SocketAddr>,
}

enum Folder {
    Own(TempDir),
    Given(PathBuf),
}

/// How an archive is started.
#[derive(Default)]
pub struct Start {
    data: Option<PathBuf>,
    settings: String,
    flags: Vec<String>,
    command: Option<&'static str>,
}

impl Start {
    /// In a folder that outlives the archive, so that another may be started in it.
    #[must_use]
    pub fn in_folder(mut self, data: &Path) -> Self {
        self.data = Some(data.to_owned());
        self
    }

    /// With settings, as TOML.
    #[must_use]
    pub fn settings(mut self, toml: &str) -> Self {
        self.settings.push_str(toml);
        self
    }

    /// With a flag and its value.
    #[must_use]
    pub fn flag(mut self, flag: &str, value: &str) -> Self {
        self.flags.extend([flag.to_owned(), value.to_owned()]);
        self
    }

    /// With another command than `serve`.
    #[must_use]
    pub fn command(mut self, command: &'static str) -> Self {
        self.command = Some(command);
        self
    }

    /// Starts it and waits until it says that it is ready.
    #[track_caller]
    pub fn start(self) -> Archive {
        let folder = self
            .data
            .map_or_else(|| Folder::Own(tempfile::tempdir().unwrap()), Folder::Given);
        let data = folder.data();
        let home = data.parent().unwrap().to_owned();
        fs::create_dir_all(&home).unwrap();
        let settings = home.join("filmroom.toml");
        fs::write(&settings, &self.settings).unwrap();
        let log = home.join("log");
        let errors = fs::File::options().create(true).append(true).open(&log).unwrap();
        let mut child = binary()
            .arg(self.command.unwrap_or("serve"))
            .arg("--config")
            .arg(&settings)
            .args([
                "--dicom",
                "127.0.0.1:0",
                "--http",
                "127.0.0.1:0",
                "--ae-title",
                AE_TITLE,
            ])
            .arg("--data")
            .arg(&data)
            .args(&self.flags)
            .stdout(Stdio::piped())
            .stderr(errors)
            .spawn()
            .unwrap();
        let ready = ready_line(&mut child);
        let Some((dicom, http, dicom_tls, hl7)) = ready.as_deref().and_then(addresses) else {
            let _ = child.kill();
            panic!(
                "the archive did not get ready: {ready:?}\n{}",
                fs::read_to_string(&log).unwrap_or_default()
            );
        };
        Archive {
            child,
            folder,
            log,
            dicom,
            http,
            dicom_tls,
            hl7,
        }
    }
}

/// The binary under test, cut off from the environment's settings.
pub fn binary() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_filmroom"));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("FILMROOM_")) {
        command.env_remove(name);
    }
    command.stdin(Stdio::null());
    command
}

/// The line that says where it listens; what else it prints goes on being read, so that it never blocks on a full pipe.
fn ready_line(child: &mut Child) -> Option<String> {
    let output = BufReader::new(child.stdout.take().unwrap());
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        for line in output.lines().map_while(Result::ok) {
            if line.starts_with("ready ") {
                let _ = sender.send(line);
            }
        }
    });
    receiver.recv_timeout(PATIENCE).ok()
}

type Addresses = (SocketAddr, SocketAddr, Option<SocketAddr>, Vec<SocketAddr>);

fn addresses(ready: &str) -> Option<Addresses> {
    let field = |name: &str| ready.split_whitespace().find_map(|word| word.strip_prefix(name));
    let tls = match field("dicom-tls=") {
        Some(address) => Some(address.parse().ok()?),
        None => None,
    };
    Some((
        field("dicom=")?.parse().ok()?,
        field("http=http://").or_else(|| field("http=https://"))?.parse().ok()?,
        tls,
        field("hl7=")
            .map(|all| all.split(',').map(|address| address.parse().unwrap()).collect())
            .unwrap_or_default(),
    ))
}

impl Folder {
    fn data(&self) -> PathBuf {
        match self {
            Self::Own(folder) => folder.path().join("data"),
            Self::Given(data) => data.clone(),
        }
    }
}

impl Archive {
    /// An archive with the defaults.
    #[track_caller]
    pub fn start() -> Self {
        Start::default().start()
    }

    /// Its data folder.
    pub fn data(&self) -> PathBuf {
        self.folder.data()
    }

    /// Root of its DICOMweb services.
    pub fn dicom_web(&self) -> String {
        format!("http://{}/dicom-web", self.http)
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Its process.
    pub fn process_id(&self) -> u32 {
        self.child.id()
    }

    /// Fails the test when the process has ended.
    #[track_caller]
    pub fn assert_running(&mut self) {
        let status = self.child.try_wait().unwrap();
        assert!(status.is_none(), "the archive ended with {status:?}\n{}", self.log());
    }

    /// Ends it at once, as a power cut would end the process.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Asks it to stop (SIGTERM) and waits for it.
    #[track_caller]
    pub fn stop(mut self) -> ExitStatus {
        let asked = Command::new("kill")
            .args(["-TERM", &self.child.id().to_string()])
            .status()
            .unwrap();
        assert!(asked.success());
        eventually("the archive stops", || self.child.try_wait().unwrap())
    }
}

impl Drop for Archive {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            eprintln!("--- log of the archive ---\n{}", self.log());
        }
    }
}

/// Waits until a question has an answer.
#[track_caller]
pub fn eventually<T>(what: &str, mut question: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(answer) = question() {
            return answer;
        }
        assert!(start.elapsed() < PATIENCE, "waited in vain: {what}");
        thread::yield_now();
        thread::park_timeout(Duration::from_millis(10));
    }
}

/// Runs a program to its end and returns what it printed; fails the test when it fails, or lasts too long.
#[track_caller]
pub fn run(command: &mut Command) -> String {
    let output = finish(command);
    assert!(output.success, "{command:?} failed\n{}", output.text);
    output.text
}

/// What became of a program.
pub struct Finished {
    /// It ended with status 0.
    pub success: bool,
    /// Standard output, then standard error.
    pub text: String,
}

/// Runs a program to its end.
#[track_caller]
pub fn finish(command: &mut Command) -> Finished {
    let spawned = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let child = spawned.unwrap_or_else(|error| {
        panic!(
            "cannot start {:?}: {error}\n`tests/run` installs what the tests need",
            command.get_program()
        )
    });
    let id = child.id();
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || sender.send(child.wait_with_output()));
    let Ok(output) = receiver.recv_timeout(10 * PATIENCE) else {
        let _ = Command::new("kill").args(["-KILL", &id.to_string()]).status();
        panic!("{command:?} did not end");
    };
    let output = output.unwrap();
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.push_str(&String::from_utf8_lossy(&output.stderr));
    Finished {
        success: output.status.success(),
        text,
    }
}

/// One of DCMTK's programs. The Python packages install scripts of the same names: those are passed over.
#[track_caller]
pub fn dcmtk(program: &str) -> Command {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path)
        .map(|folder| folder.join(program))
        .find(|candidate| fs::read(candidate).is_ok_and(|bytes| !bytes.starts_with(b"#!")));
    let Some(found) = found else {
        panic!("DCMTK's {program} is missing: `tests/run` installs it")
    };
    Command::new(found)
}

/// A script of `tests/python`, in the environment that `tests/run` makes.
#[track_caller]
pub fn python(script: &str) -> Command {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let interpreter =
        std::env::var_os("TEST_PYTHON").map_or_else(|| root.join("target/test-venv/bin/python"), PathBuf::from);
    assert!(
        interpreter.exists(),
        "{} is missing: `tests/run` makes it",
        interpreter.display()
    );
    let mut command = Command::new(interpreter);
    command
        .arg("-W")
        .arg("ignore")
        .arg(root.join("tests/python").join(script));
    command
}

/// A script of `tests/browser`, and the path of the browser that it drives.
#[track_caller]
pub fn browser(script: &str) -> (Command, String) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let installed = root.join("target/test-browser");
    assert!(
        installed.join("installed").exists(),
        "{} is missing: `tests/run` makes it, with the network's help",
        installed.display()
    );
    let path = std::env::var_os("PATH").unwrap_or_default();
    let chromium = std::env::split_paths(&path)
        .flat_map(|folder| ["chromium", "chromium-browser", "google-chrome"].map(|name| folder.join(name)))
        .find(|candidate| candidate.is_file())
        .unwrap_or_else(|| panic!("Chromium is missing: `tests/run` installs it"));
    let mut command = Command::new("node");
    command
        .arg(root.join("tests/browser").join(script))
        .env("TEST_BROWSER", installed);
    (command, chromium.display().to_string())
}

/// A folder for a test, gone with it.
pub fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

/// Writes instances as Part 10 files and returns their paths.
pub fn write_all(folder: &Path, instances: &[filmroom_fixtures::Instance]) -> Vec<PathBuf> {
    fs::create_dir_all(folder).unwrap();
    instances
        .iter()
        .enumerate()
        .map(|(index, instance)| {
            let path = folder.join(format!("{index:05}.dcm"));
            fs::write(&path, &instance.part10).unwrap();
            path
        })
        .collect()
}
