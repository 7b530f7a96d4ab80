use std::net::IpAddr;
use std::path::Path;

use super::*;
use crate::Refused;

const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

fn passcode(text: &str) -> Passcode {
    text.as_bytes().to_vec().into()
}

fn directory(data: &Path) -> Directory {
    Directory::open(data).unwrap()
}

#[tokio::test]
async fn accounts_outlive_the_process_and_sessions_the_request() {
    let data = tempfile::tempdir().unwrap();
    let right = passcode("the film room at night");
    {
        let directory = directory(data.path());
        assert!(!directory.has_administrator());
        directory
            .add_account(
                "ada",
                &right,
                [Role::Administrator, Role::Viewer].into(),
                Owner::default(),
            )
            .unwrap();
        assert!(
            directory
                .add_account("ada", &right, [].into(), Owner::default())
                .is_err()
        );
        assert!(
            directory
                .add_account("a/b", &right, [].into(), Owner::default())
                .is_err()
        );
        assert!(
            directory
                .add_account("bob", &passcode("short"), [].into(), Owner::default())
                .is_err()
        );
    }
    let directory = directory(data.path());
    assert!(directory.has_administrator());
    assert_eq!(
        directory.sign_in("ada", &passcode("the film room at noon"), HERE).await,
        Err(Refused::Unknown)
    );
    assert_eq!(directory.sign_in("eve", &right, HERE).await, Err(Refused::Unknown));
    let (key, ada) = directory.sign_in("ada", &right, HERE).await.unwrap();
    assert!(ada.may(Action::Retrieve) && ada.may(Action::Administer) && !ada.may(Action::Store));
    assert_eq!(directory.by_session(&key), Some(ada.clone()));
    assert_eq!(directory.by_session("guess"), None);
    for _ in 0..2 {
        let shown = directory.by_passcode("ada", &right, HERE).await.unwrap();
        assert_eq!((shown.subject(), shown.roles()), (Some("ada"), ada.roles()));
    }
    directory.sign_out(&key);
    assert_eq!(directory.by_session(&key), None);
}

#[tokio::test]
async fn another_passcode_ends_what_the_old_one_began() {
    let data = tempfile::tempdir().unwrap();
    let directory = directory(data.path());
    let (old, new) = (passcode("the film room at night"), passcode("the film room at noon"));
    directory
        .add_account("ada", &old, [Role::Viewer].into(), Owner::default())
        .unwrap();
    let (key, _) = directory.sign_in("ada", &old, HERE).await.unwrap();
    directory.by_passcode("ada", &old, HERE).await.unwrap();
    directory
        .change_account(
            "ada",
            AccountChange {
                passcode: Some(new.clone()),
                ..AccountChange::default()
            },
        )
        .unwrap();
    assert_eq!(directory.by_session(&key), None);
    assert_eq!(directory.by_passcode("ada", &old, HERE).await, Err(Refused::Unknown));
    let (key, _) = directory.sign_in("ada", &new, HERE).await.unwrap();
    directory
        .change_account(
            "ada",
            AccountChange {
                is_disabled: Some(true),
                ..AccountChange::default()
            },
        )
        .unwrap();
    assert_eq!(directory.by_session(&key), None);
    assert_eq!(directory.sign_in("ada", &new, HERE).await, Err(Refused::Unknown));
}

#[tokio::test]
async fn guessing_is_slowed_down() {
    let data = tempfile::tempdir().unwrap();
    let directory = directory(data.path());
    let right = passcode("the film room at night");
    directory
        .add_account("ada", &right, [Role::Viewer].into(), Owner::default())
        .unwrap();
    for _ in 0..5 {
        assert_eq!(
            directory.by_passcode("ada", &passcode("guess"), HERE).await,
            Err(Refused::Unknown)
        );
    }
    assert!(matches!(
        directory.by_passcode("ada", &right, HERE).await,
        Err(Refused::Wait(_))
    ));
    assert!(directory.by_passcode("ada", &right, [10, 0, 0, 1].into()).await.is_ok());
}

#[test]
fn an_administrator_remains() {
    let data = tempfile::tempdir().unwrap();
    let directory = directory(data.path());
    let code = passcode("the film room at night");
    directory
        .add_account("ada", &code, [Role::Administrator].into(), Owner::default())
        .unwrap();
    let last = |result: Result<(), DirectoryError>| matches!(result, Err(DirectoryError::LastAdministrator));
    assert!(last(directory.remove_account("ada")));
    assert!(last(
        directory
            .change_account(
                "ada",
                AccountChange {
                    roles: Some([Role::Viewer].into()),
                    ..AccountChange::default()
                }
            )
            .map(drop)
    ));
    assert!(last(
        directory
            .change_account(
                "ada",
                AccountChange {
                    is_disabled: Some(true),
                    ..AccountChange::default()
                }
            )
            .map(drop)
    ));
    directory
        .add_account("bob", &code, [Role::Administrator].into(), Owner::default())
        .unwrap();
    directory.remove_account("ada").unwrap();
    assert!(last(directory.remove_account("bob")));
}

