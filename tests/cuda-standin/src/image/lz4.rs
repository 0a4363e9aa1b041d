//! LZ4's block format, as fat binaries of older compilers use it: copies of literals and of what came before.

/// Unpacks a block that holds exactly `len` bytes.
pub(super) fn unpack(packed: &[u8], len: usize) -> Result<Vec<u8>, String> {
    let mut out = Vec::with_capacity(len);
    let mut input = packed.iter().copied();
    while let Some(token) = input.next() {
        let literals = count(usize::from(token >> 4), &mut input)?;
        room(&out, literals, len)?;
        for _ in 0..literals {
            out.push(input.next().ok_or("literals are cut short")?);
        }
        // The last sequence has literals only.
        let Some(low) = input.next() else { break };
        let high = input.next().ok_or("a distance is cut short")?;
        let distance = usize::from(u16::from_le_bytes([low, high]));
        let length = count(usize::from(token & 15), &mut input)? + 4;
        room(&out, length, len)?;
        if distance == 0 || distance > out.len() {
            return Err(format!("a distance of {distance} where {} bytes came before", out.len()));
        }
        for _ in 0..length {
            out.push(out[out.len() - distance]);
        }
    }
    if out.len() == len { Ok(out) } else { Err(format!("{} bytes instead of {len}", out.len())) }
}

/// A count of four bits, which 15 continues in bytes until one is not 255.
fn count(first: usize, input: &mut impl Iterator<Item = u8>) -> Result<usize, String> {
    let mut sum = first;
    if first == 15 {
        loop {
            let byte = input.next().ok_or("a count is cut short")?;
            sum += usize::from(byte);
            if byte != 255 {
                break;
            }
        }
    }
    Ok(sum)
}

fn room(out: &[u8], more: usize, len: usize) -> Result<(), String> {
    if out.len() + more > len { Err(format!("more than the {len} bytes that the header says")) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_and_copies() {
        // Four literals, then eight bytes from four before, then two literals.
        let packed = [0x44, b'a', b'b', b'c', b'd', 4, 0, 0x20, b'x', b'y'];
        assert_eq!(unpack(&packed, 14).unwrap(), b"abcdabcdabcdxy");
    }

    #[test]
    fn long_counts_and_overlap() {
        // One literal, then 4 + 15 + 255 + 3 copies of it.
        let packed = [0x1F, b'z', 1, 0, 255, 3, 0x00];
        assert_eq!(unpack(&packed, 278).unwrap(), vec![b'z'; 278]);
    }

    #[test]
    fn what_is_broken_is_refused() {
        for (packed, len) in [
            (&[0x44, b'a'][..], 8),
            (&[0x10, b'a', 2, 0][..], 5),
            (&[0x10, b'a', 0, 0][..], 5),
            (&[0x1F, b'a', 1, 0, 255, 255, 0][..], 20),
            (&[0x10, b'a'][..], 2),
            (&[0x10, b'a', 1][..], 5),
        ] {
            assert!(unpack(packed, len).is_err(), "{packed:?}");
        }
    }
}
