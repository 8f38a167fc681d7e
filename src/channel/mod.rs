//! Channels: the hub, each channel's bounded queue, the attachment that drains it. Knows neither
//! HTTP nor PostgreSQL.
