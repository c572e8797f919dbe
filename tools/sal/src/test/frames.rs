//! No function of the kernel has a stack frame as large as a page: the guard page below each stack catches whoever runs over it only then, and
//! LLVM has been seen to leave out the prologue of a function with such a frame and an early return.

use super::Lab;
use super::cases::text;
use crate::elf;
use anyhow::{Context, Result};
use iced_x86::{Decoder, DecoderOptions, Instruction, Mnemonic, OpKind, Register};
use std::fs;

/// The size of a page, and of a frame that is too large.
const PAGE: u64 = 4096;

/// Reads the built kernel.
pub(super) fn check(lab: &Lab) -> Result<Option<String>, String> {
    let (functions, largest, faults) = read(lab).map_err(text)?;
    if !faults.is_empty() {
        return Err(faults.join("\n"));
    }
    if functions < 100 || largest == 0 {
        return Err(format!("only {functions} functions, the largest frame {largest} bytes: that is not the kernel"));
    }
    Ok(Some(format!("{functions} functions, the largest frame has {largest} bytes")))
}

/// Functions, bytes of the largest frame, and the functions whose frame is too large.
fn read(lab: &Lab) -> Result<(usize, u64, Vec<String>)> {
    let (kernel, _) = lab.build_kernel()?;
    let file = fs::read(&kernel).with_context(|| kernel.display().to_string())?;
    let functions = elf::functions(&file).with_context(|| kernel.display().to_string())?;
    let (mut largest, mut faults) = (0, Vec::new());
    for (address, name, code) in &functions {
        let frame = frame(*address, code);
        largest = largest.max(frame);
        if frame >= PAGE {
            faults.push(format!("{name}: a stack frame of {frame} bytes or more"));
        }
    }
    Ok((functions.len(), largest, faults))
}

/// The most that one instruction of a function takes off the stack pointer; a page, if it is not known before.
fn frame(address: u64, code: &[u8]) -> u64 {
    let instructions = Decoder::with_ip(64, code, address, DecoderOptions::NONE);
    instructions.into_iter().map(|instruction| taken(&instruction)).max().unwrap_or(0)
}

fn taken(instruction: &Instruction) -> u64 {
    match instruction.mnemonic() {
        Mnemonic::Sub if instruction.op0_register() == Register::RSP => match instruction.op1_kind() {
            OpKind::Immediate8to64 | OpKind::Immediate32to64 => (instruction.immediate(1) as i64).max(0) as u64,
            _ => PAGE,
        },
        // The stack probe of a frame of many pages compares with its end.
        Mnemonic::Lea if instruction.memory_base() == Register::RSP => {
            let displacement = instruction.memory_displacement64() as i64;
            if displacement < 0 { displacement.unsigned_abs() } else { 0 }
        }
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_read_from_the_code() {
        assert_eq!(frame(0, b"\x55\x48\x89\xe5\xc3"), 0, "push rbp; mov rbp, rsp; ret");
        assert_eq!(frame(0, b"\x48\x83\xec\x28\xc3"), 0x28, "sub rsp, 0x28");
        assert_eq!(frame(0, b"\x85\xff\x74\x07\x48\x81\xec\x00\x10\x00\x00\xc3"), 0x1000, "behind an early return");
        assert_eq!(frame(0, b"\x48\x81\xec\xf8\x0f\x00\x00"), 0xff8, "sub rsp, 0xff8");
        assert_eq!(frame(0, b"\x48\x83\xec\x80"), 0, "sub rsp, -128: given back");
        assert_eq!(frame(0, b"\x4c\x8d\x9c\x24\x00\x00\xff\xff"), 0x10000, "lea r11, [rsp - 0x10000]");
        assert_eq!(frame(0, b"\x48\x29\xc4"), PAGE, "sub rsp, rax");
        assert_eq!(frame(0, b"\xb8\x48\x81\xec\x00"), 0, "mov eax, 0xec8148: not an instruction's bytes");
    }
}
