//! Pid 1 of the sandboxes that this crate's tests start.

fn main() {
    sandkeep_sandboxes::Runtime::init_main()
}
