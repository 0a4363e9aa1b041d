//! The images that the recorded driver was given, and ones built here.

use super::*;

const ANSWER: &str = include_str!("../../driver-facts/ptx/answer.ptx");
const SM_75: &[u8] = include_bytes!("../../driver-facts/blobs/answer.sm_75.cubin");
const SM_90: &[u8] = include_bytes!("../../driver-facts/blobs/answer.sm_90.cubin");
const BOTH: &[u8] = include_bytes!("../../driver-facts/blobs/answer.both.fatbin");
const BOTH_PLAIN: &[u8] = include_bytes!("../../driver-facts/blobs/answer.both.plain.fatbin");
const MACHINE_CODE: &[u8] = include_bytes!("../../driver-facts/blobs/answer.machine_code.fatbin");
const PTX_ONLY: &[u8] = include_bytes!("../../driver-facts/blobs/answer.ptx.fatbin");

#[test]
fn the_text_comes_out_of_every_container_that_has_it() {
    for image in [BOTH, BOTH_PLAIN, PTX_ONLY] {
        let text = ptx(image).unwrap();
        assert!(text.contains(".entry answer"), "{text}");
        assert!(text.contains(".target sm_75"), "{text}");
    }
    let mut with_nul = ANSWER.as_bytes().to_vec();
    with_nul.extend(b"\0rest");
    assert_eq!(ptx(&with_nul).unwrap(), ANSWER);
}

#[test]
fn machine_code_alone_is_refused_by_what_it_is_for() {
    assert_eq!(ptx(SM_75), Err(ImageError::MachineCodeOnly));
    assert_eq!(ptx(MACHINE_CODE), Err(ImageError::MachineCodeOnly));
    assert_eq!(ptx(SM_90), Err(ImageError::NothingForThisCard));
}

#[test]
fn lengths_come_from_the_beginning() {
    let beginning = |image: &[u8]| <[u8; BEGINNING]>::try_from(&image[..BEGINNING]).unwrap();
    for image in [BOTH, BOTH_PLAIN, PTX_ONLY, MACHINE_CODE] {
        assert_eq!(length(&beginning(image)), Some(image.len()));
    }
    assert_eq!(length(&beginning(SM_75)), Some(64));
    let mut huge = beginning(BOTH);
    huge[8..].fill(0xFF);
    assert_eq!(length(&huge), None);
    assert!(is_binary(CONTAINER) && is_binary(ELF) && !is_binary(*b".ver"));
}

#[test]
fn the_newest_text_that_the_card_may_run_is_taken() {
    let image = container(&[(KIND_PTX, 60, 0, b"old"), (KIND_PTX, 75, 0, b"right"), (KIND_PTX, 80, 0, b"new")]);
    assert_eq!(ptx(&image).unwrap(), "right");
    let image = container(&[(KIND_PTX, 80, 0, b"new")]);
    assert_eq!(ptx(&image), Err(ImageError::NothingForThisCard));
}

#[test]
fn lz4_entries_are_unpacked() {
    let packed = [0x44, b'a', b'b', b'c', b'd', 4, 0, 0x20, b'x', b'y'];
    let image = container(&[(KIND_PTX, 75, FLAG_LZ4, &packed)]);
    assert_eq!(ptx(&image).unwrap(), "abcdabcdabcdxy");
}

#[test]
fn a_container_cut_anywhere_is_an_error() {
    for image in [BOTH, PTX_ONLY] {
        for len in 4..image.len() {
            assert!(ptx(&image[..len]).is_err(), "{len}");
        }
    }
}

#[test]
fn other_characters_are_refused_with_their_line() {
    let text = ".version 9.0\n// \u{e4}\n";
    assert_eq!(ptx(text.as_bytes()), Err(ImageError::NotAscii { line: 2 }));
}

/// A container of entries: kind, card, flags, payload. What is packed says that it has 14 bytes.
fn container(entries: &[(u16, u32, u64, &[u8])]) -> Vec<u8> {
    let mut body = Vec::new();
    for (kind, card, flags, payload) in entries {
        let padded = payload.len().next_multiple_of(8);
        let mut header = [0u8; 64];
        header[0..2].copy_from_slice(&kind.to_le_bytes());
        header[4..8].copy_from_slice(&64u32.to_le_bytes());
        header[8..16].copy_from_slice(&(padded as u64).to_le_bytes());
        header[16..20].copy_from_slice(&(payload.len() as u32).to_le_bytes());
        header[28..32].copy_from_slice(&card.to_le_bytes());
        header[40..48].copy_from_slice(&flags.to_le_bytes());
        header[56..64].copy_from_slice(&14u64.to_le_bytes());
        body.extend(header);
        body.extend(*payload);
        body.resize(body.len() + padded - payload.len(), 0);
    }
    let mut image = CONTAINER.to_vec();
    image.extend([1, 0, 16, 0]);
    image.extend((body.len() as u64).to_le_bytes());
    image.extend(body);
    image
}
