//! Where the Hugging Face hub is, and where its cache, as its own programs are told.

use preprocess::{Error, Result};
use std::path::PathBuf;
use std::time::Duration;

/// The hub unless the environment names a mirror.
const HUB: &str = "https://huggingface.co";

/// How long the hub may be silent.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a request depends on.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct HubSettings {
    /// Without a slash at the end.
    pub endpoint: String,
    /// The directory of the models.
    pub cache: PathBuf,
    /// Who asks; a token file in the cache's directory is used where there is none.
    pub token: Option<String>,
    /// Whether no request may be made.
    pub offline: bool,
    /// How long the hub may be silent.
    pub patience: Duration,
}

impl HubSettings {
    /// From `HF_ENDPOINT`, `HF_HUB_CACHE`, `HF_HOME`, `XDG_CACHE_HOME`, `HOME`, `HF_TOKEN` and `HF_HUB_OFFLINE`.
    ///
    /// # Errors
    /// `HF_ENDPOINT` is no address; there is no directory for the cache.
    pub(super) fn from_environment() -> Result<Self> {
        Self::from_variables(|name| std::env::var(name).ok())
    }

    fn from_variables(variable: impl Fn(&str) -> Option<String>) -> Result<Self> {
        let set = |name: &str| variable(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty());
        let endpoint = set("HF_ENDPOINT").unwrap_or_else(|| HUB.to_owned());
        let host = endpoint.strip_prefix("https://").or_else(|| endpoint.strip_prefix("http://"));
        if host.is_none_or(|host| host.is_empty() || host.contains(|c: char| c.is_whitespace() || c.is_control())) {
            return Err(Error::new(format!("`HF_ENDPOINT` is `{endpoint}`, which is no address"))
                .hint(format!("it must begin with `https://` or `http://`; without it, {HUB} is asked")));
        }
        let home = set("HF_HOME").map(PathBuf::from).or_else(|| {
            let cache = set("XDG_CACHE_HOME").map(PathBuf::from);
            Some(cache.or_else(|| Some(PathBuf::from(set("HOME")?).join(".cache")))?.join("huggingface"))
        });
        let cache = set("HF_HUB_CACHE").map(PathBuf::from).or_else(|| Some(home?.join("hub")));
        let cache = cache.and_then(|cache| std::path::absolute(cache).ok()).ok_or_else(|| {
            Error::new("there is no directory for the hub's cache").hint("set `HF_HOME` to a directory")
        })?;
        let offline = set("HF_HUB_OFFLINE")
            .is_some_and(|value| ["1", "true", "yes", "on"].contains(&value.to_ascii_lowercase().as_str()));
        let endpoint = endpoint.trim_end_matches('/').to_owned();
        Ok(Self { endpoint, cache, token: set("HF_TOKEN"), offline, patience: PATIENCE })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(variables: &[(&str, &str)]) -> Result<HubSettings> {
        let find = |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        HubSettings::from_variables(find)
    }

    #[test]
    fn variables_mean_what_they_mean_to_the_hubs_own_programs() {
        let cache = |variables: &[(&str, &str)]| of(variables).unwrap().cache.display().to_string();
        for (variables, expected) in [
            (&[("HOME", "/h")][..], "/h/.cache/huggingface/hub"),
            (&[("HOME", "/h"), ("XDG_CACHE_HOME", "/x")], "/x/huggingface/hub"),
            (&[("HOME", "/h"), ("HF_HOME", "/hf")], "/hf/hub"),
            (&[("HOME", "/h"), ("HF_HOME", "/hf"), ("HF_HUB_CACHE", "/c")], "/c"),
        ] {
            assert_eq!(cache(variables), expected, "{variables:?}");
        }
        assert!(of(&[]).is_err());
        let home = ("HOME", "/h");
        let settings = of(&[home, ("HF_ENDPOINT", "http://mirror:80/"), ("HF_TOKEN", " t\n")]).unwrap();
        assert_eq!((settings.endpoint.as_str(), settings.token.as_deref()), ("http://mirror:80", Some("t")));
        for (value, offline) in [("1", true), ("TRUE", true), ("0", false), ("", false)] {
            assert_eq!(of(&[home, ("HF_HUB_OFFLINE", value)]).unwrap().offline, offline, "{value}");
        }
        for endpoint in ["huggingface.co", "https://", "ftp://x", "https://a b"] {
            assert!(of(&[home, ("HF_ENDPOINT", endpoint)]).is_err(), "{endpoint}");
        }
    }
}
