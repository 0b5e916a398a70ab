//! What CPG carries, message by message.

use bmc_replication::wire::Bundle;

/// The messages that CPG carried as `bytes`.
pub(crate) fn unpacked(bytes: &[u8]) -> Vec<Vec<u8>> {
    if !Bundle::is_in(bytes) {
        return vec![bytes.to_vec()];
    }
    let bundle = Bundle::unpack(bytes).expect("a core's own bundle");
    bundle.messages().map(<[u8]>::to_vec).collect()
}
