//! From rules to BPF.
//!
//! Every call's number has a verdict; neighbours with the same one form a range, and the program finds the range by bisection: eight comparisons
//! instead of a hundred. That counts: when a filter is installed, the kernel runs it once for each number there is, to remember those that are
//! allowed whatever their arguments (since 5.11); such calls cost nothing afterwards.

use super::rules::{LAST_CALL, RULES, Rule, Test};

/// One BPF instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::sandbox) struct Instruction {
    pub(super) code: u16,
    pub(super) if_true: u8,
    pub(super) if_false: u8,
    pub(super) operand: u32,
}

impl Instruction {
    /// In the kernel's form.
    pub(in crate::sandbox) fn into_kernel(self) -> libc::sock_filter {
        libc::sock_filter { code: self.code, jt: self.if_true, jf: self.if_false, k: self.operand }
    }
}

// The classes and modes of linux/bpf_common.h, put together.
pub(super) const LOAD: u16 = 0x20; // BPF_LD | BPF_W | BPF_ABS
pub(super) const JUMP: u16 = 0x05; // BPF_JMP | BPF_JA
pub(super) const IF_AT_LEAST: u16 = 0x35; // BPF_JMP | BPF_JGE | BPF_K
pub(super) const IF_EQUAL: u16 = 0x15; // BPF_JMP | BPF_JEQ | BPF_K
pub(super) const IF_GREATER: u16 = 0x25; // BPF_JMP | BPF_JGT | BPF_K
pub(super) const IF_ANY_BIT: u16 = 0x45; // BPF_JMP | BPF_JSET | BPF_K
pub(super) const RETURN: u16 = 0x06; // BPF_RET | BPF_K

// Offsets in `struct seccomp_data`.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;
const ARGUMENTS: u32 = 16;

pub(super) const ALLOW: u32 = 0x7fff_0000;
pub(super) const FAIL: u32 = 0x0005_0000;
pub(super) const KILL: u32 = 0x8000_0000;

#[cfg(target_arch = "x86_64")]
pub(super) const THIS_ARCHITECTURE: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
pub(super) const THIS_ARCHITECTURE: u32 = 0xc000_00b7;

const fn instruction(code: u16, operand: u32) -> Instruction {
    Instruction { code, if_true: 0, if_false: 0, operand }
}

const fn branch(code: u16, operand: u32, if_true: u8, if_false: u8) -> Instruction {
    Instruction { code, if_true, if_false, operand }
}

const fn fail(errno: libc::c_int) -> Instruction {
    instruction(RETURN, FAIL | errno as u32)
}

/// The whole program.
pub(in crate::sandbox) fn program() -> Vec<Instruction> {
    let mut program = vec![
        // A program of another architecture (i386 on amd64) has other numbers: it does not run at all.
        instruction(LOAD, ARCHITECTURE),
        branch(IF_EQUAL, THIS_ARCHITECTURE, 1, 0),
        instruction(RETURN, KILL),
        // Calls of later kernels, and x32's, which have bit 30 set.
        instruction(LOAD, NUMBER),
        branch(IF_GREATER, LAST_CALL, 0, 1),
        fail(libc::ENOSYS),
    ];
    program.append(&mut bisect(&ranges()));
    program
}

/// What becomes of a call, as the instructions that say so.
type Verdict = Vec<Instruction>;

/// The verdicts of all calls: each with the first number that it holds for.
fn ranges() -> Vec<(u32, Verdict)> {
    let mut named: Vec<(u32, &Rule)> = RULES.iter().flat_map(|rule| rule.calls().iter().map(move |call| (*call as u32, rule))).collect();
    named.sort_unstable_by_key(|(number, _)| *number);
    let mut ranges: Vec<(u32, Verdict)> = Vec::new();
    let mut from = |number: u32, verdict: Verdict| {
        if ranges.last().is_none_or(|(_, last)| *last != verdict) {
            ranges.push((number, verdict));
        }
    };
    let mut next = 0;
    for (number, rule) in named {
        if number > next {
            from(next, vec![instruction(RETURN, ALLOW)]);
        }
        from(number, verdict(rule));
        next = number + 1;
    }
    from(next, vec![instruction(RETURN, ALLOW)]);
    ranges
}

fn verdict(rule: &Rule) -> Verdict {
    match rule {
        Rule::Always { errno, .. } => vec![fail(*errno)],
        Rule::When { tests, errno, .. } => body(tests, *errno),
    }
}

