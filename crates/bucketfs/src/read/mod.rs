//! Reading objects: exactly what is asked for, and ahead of those who read in order.

mod budget;
mod order;
mod piece;
mod reader;
mod window;

pub(crate) use budget::ReadBudget;
pub(crate) use order::{ORDERS, Plan, Progress};
pub(crate) use reader::Reader;
