//! Users of DIMSE callers: the accounts and tokens of the directory.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
};

use async_trait::async_trait;

use super::{Access, Caller, Claim, Denied, Directory, Principal, Refused};

/// Whether callers have to name a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Demand {
    /// What they say of one is not looked at.
    Ignored,
    /// They may; a passcode that is shown has to be right, once there are accounts.
    Optional,
    /// They must, and prove it.
    Required,
}

/// Believes what the directory knows.
#[derive(Debug, Clone)]
pub struct Users {
    directory: Arc<Directory>,
    demand: Demand,
}

impl Users {
    /// The users of a directory.
    #[must_use]
    pub fn new(directory: Arc<Directory>, demand: Demand) -> Self {
        Self { directory, demand }
    }

    async fn check(&self, claim: &Claim, from: IpAddr) -> Result<Principal, Denied> {
        match claim {
            Claim::Passcode { username, passcode } => {
                let known = self.directory.by_passcode(username, passcode, from).await;
                known.map_err(|refused| match refused {
                    Refused::Unknown => Denied::Unknown,
                    Refused::Wait(_) => Denied::Wait,
                    Refused::Failed(why) => Denied::Failed(why),
                })
            }
            Claim::Jwt(text) => self.directory.by_token(text).ok_or(Denied::Unknown),
            Claim::Username(_) => Err(Denied::Unsupported("a name without a passcode")),
            Claim::Kerberos => Err(Denied::Unsupported("a Kerberos service ticket")),
            Claim::Saml => Err(Denied::Unsupported("a SAML assertion")),
        }
    }
}

#[async_trait]
impl Access for Users {
    async fn admit(&self, caller: &Caller<'_>) -> Result<Option<Principal>, Denied> {
        let is_required = self.demand == Demand::Required;
        let claim = match caller.claim {
            None if is_required => return Err(Denied::Unnamed),
            Some(claim) if self.demand != Demand::Ignored => claim,
            _ => return Ok(None),
        };
        // What cannot be proved here is believed by nobody; whoever need not name anyone comes in as nobody.
        let is_proof = matches!(claim, Claim::Passcode { .. } | Claim::Jwt(_));
        if !is_required && (!is_proof || self.directory.is_empty()) {
            return Ok(None);
        }
        self.check(claim, address(caller.address)).await.map(Some)
    }
}

fn address(text: &str) -> IpAddr {
    let whole = text.parse::<SocketAddr>().map(|address| address.ip());
    let address = whole.or_else(|_| text.parse::<IpAddr>());
    address.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{NewToken, Owner, Passcode, Role};

    struct Site {
        _data: tempfile::TempDir,
        directory: Arc<Directory>,
    }

    const PASSCODE: &str = "the film room at night";

    impl Site {
        fn new() -> Self {
            let data = tempfile::tempdir().unwrap();
            let directory = Arc::new(Directory::open(data.path()).unwrap());
            Self { _data: data, directory }
        }

        fn with_ada() -> Self {
            let site = Self::new();
            let passcode = Passcode::from(PASSCODE.as_bytes().to_vec());
            site.directory
                .add_account("ada", &passcode, [Role::Viewer].into(), Owner::default())
                .unwrap();
            site
        }

        #[track_caller]
        fn check(&self, demand: Demand, claim: Option<Claim>, expected: Result<Option<&str>, Denied>) {
            let users = Users::new(Arc::clone(&self.directory), demand);
            let caller = Caller {
                ae_title: "CT1",
                address: "10.0.0.1:104",
                claim: claim.as_ref(),
            };
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let admitted = runtime.block_on(users.admit(&caller));
            let admitted = admitted.map(|user| user.map(|user| user.name));
            assert_eq!(admitted, expected.map(|name| name.map(str::to_owned)));
        }
    }

    fn passcode(username: &str, passcode: &str) -> Option<Claim> {
        Some(Claim::Passcode {
            username: username.into(),
            passcode: passcode.as_bytes().to_vec().into(),
        })
    }

    #[test]
    fn only_what_can_be_proved_is_believed() {
        let site = Site::with_ada();
        let name = || Some(Claim::Username("ada".into()));
        let (ignored, optional, required) = (Demand::Ignored, Demand::Optional, Demand::Required);
        site.check(ignored, passcode("ada", "wrong"), Ok(None));
        site.check(optional, None, Ok(None));
        site.check(required, None, Err(Denied::Unnamed));
        site.check(required, passcode("ada", PASSCODE), Ok(Some("ada")));
        site.check(optional, passcode("ada", PASSCODE), Ok(Some("ada")));
        site.check(optional, passcode("ada", "wrong"), Err(Denied::Unknown));
        site.check(optional, passcode("eve", "nobody"), Err(Denied::Unknown));
        site.check(optional, passcode("ada", &"x".repeat(2000)), Err(Denied::Unknown));
        site.check(optional, name(), Ok(None));
        site.check(required, name(), Err(Denied::Unsupported("a name without a passcode")));
        site.check(optional, Some(Claim::Saml), Ok(None));
        site.check(
            required,
            Some(Claim::Kerberos),
            Err(Denied::Unsupported("a Kerberos service ticket")),
        );
        site.check(optional, Some(Claim::Jwt("a.b.c".into())), Err(Denied::Unknown));
        let day = std::time::Duration::from_secs(86_400);
        let (_, text) = site
            .directory
            .add_token(NewToken {
                name: "gateway".to_owned(),
                roles: [Role::Modality].into(),
                life: day,
                ..NewToken::default()
            })
            .unwrap();
        site.check(required, Some(Claim::Jwt(text)), Ok(Some("gateway")));
    }

    #[test]
    fn where_nobody_is_known_claims_are_not_looked_at() {
        let site = Site::new();
        site.check(Demand::Optional, passcode("ada", PASSCODE), Ok(None));
        site.check(Demand::Required, passcode("ada", PASSCODE), Err(Denied::Unknown));
    }
}
