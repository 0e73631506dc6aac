//! How many connections each client has, so that one of them cannot take all.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Connections of one address at once; of IPv6, of one network of 64 bits. This host's own programs, among which a
/// proxy may be, are not counted.
const CONNECTIONS_PER_ADDRESS: usize = 1024;

/// The clients that are connected.
#[derive(Clone, Debug, Default)]
pub(crate) struct Guests(Arc<Mutex<HashMap<IpAddr, usize>>>);

/// A place among the connections, for as long as it lives.
#[derive(Debug)]
pub(crate) struct Place {
    guests: Guests,
    /// None: not counted.
    address: Option<IpAddr>,
}

impl Guests {
    /// None if the client has as many connections as one may have.
    pub(crate) fn admit(&self, address: IpAddr) -> Option<Place> {
        let address = address.to_canonical();
        if address.is_loopback() {
            return Some(Place { guests: self.clone(), address: None });
        }
        let address = network(address);
        let mut counts = self.counts();
        let count = counts.entry(address).or_default();
        if *count == CONNECTIONS_PER_ADDRESS {
            return None;
        }
        *count += 1;
        Some(Place { guests: self.clone(), address: Some(address) })
    }

    fn counts(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some(address) = self.address else { return };
        let mut counts = self.guests.counts();
        if let Some(count) = counts.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&address);
            }
        }
    }
}

/// Whoever has an address of IPv6 has all those of its network.
fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn one_client_leaves_room_for_others() {
        let guests = Guests::default();
        let mut many: Vec<Place> =
            (0..CONNECTIONS_PER_ADDRESS).map_while(|_| guests.admit(address("192.0.2.1"))).collect();
        assert_eq!(many.len(), CONNECTIONS_PER_ADDRESS);
        assert!(guests.admit(address("192.0.2.1")).is_none());
        assert!(guests.admit(address("::ffff:192.0.2.1")).is_none());
        assert!(guests.admit(address("192.0.2.2")).is_some());
        many.pop();
        assert!(guests.admit(address("192.0.2.1")).is_some());
        drop(many);
        assert!(guests.counts().is_empty());
    }

    #[test]
    fn networks_of_ipv6_are_counted_and_this_host_is_not() {
        let guests = Guests::default();
        let one = guests.admit(address("2001:db8::1"));
        let other = guests.admit(address("2001:db8::2"));
        let elsewhere = guests.admit(address("2001:db8:0:1::1"));
        let local = [guests.admit(address("127.0.0.1")), guests.admit(address("::1"))];
        assert_eq!(guests.counts().get(&address("2001:db8::")), Some(&2));
        assert_eq!(guests.counts().len(), 2);
        drop((one, other, elsewhere, local));
        assert!(guests.counts().is_empty());
    }
}
