#![doc = include_str!("../README.md")]

mod append_file;
mod checked_dir;
mod durability;
mod error;
mod state_dir;
mod state_owner;

pub use append_file::AppendFile;
pub use checked_dir::read;
pub use durability::Durability;
pub use error::StateError;
pub use state_dir::StateDir;
pub use state_owner::StateOwner;
