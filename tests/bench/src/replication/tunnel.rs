//! rsync's daemon behind stunnel with mutual TLS, as phosphor-data-sync uses them.

use std::fs;

use anyhow::{Context as _, Result};
use lab::{Lab, Link, Node};

use super::cost::SLICE;

/// Where the Active's rsync finds the Passive's root directory.
pub(super) const TARGET: &str = "rsync://localhost:8730/root/";

/// Key and certificate, the same on both sides: each takes no other.
const PEM: &str = "/run/bench-tunnel.pem";
const STUNNEL_CONFIG: &str = "/run/bench-stunnel.conf";
const RSYNCD_CONFIG: &str = "/run/bench-rsyncd.conf";
const STUNNEL: &str = "bench-stunnel";
const RSYNCD: &str = "bench-rsyncd";

/// The tunnel; closed when dropped.
pub(super) struct Tunnel<'lab> {
    lab: &'lab Lab,
}

impl<'lab> Tunnel<'lab> {
    /// Opens it from the Active to the Passive.
    pub(super) fn up(lab: &'lab Lab, active: Node) -> Result<Self> {
        let tunnel = Self { lab };
        let passive = active.sibling();
        let make_certificate = format!(
            "openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=bench -keyout {PEM}.key -out {PEM}.crt \
             && cat {PEM}.key {PEM}.crt >{PEM}"
        );
        lab.run(active, &["sh", "-c", &make_certificate])?;
        let pem = fs::read(lab.inside(active, PEM)?).context("read the certificate")?;
        fs::write(lab.inside(passive, PEM)?, pem).context("write the certificate")?;
        for node in Node::BOTH {
            lab.run(node, &["chmod", "600", PEM])?;
        }

        let rsyncd = "use chroot = no\nuid = root\ngid = root\n[root]\npath = /\nread only = no\n";
        fs::write(lab.inside(passive, RSYNCD_CONFIG)?, rsyncd).context("configure rsync")?;
        let config = format!("--config={RSYNCD_CONFIG}");
        let address = ["--address=127.0.0.1", "--port=8731"];
        let daemon = [
            "rsync",
            "--daemon",
            "--no-detach",
            &config,
            address[0],
            address[1],
        ];
        start_unit(lab, passive, RSYNCD, &daemon.map(str::to_owned))?;

        let far = lab.network().address(passive, Link::First);
        let ends = [
            (
                active,
                format!("client = yes\naccept = 127.0.0.1:8730\nconnect = {far}:8732\n"),
            ),
            (
                passive,
                format!("accept = {far}:8732\nconnect = 127.0.0.1:8731\n"),
            ),
        ];
        for (node, end) in ends {
            let text =
                format!("foreground = yes\n[rsync]\ncert = {PEM}\nCAfile = {PEM}\nverifyPeer = yes\n{end}");
            fs::write(lab.inside(node, STUNNEL_CONFIG)?, text).context("configure stunnel")?;
            start_unit(
                lab,
                node,
                STUNNEL,
                &["stunnel4", STUNNEL_CONFIG].map(str::to_owned),
            )?;
        }
        Ok(lab
            .wait_for("the tunnel", lab::deadline::SETTING, || {
                let listed = lab.exec(active, &["rsync", TARGET.trim_end_matches("root/")])?;
                Ok(if listed.stdout.contains("root") {
                    Ok(())
                } else {
                    Err(listed.stderr)
                })
            })
            .map(|()| tunnel)?)
    }

    pub(super) fn lab(&self) -> &'lab Lab {
        self.lab
    }
}

impl Drop for Tunnel<'_> {
    fn drop(&mut self) {
        for node in Node::BOTH {
            // One that could not be started was told of then.
            let _ = self.lab.run(node, &["systemctl", "stop", STUNNEL, RSYNCD]);
        }
    }
}

/// Starts a program as a unit of the slice that processor time is read of.
pub(super) fn start_unit(lab: &Lab, node: Node, unit: &str, argv: &[String]) -> Result<()> {
    let (unit, slice) = (format!("--unit={unit}"), format!("--slice={SLICE}"));
    let mut whole: Vec<&str> = vec!["systemd-run", "--quiet", "--collect", &unit, &slice, "--"];
    whole.extend(argv.iter().map(String::as_str));
    Ok(lab.run(node, &whole).map(drop)?)
}