fn dashboard(owner: Option<&str>) -> NewToken {
    NewToken {
        name: "dashboard".to_owned(),
        roles: [Role::Viewer].into(),
        life: Duration::from_secs(60),
        made_by: "ada".to_owned(),
        owner: owner.map(str::to_owned),
        is_confined: false,
    }
}

#[tokio::test]
async fn who_has_a_session_proves_anew_who_they_are() {
    let data = tempfile::tempdir().unwrap();
    let directory = directory(data.path());
    let code = passcode("the film room at night");
    for name in ["ada", "bob"] {
        directory
            .add_account(name, &code, [Role::Viewer].into(), Owner::default())
            .unwrap();
    }
    let (key, ada) = directory.sign_in("ada", &code, HERE).await.unwrap();
    let first = ada.proof().unwrap();
    assert_eq!(
        directory.prove_again(&ada, &passcode("guess"), HERE).await,
        Err(Refused::Unknown)
    );
    assert_eq!(directory.by_session(&key).unwrap().proof(), Some(first));
    directory.prove_again(&ada, &code, HERE).await.unwrap();
    assert!(directory.by_session(&key).unwrap().proof().unwrap().at > first.at);
    // A request with a passcode has no session that it could freshen.
    let shown = directory.by_passcode("bob", &code, HERE).await.unwrap();
    assert_eq!(directory.prove_again(&shown, &code, HERE).await, Err(Refused::Unknown));
    directory.sign_out(&key);
    assert_eq!(directory.prove_again(&ada, &code, HERE).await, Err(Refused::Unknown));
}

#[test]
fn a_token_acts_for_its_owner() {
    let data = tempfile::tempdir().unwrap();
    let directory = directory(data.path());
    let code = passcode("the film room at night");
    assert!(matches!(
        directory.add_token(dashboard(Some("ada"))),
        Err(DirectoryError::Unknown(_))
    ));
    let viewer = || BTreeSet::from([Role::Viewer]);
    directory
        .add_account(
            "ada",
            &code,
            viewer(),
            Owner {
                person: Some("lovelace"),
                ..Owner::default()
            },
        )
        .unwrap();
    directory
        .add_account(
            "ada2",
            &code,
            viewer(),
            Owner {
                person: Some("lovelace"),
                ..Owner::default()
            },
        )
        .unwrap();
    for wrong in ["", "two words", "token:ct", "a\u{7}"] {
        assert!(
            directory
                .add_account(
                    "eve",
                    &code,
                    viewer(),
                    Owner {
                        person: Some(wrong),
                        ..Owner::default()
                    }
                )
                .is_err(),
            "{wrong}"
        );
    }
    let (_, text) = directory.add_token(dashboard(Some("ada2"))).unwrap();
    let known = || directory.by_token(&text);
    assert_eq!(known().unwrap().subject(), Some("lovelace"));
    let is_disabled = |is_disabled| AccountChange {
        is_disabled: Some(is_disabled),
        ..AccountChange::default()
    };
    directory.change_account("ada2", is_disabled(true)).unwrap();
    assert_eq!(known(), None);
    directory.change_account("ada2", is_disabled(false)).unwrap();
    assert!(known().is_some());
    directory.remove_account("ada2").unwrap();
    directory
        .add_account("ada2", &code, viewer(), Owner::default())
        .unwrap();
    assert_eq!(known(), None);
}

#[test]
fn tokens_expire_and_are_revoked() {
    let data = tempfile::tempdir().unwrap();
    let directory = directory(data.path());
    let (token, text) = directory.add_token(dashboard(None)).unwrap();
    let known = directory.by_token(&text).unwrap();
    assert!(known.may(Action::Query) && !known.may(Action::Administer));
    assert_eq!(directory.by_token(&format!("{text}x")), None);
    assert_eq!(directory.by_token(&text.replace('_', "")), None);
    write(&directory.tokens).get_mut(&token.id).unwrap().expires_at = now();
    assert_eq!(directory.by_token(&text), None);
    let (token, text) = directory.add_token(dashboard(None)).unwrap();
    directory.revoke_token(&token.id).unwrap();
    assert_eq!(directory.by_token(&text), None);
    let kept = std::fs::read_dir(data.path().join("state/token")).unwrap();
    for file in kept {
        let bytes = std::fs::read_to_string(file.unwrap().path()).unwrap();
        assert!(!bytes.contains(text.rsplit('_').next().unwrap()));
    }
    let forever = directory.add_token(NewToken {
        life: TOKEN_LIFE_MAX * 2,
        ..dashboard(None)
    });
    assert!(matches!(forever, Err(DirectoryError::Wrong(_))));
    assert!(
        directory
            .by_token(directory.machine_secret())
            .unwrap()
            .may(Action::Administer)
    );
}
