//! Where shared, local and parameter memory appear among generic addresses. Device memory lies below.

use crate::arith::{Pure, Test, judge, lanes};
use crate::ptx::Space;

/// The size of each window.
pub(crate) const SIZE: u64 = 1 << 32;
pub(crate) const SHARED: u64 = 0x7f00_0000_0000_0000;
pub(crate) const LOCAL: u64 = SHARED + SIZE;
pub(crate) const PARAM: u64 = LOCAL + SIZE;

/// The space of a generic address, and the address in that space.
pub(crate) fn resolve(address: u64) -> (Space, u64) {
    match address {
        SHARED..LOCAL => (Space::Shared, address - SHARED),
        LOCAL..PARAM => (Space::Local, address - LOCAL),
        PARAM.. if address < PARAM + SIZE => (Space::Param, address - PARAM),
        _ => (Space::Global, address),
    }
}

/// `cvta`: an address of a space as a generic one.
pub(crate) fn to_generic(space: Space) -> Pure {
    match space {
        Space::Shared => lanes!(|a| a.wrapping_add(SHARED)),
        Space::Local => lanes!(|a| a.wrapping_add(LOCAL)),
        Space::Param => lanes!(|a| a.wrapping_add(PARAM)),
        Space::Global | Space::Const => crate::arith::pick::copy(),
    }
}

/// `cvta.to`: a generic address as one of a space.
pub(crate) fn from_generic(space: Space) -> Pure {
    match space {
        Space::Shared => lanes!(|a| a.wrapping_sub(SHARED)),
        Space::Local => lanes!(|a| a.wrapping_sub(LOCAL)),
        Space::Param => lanes!(|a| a.wrapping_sub(PARAM)),
        Space::Global | Space::Const => crate::arith::pick::copy(),
    }
}

/// `isspacep`.
pub(crate) fn is_in(space: Space) -> Test {
    match space {
        Space::Shared => judge!(|a, _b| resolve(a).0 == Space::Shared),
        Space::Local => judge!(|a, _b| resolve(a).0 == Space::Local),
        Space::Param => judge!(|a, _b| resolve(a).0 == Space::Param),
        Space::Global => judge!(|a, _b| resolve(a).0 == Space::Global),
        Space::Const => crate::arith::half::never(),
    }
}
