//! What the tests of several crates share; never part of the product.

pub mod acknowledged;
pub mod gateway;
pub mod power;
