//! Machine numbers as loopback addresses: 127.1.0.1, 127.1.0.2, and on, every address in turn.
//!
//! No address is left out: on the loopback device .0 and .255 are hosts like any other, and a
//! range such as `127.1.0.1-127.1.7.208` has exactly as many machines as it reads.

use headgate_core::fleet::MachineId;
use std::net::Ipv4Addr;

/// The address before the first machine's.
const BASE: u32 = u32::from_be_bytes([127, 1, 0, 0]);
/// The first address that no machine has: 127.255.0.0 and up stay free.
const END: u32 = u32::from_be_bytes([127, 255, 0, 0]);
/// Most machines that have an address.
pub const ADDRESSES_MAX: u32 = END - BASE - 1;

/// The address of a machine; `None` beyond [`ADDRESSES_MAX`].
#[must_use]
pub fn address_of(machine: MachineId) -> Option<Ipv4Addr> {
    (machine.0 < ADDRESSES_MAX).then(|| Ipv4Addr::from(BASE + 1 + machine.0))
}

/// The machine behind an address; `None` when the address is none of a machine.
#[must_use]
pub fn machine_at(address: Ipv4Addr) -> Option<MachineId> {
    let address = u32::from(address);
    (BASE < address && address < END).then(|| MachineId(address - BASE - 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_addresses_are_one_to_one() {
        let show = |n: u32| address_of(MachineId(n)).map(|a| a.to_string());
        assert_eq!(show(0).as_deref(), Some("127.1.0.1"));
        assert_eq!(show(254).as_deref(), Some("127.1.0.255"));
        assert_eq!(show(255).as_deref(), Some("127.1.1.0"));
        assert_eq!(show(1999).as_deref(), Some("127.1.7.208"));
        assert_eq!(show(ADDRESSES_MAX - 1).as_deref(), Some("127.254.255.255"));
        assert_eq!(show(ADDRESSES_MAX), None);
        for n in (0..ADDRESSES_MAX).step_by(4099).chain(0..70_000) {
            let address = address_of(MachineId(n)).unwrap();
            assert_eq!(machine_at(address), Some(MachineId(n)));
        }
        for none in ["127.0.0.1", "127.1.0.0", "127.255.0.0", "10.1.0.1"] {
            assert_eq!(machine_at(none.parse().unwrap()), None, "{none}");
        }
    }
}
