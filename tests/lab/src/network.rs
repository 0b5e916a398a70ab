//! The two links between the BMCs: one switch each, in a network namespace of the lab's own, so that nothing
//! that the lab sends leaves it and two labs never meet.

use std::fmt;
use std::fs::File;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::Command;
use std::str::FromStr;
use std::thread;

use rustix::fd::AsFd;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use serde::{Deserialize, Serialize};

use crate::error::{LabError, Result};
use crate::layout::Layout;
use crate::node::Node;
use crate::options::Started;
use crate::tool;

/// Host part of the first BMC's address; the second has the next.
const FIRST_BMC: u8 = 10;
/// Host part of the address that the Active answers on.
const FLOATING: u8 = 100;
/// Host part of the lab's own address on each link: the rest of the world, as the BMCs see it.
const LAB: u8 = 254;
/// How soon the lab asks again for a hardware address that nobody answered for, in milliseconds. The kernel's
/// second would be most of a failover; a real client learns from the gratuitous ARP of the new Active.
const ARP_RETRY_MS: u32 = 20;

/// A link between the BMCs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Link {
    /// The first link; it carries the floating address.
    First,
    /// The second link.
    Second,
}

impl Link {
    /// Both links.
    pub const BOTH: [Self; 2] = [Self::First, Self::Second];

    fn index(self) -> u8 {
        match self {
            Self::First => 0,
            Self::Second => 1,
        }
    }

    /// Name of the interface inside a BMC.
    #[must_use]
    pub fn interface(self) -> String {
        format!("link{}", self.index())
    }

    fn switch(self) -> String {
        format!("switch{}", self.index())
    }

    fn port(self, node: Node) -> String {
        format!("{node}-link{}", self.index())
    }
}

/// The first three bytes of a link's addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subnet(pub [u8; 3]);

impl Subnet {
    /// Bits of an address that name the subnet.
    pub const PREFIX: u8 = 24;

    fn host(self, host: u8) -> Ipv4Addr {
        let [a, b, c] = self.0;
        Ipv4Addr::new(a, b, c, host)
    }
}

impl fmt::Display for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.host(0), Self::PREFIX)
    }
}

/// What is wrong with a subnet.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is not a subnet: give an address that ends in .0, as in 10.77.0.0")]
pub struct BadSubnet(String);

impl FromStr for Subnet {
    type Err = BadSubnet;

    fn from_str(text: &str) -> std::result::Result<Self, BadSubnet> {
        let address = text.strip_suffix("/24").unwrap_or(text);
        match address.parse::<Ipv4Addr>().map(|address| address.octets()) {
            Ok([a, b, c, 0]) => Ok(Self([a, b, c])),
            _ => Err(BadSubnet(text.to_owned())),
        }
    }
}

/// The network of one lab.
#[derive(Debug, Clone)]
pub struct Network {
    namespace: String,
    subnets: [Subnet; 2],
}

impl Network {
    /// The network of a lab, whether it was made yet or not.
    pub(crate) fn new(layout: &Layout, subnets: [Subnet; 2]) -> Self {
        Self {
            namespace: layout.namespace(),
            subnets,
        }
    }

    /// The network of a started lab.
    ///
    /// # Errors
    /// When there is none of this layout.
    pub fn of(layout: &Layout) -> Result<Self> {
        let started = Started::load(&layout.options())?;
        Ok(Self::new(layout, started.options.subnets))
    }

    /// Makes the namespace and a switch per link.
    pub(crate) fn create(&self) -> Result<()> {
        tool::run(&mut tool::command("ip", ["netns", "add", &self.namespace]))?;
        self.run("ip", &["link", "set", "lo", "up"])?;
        for link in Link::BOTH {
            let switch = link.switch();
            let lab = format!("{}/{}", self.subnet(link).host(LAB), Subnet::PREFIX);
            self.run(
                "ip",
                &[
                    "link",
                    "add",
                    &switch,
                    "type",
                    "bridge",
                    "forward_delay",
                    "0",
                    "stp_state",
                    "0",
                ],
            )?;
            self.run("ip", &["address", "add", &lab, "dev", &switch])?;
            self.run("ip", &["link", "set", &switch, "up"])?;
            let retry = format!("net.ipv4.neigh.{switch}.retrans_time_ms={ARP_RETRY_MS}");
            self.run("sysctl", &["-q", "-w", &retry])?;
        }
        Ok(())
    }

