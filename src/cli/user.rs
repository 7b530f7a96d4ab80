//! `filmroom user`: the accounts of people, by way of the archive where one runs on the data folder, else in the folder.

use std::{
    collections::BTreeSet,
    io::{BufRead, IsTerminal, Read},
};

use clap::{Args, Subcommand};
use filmroom_audit::{Caller, EventType, Outcome};
use filmroom_storage::store::{StateAccess, Store};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value, json};

use super::{
    failure::{Failure, Status},
    running::Running,
    runtime, server,
    settings_flags::SettingsFlags,
    standard_output,
    trail::{self, AuditTrail},
};
use crate::config::Config;
use filmroom_access::{
    AccountChange, Directory, DirectoryError, Owner, PASSCODE_CHARACTERS_MIN, Passcode, Role, new_passcode,
};

/// Longest line of a passcode, in bytes.
const PASSCODE_BYTES_MAX: u64 = 1024;
/// Who changes things by a command.
const COMMAND: &str = "this machine";
const ADVICE: &str = "`filmroom user list` lists all accounts";

/// Arguments of `user`.
#[derive(Debug, Args)]
pub struct UserCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List all accounts
    List {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// List what each role may do
    Roles,
    /// Make an account; its passcode is asked for, or read from standard input (one line)
    Add {
        /// By what name the person signs in
        name: String,
        /// What the person may do; repeatable, or separated by commas
        #[arg(long = "role", value_name = "ROLE", required = true, value_delimiter = ',')]
        roles: Vec<Role>,
        /// Whose account it is, where they have others: two accounts of one person count as one where two persons are asked for
        #[arg(long, value_name = "PERSON")]
        person: Option<String>,
        /// They see what is granted to them (`filmroom privacy grant`), and nothing else
        #[arg(long)]
        confined: bool,
        /// Make up a passcode and print it
        #[arg(long)]
        generate: bool,
    },
    /// Give an account another passcode; sessions that began by the old one end
    Passwd {
        /// The account
        name: String,
        /// Make up a passcode and print it
        #[arg(long)]
        generate: bool,
    },
    /// Give an account other roles
    Role {
        /// The account
        name: String,
        /// All roles that it has from now on
        #[arg(required = true, value_delimiter = ',')]
        roles: Vec<Role>,
    },
    /// Say whose account it is
    Person {
        /// The account
        name: String,
        /// By what the person is told from others, such as a personnel number or the subject at an OpenID provider
        person: String,
    },
    /// Let an account see what is granted to its person, and nothing else; or what its roles let it again
    Confine {
        /// The account
        name: String,
        /// What its roles let it
        #[arg(long)]
        lift: bool,
    },
    /// Let nobody in by an account, and end its sessions
    Disable {
        /// The account
        name: String,
    },
    /// Let its owner in again
    Enable {
        /// The account
        name: String,
    },
    /// Forget an account
    Remove {
        /// The account
        name: String,
    },
}

/// What is to be different of an account.
#[derive(Default)]
struct Change {
    passcode: Option<String>,
    roles: Option<BTreeSet<Role>>,
    is_disabled: Option<bool>,
    person: Option<String>,
    is_confined: Option<bool>,
}

impl UserCommand {
    /// Runs.
    ///
    /// # Errors
    /// [`Failure`].
    pub fn run(&self, settings: &SettingsFlags) -> Result<Status, Failure> {
        let config = settings.load(None)?.config;
        match &self.action {
            Action::List { json } => list(&config, *json)?,
            Action::Roles => {
                let lines = Role::ALL.iter().map(|role| {
                    let actions: Vec<&str> = role.actions().iter().map(|action| action.word()).collect();
                    format!(
                        "{:<18} {}\n{:<18} may: {}\n",
                        role.word(),
                        role.about(),
                        "",
                        actions.join(", ")
                    )
                });
                standard_output(&lines.collect::<String>());
            }
            Action::Add {
                name,
                roles,
                person,
                confined,
                generate,
            } => {
                let (passcode, made_up) = passcode(*generate)?;
                let change = Change {
                    passcode: Some(passcode),
                    person: person.clone(),
                    is_confined: Some(*confined),
                    roles: Some(roles.iter().copied().collect()),
                    ..Change::default()
                };
                write(&config, name, change, true)?;
                standard_output(&format!("{name} can sign in\n{made_up}"));
            }
            Action::Passwd { name, generate } => {
                let (passcode, made_up) = passcode(*generate)?;
                let change = Change {
                    passcode: Some(passcode),
                    ..Change::default()
                };
                write(&config, name, change, false)?;
                standard_output(&format!("{name} has another passcode\n{made_up}"));
            }
            Action::Role { name, roles } => {
                let change = Change {
                    roles: Some(roles.iter().copied().collect()),
                    ..Change::default()
                };
                write(&config, name, change, false)?;
                let words: Vec<&str> = roles.iter().map(|role| role.word()).collect();
                standard_output(&format!("{name} is {}\n", words.join(", ")));
            }
            Action::Person { name, person } => {
                let change = Change {
                    person: Some(person.clone()),
                    ..Change::default()
                };
                write(&config, name, change, false)?;
                standard_output(&format!("{name} is an account of {person}\n"));
            }
            Action::Confine { name, lift } => {
                let change = Change {
                    is_confined: Some(!lift),
                    ..Change::default()
                };
                write(&config, name, change, false)?;
                let sees = match lift {
                    true => "what its roles let it",
                    false => "what is granted to its person, and nothing else",
                };
                standard_output(&format!("{name} sees {sees}\n"));
            }
            Action::Disable { name } => {
                write(&config, name, disabled(true), false)?;
                standard_output(&format!("{name} is not let in any more\n"));
            }
            Action::Enable { name } => {
                write(&config, name, disabled(false), false)?;
                standard_output(&format!("{name} is let in again\n"));
            }
            Action::Remove { name } => {
                match Running::find(&config)? {
                    Some(archive) => drop(archive.ask("DELETE", &path(name), None)?.done(ADVICE)?),
                    None => in_folder(&config, &path(name), |directory| directory.remove_account(name))?,
                }
                standard_output(&format!("{name} is forgotten\n"));
            }
        }
        Ok(Status::Done)
    }
}

