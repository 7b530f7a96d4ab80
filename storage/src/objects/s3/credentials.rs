//! Who we are to the store: where the credentials come from, and how they are kept fresh. Names the `s3` crate, as the client does.

use std::sync::Arc;

use ::s3::{Auth, CachedProvider, CredentialsProvider, CredentialsSnapshot, CredentialsTlsRootStore};

use futures_util::future::BoxFuture;

use super::{instance::InstanceProfile, options::CredentialSource};

/// The credentials, and where they are refreshed from.
pub(super) async fn auth(source: &CredentialSource) -> Result<Auth, String> {
    let roots = CredentialsTlsRootStore::System;
    let (found, whence) = match source {
        CredentialSource::Keys {
            access_key_id,
            secret_access_key,
        } => {
            let keys = ::s3::Credentials::new(access_key_id, secret_access_key.expose());
            (keys.map(Auth::Static), "objects.s3.access_key_id and secret_access_key")
        }
        CredentialSource::Environment => (Auth::from_env(), "the environment (AWS_ACCESS_KEY_ID …)"),
        CredentialSource::Profile(Some(name)) => (Auth::from_profile(name), "the shared credentials file"),
        CredentialSource::Profile(None) => (Auth::from_profile_env(), "the shared credentials file"),
        CredentialSource::WebIdentity => (
            Auth::from_web_identity_env_with_tls_root_store(roots).await,
            "the web identity (AWS_WEB_IDENTITY_TOKEN_FILE, AWS_ROLE_ARN)",
        ),
        CredentialSource::Instance if is_in_container() => (
            Auth::from_imds_with_tls_root_store(roots).await,
            "the metadata service of the container",
        ),
        CredentialSource::Instance => {
            let fetched = InstanceProfile::of_environment();
            (of_instance(fetched?).await, "the metadata service of the instance")
        }
        CredentialSource::Auto => return Box::pin(auth(&first_there())).await,
    };
    found.map_err(|error| {
        // The crate's words name what is missing, never a secret.
        format!("no credentials for S3 come from {whence}: {error}; set objects.s3.credentials, or put them there")
    })
}

/// What `auto` finds.
fn first_there() -> CredentialSource {
    let has_file = || {
        let file = std::env::var_os("AWS_SHARED_CREDENTIALS_FILE").map(std::path::PathBuf::from);
        let home = || std::env::var_os("HOME").map(|home| std::path::PathBuf::from(home).join(".aws/credentials"));
        file.or_else(home).is_some_and(|file| file.exists())
    };
    if is_set("AWS_ACCESS_KEY_ID") {
        CredentialSource::Environment
    } else if is_set("AWS_WEB_IDENTITY_TOKEN_FILE") {
        CredentialSource::WebIdentity
    } else if is_in_container() {
        CredentialSource::Instance
    } else if has_file() {
        CredentialSource::Profile(None)
    } else {
        CredentialSource::Instance
    }
}

fn is_set(name: &str) -> bool {
    std::env::var_os(name).is_some_and(|value| !value.is_empty())
}

fn is_in_container() -> bool {
    is_set("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI") || is_set("AWS_CONTAINER_CREDENTIALS_FULL_URI")
}

/// Credentials of the instance, fetched anew before they end.
pub(super) async fn of_instance(profile: InstanceProfile) -> ::s3::Result<Auth> {
    let initial = profile.credentials_async().await?;
    let provider = CachedProvider::new(profile).with_initial(initial);
    Ok(Auth::provider(Arc::new(provider)))
}

impl CredentialsProvider for InstanceProfile {
    fn credentials_async(&self) -> BoxFuture<'_, ::s3::Result<CredentialsSnapshot>> {
        Box::pin(async {
            let fetched = self.fetch().await.map_err(::s3::Error::invalid_config)?;
            let credentials = ::s3::Credentials::new(fetched.access_key_id, fetched.secret_access_key.expose())?;
            let credentials = credentials.with_session_token(fetched.token.expose())?;
            Ok(CredentialsSnapshot::new(credentials).with_expires_at(fetched.expires_at))
        })
    }
}