    /// Plugs the network namespace of `pid` into both switches, as one of the BMCs.
    pub(crate) fn plug(&self, node: Node, pid: u32) -> Result<()> {
        let namespace = format!("/proc/{pid}/ns/net");
        let pid = pid.to_string();
        for link in Link::BOTH {
            let (port, interface) = (link.port(node), link.interface());
            // A BMC that just lost its power may leave its end to the kernel's cleaning up.
            self.run_any("ip", &["link", "delete", &port])?;
            self.run(
                "ip",
                &[
                    "link", "add", &port, "type", "veth", "peer", "name", &interface, "netns", &pid,
                ],
            )?;
            self.run("ip", &["link", "set", &port, "master", &link.switch(), "up"])?;
            let address = format!("{}/{}", self.address(node, link), Subnet::PREFIX);
            for arguments in [
                vec!["address", "add", &address, "dev", &interface],
                vec!["link", "set", &interface, "up"],
                vec!["link", "set", "lo", "up"],
            ] {
                let mut command = tool::command("nsenter", [format!("--net={namespace}").as_str(), "ip"]);
                tool::run(command.args(arguments))?;
            }
        }
        Ok(())
    }

    /// The subnet of a link.
    #[must_use]
    pub fn subnet(&self, link: Link) -> Subnet {
        self.subnets[usize::from(link.index())]
    }

    /// Address of a BMC on a link.
    #[must_use]
    pub fn address(&self, node: Node, link: Link) -> Ipv4Addr {
        self.subnet(link).host(FIRST_BMC + node.slot())
    }

    /// The address that the Active answers on.
    #[must_use]
    pub fn floating(&self) -> Ipv4Addr {
        self.subnet(Link::First).host(FLOATING)
    }

    /// Keeps the BMCs from hearing each other, on both links; each still reaches the rest of the world.
    ///
    /// # Errors
    /// When nft fails.
    pub fn partition(&self) -> Result<()> {
        self.run(
            "nft",
            &["add table bridge partition; add chain bridge partition forward \
               { type filter hook forward priority 0; policy drop; }"],
        )
        .map(drop)
    }

    /// Ends [`Self::partition`] and [`Self::cut`].
    ///
    /// # Errors
    /// When nft or ip fails.
    pub fn heal(&self) -> Result<()> {
        self.run(
            "nft",
            &["add table bridge partition; delete table bridge partition"],
        )?;
        for link in Link::BOTH {
            for node in Node::BOTH {
                self.run_any("ip", &["link", "set", &link.port(node), "up"])?;
            }
        }
        Ok(())
    }

    /// Pulls a BMC's cable out of one switch.
    ///
    /// # Errors
    /// When ip fails.
    pub fn cut(&self, node: Node, link: Link) -> Result<()> {
        self.run("ip", &["link", "set", &link.port(node), "down"])
            .map(drop)
    }

    /// Runs `work` on a thread of its own inside the lab's namespace, beside the switches.
    pub(crate) fn inside<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<thread::JoinHandle<Result<T>>> {
        let path = PathBuf::from("/run/netns").join(&self.namespace);
        let namespace = File::open(&path).map_err(LabError::io("open", &path))?;
        Ok(thread::spawn(move || {
            move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))
                .map_err(|error| LabError::io("enter", &path)(error.into()))?;
            Ok(work())
        }))
    }

    fn run(&self, program: &str, arguments: &[&str]) -> Result<String> {
        tool::run(&mut self.command(program, arguments))
    }

    /// As [`Self::run`], but whatever it exits with: for undoing what may not be there.
    fn run_any(&self, program: &str, arguments: &[&str]) -> Result<()> {
        tool::output(&mut self.command(program, arguments)).map(drop)
    }

    fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = tool::command("nsenter", [format!("--net=/run/netns/{}", self.namespace)]);
        command.arg(program).args(arguments);
        command
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subnet_is_read_with_and_without_its_length() {
        for text in ["10.77.0.0", "10.77.0.0/24"] {
            assert_eq!(text.parse::<Subnet>().unwrap(), Subnet([10, 77, 0]));
        }
    }

    #[test]
    fn what_is_not_a_subnet_is_refused_by_name() {
        for text in ["10.77.0.1", "10.77.0.0/16", "bmc0", ""] {
            let error = text.parse::<Subnet>().unwrap_err().to_string();
            assert!(error.contains(&format!("{text:?}")), "{error}");
        }
    }
}
