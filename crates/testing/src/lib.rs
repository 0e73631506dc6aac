//! What the tests of several crates share; never part of the product.

pub mod gateway;
