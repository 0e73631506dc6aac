//! Buckets in sandboxes: what is asked for ([`plan`]), where it is ([`target`]), and doing it ([`attach`]).

mod attach;
pub(super) mod credentials;
mod hints;
mod plan;
mod target;

pub(super) use credentials::detect;
pub(super) use plan::Plan;
pub(super) use target::Target;