fn disabled(is_disabled: bool) -> Change {
    Change {
        is_disabled: Some(is_disabled),
        ..Change::default()
    }
}

fn path(name: &str) -> String {
    format!("accounts/{}", utf8_percent_encode(name, NON_ALPHANUMERIC))
}

fn write(config: &Config, name: &str, change: Change, is_new: bool) -> Result<(), Failure> {
    let Some(archive) = Running::find(config)? else {
        let passcode = change.passcode.map(|passcode| Passcode::from(passcode.into_bytes()));
        return in_folder(config, &path(name), |directory| match (is_new, &passcode) {
            (true, Some(passcode)) => {
                let roles = change.roles.unwrap_or_default();
                let of = Owner {
                    person: change.person.as_deref(),
                    is_confined: change.is_confined.unwrap_or(false),
                };
                let made = directory.add_account(name, passcode, roles, of);
                made.map(drop)
            }
            _ => {
                let change = AccountChange {
                    passcode,
                    roles: change.roles,
                    person: change.person,
                    is_confined: change.is_confined,
                    is_disabled: change.is_disabled,
                };
                directory.change_account(name, change).map(drop)
            }
        });
    };
    // The API changes an account that is there; the command says which of the two is meant.
    let known = archive.ask("GET", "accounts", None)?.done(ADVICE)?;
    let is_known = accounts(&known).any(|account| account.get("name").and_then(Value::as_str) == Some(name));
    match (is_new, is_known) {
        (true, true) => {
            return Err(failed(&DirectoryError::Wrong(format!(
                "there is an account {name} already"
            ))));
        }
        (false, false) => return Err(failed(&DirectoryError::Unknown("account"))),
        _ => {}
    }
    let mut body = Map::new();
    if let Some(passcode) = change.passcode {
        body.insert("passcode".to_owned(), passcode.into());
    }
    if let Some(roles) = change.roles {
        body.insert("roles".to_owned(), json!(roles));
    }
    if let Some(person) = change.person {
        body.insert("person".to_owned(), person.into());
    }
    if let Some(is_confined) = change.is_confined {
        body.insert("is_confined".to_owned(), is_confined.into());
    }
    if let Some(is_disabled) = change.is_disabled {
        body.insert("is_disabled".to_owned(), is_disabled.into());
    }
    archive
        .ask("PUT", &path(name), Some(&body.into()))?
        .done(ADVICE)
        .map(drop)
}

fn accounts(body: &Value) -> impl Iterator<Item = &Value> {
    body.get("accounts").and_then(Value::as_array).into_iter().flatten()
}

/// A passcode, and what is to be printed of it.
fn passcode(generate: bool) -> Result<(String, String), Failure> {
    if generate {
        let passcode = new_passcode().map_err(|why| Failure::new(Status::Software, why, ""))?;
        let line = format!("{passcode}\n");
        return Ok((passcode, line));
    }
    let passcode = match std::io::stdin().is_terminal() {
        true => asked()?,
        false => line()?,
    };
    // Told before anything else is done: hashing would refuse it too.
    match Passcode::from(passcode.clone().into_bytes()).weakness() {
        None => Ok((passcode, String::new())),
        Some(why) => Err(Failure::new(
            Status::Usage,
            format!("the passcode will not do: {why}"),
            format!("take some words, {PASSCODE_CHARACTERS_MIN} characters at least, or let --generate make one up"),
        )),
    }
}

