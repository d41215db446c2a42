//! MySQL and MariaDB: how many connections are allowed, and the buffers of each.
