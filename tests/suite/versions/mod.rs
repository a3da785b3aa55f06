//! Changes of the code under recorded workflows: versions, patches, verified replays, deploys.

mod patches;
mod verify_replay;
