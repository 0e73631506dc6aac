//! The service: settings, state, supervision, HTTP handlers, recovery. The composition root: the only crate that knows
//! all the others, and the home of every process role but the sandbox's pid 1.

mod error;
pub mod features;
mod grants;
mod http;
pub mod roles;
mod run;
mod services;
pub mod settings;
pub mod standalone;
mod state;
mod supervision;
pub mod volumes;

pub use error::{SettingsError, StartError};
pub use run::{Started, run, termination};
pub use settings::{PartialSettings, Settings, Surroundings};
