//! What crosses the border of the C interface: pointers that a caller hands in, as types that are checked once.
//!
//! A value of these types is an argument of an `extern "C"` function, or an address that stood in one, and its caller owes
//! what `cuda.h` says of that argument. Nothing else makes one. What can be checked is checked here: null, and alignment
//! by unaligned access.

use std::ffi::{CStr, c_char};

/// A place for one value, or null.
#[repr(transparent)]
pub(crate) struct Out<T: Copy>(*mut T);

impl<T: Copy> Out<T> {
    pub(crate) fn is_null(&self) -> bool {
        self.0.is_null()
    }

    /// The address itself.
    pub(crate) fn address(&self) -> u64 {
        self.0 as u64
    }

    /// Writes the value, unless the place is null.
    pub(crate) fn put(&self, value: T) {
        if !self.0.is_null() {
            // SAFETY: the caller of the C function owes a place for a `T` that it may write, or null, which was checked.
            // No reference is made, and the address need not be aligned.
            unsafe { self.0.write_unaligned(value) };
        }
    }

    /// A place at an address that the caller gave as a number.
    pub(crate) fn at_address(address: u64) -> Self {
        Self(address as *mut T)
    }

    /// What the place at `index` holds, of an array that the function's other arguments say is longer than that.
    pub(crate) fn get_at(&self, index: usize) -> Option<T> {
        // SAFETY: as for `put`; the caller of the C function owes as many places as its other arguments say.
        (!self.0.is_null()).then(|| unsafe { self.0.add(index).read_unaligned() })
    }

    /// Writes the place at `index` of such an array, unless it is null.
    pub(crate) fn put_at(&self, index: usize, value: T) {
        if !self.0.is_null() {
            // SAFETY: as for `get_at`.
            unsafe { self.0.add(index).write_unaligned(value) };
        }
    }

    /// Writes the first of `values` that have room for `room` values.
    pub(crate) fn put_all(&self, values: &[T], room: usize) {
        if self.0.is_null() {
            return;
        }
        for (index, value) in values.iter().take(room).enumerate() {
            // SAFETY: the caller of the C function owes places for `room` values, and `index` is below that.
            unsafe { self.0.add(index).write_unaligned(*value) };
        }
    }
}

/// One value or an array of them, to be read, or null.
#[repr(transparent)]
#[derive(Clone, Copy)]
pub(crate) struct In<T: Copy>(*const T);

impl<T: Copy> In<T> {
    /// Nothing to be read.
    pub(crate) fn null() -> Self {
        Self(std::ptr::null())
    }

    /// A value at an address that the caller gave as a number.
    pub(crate) fn at_address(address: u64) -> Self {
        Self(address as *const T)
    }

    pub(crate) fn is_null(self) -> bool {
        self.0.is_null()
    }

    /// The value, unless the pointer is null.
    pub(crate) fn get(self) -> Option<T> {
        self.at(0)
    }

    /// The value at `index` of an array that the function's other arguments say is longer than that.
    pub(crate) fn at(self, index: usize) -> Option<T> {
        // SAFETY: the caller of the C function owes as many values as its other arguments say, or null, which is checked;
        // callers here ask for no index beyond. No reference is made, and the address need not be aligned.
        (!self.0.is_null()).then(|| unsafe { self.0.add(index).read_unaligned() })
    }

    /// The address itself.
    pub(crate) fn address(self) -> u64 {
        self.0 as u64
    }

    /// The bytes that the pointer stands for, of a type that another argument tells.
    pub(crate) fn bytes<const N: usize>(self) -> Option<[u8; N]> {
        // SAFETY: the caller of the C function owes a value of the type that its other arguments name, whose size the
        // caller here takes for `N`, or null, which is checked.
        (!self.0.is_null()).then(|| unsafe { self.0.cast::<[u8; N]>().read_unaligned() })
    }
}

/// A text that ends with NUL, or null.
#[repr(transparent)]
#[derive(Clone, Copy)]
pub(crate) struct Text(*const c_char);

impl Text {
    /// A copy of the text, unless the pointer is null.
    pub(crate) fn read(self) -> Option<String> {
        if self.0.is_null() {
            return None;
        }
        // SAFETY: the caller of the C function owes a text that ends with NUL and stays as it is through the call, or
        // null, which was checked. The bytes are copied before the call ends.
        Some(unsafe { CStr::from_ptr(self.0) }.to_string_lossy().into_owned())
    }
}

/// Memory of this process that a call reads or writes: address and length.
#[derive(Debug)]
pub(crate) struct HostBytes {
    address: u64,
    len: usize,
}

impl HostBytes {
    /// Names a span of this process's memory.
    ///
    /// # Safety
    ///
    /// The caller of the C function owes that the `len` bytes at `address` are memory of this process that nothing else
    /// writes until the function returns, and that the function alone touches them if it writes. No span has more than
    /// `isize::MAX` bytes.
    pub(crate) unsafe fn new(address: u64, len: usize) -> Self {
        Self { address, len }
    }

    /// The bytes.
    pub(crate) fn read(&self) -> &[u8] {
        if self.len == 0 {
            return &[];
        }
        // SAFETY: `new` is owed the span and that nothing writes it; the reference does not outlive the call, because
        // values of this type are made in a call and dropped at its end.
        unsafe { std::slice::from_raw_parts(self.address as *const u8, self.len) }
    }

    /// The bytes, to be replaced.
    pub(crate) fn write(&mut self) -> &mut [u8] {
        if self.len == 0 {
            return &mut [];
        }
        // SAFETY: `new` is owed the span, and that the function that writes it is alone with it; `&mut self` keeps two
        // references of one value apart.
        unsafe { std::slice::from_raw_parts_mut(self.address as *mut u8, self.len) }
    }
}
