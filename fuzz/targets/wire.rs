//! Any bytes a member may send: refused, or a message that has these bytes and no others, or several such.
#![no_main]

use bmc_replication::wire::{Bundle, Message};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if !Bundle::is_in(bytes) {
        return decode(bytes);
    }
    if let Ok(bundle) = Bundle::unpack(bytes) {
        bundle.messages().for_each(decode);
    }
});

fn decode(bytes: &[u8]) {
    if let Ok(message) = Message::decode(bytes) {
        assert_eq!(message.encode(), bytes, "{message:?}");
    }
}
