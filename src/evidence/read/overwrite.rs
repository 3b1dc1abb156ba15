//! What the engine keeps of a picture beyond its run, overwritten.
//!
//! Tensors and pooled buffers are given back when a run ends, and the allocator overwrites them. Two things stay on each
//! thread of the engine: the stack, and the two buffers in which its matrix product packs blocks of pixels and of what the
//! network made of them. Both are private to the engine, so they are overwritten by their own means: a product of zeros
//! that is large enough to fill them. A thread in the midst of another picture's product has taken its buffer out, with what
//! an earlier picture left in the unused end of it; so no model runs while they are overwritten.

use crate::secret::wiped;
use rten::FloatOperators;
use rten_tensor::NdTensor;
use rten_tensor::prelude::*;
use std::sync::{PoisonError, RwLock, RwLockReadGuard};

/// The stack that is overwritten on the engine's own threads; they have 2 MiB.
const STACK: usize = 256 * 1024;
/// The most rows, the depth and the most columns of one packed block (`rten-gemm`, its three block sizes for `f32`).
const ROWS: usize = 64;
const DEPTH: usize = 256;
const COLUMNS: usize = 1024;

/// Held for reading while a model runs, for writing while threads are overwritten. The threads are the process's, so is this.
static RUNS: RwLock<()> = RwLock::new(());

/// A model runs until this is dropped.
pub(super) fn runs() -> RwLockReadGuard<'static, ()> {
    RUNS.read().unwrap_or_else(PoisonError::into_inner)
}

/// Overwrites it on every thread of the engine; waits for the models that run, at most for one run of each.
pub fn everywhere() {
    let _alone = RUNS.write().unwrap_or_else(PoisonError::into_inner);
    rten::thread_pool().run(|| {
        rayon::broadcast(|thread| wiped::<STACK, _>(|| pack_zeros(thread.num_threads())));
    });
}

/// Packs zeros into the buffers of this thread. The columns are split among the threads, and each block has at most
/// `COLUMNS`: with so many times more, the first block, which is always this thread's, is a whole one.
fn pack_zeros(threads: usize) {
    let left = NdTensor::<f32, 2>::zeros([DEPTH, ROWS]);
    let right = NdTensor::<f32, 2>::zeros([1, 1]);
    // Transposed, because rows that lie as the product wants them are not packed.
    let product = left.transposed().matmul(right.broadcast([DEPTH, COLUMNS * threads]).as_dyn());
    debug_assert!(product.is_ok(), "the shapes fit");
}
