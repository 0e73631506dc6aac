//! The tables of `conformance/` that concern input, and the pages of `docs/errors`.

mod conformance;
mod error_pages;
