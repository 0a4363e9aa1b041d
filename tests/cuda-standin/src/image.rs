//! What `cuModuleLoadData` is given: PTX text, a fat binary that holds some, or machine code. Gives the text that a
//! driver would compile for a T4. Knows nothing of what PTX means.

mod lz4;

use std::borrow::Cow;
use std::fmt;

/// The card that images are picked for: sm_75.
const CARD: u32 = 75;

/// First word of a fat binary's container.
const CONTAINER: [u8; 4] = 0xBA55_ED50_u32.to_le_bytes();
const CONTAINER_HEADER: usize = 16;
const ELF: [u8; 4] = *b"\x7fELF";
/// Bytes of an ELF header that are looked at.
const ELF_HEADER: usize = 64;

/// No image is larger.
const IMAGE_MAX: usize = 1 << 30;
/// No entry of an image is larger.
const ENTRY_MAX: usize = 256 << 20;
/// No image has more entries.
const ENTRIES_MAX: usize = 1000;
/// An entry's header is at least so long.
const ENTRY_HEADER: usize = 64;

const KIND_PTX: u16 = 1;
const KIND_MACHINE_CODE: u16 = 2;
const FLAG_LZ4: u64 = 0x2000;
const FLAG_ZSTD: u64 = 0x8000;

/// Why an image gives no text, by what a driver answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImageError {
    /// 200: no image at all, or a broken one.
    Invalid(String),
    /// 209: nothing in it is for this card.
    NothingForThisCard,
    /// Machine code for this card and no PTX: a T4 would run it, the stand-in cannot.
    MachineCodeOnly,
    /// 218: text that is not ASCII.
    NotAscii {
        /// The line of the first such character, counted from 1.
        line: usize,
    },
}

impl fmt::Display for ImageError {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid(why) => write!(to, "no image: {why}"),
            Self::NothingForThisCard => write!(to, "the image holds nothing that an sm_{CARD} card can run"),
            Self::MachineCodeOnly => {
                write!(
                    to,
                    "the image holds machine code for sm_{CARD} and no PTX; compile with code=[sm_{CARD},compute_{CARD}]"
                )
            }
            Self::NotAscii { line } => write!(to, "a character in line {line} of the PTX is not ASCII"),
        }
    }
}

/// Whether an image that begins with these bytes is no text.
#[must_use]
pub fn is_binary(magic: [u8; 4]) -> bool {
    magic == CONTAINER || magic == ELF
}

/// How many bytes a binary image that begins like this has. Of machine code only its header counts, because nothing else
/// is looked at. `None` if no image has so many.
#[must_use]
pub fn length(beginning: &[u8; BEGINNING]) -> Option<usize> {
    if beginning.starts_with(&ELF) {
        return Some(ELF_HEADER);
    }
    let header = u64::from(u16_at(beginning, 6)?);
    let len = usize::try_from(header.checked_add(u64_at(beginning, 8)?)?).ok()?;
    (len <= IMAGE_MAX).then_some(len)
}

/// So many bytes decide how long an image is.
pub const BEGINNING: usize = CONTAINER_HEADER;

/// The PTX that a driver would take from `image` for an sm_75 card.
pub fn ptx(image: &[u8]) -> Result<Cow<'_, str>, ImageError> {
    if image.starts_with(&CONTAINER) {
        return from_container(image);
    }
    if image.starts_with(&ELF) {
        return Err(machine_code(image));
    }
    text(image).map(Cow::Borrowed)
}

fn from_container(image: &[u8]) -> Result<Cow<'_, str>, ImageError> {
    let entries = entries(image)?;
    let newest =
        entries.iter().filter(|entry| entry.kind == KIND_PTX && entry.card <= CARD).max_by_key(|entry| entry.card);
    if let Some(entry) = newest {
        let bytes = entry.unpacked()?.into_owned();
        return text(&bytes).map(|text| Cow::Owned(text.to_owned()));
    }
    // Machine code runs on cards of its own generation that are not older than it.
    let runs = |card: u32| card / 10 == CARD / 10 && card <= CARD;
    match entries.iter().any(|entry| entry.kind == KIND_MACHINE_CODE && runs(entry.card)) {
        true => Err(ImageError::MachineCodeOnly),
        false => Err(ImageError::NothingForThisCard),
    }
}

