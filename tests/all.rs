//! The one integration-test binary; its modules are named by concern.
