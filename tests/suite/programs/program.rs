//! The programs: trees of operations whose results do not depend on timing.

use serde::{Deserialize, Serialize};

use crate::support::Random;

/// Operations one after the other.
pub(super) type Block = Vec<Op>;

/// One operation. Every number occurs only once in a program: it identifies the operation.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) enum Op {
    /// A step.
    Step(u32),
    /// A step that fails with a recorded error.
    Fails(u32),
    /// A step that fails at its first attempt.
    Retries(u32),
    /// A step that sets an event and writes an item.
    Shows(u32),
    /// A transaction that adds a row.
    Transaction(u32),
    /// A transaction that adds a row and sends a message to this workflow, which receives it.
    Posts(u32),
    /// The time, an id and a random number.
    Asks,
    Sleep(u64),
    Join(Vec<Block>),
    Map(Vec<Block>, usize),
    /// A branch beside the rest of its block, which is awaited at the end of the block or not at all.
    Spawn(Block, bool),
    /// All arms but the winner never end; each does something first.
    Select {
        winner: usize,
        arms: Vec<Block>,
        hang: Hang,
    },
    /// Another workflow sends so many messages, and they are received.
    Feed(u32, u32),
    /// This workflow sends so many messages to itself, and receives them.
    Returns(u32, u32),
    /// A wait for a message that does not come, for so many milliseconds.
    Silence(u32, u64),
    /// Sets an event, reads it, sets it again and reads it again.
    Event(u32),
    /// Writes so many items to a stream.
    Items(u32, u32),
    /// Another workflow with a program of its own, which is awaited or not.
    Child(u32, Block, bool),
    /// A workflow that times out.
    TimesOut(u32),
    /// The first of two workflows, of which the other one waits for a message that is sent then.
    First(u32),
}

/// How the arms that do not win wait forever.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) enum Hang {
    Never,
    Sleeps,
    Receives(u32),
    Asks(u32),
}

/// The effects of a number in a program, to check after the run how often they happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Effect {
    Step,
    Retries,
    Shows,
    Transaction,
    Items(u32),
}

/// Makes programs.
pub(super) struct Author<'a> {
    random: &'a mut Random,
    number: u32,
    /// How many more operations the program may have.
    room: u32,
}

impl<'a> Author<'a> {
    pub(super) fn program(random: &'a mut Random) -> Block {
        let room = 4 + u32::try_from(random.below(20)).expect("it is below 20");
        let mut author = Self { random, number: 0, room };
        let mut program = Vec::new();
        while author.room > 0 {
            program.extend(author.block(0, 6));
        }
        program
    }

    fn number(&mut self) -> u32 {
        self.number += 1;
        self.number
    }

    fn below(&mut self, end: u32) -> u32 {
        u32::try_from(self.random.below(u64::from(end))).expect("it is below a u32")
    }

    fn block(&mut self, depth: u32, most: u32) -> Block {
        let length = 1 + self.below(most);
        (0..length).map(|_| self.op(depth)).collect()
    }

    fn blocks(&mut self, depth: u32, least: u32, most: u32) -> Vec<Block> {
        let number = least + self.below(most - least + 1);
        (0..number).map(|_| self.block(depth + 1, 3)).collect()
    }

    fn op(&mut self, depth: u32) -> Op {
        self.room = self.room.saturating_sub(1);
        let nested = depth < 3 && self.room > 0;
        let n = self.number();
        match self.random.below(if nested { 27 } else { 17 }) {
            0..=2 => Op::Step(n),
            3 => Op::Fails(n),
            4 => Op::Retries(n),
            5 => Op::Shows(n),
            6 | 7 => Op::Transaction(n),
            8 => Op::Posts(n),
            9 => Op::Asks,
            10 => Op::Sleep(self.random.below(4)),
            11 => Op::Feed(n, 1 + self.below(4)),
            12 => Op::Returns(n, 1 + self.below(3)),
            13 => Op::Silence(n, self.random.below(3)),
            14 => Op::Event(n),
            15 => Op::Items(n, 1 + self.below(4)),
            16 => match self.below(2) {
                0 => Op::TimesOut(n),
                _ => Op::First(n),
            },
            17..=19 => Op::Join(self.blocks(depth, 2, 3)),
            20 | 21 => {
                let limit = 1 + self.random.below(3);
                Op::Map(self.blocks(depth, 0, 4), usize::try_from(limit).expect("it is small"))
            }
            22 => Op::Spawn(self.block(depth + 1, 3), self.random.chance(50)),
            23 | 24 => {
                let arms = self.blocks(depth, 2, 3);
                let winner = usize::try_from(self.random.below(arms.len() as u64)).expect("it is small");
                let hang = match self.below(4) {
                    0 => Hang::Never,
                    1 => Hang::Sleeps,
                    2 => Hang::Receives(n),
                    _ => Hang::Asks(n),
                };
                Op::Select { winner, arms, hang }
            }
            _ => Op::Child(n, self.block(depth + 1, 3), self.random.chance(70)),
        }
    }
}

/// Everything that certainly happens in a program, by the id of the workflow that does it.
pub(super) fn effects(id: &str, block: &[Op]) -> Vec<(String, u32, Effect)> {
    let mut found = Vec::new();
    for op in block {
        let mut add = |n: &u32, effect| found.push((id.to_owned(), *n, effect));
        match op {
            Op::Step(n) | Op::Fails(n) => add(n, Effect::Step),
            Op::Retries(n) => add(n, Effect::Retries),
            Op::Shows(n) => add(n, Effect::Shows),
            Op::Transaction(n) | Op::Posts(n) => add(n, Effect::Transaction),
            Op::Items(n, many) => add(n, Effect::Items(*many)),
            Op::Join(blocks) | Op::Map(blocks, _) => {
                found.extend(blocks.iter().flat_map(|it| effects(id, it)));
            }
            Op::Spawn(block, _) => found.extend(effects(id, block)),
            Op::Select { winner, arms, .. } => found.extend(effects(id, &arms[*winner])),
            Op::Child(n, block, _) => found.extend(effects(&child_id(id, *n), block)),
            _ => {}
        }
    }
    found
}

/// The ids of all workflows with programs that certainly are started.
pub(super) fn workflows(id: &str, block: &[Op]) -> Vec<String> {
    let mut found = vec![id.to_owned()];
    let below =
        |blocks: &[Block]| blocks.iter().flat_map(|it| workflows(id, it).into_iter().skip(1)).collect::<Vec<_>>();
    for op in block {
        match op {
            Op::Join(blocks) | Op::Map(blocks, _) => found.extend(below(blocks)),
            Op::Spawn(block, _) => found.extend(below(std::slice::from_ref(block))),
            Op::Select { winner, arms, .. } => found.extend(below(&arms[*winner..=*winner])),
            Op::Child(n, block, _) => found.extend(workflows(&child_id(id, *n), block)),
            _ => {}
        }
    }
    found
}

pub(super) fn child_id(id: &str, n: u32) -> String {
    format!("{id}.{n}")
}
