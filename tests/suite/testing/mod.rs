//! What the testing kit gives to the tests of an application.

mod kit;
mod mocks;
mod replays;
