//! Remembers: the segment journal behind a [`Disk`], snapshots, and the tables people query.
//!
//! The journal is the proof: whatever the engine was told is in it, in order, framed, checked and
//! chained, before the engine saw it. Snapshots only save time at start-up and the tables only
//! save time at a question; both can be thrown away and made again from the journal.
#![deny(missing_docs)]

pub mod disk;
pub mod journal;
pub mod lock;
pub mod memdisk;
pub mod prices;
pub mod record;
pub mod segment;
pub mod snapshot;
pub mod tables;
pub mod verify;
pub mod writer;

pub use disk::{Disk, RealDisk};
pub use journal::{Journal, JournalError, Options, ReadAll, Recovered, read_all};
pub use lock::DataLock;
pub use memdisk::{Crash, MemDisk};
pub use prices::PriceStore;
pub use record::{Outcome, Payload, Record};
pub use tables::Tables;
pub use verify::{Verdict, verify};
pub use writer::{Durability, Entry, Ticket, Writer};
