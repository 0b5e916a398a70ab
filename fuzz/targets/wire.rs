//! Any bytes a member may send: refused, or a message that has these bytes and no others.
#![no_main]

use bmc_replication::wire::Message;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(message) = Message::decode(bytes) {
        assert_eq!(message.encode(), bytes, "{message:?}");
    }
});
