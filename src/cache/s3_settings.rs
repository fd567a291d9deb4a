//! Server, region and credentials of a bucket, as other S3 clients find them.
//!
//! In: an [`S3Place`] and the machine. Out: [`S3Settings`]. What the address says comes first, then the environment, then the files:
//!
//! | | address | environment | in `~/.aws/credentials` and `~/.aws/config` |
//! |---|---|---|---|
//! | profile | `profile=` | `AWS_PROFILE` | `default` |
//! | credentials | | `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN` | `aws_access_key_id`, `aws_secret_access_key`, `aws_session_token` |
//! | region | `region=` | `AWS_REGION`, `AWS_DEFAULT_REGION` | `region` |
//! | server | `endpoint=` | `AWS_ENDPOINT_URL_S3`, `AWS_ENDPOINT_URL` | `endpoint_url` |
//! | the files | | `AWS_SHARED_CREDENTIALS_FILE`, `AWS_CONFIG_FILE` | |
//!
//! A profile in the address comes before credentials in the environment. Without any, requests are not signed: that is how public buckets are
//! read. Not here: credentials that another server hands out (instance metadata, single sign-on, roles).

use std::collections::BTreeMap;
use std::path::PathBuf;

use rusty_s3::{Bucket, Credentials, UrlStyle};

use super::error::CacheError;
use super::location::{Access, S3Place, with_scheme};
use crate::net::Machine;

/// The region of servers that have none.
const DEFAULT_REGION: &str = "us-east-1";

/// A bucket that can be asked.
#[derive(Debug)]
pub(super) struct S3Settings {
    pub(super) bucket: Bucket,
    pub(super) credentials: Option<Credentials>,
}

impl S3Settings {
    pub(super) fn find(place: &S3Place, access: &Access) -> Result<Self, CacheError> {
        let machine = access.machine();
        let bad = |reason: String| CacheError::BadAddress { url: place.to_string(), reason };
        let var = |names: &[&str]| names.iter().find_map(|name| machine.var(name)).map(str::to_owned);
        let profile = Profile::read(place.profile.as_deref().or(machine.var("AWS_PROFILE")), machine)?;
        let region = place.region.clone().or_else(|| var(&["AWS_REGION", "AWS_DEFAULT_REGION"])).or_else(|| profile.value("region"));
        let region = region.unwrap_or_else(|| DEFAULT_REGION.to_owned());
        if !region.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_') {
            return Err(bad(format!("`{}` is no name of a region", region.escape_debug())));
        }
        let endpoint =
            place.endpoint.clone().or_else(|| var(&["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"])).or_else(|| profile.value("endpoint_url"));
        let is_own = endpoint.is_some();
        let endpoint = match endpoint {
            Some(endpoint) => with_scheme(&endpoint, None).map_err(bad)?,
            None => format!("https://s3.{region}.amazonaws.com"),
        };
        // Servers of one's own rarely have a name for every bucket; certificates do not cover names with dots.
        let path_style = place.path_style.unwrap_or(is_own || place.bucket.contains('.'));
        let style = if path_style { UrlStyle::Path } else { UrlStyle::VirtualHost };
        let endpoint = endpoint.parse().map_err(|_| bad(format!("`{endpoint}` is no address of a server")))?;
        let bucket = Bucket::new(endpoint, style, place.bucket.clone(), region)
            .map_err(|error| bad(format!("bucket and server make no address together: {error}")))?;
        // A server that only a project names gets to see no key of the user's.
        let may_sign = access.by_user || place.endpoint.is_none();
        let credentials = if may_sign { credentials(place, &profile, machine).map_err(bad)? } else { None };
        Ok(Self { bucket, credentials })
    }
}

fn credentials(place: &S3Place, profile: &Profile, machine: &Machine) -> Result<Option<Credentials>, String> {
    let found = |key: Option<String>, secret: Option<String>, token: Option<String>| {
        let (key, secret) = (key?, secret?);
        Some(match token {
            Some(token) => Credentials::new_with_token(key, secret, token),
            None => Credentials::new(key, secret),
        })
    };
    let of_profile =
        || found(profile.value("aws_access_key_id"), profile.value("aws_secret_access_key"), profile.value("aws_session_token"));
    if let Some(name) = &place.profile {
        return of_profile().map(Some).ok_or_else(|| format!("profile `{}` has no key in ~/.aws/credentials", name.escape_debug()));
    }
    let var = |name| machine.var(name).map(str::to_owned);
    let of_environment = found(var("AWS_ACCESS_KEY_ID"), var("AWS_SECRET_ACCESS_KEY"), var("AWS_SESSION_TOKEN"));
    Ok(of_environment.or_else(of_profile))
}

/// One profile's values out of both files; those of the credentials file come first.
#[derive(Default)]
struct Profile(BTreeMap<String, String>);

impl Profile {
    fn read(name: Option<&str>, machine: &Machine) -> Result<Self, CacheError> {
        let name = name.unwrap_or("default");
        let file =
            |variable, default: &str| machine.var(variable).map(PathBuf::from).or_else(|| Some(machine.home()?.join(".aws").join(default)));
        let mut profile = Self::default();
        for (path, prefixed) in [(file("AWS_SHARED_CREDENTIALS_FILE", "credentials"), false), (file("AWS_CONFIG_FILE", "config"), true)] {
            if let Some(text) = path.map(|path| machine.read(path)).transpose()?.flatten() {
                let section = if prefixed && name != "default" { format!("profile {name}") } else { name.to_owned() };
                profile.add(&text, &section);
            }
        }
        Ok(profile)
    }

