//! One asynchronous GET: query → rows → channel → exactly one terminal event.
