//! What can go wrong around a sandbox.

use std::fmt;
use std::io;

use serde::{Deserialize, Serialize};

use crate::fsio::PathError;

/// Why a sandbox could not be had, or was lost.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// A mandatory layer cannot be had here. [`SandboxError::hint`] says how to enable it.
    #[error("cannot seal the build: the {layer} layer failed at {step}: {}", io::Error::from_raw_os_error(*errno))]
    Layer {
        /// Which one.
        layer: Layer,
        /// The call, and what it was called on.
        step: String,
        /// The kernel's answer.
        errno: i32,
        /// How to enable it, if that is known.
        hint: Option<String>,
    },
    /// The program could not be executed inside.
    #[error("cannot execute `{program}` in the sandbox: {}", io::Error::from_raw_os_error(*errno))]
    Execute {
        /// The program, as seen inside.
        program: String,
        /// The kernel's answer.
        errno: i32,
    },
    /// The spec contradicts itself.
    #[error("the sandbox's description is not usable: {0}")]
    Spec(String),
    /// The sandbox's first process ended without a word.
    #[error("the sandbox's first process was lost ({0})")]
    Lost(String),
    /// A system call of the parent failed.
    #[error("cannot {action}: {source}")]
    System {
        /// What was being done.
        action: &'static str,
        /// The kernel's answer.
        source: io::Error,
    },
    /// A file or directory of the host could not be prepared.
    #[error(transparent)]
    Path(#[from] PathError),
}

impl SandboxError {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<&str> {
        match self {
            Self::Layer { hint, .. } => hint.as_deref(),
            _ => None,
        }
    }
}

/// The layers of a sandbox. All but the extras are mandatory at level `strict`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layer {
    /// The user namespace.
    User,
    /// The mount namespace.
    Mount,
    /// The pid namespace.
    Pid,
    /// The network namespace.
    Network,
    /// The namespace of System V IPC and message queues.
    Ipc,
    /// The namespace of host and domain name.
    Uts,
    /// The file tree: everything visible under `/`, and leaving the old root.
    Root,
    /// A fresh `/proc`, masked.
    Proc,
    /// The unprivileged user, without capabilities or new privileges.
    Privileges,
    /// The syscall filter.
    Filter,
    /// Resource limits by `setrlimit`.
    Limits,
    /// The builder's process: session, descriptors, signals.
    Process,
    /// Extra: the cgroup namespace.
    CgroupNamespace,
    /// Extra: memory and process limits by cgroup v2.
    Cgroup,
    /// Extra: Landlock.
    Landlock,
    /// Extra, for a privileged kiln: inputs belong to the builder's user.
    Owners,
}

impl Layer {
    /// Its name in records and messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::User => "user namespace",
            Self::Mount => "mount namespace",
            Self::Pid => "pid namespace",
            Self::Network => "network namespace",
            Self::Ipc => "ipc namespace",
            Self::Uts => "uts namespace",
            Self::Root => "root",
            Self::Proc => "proc",
            Self::Privileges => "privileges",
            Self::Filter => "syscall filter",
            Self::Limits => "limits",
            Self::Process => "process",
            Self::CgroupNamespace => "cgroup namespace",
            Self::Cgroup => "cgroup limits",
            Self::Landlock => "landlock",
            Self::Owners => "owners of inputs",
        }
    }
}

impl fmt::Display for Layer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}
