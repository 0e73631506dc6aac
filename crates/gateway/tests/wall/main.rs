//! The walls of the endpoint: our own client, the clients people have, and those who mean harm.

mod attacks;
mod bodies;
mod clients;
mod cors;
mod durability;
mod fixture;
mod keys;
mod more_clients;
mod origin;
mod proxy;
mod raw;
mod requests;
mod rules;
mod signatures;
mod sockets;
mod tls;
