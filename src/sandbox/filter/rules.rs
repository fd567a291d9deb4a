//! What is refused, and with which error.

use libc::{EAFNOSUPPORT, ENOSYS, ENOTSUP, EPERM, c_int, c_long};

/// One test of an argument's low 32 bits (all that the kernel looks at in these calls).
#[derive(Clone, Copy, Debug)]
pub(super) enum Test {
    /// Any of these bits is set in this argument.
    AnyBit(u8, u32),
    /// The argument is none of these.
    NoneOf(u8, &'static [u32]),
    /// The argument is one of these.
    OneOf(u8, &'static [u32]),
}

/// What happens to some calls.
#[derive(Clone, Copy, Debug)]
pub(super) enum Rule {
    /// They always fail with this error; error 0 means that they do nothing, successfully.
    Always { calls: &'static [c_long], errno: c_int },
    /// They fail with this error if all tests hold, and are allowed if not.
    When { calls: &'static [c_long], tests: &'static [Test], errno: c_int },
}

impl Rule {
    /// The calls that it names.
    pub(super) fn calls(&self) -> &'static [c_long] {
        match self {
            Self::Always { calls, .. } | Self::When { calls, .. } => calls,
        }
    }
}

/// The last call of Linux 6.1.
pub(super) const LAST_CALL: u32 = 450;

const SET_ID: u32 = libc::S_ISUID | libc::S_ISGID;
const CREATES: u32 = (libc::O_CREAT | (libc::O_TMPFILE & !libc::O_DIRECTORY)) as u32;
const NEW_NAMESPACES: u32 = (libc::CLONE_NEWNS
    | libc::CLONE_NEWCGROUP
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET) as u32;
/// As a flag of `unshare` only: in `clone` the bit is part of the exit signal.
const NEW_TIME: u32 = 0x80;

const SOCKET_FAMILIES: &[u32] = &[libc::AF_UNIX as u32, libc::AF_INET as u32, libc::AF_INET6 as u32];
/// What a process already has, or a question.
const PERSONALITIES: &[u32] = &[libc::ADDR_NO_RANDOMIZE as u32, 0xffff_ffff];

/// Requests that type into a terminal, or that change a file in ways that no archive can hold and the store could not undo.
const IOCTLS: &[u32] = &[
    0x5412,      // TIOCSTI
    0x541c,      // TIOCLINUX
    0x541d,      // TIOCCONS
    0x4008_6602, // FS_IOC_SETFLAGS
    0x4004_6602, // FS_IOC32_SETFLAGS
    0x401c_5820, // FS_IOC_FSSETXATTR
    0x4008_7602, // FS_IOC_SETVERSION
    0x4080_6685, // FS_IOC_ENABLE_VERITY
    0x800c_6613, // FS_IOC_SET_ENCRYPTION_POLICY
];

/// The rules. No call is named twice.
pub(super) const RULES: &[Rule] = &[
    // Set-id bits, in every call that takes a mode.
    Rule::When { calls: &[libc::SYS_openat], tests: &[Test::AnyBit(2, CREATES), Test::AnyBit(3, SET_ID)], errno: EPERM },
    #[cfg(target_arch = "x86_64")]
    Rule::When { calls: &[libc::SYS_open], tests: &[Test::AnyBit(1, CREATES), Test::AnyBit(2, SET_ID)], errno: EPERM },
    Rule::When { calls: &[libc::SYS_ioctl], tests: &[Test::OneOf(1, IOCTLS)], errno: EPERM },
    Rule::When { calls: &[libc::SYS_fchmodat, libc::SYS_mkdirat, libc::SYS_mknodat], tests: &[Test::AnyBit(2, SET_ID)], errno: EPERM },
    Rule::When { calls: &[libc::SYS_fchmod], tests: &[Test::AnyBit(1, SET_ID)], errno: EPERM },
    #[cfg(target_arch = "x86_64")]
    Rule::When {
        calls: &[libc::SYS_chmod, libc::SYS_creat, libc::SYS_mkdir, libc::SYS_mknod],
        tests: &[Test::AnyBit(1, SET_ID)],
        errno: EPERM,
    },
    // New namespaces, sockets of unknown families, another memory layout.
    Rule::When { calls: &[libc::SYS_clone], tests: &[Test::AnyBit(0, NEW_NAMESPACES)], errno: EPERM },
    Rule::When { calls: &[libc::SYS_unshare], tests: &[Test::AnyBit(0, NEW_NAMESPACES | NEW_TIME)], errno: EPERM },
    Rule::When { calls: &[libc::SYS_socket, libc::SYS_socketpair], tests: &[Test::NoneOf(0, SOCKET_FAMILIES)], errno: EAFNOSUPPORT },
    Rule::When { calls: &[libc::SYS_personality], tests: &[Test::NoneOf(0, PERSONALITIES)], errno: EPERM },
    // Their arguments lie in memory, where a filter cannot look; callers know how to do without.
    Rule::Always { calls: &[libc::SYS_clone3, libc::SYS_openat2], errno: ENOSYS },
    Rule::Always {
        calls: &[
            libc::SYS_setxattr,
            libc::SYS_lsetxattr,
            libc::SYS_fsetxattr,
            libc::SYS_getxattr,
            libc::SYS_lgetxattr,
            libc::SYS_fgetxattr,
            libc::SYS_listxattr,
            libc::SYS_llistxattr,
            libc::SYS_flistxattr,
            libc::SYS_removexattr,
            libc::SYS_lremovexattr,
            libc::SYS_fremovexattr,
        ],
        errno: ENOTSUP,
    },
    // There are no supplementary groups: an unprivileged kiln cannot leave its user's. And a builder has no business with the whole
    // machine's disks; the store syncs what it registers.
    Rule::Always { calls: &[libc::SYS_getgroups, libc::SYS_sync, libc::SYS_syncfs], errno: 0 },
    Rule::Always { calls: REFUSED, errno: EPERM },
    #[cfg(target_arch = "x86_64")]
    Rule::Always {
        calls: &[libc::SYS_iopl, libc::SYS_ioperm, libc::SYS_modify_ldt, libc::SYS_uselib, libc::SYS_ustat, libc::SYS__sysctl],
        errno: EPERM,
    },
];

/// Refused whatever their arguments.
const REFUSED: &[c_long] = &[
    // Namespaces and mounts.
    libc::SYS_setns,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_open_tree,
    libc::SYS_move_mount,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    // Other processes' memory and descriptors.
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_pidfd_getfd,
    libc::SYS_kcmp,
    // Keyrings: they are not part of any namespace but the user's.
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    // Large parts of the kernel that no build needs.
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_userfaultfd,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_fanotify_init,
    libc::SYS_fanotify_mark,
    libc::SYS_name_to_handle_at,
    libc::SYS_open_by_handle_at,
    libc::SYS_quotactl,
    libc::SYS_quotactl_fd,
    libc::SYS_memfd_secret,
    // The machine.
    libc::SYS_kexec_load,
    libc::SYS_kexec_file_load,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_syslog,
    libc::SYS_acct,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
    libc::SYS_adjtimex,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_setgroups,
    libc::SYS_vhangup,
    libc::SYS_nfsservctl,
    libc::SYS_lookup_dcookie,
    libc::SYS_migrate_pages,
    libc::SYS_move_pages,
];
