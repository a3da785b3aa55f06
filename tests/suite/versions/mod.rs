//! Changes of the code under recorded workflows: versions, patches, verified replays, deploys.

mod deploys;
mod histories;
mod patches;
mod real_builds;
mod verify_replay;
