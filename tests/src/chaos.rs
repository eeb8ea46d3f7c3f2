//! What can go wrong between a counter and the ledger, all at once: programs that are killed, a network that delays,
//! repeats, reorders and cuts, and a counter that goes on meanwhile and says in the end what should be there.

mod network;
mod turning;

pub use network::Network;
pub use turning::Turning;
