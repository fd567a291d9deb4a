//! What to do about a layer that cannot be had: from the kernel's own settings.

use std::fs;

use nix::errno::Errno;

use super::Layer;

/// The settings of this machine that forbid namespaces, each with the value that forbids and the command that allows.
const SETTINGS: [(&str, &str, &str); 3] = [
    ("kernel/unprivileged_userns_clone", "0", "run `sysctl -w kernel.unprivileged_userns_clone=1` as root"),
    ("user/max_user_namespaces", "0", "run `sysctl -w user.max_user_namespaces=15000` as root"),
    (
        "kernel/apparmor_restrict_unprivileged_userns",
        "1",
        "run `sysctl -w kernel.apparmor_restrict_unprivileged_userns=0` as root, or give kiln an AppArmor profile that allows `userns`",
    ),
];

/// The hint for a failure, if one is known.
pub(super) fn for_failure(layer: Layer, errno: i32) -> Option<String> {
    advise(layer, Errno::from_raw(errno), |name| fs::read_to_string(format!("/proc/sys/{name}")).ok())
}

/// [`for_failure`], with the settings given.
fn advise(layer: Layer, errno: Errno, setting: impl Fn(&str) -> Option<String>) -> Option<String> {
    let advice = match layer {
        Layer::User | Layer::Mount | Layer::Pid | Layer::Network | Layer::Ipc | Layer::Uts => {
            let forbids = |(name, value, _): &&(&str, &str, &str)| setting(name).is_some_and(|text| text.trim() == *value);
            match SETTINGS.iter().find(forbids) {
                Some((_, _, command)) => (*command).to_owned(),
                None if errno == Errno::ENOSPC => {
                    "too many namespaces exist: raise the limits under `/proc/sys/user/` (`sysctl user.max_user_namespaces`)".to_owned()
                }
                None if matches!(errno, Errno::EINVAL | Errno::ENOSYS) => {
                    format!("this kernel was built without {layer}s: kiln needs Linux 5.12 or later with CONFIG_NAMESPACES")
                }
                None => "something around kiln forbids namespaces, usually a container's syscall filter: let the container create user \
                         namespaces, or choose weaker isolation with `--sandbox=relaxed`"
                    .to_owned(),
            }
        }
        Layer::Proc => {
            "another file system is mounted over parts of /proc, as in most containers: run the container with an unmasked /proc, \
                        or choose weaker isolation with `--sandbox=relaxed`"
                .to_owned()
        }
        Layer::Root if errno == Errno::ENOSYS => "kiln needs Linux 5.12 or later".to_owned(),
        Layer::Filter => "this kernel needs CONFIG_SECCOMP_FILTER; or choose weaker isolation with `--sandbox=relaxed`".to_owned(),
        _ => return None,
    };
    Some(format!("{advice}; `kiln doctor` shows what this machine allows"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn advice(layer: Layer, errno: Errno, name: &str, value: &str) -> String {
        advise(layer, errno, |asked| (asked == name).then(|| format!("{value}\n"))).unwrap_or_default()
    }

    #[test]
    fn a_setting_that_forbids_user_namespaces_is_named_with_the_command_that_allows_them() {
        let text = advice(Layer::User, Errno::EPERM, "kernel/unprivileged_userns_clone", "0");
        assert!(text.contains("sysctl -w kernel.unprivileged_userns_clone=1"), "{text}");
        let text = advice(Layer::User, Errno::ENOSPC, "user/max_user_namespaces", "0");
        assert!(text.contains("sysctl -w user.max_user_namespaces=15000"), "{text}");
    }

    #[test]
    fn a_setting_that_allows_is_not_blamed() {
        let text = advice(Layer::User, Errno::EPERM, "kernel/unprivileged_userns_clone", "1");
        assert!(text.contains("container"), "{text}");
    }

    #[test]
    fn a_masked_proc_is_explained() {
        assert!(advice(Layer::Proc, Errno::EPERM, "", "").contains("/proc"));
    }
}
