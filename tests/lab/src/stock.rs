//! What bmc-ha is measured against: stock Pacemaker that moves one address and fences nobody.

use std::fs;
use std::time::Duration;

use crate::Lab;
use crate::error::{LabError, Result};
use crate::network::{Link, Subnet};
use crate::node::Node;
use crate::vocabulary::deadline;
use crate::wait::{self, Look};

/// The only resource.
const ADDRESS: &str = "address";

impl Lab {
    /// Makes a cluster of both BMCs with pcs alone: the floating address, and no fencing.
    ///
    /// # Errors
    /// When pcs fails.
    pub fn provision_stock(&self, token: Duration) -> Result<()> {
        let path = self.layout().password();
        let password = fs::read_to_string(&path).map_err(LabError::io("read", &path))?;
        let mut authenticate: Vec<String> = words("pcs host auth -u hacluster -p");
        authenticate.push(password);
        let mut set_up = words("pcs cluster setup bmc");
        for node in Node::BOTH {
            let [first, second] =
                Link::BOTH.map(|link| format!("addr={}", self.network().address(node, link)));
            authenticate.extend([node.to_string(), first.clone()]);
            set_up.extend([node.to_string(), first, second]);
        }
        set_up.extend(words(&format!(
            "totem token={} --start --enable --wait=120",
            token.as_millis()
        )));
        let address = format!(
            "pcs resource create {ADDRESS} ocf:heartbeat:IPaddr2 ip={} cidr_netmask={} op monitor interval=10s",
            self.network().floating(),
            Subnet::PREFIX
        );
        let properties = words("pcs property set stonith-enabled=false no-quorum-policy=ignore");
        for argv in [authenticate, set_up, properties, words(&address)] {
            self.run(Node::Bmc0, &argv)?;
        }
        Ok(())
    }

    /// As [`Lab::settle`], for a cluster of [`Lab::provision_stock`]: both BMCs online and the address on one of
    /// them, which is returned.
    ///
    /// # Errors
    /// [`LabError::Deadline`] with what was there instead.
    pub fn settle_stock(&self) -> Result<Node> {
        self.restore()?;
        wait::until(
            "both BMCs online and the address on one",
            deadline::SETTLE,
            || {
                let view = self.cluster()?;
                let all = Node::BOTH.into_iter().all(|node| view.online(node));
                Ok(match view.place_of(ADDRESS) {
                    Some(node) if all => Look::Found(node),
                    _ => Look::NotYet(view.to_string()),
                })
            },
        )
    }
}

fn words(line: &str) -> Vec<String> {
    line.split(' ').map(str::to_owned).collect()
}
