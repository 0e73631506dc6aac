//! The service: settings, state, supervision, HTTP handlers, recovery. The composition root: the only crate that knows
//! all the others, and the home of every process role but the sandbox's pid 1.

pub mod roles;
pub mod standalone;
pub mod volumes;
