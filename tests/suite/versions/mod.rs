//! Changes of the code under recorded workflows: versions, patches, verified replays, deploys.

mod deploys;
mod histories;
mod patches;
mod verify_replay;
