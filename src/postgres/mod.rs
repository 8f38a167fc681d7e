//! PostgreSQL: pools, sessions, SQL rendering, row streams, writes, discovery, the managed local
//! server. The only user of tokio-postgres. Knows neither HTTP nor channels.

<<<<<<< HEAD
pub mod encode;
=======
pub mod helpdesk;
>>>>>>> df96d1c (Load the help desk through the library, whole or not at all)
