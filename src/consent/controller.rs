//! Who is responsible for what is consented to, as a receipt tells it: public statements of the relying party, from
//! configuration. A consent keeps the ones that held when it was asked for.

use crate::terms::Malformed;
use serde::{Deserialize, Serialize};

/// The longest text.
const LONGEST: usize = 512;
/// The most entries of a list.
const MOST: usize = 16;

/// The responsible party and what it says about its processing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Controller {
    /// Its name.
    pub name: String,
    /// Its postal address.
    pub address: String,
    /// How it is reached.
    pub contact: String,
    /// Where the whole notice is.
    pub notice_url: String,
    /// Where the data lie.
    pub storage_locations: Vec<String>,
    /// For how long.
    pub retention_period: String,
    /// Who gets them, by name or by kind.
    pub recipients: Vec<String>,
    /// How consent is taken back.
    pub withdrawal_method: String,
    /// The kinds of data.
    pub pii_categories: Vec<String>,
}

impl Controller {
    /// Refuses one that is not complete or too long for a receipt. Only recipients may be empty: then there are none.
    pub fn check(&self) -> Result<(), Malformed> {
        let fits = |text: &String| (1..=LONGEST).contains(&text.trim().len());
        let texts = [
            &self.name,
            &self.address,
            &self.contact,
            &self.notice_url,
            &self.retention_period,
            &self.withdrawal_method,
        ];
        let filled = [&self.storage_locations, &self.pii_categories];
        let good = texts.into_iter().all(fits)
            && filled.iter().all(|list| !list.is_empty())
            && filled.into_iter().chain([&self.recipients]).all(|list| list.len() <= MOST && list.iter().all(fits));
        if good { Ok(()) } else { Err(Malformed("Controller")) }
    }
}