    fn value(&self, key: &str) -> Option<String> {
        self.0.get(key).filter(|value| !value.is_empty()).cloned()
    }

    /// Adds the values of one section that are not there yet.
    fn add(&mut self, text: &str, section: &str) {
        let mut inside = false;
        for line in text.lines() {
            let trimmed = line.trim();
            if let Some(header) = trimmed.strip_prefix('[').and_then(|rest| rest.split(']').next()) {
                inside = header.split_whitespace().eq(section.split_whitespace());
            } else if inside
                // What is indented belongs to a service's own settings.
                && !line.starts_with([' ', '\t', '#', ';'])
                && let Some((key, value)) = trimmed.split_once('=')
            {
                self.0.entry(key.trim().to_ascii_lowercase()).or_insert_with(|| value.trim().to_owned());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::Location;

    const CREDENTIALS: &str = "[default]\naws_access_key_id = DEFAULTKEY\naws_secret_access_key = ds\n\n# c\n[team]\naws_access_key_id=TEAMKEY\n\
                               aws_secret_access_key=ts\naws_session_token=tt\n[empty]\n";
    const CONFIG: &str =
        "[default]\nregion = eu-north-1\n[profile  team]\nregion=eu-south-1\nendpoint_url = http://team.example:9\ns3 =\n  region = no\n";

    fn find(url: &str, env: &[(&str, &str)], project: bool) -> Result<S3Settings, CacheError> {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join("home/.aws")).unwrap();
        std::fs::write(root.path().join("home/.aws/credentials"), CREDENTIALS).unwrap();
        std::fs::write(root.path().join("home/.aws/config"), CONFIG).unwrap();
        let env: Vec<_> = env.iter().copied().chain([("HOME", "/home")]).collect();
        let access = Access::new(Machine::at(root.path(), &env));
        let Location::S3(place) = Location::parse(url).unwrap() else { panic!("no bucket: {url}") };
        S3Settings::find(&place, &if project { access.of_project() } else { access })
    }

    fn summary(url: &str, env: &[(&str, &str)]) -> String {
        let found = find(url, env, false).unwrap();
        let key = found
            .credentials
            .as_ref()
            .map_or("none".to_owned(), |found| format!("{}/{}/{}", found.key(), found.secret(), found.token().unwrap_or("-")));
        format!("{} {} {key}", found.bucket.base_url(), found.bucket.region())
    }

    #[test]
    fn address_environment_and_files_are_heeded_in_this_order() {
        let own = [("AWS_ACCESS_KEY_ID", "E"), ("AWS_SECRET_ACCESS_KEY", "es"), ("AWS_SESSION_TOKEN", "et")];
        assert_eq!(summary("s3://bucket", &[]), "https://bucket.s3.eu-north-1.amazonaws.com/ eu-north-1 DEFAULTKEY/ds/-");
        assert_eq!(summary("s3://bucket", &own), "https://bucket.s3.eu-north-1.amazonaws.com/ eu-north-1 E/es/et");
        assert_eq!(summary("s3://bucket?profile=team", &own), "http://team.example:9/bucket/ eu-south-1 TEAMKEY/ts/tt");
        assert_eq!(summary("s3://bucket", &[("AWS_PROFILE", "team")]), "http://team.example:9/bucket/ eu-south-1 TEAMKEY/ts/tt");
        let both =
            [("AWS_DEFAULT_REGION", "b"), ("AWS_REGION", "a"), ("AWS_ENDPOINT_URL", "http://g"), ("AWS_ENDPOINT_URL_S3", "http://s")];
        assert_eq!(summary("s3://bucket", &both), "http://s/bucket/ a DEFAULTKEY/ds/-");
        assert_eq!(
            summary("s3://bucket?region=r&endpoint=h.example&path-style=false", &both),
            "https://bucket.h.example/ r DEFAULTKEY/ds/-"
        );
        assert_eq!(summary("s3://buck.et", &[]), "https://s3.eu-north-1.amazonaws.com/buck.et/ eu-north-1 DEFAULTKEY/ds/-");
        assert_eq!(summary("s3://bucket", &[("AWS_PROFILE", "nobody")]), "https://bucket.s3.us-east-1.amazonaws.com/ us-east-1 none");
    }

    #[test]
    fn a_project_does_not_get_the_users_keys_sent_to_a_server_of_its_choice() {
        assert!(find("s3://bucket?endpoint=http://theirs.example", &[], true).unwrap().credentials.is_none());
        assert!(find("s3://bucket", &[], true).unwrap().credentials.is_some());
    }

    #[test]
    fn what_cannot_be_used_is_said_without_the_secret() {
        let error = find("s3://bucket?profile=empty", &[], false).unwrap_err().to_string();
        assert!(error.contains("profile `empty` has no key"), "{error}");
        for env in [("AWS_REGION", "../x"), ("AWS_ENDPOINT_URL", "http://me:secret@host")] {
            let error = find("s3://bucket", &[env], false).unwrap_err().to_string();
            assert!(error.contains("s3://bucket` is no address of a cache") && !error.contains("secret@"), "{error}");
        }
        assert!(!format!("{:?}", find("s3://bucket", &[], false).unwrap()).contains("\"ds\""));
    }
}
