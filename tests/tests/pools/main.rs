//! What `pool-capacity` makes of configurations of php-fpm and MariaDB, beside what the real ones of Debian make of them.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod mariadb;
mod phpfpm;
