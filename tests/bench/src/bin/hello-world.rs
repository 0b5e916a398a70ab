//! The least that a Rust program can do: what a monitor is compared with.

fn main() {
    println!("Hello, world!");
}