/// Finds the range of the number in the accumulator.
fn bisect(ranges: &[(u32, Verdict)]) -> Vec<Instruction> {
    let (below, above) = match ranges {
        [] => return vec![instruction(RETURN, KILL)],
        [(_, only)] => return only.clone(),
        more => more.split_at(more.len() / 2),
    };
    let first_above = above[0].0;
    let (mut below, mut above) = (bisect(below), bisect(above));
    let mut program = match u8::try_from(below.len()) {
        Ok(distance) => vec![branch(IF_AT_LEAST, first_above, distance, 0)],
        // A branch reaches 255 instructions, a jump any number.
        Err(_) => vec![branch(IF_AT_LEAST, first_above, 0, 1), instruction(JUMP, below.len() as u32)],
    };
    program.append(&mut below);
    program.append(&mut above);
    program
}

/// Returns the error if every test holds, else allows.
fn body(tests: &[Test], errno: libc::c_int) -> Vec<Instruction> {
    let mut after = vec![fail(errno), instruction(RETURN, ALLOW)];
    // From the last test to the first: each falls through to what comes after it, or jumps to the end.
    for test in tests.iter().rev() {
        let allow = (after.len() - 1) as u8;
        let mut code = Vec::new();
        match *test {
            Test::AnyBit(argument, bits) => {
                code.push(instruction(LOAD, ARGUMENTS + 8 * u32::from(argument)));
                code.push(branch(IF_ANY_BIT, bits, 0, allow));
            }
            Test::NoneOf(argument, values) => {
                code.push(instruction(LOAD, ARGUMENTS + 8 * u32::from(argument)));
                for (index, value) in values.iter().enumerate() {
                    let rest = (values.len() - 1 - index) as u8;
                    code.push(branch(IF_EQUAL, *value, rest + allow, 0));
                }
            }
            Test::OneOf(argument, values) => {
                code.push(instruction(LOAD, ARGUMENTS + 8 * u32::from(argument)));
                for (index, value) in values.iter().enumerate() {
                    let rest = (values.len() - 1 - index) as u8;
                    code.push(branch(IF_EQUAL, *value, rest + 1, 0));
                }
                // None matched: over what comes after, but for its last instruction, which allows.
                code.push(instruction(JUMP, u32::from(allow)));
            }
        }
        code.append(&mut after);
        after = code;
    }
    after
}

#[cfg(test)]
mod tests {
    use super::super::machine::{Answer, run};
    use libc::c_long;

    use super::*;

    fn ask(call: c_long, arguments: &[u64]) -> Answer {
        run(&program(), THIS_ARCHITECTURE, call as u32, arguments)
    }

    fn refused(errno: libc::c_int) -> Answer {
        Answer::Fail(errno)
    }

    #[test]
    fn ordinary_calls_are_allowed() {
        for call in
            [libc::SYS_read, libc::SYS_write, libc::SYS_execve, libc::SYS_exit_group, libc::SYS_mmap, libc::SYS_wait4, libc::SYS_fsync]
        {
            assert_eq!(ask(call, &[0xffff_ffff; 6]), Answer::Allow, "{call}");
        }
    }

    #[test]
    fn every_call_that_is_refused_whatever_its_arguments_gets_its_error() {
        for rule in RULES {
            if let Rule::Always { calls, errno } = rule {
                for call in *calls {
                    assert_eq!(ask(*call, &[]), refused(*errno), "{call}");
                }
            }
        }
    }

    #[test]
    fn no_call_is_named_by_two_rules() {
        let calls = RULES.iter().flat_map(|rule| rule.calls());
        let mut seen = std::collections::BTreeSet::new();
        for call in calls {
            assert!(seen.insert(call), "{call}");
        }
    }

    #[test]
    fn foreign_architectures_are_killed_and_x32_does_not_exist() {
        assert_eq!(run(&program(), 0x4000_0003, libc::SYS_read as u32, &[]), Answer::Kill);
        assert_eq!(ask(libc::SYS_read | 0x4000_0000, &[]), refused(libc::ENOSYS));
    }

    #[test]
    fn calls_of_later_kernels_do_not_exist() {
        assert_eq!(ask(c_long::from(LAST_CALL), &[]), Answer::Allow);
        for call in [451, 452, 467, 512, 547, 100_000] {
            assert_eq!(ask(call, &[]), refused(libc::ENOSYS), "{call}");
        }
    }

