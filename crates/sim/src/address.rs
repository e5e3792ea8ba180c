//! Machine numbers as loopback addresses: 127.1.0.1, 127.1.0.2, and on, skipping .0 and .255.

use headgate_core::fleet::MachineId;
use std::net::Ipv4Addr;

/// Usable last octets of one /24: .0 and .255 are left out, as clients take them for a network
/// and a broadcast address.
const HOSTS_PER_NET: u32 = 254;
/// The second octet of the first machine.
const FIRST_SECOND_OCTET: u32 = 1;
/// Most machines that have an address: the second octet goes from 1 to 254.
pub const ADDRESSES_MAX: u32 = 254 * 256 * HOSTS_PER_NET;

/// The address of a machine; `None` beyond [`ADDRESSES_MAX`].
#[must_use]
pub fn address_of(machine: MachineId) -> Option<Ipv4Addr> {
    if machine.0 >= ADDRESSES_MAX {
        return None;
    }
    let net = machine.0 / HOSTS_PER_NET;
    let octet = |n: u32| u8::try_from(n).expect("each part is below 256 by construction");
    Some(Ipv4Addr::new(
        127,
        octet(FIRST_SECOND_OCTET + net / 256),
        octet(net % 256),
        octet(machine.0 % HOSTS_PER_NET + 1),
    ))
}

/// The machine behind an address; `None` when the address is none of a machine.
#[must_use]
pub fn machine_at(address: Ipv4Addr) -> Option<MachineId> {
    let [first, second, third, last] = address.octets().map(u32::from);
    let in_range = (FIRST_SECOND_OCTET..=254).contains(&second);
    if first != 127 || !in_range || last == 0 || last == 255 {
        return None;
    }
    let net = (second - FIRST_SECOND_OCTET) * 256 + third;
    Some(MachineId(net * HOSTS_PER_NET + last - 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_addresses_are_one_to_one() {
        let show = |n: u32| address_of(MachineId(n)).map(|a| a.to_string());
        assert_eq!(show(0).as_deref(), Some("127.1.0.1"));
        assert_eq!(show(253).as_deref(), Some("127.1.0.254"));
        assert_eq!(show(254).as_deref(), Some("127.1.1.1"));
        assert_eq!(show(254 * 256).as_deref(), Some("127.2.0.1"));
        assert_eq!(show(ADDRESSES_MAX - 1).as_deref(), Some("127.254.255.254"));
        assert_eq!(show(ADDRESSES_MAX), None);
        for n in (0..ADDRESSES_MAX).step_by(4099).chain(0..70_000) {
            let address = address_of(MachineId(n)).unwrap();
            assert_eq!(machine_at(address), Some(MachineId(n)));
        }
        for none in ["127.0.0.1", "127.1.0.0", "127.1.0.255", "127.255.0.1", "10.1.0.1"] {
            assert_eq!(machine_at(none.parse().unwrap()), None, "{none}");
        }
    }
}
