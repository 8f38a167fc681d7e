//! From a URL's path and query string to a typed query, against the catalog. Pure: no I/O.
