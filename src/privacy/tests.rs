use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr},
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

use filmroom_access::{AccountChange, Directory, NewToken, Owner, Passcode, Role};
use filmroom_dataset::DataSetDescriber;
use filmroom_storage::{model::StudyInstanceUid, store::StoreOptions};

use super::*;

const PASSCODE: &str = "the film room at night";
const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

struct Site {
    privacy: Privacy,
    directory: Directory,
    store: Store,
    now: Arc<AtomicI64>,
    _data: tempfile::TempDir,
}

fn study(number: u32) -> StudyInstanceUid {
    StudyInstanceUid::new(&format!("1.2.{number}")).unwrap()
}

fn labels(texts: &[&str]) -> BTreeSet<Label> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

impl Site {
    async fn new() -> Self {
        let data = tempfile::tempdir().unwrap();
        let store = Store::open(StoreOptions::new(data.path()), Arc::new(DataSetDescriber))
            .await
            .unwrap();
        let directory = Directory::open(store.state()).unwrap();
        let code = Passcode::from(PASSCODE.as_bytes().to_vec());
        for (name, role) in [
            ("ada", Role::Viewer),
            ("rae", Role::Researcher),
            ("pat", Role::PrivacyOfficer),
            ("kim", Role::Viewer),
        ] {
            directory
                .add_account(name, &code, [role].into(), Owner::default())
                .unwrap();
        }
        let confined = AccountChange {
            is_confined: Some(true),
            ..AccountChange::default()
        };
        directory.change_account("kim", confined).unwrap();
        let now = Arc::new(AtomicI64::new(OffsetDateTime::now_utc().unix_timestamp()));
        Self {
            privacy: Self::room(&store, &now).await,
            directory,
            store,
            now,
            _data: data,
        }
    }

    async fn room(store: &Store, now: &Arc<AtomicI64>) -> Privacy {
        let clock = Arc::clone(now);
        let clock = move || OffsetDateTime::from_unix_timestamp(clock.load(Ordering::SeqCst)).unwrap();
        Privacy::with_clock(store.clone(), Trail::off(), Duration::from_secs(3600), Arc::new(clock))
            .await
            .unwrap()
    }

    async fn who(&self, name: &str) -> Principal {
        let code = Passcode::from(PASSCODE.as_bytes().to_vec());
        self.directory.by_passcode(name, &code, HERE).await.unwrap()
    }

    /// Which of the studies 1 to 4 somebody sees.
    async fn seen(&self, name: &str) -> Vec<u32> {
        let sight = self.privacy.sight(&self.who(name).await, Action::Retrieve);
        (1..=4).filter(|number| sight.sees(&study(*number)).unwrap()).collect()
    }

    async fn label(&self, number: u32, texts: &[&str]) {
        let by = self.who("pat").await;
        let study = study(number);
        let labelled = self.privacy.label(&by, "", &study, labels(texts), "asked for");
        labelled.await.unwrap();
    }

    async fn grant(&self, to: &str, scope: Scope, until: Option<i64>) -> Grant {
        let new = NewGrant {
            to: to.to_owned(),
            scope,
            reason: "of the team".to_owned(),
            until: until.map(|seconds| self.privacy.now() + Duration::from_secs(seconds.unsigned_abs())),
        };
        self.privacy.grant(&self.who("pat").await, "", new).await.unwrap()
    }
}

#[tokio::test]
async fn labels_hide_and_grants_show() {
    let site = Site::new().await;
    let ada = site.who("ada").await;
    assert!(
        site.privacy.sight(&ada, Action::Query).is_all(),
        "nothing is asked where nothing is labelled"
    );
    assert_eq!(
        (site.seen("ada").await, site.seen("rae").await),
        (vec![1, 2, 3, 4], vec![])
    );
    site.label(1, &["vip"]).await;
    site.label(2, &["tenant:north", "research:lung"]).await;
    site.label(3, &["research:lung", "sensitive"]).await;
    assert_eq!(site.seen("ada").await, [4]);
    assert!(site.privacy.sight(&site.who("pat").await, Action::Query).is_all());
    assert!(
        site.seen("pat").await.is_empty(),
        "who may not retrieve sees nothing that way"
    );

    let research = Scope::Label("research:lung".parse().unwrap());
    site.grant("rae", research.clone(), None).await;
    assert!(
        site.seen("rae").await.is_empty(),
        "membership of a project is no clearance"
    );
    site.label(2, &["research:lung"]).await;
    assert_eq!(site.seen("rae").await, [2]);
    let north = site.grant("ada", Scope::Label("vip".parse().unwrap()), None).await;
    assert_eq!(site.seen("ada").await, [1, 2, 4]);
    site.privacy
        .revoke(&site.who("pat").await, "", &north.id)
        .await
        .unwrap();
    assert_eq!(site.seen("ada").await, [2, 4]);

    // Who is confined sees what was granted, and no more than until then.
    assert!(site.seen("kim").await.is_empty());
    site.grant("kim", Scope::Study(study(3)), Some(60)).await;
    assert_eq!(site.seen("kim").await, [3]);
    site.now.fetch_add(61, Ordering::SeqCst);
    assert!(site.seen("kim").await.is_empty());

    // A room that is opened anew knows the same.
    let again = Site::room(&site.store, &site.now).await;
    assert_eq!(again.labels(&study(3)), labels(&["research:lung", "sensitive"]));
    assert!(
        again
            .sight(&site.who("rae").await, Action::Retrieve)
            .sees(&study(2))
            .unwrap()
    );
    assert_eq!(
        again.labelled(&"research:lung".parse().unwrap(), Some(&study(2)), 9),
        [study(3)]
    );
}