    #[test]
    fn setid_bits_are_refused_in_every_call_that_takes_a_mode() {
        let create = libc::O_CREAT as u64 | libc::O_WRONLY as u64;
        let temporary = libc::O_TMPFILE as u64 | libc::O_RDWR as u64;
        for bits in [0o4755, 0o2755, 0o6000] {
            assert_eq!(ask(libc::SYS_fchmod, &[3, bits]), refused(libc::EPERM));
            assert_eq!(ask(libc::SYS_fchmodat, &[0, 0, bits]), refused(libc::EPERM));
            assert_eq!(ask(libc::SYS_mkdirat, &[0, 0, bits]), refused(libc::EPERM));
            assert_eq!(ask(libc::SYS_mknodat, &[0, 0, bits]), refused(libc::EPERM));
            assert_eq!(ask(libc::SYS_openat, &[0, 0, create, bits]), refused(libc::EPERM));
            assert_eq!(ask(libc::SYS_openat, &[0, 0, temporary, bits]), refused(libc::EPERM));
            #[cfg(target_arch = "x86_64")]
            {
                assert_eq!(ask(libc::SYS_open, &[0, create, bits]), refused(libc::EPERM));
                assert_eq!(ask(libc::SYS_creat, &[0, bits]), refused(libc::EPERM));
                assert_eq!(ask(libc::SYS_chmod, &[0, bits]), refused(libc::EPERM));
                assert_eq!(ask(libc::SYS_mkdir, &[0, bits]), refused(libc::EPERM));
                assert_eq!(ask(libc::SYS_mknod, &[0, bits]), refused(libc::EPERM));
            }
        }
        // The register of a mode that is not given holds anything; directories are opened with a bit of O_TMPFILE.
        let directory = libc::O_DIRECTORY as u64;
        assert_eq!(ask(libc::SYS_openat, &[0, 0, directory, 0o6000]), Answer::Allow);
        assert_eq!(ask(libc::SYS_openat, &[0, 0, create, 0o1777]), Answer::Allow);
        assert_eq!(ask(libc::SYS_fchmod, &[3, 0o1777]), Answer::Allow);
    }

    #[test]
    fn namespaces_are_refused_in_clone_and_unshare_but_threads_are_not() {
        let thread = (libc::CLONE_VM | libc::CLONE_FS | libc::CLONE_FILES | libc::CLONE_SIGHAND | libc::CLONE_THREAD) as u64;
        assert_eq!(ask(libc::SYS_clone, &[thread]), Answer::Allow);
        assert_eq!(ask(libc::SYS_clone, &[libc::SIGCHLD as u64]), Answer::Allow);
        assert_eq!(ask(libc::SYS_unshare, &[libc::CLONE_FILES as u64]), Answer::Allow);
        for flag in [libc::CLONE_NEWUSER, libc::CLONE_NEWNS, libc::CLONE_NEWNET, libc::CLONE_NEWPID, libc::CLONE_NEWCGROUP] {
            assert_eq!(ask(libc::SYS_clone, &[thread | flag as u64]), refused(libc::EPERM));
            assert_eq!(ask(libc::SYS_unshare, &[flag as u64]), refused(libc::EPERM));
        }
        assert_eq!(ask(libc::SYS_unshare, &[0x80]), refused(libc::EPERM));
    }

    #[test]
    fn only_unix_and_inet_sockets_exist() {
        for family in [libc::AF_UNIX, libc::AF_INET, libc::AF_INET6] {
            assert_eq!(ask(libc::SYS_socket, &[family as u64]), Answer::Allow);
        }
        for family in [libc::AF_NETLINK, libc::AF_PACKET, libc::AF_VSOCK, libc::AF_ALG, 0, 255] {
            assert_eq!(ask(libc::SYS_socket, &[family as u64]), refused(libc::EAFNOSUPPORT));
            assert_eq!(ask(libc::SYS_socketpair, &[family as u64]), refused(libc::EAFNOSUPPORT));
        }
    }

    #[test]
    fn typing_into_a_terminal_is_refused_whatever_the_upper_bits() {
        assert_eq!(ask(libc::SYS_ioctl, &[0, 0x5412]), refused(libc::EPERM));
        assert_eq!(ask(libc::SYS_ioctl, &[0, 0xffff_ffff_0000_5412]), refused(libc::EPERM));
        assert_eq!(ask(libc::SYS_ioctl, &[0, 0x5401]), Answer::Allow);
    }

    #[test]
    fn the_memory_layout_cannot_be_changed() {
        assert_eq!(ask(libc::SYS_personality, &[0xffff_ffff]), Answer::Allow);
        assert_eq!(ask(libc::SYS_personality, &[libc::ADDR_NO_RANDOMIZE as u64]), Answer::Allow);
        assert_eq!(ask(libc::SYS_personality, &[0]), refused(libc::EPERM));
        assert_eq!(ask(libc::SYS_personality, &[8]), refused(libc::EPERM));
    }
}