/// One entry of a container.
struct Entry<'a> {
    kind: u16,
    card: u32,
    flags: u64,
    payload: &'a [u8],
    unpacked: usize,
}

impl Entry<'_> {
    fn unpacked(&self) -> Result<Cow<'_, [u8]>, ImageError> {
        if self.flags & (FLAG_LZ4 | FLAG_ZSTD) == 0 {
            return Ok(Cow::Borrowed(self.payload));
        }
        if self.unpacked > ENTRY_MAX {
            return Err(invalid(format!("an entry of {} bytes; at most {ENTRY_MAX} are read", self.unpacked)));
        }
        let bytes = if self.flags & FLAG_ZSTD != 0 {
            zstd::bulk::decompress(self.payload, self.unpacked).map_err(|why| invalid(format!("zstd: {why}")))?
        } else {
            lz4::unpack(self.payload, self.unpacked).map_err(|why| invalid(format!("LZ4: {why}")))?
        };
        Ok(Cow::Owned(bytes))
    }
}

fn entries(image: &[u8]) -> Result<Vec<Entry<'_>>, ImageError> {
    let cut = || invalid("the container ends too early".into());
    let header = usize::from(u16_at(image, 6).ok_or_else(cut)?);
    let mut rest = image.get(header..).ok_or_else(cut)?;
    let mut found = Vec::new();
    while !rest.is_empty() {
        if found.len() == ENTRIES_MAX {
            return Err(invalid(format!("more than {ENTRIES_MAX} entries")));
        }
        let (entry, after) = entry(rest).ok_or_else(cut)?;
        found.push(entry);
        rest = after;
    }
    Ok(found)
}

/// The first entry, and what follows it. Offsets are those of the container that nvcc 13.0 writes.
fn entry(bytes: &[u8]) -> Option<(Entry<'_>, &[u8])> {
    let header = usize::try_from(u32_at(bytes, 4)?).ok()?;
    if header < ENTRY_HEADER {
        return None;
    }
    let padded = usize::try_from(u64_at(bytes, 8)?).ok()?;
    let packed = usize::try_from(u32_at(bytes, 16)?).ok()?;
    let flags = u64_at(bytes, 40)?;
    let body = bytes.get(header..header.checked_add(padded)?)?;
    let payload = if flags & (FLAG_LZ4 | FLAG_ZSTD) == 0 { body } else { body.get(..packed)? };
    let entry = Entry {
        kind: u16_at(bytes, 0)?,
        card: u32_at(bytes, 28)?,
        flags,
        payload,
        unpacked: usize::try_from(u64_at(bytes, 56)?).ok()?,
    };
    Some((entry, &bytes[header + padded..]))
}

/// What a cubin by itself is answered with.
fn machine_code(image: &[u8]) -> ImageError {
    let (Some(version), Some(flags)) = (image.get(8), u32_at(image, 48)) else {
        return invalid("an ELF header that is cut short".into());
    };
    // From ABI version 8 on, the card's number is in the second byte.
    let card = if *version >= 8 { flags >> 8 & 0xFF } else { flags & 0xFF };
    if card / 10 == CARD / 10 && card <= CARD { ImageError::MachineCodeOnly } else { ImageError::NothingForThisCard }
}

/// The text up to its NUL, all of it ASCII, as the driver's assembler wants it.
fn text(bytes: &[u8]) -> Result<&str, ImageError> {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    let bytes = &bytes[..end];
    if let Some(at) = bytes.iter().position(|byte| !byte.is_ascii()) {
        let line = 1 + bytes[..at].iter().filter(|byte| **byte == b'\n').count();
        return Err(ImageError::NotAscii { line });
    }
    std::str::from_utf8(bytes).map_err(|why| invalid(why.to_string()))
}

fn invalid(why: String) -> ImageError {
    ImageError::Invalid(why)
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

#[cfg(test)]
mod tests;