fn line() -> Result<String, Failure> {
    let mut line = String::new();
    let read = std::io::stdin().lock().take(PASSCODE_BYTES_MAX).read_line(&mut line);
    read.map_err(|error| Failure::new(Status::InputOutput, error.to_string(), ""))?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

fn prompted(prompt: &str) -> Result<String, Failure> {
    rpassword::prompt_password(prompt).map_err(|error| Failure::new(Status::InputOutput, error.to_string(), ""))
}

/// The passcode of whoever runs a command, to be shown to the archive: asked for, or a line of standard input.
///
/// # Errors
/// [`Failure`] when neither terminal nor input gives one.
pub(super) fn own_passcode(prompt: &str) -> Result<String, Failure> {
    match std::io::stdin().is_terminal() {
        true => prompted(prompt),
        false => line(),
    }
}

fn asked() -> Result<String, Failure> {
    let passcode = prompted("Passcode: ")?;
    if prompted("Once more: ")? != passcode {
        return Err(Failure::new(Status::Usage, "the two are not the same", "try again"));
    }
    Ok(passcode)
}

/// Changes the directory of a data folder that nobody serves, and has the audit trail know it. `what`: its path below `/api/v1`.
///
/// # Errors
/// [`Failure`].
pub(super) fn in_folder<T>(
    config: &Config,
    what: &str,
    change: impl FnOnce(&Directory) -> Result<T, DirectoryError>,
) -> Result<T, Failure> {
    let folder = &config.data.folder;
    runtime::build(&config.run)?.block_on(async {
        let store = server::open_store(config).await?;
        let changed = recorded(config, &store, what, change).await;
        let closed = server::close_store(&store, folder).await;
        changed.and_then(|changed| closed.map(|()| changed))
    })
}

async fn recorded<T>(
    config: &Config,
    store: &Store,
    what: &str,
    change: impl FnOnce(&Directory) -> Result<T, DirectoryError>,
) -> Result<T, Failure> {
    let folder = &config.data.folder;
    let directory = server::open_directory(store.state())?;
    let trail = AuditTrail::open(config, store).await?;
    let changed = change(&directory);
    let (outcome, done) = match &changed {
        Ok(_) => (Outcome::Success, "changed by a command in the data folder"),
        Err(_) => (
            Outcome::MinorFailure,
            "a command in the data folder was refused to change it",
        ),
    };
    let who = Caller {
        user: COMMAND,
        ..Caller::default()
    };
    let kind = EventType::UserSecurityAttributesChanged;
    let told = trail
        .trail()
        .configured(who, kind, &format!("/api/v1/{what}"), done, outcome)
        .await;
    let closed = trail.close(folder).await;
    told.map_err(|error| trail::failure(&folder.join(trail::FOLDER), &error))?;
    closed?;
    changed.map_err(|error| failed(&error))
}

/// Reads the directory of a data folder, whoever has it.
///
/// # Errors
/// [`Failure`].
pub(super) fn look(config: &Config) -> Result<Directory, Failure> {
    Directory::look(server::state_place(config, StateAccess::Look)?).map_err(|error| failed(&error))
}

fn failed(error: &DirectoryError) -> Failure {
    let (status, advice) = match error {
        DirectoryError::Wrong(_) => (Status::Usage, ADVICE),
        DirectoryError::Unknown(_) => (
            Status::NoInput,
            "`filmroom user list` and `filmroom token list` list all",
        ),
        DirectoryError::LastAdministrator => (Status::Usage, "make another administrator first"),
        DirectoryError::TooMany | DirectoryError::State(_) => (Status::InputOutput, "check the disk"),
    };
    Failure::new(status, error.to_string(), advice)
}

fn list(config: &Config, is_json: bool) -> Result<(), Failure> {
    let mut text = String::new();
    for account in look(config)?.accounts() {
        if is_json {
            let value = json!({
                "name": account.name,
                "person": account.person(),
                "roles": account.roles,
                "is_disabled": account.is_disabled,
                "is_confined": account.is_confined,
                "made_at": account.made_at,
            });
            text.push_str(&format!("{value}\n"));
            continue;
        }
        let roles: Vec<&str> = account.roles.iter().map(|role| role.word()).collect();
        let mut disabled = String::new();
        for (is_so, word) in [(account.is_confined, "  confined"), (account.is_disabled, "  disabled")] {
            disabled.push_str(if is_so { word } else { "" });
        }
        let person = match account.person() == account.name {
            true => String::new(),
            false => format!("  of {}", account.person()),
        };
        text.push_str(&format!(
            "{:<24} {}{person}{disabled}\n",
            account.name,
            roles.join(", ")
        ));
    }
    standard_output(&text);
    Ok(())
}
