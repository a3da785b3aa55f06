//! `durable::select!`: the first of several branches, and the record of which one that was.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;

use crate::journal::checkpoint::{Operation, OperationResult};
use crate::journal::reserved_position::pend_unless;
use crate::operations::join::{BranchKind, BranchPoint};
use crate::runtime::stop_reason::StopReason;
use crate::types::payload::Codec;

const SELECT: BranchKind = BranchKind { name: "durable::select!", replacement: "`tokio::select!`" };
const OPERATION: Operation<'static> = Operation::once("select");

/// The number of the arm that won in an earlier run, if that is recorded.
async fn recorded(point: &BranchPoint, arms: u32) -> Option<u32> {
    let reserved = point.check().await?;
    if reserved.execution.is_unrecorded_for_good(&reserved.position) {
        return None; // the arms are verified
    }
    let record = reserved.replayed(OPERATION).await?;
    let winner = reserved.decode(Codec::<u32>::PLAIN, record).await;
    if (1..=arms).contains(&winner) {
        return Some(winner);
    }
    let reason = format!(
        "at position {} this workflow recorded that arm {winner} of a `durable::select!` won, and the code now has {arms} arms there; restore the earlier arms, or deploy the earlier version",
        reserved.position
    );
    reserved.execution.stop_here(StopReason::Park(reason)).await
}

/// Records which arm won. This is no side effect, so it does not wait for earlier records. The records of the
/// winner come before it, and so are durable first.
async fn record(point: &BranchPoint, winner: u32) {
    let Some(reserved) = point.check().await else { return };
    pend_unless(reserved.may_go_on(OPERATION)).await;
    // A number always encodes.
    let outcome = reserved.encode(Codec::PLAIN, OPERATION, &winner).ok();
    reserved.record_result(OPERATION, OperationResult { outcome, attempts: 1, ..OperationResult::default() }).await;
}

macro_rules! selects {
    ($($name:ident, $won:ident, $arms:literal: $($number:literal $arm:ident: $future:ident => $variant:ident),+;)+) => {
        $(
            /// Not public API. Used by generated code: which arm has won, and its value.
            #[doc(hidden)]
            #[derive(Debug)]
            pub enum $won<$($future),+> {
                $($variant($future),)+
            }

            /// Not public API. Used by generated code.
            #[doc(hidden)]
            #[allow(clippy::too_many_arguments, reason = "one for each arm, and generated code gives them")]
            pub fn $name<$($future: Future),+>($($arm: $future),+) -> impl Future<Output = $won<$($future::Output),+>> {
                let point = BranchPoint::here(SELECT);
                $(let mut $arm = Some(point.arm(Some($number), $arm));)+
                async move {
                    let recorded = recorded(&point, $arms).await;
                    if let Some(winner) = recorded {
                        // The other arms are not polled again: what they have done meanwhile does not count.
                        $(if winner != $number { $arm = None; })+
                    }
                    let (winner, won) = poll_fn(|cx| {
                        $(
                            if let Some(future) = &mut $arm && let Poll::Ready(value) = Pin::new(future).poll(cx) {
                                return Poll::Ready(($number, $won::$variant(value)));
                            }
                        )+
                        Poll::Pending
                    })
                    .await;
                    if recorded.is_none() {
                        record(&point, winner).await;
                    }
                    won
                }
            }
        )+
    };
}

selects! {
    select2, Select2, 2: 1 a: A => First, 2 b: B => Second;
    select3, Select3, 3: 1 a: A => First, 2 b: B => Second, 3 c: C => Third;
    select4, Select4, 4: 1 a: A => First, 2 b: B => Second, 3 c: C => Third, 4 d: D => Fourth;
    select5, Select5, 5: 1 a: A => First, 2 b: B => Second, 3 c: C => Third, 4 d: D => Fourth, 5 e: E => Fifth;
    select6, Select6, 6: 1 a: A => First, 2 b: B => Second, 3 c: C => Third, 4 d: D => Fourth, 5 e: E => Fifth,
        6 f: F => Sixth;
    select7, Select7, 7: 1 a: A => First, 2 b: B => Second, 3 c: C => Third, 4 d: D => Fourth, 5 e: E => Fifth,
        6 f: F => Sixth, 7 g: G => Seventh;
    select8, Select8, 8: 1 a: A => First, 2 b: B => Second, 3 c: C => Third, 4 d: D => Fourth, 5 e: E => Fifth,
        6 f: F => Sixth, 7 g: G => Seventh, 8 h: H => Eighth;
}
