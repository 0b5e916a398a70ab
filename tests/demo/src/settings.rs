//! The settings that the demo changes on the Active and shows on the Passive.

/// A setting: where it is, and what it is changed to.
#[derive(Debug)]
pub(crate) struct Setting {
    pub(crate) what: &'static str,
    pub(crate) path: &'static str,
    pub(crate) content: &'static str,
}

/// A phosphor-settings tree, a certificate and a network file.
pub(crate) const SETTINGS: [Setting; 4] = [
    Setting {
        what: "boot mode (phosphor-settings)",
        path: "/var/lib/phosphor-settings-manager/settings/xyz/openbmc_project/control/host0/boot/one_time",
        content: "xyz.openbmc_project.Control.Boot.Mode.Modes.Setup\n",
    },
    Setting {
        what: "power restore policy (phosphor-settings)",
        path: "/var/lib/phosphor-settings-manager/settings/xyz/openbmc_project/control/host0/power_restore_policy",
        content: "xyz.openbmc_project.Control.Power.RestorePolicy.Policy.AlwaysOn\n",
    },
    Setting {
        what: "bmcweb's certificate",
        path: "/etc/ssl/certs/https/server.pem",
        content: "-----BEGIN CERTIFICATE-----\nZGVtbyBvbmx5LCBub3QgYSBrZXk=\n-----END CERTIFICATE-----\n",
    },
    Setting {
        what: "management network",
        path: "/etc/systemd/network/00-bmc-eth0.network",
        content: "[Match]\nName=eth0\n\n[Network]\nDHCP=false\nAddress=192.0.2.10/24\n",
    },
];
