//! A BPF interpreter, to ask the filter's program questions in tests.

use super::assemble::{ALLOW, FAIL, IF_ANY_BIT, IF_AT_LEAST, IF_EQUAL, IF_GREATER, Instruction, JUMP, KILL, LOAD, RETURN};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Allow,
    Fail(i32),
    Kill,
}

pub(super) fn run(program: &[Instruction], architecture: u32, call: u32, arguments: &[u64]) -> Answer {
    let mut data = Vec::new();
    data.extend_from_slice(&call.to_le_bytes());
    data.extend_from_slice(&architecture.to_le_bytes());
    data.extend_from_slice(&0u64.to_le_bytes());
    for index in 0..6 {
        data.extend_from_slice(&arguments.get(index).copied().unwrap_or(0).to_le_bytes());
    }
    let (mut at, mut accumulator) = (0, 0u32);
    loop {
        let Instruction { code, if_true, if_false, operand } = program[at];
        at += 1;
        let choose = |condition: bool| usize::from(if condition { if_true } else { if_false });
        match code {
            LOAD => accumulator = u32::from_le_bytes(data[operand as usize..][..4].try_into().unwrap()),
            JUMP => at += operand as usize,
            IF_EQUAL => at += choose(accumulator == operand),
            IF_AT_LEAST => at += choose(accumulator >= operand),
            IF_GREATER => at += choose(accumulator > operand),
            IF_ANY_BIT => at += choose(accumulator & operand != 0),
            RETURN if operand == ALLOW => return Answer::Allow,
            RETURN if operand == KILL => return Answer::Kill,
            RETURN => return Answer::Fail((operand & !FAIL) as i32),
            other => panic!("no such instruction: {other:#x}"),
        }
    }
}
