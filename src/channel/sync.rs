//! The lock and the counter that channels share, replaced by shuttle's in the test that walks
//! through their interleavings.

#[cfg(feature = "shuttle")]
pub(super) use shuttle::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicU64, AtomicUsize},
};
#[cfg(not(feature = "shuttle"))]
pub(super) use std::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicU64, AtomicUsize},
};

use std::sync::PoisonError;

/// Locks. A panic while a lock was held is a bug that the other channels outlive, so poison is passed
/// over; every critical section here leaves the state consistent at each point where it could panic.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
