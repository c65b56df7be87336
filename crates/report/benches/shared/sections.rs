//! Which sections of a benchmark to run: the environment variable `ONLY` names some, separated by spaces or commas;
//! without it all.

use preprocess::{Error, Result};

/// The sections that are wanted.
pub struct Sections(Vec<String>);

impl Sections {
    /// From the environment.
    ///
    /// # Errors
    /// A name that is not among `all`.
    pub fn from_environment(all: &[&str]) -> Result<Self> {
        let only = std::env::var("ONLY").unwrap_or_default();
        let named: Vec<String> = only.split([' ', ',']).filter(|name| !name.is_empty()).map(str::to_owned).collect();
        if let Some(other) = named.iter().find(|name| !all.contains(&name.as_str())) {
            return Err(Error::new(format!("`ONLY` names `{other}`, which is no section of this benchmark"))
                .hint(format!("its sections are: {}", all.join(", "))));
        }
        Ok(Self(if named.is_empty() { all.iter().map(|name| (*name).to_owned()).collect() } else { named }))
    }

    /// Whether to run this one.
    pub fn want(&self, name: &str) -> bool {
        self.0.iter().any(|wanted| wanted == name)
    }
}
