//! Whatsminer of MicroBT: the API of the v2 firmwares on the cgminer port, with tokens and
//! encrypted writes, and that of the v3 firmwares, which signs each write.

pub mod crypt;
mod job;
pub mod v2;
pub mod v3;