#[tokio::test]
async fn devices_see_by_what_a_certificate_proves() {
    let site = Site::new().await;
    site.label(1, &["vip"]).await;
    site.grant("peer:WS1", Scope::Label(Label::Vip), None).await;
    let sees = |proved| site.privacy.sight_of_device(proved).sees(&study(1)).unwrap();
    assert!(sees(Some("WS1")) && !sees(Some("WS2")) && !sees(None));
    // A token's own grants are its, and not those of a person of its name.
    let token = NewToken {
        name: "ws1".to_owned(),
        roles: [Role::Viewer].into(),
        life: Duration::from_secs(60),
        ..NewToken::default()
    };
    let (_, text) = site.directory.add_token(token).unwrap();
    let program = site.directory.by_token(&text).unwrap();
    site.grant("ws1", Scope::Label(Label::Vip), None).await;
    assert!(!site.privacy.sight(&program, Action::Query).sees(&study(1)).unwrap());
    site.grant("token:ws1", Scope::Label(Label::Vip), None).await;
    assert!(site.privacy.sight(&program, Action::Query).sees(&study(1)).unwrap());
}

#[tokio::test]
async fn access_is_taken_for_a_time_and_looked_at_by_another() {
    let site = Site::new().await;
    site.label(1, &["vip"]).await;
    let (ada, pat) = (site.who("ada").await, site.who("pat").await);
    let new = |code: &str, reason: &str, scope| NewEmergency {
        scope,
        code: code.to_owned(),
        reason: reason.to_owned(),
    };
    let scope = || Scope::Study(study(1));
    for wrong in [
        new("because", "bleeding", scope()),
        new("on-call", " ", scope()),
        new("on-call", "bleeding", Scope::Label(Label::Vip)),
    ] {
        assert!(matches!(
            site.privacy.take(&ada, "", wrong).await,
            Err(PrivacyError::Wrong(_))
        ));
    }
    let taken = site
        .privacy
        .take(&ada, "", new("on-call", "bleeding", scope()))
        .await
        .unwrap();
    assert_eq!(
        (site.seen("ada").await, site.privacy.open_of(&ada).len()),
        (vec![1, 2, 3, 4], 1)
    );
    // Over with its time, whether or not that is recorded yet; and after a restart.
    site.now.fetch_add(3601, Ordering::SeqCst);
    assert_eq!(site.seen("ada").await, [2, 3, 4]);
    let again = Site::room(&site.store, &site.now).await;
    again.end_overdue().await.unwrap();
    assert!(again.emergencies()[0].ended_at.is_some());

    let finding = Finding::Justified;
    let own = again.review(&ada, "", &taken.id, finding, "my own").await;
    assert!(matches!(own, Err(PrivacyError::NotLet(_))));
    let reviewed = again.review(&pat, "", &taken.id, finding, "was on duty").await.unwrap();
    assert_eq!(reviewed.review.unwrap().by, "pat");
    let twice = again.review(&pat, "", &taken.id, finding, "again").await;
    assert!(matches!(twice, Err(PrivacyError::Conflict(_))));

    // Nobody is told whether there is such a study, and nobody gives back what is another's.
    let nowhere = new("other", "looking", Scope::Study(study(99)));
    let nowhere = again.take(&ada, "", nowhere).await.unwrap();
    assert!(matches!(
        again.give_back(&pat, "", &nowhere.id).await,
        Err(PrivacyError::Unknown(_))
    ));
    again.give_back(&ada, "", &nowhere.id).await.unwrap();
    assert!(again.open_of(&ada).is_empty());
    assert!(matches!(
        again.take(&Principal::anyone(), "", new("other", "x", scope())).await,
        Err(PrivacyError::NotLet(_))
    ));
}

#[tokio::test]
async fn what_is_moved_stays_protected() {
    let site = Site::new().await;
    site.label(1, &["vip"]).await;
    site.label(2, &["research:lung"]).await;
    let pat = site.who("pat").await;
    site.privacy.inherit(&pat, "", &study(1), &study(2)).await.unwrap();
    assert_eq!(site.privacy.labels(&study(2)), labels(&["research:lung", "vip"]));
    assert_eq!(site.privacy.labels(&study(1)), labels(&["vip"]));
    let nobody = NewGrant {
        to: "pat".to_owned(),
        scope: Scope::Study(study(1)),
        reason: "curious".to_owned(),
        until: None,
    };
    assert!(matches!(
        site.privacy.grant(&pat, "", nobody).await,
        Err(PrivacyError::NotLet(_))
    ));
}
